"""Names of a lexicon in notes, as small arrays: which tokens, of which kinds, with what vector."""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

from .lexicon import Lexicon
from .windows import gather_rows

IntArray = NDArray[numpy.int64]
BEGINS, ENDS = 2, 1  # bits of a state, below the number of the entry


class Knowledge(NamedTuple):
    """What is known of the tokens of a batch of notes, each combination of facts once.

    flags (NDArray[float32]): As `flag_names` lists them. Shape (rows, flags). Row 0 is zeros.
    vectors (NDArray[float32]): Means over the concepts that a name stands for, each of length
        one. Shape (rows, width), width 0 without vectors. Row 0 is zeros.
    rows (List[IntArray]): Per note, the row of each token, 0 outside of mentions.
    """

    flags: NDArray[numpy.float32]
    vectors: NDArray[numpy.float32]
    rows: List[IntArray]


def describe(
    lexicon: Lexicon,
    vectors: Optional[NDArray],
    docs: Sequence[Doc],
    hidden: float = 0.0,
) -> Knowledge:
    """Look names up in notes.

    lexicon (Lexicon): The names.
    vectors (Optional[NDArray]): A vector a concept, of which the direction counts. Shape
        (concepts, width).
    docs (Sequence[Doc]): Tokenised notes; none of them is changed.
    hidden (float): Share of the mentions that are left out, drawn anew each time.
    RETURNS (Knowledge): What is known of their tokens.
    """
    mentions = find_mentions(lexicon, docs)
    if hidden:
        mentions = mentions[numpy.random.random(len(mentions)) >= hidden]
    borders = numpy.cumsum([0, *map(len, docs)])
    states, row_of = token_states(mentions, int(borders[-1]))
    return Knowledge(
        flag_rows(lexicon, states),
        vector_rows(lexicon, vectors, states >> 2),
        numpy.split(row_of, borders[1:-1])[: len(docs)],
    )


def flag_names(kinds: Sequence[str]) -> List[str]:
    """Name the flags of a token.

    kinds (Sequence[str]): Kinds of the lexicon.
    RETURNS (List[str]): For each kind, whether its name begins here, then whether it goes on
        here; whether the name is ambiguous; whether it ends here.
    """
    begins, inside = ([f"{place} {kind}" for kind in kinds] for place in ("begin", "inside"))
    return [*begins, *inside, "ambiguous", "end"]


def find_mentions(lexicon: Lexicon, docs: Sequence[Doc]) -> IntArray:
    """Find the names in notes.

    RETURNS (IntArray): Rows of start, end and entry; tokens are counted over all notes. Shape
        (mentions, 3).
    """
    found, offset = [], 0
    for doc in docs:
        for start, end, entry in lexicon.find([token.text for token in doc]):
            found.append((offset + start, offset + end, entry))
        offset += len(doc)
    return numpy.array(found, dtype="int64").reshape(-1, 3)


def token_states(mentions: IntArray, n_tokens: int) -> Tuple[IntArray, IntArray]:
    """List the distinct states of tokens: an entry, and whether it begins or ends here.

    mentions (IntArray): See `find_mentions`.
    n_tokens (int): Tokens of all notes.
    RETURNS (Tuple[IntArray, IntArray]): The states, `4 * entry + 2 * begins + ends`. Shape
        (rows - 1,). Row of each token, 0 outside of mentions, counted from 1 along the states.
    """
    starts, ends, entries = mentions.T
    tokens = gather_rows(starts, ends)
    lengths = ends - starts
    begin = tokens == numpy.repeat(starts, lengths)
    end = tokens == numpy.repeat(ends - 1, lengths)
    # One more in front, so that 0, nothing, is always among the distinct ones.
    codes = numpy.zeros(n_tokens + 1, dtype="int64")
    codes[tokens + 1] = 1 + 4 * numpy.repeat(entries, lengths) + BEGINS * begin + ENDS * end
    distinct, row_of = numpy.unique(codes, return_inverse=True)
    return distinct[1:] - 1, row_of[1:].astype("int64")


def flag_rows(lexicon: Lexicon, states: IntArray) -> NDArray[numpy.float32]:
    """Write the flags of states. RETURNS (NDArray[float32]): Shape (states + 1, flags)."""
    entries = (states >> 2).tolist()
    n_kinds = len(lexicon.kinds)
    masks = numpy.array([lexicon.kinds_of(entry) for entry in entries], dtype="int64")
    kinds = (masks[:, None] >> numpy.arange(n_kinds)) & 1
    begin = (states & BEGINS != 0)[:, None]
    flags = numpy.zeros((len(states) + 1, 2 * n_kinds + 2), dtype="float32")
    flags[1:, :n_kinds] = kinds * begin
    flags[1:, n_kinds : 2 * n_kinds] = kinds * ~begin
    flags[1:, -2] = [lexicon.is_ambiguous(entry) for entry in entries]
    flags[1:, -1] = states & ENDS
    return flags


def vector_rows(
    lexicon: Lexicon, vectors: Optional[NDArray], entries: IntArray
) -> NDArray[numpy.float32]:
    """Average the vectors of what names stand for.

    RETURNS (NDArray[float32]): Shape (entries + 1, width); width 0 without vectors.
    """
    if vectors is None or not len(entries):
        width = 0 if vectors is None else vectors.shape[1]
        return numpy.zeros((len(entries) + 1, width), dtype="float32")
    concepts = [lexicon.concepts_of(entry) for entry in entries.tolist()]
    counts = numpy.array([0, *map(len, concepts)])
    chosen = vectors[numpy.concatenate(concepts)].astype("float32")
    lengths = numpy.linalg.norm(chosen, axis=1, keepdims=True)
    chosen /= numpy.where(lengths > 0, lengths, 1)
    sums = numpy.add.reduceat(chosen, numpy.cumsum(counts)[:-1])
    rows = numpy.zeros((len(entries) + 1, vectors.shape[1]), dtype="float32")
    rows[1:] = sums / counts[1:, None]
    return rows
