"""Where the wordpieces of a batch of notes lie, and through which windows they are read."""

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.types import Ragged

from .checkpoint import WordPieces
from .windows import END, OWN_END, OWN_START, START, batch_windows, gather_rows, plan_windows

IntArray = NDArray[numpy.int64]


@dataclass
class Layout:
    """Where the pieces of a batch of notes lie.

    ids (IntArray): Piece ids of all notes. Shape (pieces,).
    starts (IntArray): First piece of each note, and the end. Shape (notes + 1,).
    aligns (List[Ragged]): Token to piece, per note, counted from the note's first piece.
    windows (IntArray): Rows as in `plan_windows`, counted over the batch. Shape (windows, 4).
    window_doc (IntArray): Note of each window. Shape (windows,).
    """

    ids: IntArray
    starts: IntArray
    aligns: List[Ragged]
    windows: IntArray
    window_doc: IntArray


def lay_out(docs: Sequence[Doc], pieces: WordPieces, window: int, context: int) -> Layout:
    """Tokenise notes into pieces and plan their windows.

    docs (Sequence[Doc]): Notes. One with tokens but no piece (white space) gets a single `unk`.
    pieces (WordPieces): The tokenizer.
    window, context (int): See `plan_windows`.
    RETURNS (Layout): Ids, alignment and windows over the batch.
    """
    ids: List[IntArray] = []
    starts, aligns, windows, owners = [0], [], [], []
    stand_in = numpy.array([pieces.special["unk"]], dtype="int64")
    for number, doc in enumerate(docs):
        found, lengths = pieces.of_doc(doc)
        aligns.append(Ragged(numpy.arange(len(found), dtype="int32"), lengths))
        ids.append(stand_in if len(doc) and not len(found) else found)
        starts.append(starts[-1] + len(ids[-1]))
        if len(ids[-1]):
            plan = plan_windows(len(ids[-1]), window, context) + starts[-2]
            windows.append(plan)
            owners.extend([number] * len(plan))
    return Layout(
        numpy.concatenate([numpy.zeros(0, dtype="int64"), *ids]),
        numpy.array(starts, dtype="int64"),
        aligns,
        numpy.concatenate(windows) if windows else numpy.zeros((0, 4), dtype="int64"),
        numpy.array(owners, dtype="int64"),
    )


def schedule(layout: Layout, n_trained: int, batch_pieces: int) -> List[Tuple[IntArray, bool]]:
    """List batches of windows, and whether each is part of the gradient.

    layout (Layout): The windows.
    n_trained (int): Windows that get a gradient; a random sample where there are more.
    batch_pieces (int): Most wordpieces in one padded batch.
    RETURNS (List[Tuple[IntArray, bool]]): Indices of windows, and whether to keep their graph.
    """
    n_windows = len(layout.windows)
    order = numpy.arange(n_windows)
    if 0 < n_trained < n_windows:
        order = numpy.random.permutation(n_windows)
    parts = [(order[:n_trained], True), (order[n_trained:], False)]
    lengths = layout.windows[:, END] - layout.windows[:, START] + 2
    return [
        (part[rows], with_grad)
        for part, with_grad in parts
        for rows in batch_windows(lengths[part], batch_pieces)
    ]


def pad_windows(
    layout: Layout, rows: IntArray, pieces: WordPieces
) -> Tuple[IntArray, NDArray[numpy.bool_]]:
    """Write windows as padded rows between their special pieces.

    layout (Layout): The windows.
    rows (IntArray): Indices of the windows.
    pieces (WordPieces): For the ids of the special pieces.
    RETURNS (Tuple[IntArray, NDArray]): Ids and mask. Shape (rows, longest + 2).
    """
    windows = layout.windows[rows]
    lengths = windows[:, END] - windows[:, START]
    ids = pad_values(layout, rows, layout.ids, pieces.special["pad"])
    ids[:, 0] = pieces.special["cls"]
    ids[numpy.arange(len(rows)), lengths + 1] = pieces.special["sep"]
    return ids, numpy.arange(ids.shape[1])[None, :] < (lengths + 2)[:, None]


def pad_values(layout: Layout, rows: IntArray, values: IntArray, fill: int = 0) -> IntArray:
    """Cut a value of each piece into padded windows, as `pad_windows` does with the ids.

    layout (Layout): The windows.
    rows (IntArray): Indices of the windows.
    values (IntArray): A value a piece. Shape (pieces,).
    fill (int): Value of special pieces and padding.
    RETURNS (IntArray): Shape (rows, longest + 2).
    """
    windows = layout.windows[rows]
    lengths = windows[:, END] - windows[:, START]
    padded = numpy.full((len(rows), int(lengths.max()) + 2), fill, dtype="int64")
    columns = numpy.arange(padded.shape[1])[None, :]
    inner = (columns > 0) & (columns <= lengths[:, None])
    padded[inner] = values[gather_rows(windows[:, START], windows[:, END])]
    return padded


def spread(layout: Layout, tokens: Sequence[IntArray]) -> IntArray:
    """Give every piece the value of its token.

    layout (Layout): The pieces.
    tokens (Sequence[IntArray]): Per note, a value a token.
    RETURNS (IntArray): A value a piece, 0 for the stand-in of a note of white space. Shape
        (pieces,).
    """
    values = numpy.zeros(len(layout.ids), dtype="int64")
    for start, align, given in zip(layout.starts, layout.aligns, tokens):
        pieces = numpy.repeat(given, align.lengths)
        values[start : start + len(pieces)] = pieces
    return values


def owned_pieces(layout: Layout, rows: IntArray) -> Tuple[IntArray, IntArray]:
    """Index the pieces that windows own.

    layout (Layout): The windows.
    rows (IntArray): Indices of the windows, in the order of `pad_windows`.
    RETURNS (Tuple[IntArray, IntArray]): Positions in the flattened padded rows, and among all
        pieces of the batch.
    """
    windows = layout.windows[rows]
    length = int((windows[:, END] - windows[:, START]).max()) + 2
    shift = numpy.arange(len(rows)) * length + 1 - windows[:, START]
    flat = gather_rows(windows[:, OWN_START] + shift, windows[:, OWN_END] + shift)
    return flat, gather_rows(windows[:, OWN_START], windows[:, OWN_END])


def owned_counts(layout: Layout, rows: IntArray) -> NDArray[numpy.float32]:
    """Count the pieces that windows own. RETURNS (NDArray): Shape (rows,)."""
    windows = layout.windows[rows]
    return (windows[:, OWN_END] - windows[:, OWN_START]).astype("float32")


def count_pieces(layout: Layout, docs: Sequence[Doc], pieces: WordPieces) -> List[dict]:
    """Count what was read of each note.

    RETURNS (List[Dict[str, int]]): tokens, wordpieces, windows, unknown (pieces that are not in
        the vocabulary) and truncated (words that got no piece) of each note.
    """
    n_windows = numpy.bincount(layout.window_doc, minlength=len(docs))
    counts = []
    for i, doc in enumerate(docs):
        align = layout.aligns[i].lengths
        n_pieces = int(align.sum())
        ids = layout.ids[layout.starts[i] : layout.starts[i] + n_pieces]
        words = doc.to_array("IS_SPACE") == 0
        counts.append(
            {
                "tokens": len(doc),
                "wordpieces": n_pieces,
                "windows": int(n_windows[i]),
                "unknown": int((ids == pieces.special["unk"]).sum()),
                "truncated": int((words & (align == 0)).sum()),
            }
        )
    return counts
