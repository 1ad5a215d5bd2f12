"""Calibration and limits of classes, on probabilities whose error is known."""

import numpy
import pytest

from clinbert_spacy.models.class_calibration import calibrate_classes, decide
from clinbert_spacy.training import class_fit
from clinbert_spacy.training.class_fit import (
    N_PARTS,
    SAME,
    Wanted,
    fit_class,
    fit_classes,
    fit_limits,
    reliability,
)
from clinbert_spacy.training.relation_fit import FEWEST, calibration_error

methods = pytest.mark.parametrize("method", ["temperature", "isotonic"])
# ten true ones and ten others, from the likeliest on; equal ones beside each other
FOUND = numpy.array([0.9] * 8 + [0.7] * 4 + [0.4] * 4 + [0.1] * 4, dtype="float32")
TRUTH = numpy.array([1] * 8 + [1, 0, 0, 0] + [1, 0, 0, 0] + [0] * 4, dtype=bool)


def draw(slope=0.4, shift=-1.5, n=3000, seed=0):
    """A model that is too sure, of a class that is rarer than it says."""
    rng = numpy.random.default_rng(seed)
    found = rng.uniform(0.01, 0.99, n).astype("float32")
    logits = numpy.log(found / (1 - found)) * slope + shift
    return found, rng.uniform(size=n) < 1 / (1 + numpy.exp(-logits))


def calibrated(found, rule):
    return calibrate_classes(found[:, None], [rule])[:, 0]


def few(n_true, n_other):
    found = numpy.linspace(0.05, 0.95, n_true + n_other, dtype="float32")
    return found, numpy.arange(n_true + n_other) < n_true


# Calibration


@methods
def test_the_error_falls_also_on_documents_from_elsewhere(method):
    one = fit_class(*draw(), method)
    assert one.rule["method"] == method and one.n == draw()[1].sum()
    assert one.after < 0.04 < 0.2 < one.before
    found, truth = draw(seed=1)
    assert calibration_error(calibrated(found, one.rule), truth) < 0.04


@methods
def test_the_ranking_is_kept(method):
    found, truth = draw()
    after = calibrated(found, fit_class(found, truth, method).rule)
    assert (numpy.diff(after[numpy.argsort(found)]) >= -1e-7).all()
    assert after.max() - after.min() > 0.2


def test_the_temperature_and_the_shift_are_found():
    rule = fit_class(*draw(), "temperature").rule
    assert 1 / rule["temperature"] == pytest.approx(0.4, abs=0.1)
    assert rule["shift"] == pytest.approx(-1.5, abs=0.15)


@methods
@pytest.mark.parametrize("counts", [(FEWEST - 1, 200), (200, FEWEST - 1), (0, 30), (30, 0), (0, 0)])
def test_too_few_of_either_kind_stay_as_they_are(method, counts):
    found, truth = few(*counts)
    one = fit_class(found, truth, method)
    assert one.rule == SAME and one.rule is not SAME
    assert numpy.allclose(calibrated(found, one.rule), found, atol=2e-6)
    assert one.after == pytest.approx(one.before, abs=1e-5)


def test_enough_of_both_are_fitted():
    found, truth = few(FEWEST, FEWEST)
    assert fit_class(found, ~truth, "temperature").rule != SAME


def test_a_class_learned_the_wrong_way_round_is_not_turned():
    found, truth = draw(slope=-2.0, shift=0.0)
    assert fit_class(found, truth, "temperature").rule == SAME
    heights = fit_class(found, truth, "isotonic").rule["is"]
    assert heights == sorted(heights) and max(heights) - min(heights) < 0.1


@methods
def test_certain_probabilities_give_finite_rules(method):
    found = numpy.array([0.0, 1.0, 0.5] * 20, dtype="float32")
    truth = numpy.array([0, 1, 1, 1, 0, 0] * 10, dtype=bool)
    one = fit_class(found, truth, method)
    assert numpy.isfinite(calibrated(found, one.rule)).all() and 0 <= one.after <= 1


