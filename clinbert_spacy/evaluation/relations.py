"""Scores of relations, end to end: a pair whose entity was not found or proposed is a miss."""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Set, Tuple

from spacy.tokens import Doc
from spacy.training import Example

from ..attributes import ENTS_KEY, RELATIONS_KEY
from .scorers import Counts, micro, prf

Scorer = Callable[..., Dict[str, Any]]
Offsets = Tuple[int, int]
EFFECT = "ADVERSE_EFFECT"


class Found(NamedTuple):
    """A relation of the gold or of a pipeline, by characters.

    head (Offsets), tail (Offsets): its ends. label (str): e.g. `ADVERSE_EFFECT`.
    """

    head: Offsets
    tail: Offsets
    label: str


def make_relations_scorer() -> Scorer:
    """Registered as clinbert.relations_scorer.v1. RETURNS (Callable): Scores Examples."""
    return score_relations


def score_relations(examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
    """Score Examples whose references say what is known of relations.

    A relation is right if both ends have the gold's characters and labels, and its own label is the
    gold's. Relations that a note's corpus does not mark are not counted, nor is what is found at a
    pair of which the corpus only says that it may be one.

    examples (Iterable[Example]): predicted and reference docs.
    RETURNS (Dict[str, Any]): relations_p, relations_r, relations_f over all, relations_per_type;
        empty if nothing could be scored.
    """
    counts: Dict[str, Counts] = {}
    scored = False
    for example in examples:
        covered = covered_of(example)
        scored = scored or bool(covered)
        gold, found = gold_relations(example), set(found_relations(example))
        doubt = doubtful_pairs(example)
        for label in covered:
            row = counts.setdefault(label, Counts())
            wanted = {one for one in gold if one.label == label}
            given = {one for one in found if one.label == label}
            given -= {one for one in given - wanted if one[:2] in doubt}
            row.tp += len(wanted & given)
            row.fp += len(given - wanted)
            row.fn += len(wanted - given)
    if not scored:
        return {}
    return {
        **dict(zip(("relations_p", "relations_r", "relations_f"), prf(micro(counts)))),
        "relations_per_type": {
            label: {**dict(zip("prf", prf(row))), "n": row.tp + row.fn}
            for label, row in sorted(counts.items())
        },
    }


def covered_of(example: Example) -> List[str]:
    """Relations that count in a note. RETURNS (List[str]): their labels."""
    attrs = gold_attrs(example.reference)
    return list(attrs.get("links_covered", [])) if attrs.get("links_closed") else []


def gold_attrs(doc: Doc) -> Mapping[str, Any]:
    """What a Doc's corpus says of it. RETURNS (Mapping): attrs of the group `clinbert_ents`."""
    group = doc.spans.get(ENTS_KEY)
    return group.attrs if group is not None else {}


def gold_relations(example: Example) -> Dict[Found, Tuple[str, str]]:
    """Relations of the gold. RETURNS (Dict): causality and kind of each, "" where not said."""
    rows = gold_attrs(example.reference).get("links", [])
    return {
        Found((a, b), (c, d), label): (causality, kind)
        for a, b, c, d, label, causality, kind in rows
        if label
    }


def doubtful_pairs(example: Example) -> Set[Tuple[Offsets, Offsets]]:
    """Pairs that may be related or not. RETURNS (Set): their ends by characters."""
    rows = gold_attrs(example.reference).get("links", [])
    return {((a, b), (c, d)) for a, b, c, d, label, *_ in rows if not label}


def found_relations(example: Example) -> Iterator[Found]:
    """Relations of the pipeline, ends by characters; those whose end has another label than the
    gold's entity at its place are given an end that nothing in the gold has.

    YIELDS (Found): in the order of the note.
    """
    group = example.predicted.spans.get(RELATIONS_KEY)
    labels: Dict[Offsets, Set[str]] = {}
    for start, end, label in gold_attrs(example.reference).get("gold", []):
        labels.setdefault((start, end), set()).update(str(label).split("|"))
    for row in group.attrs.get("relations", []) if group is not None else []:
        ends = []
        for number in (row["head"], row["tail"]):
            place = (group[number].start_char, group[number].end_char)
            known = labels.get(place)
            right = known is None or group.attrs["types"][number] in known
            ends.append(place if right else (-place[0] - 1, -place[1] - 1))
        yield Found(ends[0], ends[1], str(row["label"]))
