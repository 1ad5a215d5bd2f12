import json

import numpy
import pytest
import spacy
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    precision_score,
    roc_auc_score,
)
from spacy.language import Language

from clinbert_spacy.evaluation.documents import (
    NEVER,
    Task,
    calibration_error,
    choose_thresholds,
    decide,
    evaluate_documents,
    make_documents,
    rank,
    score_documents,
)

MANY = Task("toy", "topics", ("A", "B", "C"), exclusive=False)
ONE = Task("toy", "topic", ("A", "B", "C"), exclusive=True)
TWO = Task("toy", "bad", ("BAD", "GOOD"), exclusive=True, positive="BAD")


@Language.component("documents_test_letters")
def give_letters(doc):
    doc.cats = {name: 0.9 if name in doc.text else 0.2 for name in "ABC"}
    return doc


@Language.component("documents_test_nothing")
def give_nothing(doc):
    return doc


def documents(task, n=90, seed=0, share=0.4):
    """Documents in groups of three, and scores that know something of their classes."""
    rng = numpy.random.default_rng(seed)
    k = len(task.classes)
    if task.exclusive:
        truth = numpy.eye(k, dtype=bool)[rng.integers(0, k, n)]
    else:
        truth = rng.random((n, k)) < share
    scores = numpy.clip(rng.random((n, k)) * 0.7 + 0.3 * truth, 0.001, 0.999)
    if task.exclusive:
        scores /= scores.sum(1, keepdims=True)
    classes = [[c for c, x in zip(task.classes, row) if x] for row in truth]
    texts = [f"text {i}" for i in range(n)]
    return make_documents(task, texts, classes, [str(i // 3) for i in range(n)]), scores


def test_several_classes_are_scored_as_scikit_learn_does():
    gold, scores = documents(MANY)
    thresholds = numpy.array([0.4, 0.5, 0.6])
    given = scores >= thresholds
    found = score_documents(MANY, gold, scores, thresholds)
    assert found["f"]["value"] == pytest.approx(f1_score(gold.truth, given, average="micro"))
    assert found["macro_f"]["value"] == pytest.approx(f1_score(gold.truth, given, average="macro"))
    for i, row in enumerate(found["labels"]):
        assert row["f"] == pytest.approx(f1_score(gold.truth[:, i], given[:, i]))
        assert row["precision"] == pytest.approx(precision_score(gold.truth[:, i], given[:, i]))
        assert (row["label"], row["n"]) == (MANY.classes[i], gold.truth[:, i].sum())
        assert row["threshold"] == thresholds[i]
    for name in ("f", "macro_f"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert "auroc" not in found


def test_of_several_exclusive_classes_the_likeliest_is_given():
    gold, scores = documents(ONE)
    found = score_documents(ONE, gold, scores, numpy.full(3, NEVER))
    right = (scores.argmax(1) == gold.truth.argmax(1)).mean()
    assert found["f"]["value"] == pytest.approx(right)
    assert [row["threshold"] for row in found["labels"]] == [None] * 3
    assert (decide(ONE, scores, numpy.zeros(3)).sum(1) == 1).all()


def test_two_classes_are_ranked():
    gold, scores = documents(TWO)
    found = score_documents(TWO, gold, scores, numpy.array([0.5, NEVER]))
    bad, values = gold.truth[:, 0], scores[:, 0]
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(bad, values))
    assert found["auprc"]["value"] == pytest.approx(average_precision_score(bad, values))
    assert found["prevalence"] == bad.mean()
    for name in ("auroc", "auprc", "rp80"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert (found["labels"][0]["threshold"], found["labels"][1]["threshold"]) == (0.5, None)
    given = decide(TWO, scores, numpy.array([0.5, NEVER]))
    assert (given[:, 0] == (values >= 0.5)).all() and (given[:, 0] != given[:, 1]).all()


def test_ranking_is_that_of_scikit_learn_with_ties_and_weights():
    rng = numpy.random.default_rng(1)
    truth = rng.random(400) < 0.5
    values = numpy.round(rng.random(400) + 0.6 * truth, 2)
    weights = rng.integers(0, 4, (5, 400))
    found = rank(truth, values, weights)
    for i, row in enumerate(weights):
        weighted = {"sample_weight": row}
        assert found["auroc"][i] == pytest.approx(roc_auc_score(truth, values, **weighted))
        expected = average_precision_score(truth, values, **weighted)
        assert found["auprc"][i] == pytest.approx(expected)
        precision, recall, _ = precision_recall_curve(truth, values, **weighted)
        assert found["rp80"][i] == pytest.approx(recall[precision >= 0.8].max())
    best, worst = (rank(truth, sign * truth, weights[:1])["rp80"][0] for sign in (1, -1))
    assert (best, worst) == (1.0, 0.0)


def test_thresholds_have_the_best_f_of_the_development_part():
    gold, scores = documents(MANY)
    chosen = choose_thresholds(MANY, gold.truth, scores)
    for i, threshold in enumerate(chosen):
        best = max(f1_score(gold.truth[:, i], scores[:, i] >= x) for x in scores[:, i])
        assert f1_score(gold.truth[:, i], scores[:, i] >= threshold) == pytest.approx(best)
    assert len(set(chosen)) == 3


def test_thresholds_have_a_wanted_precision_and_the_most_recall_with_it():
    gold, scores = documents(MANY)
    for i, threshold in enumerate(choose_thresholds(MANY, gold.truth, scores, 0.7)):
        truth, values = gold.truth[:, i], scores[:, i]
        assert precision_score(truth, values >= threshold) >= 0.7
        lower = [x for x in values if x < threshold]
        assert all(precision_score(truth, values >= x) < 0.7 for x in lower)
    backwards = choose_thresholds(MANY, gold.truth, 1 - gold.truth / 2, 1.0)
    assert (backwards == NEVER).all()


def test_thresholds_without_an_example_and_without_a_likely_one():
    truth = numpy.array([[True, False, True]] + [[False] * 3] * 9)
    scores = numpy.full((10, 3), 0.001)
    scores[:, 0] = numpy.linspace(0.9, 0.02, 10)
    first, none, unlikely = choose_thresholds(MANY, truth, scores)
    # halfway between the only right one and the next
    assert first == pytest.approx((scores[0, 0] + scores[1, 0]) / 2)
    assert none == unlikely == 0.5


def test_of_two_classes_one_threshold_counts():
    gold, scores = documents(TWO)
    chosen = choose_thresholds(TWO, gold.truth, scores)
    assert 0 < chosen[0] < 1 and chosen[1] == NEVER


def test_calibration_error_by_hand():
    truth = numpy.array([[True], [True], [False], [False]])
    task = Task("toy", "x", ("A",), exclusive=False)
    assert calibration_error(task, truth, truth.astype(float)) == 0.0
    assert calibration_error(task, truth, numpy.full((4, 1), 0.5)) == 0.0
    # bins 0.9 (one right of two) and 0.3 (one right of two)
    scores = numpy.array([[0.9], [0.3], [0.9], [0.3]])
    assert calibration_error(task, truth, scores) == pytest.approx((0.4 + 0.2) / 2)
    # only the likeliest class of an exclusive task counts
    both = numpy.array([[0.8, 0.2], [0.8, 0.2]])
    sure = calibration_error(TWO, numpy.array([[True, False], [True, False]]), both)
    assert sure == pytest.approx(0.2)


def test_a_class_that_nobody_has_does_not_count_in_the_mean():
    gold = make_documents(MANY, ["x"] * 4, [["A"], ["A"], ["B"], ["B"]], list("1234"))
    found = score_documents(MANY, gold, gold.truth.astype(float), numpy.full(3, 0.5))
    assert found["macro_f"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["labels"][2] == {
        "label": "C", "n": 0, "precision": 0.0, "recall": 0.0, "f": 0.0, "threshold": 0.5,
        "ece": 0.0,
    }  # fmt: skip


def test_groups_are_drawn_together():
    gold, scores = documents(MANY, 30)
    thresholds = numpy.full(3, 0.5)
    apart = gold._replace(groups=[str(i) for i in range(30)])
    same = make_documents(
        MANY, ["x"] * 300, [[c for c, x in zip("ABC", row) if x] for row in gold.truth] * 10,
        apart.groups * 10,
    )  # fmt: skip
    alone = score_documents(MANY, apart, scores, thresholds)
    together = score_documents(MANY, same, numpy.tile(scores, (10, 1)), thresholds)
    assert together["f"] == pytest.approx(alone["f"])


@pytest.mark.parametrize(
    ("task", "classes", "message"),
    [
        (MANY, [], "No document"),
        (MANY, [["A"], ["D"]], r"Unknown classes \['D'\]"),
        (ONE, [["A"], []], "1 documents have no class or several"),
        (ONE, [["A"], ["B", "C"], ["A", "B"]], "2 documents have no class or several"),
        (ONE, [["A"], ["A"]], "All 2 documents have one class"),
    ],
)
def test_documents_that_cannot_be_scored(task, classes, message):
    with pytest.raises(ValueError, match=message):
        make_documents(task, ["x"] * len(classes), classes, ["1"] * len(classes))


def test_as_many_scores_as_documents():
    gold, scores = documents(MANY)
    with pytest.raises(ValueError, match=r"Scores of shape \(89, 3\); expected \(90, 3\)"):
        score_documents(MANY, gold, scores[1:], numpy.full(3, 0.5))


def test_a_pipeline_is_scored():
    nlp = spacy.blank("en")
    nlp.add_pipe("documents_test_letters")
    texts, classes = ["A rash", "B and C", "C", "none", "A"], [["A"], ["B", "C"], ["C"], [], ["A"]]
    gold = make_documents(MANY, texts, classes, list("12345"))
    seen = []
    found = evaluate_documents(nlp, MANY, gold, gold, progress=seen.append)
    assert found["f"]["value"] == found["macro_f"]["value"] == 1.0 and seen == [1] * 10
    assert [row["threshold"] for row in found["labels"]] == [pytest.approx(0.55)] * 3
    assert (found["n_notes"], found["n_groups"], found["corpus"]) == (5, 5, "toy")
    assert "rash" not in json.dumps(found)
    other = evaluate_documents(nlp, MANY, gold, gold._replace(groups=list("11345")))
    assert other["data_sha256"] != found["data_sha256"] and other["n_groups"] == 4
    nlp.replace_pipe("documents_test_letters", "documents_test_nothing")
    with pytest.raises(ValueError, match=r"lacks the classes \['A', 'B', 'C'\]"):
        evaluate_documents(nlp, MANY, gold, gold)
