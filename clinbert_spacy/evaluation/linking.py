"""Entity linking scored: the first and the first five concepts, beside string match and ceiling."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy

PROTOCOL = (
    "a concept is right if any of its ids is the gold id; accuracy over mentions with one gold id, "
    "composite mentions (several ids) and unlinked ones (no id) apart; 'strict' counts composites "
    "as wrong; no threshold for accuracy, the component's for 'answered'; 95 % bootstrap interval "
    "over documents; the ceiling is the share of gold ids that the base holds at all; the baseline "
    "is the mention's own words, found in the base in any order"
)
FIRST = 5
RESAMPLES = 1000
ALL = "all"
Concept = Sequence[str]


@dataclass(frozen=True)
class Judged:
    """A gold mention and what was proposed for it.

    note (str): id of its note. label (str): its label. gold (Tuple[str, ...]): its ids.
    ranked (Sequence[Concept]): proposed concepts, each as all of its ids.
    exact (Concept): ids of the concept that the baseline finds; empty: none.
    answered (bool): the first concept is above the threshold.
    """

    note: str
    label: str
    gold: Tuple[str, ...]
    ranked: Sequence[Concept]
    exact: Concept = ()
    answered: bool = True


@dataclass
class Linking:
    """Counts of one label."""

    counts: Counter = field(default_factory=Counter)
    notes: Dict[str, List[int]] = field(default_factory=dict)

    def add(self, item: Judged, held: Collection[str]) -> None:
        """Count a mention. item (Judged): it. held (Collection[str]): ids that the base holds."""
        counts = self.counts
        counts["mentions"] += 1
        if len(item.gold) != 1:
            name = "composite" if item.gold else "unlinked"
            counts[name] += 1
            counts[f"{name}_answered"] += item.answered
            counts["composite_any"] += bool(item.gold) and _any_right(item)
            return
        gold = item.gold[0]
        right = [gold in concept for concept in item.ranked]
        first = bool(right) and right[0]
        counts["single"] += 1
        counts["held"] += gold in held
        counts["first"] += first
        counts["among_first"] += any(right[:FIRST])
        counts["candidate"] += any(right)
        counts["exact"] += gold in item.exact
        counts["answered"] += item.answered
        counts["answered_right"] += item.answered and first
        seen = self.notes.setdefault(item.note, [0, 0])
        seen[0] += first
        seen[1] += 1

    def row(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): counts and shares, None where there is nothing to divide."""
        c = self.counts
        named = (
            "mentions",
            "single",
            "composite",
            "unlinked",
            "unlinked_answered",
            "composite_any",
        )
        return {
            **{name: c[name] for name in named},
            "accuracy_1": _share(c["first"], c["single"]),
            "interval": self._interval(),
            "accuracy_5": _share(c["among_first"], c["single"]),
            "string_match": _share(c["exact"], c["single"]),
            "ceiling": _share(c["held"], c["single"]),
            "candidates": _share(c["candidate"], c["single"]),
            "accuracy_1_held": _share(c["first"], c["held"]),
            "accuracy_5_held": _share(c["among_first"], c["held"]),
            "string_match_held": _share(c["exact"], c["held"]),
            "accuracy_1_strict": _share(c["first"], c["single"] + c["composite"]),
            "answered": _share(c["answered"], c["single"]),
            "answered_right": _share(c["answered_right"], c["answered"]),
        }

    def _interval(self) -> List[float]:
        pairs = numpy.array(list(self.notes.values()) or [[0, 1]], dtype=float)
        chosen = numpy.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))
        sums = pairs[chosen].sum(axis=1)
        return [float(x) for x in numpy.quantile(sums[:, 0] / sums[:, 1], (0.025, 0.975))]


def _any_right(item: Judged) -> bool:
    return bool(item.ranked) and any(gold in item.ranked[0] for gold in item.gold)


def _share(part: int, whole: int) -> Any:
    return part / whole if whole else None


def score_gold(items: Iterable[Judged], held: Collection[str]) -> Dict[str, Dict[str, Any]]:
    """Score proposals for gold mentions.

    items (Iterable[Judged]): mentions with proposals. held (Collection[str]): ids of the base.
    RETURNS (Dict[str, Dict[str, Any]]): a row a label, and "all".
    RAISES (ValueError): there is no mention.
    """
    found: Dict[str, Linking] = {}
    for item in items:
        for label in (item.label, ALL):
            found.setdefault(label, Linking()).add(item, held)
    if not found:
        raise ValueError("No mention to score: expected notes with mentions and their concepts.")
    return {label: found[label].row() for label in sorted(found)}


Span = Tuple[int, int, str]


@dataclass
class EndToEnd:
    """Predicted spans with predicted concepts against gold ones, strictly."""

    right: int = 0
    spans_right: int = 0
    predicted: int = 0
    gold: int = 0

    def add(self, gold: Mapping[Span, Tuple[str, ...]], predicted: Mapping[Span, Concept]) -> None:
        """Count a note.

        gold (Mapping[Span, Tuple[str, ...]]): ids of each mention; those without any do not count,
            and a composite can only be missed.
        predicted (Mapping[Span, Concept]): ids of the concept of each linked entity.
        """
        linked = {span: ids for span, ids in gold.items() if ids}
        silent = {span for span, ids in gold.items() if not ids}
        counted = {span: ids for span, ids in predicted.items() if span not in silent}
        self.gold += len(linked)
        self.predicted += len(counted)
        for span, ids in counted.items():
            wanted = linked.get(span, ())
            self.spans_right += bool(wanted)
            self.right += len(wanted) == 1 and wanted[0] in ids

    def row(self) -> Dict[str, Any]:
        """RETURNS (Dict[str, Any]): counts, precision, recall and F1 of span, label and id."""
        total = self.predicted + self.gold
        return {
            "gold": self.gold,
            "predicted": self.predicted,
            "precision": _share(self.right, self.predicted),
            "recall": _share(self.right, self.gold),
            "f": _share(2 * self.right, total),
            "span_f": _share(2 * self.spans_right, total),
        }


def gold_ids(concepts: Iterable[str], prefix: str = "MESH") -> Tuple[str, ...]:
    """Write the ids of a corpus as the base does.

    concepts (Iterable[str]): as printed: "D001241", "OMIM:123456", "D001+D002" (a composite).
    prefix (str): vocabulary of ids without one.
    RETURNS (Tuple[str, ...]): "MESH:D001241", ...
    """
    parts = [part.strip() for concept in concepts for part in concept.split("+")]
    return tuple(part if ":" in part else f"{prefix}:{part}" for part in parts if part)
