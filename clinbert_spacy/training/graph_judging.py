"""Triples held out, and how well scores of tails find them again."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray

from ..corpora.ontologies_files import SAME_CLASS, SYNONYM_OF
from .graph_links import Link

HELD_OUT = 0.05  # of the pairs, each for development and test
HITS = 10
# Both follow from what else is known, the tree and the names: to guess them proves nothing.
NOT_LEARNED = (SAME_CLASS, SYNONYM_OF)
_JUDGED = 256  # queries at a time

Triples = NDArray[numpy.int64]
Numbers = NDArray[numpy.int64]
# Scores of every concept as the tail of heads and relations, shape (queries, concepts).
Scorer = Callable[[Numbers, Numbers], NDArray[numpy.float32]]
_Pair = Tuple[int, int]


class Parts(NamedTuple):
    """Triples to learn from, to choose settings by, and to judge by: each of shape (triples, 3)."""

    train: Triples
    dev: Triples
    test: Triples


def relations_of(links: Sequence[Link]) -> List[str]:
    """Name the relations that are learned, in the order of their numbers."""
    return sorted({link.relation for link in links} - set(NOT_LEARNED))


def number_links(links: Sequence[Link], relations: Sequence[str]) -> Triples:
    """Turn triples into numbers.

    links (Sequence[Link]): triples. relations (Sequence[str]): those that count, in order.
    RETURNS (Triples): head, relation, tail. Shape (triples, 3).
    """
    numbers = {name: number for number, name in enumerate(relations)}
    rows = [(x.head, numbers[x.relation], x.tail) for x in links if x.relation in numbers]
    return numpy.array(rows, dtype=numpy.int64).reshape(-1, 3)


def split_triples(triples: Triples, seed: int) -> Parts:
    """Split triples 90/5/5, so that nothing held out follows from what is learned.

    All triples of the same two concepts, in whatever direction and relation, stay together. What
    is held out has both its concepts among what is learned.

    triples (Triples): shape (triples, 3).
    seed (int): of the draw.
    RETURNS (Parts): the triples, each in one part.
    """
    groups: Dict[_Pair, List[int]] = {}
    left: Dict[int, int] = {}
    for row, (head, _, tail) in enumerate(triples.tolist()):
        groups.setdefault((min(head, tail), max(head, tail)), []).append(row)
        for end in (head, tail):
            left[end] = left.get(end, 0) + 1
    pairs, wanted = list(groups), round(HELD_OUT * len(groups))
    held: List[_Pair] = []
    for number in numpy.random.default_rng(seed).permutation(len(pairs)).tolist():
        pair = pairs[number]
        if len(held) < 2 * wanted and all(left[end] > len(groups[pair]) for end in pair):
            held.append(pair)
            for end in pair:
                left[end] -= len(groups[pair])
    dev, test = ({row for pair in held[n::2] for row in groups[pair]} for n in (0, 1))
    train = [row for row in range(len(triples)) if row not in dev and row not in test]
    return Parts(triples[train], triples[sorted(dev)], triples[sorted(test)])


def frequency_scorer(train: Triples, n_concepts: int, n_relations: int) -> Scorer:
    """Make the baseline: a tail scores as often as it occurs with the relation in training.

    train (Triples): shape (triples, 3). n_concepts (int): concepts. n_relations (int): relations.
    RETURNS (Scorer): the baseline, which does not look at heads.
    """
    counts = numpy.zeros((n_relations, n_concepts), dtype=numpy.float32)
    numpy.add.at(counts, (train[:, 1], train[:, 2]), 1)
    return lambda heads, relations: counts[relations]


def rank_tails(scorer: Scorer, triples: Triples, known: Triples) -> NDArray[numpy.float64]:
    """Rank the true tail among all concepts, other true tails left out.

    scorer (Scorer): scores of all tails.
    triples (Triples): to be judged. Shape (triples, 3).
    known (Triples): all true triples.
    RETURNS (NDArray[float64]): ranks from 1; among equal scores, the middle. Shape (triples,).
    """
    true: Dict[_Pair, List[int]] = {}
    for head, relation, tail in known.tolist():
        true.setdefault((head, relation), []).append(tail)
    ranks: List[NDArray[numpy.float64]] = [numpy.zeros(0)]
    for start in range(0, len(triples), _JUDGED):
        rows = triples[start : start + _JUDGED]
        scores = numpy.array(scorer(rows[:, 0].copy(), rows[:, 1].copy()))
        own = scores[numpy.arange(len(rows)), rows[:, 2]][:, None]
        for row, (head, relation, _) in enumerate(rows.tolist()):
            scores[row, true[head, relation]] = -numpy.inf
        ranks.append(1 + (scores > own).sum(1) + (scores == own).sum(1) / 2)
    return numpy.concatenate(ranks)


def summarise(
    ranks: NDArray[numpy.float64], triples: Triples, relations: Sequence[str]
) -> Dict[str, Mapping[str, float]]:
    """Sum ranks up.

    ranks (NDArray[float64]): of each triple. triples (Triples): the triples.
    relations (Sequence[str]): names of the relations.
    RETURNS (Dict[str, Mapping[str, float]]): n, mrr (mean reciprocal rank) and hits_at_10 (share
        among the first ten), by relation and over all triples ("micro").
    """
    chosen = {name: triples[:, 1] == number for number, name in enumerate(relations)}
    chosen = {name: rows for name, rows in chosen.items() if rows.any()}
    chosen["micro"] = numpy.ones(len(triples), dtype=bool)
    return {
        name: {
            "n": int(rows.sum()),
            "mrr": _mean(1 / ranks[rows]),
            f"hits_at_{HITS}": _mean(ranks[rows] <= HITS),
        }
        for name, rows in chosen.items()
    }


def _mean(values: NDArray[Any]) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0
