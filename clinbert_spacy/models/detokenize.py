"""Wordpieces back to text, with the spaces that the source puts between the same words.

A BERT's pieces forget where spaces were: "4.5 mg" and "4. 5 mg" are the same to it.
"""

import re
from typing import Dict, List, Sequence, Tuple

SPECIAL = re.compile(r"\[[A-Z]+\]")
CONTINUED = "##"
NO_SPACE_BEFORE = set(".,;:!?)]}%'")
NO_SPACE_AFTER = set("([{'")
# Between two numbers these make one: 4.5, 140/90, 08:30.
IN_NUMBERS = set(".,/:")
# A word, and whether white space stands before it.
Word = Tuple[str, bool]


def split_words(
    text: str, pieces: Sequence[str], offsets: Sequence[Tuple[int, int]]
) -> List[Word]:
    """Put the pieces of a source together.

    text (str): the source. pieces (Sequence[str]): its wordpieces, special ones among them.
    offsets (Sequence[Tuple[int, int]]): start and end of each in the text.
    RETURNS (List[Word]): its words as the pieces spell them, and whether a space is before each.
    """
    words: List[Word] = []
    for piece, (start, _) in zip(pieces, offsets):
        if SPECIAL.fullmatch(piece):
            continue
        if piece.startswith(CONTINUED) and words:
            words[-1] = (words[-1][0] + piece[len(CONTINUED) :], words[-1][1])
        else:
            words.append((piece, start == 0 or text[start - 1].isspace()))
    return words


def join_pieces(pieces: Sequence[str], source: Sequence[Word]) -> str:
    """Write a text out of its pieces.

    pieces (Sequence[str]): what was generated, special ones among them.
    source (Sequence[Word]): words of the source, see `split_words`.
    RETURNS (str): the text; where the source has the same words, spaced as there.
    """
    words = [word for word, _ in split_words("", pieces, [(0, 0)] * len(pieces))]
    known = _spacing(source)
    text = ""
    for number, word in enumerate(words):
        before = words[max(number - 2, 0) : number]
        text += " " + word if number and _is_apart(before, word, known) else word
    return text


def _spacing(source: Sequence[Word]) -> Dict[Tuple[str, ...], bool]:
    """Whether a space is between the last two of two or three words; what stands first counts."""
    known: Dict[Tuple[str, ...], bool] = {}
    names = [word for word, _ in source]
    for number, (_, apart) in enumerate(source):
        for n in (2, 3):
            if number + 1 >= n:
                known.setdefault(tuple(names[number + 1 - n : number + 1]), apart)
    return known


def _is_apart(before: Sequence[str], word: str, known: Dict[Tuple[str, ...], bool]) -> bool:
    whole = (*before, word)
    if len(whole) == 3 and whole in known:
        return known[whole]
    if len(whole) == 3 and whole[0].isdigit() and whole[1] in IN_NUMBERS and word.isdigit():
        # a comma between numbers is a list unless it sets off thousands
        return whole[1] == "," and len(word) != 3
    if whole[-2:] in known:
        return known[whole[-2:]]
    if word == "/" or before[-1] in ("/", "-") or word == "-":
        return False
    return word not in NO_SPACE_BEFORE and before[-1] not in NO_SPACE_AFTER
