"""Questions about entities as arrays: windows of tokens, places, cues, labels, sections, rules."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

from ..attributes import ASSERTION_KEY, AXES

LABELS = ("", "DISEASE", "SYMPTOM", "DRUG")
# Distances in tokens from the entity that get a place of their own.
STEPS = (1, 2, 3, 5, 8, 13, 21, 34)
SENTENCES = 3  # before, the same, after
ROLES = tuple(
    f"{axis}={value} {direction}"
    for axis, values in AXES.items()
    for value in values
    for direction in ("before", "after")
)
RULES = tuple(f"{axis}={value}" for axis, values in AXES.items() for value in values)

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
    rows: List[Dict[str, Any]] = []
    counts, shift = [], 0
    for doc in docs:
        found = _ask_note(doc, sections, reach, shift)
        counts.append(len(found))
        rows.extend(found)
        shift += len(doc)
    if not rows:
        return Questions(counts, {})
    cues = numpy.concatenate([_cue_table(doc) for doc in docs])
    return Questions(counts, {"cue": cues, **_stack(rows, counts)})


def _ask_note(
    doc: Doc, sections: Sequence[str], reach: int, shift: int
) -> List[Dict[str, Any]]:
    group = doc.spans.get(ASSERTION_KEY)
    if group is None or not len(group):
        return []
    sentence = numpy.cumsum([bool(token.is_sent_start) for token in doc])
    words = numpy.array([token.i for token in doc if not token.is_space], dtype="int64")
    number = {name: i + 1 for i, name in enumerate(sections)}
    rows = []
    for span, section, rules in zip(group, group.attrs["sections"], group.attrs["rules"]):
        window = _window(words, span.start, span.end, reach)
        rows.append({
            "window": window + shift,
            "inside": (window >= span.start) & (window < span.end),
            "place": _places(window, span.start, span.end, sentence),
            "label": LABELS.index(span.label_) if span.label_ in LABELS else 0,
            "section": number.get(section, 0),
            "rule": _rules(rules),
            "words": (span.label_ == "DRUG", span.text.lower()),
        })  # fmt: skip
    return rows


def _window(words: NDArray, start: int, end: int, reach: int) -> NDArray:
    """Tokens that are not white space, from `reach` before the entity to `reach` behind it."""
    first, last = numpy.searchsorted(words, [start, end])
    kept = words[max(0, first - reach) : last + reach]
    # a long entity keeps its ends
    half = 2 * reach
    return kept if len(kept) <= 2 * half else numpy.concatenate([kept[:half], kept[-half:]])


def _places(window: NDArray, start: int, end: int, sentence: NDArray) -> NDArray:
    before = numpy.searchsorted(STEPS, numpy.maximum(start - window, 0), side="left")
    after = numpy.searchsorted(STEPS, numpy.maximum(window - end + 1, 0), side="left")
    n = len(STEPS) + 1
    distance = numpy.where(window < start, n + before, numpy.where(window >= end, after, 2 * n))
    distance = numpy.minimum(distance, 2 * n)
    side = numpy.sign(sentence[window] - sentence[start]) + 1
    return distance * SENTENCES + side


def _cue_table(doc: Doc) -> NDArray:
    """(tokens, roles): which roles of cues each token has."""
    group = doc.spans.get(ASSERTION_KEY)
    cues = group.attrs["cue_roles"] if group is not None and len(group) else []
    table = numpy.zeros((len(doc), len(ROLES)), dtype="float32")
    number = {role: i for i, role in enumerate(ROLES)}
    for start, end, roles in cues:
        table[start:end, [number[role] for role in roles if role in number]] = 1.0
    return table


def _rules(findings: Mapping[str, Any]) -> NDArray:
    row = numpy.zeros(len(RULES), dtype="float32")
    for axis, value in findings.items():
        row[RULES.index(f"{axis}={value}")] = 1.0
    return row


def _stack(rows: List[Dict[str, Any]], counts: Sequence[int]) -> Arrays:
    width = max(len(row["window"]) for row in rows)
    arrays: Arrays = {"mask": numpy.zeros((len(rows), width), dtype=bool)}
    for name, kind in (("window", "int64"), ("inside", "bool"), ("place", "int64")):
        arrays[name] = numpy.zeros((len(rows), width), dtype=kind)
    for i, row in enumerate(rows):
        length = len(row["window"])
        arrays["mask"][i, :length] = True
        for name in ("window", "inside", "place"):
            arrays[name][i, :length] = row[name]
    for name in ("label", "section"):
        arrays[name] = numpy.array([row[name] for row in rows], dtype="int64")
    arrays["rule"] = numpy.stack([row["rule"] for row in rows])
    arrays["same"] = _same([row["words"] for row in rows], counts)
    return arrays


def _same(words: List[Tuple], counts: Sequence[int]) -> NDArray[numpy.int64]:
    """(S,) numbers; the mentions of the same words in the same note have the same one."""
    note = numpy.repeat(numpy.arange(len(counts)), counts).tolist()
    keys: Dict[Tuple, int] = {}
    return numpy.array([keys.setdefault((n, *w), len(keys)) for n, w in zip(note, words)])
