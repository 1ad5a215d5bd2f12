"""From tokenised documents to rows of fixed length: which stretch, in which order, in what pair."""

from typing import Dict, Mapping, NamedTuple, Tuple

import numpy
from numpy.typing import NDArray

from .text_cache import SENTENCE, WORD, TextCache

SHORTEST = 8  # pieces of a document below which it teaches nothing
NEXT, ELSEWHERE, SWAPPED = 0, 1, 2  # what the second half of a row is to the first


class Pieces(NamedTuple):
    """Ids of special pieces, and the size of the vocabulary."""

    cls: int
    sep: int
    pad: int
    mask: int
    size: int


class Rows(NamedTuple):
    """A batch of rows, `[CLS] first [SEP] second [SEP]` or `[CLS] text [SEP]`.

    ids, flags, entries (NDArray): As in `TextCache`, 0 at special pieces. Shape (rows, length).
    segments (NDArray): 0 or 1. Shape (rows, length).
    inner (NDArray): True for pieces of text. Shape (rows, length).
    mask (NDArray): False for padding. Shape (rows, length).
    kinds (NDArray): NEXT, ELSEWHERE, SWAPPED; -1 for rows without a pair. Shape (rows,).
    """

    ids: NDArray
    flags: NDArray
    entries: NDArray
    segments: NDArray
    inner: NDArray
    mask: NDArray
    kinds: NDArray


def plan_pass(
    cache: TextCache, weights: Mapping[str, float], body: int, seed: int, number: int
) -> NDArray:
    """List the stretches of one pass over the text, in random order.

    cache (TextCache): Documents.
    weights (Mapping[str, float]): How often a source is read in a pass; a fraction by chance. A
        source that is not named is read once.
    body (int): Pieces a stretch. A document's stretches cover it whole, and begin elsewhere in
        each pass; its first and last overlap their neighbours rather than be short.
    seed (int): For order and chances.
    number (int): Number of the pass.
    RETURNS (NDArray): Document, first piece, length. Shape (stretches, 3).
    RAISES (ValueError): A weight for a source that is not there, or below 0.
    """
    _check_weights(cache, weights)
    rng = numpy.random.default_rng([seed, number])
    rows = _stretches(numpy.diff(cache.documents), body, rng)
    rows[:, 1] += cache.documents[rows[:, 0]]
    times = numpy.array([float(weights.get(name, 1.0)) for name in cache.names])
    wanted = times[cache.sources[rows[:, 0]]] if len(rows) else numpy.zeros(0)
    repeats = numpy.floor(wanted) + (rng.random(len(rows)) < wanted % 1)
    rows = numpy.repeat(rows, repeats.astype(int), axis=0)
    return rng.permutation(rows)


def _check_weights(cache: TextCache, weights: Mapping[str, float]) -> None:
    unknown = sorted(set(weights) - set(cache.names))
    if unknown:
        known = ", ".join(sorted(cache.names))
        raise ValueError(f"[text.weights] {unknown}: no such source. The text has: {known}.")
    wrong = {name: weight for name, weight in weights.items() if not 0 <= weight <= 1000}
    if wrong:
        raise ValueError(f"[text.weights] {wrong}: expected numbers from 0 to 1000.")


