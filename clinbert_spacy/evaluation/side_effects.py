"""Side effects judged as a reader would: what was lost on the way, what was read as what."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from spacy.training import Example

from ..attributes import LISTED, PRIORITY, RELATIONS_KEY, SideEffect, side_effects
from .relations import (
    EFFECT,
    Found,
    Offsets,
    covered_of,
    doubtful_pairs,
    found_relations,
    gold_attrs,
    gold_relations,
)
from .scorers import Counts, Gold, bootstrap, macro_f, merge_counts, micro, predictions_of, prf

TREATS = "TREATS"
ATTRIBUTES = (
    "HAS_STRENGTH", "HAS_DOSAGE", "HAS_FORM", "HAS_ROUTE", "HAS_FREQUENCY", "HAS_DURATION",
)  # fmt: skip
SAME, CROSS = "same sentence", "cross sentence"
PROTOCOL = (
    "end to end from raw text: a relation is right if both spans, their labels and its own label "
    "are those of the gold; pairs lost because an entity was missed or never proposed are misses; "
    "micro over relations, macro over labels for entities; 95 % bootstrap interval over documents"
)


@dataclass
class Tally:
    """What is counted of one note, or of many.

    entities, relations (Dict[str, Counts]): by label. places (Dict[str, Counts]): side effects
    within and across sentences. whole (Counts): side effects with assertion, causality and kind
    right, in notes whose gold says them. lost (Counter): why relations were missed. hard (Counter),
    misread (Counter): pairs that are no present reactions, and those read as such, by what they
    are. reactions (int), found (int), denied (int): true ones, those found, those found and called
    absent or denied.
    """

    entities: Dict[str, Counts] = field(default_factory=dict)
    relations: Dict[str, Counts] = field(default_factory=dict)
    places: Dict[str, Counts] = field(default_factory=dict)
    whole: Counts = field(default_factory=Counts)
    lost: Counter = field(default_factory=Counter)
    hard: Counter = field(default_factory=Counter)
    misread: Counter = field(default_factory=Counter)
    reactions: int = 0
    found: int = 0
    denied: int = 0

    def add(self, other: "Tally") -> None:
        """Add the counts of another one."""
        for name in ("entities", "relations", "places"):
            merge_counts(getattr(self, name), getattr(other, name))
        self.whole.add(other.whole)
        for name in ("lost", "hard", "misread"):
            getattr(self, name).update(getattr(other, name))
        for name in ("reactions", "found", "denied"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def judge(example: Example) -> Tally:
    """Judge one note.

    example (Example): predicted and reference docs.
    RETURNS (Tally): its counts.
    """
    tally = Tally(entities=_entities(example))
    covered = covered_of(example)
    gold = {one: said for one, said in gold_relations(example).items() if one.label in covered}
    found = {one for one in found_relations(example) if one.label in covered}
    doubt = doubtful_pairs(example)
    found -= {one for one in found if one not in gold and one[:2] in doubt}
    for label in covered:
        tally.relations[label] = _count(gold, found, label)
    if EFFECT in covered:
        _place(tally, example, gold, found)
        _whole(tally, example, gold)
        _read(tally, example, gold)
    for one in gold:
        if one not in found:
            tally.lost[_reason(example, one)] += 1
    return tally


def _entities(example: Example) -> Dict[str, Counts]:
    attrs = gold_attrs(example.reference)
    gold = Gold([tuple(row) for row in attrs.get("gold", [])], attrs.get("covered"),
                attrs.get("unknown", ()))  # fmt: skip
    return gold.count(predictions_of(example.predicted, "any"))


def _count(gold: Iterable[Found], found: Iterable[Found], label: str) -> Counts:
    wanted = {one for one in gold if one.label == label}
    given = {one for one in found if one.label == label}
    return Counts(len(wanted & given), len(given - wanted), len(wanted - given))


def _place(tally: Tally, example: Example, gold: Iterable[Found], found: Iterable[Found]) -> None:
    starts = [sentence.start_char for sentence in example.predicted.sents]
    for name in (SAME, CROSS):
        here = [
            {one for one in side if one.label == EFFECT and _where(starts, one) == name}
            for side in (gold, found)
        ]
        tally.places[name] = _count(here[0], here[1], EFFECT)


def _where(starts: Sequence[int], one: Found) -> str:
    head, tail = (bisect_right(starts, abs(end[0])) for end in (one.head, one.tail))
    return SAME if head == tail else CROSS


def said_of(example: Example) -> Dict[Offsets, str]:
    """What the gold says of problems, in one word. RETURNS (Dict): by characters."""
    rows = gold_attrs(example.reference).get("asserted", [])
    return {
        (start, end): next(word for word in (*PRIORITY, "present") if word in values.values())
        for start, end, _, values in rows
        if "presence" in values
    }


def _whole(tally: Tally, example: Example, gold: Mapping[Found, Tuple[str, str]]) -> None:
    stated = {one: words for one, words in gold.items() if one.label == EFFECT}
    if not all(map(all, stated.values())):
        return  # a corpus that does not say causality or kind
    said, doubt = said_of(example), doubtful_pairs(example)
    wanted = {(one.head, one.tail, *words, said.get(one.tail)) for one, words in stated.items()}
    found = [one for one in found_relations(example) if one.label == EFFECT]
    given = {
        (one.head, one.tail, e.causality, e.kind, _word(e, said))
        for one, e in zip(found, side_effects(example.predicted))
        if one in stated or one[:2] not in doubt
    }
    tally.whole.add(Counts(len(wanted & given), len(given - wanted), len(wanted - given)))


def _word(effect: SideEffect, said: Mapping[Offsets, str]) -> Optional[str]:
    # a test has no assertion, in the gold or here
    return effect.assertion if _chars(effect.effect) in said else None


def _chars(span: Any) -> Offsets:
    return span.start_char, span.end_char


def _read(tally: Tally, example: Example, gold: Mapping[Found, Tuple[str, str]]) -> None:
    """Count what was read as a present reaction, by overlap: wrong bounds excuse nothing."""
    said, effects = said_of(example), side_effects(example.predicted)
    for one, words in gold.items():
        if one.label not in (EFFECT, TREATS):
            continue
        found = [e for e in effects if _meets(e.drug, one.head) and _meets(e.effect, one.tail)]
        kind = kind_of_pair(one, words, said.get(one.tail, "present"))
        if kind:
            tally.hard[kind] += 1
            tally.misread[kind] += any(e.is_current_reaction for e in found)
            continue
        tally.reactions += 1
        tally.found += bool(found)
        tally.denied += bool(found) and all(
            e.assertion == "absent" or e.causality == "denied" for e in found
        )


def _meets(span: Any, place: Offsets) -> bool:
    return span.start_char < place[1] and place[0] < span.end_char


def kind_of_pair(one: Found, words: Sequence[str], assertion: str) -> str:
    """Name what a gold pair is, if it is no present reaction.

    one (Found): the pair. words (Sequence[str]): causality and kind. assertion (str): of the tail.
    RETURNS (str): `indication`, `allergy list`, `denied link`, `family`, or the assertion; "" for a
        reaction that the patient has or had.
    """
    if one.label == TREATS:
        return "indication"
    if words[1] in LISTED:
        return "allergy list"
    if words[0] == "denied":
        return "denied link"
    return "" if assertion in ("present", "historical") else assertion


def _reason(example: Example, one: Found) -> str:
    """Why a relation was missed."""
    group = example.predicted.spans.get(RELATIONS_KEY)
    places = {_chars(span) for span in group} if group is not None else set()
    missed = [name for name, end in (("head", one.head), ("tail", one.tail)) if end not in places]
    return " and ".join(missed) + " not found" if missed else "not joined"


def summarise(tallies: Sequence[Tally]) -> Dict[str, Any]:
    """Bring the notes of a corpus together.

    tallies (Sequence[Tally]): one a note.
    RETURNS (Dict[str, Any]): f, precision, recall (relations), macro_f and entities_f, each value,
        low, high; rows for relations, entities, places; whole, attributes, lost, hard negatives,
        reactions.
    """
    total = Tally()
    for tally in tallies:
        total.add(tally)
    ends = bootstrap([tally.relations for tally in tallies])
    entity_ends = bootstrap([tally.entities for tally in tallies])
    scores = dict(zip("prf", prf(micro(total.relations))))
    found = {
        name: _score(scores[key], ends[key])
        for name, key in (("precision", "p"), ("recall", "r"), ("f", "f"))
    }
    attributes = micro({k: v for k, v in total.relations.items() if k in ATTRIBUTES})
    return {
        **found,
        "macro_f": _score(macro_f(total.entities), entity_ends["macro_f"]),
        "entities_f": _score(prf(micro(total.entities))[2], entity_ends["f"]),
        "relations": _rows(total.relations),
        "entities": _rows(total.entities),
        "places": _rows(total.places),
        "whole": _row(total.whole),
        "attributes": _row(attributes),
        "lost": dict(total.lost),
        "hard_negatives": {
            kind: {"n": n, "read_as_present": total.misread[kind]} for kind, n in total.hard.items()
        },
        "misread_share": _share(sum(total.misread.values()), sum(total.hard.values())),
        "reactions": {"n": total.reactions, "found": total.found, "denied": total.denied},
        "denied_share": _share(total.denied, total.found),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _score(value: float, ends: Tuple[float, float]) -> Dict[str, float]:
    return {"value": value, "low": ends[0], "high": ends[1]}


def _row(counts: Counts) -> Dict[str, Any]:
    return {**dict(zip(("precision", "recall", "f"), prf(counts))), "n": counts.tp + counts.fn}


def _rows(counts: Mapping[str, Counts]) -> Dict[str, Dict[str, Any]]:
    rows = {label: _row(one) for label, one in sorted(counts.items())}
    return {label: row for label, row in rows.items() if row["n"] or counts[label].fp}


def overlapping(example: Example) -> List[Found]:
    """Relations whose ends share characters. RETURNS (List[Found]): SpERT leaves them out."""
    return [
        one
        for one in gold_relations(example)
        if one.head[0] < one.tail[1] and one.tail[0] < one.head[1]
    ]


def without_overlaps(example: Example) -> Example:
    """Take out relations whose ends overlap, with the entities that stand in no other.

    example (Example): stays as it is.
    RETURNS (Example): its gold without them, as Eberts and Ulges (2020) score the ADE corpus.
    """
    dropped = set(overlapping(example))
    if not dropped:
        return example
    attrs = gold_attrs(example.reference)
    links = [row for row in attrs["links"] if _as_found(row) not in dropped]
    kept = {end for row in links for end in ((row[0], row[1]), (row[2], row[3]))}
    gone = {end for one in dropped for end in one[:2]} - kept
    copy = Example(example.predicted, example.reference.copy())
    group = copy.reference.spans["clinbert_ents"]
    gold = [row for row in attrs["gold"] if (row[0], row[1]) not in gone]
    group.attrs.update(links=links, gold=gold)
    return copy


def _as_found(row: Sequence[Any]) -> Found:
    return Found((row[0], row[1]), (row[2], row[3]), row[4])
