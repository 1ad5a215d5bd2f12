"""Scores of assertion and drug status: F1 of each value of each axis, on the entities judged."""

from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple

from spacy.training import Example

from ..attributes import ASSERTION_KEY, AXES, ENTS_KEY
from .scorers import Counts, prf

Scorer = Callable[..., Dict[str, Any]]
ByValue = Dict[str, Dict[str, Counts]]


def make_assertion_scorer() -> Scorer:
    """Registered as clinbert.assertion_scorer.v1. RETURNS (Callable): Scores Examples."""
    return score_assertion


def score_assertion(examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
    """Score Examples whose references carry gold values.

    Gold entities that were not found, or with other bounds, are not scored here: on predicted
    entities the figure is about those that were found.

    examples (Iterable[Example]): predicted and reference docs.
    RETURNS (Dict[str, Any]): assertion_macro_f (mean over the axes of the mean over their values
        that occur), assertion_per_axis; empty if nothing could be scored.
    """
    counts: ByValue = {}
    for example in examples:
        for gold, found in matched(example):
            add_values(counts, gold, found)
    if not counts:
        return {}
    per_axis = {axis: summarise(counts[axis]) for axis in AXES if axis in counts}
    macro = [scores["macro_f"] for scores in per_axis.values()]
    return {"assertion_macro_f": sum(macro) / len(macro), "assertion_per_axis": per_axis}


def matched(example: Example) -> Iterator[Tuple[Mapping[str, str], Mapping[str, str]]]:
    """Pair gold entities with those judged that have the same characters.

    example (Example): gold in attrs `asserted` of the reference's group `clinbert_ents`.
    YIELDS (Tuple[Mapping, Mapping]): gold and found values by axis.
    """
    group = example.predicted.spans.get(ASSERTION_KEY)
    gold = example.reference.spans.get(ENTS_KEY)
    if group is None or gold is None or "values" not in group.attrs:
        return
    found = {
        (span.start_char, span.end_char): values
        for span, values in zip(group, group.attrs["values"])
    }
    for start, end, _, values in gold.attrs.get("asserted", []):
        judged: Optional[Mapping[str, str]] = found.pop((int(start), int(end)), None)
        if judged is not None:
            yield values, judged


def add_values(counts: ByValue, gold: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Count an entity. counts (ByValue): changed. gold, found (Mapping[str, str]): by axis."""
    for axis, right in gold.items():
        if axis not in found:
            continue
        by_value = counts.setdefault(axis, {})
        guess = found[axis]
        if guess == right:
            by_value.setdefault(right, Counts()).tp += 1
        else:
            by_value.setdefault(right, Counts()).fn += 1
            by_value.setdefault(guess, Counts()).fp += 1


def summarise(by_value: Mapping[str, Counts]) -> Dict[str, Any]:
    """Sum an axis up.

    by_value (Mapping[str, Counts]): counts of its values.
    RETURNS (Dict[str, Any]): macro_f over the values that the gold has, accuracy, n, per_value.
    """
    per_value = {
        value: {**dict(zip("prf", prf(c))), "n": c.tp + c.fn}
        for value, c in sorted(by_value.items())
    }
    present = [scores["f"] for scores in per_value.values() if scores["n"]]
    n = sum(scores["n"] for scores in per_value.values())
    right = sum(c.tp for c in by_value.values())
    return {
        "macro_f": sum(present) / len(present) if present else 0.0,
        "accuracy": right / n if n else 0.0,
        "n": n,
        "per_value": per_value,
    }
