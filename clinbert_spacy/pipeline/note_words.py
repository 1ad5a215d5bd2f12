"""The tokens of a note as lists: rules look at them many times, and a `Token` is made each time."""

from typing import Dict, List, NamedTuple, Sequence

from spacy.attrs import LOWER, ORTH, SENT_START, SPACY
from spacy.strings import StringStore
from spacy.tokens import Doc

# More different words than a hospital's vocabulary; what is forgotten is looked up again.
MEMORY = 200_000
_KNOWN: Dict[int, str] = {}


class NoteWords(NamedTuple):
    """Tokens of a note, in order.

    texts (List[str]): as they are written. lower (List[str]): in small letters.
    spaces (List[int]): 1 where a space follows. begins (List[bool]): begins a sentence.
    """

    texts: List[str]
    lower: List[str]
    spaces: List[int]
    begins: List[bool]

    def phrase(self, start: int, end: int) -> str:
        """RETURNS (str): The text of the tokens from `start` up to `end`."""
        if end - start == 1:
            return self.texts[start]
        pairs = zip(self.texts[start:end], self.spaces[start : end - 1] + [0])
        return "".join(text + " " if space else text for text, space in pairs)


def read_words(doc: Doc) -> NoteWords:
    """Read the tokens of a note. doc (Doc): the note. RETURNS (NoteWords): its tokens."""
    if len(_KNOWN) >= MEMORY:
        _KNOWN.clear()
    columns = doc.to_array([ORTH, LOWER, SPACY, SENT_START])
    strings = doc.vocab.strings
    texts, lower = (_read(columns[:, i].tolist(), strings) for i in (0, 1))
    return NoteWords(texts, lower, columns[:, 2].tolist(), (columns[:, 3] == 1).tolist())


def _read(hashes: Sequence[int], strings: StringStore) -> List[str]:
    return [_KNOWN.get(word) or _look_up(word, strings) for word in hashes]


def _look_up(word: int, strings: StringStore) -> str:
    text: str = strings[word]
    _KNOWN[word] = text
    return text
