"""Candidate pairs as arrays: windows of tokens, roles, distances, sections, what is said."""

from itertools import chain
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import IS_PUNCT, IS_SPACE, SENT_START
from spacy.tokens import Doc, Span

from ..attributes import AXES, RELATIONS_KEY
from ..nets.relations import ROLES
from .pair_parts import find_roles

Arrays = Dict[str, NDArray]
# Tokens between two entities, and other entities there, that get a number of their own.
GAPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
COUNTS = (0, 1, 2, 3, 5, 8)
SENTENCES = 2
# Tokens to either side of a pair, and of what stands between them at each end.
REACH, MIDDLE = 12, 24
VALUES = ("", *(f"{axis}={value}" for axis, values in AXES.items() for value in values))
NUMBERS = {value: number for number, value in enumerate(VALUES)}
# Columns of `_buckets` that depend on one end of a pair alone.
BY_DRUG = [8 + i for i, axis in enumerate(AXES) if axis == "drug_status"]
OF_HEAD = (2, 6, *BY_DRUG)
OF_TAIL = (3, 7, *(8 + i for i in range(len(AXES)) if 8 + i not in BY_DRUG))
N_ROLES = 2 * ROLES


class Questions(NamedTuple):
    """Pairs of a batch of notes.

    counts (List[int]): pairs of each note. arrays (Arrays): see `nets.relations.RelationNet`;
    tokens and entities are counted through the whole batch. allowed (NDArray): which relations a
    pair may have. Shape (pairs, relations). shifts (List[int]): tokens before each note.
    """

    counts: List[int]
    arrays: Arrays
    allowed: NDArray[numpy.bool_]
    shifts: List[int]


def table_sizes(sections: Sequence[str], n_labels: int) -> List[int]:
    """Sizes of the tables of features, in the order of `_buckets`.

    sections (Sequence[str]): names of sections. n_labels (int): labels of entities.
    RETURNS (List[int]): the sizes.
    """
    gaps, counts = len(GAPS) + 1, len(COUNTS) + 1
    said = [len(VALUES)] * len(AXES)
    return [2 * gaps, 2 * SENTENCES + 3, n_labels + 1, n_labels + 1, counts, counts,
            len(sections) + 1, len(sections) + 1, *said]  # fmt: skip


def ask(
    docs: Sequence[Doc],
    sections: Sequence[str],
    labels: Sequence[str],
    n_relations: int,
    windows: bool = True,
) -> Questions:
    """Turn the pairs that `clinbert_side_effects` wrote on Docs into arrays.

    docs (Sequence[Doc]): notes with the group `clinbert_relations`. sections (Sequence[str]): names
    of sections. labels (Sequence[str]): labels of entities. n_relations (int): of relations.
    windows (bool): lay out the window of each pair; or say in `bounds` (pairs, 4) from where to
        where it goes, twice, and in `starts` and `ends` the places of entities, for `pair_parts`.
    RETURNS (Questions): the questions.
    """
    counts: List[int] = []
    shifts: List[int] = []
    shift = entities = 0
    notes: List[Arrays] = []
    allowed: List[NDArray] = []
    for doc in docs:
        group = doc.spans.get(RELATIONS_KEY)
        pairs = group.attrs.get("pairs", []) if group is not None else []
        counts.append(len(pairs))
        shifts.append(shift)
        spans = list(group) if pairs else []
        columns = doc.to_array([SENT_START, IS_PUNCT, IS_SPACE]).T
        breaks, words = (columns[0] == 1).astype("int64"), ~columns[1:].any(axis=0)
        arrays = {"place": numpy.zeros_like(breaks), "breaks": breaks, "word": words}
        arrays["sentence"] = breaks.cumsum()
        if pairs:
            note = (arrays["sentence"], spans, group.attrs, sections, labels)
            arrays |= _ask_note(*note, shift, entities, windows)
            types = 1 + numpy.array([labels.index(label) for label in group.attrs["types"]])
            arrays["place"][arrays["members"] - shift] = types[arrays["owner"] - entities]
            allowed.append(_allowed(group.attrs["allowed"], n_relations))
            entities += len(spans)
        notes.append(arrays)
        shift += len(doc)
    if not allowed:
        return Questions(counts, {}, numpy.zeros((0, n_relations), dtype=bool), shifts)
    names = {name for note in notes for name in note}
    joined = {name: _join([note[name] for note in notes if name in note]) for name in names}
    return Questions(counts, joined, numpy.concatenate(allowed), shifts)


def _ask_note(
    sentence: NDArray,
    spans: Sequence[Span],
    attrs: Mapping[str, Any],
    sections: Sequence[str],
    labels: Sequence[str],
    shift: int,
    first: int,
    windows: bool,
) -> Arrays:
    starts, ends = numpy.array([(s.start, s.end) for s in spans], dtype="int64").T
    head, tail = numpy.array(attrs["pairs"], dtype="int64").T
    places = (starts, ends, head, tail)
    laid = _laid_out if windows else _bounded
    lengths = ends - starts
    owner = numpy.repeat(numpy.arange(len(spans)), lengths)
    within = numpy.arange(lengths.sum()) - numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)
    return {
        "members": starts[owner] + within + shift,
        "owner": owner + first,
        "head": head + first,
        "tail": tail + first,
        "buckets": _buckets(sentence[starts], *places, attrs, sections, labels),
        **laid(*places, len(sentence), shift),
    }


