"""Pairs of entities that may be related: types that fit, near each other, a fixed number a head."""

from bisect import bisect_right
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import SENT_START
from spacy.tokens import Doc, Span

from ..attributes import ASSERTION_KEY

# What may stand at the two ends of a relation: label -> [labels of heads, labels of tails].
Ends = Mapping[str, Sequence[Sequence[str]]]
# Entities near heads that are looked at together, about: of a long note without sentences all are.
AT_ONCE = 200_000
PROBLEMS = ["DISEASE", "SYMPTOM"]
RELATIONS: Dict[str, List[List[str]]] = {
    "ADVERSE_EFFECT": [["DRUG"], [*PROBLEMS, "TEST"]],
    "TREATS": [["DRUG"], PROBLEMS],
    "HAS_STRENGTH": [["DRUG"], ["STRENGTH"]],
    "HAS_DOSAGE": [["DRUG"], ["DOSAGE"]],
    "HAS_FORM": [["DRUG"], ["FORM"]],
    "HAS_ROUTE": [["DRUG"], ["ROUTE"]],
    "HAS_FREQUENCY": [["DRUG"], ["FREQUENCY"]],
    "HAS_DURATION": [["DRUG"], ["DURATION"]],
    "HAS_VALUE": [["TEST"], ["LAB_VALUE"]],
}


class Typed(NamedTuple):
    """An entity under the name that the relations use. span (Span), label (str)."""

    span: Span
    label: str


class Pair(NamedTuple):
    """A pair that may be related.

    head (int), tail (int): numbers of its entities. allowed (Tuple[int, ...]): numbers of the
    relations that its types allow.
    """

    head: int
    tail: int
    allowed: Tuple[int, ...]


class Pairs(NamedTuple):
    """Many of `Pair`. heads, tails (NDArray), allowed (List[Tuple[int, ...]]): of each."""

    heads: NDArray[numpy.int64]
    tails: NDArray[numpy.int64]
    allowed: List[Tuple[int, ...]]

    def listed(self) -> List[Pair]:
        """RETURNS (List[Pair]): one by one."""
        return list(map(Pair, self.heads.tolist(), self.tails.tolist(), self.allowed))


def check_ends(relations: Ends) -> None:
    """Check a table of relations. RAISES (ValueError): it is empty, or a row has no two lists."""
    broken = [
        label for label, ends in relations.items() if len(ends) != 2 or not all(map(len, ends))
    ]
    if broken or not relations:
        raise ValueError(
            f"relations = {dict(relations)}: expected for each relation the labels of its heads "
            f"and the labels of its tails; wrong at {broken or 'an empty table'}."
        )


def allowed_by_types(relations: Ends) -> Dict[Tuple[str, str], Tuple[int, ...]]:
    """Turn a table of relations round. RETURNS (Dict): relations' numbers by (head, tail)."""
    found: Dict[Tuple[str, str], Tuple[int, ...]] = {}
    for number, (heads, tails) in enumerate(relations.values()):
        for pair in ((head, tail) for head in heads for tail in tails):
            found[pair] = (*found.get(pair, ()), number)
    return found


def type_entities(
    entities: Sequence[Span], relations: Ends, label_map: Mapping[str, str]
) -> List[Typed]:
    """Keep the entities that a relation may join.

    entities (Sequence[Span]): of anybody's making. relations (Ends): see RELATIONS.
    label_map (Mapping[str, str]): their labels to those of the relations; others stay as they are.
    RETURNS (List[Typed]): in order, each place once.
    """
    known = {label for ends in relations.values() for labels in ends for label in labels}
    named = (Typed(span, label_map.get(span.label_, span.label_)) for span in entities)
    kept = {(one.span.start, one.span.end, one.label): one for one in named if one.label in known}
    return [kept[key] for key in sorted(kept)]


def sentence_numbers(doc: Doc) -> NDArray[numpy.int64]:
    """Number the sentence of each token. RETURNS (NDArray): Shape (tokens,)."""
    return numpy.cumsum(doc.to_array([SENT_START]).ravel() == 1)


def pair_up(doc: Doc, entities: Sequence[Typed], relations: Ends, window: int, most: int) -> Pairs:
    """Pair entities.

    doc (Doc): a note with sentences. entities (Sequence[Typed]): in order of their starts.
    relations (Ends): what may stand at the ends. window (int): sentences between the two, at most.
    most (int): nearest tails of one label that a head is paired with, so that the number of pairs
        grows with the number of entities and not with its square.
    RETURNS (Pairs): in order of heads and tails.
    """
    places = numpy.array([(one.span.start, one.span.end) for one in entities], dtype="int64")
    starts, ends = places.reshape(-1, 2).T
    labels, kinds, allowed = _kinds_of_pairs([one.label for one in entities], relations)
    sentence = sentence_numbers(doc)[starts]
    # in order of starts, those in the sentences around are neighbours
    first = numpy.searchsorted(sentence, sentence - window, side="left")
    last = numpy.searchsorted(sentence, sentence + window, side="right")
    heads = numpy.flatnonzero((kinds[labels] >= 0).any(axis=1))
    blocks = numpy.cumsum((last - first)[heads]) // AT_ONCE
    found = [(heads[:0], heads[:0])]
    for some in numpy.split(heads, numpy.flatnonzero(numpy.diff(blocks)) + 1):
        head, tail = _each_of(some, first[some], last[some])
        fits = (kinds[labels[head], labels[tail]] >= 0) & (head != tail)
        head, tail = head[fits], tail[fits]
        gaps = numpy.maximum(starts[tail] - ends[head], starts[head] - ends[tail]).clip(min=0)
        kept = _nearest(head, labels[tail], gaps, most)
        found.append((head[kept], tail[kept]))
    head, tail = (numpy.concatenate(part) for part in zip(*found))
    return Pairs(head, tail, [allowed[kind] for kind in kinds[labels[head], labels[tail]].tolist()])


