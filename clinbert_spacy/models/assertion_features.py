"""Questions about entities as arrays: windows of tokens, places, cues, labels, sections, rules."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import IS_SPACE, SENT_START
from spacy.tokens import Doc, Span

from ..attributes import ASSERTION_KEY, AXES

LABELS = ("", "DISEASE", "SYMPTOM", "DRUG")
# Distances in tokens from the entity that get a place of their own.
STEPS = (1, 2, 3, 5, 8, 13, 21, 34)
# The number of the place of each distance; all that are further have the last one.
STEP_OF = numpy.searchsorted(STEPS, numpy.arange(STEPS[-1] + 2), side="left")
SENTENCES = 3  # before, the same, after
ROLES = tuple(
    f"{axis}={value} {direction}"
    for axis, values in AXES.items()
    for value in values
    for direction in ("before", "after")
)
ROLE_NUMBERS = {role: i for i, role in enumerate(ROLES)}
RULES = tuple((axis, value) for axis, values in AXES.items() for value in values)
NUMBERS = {pair: i for i, pair in enumerate(RULES)}

Arrays = Dict[str, NDArray]


class Questions(NamedTuple):
    """Entities of a batch of notes.

    counts (List[int]): entities of each note. arrays (Arrays): see `nets.assertion.AssertionNet`;
    tokens are counted through the whole batch.
    """

    counts: List[int]
    arrays: Arrays


def table_sizes(sections: Sequence[str]) -> Dict[str, int]:
    """Sizes of the tables of features.

    sections (Sequence[str]): names of sections. RETURNS (Dict[str, int]): by table.
    """
    return {
        "places": (2 * (len(STEPS) + 1) + 1) * SENTENCES,
        "cues": len(ROLES),
        "labels": len(LABELS),
        "sections": len(sections) + 1,
        "rules": len(RULES),
    }


def ask(docs: Sequence[Doc], sections: Sequence[str], reach: int) -> Questions:
    """Turn the entities that `clinbert_assertion` wrote on Docs into arrays.

    docs (Sequence[Doc]): notes with the group `clinbert_assertion`; without it, none is asked.
    sections (Sequence[str]): names of sections. reach (int): tokens to either side.
    RETURNS (Questions): the questions.
    """
    counts, shift = [], 0
    notes: List[Arrays] = []
    words: List[Tuple] = []
    for doc in docs:
        group = doc.spans.get(ASSERTION_KEY)
        spans = list(group) if group is not None else []
        counts.append(len(spans))
        if spans:
            notes.append(_ask_note(doc, spans, group.attrs, sections, reach, shift))
            words.extend((span.label_ == "DRUG", span.text.lower()) for span in spans)
        shift += len(doc)
    if not notes:
        return Questions(counts, {})
    arrays = {name: _join([note[name] for note in notes]) for name in notes[0]}
    arrays["cue"] = numpy.concatenate([_cue_table(doc) for doc in docs])
    arrays["same"] = _same(words, counts)
    return Questions(counts, arrays)


def _ask_note(
    doc: Doc,
    spans: Sequence[Span],
    attrs: Mapping[str, Any],
    sections: Sequence[str],
    reach: int,
    shift: int,
) -> Arrays:
    tokens = doc.to_array([IS_SPACE, SENT_START])
    words = numpy.flatnonzero(tokens[:, 0] == 0)
    sentence = numpy.cumsum(tokens[:, 1] == 1)
    starts, ends = numpy.array([(span.start, span.end) for span in spans]).T
    window, mask = _windows(words, starts, ends, reach)
    number = {name: i + 1 for i, name in enumerate(sections)}
    labels = [LABELS.index(s.label_) if s.label_ in LABELS else 0 for s in spans]
    return {
        "window": numpy.where(mask, window + shift, 0),
        "mask": mask,
        "inside": mask & (window >= starts[:, None]) & (window < ends[:, None]),
        "place": numpy.where(mask, _places(window, starts, ends, sentence), 0),
        "label": numpy.array(labels, dtype="int64"),
        "section": numpy.array([number.get(n, 0) for n in attrs["sections"]], dtype="int64"),
        "rule": _rules(attrs["rules"]),
    }


def _windows(
    words: NDArray, starts: NDArray, ends: NDArray, reach: int
) -> Tuple[NDArray, NDArray]:
    """Tokens that are not white space, from `reach` before entities to `reach` behind them.

    A long entity keeps its ends.

    words (NDArray): tokens that are not white space. starts (NDArray), ends (NDArray): of the
        entities. reach (int): tokens to either side.
    RETURNS (Tuple[NDArray, NDArray]): tokens and mask. Shape (entities, longest window).
    """
    first = numpy.maximum(numpy.searchsorted(words, starts) - reach, 0)
    last = numpy.minimum(numpy.searchsorted(words, ends) + reach, len(words))
    lengths = last - first
    step = numpy.arange(min(int(lengths.max()), 4 * reach))
    # what a long one leaves out lies behind the first 2 * reach
    left_out = numpy.where(step >= 2 * reach, numpy.maximum(lengths - 4 * reach, 0)[:, None], 0)
    mask = step < lengths[:, None]
    place = numpy.where(mask, first[:, None] + step + left_out, 0)
    return words[place], mask


def _places(window: NDArray, starts: NDArray, ends: NDArray, sentence: NDArray) -> NDArray:
    start, end = starts[:, None], ends[:, None]
    before = STEP_OF[(start - window).clip(0, STEPS[-1] + 1)]
    after = STEP_OF[(window - end + 1).clip(0, STEPS[-1] + 1)]
    n = len(STEPS) + 1
    distance = numpy.where(window < start, n + before, numpy.where(window >= end, after, 2 * n))
    distance = numpy.minimum(distance, 2 * n)
    side = numpy.sign(sentence[window] - sentence[start]) + 1
    return distance * SENTENCES + side


def _join(parts: Sequence[NDArray]) -> NDArray:
    """Join arrays whose second side may differ, filled up with zeros."""
    if parts[0].ndim == 1:
        return numpy.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return numpy.concatenate([numpy.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in parts])


def _cue_table(doc: Doc) -> NDArray:
    """(tokens, roles): which roles of cues each token has."""
    group = doc.spans.get(ASSERTION_KEY)
    cues = group.attrs["cue_roles"] if group is not None and len(group) else []
    table = numpy.zeros((len(doc), len(ROLES)), dtype="float32")
    for start, end, roles in cues:
        for role in roles:
            if role in ROLE_NUMBERS:
                table[start:end, ROLE_NUMBERS[role]] = 1.0
    return table


def _rules(findings: Sequence[Mapping[str, Any]]) -> NDArray:
    """(entities, values): what the rules say of each."""
    table = numpy.zeros((len(findings), len(RULES)), dtype="float32")
    said = [(i, NUMBERS[pair]) for i, found in enumerate(findings) for pair in found.items()]
    rows, columns = numpy.array(said, dtype="int64").reshape(-1, 2).T
    table[rows, columns] = 1.0
    return table


def _same(words: List[Tuple], counts: Sequence[int]) -> NDArray[numpy.int64]:
    """(S,) numbers; the mentions of the same words in the same note have the same one."""
    note = numpy.repeat(numpy.arange(len(counts)), counts).tolist()
    keys: Dict[Tuple, int] = {}
    return numpy.array([keys.setdefault((n, *w), len(keys)) for n, w in zip(note, words)])
