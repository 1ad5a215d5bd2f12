import json

import numpy
import pytest
import spacy
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve
from spacy.language import Language

from clinbert_spacy.evaluation.classification import (
    SETTINGS,
    Labelled,
    evaluate_baseline,
    evaluate_classes,
    score_classes,
)


@Language.component("classification_test_length")
def give_length(doc):
    doc.cats = {"ADE": len(doc) / 10, "OTHER": 1 - len(doc) / 10}
    return doc


@Language.component("classification_test_nothing")
def give_nothing(doc):
    return doc


def labelled(n=60, seed=0):
    rng = numpy.random.default_rng(seed)
    truth = [bool(x) for x in rng.integers(0, 2, n)]
    texts = [f"rash number {i}" if x else f"nothing in {i}" for i, x in enumerate(truth)]
    return Labelled(texts, truth, [str(i // 3) for i in range(n)])


def test_scores_are_those_of_scikit_learn():
    gold = labelled()
    scores = numpy.random.default_rng(1).random(60)
    found = score_classes(gold, scores, 0.4)
    assert found.f.value == pytest.approx(f1_score(gold.truth, scores >= 0.4))
    expected = average_precision_score(gold.truth, scores)
    assert found.average_precision.value == pytest.approx(expected)
    for score in (found.precision, found.recall, found.f, found.average_precision):
        assert 0 <= score.low < score.value < score.high <= 1


def test_precision_at_recall_95_is_that_of_scikit_learn():
    gold = labelled(400)
    scores = numpy.round(numpy.random.default_rng(1).random(400) + 0.3 * numpy.array(gold.truth), 2)
    precision, recall, _ = precision_recall_curve(gold.truth, scores)
    found = score_classes(gold, scores, 0.4).precision_at_95
    assert found.value == pytest.approx(precision[numpy.flatnonzero(recall >= 0.95)[-1]])
    assert found.low <= found.value <= found.high


def test_perfect_and_useless_scores():
    gold = labelled()
    best = score_classes(gold, [float(x) for x in gold.truth], 0.5)
    assert (best.f.value, best.f.low, best.average_precision.low) == (1.0, 1.0, 1.0)
    worst = score_classes(gold, [0.0] * 60, 0.5)
    assert worst.f.value == worst.precision.value == worst.f.high == 0.0
    assert worst.average_precision.value == pytest.approx(sum(gold.truth) / 60)


def test_groups_are_drawn_together():
    # one sentence a group, each twenty times: as uncertain as three sentences alone
    truth, scores = [True, True, False], [1.0, 0.0, 0.0]
    alone = score_classes(Labelled(["a", "b", "c"], truth, ["1", "2", "3"]), scores, 0.5)
    groups = [str(i) for i in range(3) for _ in range(20)]
    many = Labelled(["x"] * 60, [truth[int(g)] for g in groups], groups)
    together = score_classes(many, [scores[int(g)] for g in groups], 0.5)
    assert (together.recall.low, together.recall.high) == (alone.recall.low, alone.recall.high)
    apart = score_classes(many._replace(groups=list(map(str, range(60)))), [1.0] * 60, 0.5)
    assert apart.precision.high - apart.precision.low < 0.3 < together.recall.high


def test_a_pipeline_is_scored():
    nlp = spacy.blank("en")
    nlp.add_pipe("classification_test_length")
    gold = Labelled(["a b c d e f", "a b", "a b c d e"], [True, False, False], ["1", "2", "2"])
    seen = []
    result = evaluate_classes(nlp, gold, "ADE", corpus="ade", progress=seen.append)
    assert result["precision"]["value"] == 0.5 and result["recall"]["value"] == 1.0
    assert result["average_precision"]["value"] == 1.0 and seen == [1, 1, 1]
    assert (result["n_notes"], result["n_positive"], result["corpus"]) == (3, 1, "ade")
    assert "a b" not in json.dumps(result)
    other = evaluate_classes(nlp, gold._replace(groups=["1", "2", "3"]), "ADE", corpus="ade")
    assert other["data_sha256"] != result["data_sha256"]
    nlp.replace_pipe("classification_test_length", "classification_test_nothing")
    with pytest.raises(ValueError, match="no class 'ADE'"):
        evaluate_classes(nlp, gold, "ADE", corpus="ade")


def test_baseline_learns_words():
    parts = [labelled(n, seed) for n, seed in ((60, 0), (40, 1), (50, 2))]
    result = evaluate_baseline(*parts, corpus="ade")
    assert result["f"]["value"] == 1.0 and result["n_notes"] == 50
    chosen = (result["settings"]["C"], result["settings"]["class_weight"])
    assert chosen in SETTINGS
    wrong = parts[0]._replace(truth=[not x for x in parts[0].truth])
    assert evaluate_baseline(wrong, *parts[1:], corpus="ade")["f"]["value"] < 0.1


@pytest.mark.parametrize("truth", [[], [True, True], [False]])
def test_one_class_cannot_be_scored(truth):
    gold = Labelled(["x"] * len(truth), truth, ["1"] * len(truth))
    with pytest.raises(ValueError, match="expected both classes"):
        score_classes(gold, [0.5] * len(truth), 0.5)
    with pytest.raises(ValueError, match="expected both classes"):
        evaluate_baseline(gold, labelled(), labelled(), corpus="ade")
    with pytest.raises(ValueError, match="one for each"):
        score_classes(labelled(), [0.5], 0.5)
