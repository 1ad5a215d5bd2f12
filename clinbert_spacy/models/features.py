"""What a word looks like: shape and characters, from Docs to small integer arrays."""

import unicodedata
from typing import Dict, List, NamedTuple, Sequence

import numpy
from numpy.typing import NDArray
from spacy.attrs import IS_SPACE, ORTH, SPACY
from spacy.tokens import Doc

IntArray = NDArray[numpy.int64]

CASES = ("lower", "capitalised", "upper", "mixed", "digit", "alphanumeric", "sign", "other")
LENGTHS = (1, 2, 3, 4, 6, 9, 13)
GAPS = ("glued", "space", "newline", "blank line")
N_SHAPES = (len(CASES), len(LENGTHS) + 1, len(GAPS))

LONGEST_WORD = 24
N_CHARS = 130  # 0 padding, 1 unknown, then ASCII
ROW = 2 + LONGEST_WORD
# More different words than a hospital's vocabulary; what is forgotten is looked up again.
MEMORY = 200_000


class Features(NamedTuple):
    """Words of a batch of notes, white space left out.

    tokens (List[IntArray]): Per note, the indices of its word tokens.
    shapes (IntArray): Case, length and gap before. Shape (words, 3).
    chars (IntArray): Characters of the distinct words. Shape (distinct, longest).
    word_of (IntArray): Distinct word of each word. Shape (words,).
    """

    tokens: List[IntArray]
    shapes: IntArray
    chars: IntArray
    word_of: IntArray


def extract(docs: Sequence[Doc]) -> Features:
    """Describe the words of notes.

    docs (Sequence[Doc]): Tokenised notes.
    RETURNS (Features): Arrays over all words of all notes, in order.
    """
    tokens, orths, gaps = [], [], []
    for doc in docs:
        columns = doc.to_array([ORTH, SPACY, IS_SPACE])
        kept = numpy.flatnonzero(columns[:, 2] == 0)
        tokens.append(kept)
        orths.append(columns[kept, 0])
        gaps.append(_gaps(doc, columns, kept))
    words, word_of = numpy.unique(_join(orths, "uint64"), return_inverse=True)
    described = _describe(words.tolist(), docs)
    shapes = numpy.column_stack([described[word_of, :2], _join(gaps, "int64")])
    longest = int((described[:, 2:] > 0).sum(axis=1).max(initial=1))
    return Features(tokens, shapes, described[:, 2 : 2 + longest], word_of)


def _join(parts: Sequence[NDArray], dtype: str) -> NDArray:
    return numpy.concatenate([numpy.zeros(0, dtype=dtype), *parts])


def _gaps(doc: Doc, columns: NDArray[numpy.uint64], kept: IntArray) -> IntArray:
    """What stands before each word: the widest of the white space since the word before it."""
    gaps = columns[:, 1].astype("int64")
    spaces = numpy.flatnonzero(columns[:, 2])
    texts = (doc[i].text for i in spaces.tolist())
    gaps[spaces] = [min(3, 1 + text.count("\n")) for text in texts]
    before = numpy.maximum.reduceat(gaps, kept)[:-1] if len(kept) else kept
    return numpy.concatenate([[len(GAPS) - 1][: len(kept)], before]).astype("int64")


# Case, length and spelling of words by their hashes: those of a note are mostly known.
_KNOWN: Dict[int, bytes] = {}


def _describe(words: Sequence[int], docs: Sequence[Doc]) -> IntArray:
    """Case, length and characters of words. Shape (words, 2 + LONGEST_WORD)."""
    if len(_KNOWN) >= MEMORY:
        _KNOWN.clear()
    found = [_KNOWN.get(word) or _look_up(word, docs) for word in words]
    return numpy.frombuffer(b"".join(found), dtype="uint8").reshape(-1, ROW).astype("int64")


def _look_up(word: int, docs: Sequence[Doc]) -> bytes:
    text = next(doc.vocab.strings[word] for doc in docs if word in doc.vocab.strings)
    spelt = char_table([text])[0].tolist()
    row = bytes([case_of(text), length_of(text), *spelt]).ljust(ROW, b"\0")
    _KNOWN[word] = row
    return row


def case_of(word: str) -> int:
    """Class a word by its letters. RETURNS (int): Index into `CASES`."""
    if word.islower():
        kind = "lower" if word.isalpha() else "alphanumeric"
    elif word.isupper():
        kind = "capitalised" if len(word) == 1 else "upper"
    elif word.istitle():
        kind = "capitalised"
    elif any(c.isalpha() for c in word):
        kind = "mixed"
    elif word[:1].isdigit():
        kind = "digit"
    else:
        kind = "sign" if unicodedata.category(word[0])[0] in "PS" else "other"
    return CASES.index(kind)


def length_of(word: str) -> int:
    """Class a word by its length. RETURNS (int): 0..len(LENGTHS)."""
    return sum(len(word) > limit for limit in LENGTHS)


def char_table(words: Sequence[str]) -> IntArray:
    """Spell words, the ends of long ones kept. RETURNS (IntArray): (words, longest), 0 padded."""
    spelt = [_ends(word) for word in words]
    table = numpy.zeros((len(spelt), max(map(len, spelt), default=1)), dtype="int64")
    for row, word in zip(table, spelt):
        row[: len(word)] = [ord(c) + 2 if ord(c) < 128 else 1 for c in word]
    return table


def _ends(word: str) -> str:
    half = LONGEST_WORD // 2
    return word if len(word) <= LONGEST_WORD else word[:half] + word[-half:]
