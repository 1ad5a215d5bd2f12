"""Encoders side by side on the same hidden words."""

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

from ..corpora.passages import Passage, read_texts
from .lm_score import guess, load_guesser, train_head
from .text_cache import is_held_out

TRAINED_ON = 20_000  # documents at most for the heads
Texts = Dict[str, List[Passage]]


def read_texts_to_score(
    texts: Sequence[Path], train: Path, held_out: float, sources: Sequence[str], limit: int
) -> Tuple[Texts, List[Passage]]:
    """Read what is scored, and what heads are trained on.

    texts (Sequence[Path]): Files, folders or patterns.
    train (Path): Text for the heads.
    held_out (float): Share that pretraining held out of it; kept from the heads and scored.
    sources (Sequence[str]): Of the held-out documents, those to score; all if empty.
    limit (int): Most held-out documents to score.
    RETURNS (Tuple[Texts, List[Passage]]): Texts by name, and documents for the heads.
    RAISES (ValueError): Nothing to score or to train on.
    """
    scored: Texts = {str(path): list(read_texts(path)) for path in texts}
    kept: List[Passage] = []
    training: List[Passage] = []
    for passage in read_texts(train):
        if held_out and is_held_out(passage.text, held_out):
            if len(kept) < limit and (not sources or passage.source in sources):
                kept.append(passage)
        elif len(training) < TRAINED_ON:
            training.append(passage)
    if kept:
        scored[f"held out of {train.name}"] = kept
    if not scored or not training:
        raise ValueError(f"{train}: no document to train heads on, or nothing to score.")
    return scored, training


def compare(
    encoders: Sequence[str],
    texts: Texts,
    training: List[Passage],
    *,
    steps: int,
    seeds: Iterable[int],
    own_head: bool,
    on_step: Callable[[], None] = lambda: None,
) -> List[Dict[str, Any]]:
    """Score encoders.

    encoders (Sequence[str]): Checkpoints.
    texts (Texts): What to score on.
    training (List[Passage]): What fresh heads are trained on, the same for all.
    steps (int): Updates of a fresh head.
    seeds (Iterable[int]): Choices of hidden words.
    own_head (bool): Add a row with the head that the checkpoint has.
    on_step (Callable): Called after each update.
    RETURNS (List[Dict[str, Any]]): A row for each encoder, head and text.
    """
    choices = [10_000 + seed for seed in seeds]
    rows: List[Dict[str, Any]] = []
    for name in encoders:
        guesser = load_guesser(name, fresh_head=True)
        train_head(guesser, training, steps, on_step=lambda n: on_step())
        heads = [("fresh", guesser)]
        if own_head:
            heads.append(("own", load_guesser(name, fresh_head=False)))
        for head, one in heads:
            for text, passages in texts.items():
                found = guess(one, passages, choices)
                rows.append({"encoder": name, "head": head, "text": text, **found})
    return rows
