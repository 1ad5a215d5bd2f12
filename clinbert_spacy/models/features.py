"""What a word looks like: shape and characters, from Docs to small integer arrays."""

import unicodedata
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

IntArray = NDArray[numpy.int64]

CASES = ("lower", "capitalised", "upper", "mixed", "digit", "alphanumeric", "sign", "other")
LENGTHS = (1, 2, 3, 4, 6, 9, 13)
GAPS = ("glued", "space", "newline", "blank line")
N_SHAPES = (len(CASES), len(LENGTHS) + 1, len(GAPS))

LONGEST_WORD = 24
N_CHARS = 130  # 0 padding, 1 unknown, then ASCII


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
    table: Dict[str, int] = {}
    tokens, gaps, word_of = [], [], []
    for doc in docs:
        kept, before = _words_and_gaps(doc)
        tokens.append(numpy.array(kept, dtype="int64"))
        gaps.extend(before)
        word_of.extend(table.setdefault(doc[i].text, len(table)) for i in kept)
    described = [(case_of(word), length_of(word)) for word in table]
    indices = numpy.array(word_of, dtype="int64")
    by_word = numpy.array(described, dtype="int64").reshape(-1, 2)
    shapes = numpy.column_stack([by_word[indices], numpy.array(gaps, dtype="int64")])
    return Features(tokens, shapes, char_table(list(table)), indices)


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


def _words_and_gaps(doc: Doc) -> Tuple[List[int], List[int]]:
    kept, gaps = [], []
    gap = len(GAPS) - 1
    for token in doc:
        if token.is_space:
            gap = max(gap, min(3, 1 + token.text.count("\n")))
            continue
        kept.append(token.i)
        gaps.append(gap)
        gap = 1 if token.whitespace_ else 0
    return kept, gaps


def _ends(word: str) -> str:
    half = LONGEST_WORD // 2
    return word if len(word) <= LONGEST_WORD else word[:half] + word[-half:]
