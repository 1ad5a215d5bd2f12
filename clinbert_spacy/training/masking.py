"""Which pieces a language model has to guess: whole words, or whole names of concepts."""

from typing import NamedTuple, Tuple

import numpy
from numpy.typing import NDArray

from .text_cache import MENTION, WORD

MASKED, RANDOM = 0.8, 0.1  # Devlin et al. 2019: the rest is kept as it is


class Masked(NamedTuple):
    """A batch with pieces hidden.

    ids (NDArray): Ids with the hidden ones replaced. Shape (rows, length).
    positions (NDArray): Where, in the flattened batch. Shape (hidden,).
    labels (NDArray): What stood there. Shape (hidden,).
    """

    ids: NDArray
    positions: NDArray
    labels: NDArray


def find_units(
    flags: NDArray, entries: NDArray, inner: NDArray, *, whole_words: bool, whole_entities: bool
) -> NDArray:
    """Number what is hidden or shown as one.

    flags (NDArray): As in `TextCache`. Shape (rows, length).
    entries (NDArray): Lexicon entry plus one. Shape (rows, length).
    inner (NDArray): True for pieces of text, False for special ones and padding.
    whole_words (bool): A word is one unit; otherwise each piece.
    whole_entities (bool): A name of the lexicon is one unit.
    RETURNS (NDArray): Unit of each piece, growing along the flattened batch. Shape as `flags`.
    """
    begins = (flags & WORD > 0) if whole_words else numpy.ones_like(inner)
    if whole_entities:
        begins = numpy.where(entries > 0, flags & MENTION > 0, begins)
    # A row that begins inside a unit, and every special piece, begin one of their own.
    begins = begins | ~inner
    begins[:, 0] = True
    begins[:, 1:] |= ~inner[:, :-1]
    return numpy.cumsum(begins.reshape(-1)).reshape(begins.shape) - 1


def mask_units(
    ids: NDArray,
    units: NDArray,
    inner: NDArray,
    rng: numpy.random.Generator,
    *,
    rate: float,
    mask_id: int,
    pieces: Tuple[int, int],
) -> Masked:
    """Hide a share of the units.

    ids (NDArray): Piece ids. Shape (rows, length).
    units (NDArray): From `find_units`.
    inner (NDArray): Pieces that may be hidden.
    rng (numpy.random.Generator): Chooses.
    rate (float): Share of the units.
    mask_id (int): Id of the mask piece.
    pieces (Tuple[int, int]): First and one past the last id that a random piece may have.
    RETURNS (Masked): At least one piece is hidden where there is any.
    """
    draws = rng.random(int(units.max()) + 1 if units.size else 0)
    chosen = (draws[units] < rate) & inner
    if not chosen.any() and inner.any():
        chosen = inner & (units == units[inner][rng.integers(int(inner.sum()))])
    positions = numpy.flatnonzero(chosen)
    labels = ids.reshape(-1)[positions].astype("int64")
    hidden = ids.copy()
    how = rng.random(len(positions))
    replaced = numpy.where(how < MASKED, mask_id, rng.integers(*pieces, size=len(positions)))
    hidden.reshape(-1)[positions] = numpy.where(how < MASKED + RANDOM, replaced, labels)
    return Masked(hidden, positions, labels)
