"""Whether probabilities mean what they say, and what is gained by leaving some of it open."""

from dataclasses import asdict
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .classification import interval_of, resample_groups
from .evaluate import Score

BINS = 15
# Shares of the decisions that are kept, the surest first.
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
YES, UNSURE = "yes", "unsure"
# Class -> probability to class -> `yes`, `no` or `unsure`.
Decider = Callable[[Mapping[str, float]], Mapping[str, str]]


def expected_error(right: np.ndarray, values: np.ndarray) -> float:
    """Measure how far probabilities are from frequencies (ECE).

    right (np.ndarray): what came true. values (np.ndarray): its probability. Shape of both (n,).
    RETURNS (float): mean distance over 15 bins of equal width, weighted by their sizes.
    """
    place = _places(values)
    sums = [np.bincount(place, x, BINS) for x in (right.astype(float), values)]
    return float(np.abs(sums[0] - sums[1]).sum() / len(values))


def bin_values(right: np.ndarray, values: np.ndarray) -> List[Dict[str, float]]:
    """Lay probabilities beside what came of them.

    right (np.ndarray), values (np.ndarray): see expected_error.
    RETURNS (List[Dict[str, float]]): of each bin that is not empty "low" and "high" (its ends),
        "mean" (mean probability), "share" (of what came true), "n".
    """
    place = _places(values)
    rows = []
    for b in np.unique(place).tolist():
        here = place == b
        rows.append({
            "low": b / BINS, "high": (b + 1) / BINS, "mean": float(values[here].mean()),
            "share": float(right[here].mean()), "n": int(here.sum()),
        })  # fmt: skip
    return rows


def _places(values: np.ndarray) -> np.ndarray:
    return np.minimum((values * BINS).astype(int), BINS - 1)


def keep_surest(
    truth: np.ndarray, given: np.ndarray, scores: np.ndarray, whole: bool
) -> List[Dict[str, float]]:
    """Measure errors where the least sure decisions are left open, more and more of them.

    A decision is as sure as what it says is probable: p of a class that is given, 1 - p of another;
    of documents with one class, p of that which is given.

    truth (np.ndarray): whether each document has each class. given (np.ndarray): whether it is
        given. scores (np.ndarray): probabilities. Shape of all (documents, classes).
    whole (bool): documents are decided, not each of their classes.
    RETURNS (List[Dict[str, float]]): of each share in COVERAGES "coverage", "risk" (share of wrong
        decisions), "f" (micro F1 of these).
    """
    sure = np.where(given, scores, 1 - scores)
    if whole:
        sure = np.broadcast_to(np.where(given, scores, 0.0).max(1)[:, None], scores.shape)
    order = np.argsort(-(sure[:, 0] if whole else sure.ravel()), kind="stable")
    rows = []
    for share in COVERAGES:
        kept = np.zeros(len(order), dtype=bool)
        kept[order[: max(1, round(share * len(order)))]] = True
        mask = np.repeat(kept[:, None], truth.shape[1], 1) if whole else kept.reshape(truth.shape)
        row = _measure(truth, given, mask, whole)
        rows.append({"coverage": share, "risk": row["risk"], "f": row["f"]})
    return rows


def _measure(
    truth: np.ndarray, given: np.ndarray, decided: np.ndarray, whole: bool
) -> Dict[str, float]:
    wrong = truth != given
    rows = (wrong.any(1), decided.all(1)) if whole else (wrong, decided)
    right, found, wanted = (int(x[decided].sum()) for x in (truth & given, given, truth))
    return {
        "risk": float(rows[0][rows[1]].mean()) if rows[1].any() else 0.0,
        "precision": right / max(found, 1), "recall": right / max(wanted, 1),
        "f": 2 * right / max(found + wanted, 1),
    }  # fmt: skip


