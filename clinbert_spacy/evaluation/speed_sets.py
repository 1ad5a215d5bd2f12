"""Short, ordinary and very long notes, cut and joined from the notes that are given."""

import re
from dataclasses import dataclass
from itertools import cycle
from typing import Callable, Dict, Iterator, List, Sequence

WORD = re.compile(r"\S+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
PARAGRAPH_END = re.compile(r"\n\s*\n")
SHORT_WORDS = 39
SET_WORDS = 8_000
LONG_WORDS = 20_000
SETS = ("short", "ordinary", "very long")
JOINT = "\n\n"


@dataclass(frozen=True)
class SpeedSet:
    """Notes to be timed on.

    name (str): "short", "ordinary" or "very long". texts (Sequence[str]): the notes.
    times_used (int): how often the notes given were used; above 1 where they were too few.
    """

    name: str
    texts: Sequence[str]
    times_used: int = 1

    @property
    def n_words(self) -> int:
        """Words, that is what stands between white space."""
        return count_words(self.texts)


def make_sets(
    texts: Sequence[str],
    names: Sequence[str] = (),
    n_words: int = SET_WORDS,
    long_words: int = LONG_WORDS,
) -> List[SpeedSet]:
    """Make sets of a comparable number of words; the same notes give the same sets.

    texts (Sequence[str]): notes. names (Sequence[str]): which sets; none: all.
    n_words (int): words of a set; the very long one has at least one note.
    long_words (int): words of a very long note.
    RETURNS (List[SpeedSet]): the sets, short notes first.
    RAISES (ValueError): an unknown set, a number below 1, or no word.
    """
    unknown = sorted(set(names) - set(SETS))
    if unknown:
        raise ValueError(f"Unknown set of notes: {unknown}; expected some of {list(SETS)}.")
    check_positive("words of a set", n_words)
    check_positive("words of a very long note", long_words)
    if not count_words(texts):
        raise ValueError(f"Nothing to time: found {len(texts)} notes without a word.")
    makers: Dict[str, Callable[[], SpeedSet]] = {
        "short": lambda: SpeedSet("short", take_words(cut_short(texts), n_words)),
        "ordinary": lambda: SpeedSet("ordinary", take_words(texts, n_words)),
        "very long": lambda: _very_long(texts, n_words, long_words),
    }
    return [makers[name]() for name in SETS if not names or name in names]


def cut_short(texts: Sequence[str]) -> Iterator[str]:
    """Cut notes into paragraphs; where one is too long into lines, sentences, runs of words.

    texts (Sequence[str]): notes. RETURNS (Iterator[str]): strings of 1 to 39 words.
    """
    for text in texts:
        yield from _cut(text, [PARAGRAPH_END.split, str.splitlines, SENTENCE_END.split])


def cut_words(text: str, n_words: int) -> Iterator[str]:
    """Cut a text into runs of so many words; the last may have fewer."""
    found = list(WORD.finditer(text))
    for start in range(0, len(found), n_words):
        run = found[start : start + n_words]
        yield text[run[0].start() : run[-1].end()]


def take_words(texts: Sequence[str] | Iterator[str], n_words: int) -> List[str]:
    """Take notes from the first on until they have so many words, or there are no more."""
    taken, left = [], n_words
    for text in texts:
        if left <= 0:
            break
        taken.append(text)
        left -= count_words([text])
    return taken


def join_notes(texts: Sequence[str], n_words: int) -> str:
    """Join notes with blank lines up to exactly so many words, from the first again if need be."""
    return next(cut_words(JOINT.join(_around(texts, n_words)), n_words))


def join_to_bytes(texts: Sequence[str], n_bytes: int) -> str:
    """Join notes with blank lines, again and again, to so many bytes of UTF-8."""
    joined = (JOINT.join(texts) + JOINT).encode("utf8")
    whole = joined * -(-n_bytes // len(joined))
    return whole[:n_bytes].decode("utf8", "ignore")


def count_words(texts: Sequence[str]) -> int:
    """What stands between white space."""
    return sum(len(text.split()) for text in texts)


def check_positive(name: str, value: int) -> None:
    """Refuse a number below 1."""
    if value < 1:
        raise ValueError(f"Number of {name} is {value}; expected at least 1.")


def _cut(text: str, ways: List[Callable[[str], List[str]]]) -> Iterator[str]:
    text = text.strip()
    if 0 < count_words([text]) <= SHORT_WORDS:
        yield text
    elif text and ways:
        for part in ways[0](text):
            yield from _cut(part, ways[1:])
    elif text:
        yield from cut_words(text, SHORT_WORDS)


def _very_long(texts: Sequence[str], n_words: int, long_words: int) -> SpeedSet:
    n_notes = max(1, round(n_words / long_words))
    joined = join_notes(texts, n_notes * long_words)
    times = -(-n_notes * long_words // count_words(texts))
    return SpeedSet("very long", list(cut_words(joined, long_words)), times)


def _around(texts: Sequence[str], n_words: int) -> Iterator[str]:
    """Go round the notes until so many words are reached."""
    for text in cycle(texts):
        if n_words <= 0:
            return
        n_words -= count_words([text])
        yield text
