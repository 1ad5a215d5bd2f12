"""Probabilities that mean what they say: Platt's scaling (1999), and the threshold with it."""

from typing import NamedTuple

import numpy
from numpy.typing import NDArray

EDGE = 1e-6


class Platt(NamedTuple):
    """Calibration of one relation.

    slope (float), shift (float): of the logit. threshold (float): least calibrated probability.
    """

    slope: float
    shift: float
    threshold: float


def logits(probabilities: NDArray) -> NDArray:
    """Turn probabilities into logits. RETURNS (NDArray): finite, of the same shape."""
    clipped = numpy.clip(probabilities.astype("float64"), EDGE, 1.0 - EDGE)
    return numpy.log(clipped / (1.0 - clipped))


def calibrate(probabilities: NDArray, fitted: Platt) -> NDArray:
    """Calibrate probabilities.

    probabilities (NDArray): of a model. fitted (Platt): its calibration.
    RETURNS (NDArray): of the same shape.
    """
    scaled = fitted.slope * logits(probabilities) + fitted.shift
    return (1.0 / (1.0 + numpy.exp(-scaled))).astype("float32")