def test_the_held_out_error_is_of_documents_that_were_not_fitted_on(monkeypatch):
    """Each probability, all of them different, is calibrated by a rule that never saw it."""
    found, truth = draw(n=200)
    seen, judged, fit = [], [], class_fit._rule

    def rule(values, right, method):
        seen.append(set(values.tolist()))
        return fit(values, right, method)

    def calibrate(values, rules):
        judged.append(set(values[:, 0].tolist()))
        return calibrate_classes(values, rules)

    monkeypatch.setattr(class_fit, "_rule", rule)
    monkeypatch.setattr(class_fit, "calibrate_classes", calibrate)
    fit_class(found, truth, "isotonic")
    assert seen[0] == judged[0] == set(found.tolist()) and len(seen) == len(judged) == 1 + N_PARTS
    assert all(not known & new for known, new in zip(seen[1:], judged[1:]))
    assert set.union(*judged[1:]) == set(found.tolist())


def test_what_learned_by_heart_shows():
    """Isotonic steps follow noise: on their own documents they look better than they are."""
    found, truth = draw(n=60)
    one = fit_class(found, truth, "isotonic")
    assert calibration_error(calibrated(found, one.rule), truth) < 0.02 < one.after
    assert fit_class(found, truth, "isotonic") == one


# Limits


def test_the_limit_of_the_best_f1_lies_between_documents():
    low, high = fit_limits(FOUND, TRUTH, Wanted())
    assert low == high == pytest.approx(0.8)
    assert fit_limits(*few(FEWEST - 1, 50), Wanted()) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [(1.0, 0.9), (0.76, 0.9), (0.75, 0.7), (0.625, 0.4), (0.5, 0.1), (0.0, 0.1)],
)
def test_the_limit_of_a_precision_is_the_least_that_reaches_it(precision, expected):
    low, high = fit_limits(FOUND, TRUTH, Wanted(precision))
    assert low == high == pytest.approx(expected)
    assert TRUTH[high <= FOUND].mean() >= precision


@pytest.mark.parametrize("truth", [numpy.zeros(20, dtype=bool), numpy.arange(20) > 10])
def test_a_precision_that_no_limit_reaches_says_yes_to_nothing(truth):
    low, high = fit_limits(FOUND, truth, Wanted(0.9))
    assert low == high > 1 and decide(1.0, [low, high]) == "no"


@pytest.mark.parametrize(("missed", "expected"), [(0.0, 0.4), (0.09, 0.4), (0.1, 0.7), (0.2, 0.9)])
def test_no_more_than_a_share_of_the_true_ones_is_missed(missed, expected):
    low, high = fit_limits(FOUND, TRUTH, Wanted(1.0, missed))
    assert low == pytest.approx(expected) and high == pytest.approx(0.9)
    assert (FOUND[TRUTH] < low).mean() <= missed


def test_a_share_that_a_float_cannot_write_counts_whole_documents():
    found = numpy.arange(100, dtype="float32") / 100
    truth = numpy.ones(100, dtype=bool)
    for n in range(100):
        low, _ = fit_limits(found, truth, Wanted(None, n / 100))
        assert (found < low).sum() <= n
    assert class_fit._complete(found, truth, 0.29) == pytest.approx(0.29)


@pytest.mark.parametrize("precision", [None, 0.0, 0.6, 1.0])
@pytest.mark.parametrize("missed", [0.0, 0.3, 0.99, 1.0])
def test_low_is_never_above_high(precision, missed):
    empty = numpy.zeros(0, dtype=bool)
    cases = [(FOUND, TRUTH), (FOUND, ~TRUTH), few(0, 20), few(20, 0), draw(n=100)]
    for found, truth in [*cases, (empty.astype("float32"), empty)]:
        low, high = fit_limits(found, truth, Wanted(precision, missed))
        assert 0 <= low <= high


@methods
def test_limits_are_those_of_calibrated_probabilities(method):
    found, truth = draw()
    one = fit_class(found, truth, method, Wanted(0.4, 0.1))
    after, (low, high) = calibrated(found, one.rule), one.limits
    assert one.limits == fit_limits(after, truth, Wanted(0.4, 0.1)) and low < high
    assert truth[after >= high].mean() >= 0.4 and (after[truth] < low).mean() <= 0.1


# Reliability


