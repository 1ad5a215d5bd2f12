"""Score a classifier of sentences on gold, with a TF-IDF + linear SVM row beside it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from spacy.language import Language

from .evaluate import Score, describe_pipeline
from .scorers import Counts, prf

BASELINE = "TF-IDF + linear SVM"
PROTOCOL = (
    "sentences once each by their text, split by PubMed id; F1 of the positive class and average "
    "precision; 95 % bootstrap interval over PubMed ids"
)
# Penalty, and how the two classes weigh: the baseline gets the best of these on the dev part.
SETTINGS = [(penalty, weight) for penalty in (0.1, 0.3, 1.0, 3.0) for weight in (None, "balanced")]


class Labelled(NamedTuple):
    """Sentences with their truth. All three are equally long.

    texts (Sequence[str]): the sentences. truth (Sequence[bool]): whether each is positive.
    groups (Sequence[str]): what is resampled together, e.g. PubMed ids.
    """

    texts: Sequence[str]
    truth: Sequence[bool]
    groups: Sequence[str]


@dataclass(frozen=True)
class ClassScores:
    """Scores of the positive class, between 0 and 1 with 95 % intervals.

    precision_at_95 (Score): precision at the first threshold that finds 95 % of the positive ones,
    what screening for side effects must put up with.
    """

    precision: Score
    recall: Score
    f: Score
    average_precision: Score
    precision_at_95: Score


def evaluate_classes(
    nlp: Language,
    held_out: Labelled,
    positive: str,
    *,
    corpus: str,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Run a pipeline over sentences and score one of its classes.

    nlp (Language): writes `doc.cats`. held_out (Labelled): the sentences.
    positive (str): the class. corpus (str): name of the corpus, for the record.
    batch_size (int): sentences at a time. progress (Callable): called with 1 after each.
    RETURNS (Dict[str, Any]): scores as `clinbert evaluate` names them, and average_precision.
    RAISES (ValueError): no sentence, one class alone, or a pipeline without the class.
    """
    scores: List[float] = []
    for doc in nlp.pipe(held_out.texts, batch_size=batch_size):
        if positive not in doc.cats:
            raise ValueError(
                f"The pipeline has no class {positive!r}: it has {sorted(doc.cats)}. Expected one "
                "trained with configs/bench_ade_cpu.cfg."
            )
        scores.append(doc.cats[positive])
        progress(1)
    found = score_classes(held_out, scores, 0.5)
    return {**describe(held_out, corpus), "pipeline": describe_pipeline(nlp), **asdict(found)}


def evaluate_baseline(
    train: Labelled, dev: Labelled, held_out: Labelled, *, corpus: str
) -> Dict[str, Any]:
    """Score words and word pairs under TF-IDF and a linear SVM, on the same sentences.

    train (Labelled): what it learns from. dev (Labelled): SETTINGS are chosen by F1 on these.
    held_out (Labelled): what is scored. corpus (str): name of the corpus, for the record.
    RETURNS (Dict[str, Any]): as evaluate_classes, and "settings" as chosen.
    RAISES (ValueError): no sentence, or one class alone.
    """
    # imported here: a second, which pipelines without this class should not wait for
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    for part in (train, dev):
        check_classes(part)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    known, chosen = words.fit_transform(train.texts), words.transform(dev.texts)
    best: Tuple[float, Any, Any] = (-1.0, None, None)
    for penalty, weight in SETTINGS:
        svm = LinearSVC(C=penalty, class_weight=weight, random_state=0).fit(known, train.truth)
        f = prf(_counts(np.asarray(dev.truth), svm.decision_function(chosen) >= 0))[2]
        if f > best[0]:
            best = (f, {"C": penalty, "class_weight": weight}, svm)
    scores = best[2].decision_function(words.transform(held_out.texts))
    found = score_classes(held_out, list(map(float, scores)), 0.0)
    return {**describe(held_out, corpus), "settings": best[1], **asdict(found)}


def score_classes(held_out: Labelled, scores: Sequence[float], threshold: float) -> ClassScores:
    """Score a score a sentence.

    held_out (Labelled): the sentences with their truth. scores (Sequence[float]): higher is more
        likely positive. threshold (float): positive from here.
    RETURNS (ClassScores): scores with intervals over resampled groups.
    RAISES (ValueError): no sentence, one class alone, or another number of scores.
    """
    check_classes(held_out)
    if len(scores) != len(held_out.texts):
        raise ValueError(
            f"{len(scores)} scores for {len(held_out.texts)} sentences; expected one for each."
        )
    truth, values = np.asarray(held_out.truth), np.asarray(scores, dtype="f8")
    weights = resample_groups(held_out.groups)
    drawn = _prf_of(truth, values >= threshold, weights)
    p, r, f = prf(_counts(truth, values >= threshold))
    shown = [*zip((p, r, f), drawn, strict=True)]
    for score in (_average_precision, _precision_at_95):
        ranked = np.array([score(truth, values, row) for row in weights])
        shown.append((score(truth, values, np.ones(len(truth))), ranked))
    return ClassScores(*(Score(value, *interval_of(draws)) for value, draws in shown))


def check_classes(part: Labelled) -> None:
    """Raise if sentences of one of the two classes are missing."""
    n_positive = sum(map(bool, part.truth))
    if not 0 < n_positive < len(part.truth):
        raise ValueError(
            f"{n_positive} of {len(part.truth)} sentences are positive; expected both classes."
        )


def describe(held_out: Labelled, corpus: str) -> Dict[str, Any]:
    """What was scored, for the record: numbers and a hash, no text."""
    rows = zip(held_out.groups, held_out.texts, map(bool, held_out.truth), strict=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {
        "corpus": corpus,
        "scheme": "classes",
        "protocol": PROTOCOL,
        "n_notes": len(held_out.texts),
        "n_positive": sum(map(bool, held_out.truth)),
        "data_sha256": hashlib.sha256(lines.encode("utf8", "surrogatepass")).hexdigest(),
    }


def _counts(truth: np.ndarray, predicted: np.ndarray) -> Counts:
    right = int((truth & predicted).sum())
    return Counts(right, int(predicted.sum()) - right, int(truth.sum()) - right)


def resample_groups(groups: Sequence[str], n_resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Draw groups with replacement.

    groups (Sequence[str]): the group of each text. n_resamples (int): how often.
    seed (int): of the random generator.
    RETURNS (np.ndarray): how often each text is drawn. Shape (resamples, texts).
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    n = len(names)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return draws[:, place].astype("f4")


def _prf_of(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> List[np.ndarray]:
    right, found, wanted = (weights @ x.astype("f4") for x in (truth & predicted, predicted, truth))
    # where nothing was found, nothing was right: 0 / 1
    one = np.ones_like(found)
    return [
        right / np.maximum(found, one),
        right / np.maximum(wanted, one),
        2 * right / np.maximum(found + wanted, one),
    ]


def _average_precision(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    if not weights[truth].sum():
        return 0.0
    return float(average_precision_score(truth, values, sample_weight=weights))


def _precision_at_95(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(-values, kind="stable")
    ranked, found = values[order], np.cumsum(weights[order])
    right = np.cumsum((weights * truth)[order])
    # sentences with equal scores are taken together
    last = np.append(ranked[1:] < ranked[:-1], True)
    enough = last & (right >= 0.95 * right[-1] - 1e-6)
    first = int(enough.argmax())
    return float(right[first] / found[first]) if right[-1] else 0.0


def interval_of(draws: np.ndarray) -> Tuple[float, float]:
    """Take the ends of the middle 95 %. RETURNS (Tuple[float, float]): low and high."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
