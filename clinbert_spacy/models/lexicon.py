"""Names of concepts, found in running words: one dict lookup a word where nothing begins."""

import gzip
import zlib
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

import numpy
import srsly
from numpy.typing import NDArray

from .lexicon_words import APOSTROPHES, BREAK, CACHED, abbreviation, key_of, normalise, stop_words

GAP = 3  # tokens without a normal word in a row, at most

__all__ = ["Lexicon", "Match", "key_of", "normalise", "stop_words"]


class Match(NamedTuple):
    """A name in a row of words: `words[start:end]` is the name of entry `entry`."""

    start: int
    end: int
    entry: int


class _Start(NamedTuple):
    """What a word may begin: its key, and the entry of the key alone, or -1.

    is_special (bool): it is an abbreviation or several words, which takes a closer look.
    """

    key: str
    entry: int
    is_special: bool


_UNKNOWN = _Start("", -1, False)


class Lexicon:
    """Names of concepts with their kinds; ambiguity is kept.

    kinds (List[str]): names of kinds; bit i of a mask stands for kinds[i].
    concepts (List[str]): ids of concepts.
    concept_kinds (NDArray[uint16]): mask of kinds of each concept, shape (concepts,).
    """

    def __init__(
        self,
        kinds: Sequence[str],
        concepts: Sequence[str],
        concept_kinds: Sequence[int] | NDArray[numpy.uint16],
        entries: Mapping[str, Sequence[int]],
    ) -> None:
        """Make a lexicon.

        kinds (Sequence[str]): names of kinds, at most 16.
        concepts (Sequence[str]): ids of concepts.
        concept_kinds (Sequence[int]): mask of kinds of each concept.
        entries (Mapping[str, Sequence[int]]): by key, as `key_of` makes it, indices of concepts.
        RAISES (ValueError): more than 16 kinds, a mask or index without its kind or concept.
        """
        self.kinds, self.concepts = list(kinds), list(concepts)
        self.concept_kinds = numpy.asarray(concept_kinds, dtype=numpy.uint16)
        self._keys = sorted(entries)
        lists = [entries[key] for key in self._keys]
        ends = numpy.cumsum([0, *map(len, lists)], dtype=numpy.int64)
        flat = [index for indices in lists for index in indices]
        self._ends, self._flat = ends, numpy.asarray(flat, dtype=numpy.int64)
        self._prepare()

    def _prepare(self) -> None:
        self._check()
        self._index = {key: entry for entry, key in enumerate(self._keys)}
        self._reach = _reaches(self._keys)
        self._starts: Dict[str, Optional[_Start]] = {}
        self._common = {self._index[key] for key in stop_words(True) if key in self._index}
        masks = self.concept_kinds[self._flat] if len(self._flat) else self.concept_kinds[:0]
        starts = self._ends[:-1]
        self._masks = numpy.bitwise_or.reduceat(masks, starts) if len(starts) else masks

    def _check(self) -> None:
        n = len(self.concepts)
        if len(self.kinds) > 16 or self.concept_kinds.shape != (n,):
            raise ValueError(
                f"A lexicon with {len(self.kinds)} kinds and masks of shape "
                f"{self.concept_kinds.shape} for {n} concepts: expected at most 16 kinds and one "
                "mask a concept."
            )
        if n and int(self.concept_kinds.max()) >> len(self.kinds):
            raise ValueError(
                f"A concept has the mask {int(self.concept_kinds.max())}, but there are only "
                f"{len(self.kinds)} kinds. Give a name for each bit."
            )
        if empty := numpy.flatnonzero(numpy.diff(self._ends) <= 0)[:1].tolist():
            raise ValueError(f"Entry {empty[0]} has no concept: leave it out, or name one.")
        if len(self._flat) and not (self._flat.min() >= 0 and self._flat.max() < n):
            raise ValueError(
                f"Entries name concepts {int(self._flat.min())} to {int(self._flat.max())}; "
                f"expected 0 to {n - 1}. Give every concept its place in `concepts`."
            )

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._keys)

    def find(self, words: Sequence[str]) -> List[Match]:
        """Find names: leftmost, then longest, none inside another.

        words (Sequence[str]): texts of tokens, as spaCy gives them.
        RETURNS (List[Match]): the names, in order. Abbreviations of up to four letters are found
            in capitals only.
        """
        matches: List[Match] = []
        starts, end = self._starts, 0
        for i, word in enumerate(words):
            start = starts.get(word, _UNKNOWN)
            if start is _UNKNOWN:
                start = self._start(word)
            if start is not None and i >= end and (match := self._match(words, i, start)):
                matches.append(match)
                end = match.end
        return matches

    def _start(self, word: str) -> Optional[_Start]:
        """What begins with a word, or None; kept for the next time the word is met."""
        if len(self._starts) >= CACHED:
            self._starts.clear()
        key, cased = normalise(word), abbreviation(word)
        is_cased = bool(cased) and not word[0].islower() and _first(cased) in self._reach
        start = None
        if is_cased or (key and _first(key) in self._reach):
            start = _Start(key, self._index.get(key, -1), is_cased or " " in key)
        self._starts[word] = start
        return start

    def _match(self, words: Sequence[str], i: int, start: _Start) -> Optional[Match]:
        if not start.is_special:
            after = normalise(words[i + 1]) if i + 1 < len(words) else BREAK
            if after and f"{start.key} {_first(after)}" not in self._reach:
                return Match(i, i + 1, start.entry) if start.entry >= 0 else None
        match = self._longest(words, i, normalise)
        cased = self._longest(words, i, abbreviation) if start.is_special else None
        if cased is None or (match is not None and match.end > cased.end):
            return match
        is_word = cased.entry in self._common and _is_shouted(words, cased)
        return match if is_word else cased

    def _longest(self, words: Sequence[str], i: int, form: Callable[[str], str]) -> Optional[Match]:
        key, best, gap, n_parts, reach = "", None, 0, 0, 1
        for j in range(i, len(words)):
            part = "" if _is_possessive(words, j) else form(words[j])
            if not part:
                gap += 1
                if gap > GAP or not key or not _is_gap(words, j):
                    break
                continue
            key, gap, n_parts = (f"{key} {part}" if key else part), 0, n_parts + 1
            entry = self._index.get(key)
            if entry is not None:
                best = Match(i, j + 1, entry)
            if n_parts <= 2:
                reach = self._reach.get(_first_two(key), 0)
            if n_parts >= reach:
                break
        return best

    def concepts_of(self, entry: int) -> NDArray[numpy.int64]:
        """Give the concepts that bear a name.

        entry (int): number of the entry, as in a match.
        RETURNS (NDArray[int64]): indices into `concepts`, the likeliest first.
        """
        return self._flat[self._ends[entry] : self._ends[entry + 1]]

    def kinds_of(self, entry: int) -> int:
        """Give the kinds of a name.

        entry (int): number of the entry, as in a match.
        RETURNS (int): union of its concepts' masks.
        """
        return int(self._masks[entry])

    def is_ambiguous(self, entry: int) -> bool:
        """Tell whether a name says too little alone.

        entry (int): number of the entry, as in a match.
        RETURNS (bool): it has concepts of more than one kind, or more than one concept (those
            that mean the same were made one when the lexicon was built), or is a common word.
        """
        several = int(self._ends[entry + 1] - self._ends[entry]) > 1
        return several or self.kinds_of(entry).bit_count() > 1 or entry in self._common

    def is_common(self, entry: int) -> bool:
        """Tell whether a name is also a word of every text, such as "cold" or "ALL".

        entry (int): number of the entry, as in a match.
        RETURNS (bool): its key is in the stop list of the package.
        """
        return entry in self._common

    def surface(self, entry: int) -> str:
        """Give the key of a name.

        entry (int): number of the entry, as in a match.
        RETURNS (str): its key: normal words joined by a space, or an abbreviation in capitals.
        """
        return self._keys[entry]

    def to_bytes(self) -> bytes:
        """Write the lexicon.

        RETURNS (bytes): MessagePack, compressed; the same for the same lexicon.
        """
        message = {
            "version": 1,
            "kinds": self.kinds,
            "concepts": "\n".join(self.concepts),
            "concept_kinds": self.concept_kinds.astype("<u2").tobytes(),
            "keys": "\n".join(self._keys),
            "counts": numpy.diff(self._ends).astype("<u2").tobytes(),
            "flat": self._flat.astype("<u4").tobytes(),
        }
        return gzip.compress(srsly.msgpack_dumps(message), mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Lexicon":
        """Read what `to_bytes` wrote.

        data (bytes): the lexicon.
        RETURNS (Lexicon): an equal one.
        RAISES (ValueError): the bytes are something else.
        """
        message = _unpack(data)
        self = cls.__new__(cls)
        self.kinds, self.concepts = message["kinds"], _lines(message["concepts"])
        self.concept_kinds = numpy.frombuffer(message["concept_kinds"], "<u2").astype(numpy.uint16)
        self._keys = _lines(message["keys"])
        counts = numpy.frombuffer(message["counts"], "<u2").astype(numpy.int64)
        self._ends = numpy.concatenate(([0], numpy.cumsum(counts))).astype(numpy.int64)
        self._flat = numpy.frombuffer(message["flat"], "<u4").astype(numpy.int64)
        self._prepare()
        return self

    def to_disk(self, path: Union[str, Path]) -> None:
        """Write the lexicon to a file, e.g. lexicon.msgpack.gz."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def from_disk(cls, path: Union[str, Path]) -> "Lexicon":
        """Read what `to_disk` wrote.

        path (Union[str, Path]): the file.
        RETURNS (Lexicon): the lexicon.
        RAISES (ValueError): there is no such file, or it holds something else.
        """
        if not Path(path).is_file():
            raise ValueError(f"No lexicon at {path}. Make one with `clinbert build-graph`.")
        return cls.from_bytes(Path(path).read_bytes())


def _is_possessive(words: Sequence[str], i: int) -> bool:
    """Whether a word is the "s" of a possessive that was cut in three."""
    return words[i] in ("s", "S") and i > 0 and words[i - 1] in APOSTROPHES


def _is_gap(words: Sequence[str], i: int) -> bool:
    return not normalise(words[i]) or _is_possessive(words, i)


def _is_shouted(words: Sequence[str], match: Match) -> bool:
    """Whether the words around a match are in capitals as well, so that capitals mean nothing."""
    around = [*words[max(0, match.start - 1) : match.start], *words[match.end : match.end + 1]]
    letters = [word for word in around if word.isalpha()]
    return bool(letters) and all(word.isupper() for word in letters)


def _first(key: str) -> str:
    return key.partition(" ")[0]


def _first_two(key: str) -> str:
    return " ".join(key.split(" ", 2)[:2])


def _reaches(keys: Iterable[str]) -> Dict[str, int]:
    """How many words the longest key has that begins with a word, or with a pair of words."""
    reach: Dict[str, int] = {}
    for key in keys:
        words = key.split(" ", 2)
        n = len(words) if len(words) < 3 else 3 + words[2].count(" ")
        if reach.get(words[0], 0) < n:
            reach[words[0]] = n
        if n > 1:
            pair = f"{words[0]} {words[1]}"
            if reach.get(pair, 0) < n:
                reach[pair] = n
    return reach


def _lines(text: str) -> List[str]:
    return text.split("\n") if text else []


def _unpack(data: bytes) -> Dict[str, Any]:
    try:
        message = srsly.msgpack_loads(gzip.decompress(data))
    except (OSError, EOFError, ValueError, zlib.error):
        message = None
    if not isinstance(message, dict) or message.get("version") != 1:
        raise ValueError(
            f"{len(data)} bytes are not a lexicon of version 1. Make one with `clinbert "
            "build-graph`, or install the version of clinbert-spacy that made this one."
        )
    return message
