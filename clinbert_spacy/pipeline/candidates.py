"""Pairs of entities that may be related: types that fit, near each other, a fixed number a head."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import SENT_START
from spacy.tokens import Doc, Span

from ..attributes import ASSERTION_KEY

# What may stand at the two ends of a relation: label -> [labels of heads, labels of tails].
Ends = Mapping[str, Sequence[Sequence[str]]]
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


def propose(
    doc: Doc, entities: Sequence[Typed], relations: Ends, window: int, most: int
) -> List[Pair]:
    """Pair entities.

    doc (Doc): a note with sentences. entities (Sequence[Typed]): in order of their starts.
    relations (Ends): what may stand at the ends. window (int): sentences between the two, at most.
    most (int): nearest tails of one label that a head is paired with, so that the number of pairs
        grows with the number of entities and not with its square.
    RETURNS (List[Pair]): in order of heads and tails.
    """
    types = allowed_by_types(relations)
    starts, ends = (
        numpy.array([getattr(one.span, end) for one in entities], dtype="int64")
        for end in ("start", "end")
    )
    sentence = sentence_numbers(doc)[starts]
    places: Dict[str, List[int]] = {}
    for number, one in enumerate(entities):
        places.setdefault(one.label, []).append(number)
    tails = {label: numpy.array(numbers) for label, numbers in places.items()}
    pairs = []
    for head, one in enumerate(entities):
        for label, numbers in tails.items():
            allowed = types.get((one.label, label))
            if allowed:
                near = numbers[numpy.abs(sentence[numbers] - sentence[head]) <= window]
                near = near[near != head]
                gaps = numpy.maximum(starts[near] - ends[head], starts[head] - ends[near])
                order = numpy.argsort(gaps.clip(min=0), kind="stable")
                pairs += [Pair(head, tail, allowed) for tail in near[order][:most].tolist()]
    return sorted(pairs)


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
    rows: Sequence[Mapping[str, Any]], words: Sequence[str], labels: Sequence[str]
) -> List[Mapping[str, Any]]:
    """Keep one pair a statement: of mentions of the same words joined to one mention, the best.

    rows (Sequence[Mapping]): relations of a note: head, tail, label, score.
    words (Sequence[str]): of its entities. labels (Sequence[str]): relations of which one is kept.
    RETURNS (List[Mapping]): those kept, in order; equally good ones stay.
    """
    best: Dict[Tuple[str, str, int], float] = {}
    keys = [_statements(row, words) if row["label"] in labels else [] for row in rows]
    for row, places in zip(rows, keys):
        for key in places:
            best[key] = max(best.get(key, 0.0), row["score"])
    return [r for r, places in zip(rows, keys) if all(best[k] == r["score"] for k in places)]


def _statements(row: Mapping[str, Any], words: Sequence[str]) -> List[Tuple[str, str, int]]:
    ends = (("head", "tail"), ("tail", "head"))
    return [(f"{row['label']} {one}", words[row[one]], row[other]) for one, other in ends]


def evidence_of(doc: Doc, drug: Span, effect: Span, focus: int) -> Dict[str, Any]:
    """Show where a pair stands.

    doc (Doc): a note. drug (Span), effect (Span): its ends. focus (int): a token, -1 without one.
    RETURNS (Dict[str, Any]): ranges of tokens: `evidence`, the sentences of both ends, and `cue`.
    """
    sentences = {span[0].sent.start: span[0].sent.end for span in (drug, effect)}
    return {
        "evidence": [list(item) for item in sorted(sentences.items())],
        "cue": [int(focus), int(focus) + 1] if focus >= 0 else [],
    }
