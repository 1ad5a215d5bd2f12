"""Choices of sentences to see a summariser beside: the first ones, any, the central, the best."""

import random
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

LEAD, RANDOM, RANK, ORACLE = "lead-k", "random", "TextRank-style", "greedy oracle"
GOLD = "gold sentences"
DRAWS = 5
DAMPING, TOLERANCE, MOST_STEPS = 0.85, 1e-8, 200
Span = Tuple[int, int]
Choice = Tuple[int, ...]


@dataclass(frozen=True)
class Judged:
    """A text, what may be chosen of it, and what ought to be. Offsets are in characters.

    id (str): of the text. text (str): what is summarised.
    sentences (Tuple[Span, ...]): start and end of each.
    costs (Tuple[int, ...]): of each sentence. limit (int): of the costs of a choice.
    reference (str): the summary.
    best (Choice): what a greedy oracle chooses under the same limit.
    chosen (Optional[Choice]): what people chose, if they chose sentences.
    facts (Tuple[Tuple[Span, ...], ...]): must-haves: for each the places that name it, one of which
        is enough.
    """

    id: str
    text: str
    sentences: Tuple[Span, ...]
    costs: Tuple[int, ...]
    limit: int
    reference: str
    best: Choice
    chosen: Optional[Choice] = None
    facts: Tuple[Tuple[Span, ...], ...] = ()


def choose_rows(item: Judged, seed: int = 0) -> Dict[str, List[Choice]]:
    """Choose sentences of a text in every plain way, all under its limit.

    item (Judged): the text. seed (int): of the random choices; the id of the text counts as well.
    RETURNS (Dict[str, List[Choice]]): by row, a choice, or DRAWS of them for RANDOM; what people
        chose under GOLD, if they did.
    """
    n = len(item.sentences)
    scores = rank_sentences([item.text[start:end] for start, end in item.sentences])
    orders = {LEAD: [list(range(n))], RANK: [list(np.argsort(-scores, kind="stable"))]}
    draw = random.Random(f"{seed} {item.id}")
    orders[RANDOM] = [draw.sample(range(n), n) for _ in range(DRAWS)]
    rows = {
        name: [spend(order, item.costs, item.limit) for order in orders[name]]
        for name in (LEAD, RANDOM, RANK)
    }
    rows[ORACLE] = [item.best]
    return rows if item.chosen is None else {**rows, GOLD: [item.chosen]}


def spend(order: Sequence[int], costs: Sequence[int], limit: int) -> Choice:
    """Take sentences in an order; those that no longer fit are passed over.

    order (Sequence[int]): indices, the most wanted first. costs (Sequence[int]): by index.
    limit (int): of the sum of costs.
    RETURNS (Choice): indices, ascending.
    """
    taken = []
    for i in order:
        if costs[i] <= limit:
            limit -= costs[i]
            taken.append(int(i))
    return tuple(sorted(taken))


def rank_sentences(texts: Sequence[str]) -> np.ndarray:
    """Score sentences by how central they are: PageRank over the cosines of their TF-IDF words.

    As TextRank (Mihalcea and Tarau 2004) and LexRank (Erkan and Radev 2004), in the simplest form.

    texts (Sequence[str]): sentences of one text.
    RETURNS (np.ndarray): (sentences,) scores that sum to 1.
    """
    # imported here: a second, which pipelines should not wait for
    from sklearn.feature_extraction.text import TfidfVectorizer

    n = len(texts)
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b")
    analyze = words.build_analyzer()
    if not any(map(analyze, texts)):
        return np.full(n, 1 / max(n, 1))
    found = words.fit_transform(texts)
    return page_rank((found @ found.T).toarray())


def page_rank(weights: np.ndarray) -> np.ndarray:
    """Find the stationary distribution of a walk over a graph.

    weights (np.ndarray): (nodes, nodes) not negative; the diagonal does not count.
    RETURNS (np.ndarray): (nodes,) probabilities; a node without neighbours leads anywhere.
    """
    n = len(weights)
    steps = weights * (1 - np.eye(n))
    total = steps.sum(axis=1, keepdims=True)
    steps = np.divide(steps, total, out=np.full((n, n), 1 / n), where=total > 0)
    scores = np.full(n, 1 / n)
    for _ in range(MOST_STEPS):
        new = (1 - DAMPING) / n + DAMPING * scores @ steps
        moved, scores = np.abs(new - scores).sum(), new
        if moved < TOLERANCE:
            break
    return scores
