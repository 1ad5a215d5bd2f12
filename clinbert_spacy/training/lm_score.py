"""How well an encoder guesses hidden words of notes, in measures that no vocabulary flatters.

The same words are hidden whatever the pieces; what counts is nats per character of hidden words
(as bits) and words guessed whole. Encoders without a masked-word head, and those with one, get a
fresh head each, trained for equally many steps on the same text with the encoder frozen.
"""

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import numpy
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import AutoTokenizer, BertForMaskedLM

from ..corpora.passages import Passage
from ..models.checkpoint import plain_backend, resolve_name
from ..models.shims import autocast_dtype
from ..nets.bert import encode_bert
from .objectives import score_pieces
from .pretrain_setup import load_masked_lm, special_pieces
from .sequences import Pieces

WORDS = 80  # words a window
RATE = 0.15
ROWS = 32
OnStep = Callable[[int], None]


@dataclass
class Guesser:
    """An encoder, frozen, with a masked-word head.

    model (BertForMaskedLM): Both.
    backend (Tokenizer): Its pieces.
    pieces (Pieces): Its special pieces.
    dtype (torch.dtype): What it computes in.
    """

    model: BertForMaskedLM
    backend: Tokenizer
    pieces: Pieces
    dtype: torch.dtype


@dataclass
class Window:
    """Some words of a text as pieces, and which of them are hidden.

    ids (NDArray): Pieces. Shape (n,).
    words (NDArray): Number of the word of each piece.
    hidden (NDArray): Whether each word is hidden. Shape (words,).
    characters (NDArray): Characters of each word. Shape (words,).
    """

    ids: NDArray
    words: NDArray
    hidden: NDArray
    characters: NDArray


def load_guesser(name: str, fresh_head: bool, seed: int = 0) -> Guesser:
    """Load an encoder for guessing.

    name (str): A checkpoint folder, a hub id, or `python:package/folder`.
    fresh_head (bool): Forget the head that it has, if any.
    seed (int): For the fresh head.
    RETURNS (Guesser): Its encoder frozen.
    """
    source = resolve_name(name)
    tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True)
    model = load_masked_lm(source)
    if fresh_head:
        torch.manual_seed(seed)
        head: Any = model.cls.predictions
        head.transform.dense.reset_parameters()
        head.transform.LayerNorm.reset_parameters()
        torch.nn.init.zeros_(head.bias)
    model.bert.requires_grad_(False)
    model.eval()
    dtype = autocast_dtype(torch.device("cpu"))
    return Guesser(model, plain_backend(tokenizer), special_pieces(tokenizer), dtype)


def hide_words(
    passages: Sequence[Passage], backend: Tokenizer, seed: int, rate: float = RATE
) -> Iterator[Window]:
    """Cut texts into windows of words and choose words to hide; the choice knows no pieces.

    passages (Sequence[Passage]): Texts.
    backend (Tokenizer): Pieces.
    seed (int): For the choice.
    rate (float): Share of the words.
    YIELDS (Window): Those with a hidden word.
    """
    for number, passage in enumerate(passages):
        rng = numpy.random.default_rng([seed, number])
        encoded = backend.encode(passage.text, add_special_tokens=False)
        words = numpy.array(encoded.word_ids, dtype="int64")
        offsets = numpy.array(encoded.offsets, dtype="int64").reshape(-1, 2)
        if not len(words):
            continue
        hidden = rng.random(int(words.max()) + 1) < rate
        for first in range(0, len(hidden), WORDS):
            part = slice(*numpy.searchsorted(words, [first, first + WORDS]))
            chosen = hidden[first : first + WORDS]
            if chosen.any() and part.stop > part.start:
                here = words[part] - first
                sizes = numpy.bincount(
                    here, offsets[part, 1] - offsets[part, 0], minlength=len(chosen)
                )
                yield Window(numpy.array(encoded.ids[part]), here, chosen, sizes)


