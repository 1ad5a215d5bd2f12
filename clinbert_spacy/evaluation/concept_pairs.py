"""Chemical-induced disease (BioCreative V CDR): pairs of concepts of a document, end to end."""

from typing import Any, Dict, List, NamedTuple, Sequence, Set, Tuple

import numpy

from .scorers import Counts, bootstrap, prf

Pair = Tuple[str, str]
Ids = Tuple[str, ...]
PROTOCOL = (
    "document level: pairs of MeSH ids of a chemical and a disease it induces; entities, links and "
    "relations predicted from raw text; a pair scores the highest of its mention pairs; the "
    "threshold of each half of the documents is the best one of the other half; 95 % bootstrap "
    "interval over documents"
)


class ConceptPair(NamedTuple):
    """A predicted pair of concepts. heads (Ids), tails (Ids): ids that each concept has in the
    knowledge base. score (float): highest of its mention pairs."""

    heads: Ids
    tails: Ids
    score: float


class Document(NamedTuple):
    """A document. id (str). gold (Set[Pair]): pairs of ids. found (List[ConceptPair])."""

    id: str
    gold: Set[Pair]
    found: List[ConceptPair]


def best_of_mentions(rows: Sequence[Tuple[Ids, Ids, float]]) -> List[ConceptPair]:
    """Bring mention pairs of the same two concepts together.

    rows (Sequence): ids of the head, ids of the tail and score of each mention pair.
    RETURNS (List[ConceptPair]): each pair of concepts once.
    """
    best: Dict[Tuple[Ids, Ids], float] = {}
    for heads, tails, score in rows:
        best[heads, tails] = max(score, best.get((heads, tails), 0.0))
    return [ConceptPair(*key, score) for key, score in best.items()]


def count(document: Document, threshold: float) -> Counts:
    """Count a document's pairs. RETURNS (Counts): a gold pair is found once."""
    right: Set[Pair] = set()
    wrong = 0
    for pair in document.found:
        if pair.score < threshold:
            continue
        matched = {(a, b) for a in pair.heads for b in pair.tails} & document.gold
        right |= matched
        wrong += not matched
    return Counts(len(right), wrong, len(document.gold) - len(right))


def best_threshold(documents: Sequence[Document]) -> float:
    """Choose the threshold with the best F1. RETURNS (float): one of 99."""
    grid = numpy.linspace(0.01, 0.99, 99).tolist()
    return max(grid, key=lambda t: _f([count(document, t) for document in documents]))


def _f(counts: Sequence[Counts]) -> float:
    return prf(_sum(counts))[2]


def _sum(counts: Sequence[Counts]) -> Counts:
    total = Counts()
    for one in counts:
        total.add(one)
    return total


def score_documents(documents: Sequence[Document]) -> Dict[str, Any]:
    """Score documents, each half with the threshold of the other.

    documents (Sequence[Document]): in a fixed order; every other one is a half.
    RETURNS (Dict[str, Any]): precision, recall, f (value, low, high), thresholds, n_gold.
    """
    halves = (documents[0::2], documents[1::2])
    thresholds = [best_threshold(half) for half in halves[::-1]]
    counts = [count(d, t) for half, t in zip(halves, thresholds) for d in half]
    return {**_scores(counts), "thresholds": thresholds}


def score_as_given(documents: Sequence[Document]) -> Dict[str, Any]:
    """Score all pairs that are there. RETURNS (Dict[str, Any]): precision, recall, f, n_gold."""
    return _scores([count(document, 0.0) for document in documents])


def _scores(counts: Sequence[Counts]) -> Dict[str, Any]:
    ends = bootstrap([{"CID": one} for one in counts])
    total = _sum(counts)
    return {
        name: {"value": value, "low": ends[key][0], "high": ends[key][1]}
        for (name, key), value in zip((("precision", "p"), ("recall", "r"), ("f", "f")), prf(total))
    } | {"n_gold": total.tp + total.fn}