def _kinds_of_pairs(
    names: Sequence[str], relations: Ends
) -> Tuple[NDArray, NDArray, List[Tuple[int, ...]]]:
    """Labels as numbers, for each two of them the number of what they allow, -1 for nothing, and
    what that is."""
    known = {name: i for i, name in enumerate(dict.fromkeys(names))}
    table = numpy.full((len(known), len(known)), -1)
    allowed = [row for row in allowed_by_types(relations).items() if known.keys() >= {*row[0]}]
    for i, ((head, tail), _) in enumerate(allowed):
        table[known[head], known[tail]] = i
    labels = numpy.array([known[name] for name in names], dtype="int64")
    return labels, table, [numbers for _, numbers in allowed]


def _each_of(rows: NDArray, first: NDArray, last: NDArray) -> Tuple[NDArray, NDArray]:
    """Each row beside each number from its first to before its last."""
    counts = last - first
    begins = numpy.cumsum(counts) - counts
    return numpy.repeat(rows, counts), numpy.arange(counts.sum()) + numpy.repeat(
        first - begins, counts
    )


def _nearest(head: NDArray, label: NDArray, gaps: NDArray, most: int) -> NDArray:
    """Numbers of the pairs, ascending, whose tails are the nearest of their label to their head;
    of those as near the first."""
    order = numpy.lexsort((gaps, label, head))
    opens = numpy.ones(len(order), dtype=bool)
    opens[1:] = (numpy.diff(head[order]) != 0) | (numpy.diff(label[order]) != 0)
    begins = numpy.flatnonzero(opens)
    sizes = numpy.diff(begins, append=len(order))
    return numpy.sort(order[numpy.arange(len(order)) - numpy.repeat(begins, sizes) < most])


def propose(
    doc: Doc, entities: Sequence[Typed], relations: Ends, window: int, most: int
) -> List[Pair]:
    """Pair entities, see `pair_up`. RETURNS (List[Pair]): in order of heads and tails."""
    return pair_up(doc, entities, relations, window, most).listed()


def said_of(doc: Doc, spans: Sequence[Span]) -> List[Dict[str, str]]:
    """Look up what `clinbert_assertion` says of entities.

    doc (Doc): a note. spans (Sequence[Span]): the entities.
    RETURNS (List[Dict[str, str]]): values by axis; empty where nobody judged one.
    """
    group = doc.spans.get(ASSERTION_KEY)
    if group is None or "values" not in group.attrs:
        return [{} for _ in spans]
    found = {(s.start, s.end): dict(values) for s, values in zip(group, group.attrs["values"])}
    return [found.get((span.start, span.end), {}) for span in spans]


def once_a_statement(
    rows: Sequence[Mapping[str, Any]], words: Mapping[int, str], labels: Sequence[str]
) -> List[Mapping[str, Any]]:
    """Keep one pair a statement: of mentions of the same words joined to one mention, the best.

    rows (Sequence[Mapping]): relations of a note: head, tail, label, score.
    words (Mapping[int, str]): of its entities, by number. labels (Sequence[str]): relations of
        which one is kept.
    RETURNS (List[Mapping]): those kept, in order; equally good ones stay.
    """
    best: Dict[Tuple[str, str, int], float] = {}
    keys = [_statements(row, words) if row["label"] in labels else [] for row in rows]
    for row, places in zip(rows, keys):
        for key in places:
            best[key] = max(best.get(key, 0.0), row["score"])
    return [r for r, places in zip(rows, keys) if all(best[k] == r["score"] for k in places)]


def _statements(row: Mapping[str, Any], words: Mapping[int, str]) -> List[Tuple[str, str, int]]:
    ends = (("head", "tail"), ("tail", "head"))
    return [(f"{row['label']} {one}", words[row[one]], row[other]) for one, other in ends]


def evidence_of(begins: Sequence[int], ends: Sequence[int], focus: int) -> Dict[str, Any]:
    """Show where a pair stands.

    begins (Sequence[int]): tokens with which the note's sentences begin, and its length.
    ends (Sequence[int]): first tokens of the pair's ends. focus (int): a token, -1 without one.
    RETURNS (Dict[str, Any]): ranges of tokens: `evidence`, the sentences of both ends, and `cue`.
    """
    numbers = sorted({bisect_right(begins, token) for token in ends})
    return {
        "evidence": [[begins[i - 1], begins[i]] for i in numbers],
        "cue": [int(focus), int(focus) + 1] if focus >= 0 else [],
    }


def begins_of(doc: Doc) -> List[int]:
    """Find sentences. RETURNS (List[int]): the first token of each, and the note's length."""
    found = numpy.flatnonzero(doc.to_array([SENT_START]).ravel() == 1).tolist()
    return [*([0] if len(doc) and found[:1] != [0] else []), *found, len(doc)]
