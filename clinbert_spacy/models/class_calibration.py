"""Probabilities of classes that mean what they say, and what is decided by them."""

from typing import Any, Mapping, Optional, Sequence

import numpy
from numpy.typing import NDArray

# Probabilities are kept this far from 0 and 1 where their logits are taken.
EDGE = 1e-6
METHODS = ("temperature", "isotonic")
YES, NO, UNSURE = "yes", "no", "unsure"


def calibrate_classes(found: NDArray, rules: Sequence[Mapping[str, Any]]) -> NDArray:
    """Calibrate probabilities, each class by a rule of its own.

    found (NDArray): of a model. Shape (notes, classes).
    rules (Sequence[Mapping]): one a class, as `fit_temperature` and `fit_isotonic` of training
        write them; empty for a model that was not calibrated.
    RETURNS (NDArray): Shape (notes, classes), float32. Classes that exclude each other may then
        sum to more or less than 1. A note without passages, all 0, stays so.
    """
    if not rules:
        return found
    columns = [_calibrate_one(found[:, i], rule) for i, rule in enumerate(rules)]
    read = found.any(axis=1, keepdims=True)
    return numpy.where(read, numpy.stack(columns, axis=1), 0.0).astype("float32")


def _calibrate_one(found: NDArray, rule: Mapping[str, Any]) -> NDArray:
    if rule["method"] == "isotonic":
        return numpy.interp(found, rule["at"], rule["is"])
    clipped = numpy.clip(found.astype("float64"), EDGE, 1 - EDGE)
    logits = numpy.log(clipped / (1 - clipped)) / rule["temperature"] + rule.get("shift", 0.0)
    return 1 / (1 + numpy.exp(-logits))


def decide(value: float, limits: Optional[Sequence[float]], threshold: float = 0.5) -> str:
    """Say whether a note has a class.

    value (float): its probability. limits (Optional[Sequence[float]]): `no` below the first, `yes`
        from the second on, and between them nobody should decide unseen; None: the threshold alone.
    threshold (float): for classes without limits.
    RETURNS (str): `yes`, `no` or `unsure`.
    """
    low, high = limits or (threshold, threshold)
    return YES if value >= high else NO if value < low else UNSURE


def check_rules(rules: Sequence[Mapping[str, Any]], n_classes: int) -> None:
    """Raise for calibrations that do not fit a model.

    rules (Sequence[Mapping]): as `calibrate_classes` takes them. n_classes (int): of the model.
    RAISES (ValueError): another number of them, or an unknown method.
    """
    if rules and len(rules) != n_classes:
        raise ValueError(f"{len(rules)} calibrations for {n_classes} classes: expected one each.")
    unknown = sorted({str(rule.get("method")) for rule in rules} - set(METHODS))
    if unknown:
        raise ValueError(f"Calibration by {unknown}: expected {', '.join(METHODS)}.")
