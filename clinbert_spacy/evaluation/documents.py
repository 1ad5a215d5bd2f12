"""Score a classifier of documents: one class of several, several at once, or one of two."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from spacy.language import Language

from .classification import interval_of, resample_groups
from .evaluate import Score, describe_pipeline
from .reliability import (
    Decider,
    bin_values,
    expected_error,
    find_decider,
    find_limits,
    keep_surest,
    score_abstention,
)

PRECISION = 0.8
# How a probability below it ranks on a few hundred documents is chance: no threshold is lower.
LOWEST = 0.01
# No probability reaches it: the class is never given.
NEVER = 2.0
PROTOCOL = (
    "documents once each, parted by patient and shared passages; micro and macro F1 with 95 % "
    "bootstrap intervals over groups; thresholds from the development part, or as fitted for the "
    "pipeline; macro over the classes that the scored part has; ECE with 15 bins"
)


@dataclass(frozen=True)
class Task:
    """What is told of a document.

    corpus (str), name (str): for the record. classes (Sequence[str]): all of them.
    exclusive (bool): whether a document has exactly one. positive (str): of two exclusive ones
    that which is looked for; "" otherwise.
    """

    corpus: str
    name: str
    classes: Sequence[str]
    exclusive: bool
    positive: str = ""


class Documents(NamedTuple):
    """Documents with their truth.

    texts (Sequence[str]): the documents. truth (np.ndarray): whether each has each class. Shape
    (documents, classes). groups (Sequence[str]): what is resampled together.
    """

    texts: Sequence[str]
    truth: np.ndarray
    groups: Sequence[str]


def make_documents(
    task: Task, texts: Sequence[str], classes: Sequence[Sequence[str]], groups: Sequence[str]
) -> Documents:
    """Put documents together.

    task (Task): the task. texts (Sequence[str]): the documents. classes (Sequence[Sequence[str]]):
        those of each. groups (Sequence[str]): the group of each.
    RETURNS (Documents): the same.
    RAISES (ValueError): no document, a class that the task does not have, or in an exclusive task
        a document without exactly one class, or one class alone.
    """
    if unknown := sorted({name for names in classes for name in names} - set(task.classes)):
        raise ValueError(f"Unknown classes {unknown}; expected some of {list(task.classes)}.")
    rows = [[name in names for name in task.classes] for names in classes]
    truth = np.array(rows, dtype=bool).reshape(len(texts), len(task.classes))
    if not len(texts):
        raise ValueError("No document; expected at least one.")
    n_wrong = int((truth.sum(1) != 1).sum())
    if task.exclusive and n_wrong:
        raise ValueError(f"{n_wrong} documents have no class or several; expected one for each.")
    if task.exclusive and truth.any(0).sum() < 2:
        raise ValueError(f"All {len(texts)} documents have one class; expected two or more.")
    return Documents(texts, truth, groups)


def evaluate_documents(
    nlp: Language,
    task: Task,
    dev: Documents,
    held_out: Documents,
    *,
    precision: Optional[float] = None,
    batch_size: int = 16,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Run a pipeline over documents and score its classes.

    nlp (Language): writes `doc.cats`. task (Task): the task. dev (Documents): thresholds are chosen
        on these, see `precision`. held_out (Documents): what is scored.
    precision (Optional[float]): see choose_thresholds. batch_size (int): documents at a time.
    progress (Callable): called with 1 after each.
    RETURNS (Dict[str, Any]): as score_documents, with what was scored and by what; "calibrated";
        where limits were fitted also "abstention", see score_abstention.
    RAISES (ValueError): a pipeline without one of the classes.
    """
    decider, calibrated = find_decider(nlp, task.classes)
    found, said = [], []
    for part in (dev, held_out):
        rows, said = _run(nlp, task, part.texts, batch_size, progress, decider)
        found.append(rows)
    own = find_limits(nlp, task.classes) if precision is None else None
    thresholds = own
    if own is None:
        thresholds = choose_thresholds(task, dev.truth, found[0], precision)
    scores = score_documents(task, held_out, found[1], thresholds)
    about = {
        "pipeline": describe_pipeline(nlp), "calibrated": calibrated,
        "thresholds": "fitted" if own is not None else "development part",
    }  # fmt: skip
    if decider:
        told = (task.classes, held_out.truth, said, held_out.groups, task.exclusive)
        scores["abstention"] = score_abstention(*told)
    return {**describe(task, held_out), **about, **scores}


