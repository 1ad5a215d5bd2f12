"""A cleaned view of a text with a map back to it, for those who want one.

The pipeline itself always reads the text as it is: nothing here is fed to a component.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, FrozenSet, List, Tuple

import numpy
from numpy.typing import NDArray

# Words that stand alone: the "a" of "n/a", "vitamin-a" or "a.m." is no word.
WORD = re.compile(r"(?<![\w'’/.-])[^\W\d_]+(?:['’][^\W\d_]+)*(?![\w'’/-]|\.\w)")
LINE_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
LONGEST_ABBREVIATION = 2


@dataclass(frozen=True, eq=False)
class CleanView:
    """A cleaned text and where each of its characters comes from.

    text (str): The cleaned text.
    offsets (NDArray[numpy.int64]): Offset of each cleaned character in the original, rising.
        Shape (len(text),).
    """

    text: str
    offsets: NDArray[numpy.int64]

    def original_span(self, start: int, end: int) -> Tuple[int, int]:
        """Map a span of the cleaned text to the smallest span of the original that holds it.

        start (int): First character in the cleaned text.
        end (int): One past the last character.
        RETURNS (Tuple[int, int]): Start and end in the original text.
        RAISES (ValueError): If the span is empty or not inside the cleaned text.
        """
        if not 0 <= start < end <= len(self.text):
            raise ValueError(
                f"Span ({start}, {end}) is not inside the cleaned text: expected "
                f"0 <= start < end <= {len(self.text)}. Pass offsets into CleanView.text."
            )
        return int(self.offsets[start]), int(self.offsets[end - 1]) + 1


def clean_text(text: str, *, stop_words: bool = False, boilerplate: bool = True) -> CleanView:
    """Collapse white space and repeated punctuation; drop boilerplate and, if asked, stop words.

    Words of negation and uncertainty ("no", "not", "without", "may", "or", ...) are never dropped.
    A dropped stretch counts as white space, so that the words around it do not grow together.

    text (str): Any text.
    stop_words (bool): Drop the words of the shipped stop list.
    boilerplate (bool): Drop page numbers, signature lines, de-identification blanks and the like.
    RETURNS (CleanView): The cleaned text and its offsets in `text`.
    """
    blanked = text
    if boilerplate:
        for pattern in boilerplate_patterns():
            blanked = pattern.sub(_blank, blanked)
    if stop_words:
        blanked = WORD.sub(_blank_stop_word, blanked)
    return _collapse(blanked)


@lru_cache(maxsize=1)
def boilerplate_patterns() -> Tuple[re.Pattern[str], ...]:
    """Compile the shipped boilerplate patterns, in their order.

    RETURNS (Tuple[re.Pattern, ...]): Patterns that ignore case and see lines.
    """
    flags = re.IGNORECASE | re.MULTILINE
    return tuple(re.compile(pattern, flags) for pattern in _words()["boilerplate"].values())


@lru_cache(maxsize=1)
def safe_stop_words() -> FrozenSet[str]:
    """Read the stop list without any word that carries negation, uncertainty or condition.

    RETURNS (FrozenSet[str]): Lower-cased words.
    """
    return frozenset(_words()["stop_words"]) - frozenset(_words()["never_removed"])


@lru_cache(maxsize=1)
def _words() -> Any:
    path = files("clinbert_spacy.resources") / "en" / "cleaning.json"
    return json.loads(path.read_text(encoding="utf8"))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _blank_stop_word(match: re.Match[str]) -> str:
    word = match[0]
    # OR, IT and the A of "hepatitis A" are abbreviations at least as often as words.
    is_abbreviation = word.isupper() and len(word) <= LONGEST_ABBREVIATION
    return word if is_abbreviation or word.lower() not in safe_stop_words() else _blank(match)


@lru_cache(maxsize=1)
def _runs() -> re.Pattern[str]:
    repeated = re.escape(_words()["repeated_punctuation"])
    return re.compile(rf"(?P<space>[\s\u200b\ufeff]+)|([{repeated}])\2+")


def _collapse(blanked: str) -> CleanView:
    """Keep one character of each run; what is dropped is spaces by now, so offsets hold."""
    characters: List[str] = list(blanked)
    keep = numpy.ones(len(blanked), dtype=bool)
    for run in _runs().finditer(blanked):
        keep[run.start() : run.end()] = False
        if run["space"] is None:
            keep[run.start()] = True
        elif run.start() > 0 and run.end() < len(blanked):
            line_break = LINE_BREAKS.search(blanked, run.start(), run.end())
            kept = line_break.start() if line_break else run.start()
            keep[kept] = True
            characters[kept] = "\n" if line_break else " "
    offsets = numpy.flatnonzero(keep).astype(numpy.int64)
    return CleanView("".join(characters[i] for i in offsets), offsets)