def _batch(
    windows: Sequence[Window], pieces: Pieces, limit: int
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids with hidden words masked, the mask, places of hidden pieces and what stood there."""
    longest = min(limit, 2 + max(len(w.ids) for w in windows))
    ids = numpy.full((len(windows), longest), pieces.pad, dtype="int64")
    wanted = numpy.full_like(ids, -1)
    for row, window in enumerate(windows):
        n = min(len(window.ids), longest - 2)
        ids[row, 0], ids[row, n + 1] = pieces.cls, pieces.sep
        hidden = window.hidden[window.words[:n]]
        ids[row, 1 : n + 1] = numpy.where(hidden, pieces.mask, window.ids[:n])
        wanted[row, 1 : n + 1] = numpy.where(hidden, window.ids[:n], -1)
    places = numpy.flatnonzero(wanted >= 0)
    labels = wanted.reshape(-1)[places]
    mask = torch.from_numpy((ids != pieces.pad).astype("int64"))
    return torch.from_numpy(ids), mask, torch.from_numpy(places), torch.from_numpy(labels)


def _score(guesser: Guesser, windows: Sequence[Window]) -> Tuple[torch.Tensor, torch.Tensor]:
    limit = int(guesser.model.config.max_position_embeddings)
    ids, mask, places, labels = _batch(windows, guesser.pieces, limit)
    with torch.no_grad():
        hidden = encode_bert(guesser.model.bert, ids, mask, dtype=guesser.dtype)
    chosen = hidden.reshape(-1, hidden.shape[-1])[places]
    return score_pieces(guesser.model, chosen), labels


def train_head(
    guesser: Guesser,
    passages: Sequence[Passage],
    steps: int,
    *,
    seed: int = 0,
    learn_rate: float = 1e-3,
    on_step: OnStep = lambda n: None,
) -> float:
    """Train the head alone, the encoder and the embeddings frozen.

    guesser (Guesser): Changed in place.
    passages (Sequence[Passage]): Text, other than what is scored; cycled if it is short.
    steps (int): Updates of 32 windows.
    seed (int): For the hidden words.
    learn_rate (float): At the start; it falls to nothing.
    on_step (Callable[[int], None]): Called with the updates done.
    RETURNS (float): Mean loss of the last tenth.
    """
    head: Any = guesser.model.cls.predictions
    parameters = [*head.transform.parameters(), head.bias]
    optimizer = torch.optim.AdamW(parameters, lr=learn_rate, weight_decay=0.0)
    losses: List[float] = []
    stream = _endless(passages, guesser.backend, seed)
    for step in range(steps):
        windows = [next(stream) for _ in range(ROWS)]
        scores, labels = _score(guesser, windows)
        loss = F.cross_entropy(scores, labels)
        loss.backward()
        optimizer.param_groups[0]["lr"] = learn_rate * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        on_step(step + 1)
    return float(numpy.mean(losses[-max(1, steps // 10) :])) if losses else math.nan


def _endless(passages: Sequence[Passage], backend: Tokenizer, seed: int) -> Iterator[Window]:
    number = 0
    while True:
        found = False
        for window in hide_words(passages, backend, seed * 1000 + number):
            found = True
            yield window
        if not found:
            raise ValueError("The training text holds no word to hide.")
        number += 1


@torch.no_grad()
def guess(guesser: Guesser, passages: Sequence[Passage], seeds: Sequence[int]) -> Dict[str, float]:
    """Score an encoder on texts.

    guesser (Guesser): Encoder and head.
    passages (Sequence[Passage]): Texts that neither saw.
    seeds (Sequence[int]): One choice of hidden words each.
    RETURNS (Dict[str, float]): `bits_per_character` of hidden words, `word_accuracy` (all pieces
        right), `words` and `characters` hidden, `pieces_per_word`.
    RAISES (ValueError): No word to hide.
    """
    nats, right, words, characters, pieces = 0.0, 0, 0, 0.0, 0
    for seed in seeds:
        windows = list(hide_words(passages, guesser.backend, seed))
        for at in range(0, len(windows), ROWS):
            group = windows[at : at + ROWS]
            scores, labels = _score(guesser, group)
            losses = F.cross_entropy(scores, labels, reduction="none").numpy()
            hits = (scores.argmax(1) == labels).numpy()
            owner = _owners(group)[: len(labels)]
            nats += float(losses.sum())
            wrong = numpy.bincount(owner, ~hits)
            right += int((wrong == 0).sum())
            words += len(wrong)
            pieces += len(labels)
            characters += sum(float(w.characters[w.hidden].sum()) for w in group)
    if not words:
        raise ValueError("The texts hold no word to hide.")
    return {
        "bits_per_character": nats / math.log(2) / characters,
        "word_accuracy": right / words,
        "words": words,
        "characters": int(characters),
        "pieces_per_word": pieces / words,
    }


def _owners(windows: Sequence[Window]) -> NDArray:
    """Number the hidden words of a batch, one number a hidden piece."""
    found, base = [], 0
    for window in windows:
        number = numpy.cumsum(window.hidden) - 1
        here = window.hidden[window.words]
        found.append(base + number[window.words[here]])
        # A word that the normaliser emptied has no piece and no number.
        base += int(window.hidden.sum())
    owners = numpy.concatenate(found)
    return numpy.unique(owners, return_inverse=True)[1]
