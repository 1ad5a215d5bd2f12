"""Bins, and decisions that are left open."""

from types import SimpleNamespace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from clinbert_spacy.evaluation.reliability import (
    BINS,
    COVERAGES,
    bin_values,
    expected_error,
    find_decider,
    keep_surest,
    score_abstention,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60)


@given(PAIRS)
def test_bins_hold_every_probability_and_give_the_error(pairs):
    right, values = (numpy.array(column) for column in zip(*pairs))
    bins = bin_values(right, values)
    assert sum(row["n"] for row in bins) == len(pairs) and len(bins) <= BINS
    for row in bins:
        assert row["low"] - 1e-9 <= row["mean"] <= row["high"] + 1e-9 and row["n"] > 0
    error = sum(row["n"] * abs(row["mean"] - row["share"]) for row in bins) / len(pairs)
    assert expected_error(right, values) == pytest.approx(error)


def test_bins_by_hand():
    right = numpy.array([True, False, True, True])
    bins = bin_values(right, numpy.array([0.31, 0.29, 1.0, 0.95]))
    assert [(row["n"], row["share"]) for row in bins] == [(2, 0.5), (2, 1.0)]
    assert bins[0]["mean"] == pytest.approx(0.3) and bins[1]["mean"] == pytest.approx(0.975)
    assert bins[1]["high"] == 1.0


def make(n=200, seed=0):
    """Probabilities that are true, of three classes."""
    rng = numpy.random.default_rng(seed)
    scores = rng.random((n, 3))
    return rng.random((n, 3)) < scores, scores


def test_the_surest_decisions_are_right_more_often():
    truth, scores = make()
    rows = keep_surest(truth, scores >= 0.5, scores, whole=False)
    assert [row["coverage"] for row in rows] == list(COVERAGES)
    risks = [row["risk"] for row in rows]
    assert risks == sorted(risks, reverse=True) and risks[-1] < risks[0] - 0.1
    assert risks[0] == pytest.approx((truth != (scores >= 0.5)).mean())
    expected = f1_score(truth, scores >= 0.5, average="micro")
    assert rows[0]["f"] == pytest.approx(expected)


def test_of_exclusive_classes_whole_documents_are_left_open():
    truth = numpy.eye(2, dtype=bool)[[0, 0, 1, 1]]
    scores = numpy.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.3, 0.7]])
    given = scores >= 0.5
    rows = {row["coverage"]: row for row in keep_surest(truth, given, scores, whole=True)}
    assert rows[1.0] == {"coverage": 1.0, "risk": 0.25, "f": 0.75}
    assert rows[0.8] == {"coverage": 0.8, "risk": 0.0, "f": 1.0}  # the one of 0.55 is left open


SAID = [
    {"A": "yes", "B": "no"}, {"A": "unsure", "B": "no"}, {"A": "unsure", "B": "yes"},
    {"A": "no", "B": "yes"},
]  # fmt: skip
TRUTH = numpy.array([[1, 0], [1, 0], [0, 0], [1, 1]], dtype=bool)


def test_abstention_by_hand():
    found = score_abstention(("A", "B"), TRUTH, SAID, list("1234"), whole=False)
    assert found["unsure"]["value"] == 0.25
    # decided: A yes (right), A no (wrong), B no, no, yes (wrong), yes (right)
    assert found["risk"] == pytest.approx(2 / 6)
    assert found["precision"] == pytest.approx(2 / 3) == found["recall"]
    assert found["f"]["value"] == pytest.approx(2 / 3)
    assert found["unsure_true"] == 0.25
    assert found["labels"] == [
        {"label": "A", "n": 3, "unsure": 0.5, "f": pytest.approx(2 / 3)},
        {"label": "B", "n": 1, "unsure": 0.0, "f": pytest.approx(2 / 3)},
    ]
    for name in ("unsure", "f"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]


def test_a_document_with_one_class_is_left_open_as_a_whole():
    said = [{"A": "unsure", "B": "no"}, {"A": "no", "B": "yes"}]
    truth = numpy.array([[True, False], [False, True]])
    found = score_abstention(("A", "B"), truth, said, ["1", "2"], whole=True)
    assert found["unsure"]["value"] == 0.5 and found["f"]["value"] == 1.0 and found["risk"] == 0.0
    parts = score_abstention(("A", "B"), truth, said, ["1", "2"], whole=False)
    assert parts["unsure"]["value"] == 0.25


def test_nothing_is_decided():
    said = [{"A": "unsure", "B": "unsure"}] * 4
    found = score_abstention(("A", "B"), TRUTH, said, list("1234"), whole=False)
    assert (found["unsure"]["value"], found["f"]["value"], found["risk"]) == (1.0, 0.0, 0.0)


def pipe(labels, **attrs):
    return SimpleNamespace(labels=labels, model=SimpleNamespace(attrs=attrs))


def decide(model, labels, values):
    return {label: "yes" if value > 0.5 else "unsure" for label, value in zip(labels, values)}


def test_the_classifier_of_these_classes_decides():
    other = pipe(("X",), limits=[[0, 1]], rules=[1], decide=decide)
    mine = pipe(("A", "B"), limits=[[0.2, 0.5]] * 2, rules=[1, 1], decide=decide)
    nlp = SimpleNamespace(pipeline=[("a", object()), ("b", other), ("c", mine)])
    decider, calibrated = find_decider(nlp, ("A",))
    assert calibrated and decider({"A": 0.9, "B": 0.1}) == {"A": "yes", "B": "unsure"}
    mine.model.attrs.update(limits=[], rules=[])
    assert find_decider(nlp, ("A", "B")) == (None, False)
    assert find_decider(nlp, ("C",)) == (None, False)
