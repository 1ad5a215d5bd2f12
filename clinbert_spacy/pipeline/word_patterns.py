"""Phrases of fixed length whose words may be regular expressions."""

import re
from functools import reduce
from operator import or_
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

from spacy.attrs import LOWER
from spacy.strings import StringStore
from spacy.tokens import Doc, Span

# Words as they are written in lower case, or expressions that search them.
Word = Union[str, "re.Pattern[str]"]
# Sets of phrases as numbers: for each place in a phrase, one bit a phrase.
Bits = Tuple[int, ...]
# More different words than a hospital's vocabulary; what is forgotten is looked up again.
MEMORY = 200_000


class WordPatterns:
    """Finds such phrases in Docs.

    spaCy's `Matcher` asks every expression of every token. Here a word is asked once, and the
    phrases that it fits are kept as bits, for each place of a phrase: most tokens of a note cost
    one look into a dict.

    patterns (Mapping[str, Sequence[Word]]): words of each phrase, by key.
    """

    def __init__(self, patterns: Mapping[str, Sequence[Word]]) -> None:
        self.patterns = {key: tuple(words) for key, words in patterns.items()}
        self.keys = list(self.patterns)
        self._longest = max(map(len, self.patterns.values()), default=0)
        parts = {part: None for words in self.patterns.values() for part in words}
        self._parts = {part: self._bits(part) for part in parts}
        self._over = self._bits(None)
        self._places: Dict[int, Bits] = {}

    def __call__(self, doc: Doc) -> List[Span]:
        """Find the phrases.

        doc (Doc): a note. RETURNS (List[Span]): in order of their start; labels are the keys.
        """
        strings = doc.vocab.strings
        if len(self._places) >= MEMORY:
            self._places.clear()
        known = self._places
        words = doc.to_array([LOWER]).tolist()
        fits = [known.get(word) or self._look_up(word, strings) for word in words]
        # behind the note stands what no word of a phrase is
        fits.extend([self._over] * self._longest)
        found = []
        for start in range(len(words) if self.keys else 0):
            phrases = fits[start][0]
            for place in range(1, self._longest):
                if not phrases:
                    break
                phrases &= fits[start + place][place]
            if phrases:
                found.extend(self._spans(doc, start, phrases))
        return found

    def _spans(self, doc: Doc, start: int, phrases: int) -> List[Span]:
        keys = (key for i, key in enumerate(self.keys) if phrases >> i & 1)
        return [Span(doc, start, start + len(self.patterns[key]), label=key) for key in keys]

    def _look_up(self, word: int, strings: StringStore) -> Bits:
        text = strings[word]
        fits = [bits for part, bits in self._parts.items() if _fits(part, text)]
        self._places[word] = found = self._join([self._over, *fits])
        return found

    def _bits(self, part: Optional[Word]) -> Bits:
        """For each place in a phrase, the phrases that have this word there; None: that are over
        at that place."""
        places = range(self._longest)
        rows = [
            [part is None if place >= len(words) else words[place] == part for place in places]
            for words in self.patterns.values()
        ]
        return tuple(sum(row[place] << i for i, row in enumerate(rows)) for place in places)

    def _join(self, bits: Sequence[Bits]) -> Bits:
        return tuple(reduce(or_, column) for column in zip(*bits))


def _fits(word: Word, text: str) -> bool:
    return word == text if isinstance(word, str) else word.search(text) is not None