def _run(
    nlp: Language, task: Task, texts: Sequence[str], batch_size: int, progress: Callable,
    decider: Optional[Decider],
) -> Tuple[np.ndarray, List[Mapping[str, str]]]:  # fmt: skip
    rows, said = [], []
    for doc in nlp.pipe(texts, batch_size=batch_size):
        if lost := sorted(set(task.classes) - set(doc.cats)):
            raise ValueError(
                f"The pipeline lacks the classes {lost[:5]}: it has {sorted(doc.cats)[:40]}. "
                f"Expected one trained on {task.corpus}, task {task.name}."
            )
        rows.append([doc.cats[name] for name in task.classes])
        if decider:
            said.append(decider(doc.cats))
        progress(1)
    return np.array(rows).reshape(len(rows), len(task.classes)), said


def choose_thresholds(
    task: Task, truth: np.ndarray, scores: np.ndarray, precision: Optional[float] = None
) -> np.ndarray:
    """Choose from which probability on a class is given, by F1 or by a wanted precision.

    task (Task): of more than two exclusive classes the most probable one is given, and thresholds
        are not used. truth (np.ndarray), scores (np.ndarray): those of the development part.
        Shape of both (documents, classes).
    precision (Optional[float]): the lowest threshold from which on so much of what is given is
        right; none, and the class is never given. By default the threshold with the best F1.
    RETURNS (np.ndarray): at least 0.01; 0.5 for a class of which there is no example with such a
        probability. Shape (classes,).
    """
    columns = zip(truth.T, scores.T)
    found = [_threshold(right, values, precision) for right, values in columns]
    if task.positive:
        at = list(task.classes).index(task.positive)
        # of two classes the other one is given where this one is not
        found = [found[at] if i == at else NEVER for i in range(len(found))]
    return np.array(found)


def _threshold(truth: np.ndarray, values: np.ndarray, precision: Optional[float]) -> float:
    ranked, (right,), (n_given,) = _ranked(truth, values, np.ones((1, len(truth))))
    tried = ranked >= LOWEST
    if not right[tried].any():
        return 0.5
    if precision is not None:
        enough = np.flatnonzero(tried & (right >= precision * n_given))
        return float(ranked[enough[-1]]) if len(enough) else NEVER
    best = int(np.where(tried, 2 * right / (n_given + truth.sum()), 0.0).argmax())
    # halfway to the next lower probability, which would have been one too many
    lower = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + max(lower, LOWEST)) / 2)


