"""Calibration and thresholds of relations, from pairs whose gold is known."""

from typing import Tuple

import numpy
from numpy.typing import NDArray

FEWEST = 10


def fit_platt(logits: NDArray, right: NDArray[numpy.bool_]) -> Tuple[float, float]:
    """Fit Platt's scaling.

    logits (NDArray): of the pairs that a relation's types allow. Shape (pairs,).
    right (NDArray): whether the gold has the relation. Shape (pairs,).
    RETURNS (Tuple[float, float]): slope and shift; 1 and 0 where there are too few of either kind.
    """
    from sklearn.linear_model import LogisticRegression

    if min(right.sum(), (~right).sum()) < FEWEST:
        return 1.0, 0.0
    model = LogisticRegression(C=1e3).fit(logits.reshape(-1, 1), right)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def best_threshold(
    probabilities: NDArray, right: NDArray[numpy.bool_], n_gold: int, default: float = 0.5
) -> float:
    """Choose the threshold with the best F1, misses that were never proposed counted.

    probabilities (NDArray): of the pairs. Shape (pairs,). right (NDArray): as in `fit_platt`.
    n_gold (int): relations of the gold, proposed or not. default (float): with too few of them.
    RETURNS (float): half way between the last pair that is kept and the next one.
    """
    if right.sum() < FEWEST:
        return default
    order = numpy.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = numpy.cumsum(right[order])
    f = 2 * hits / (numpy.arange(1, len(order) + 1) + n_gold)
    after = numpy.append(ranked[1:], 0.0)
    # equal ones are kept together or not at all
    best = int(numpy.where(after < ranked, f, -1.0).argmax())
    return float((ranked[best] + after[best]) / 2)


def calibration_error(probabilities: NDArray, right: NDArray[numpy.bool_], bins: int = 15) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of equal width.

    probabilities (NDArray), right (NDArray): Shape (pairs,). bins (int): how many.
    RETURNS (float): between 0 and 1.
    """
    if not len(probabilities):
        return 0.0
    place = numpy.minimum((probabilities * bins).astype(int), bins - 1)
    sums = [
        abs(probabilities[place == b].sum() - right[place == b].sum()) for b in numpy.unique(place)
    ]
    return float(sum(sums) / len(probabilities))
