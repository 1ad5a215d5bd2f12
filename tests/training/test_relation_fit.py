"""Calibration and thresholds of relations."""

import numpy
import pytest

from clinbert_spacy.pipeline.calibration import Platt, calibrate, logits
from clinbert_spacy.training.relation_fit import best_threshold, calibration_error, fit_platt


def draw(slope, shift, n=4000):
    """Scores of a model that is wrong about how sure it is."""
    rng = numpy.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, n)
    true = calibrate(scores, Platt(slope, shift, 0.5))
    return scores, rng.uniform(size=n) < true


def test_finds_the_slope_and_shift_and_mends_the_probabilities():
    scores, right = draw(0.5, -1.0)
    slope, shift = fit_platt(logits(scores), right)
    assert (slope, shift) == (pytest.approx(0.5, abs=0.1), pytest.approx(-1.0, abs=0.15))
    after = calibrate(scores, Platt(slope, shift, 0.5))
    assert calibration_error(after, right) < 0.03 < 0.15 < calibration_error(scores, right)


def test_too_few_to_fit():
    right = numpy.array([True] * 5 + [False] * 50)
    assert fit_platt(numpy.zeros(55), right) == (1.0, 0.0)
    assert best_threshold(numpy.linspace(0, 1, 55), right, 5) == 0.5


def test_the_threshold_counts_what_was_never_proposed():
    scores = numpy.array([0.9] * 12 + [0.6] * 4 + [0.3] * 20)
    right = numpy.array([True] * 12 + [True, False, False, False] + [False] * 20)
    few, many = (best_threshold(scores, right, n) for n in (13, 100))
    assert few == pytest.approx(0.75)  # a quarter right is not worth it
    assert many < 0.6  # of a hundred that are there, it is


def test_calibration_error_of_nothing():
    assert calibration_error(numpy.zeros(0), numpy.zeros(0, dtype=bool)) == 0.0
