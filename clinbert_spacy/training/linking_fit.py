"""Weights of the ranker: what tells the right candidate from the others, on training mentions."""

from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray

from ..models.linking import Linker, Request, Rows, best_score
from ..models.linking_features import FEATURES

NEGATIVES = 15  # wrong candidates of a mention, the likeliest
ROUNDS = 3  # each begins with the rows that the weights before liked best
# Where to begin: every sign of likeness counts, every difference against.
START = {"number_clash": -1.0, "steps": -0.5, "finding": 0.0, "written": 0.5, "known": 0.2}


class Case(NamedTuple):
    """A training mention. request (Request): it. gold (str): id of its one concept."""

    request: Request
    gold: str


def fit_ranker(linker: Linker, cases: Sequence[Case]) -> Dict[str, Any]:
    """Fit a linear ranker and the probability that its first choice is right.

    linker (Linker): base and candidates. cases (Sequence[Case]): training mentions.
    RETURNS (Dict[str, Any]): "features", "weights", "scale", "offset", and what it was fitted on.
    RAISES (ValueError): the base proposes the right concept of no mention.
    """
    keys = [linker.key_of(case.request) for case in cases]
    distinct = list(dict.fromkeys(keys))
    table = dict(zip(distinct, linker.rows(distinct)))
    compared = [
        (table[key], _right(linker, table[key], case.gold)) for key, case in zip(keys, cases)
    ]
    if not any(right for _, right in compared):
        raise ValueError(
            f"The base proposes the right concept of none of {len(cases)} mentions: expected ids "
            "of the corpora among those of the base. Build it from ontologies that have them."
        )
    weights = numpy.array([START.get(name, 1.0) for name in FEATURES])
    for _ in range(ROUNDS):
        weights = _logistic(_differences(compared, weights), weights)
    scale, offset = _calibrate(compared, weights)
    return {
        "features": list(FEATURES),
        "weights": [round(float(x), 4) for x in weights],
        "scale": round(scale, 4),
        "offset": round(offset, 4),
        "mentions": len(cases),
        "with_right_candidate": sum(bool(right) for _, right in compared),
    }


def _right(linker: Linker, rows: Rows, gold: str) -> List[str]:
    return [id_ for id_ in rows if gold in linker.base.ids_of(id_)]


def _differences(
    compared: Iterable[Tuple[Rows, List[str]]], weights: NDArray
) -> NDArray[numpy.float64]:
    """Best row of the right concept less that of each wrong one, shape (pairs, features)."""
    found = []
    for rows, right in compared:
        if right:
            best = {id_: max(x, key=lambda row: float(weights @ row)) for id_, x in rows.items()}
            value = {id_: float(weights @ row) for id_, row in best.items()}
            good = numpy.array(best[max(right, key=value.__getitem__)])
            wrong = sorted(set(best) - set(right), key=lambda id_: (-value[id_], id_))
            found += [good - best[id_] for id_ in wrong[:NEGATIVES]]
    return numpy.array(found)


def _logistic(differences: NDArray, weights: NDArray) -> NDArray:
    from sklearn.linear_model import LogisticRegression

    if not len(differences):
        return weights
    both = numpy.concatenate([differences, -differences])
    labels = numpy.repeat([1, 0], len(differences))
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=1000).fit(both, labels)
    return model.coef_[0]


def _calibrate(compared: Iterable[Tuple[Rows, List[str]]], weights: NDArray) -> Tuple[float, float]:
    """Scale and offset of a logistic function from the first choice's score to its being right."""
    from sklearn.linear_model import LogisticRegression

    scores: List[float] = []
    labels: List[bool] = []
    for rows, right in compared:
        if rows:
            score, first = max((best_score(x, weights), id_) for id_, x in rows.items())
            scores.append(score)
            labels.append(first in right)
    if len(set(labels)) < 2:
        return 1.0, -float(numpy.mean(scores))
    model = LogisticRegression().fit(numpy.array(scores)[:, None], labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
