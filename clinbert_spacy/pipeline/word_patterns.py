"""Phrases of fixed length whose words may be regular expressions."""

import re
from typing import Dict, List, Mapping, Sequence, Tuple, Union

from spacy.attrs import LOWER
from spacy.strings import StringStore
from spacy.tokens import Doc, Span

# Words as they are written in lower case, or expressions that search them.
Word = Union[str, "re.Pattern[str]"]
# More different words than a hospital's vocabulary; what is forgotten is looked up again.
MEMORY = 200_000


class WordPatterns:
    """Finds such phrases in Docs.

    spaCy's `Matcher` asks every expression of every token. Here a word is asked once, and what may
    begin with it is kept: most tokens of a note cost one look into a dict.

    patterns (Mapping[str, Sequence[Word]]): words of each phrase, by key.
    """

    def __init__(self, patterns: Mapping[str, Sequence[Word]]) -> None:
        self.patterns = {key: tuple(words) for key, words in patterns.items()}
        self._begins: Dict[int, Tuple[str, ...]] = {}

    def __call__(self, doc: Doc) -> List[Span]:
        """Find the phrases.

        doc (Doc): a note. RETURNS (List[Span]): in order of their start; labels are the keys.
        """
        strings = doc.vocab.strings
        lower = doc.to_array([LOWER]).ravel().tolist()
        found = []
        for start, word in enumerate(lower):
            begins = self._begins.get(word)
            if begins is None:
                begins = self._look_up(word, strings)
            for key in begins:
                end = start + len(self.patterns[key])
                if self._follows(self.patterns[key], lower[start:end], strings):
                    found.append(Span(doc, start, end, label=key))
        return found

    def _look_up(self, word: int, strings: StringStore) -> Tuple[str, ...]:
        """Keys of the phrases that may begin with a word."""
        if len(self._begins) >= MEMORY:
            self._begins.clear()
        text = strings[word]
        keys = tuple(key for key, words in self.patterns.items() if _fits(words[0], text))
        self._begins[word] = keys
        return keys

    @staticmethod
    def _follows(words: Sequence[Word], found: Sequence[int], strings: StringStore) -> bool:
        if len(found) < len(words):
            return False
        return all(_fits(word, strings[i]) for word, i in zip(words[1:], found[1:]))


def _fits(word: Word, text: str) -> bool:
    return word == text if isinstance(word, str) else word.search(text) is not None