def find_decider(nlp: Any, classes: Sequence[str]) -> Tuple[Optional[Decider], bool]:
    """Look for the classifier of some classes, and for what `clinbert fit-classes` gave it.

    nlp (Language): a pipeline. classes (Sequence[str]): classes.
    RETURNS (Tuple[Optional[Decider], bool]): what decides by its fitted limits, None without any;
        and whether its probabilities are calibrated.
    """
    for _, pipe in nlp.pipeline:
        model = getattr(pipe, "model", None)
        attrs = getattr(model, "attrs", {})
        if "limits" not in attrs or not set(classes) <= set(pipe.labels):
            continue
        calibrated = bool(attrs["rules"])
        return (_decide_by(pipe) if attrs["limits"] else None), calibrated
    return None, False


def _decide_by(pipe: Any) -> Decider:
    def decide(cats: Mapping[str, float]) -> Mapping[str, str]:
        values = [cats[label] for label in pipe.labels]
        return pipe.model.attrs["decide"](pipe.model, pipe.labels, values)

    return decide


def find_limits(nlp: Any, classes: Sequence[str]) -> Optional[np.ndarray]:
    """Find from where on a pipeline gives classes.

    nlp (Language): the pipeline. classes (Sequence[str]): those asked for.
    RETURNS (Optional[np.ndarray]): fitted limits of `yes`, None where nobody fitted any. Shape
        (classes,).
    """
    for _, pipe in nlp.pipeline:
        attrs = getattr(getattr(pipe, "model", None), "attrs", {})
        if attrs.get("limits") and set(classes) <= set(pipe.labels):
            high = dict(zip(pipe.labels, (high for _, high in attrs["limits"])))
            return np.array([high[name] for name in classes])
    return None


def score_abstention(
    classes: Sequence[str],
    truth: np.ndarray,
    said: Sequence[Mapping[str, str]],
    groups: Sequence[str],
    whole: bool,
) -> Dict[str, Any]:
    """Score decisions of which some are `unsure`.

    classes (Sequence[str]): the classes. truth (np.ndarray): whether each document has each. Shape
        (documents, classes). said (Sequence[Mapping]): class -> `yes`, `no`, `unsure` by document.
    groups (Sequence[str]): what is resampled together.
    whole (bool): documents have one class: where one is `unsure`, nothing of it is decided.
    RETURNS (Dict[str, Any]): "unsure" (share of the decisions) and "f" (micro F1 of the others)
        with intervals, "risk" (share of wrong ones among the others), "precision", "recall",
        "unsure_true" (share of `unsure` among the true ones), and of each class in "labels" "n",
        "unsure", "f".
    """
    table = np.array([[row[name] for name in classes] for row in said]).reshape(truth.shape)
    given, is_open = table == YES, table == UNSURE
    if whole:
        is_open = np.repeat(is_open.any(1)[:, None], len(classes), 1)
    right, both = truth & given & ~is_open, (truth.astype(int) + given) * ~is_open
    weights = resample_groups(groups)
    drawn = [weights @ x.sum(1).astype("f4") for x in (right, both, is_open)]
    measured = _measure(truth, given, ~is_open, whole)
    unsure = drawn[2] / (weights.sum(1) * len(classes))
    f = 2 * drawn[0] / np.maximum(drawn[1], 1)
    return {
        "unsure": asdict(Score(float(is_open.mean()), *interval_of(unsure))),
        **measured,
        "f": asdict(Score(measured["f"], *interval_of(f))),
        "unsure_true": float(is_open[truth].mean()) if truth.any() else 0.0,
        "labels": _label_rows(classes, truth, given, is_open),
    }


def _label_rows(
    classes: Sequence[str], truth: np.ndarray, given: np.ndarray, is_open: np.ndarray
) -> List[Dict[str, Any]]:
    rows = []
    for i, label in enumerate(classes):
        columns = [x[:, i : i + 1] for x in (truth, given, ~is_open)]
        f = _measure(*columns, whole=False)["f"]
        n, unsure = int(truth[:, i].sum()), float(is_open[:, i].mean())
        rows.append({"label": label, "n": n, "unsure": unsure, "f": f})
    return rows