@pytest.mark.parametrize("shape", [(300,), (100, 3)])
def test_reliability_sums_to_all_documents(shape):
    found, truth = (values.reshape(shape) for values in draw(n=300))
    found[0] = 1.0
    rows = reliability(found, truth, bins=10)
    assert sum(n for _, _, n in rows) == 300 and len(rows) == 10
    assert sum(mean * n for mean, _, n in rows) == pytest.approx(found.sum(), rel=1e-4)
    assert sum(share * n for _, share, n in rows) == pytest.approx(truth.sum())
    assert [mean for mean, _, _ in rows] == sorted(mean for mean, _, _ in rows)


def test_reliability_is_what_the_error_sums():
    found, truth = draw(n=300)
    gaps = sum(abs(mean - share) * n for mean, share, n in reliability(found, truth)) / 300
    assert gaps == pytest.approx(calibration_error(found, truth), abs=1e-5)


def test_reliability_leaves_empty_bins_out():
    assert reliability(numpy.array([0.1, 0.9]), numpy.array([False, True]), 4) == [
        (0.1, 0.0, 1),
        (0.9, 1.0, 1),
    ]
    assert reliability(numpy.zeros(0), numpy.zeros(0, dtype=bool)) == []


# All classes


def test_each_class_is_fitted_on_its_own():
    pairs = [draw(n=300), draw(2.0, 0.5, 300, seed=1)]
    found, truth = (numpy.stack(columns, axis=1) for columns in zip(*pairs))
    wanted = Wanted(0.5, 0.2)
    fitted = fit_classes(found, truth, ["A", "B"], "temperature", wanted)
    assert fitted == [fit_class(*pair, "temperature", wanted) for pair in pairs]
    assert fitted[0].rule != fitted[1].rule


@pytest.mark.parametrize(
    ("shapes", "labels", "said"),
    [
        (((5, 2), (5, 2)), "ABC", ["(5, 2)", "3 classes"]),
        (((5, 2), (4, 2)), "AB", ["(5, 2)", "(4, 2)", "2 classes"]),
        (((5,), (5,)), "A", ["(5,)", "1 classes"]),
    ],
)
def test_another_shape_is_refused(shapes, labels, said):
    found, truth = (numpy.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="expected a row a document and a column") as error:
        fit_classes(found, truth > 0, labels, "temperature", Wanted())
    assert all(words in str(error.value) for words in said)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'beta' is not one of temperature, isotonic"):
        fit_class(FOUND, TRUTH, "beta")
    with pytest.raises(ValueError, match="'beta'"):
        fit_classes(FOUND[:, None], TRUTH[:, None], "A", "beta", Wanted())


def make_classes(n=200):
    """Two classes with many documents and one with few, all too sure of themselves."""
    rng = numpy.random.default_rng(0)
    real = rng.uniform(0.1, 0.9, (n, 3))
    real[:, 2] /= 20
    truth = rng.uniform(size=real.shape) < real
    return numpy.clip((real - 0.5) * 2 + 0.5, 0.01, 0.99).astype("float32"), truth


def test_a_rare_class_gets_the_rule_of_all():
    found, truth = make_classes()
    assert truth[:, 2].sum() < FEWEST
    one, other, rare = fit_classes(found, truth, list("ABC"), "temperature", Wanted())
    shared = fit_class(found.reshape(-1), truth.reshape(-1))
    assert rare.rule == shared.rule and rare.limits == shared.limits
    assert rare.n == truth[:, 2].sum()
    assert one.rule not in (other.rule, rare.rule) and one.rule == fit_class(*(
        x[:, 0] for x in (found, truth)
    )).rule  # fmt: skip


def test_two_classes_share_nothing():
    found, truth = make_classes()
    rare = fit_classes(found[:, 1:], truth[:, 1:], list("BC"), "temperature", Wanted())[1]
    assert rare.rule == SAME


def test_exclusive_classes_share_one_rule_so_that_the_likeliest_stays():
    found, truth = make_classes()
    fitted = fit_classes(found, truth, list("ABC"), "temperature", Wanted(), True)
    assert all(one.rule == fitted[0].rule for one in fitted) and fitted[0].rule != SAME
    after = calibrate_classes(found, [one.rule for one in fitted])
    assert (after.argmax(1) == found.argmax(1)).all()
