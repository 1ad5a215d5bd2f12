"""Calibration and limits of classes, from documents whose classes are known."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray

from ..models.class_calibration import EDGE, METHODS, calibrate_classes
from .relation_fit import FEWEST, best_threshold, calibration_error, fit_platt

SAME: Dict[str, Any] = {"method": "temperature", "temperature": 1.0, "shift": 0.0}
N_PARTS = 5


class Wanted(NamedTuple):
    """How classes are decided.

    precision (Optional[float]): of those that are called `yes`; None: what gives the best F1.
    missed (Optional[float]): share of the true ones that may be called `no`; between the two limits
        a class is `unsure`. None: nothing is.
    """

    precision: Optional[float] = None
    missed: Optional[float] = None


class Fitted(NamedTuple):
    """What was fitted for a class, and how well it does on documents that it was not fitted on.

    rule (Dict): for `calibrate_classes`. limits (List[float]): for `decide`. n (int): true ones.
    before (float), after (float): expected calibration error, see `relation_fit`.
    """

    rule: Dict[str, Any]
    limits: List[float]
    n: int
    before: float
    after: float


def fit_class(
    found: NDArray, truth: NDArray[numpy.bool_], method: str = "temperature",
    wanted: Wanted = Wanted(),
) -> Fitted:  # fmt: skip
    """Fit one class.

    found (NDArray): uncalibrated probabilities. Shape (documents,).
    truth (NDArray): whether each has the class. Shape (documents,).
    method (str): `temperature`, a slope and a shift of the logit (Platt 1999; a temperature alone
        cannot mend that a class is rare), or `isotonic`. wanted (Wanted): how to decide.
    RETURNS (Fitted): the probabilities as they are, where there are too few of either kind.
    RAISES (ValueError): unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method = '{method}' is not one of {', '.join(METHODS)}.")
    rule = _rule(found, truth, method)
    after = calibrate_classes(found[:, None], [rule])[:, 0]
    held_out = _held_out(found, truth, method)
    errors = (calibration_error(x, truth) for x in (found, held_out))
    return Fitted(rule, fit_limits(after, truth, wanted), int(truth.sum()), *errors)


def _rule(found: NDArray, truth: NDArray[numpy.bool_], method: str) -> Dict[str, Any]:
    if _is_rare(truth):
        return dict(SAME)
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(found, truth)
        places = (fitted.X_thresholds_, fitted.y_thresholds_)
        at, values = ([float(x) for x in array] for array in places)
        return {"method": "isotonic", "at": at, "is": values}
    clipped = numpy.clip(found.astype("float64"), EDGE, 1 - EDGE)
    slope, shift = fit_platt(numpy.log(clipped / (1 - clipped)), truth)
    # a class that was learned the wrong way round is left as it is, not turned
    return {**SAME, "temperature": 1 / slope, "shift": shift} if slope > 0 else dict(SAME)


def _held_out(found: NDArray, truth: NDArray[numpy.bool_], method: str) -> NDArray:
    """Calibrate each part of the documents by the others."""
    part = numpy.random.default_rng(0).permutation(len(found)) % N_PARTS
    calibrated = numpy.zeros(len(found), dtype="float32")
    for i in range(N_PARTS):
        rule = _rule(found[part != i], truth[part != i], method)
        calibrated[part == i] = calibrate_classes(found[part == i][:, None], [rule])[:, 0]
    return calibrated


def fit_limits(found: NDArray, truth: NDArray[numpy.bool_], wanted: Wanted) -> List[float]:
    """Choose the limits of `no` and `yes`.

    found (NDArray): calibrated probabilities. Shape (documents,).
    truth (NDArray): whether each has the class. Shape (documents,). wanted (Wanted): what for.
    RETURNS (List[float]): below the first `no`, from the second on `yes`; above 1 where no limit
        reaches the precision.
    """
    high = best_threshold(found, truth, int(truth.sum()))
    if wanted.precision is not None:
        high = _precise(found, truth, wanted.precision)
    if wanted.missed is None:
        return [high, high]
    return [min(_complete(found, truth, wanted.missed), high), high]


def _precise(found: NDArray, truth: NDArray[numpy.bool_], precision: float) -> float:
    """The least limit from which on enough of the documents have the class."""
    order = numpy.argsort(-found, kind="stable")
    hits = numpy.cumsum(truth[order]) / numpy.arange(1, len(order) + 1)
    # equal ones are kept together or not at all
    last = numpy.append(found[order][1:] < found[order][:-1], True)
    good = numpy.flatnonzero(last & (hits >= precision))
    return float(found[order][good[-1]]) if len(good) else 1.0 + EDGE


def _complete(found: NDArray, truth: NDArray[numpy.bool_], missed: float) -> float:
    """The greatest limit under which no more than a share of the true ones lie."""
    right = numpy.sort(found[truth])
    n = int(missed * len(right) + EDGE)  # 0.29 of 100 are 29, not 28.99...
    return float(right[n]) if n < len(right) else 1.0 + EDGE


def reliability(found: NDArray, truth: NDArray[numpy.bool_], bins: int = 15) -> List[Tuple]:
    """Lay probabilities beside what came of them.

    found (NDArray): probabilities. truth (NDArray): of the same shape. bins (int): of equal width.
    RETURNS (List[Tuple[float, float, int]]): mean probability, share that is true, how many; of
        the bins that are not empty.
    """
    flat, right = found.reshape(-1), truth.reshape(-1)
    place = numpy.minimum((flat * bins).astype(int), bins - 1)
    rows = []
    for b in numpy.unique(place):
        here = place == b
        rows.append((float(flat[here].mean()), float(right[here].mean()), int(here.sum())))
    return rows


def fit_classes(
    found: NDArray, truth: NDArray[numpy.bool_], labels: Sequence[str], method: str,
    wanted: Wanted, exclusive: bool = False,
) -> List[Fitted]:  # fmt: skip
    """Fit every class.

    found (NDArray), truth (NDArray): see `fit_class`. Shape (documents, classes).
    labels (Sequence[str]): the classes. method (str), wanted (Wanted): see there.
    exclusive (bool): whether a document has exactly one: all classes share one rule then, so that
        the likeliest one stays so.
    RETURNS (List[Fitted]): one a class; of three or more those with too few documents of either
        kind get the rule and the limits of all classes taken together, and their `after` is not
        held out.
    RAISES (ValueError): unknown method, or another number of columns.
    """
    if not found.shape == truth.shape == (len(found), len(labels)):
        raise ValueError(
            f"Probabilities of shape {found.shape} and truth of {truth.shape} for {len(labels)} "
            "classes: expected a row a document and a column a class."
        )
    every = [fit_class(found[:, i], truth[:, i], method, wanted) for i in range(len(labels))]
    if len(labels) < 3:
        return every
    shared = fit_class(found.reshape(-1), truth.reshape(-1), method, wanted)
    return [
        _by_all(found[:, i], truth[:, i], own, shared)
        if exclusive or _is_rare(truth[:, i])
        else own
        for i, own in enumerate(every)
    ]


def _is_rare(truth: NDArray[numpy.bool_]) -> bool:
    return min(truth.sum(), (~truth).sum()) < FEWEST


def _by_all(found: NDArray, truth: NDArray[numpy.bool_], own: Fitted, shared: Fitted) -> Fitted:
    """A class with too few documents to be fitted alone, by what was fitted on all classes."""
    after = calibrate_classes(found[:, None], [shared.rule])[:, 0]
    error = calibration_error(after, truth)
    return own._replace(rule=shared.rule, limits=shared.limits, after=error)