def _stretches(lengths: NDArray, body: int, rng: numpy.random.Generator) -> NDArray:
    documents = numpy.flatnonzero(lengths >= SHORTEST)
    long = lengths[documents] > body
    shifts = numpy.where(long, rng.integers(0, body, len(documents)), 0)
    counts = numpy.where(long, -(-(lengths[documents] + shifts) // body), 1)
    owner = numpy.repeat(numpy.arange(len(documents)), counts)
    number = numpy.arange(len(owner)) - numpy.repeat(numpy.cumsum(counts) - counts, counts)
    last = numpy.maximum(lengths[documents][owner] - body, 0)
    starts = numpy.clip(number * body - shifts[owner], 0, last)
    sizes = numpy.minimum(lengths[documents][owner], body)
    return numpy.stack([documents[owner], starts, sizes], 1).astype("int64")


def make_rows(
    cache: TextCache,
    stretches: NDArray,
    length: int,
    pieces: Pieces,
    rng: numpy.random.Generator,
    pairs: Tuple[float, float],
) -> Rows:
    """Write stretches as rows.

    cache (TextCache): Documents.
    stretches (NDArray): From `plan_pass`, with `body` = length - 3. Shape (rows, 3).
    length (int): Pieces a row.
    pieces (Pieces): Special pieces.
    rng (numpy.random.Generator): Chooses pairs.
    pairs (Tuple[float, float]): Share of rows whose second half is from elsewhere in the same
        document, and whose halves are swapped. Both 0: rows without pairs.
    RETURNS (Rows): Padded to the longest.
    """
    paired = sum(pairs) > 0
    rows = _empty_rows(len(stretches), length, pieces)
    for i, (document, start, size) in enumerate(stretches.tolist()):
        halves, kind = [(start, start + size)], -1
        if paired:
            halves, kind = _pair(cache, document, start, start + size, rng, pairs)
        _write(cache, rows, i, halves, pieces)
        rows.kinds[i] = kind
    longest = int(rows.mask.sum(1).max()) if len(stretches) else 0
    return Rows(*(a[:, :longest] for a in rows[:-1]), kinds=rows.kinds)


def _empty_rows(n: int, length: int, pieces: Pieces) -> Rows:
    shape = (n, length)
    return Rows(
        ids=numpy.full(shape, pieces.pad, dtype="int64"),
        flags=numpy.zeros(shape, dtype="uint8"),
        entries=numpy.zeros(shape, dtype="int32"),
        segments=numpy.zeros(shape, dtype="int64"),
        inner=numpy.zeros(shape, dtype=bool),
        mask=numpy.zeros(shape, dtype=bool),
        kinds=numpy.full(n, -1),
    )


def _write(cache: TextCache, rows: Rows, i: int, halves: list, pieces: Pieces) -> None:
    rows.ids[i, 0] = pieces.cls
    at = 1
    for number, (start, end) in enumerate(halves):
        place = slice(at, at + end - start)
        rows.ids[i, place] = cache.ids[start:end]
        rows.flags[i, place] = cache.flags[start:end]
        rows.entries[i, place] = cache.entries[start:end]
        rows.inner[i, place] = True
        rows.ids[i, place.stop] = pieces.sep
        rows.segments[i, at : place.stop + 1] = number
        at = place.stop + 1
    rows.mask[i, :at] = True


def _pair(
    cache: TextCache,
    document: int,
    start: int,
    end: int,
    rng: numpy.random.Generator,
    pairs: Tuple[float, float],
) -> Tuple[list, int]:
    """Cut a stretch in two and choose what the second half is."""
    cut = start + _middle(cache.flags[start:end])
    draw = rng.random()
    first, second = (start, cut), (cut, end)
    if draw < pairs[0]:
        other = _elsewhere(cache, document, start, end, cut, rng)
        return ([first, other], ELSEWHERE) if other else ([first, second], NEXT)
    if draw < sum(pairs):
        return [second, first], SWAPPED
    return [first, second], NEXT


def _middle(flags: NDArray) -> int:
    """Find a sentence's start near the middle, else a word's."""
    size = len(flags)
    for bit in (SENTENCE, WORD):
        places = numpy.flatnonzero(flags & bit)
        places = places[(places >= size // 4) & (places <= size - size // 4) & (places > 0)]
        if len(places):
            return int(places[numpy.argmin(numpy.abs(places - size // 2))])
    return max(1, size // 2)


def _elsewhere(
    cache: TextCache, document: int, start: int, end: int, cut: int, rng: numpy.random.Generator
) -> Tuple[int, int]:
    """Choose a stretch of the same document as long as the second half, outside of the first
    stretch. RETURNS (Tuple[int, int]): Empty where the document has none."""
    left, right = (int(i) for i in cache.documents[document : document + 2])
    size = end - cut
    before, after = max(0, start - size - left + 1), max(0, right - size - end + 1)
    # The piece right at `end` would follow on the second half, not on the first.
    if before + after <= 0:
        return ()  # type: ignore[return-value]
    draw = int(rng.integers(before + after))
    begin = left + draw if draw < before else end + draw - before
    starts = numpy.flatnonzero(cache.flags[begin : begin + size] & WORD)
    shift = int(starts[0]) if len(starts) else 0
    begin = min(begin + shift, right - size) if draw >= before else begin
    return begin, begin + size


def pass_sizes(
    cache: TextCache, weights: Mapping[str, float], body: int
) -> Tuple[float, Dict[str, float]]:
    """Expect how many stretches a pass has. RETURNS: All, and pieces by source."""
    counts = {name: n * float(weights.get(name, 1.0)) for name, n in cache.count().items()}
    return sum(counts.values()) / body, counts
