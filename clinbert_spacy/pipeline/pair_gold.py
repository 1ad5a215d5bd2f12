"""Gold of candidate pairs: there, not there, or unknown."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Span
from spacy.training import Example

from ..attributes import CAUSALITIES, ENTS_KEY, KINDS, PRIORITY, RELATIONS_KEY, in_one_word

UNKNOWN = -1
Offsets = Tuple[int, int]
Numbers = NDArray[numpy.int64]


def gold_attrs(example: Example) -> Mapping[str, Any]:
    """What the reference's corpus says of relations. RETURNS (Mapping): see `corpora.links`."""
    group = example.reference.spans.get(ENTS_KEY)
    return group.attrs if group is not None else {}


def gold_ends(example: Example) -> Iterator[Span]:
    """Lay the gold entities on the predicted Doc.

    example (Example): its reference's group `clinbert_ents` has attrs `gold`.
    YIELDS (Span): entities in tokens of `predicted`, with the first label that they may have.
    """
    for start, end, label in gold_attrs(example).get("gold", []):
        first = str(label).split("|")[0]
        span = example.predicted.char_span(start, end, label=first, alignment_mode="expand")
        if span is not None:
            yield span


def gold_of_pairs(
    examples: Sequence[Example], relations: Sequence[str]
) -> Tuple[Numbers, Numbers, Numbers, Numbers]:
    """Say of each proposed pair what the gold knows.

    examples (Sequence[Example]): `predicted` has the group `clinbert_relations` with `pairs`.
    relations (Sequence[str]): their names.
    RETURNS (Tuple[Numbers, ...]): relations (pairs, relations): 1, 0 or -1 for unknown; causality,
        kind and assertion of adverse effects (pairs,): numbers of the values or -1.
    """
    rows = [row for example in examples for row in _rows(example, relations)]
    shape = (len(rows), len(relations))
    table = numpy.array([row[0] for row in rows], dtype="int64").reshape(shape)
    said = [numpy.array([row[i] for row in rows], dtype="int64") for i in (1, 2, 3)]
    return table, said[0], said[1], said[2]


def _rows(example: Example, relations: Sequence[str]) -> Iterator[Tuple[List[int], int, int, int]]:
    attrs = gold_attrs(example)
    group = example.predicted.spans[RELATIONS_KEY]
    gold = [(int(start), int(end)) for start, end, _ in attrs.get("gold", [])]
    exact = set(gold)
    places = [_match(span, gold, exact) for span in group]
    links: Dict[Tuple[Offsets, Offsets], List[Sequence[Any]]] = {}
    for row in attrs.get("links", []):
        links.setdefault(((row[0], row[1]), (row[2], row[3])), []).append(row[4:])
    words = {(s, e): in_one_word(values) for s, e, _, values in attrs.get("asserted", [])}
    for head, tail in group.attrs["pairs"]:
        ends = (places[head], places[tail])
        found = links.get(ends, []) if None not in ends else []
        effect = any(row[0] == "ADVERSE_EFFECT" for row in found)
        word = words.get(ends[1]) if effect else None
        number = PRIORITY.index(word) if word in PRIORITY else UNKNOWN
        yield (*_judge(attrs, relations, found, None not in ends), number)


def _judge(
    attrs: Mapping[str, Any], relations: Sequence[str], found: Sequence[Sequence[Any]], both: bool
) -> Tuple[List[int], int, int]:
    labels = {row[0]: row for row in found}
    open_pair = "" in labels
    covered = attrs.get("links_covered", []) if both or attrs.get("links_closed") else []
    absent = 0 if labels and not open_pair else UNKNOWN  # one relation a pair, if any is known
    row = [
        1 if name in labels else (0 if name in covered and not open_pair else absent)
        for name in relations
    ]
    causality, kind = (
        _number(row[1:], i, names)
        for row in (labels.get("ADVERSE_EFFECT", ("", "", "")),)
        for i, names in enumerate((CAUSALITIES, KINDS))
    )
    return row, causality, kind


def _number(said: Sequence[str], i: int, names: Sequence[str]) -> int:
    return names.index(said[i]) if said[i] in names else UNKNOWN


def _match(span: Span, gold: Sequence[Offsets], exact: Set[Offsets]) -> Optional[Offsets]:
    """The gold entity that a span is, or overlaps most."""
    here = (span.start_char, span.end_char)
    if here in exact:
        return here
    shared = [min(end, here[1]) - max(start, here[0]) for start, end in gold]
    best = max(range(len(gold)), key=shared.__getitem__, default=None)
    return gold[best] if best is not None and shared[best] > 0 else None


def right_pairs(
    examples: Sequence[Example], judged: Sequence[Any], label: str, number: int
) -> Tuple[NDArray, NDArray[numpy.bool_]]:
    """Collect the pairs that a relation's types allow, in notes whose corpus marks the relation.

    examples (Sequence[Example]): `predicted` has the group `clinbert_relations` with `pairs`.
    judged (Sequence[Judged]): probabilities of their pairs. label (str): the relation.
    number (int): its column.
    RETURNS (Tuple[NDArray, NDArray]): probabilities, and whether the gold has exactly this pair;
        pairs of which the corpus only says that they may be one are left out.
    """
    scores, right = [], []
    for example, found in zip(examples, judged):
        attrs, group = gold_attrs(example), example.predicted.spans[RELATIONS_KEY]
        if label not in attrs.get("links_covered", []) or not attrs.get("links_closed"):
            continue
        links = {name: {tuple(row[:4]) for row in attrs.get("links", []) if row[4] == name}
                 for name in (label, "")}  # fmt: skip
        places = [(span.start_char, span.end_char) for span in group]
        for pair, (head, tail) in enumerate(group.attrs["pairs"]):
            ends = (*places[head], *places[tail])
            if number in group.attrs["allowed"][pair] and ends not in links[""]:
                scores.append(found.relations[pair, number])
                right.append(ends in links[label])
    return numpy.array(scores, dtype="float64"), numpy.array(right, dtype=bool)
