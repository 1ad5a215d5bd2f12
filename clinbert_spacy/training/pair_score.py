"""How well next sentences are told from others of the same note, beside bags of words."""

import math
from pathlib import Path
from typing import Dict, List, Sequence

import numpy
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from ..nets.bert import encode_bert
from .lm_score import Guesser
from .sequences import NEXT, Rows, make_rows, plan_pass
from .text_cache import TextCache

ROWS = 32
LENGTH = 128
TRAINED_ON = 8000  # pairs for the bag-of-words row


def draw_pairs(
    cache: TextCache, guesser: Guesser, sources: Sequence[str], count: int, seed: int
) -> List[Rows]:
    """Draw pairs, half of them with a second half from elsewhere in the same document.

    cache (TextCache): Documents.
    guesser (Guesser): For its special pieces.
    sources (Sequence[str]): Sources to draw from; all if empty.
    count (int): Pairs.
    seed (int): For the draw.
    RETURNS (List[Rows]): Batches.
    RAISES (ValueError): A source that is not there, or none with long enough documents.
    """
    weights = {name: float(not sources or name in sources) for name in cache.names}
    unknown = sorted(set(sources) - set(cache.names))
    if unknown:
        raise ValueError(f"No source {unknown} in the text: it has {sorted(cache.names)}.")
    length = min(LENGTH, int(guesser.model.config.max_position_embeddings))
    stretches = plan_pass(cache, weights, length - 3, seed, 0)[:count]
    if not len(stretches):
        raise ValueError("No document is long enough for a pair.")
    rng = numpy.random.default_rng([seed, 2])
    return [
        make_rows(cache, stretches[at : at + ROWS], length, guesser.pieces, rng, (0.5, 0.0))
        for at in range(0, len(stretches), ROWS)
    ]


def score_pairs(
    guesser: Guesser, folder: Path, train: TextCache, held_out: TextCache, sources: Sequence[str],
    count: int = 2000, seed: int = 0,
) -> Dict[str, float]:  # fmt: skip
    """Score the pair head that pretraining left, and a bag-of-words classifier, on the same pairs.

    guesser (Guesser): The encoder.
    folder (Path): Its checkpoint, with `heads.safetensors`.
    train (TextCache): What the bag-of-words classifier is fitted on.
    held_out (TextCache): What both are scored on.
    sources (Sequence[str]): Sources to score on; all if empty.
    count (int): Pairs to score.
    seed (int): For the draws.
    RETURNS (Dict[str, float]): Accuracies `encoder`, `bag_of_words`, `always_next`; `pairs`.
    """
    batches = draw_pairs(held_out, guesser, sources, count, seed)
    labels = numpy.concatenate([_labels(rows) for rows in batches])
    heads = load_file(folder / "heads.safetensors")
    guessed = numpy.concatenate([_guess(guesser, heads, rows) for rows in batches])
    idf = _idf(train, guesser.pieces.size)
    fitted = _fit(draw_pairs(train, guesser, (), TRAINED_ON, seed), idf)
    counted = fitted.predict(numpy.concatenate([_features(rows, idf) for rows in batches]))
    return {
        "encoder": float((guessed == labels).mean()),
        "bag_of_words": float((counted == labels).mean()),
        "always_next": float(labels.mean()),
        "pairs": len(labels),
    }


def _labels(rows: Rows) -> NDArray:
    return (rows.kinds == NEXT).astype(int)


@torch.no_grad()
def _guess(guesser: Guesser, heads: Dict[str, torch.Tensor], rows: Rows) -> NDArray:
    hidden = encode_bert(
        guesser.model.bert,
        torch.from_numpy(rows.ids),
        torch.from_numpy(rows.mask.astype("int64")),
        torch.from_numpy(rows.segments),
        dtype=guesser.dtype,
    )
    pooled = torch.tanh(
        F.linear(hidden[:, 0].float(), heads["pool.0.weight"], heads["pool.0.bias"])
    )
    scores = F.linear(pooled, heads["pairs.next.weight"], heads["pairs.next.bias"])
    return scores.argmax(1).numpy()


def _idf(cache: TextCache, size: int) -> NDArray:
    n = min(len(cache.ids), 2_000_000)
    counts = numpy.bincount(cache.ids[:n], minlength=size)
    return numpy.log((n + 1) / (counts + 1)) / math.log(n + 1)


def _features(rows: Rows, idf: NDArray) -> NDArray:
    """What two bags of pieces share: idf-weighted cosine, Jaccard, counts of rare shared ones."""
    found = []
    for i in range(len(rows.ids)):
        first, second = (
            numpy.unique(rows.ids[i][rows.inner[i] & (rows.segments[i] == side)]) for side in (0, 1)
        )
        shared = numpy.intersect1d(first, second)
        norms = [numpy.sqrt((idf[bag] ** 2).sum()) for bag in (first, second)]
        cosine = (idf[shared] ** 2).sum() / max(1e-9, norms[0] * norms[1])
        jaccard = len(shared) / max(1, len(numpy.union1d(first, second)))
        rare = [(idf[shared] > edge).sum() for edge in (0.4, 0.5, 0.6)]
        found.append([cosine, jaccard, len(shared), *rare, len(first), len(second)])
    return numpy.array(found, dtype="float64")


def _fit(batches: Sequence[Rows], idf: NDArray) -> LogisticRegression:
    features = numpy.concatenate([_features(rows, idf) for rows in batches])
    labels = numpy.concatenate([_labels(rows) for rows in batches])
    scale = features.std(0) + 1e-9
    fitted = LogisticRegression(max_iter=1000).fit(features / scale, labels)
    # predict takes unscaled features
    fitted.coef_ = fitted.coef_ / scale
    return fitted
