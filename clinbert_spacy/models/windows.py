"""Long notes as windows of wordpieces: nothing is dropped, the most central copy wins."""

from typing import List

import numpy
from numpy.typing import NDArray

START, END, OWN_START, OWN_END = range(4)


def plan_windows(n_pieces: int, window: int, context: int) -> NDArray[numpy.int64]:
    """Cut a note into overlapping windows and say which pieces each window owns.

        |------ window 0 ------|
                       |------ window 1 ------|
        [ owned by 0      )[   owned by 1     )

    There are as few windows as may be, all of one length, no longer than that takes. Neighbours
    overlap by at least `2 * context`; the border of ownership is the middle of the overlap, so
    that a piece is read where it has most context on its poorer side.

    n_pieces (int): Wordpieces in the note, without special pieces.
    window (int): Longest window, in wordpieces.
    context (int): Wordpieces of context on either side of what a window owns.
    RETURNS (NDArray): Rows of start, end, first owned, end of owned. Shape (n_windows, 4).
    RAISES (ValueError): The context leaves a window nothing to own.
    """
    check_window(window, context)
    if n_pieces <= window:
        return numpy.array([[0, n_pieces, 0, n_pieces]], dtype="int64")
    n_windows = -(-(n_pieces - 2 * context) // (window - 2 * context))
    length = -(-(n_pieces + 2 * context * (n_windows - 1)) // n_windows)
    starts = numpy.arange(n_windows) * (n_pieces - length) // (n_windows - 1)
    ends = starts + length
    borders = (starts[1:] + ends[:-1]) // 2
    own_starts = numpy.concatenate(([0], borders))
    own_ends = numpy.concatenate((borders, [n_pieces]))
    return numpy.stack([starts, ends, own_starts, own_ends], axis=1).astype("int64")


def check_window(window: int, context: int) -> None:
    """Refuse settings that leave a window nothing to own.

    window (int): Longest window, in wordpieces.
    context (int): Wordpieces of context on either side.
    RAISES (ValueError): `context` is negative or `window <= 2 * context`.
    """
    if context < 0 or window <= 2 * context:
        raise ValueError(
            f"window = {window} and context = {context} leave no wordpieces between the contexts: "
            "set window > 2 * context and context >= 0."
        )


def batch_windows(lengths: NDArray[numpy.int64], batch_pieces: int) -> List[NDArray[numpy.int64]]:
    """Group windows of like length so that a padded batch stays below a size.

    lengths (NDArray): Length of each window. Shape (n_windows,).
    batch_pieces (int): Most wordpieces of a batch, padding included.
    RETURNS (List[NDArray]): Indices of the windows of each batch, longest windows first.
    """
    order = numpy.argsort(-lengths, kind="stable")
    batches: List[NDArray[numpy.int64]] = []
    start = 0
    while start < len(order):
        rows = max(1, batch_pieces // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def gather_rows(starts: NDArray[numpy.int64], ends: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    """Concatenate the ranges `start..end`.

    starts, ends (NDArray): Bounds of each range. Shape (n,).
    RETURNS (NDArray): All positions, range after range. Shape (sum of lengths,).
    """
    lengths = ends - starts
    offsets = numpy.repeat(starts - numpy.concatenate(([0], numpy.cumsum(lengths)[:-1])), lengths)
    return offsets + numpy.arange(int(lengths.sum()))