def _laid_out(
    starts: NDArray, ends: NDArray, head: NDArray, tail: NDArray, length: int, shift: int
) -> Arrays:
    window, mask, role = _windows(starts, ends, head, tail, length)
    return {"window": numpy.where(mask, window + shift, 0), "mask": mask, "role": role}


def _bounded(
    starts: NDArray, ends: NDArray, head: NDArray, tail: NDArray, length: int, shift: int
) -> Arrays:
    bounds = _bounds(starts, ends, head, tail, length)
    return {"bounds": bounds + shift, "starts": starts + shift, "ends": ends + shift}


def _bounds(starts: NDArray, ends: NDArray, head: NDArray, tail: NDArray, length: int) -> NDArray:
    """Two ranges of tokens that are a pair's window. RETURNS (NDArray): Shape (pairs, 4).

    What stands between entities far apart keeps its two ends.
    """
    backward = starts[head] > starts[tail]
    left, right = numpy.where(backward, tail, head), numpy.where(backward, head, tail)
    first = numpy.maximum(starts[left] - REACH, 0)
    last = numpy.minimum(numpy.maximum(ends[right], ends[left]) + REACH, length)
    # the middle of long entities and of long stretches between them is left out
    skip_from = numpy.minimum(ends[left], starts[left] + MIDDLE) + MIDDLE
    skip_to = numpy.maximum(starts[right] - MIDDLE, skip_from)
    last = numpy.minimum(last, numpy.maximum(starts[right] + MIDDLE, ends[left]) + REACH)
    edges = (first, numpy.minimum(skip_from, last), numpy.minimum(skip_to, last), last)
    return numpy.stack(edges, axis=1)


def _windows(
    starts: NDArray, ends: NDArray, head: NDArray, tail: NDArray, length: int
) -> Tuple[NDArray, NDArray, NDArray]:
    """Tokens around and between pairs, which of them are there, and their roles.

    RETURNS (Tuple[NDArray, NDArray, NDArray]): Shape (pairs, longest window) each.
    """
    first, skip_from, skip_to, last = _bounds(starts, ends, head, tail, length).T[:, :, None]
    backward = starts[head] > starts[tail]
    left, right = numpy.where(backward, tail, head), numpy.where(backward, head, tail)
    skipped = skip_to - skip_from
    token = first + numpy.arange(int((last - first - skipped).max()))
    token = numpy.where(token >= skip_from, token + skipped, token)
    mask = token < last
    token = numpy.where(mask, token, 0)
    role = find_roles(
        token,
        *([edge[one][:, None] for edge in (starts, ends)] for one in (head, tail, left, right)),
    )
    return token, mask, role + ROLES * backward[:, None]


def _buckets(
    sentence: NDArray,
    starts: NDArray,
    ends: NDArray,
    head: NDArray,
    tail: NDArray,
    attrs: Mapping[str, Any],
    sections: Sequence[str],
    labels: Sequence[str],
) -> NDArray:
    """(pairs, features): numbers into the tables whose sizes `table_sizes` gives, from the
    sentence, the start and the end of entities and the entities of pairs."""
    types = numpy.array([1 + labels.index(label) for label in attrs["types"]])
    number = {name: i + 1 for i, name in enumerate(sections)}
    section = numpy.array([number.get(name, 0) for name in attrs["sections"]])
    forward = starts[head] <= starts[tail]
    gap = numpy.maximum(starts[tail] - ends[head], starts[head] - ends[tail])
    gaps = numpy.searchsorted(GAPS, numpy.maximum(gap, 0)) + (len(GAPS) + 1) * forward
    jump = numpy.clip(sentence[tail] - sentence[head], -SENTENCES - 1, SENTENCES + 1)
    low, high = numpy.minimum(head, tail), numpy.maximum(head, tail)
    others = [_count_between(types, types[one], low, high) for one in (head, tail)]
    said = [
        numpy.array([NUMBERS[f"{a}={v[a]}"] if a in v else 0 for v in attrs["values"]])
        for a in AXES
    ]
    ends_said = [one[tail] if axis != "drug_status" else one[head] for axis, one in zip(AXES, said)]
    columns = [gaps, jump + SENTENCES + 1, types[head], types[tail], *others, section[head],
               section[tail], *ends_said]  # fmt: skip
    return numpy.stack(columns, axis=1).astype("int64")


def _count_between(types: NDArray, wanted: NDArray, low: NDArray, high: NDArray) -> NDArray:
    """How many entities of a wanted type stand between two entities, as buckets."""
    sums = numpy.cumsum(types[:, None] == numpy.arange(types.max() + 1), axis=0)
    return numpy.searchsorted(COUNTS, sums[high - 1, wanted] - sums[low, wanted])


def _allowed(rows: Sequence[Sequence[int]], n_relations: int) -> NDArray[numpy.bool_]:
    table = numpy.zeros((len(rows), n_relations), dtype=bool)
    columns = numpy.fromiter(chain.from_iterable(rows), dtype="int64")
    table[numpy.repeat(numpy.arange(len(rows)), list(map(len, rows))), columns] = True
    return table


def _join(parts: Sequence[NDArray]) -> NDArray:
    """Join arrays whose second side may differ, filled up with zeros."""
    if parts[0].ndim == 1:
        return numpy.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return numpy.concatenate([numpy.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in parts])
