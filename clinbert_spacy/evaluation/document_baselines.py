"""Rows to beat: TF-IDF + linear SVM, and spaCy's bag of words, on the same documents."""

import random
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .documents import Documents, Task, choose_thresholds, decide, describe, score_documents

SVM = "TF-IDF + linear SVM"
BAG = "spaCy bag of words"
EPOCHS = 10
LONGEST = 10**9
# Penalty, and how classes weigh: the best of these by macro F1 on the development part.
SETTINGS = [(penalty, weight) for penalty in (0.1, 0.3, 1.0, 3.0) for weight in (None, "balanced")]


class Parts(NamedTuple):
    """Documents of a fold: to learn from, to choose by, to be scored."""

    train: Documents
    dev: Documents
    held_out: Documents


def evaluate_svm(task: Task, parts: Parts, precision: Optional[float] = None) -> Dict[str, Any]:
    """Score words and word pairs under TF-IDF and a linear SVM for each class against the rest.

    Its margins become probabilities by a logistic curve fitted on the development part.

    task (Task): the task. parts (Parts): documents.
    precision (Optional[float]): see choose_thresholds.
    RETURNS (Dict[str, Any]): as score_documents, what was scored, and "settings" as chosen.
    """
    # imported here: a second, which pipelines without this class should not wait for
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    known = words.fit_transform(parts.train.texts)
    others = [words.transform(part.texts) for part in (parts.dev, parts.held_out)]
    best: Tuple[float, Any, Any, Any] = (-1.0, None, None, None)
    for penalty, weight in SETTINGS:
        margins = _margins(known, parts.train.truth, others, penalty, weight)
        scores = _calibrate(task, parts.dev.truth, *margins)
        thresholds = choose_thresholds(task, parts.dev.truth, scores[0], precision)
        f = _macro_f(parts.dev.truth, decide(task, scores[0], thresholds))
        if f > best[0]:
            best = (f, {"C": penalty, "class_weight": weight}, scores[1], thresholds)
    found = score_documents(task, parts.held_out, best[2], best[3])
    return {**describe(task, parts.held_out), "settings": best[1], **found}


def _margins(
    known: Any, truth: np.ndarray, others: Sequence[Any], penalty: float, weight: Optional[str]
) -> List[np.ndarray]:
    from sklearn.svm import LinearSVC

    columns: List[List[np.ndarray]] = []
    for wanted in truth.T:
        if wanted.all() or not wanted.any():
            # nothing to learn: always, or never
            constant = np.inf if wanted.all() else -np.inf
            columns.append([np.full(x.shape[0], constant) for x in others])
            continue
        svm = LinearSVC(C=penalty, class_weight=weight, random_state=0).fit(known, wanted)
        columns.append([svm.decision_function(x) for x in others])
    return [np.stack(column, axis=1) for column in zip(*columns)]


def _calibrate(
    task: Task, truth: np.ndarray, dev: np.ndarray, held_out: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    if task.exclusive:
        return _softmax(truth, dev, held_out)
    pairs = [_curve(*column) for column in zip(truth.T, dev.T, held_out.T)]
    return np.stack([a for a, _ in pairs], axis=1), np.stack([b for _, b in pairs], axis=1)


def _softmax(
    truth: np.ndarray, dev: np.ndarray, held_out: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """One steepness for all classes: their order stays as it is."""

    def spread(margins: np.ndarray, scale: float) -> np.ndarray:
        powers = np.exp(scale * (margins - margins.max(1, keepdims=True)))
        return powers / powers.sum(1, keepdims=True)

    def loss(scale: float) -> float:
        return float(-np.log(np.maximum(spread(dev, scale)[truth], 1e-12)).mean())

    scale = min(np.geomspace(0.1, 30, 60), key=loss)
    return spread(dev, scale), spread(held_out, scale)


def _curve(truth: np.ndarray, dev: np.ndarray, held_out: np.ndarray) -> Tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression

    if not np.isfinite(dev).all():
        return (dev > 0).astype("f8"), (held_out > 0).astype("f8")
    if truth.all() or not truth.any():
        return 1 / (1 + np.exp(-dev)), 1 / (1 + np.exp(-held_out))
    curve = LogisticRegression().fit(dev[:, None], truth)
    return curve.predict_proba(dev[:, None])[:, 1], curve.predict_proba(held_out[:, None])[:, 1]


def _macro_f(truth: np.ndarray, given: np.ndarray) -> float:
    right, both = (truth & given).sum(0), truth.sum(0) + given.sum(0)
    seen = truth.any(0)
    return float((2 * right / np.maximum(both, 1))[seen].mean()) if seen.any() else 0.0


def evaluate_bag(
    task: Task,
    parts: Parts,
    precision: Optional[float] = None,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> Dict[str, Any]:
    """Train spaCy's `spacy.TextCatBOW.v3` and score it.

    task (Task): exclusive: `textcat`, otherwise `textcat_multilabel`. parts (Parts): documents.
    precision (Optional[float]): see choose_thresholds. epochs (int): how often the training part is
        seen. seed (int): for weights and order.
    RETURNS (Dict[str, Any]): as score_documents, what was scored, and "settings".
    """
    nlp = train_bag(task, parts.train, epochs, seed)
    scores = []
    for part in (parts.dev, parts.held_out):
        rows = [[doc.cats[name] for name in task.classes] for doc in nlp.pipe(part.texts)]
        scores.append(np.array(rows))
    thresholds = choose_thresholds(task, parts.dev.truth, scores[0], precision)
    found = score_documents(task, parts.held_out, scores[1], thresholds)
    settings = {"architecture": "spacy.TextCatBOW.v3", "epochs": epochs, "seed": seed}
    return {**describe(task, parts.held_out), "settings": settings, **found}


def train_bag(task: Task, train: Documents, epochs: int = EPOCHS, seed: int = 0) -> Any:
    """Train spaCy's bag of words.

    task (Task), train (Documents): what is learned. epochs (int), seed (int): see evaluate_bag.
    RETURNS (Language): a blank English pipeline with the text categorizer.
    """
    import spacy
    from spacy.training import Example
    from spacy.util import fix_random_seed, minibatch

    fix_random_seed(seed)
    nlp = spacy.blank("en")
    # a bag of words has no parser that a long text would be too much for
    nlp.max_length = LONGEST
    model = {
        "@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": task.exclusive,
        "ngram_size": 1, "length": 262144, "no_output_layer": False,
    }  # fmt: skip
    name = "textcat" if task.exclusive else "textcat_multilabel"
    component = nlp.add_pipe(name, config={"model": model})
    for label in task.classes:
        component.add_label(label)
    rows = [dict(zip(task.classes, map(float, row))) for row in train.truth]
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": cats})
        for text, cats in zip(train.texts, rows)
    ]
    optimizer, rng = nlp.initialize(lambda: examples), random.Random(seed)
    for _ in range(epochs):
        rng.shuffle(examples)
        for batch in minibatch(examples, 16):
            nlp.update(batch, sgd=optimizer)
    return nlp