def _ranked(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Tuple[np.ndarray, ...]:
    """Distinct values from the highest on; what is right and given from each on, by row."""
    order = np.argsort(-values, kind="stable")
    ranked, heavy = values[order], weights[:, order].astype("f8")
    # documents with equal values are taken together
    last = np.append(ranked[1:] < ranked[:-1], True)
    right, n_given = np.cumsum(heavy * truth[order], axis=1), np.cumsum(heavy, axis=1)
    return ranked[last], right[:, last], n_given[:, last]


def decide(task: Task, scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Say which classes are given.

    task (Task): the task. scores (np.ndarray): probabilities. thresholds (np.ndarray): a class.
    RETURNS (np.ndarray): whether each is. Shape (documents, classes).
    """
    if not task.exclusive:
        return np.asarray(scores >= thresholds)
    if not task.positive:
        return np.asarray(np.arange(len(task.classes)) == scores.argmax(1)[:, None])
    at = list(task.classes).index(task.positive)
    given = scores[:, at] >= thresholds[at]
    return np.where(np.arange(2) == at, given[:, None], ~given[:, None])


def score_documents(
    task: Task, held_out: Documents, scores: np.ndarray, thresholds: np.ndarray
) -> Dict[str, Any]:
    """Score probabilities.

    task (Task): the task. held_out (Documents): documents with their truth.
    scores (np.ndarray): probabilities. Shape (documents, classes).
    thresholds (np.ndarray): see choose_thresholds.
    RETURNS (Dict[str, Any]): "f" (micro) and "macro_f" with intervals, "ece", its bins in
        "reliability", "risk_coverage" (see keep_surest), "labels", each with an "ece" of its own;
        of two classes also "auroc", "auprc", "rp80" (recall at a precision of 80 %) and
        "prevalence".
    RAISES (ValueError): another number of scores.
    """
    truth = held_out.truth
    if scores.shape != truth.shape:
        raise ValueError(f"Scores of shape {scores.shape}; expected {truth.shape}.")
    given, weights = decide(task, scores, thresholds), resample_groups(held_out.groups)
    tables, seen = [np.asarray(truth & given), given, truth], np.asarray(truth.any(0))
    drawn = [weights @ table.astype("f4") for table in tables]
    whole = [table.sum(0, keepdims=True) for table in tables]
    result: Dict[str, Any] = {}
    for name, measure in (("f", _micro), ("macro_f", _macro)):
        value = float(measure(whole, seen)[0])
        result[name] = asdict(Score(value, *interval_of(measure(drawn, seen))))
    result["ece"] = calibration_error(task, truth, scores)
    result["reliability"] = bin_values(*_counted(task, truth, scores))
    result["risk_coverage"] = keep_surest(truth, given, scores, task.exclusive)
    result["labels"] = _label_rows(task, truth, given, thresholds)
    for i, row in enumerate(result["labels"]):
        row["ece"] = expected_error(truth[:, i], scores[:, i])
    if task.positive:
        result |= _score_ranking(task, truth, scores, weights)
    return result


def _micro(counts: Sequence[np.ndarray], seen: np.ndarray) -> np.ndarray:
    right, found, wanted = (count.sum(1) for count in counts)
    return 2 * right / np.maximum(found + wanted, 1)


def _macro(counts: Sequence[np.ndarray], seen: np.ndarray) -> np.ndarray:
    right, found, wanted = (count[:, seen] for count in counts)
    known = found + wanted > 0
    values = 2 * right / np.maximum(found + wanted, 1)
    # a class that a resample neither has nor is given says nothing
    return (values * known).sum(1) / np.maximum(known.sum(1), 1)


def calibration_error(task: Task, truth: np.ndarray, scores: np.ndarray) -> float:
    """Measure how far probabilities are from frequencies (ECE).

    task (Task): of exclusive classes the most probable one counts, with its probability;
        otherwise each class of each document counts. truth (np.ndarray), scores (np.ndarray):
        shape (documents, classes).
    RETURNS (float): mean distance over 15 bins of equal width, weighted by their sizes.
    """
    return expected_error(*_counted(task, truth, scores))


def _counted(task: Task, truth: np.ndarray, scores: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """What came true, and its probability."""
    if not task.exclusive:
        return truth.ravel(), scores.ravel()
    return truth[np.arange(len(truth)), scores.argmax(1)], scores.max(1)


def _label_rows(
    task: Task, truth: np.ndarray, given: np.ndarray, thresholds: np.ndarray
) -> List[Dict[str, Any]]:
    rows = []
    for i, label in enumerate(task.classes):
        found, n = int(given[:, i].sum()), int(truth[:, i].sum())
        right = int((truth[:, i] & given[:, i]).sum())
        used = not task.exclusive or label == task.positive
        rows.append({
            "label": label, "n": n,
            "precision": right / max(found, 1), "recall": right / max(n, 1),
            "f": 2 * right / max(found + n, 1),
            "threshold": float(thresholds[i]) if used else None,
        })  # fmt: skip
    return rows


def _score_ranking(
    task: Task, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> Dict[str, Any]:
    at = list(task.classes).index(task.positive)
    wanted, values = truth[:, at], scores[:, at]
    n_positive = weights[:, wanted].sum(1)
    # a resample of one class alone cannot be ranked
    usable = weights[(n_positive > 0) & (n_positive < weights.sum(1))]
    drawn, whole = (rank(wanted, values, rows) for rows in (usable, np.ones((1, len(wanted)))))
    result: Dict[str, Any] = {"prevalence": float(wanted.mean())}
    for name, found in whole.items():
        result[name] = asdict(Score(float(found[0]), *interval_of(drawn[name])))
    return result


def rank(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Dict[str, np.ndarray]:
    """Measure how well values rank the positive documents before the others.

    truth (np.ndarray): whether each is positive. values (np.ndarray): higher is more likely so.
        Shape of both (documents,).
    weights (np.ndarray): how often each counts; both kinds in every row. Shape (rows, documents).
    RETURNS (Dict[str, np.ndarray]): "auroc", "auprc" (average precision), "rp80" (the best recall
        at a precision of 80 % or more, 0 where no threshold has it). Shape of each (rows,).
    """
    _, right, n_given = _ranked(truth, values, weights)
    wrong, total = n_given - right, right[:, -1:]
    new_right, new_wrong = (np.diff(x, axis=1, prepend=0.0) for x in (right, wrong))
    below = (new_wrong * (right - new_right / 2)).sum(1) / (total * wrong[:, -1:])[:, 0]
    precise = (new_right * right / np.maximum(n_given, 1e-9)).sum(1) / total[:, 0]
    enough = right >= PRECISION * n_given - 1e-6
    return {"auroc": below, "auprc": precise, "rp80": (right * enough).max(1) / total[:, 0]}


def describe(task: Task, held_out: Documents) -> Dict[str, Any]:
    """What was scored, for the record: numbers and a hash, no text."""
    rows = zip(held_out.groups, held_out.texts, held_out.truth.astype(int).tolist())
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {
        "corpus": task.corpus,
        "scheme": task.name,
        "protocol": PROTOCOL,
        "n_notes": len(held_out.texts),
        "n_groups": len(set(held_out.groups)),
        "data_sha256": hashlib.sha256(lines.encode("utf8", "surrogatepass")).hexdigest(),
    }
