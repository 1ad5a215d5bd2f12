"""Units of a note (its sentences and lines) as hashed features, for finding sections."""

import re
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import IDX, IS_SPACE, SENT_START
from spacy.tokens import Doc

from .headings import Heading, find_heading

BUCKETS = 16384
WORD = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")
MOST_WORDS = 60
N_PLACES = 10
# More different features than a hospital's notes; what is forgotten is hashed again.
MEMORY = 500_000

IntArray = NDArray[numpy.int64]


class Units(NamedTuple):
    """Units of one note.

    starts (IntArray): first token of each. Shape (units,).
    headings (List): the heading of each, or None; its `end` counts characters from the unit.
    features (IntArray): buckets of all units, one after another. Shape (features,).
    offsets (IntArray): where the features of each unit begin. Shape (units,).
    """

    starts: IntArray
    headings: List
    features: IntArray
    offsets: IntArray


def describe(doc: Doc) -> Units:
    """Cut a note into units and describe each.

    doc (Doc): a note with sentences.
    RETURNS (Units): none for a note without visible text.
    RAISES (ValueError): the note has no sentences.
    """
    starts = find_units(doc)
    text = doc.text
    edges = _edges(doc, starts, len(text))
    features: List[int] = []
    offsets, headings = [], []
    for i, (start, end) in enumerate(zip(edges, edges[1:])):
        unit = text[start:end].strip()
        heading = find_heading(unit)
        headings.append(heading)
        offsets.append(len(features))
        before = doc[starts[i] - 1].text if starts[i] else "\n\n"
        words = _words(unit)
        features += map(WORD_BUCKET.__getitem__, set(words))
        features += map(PAIR_BUCKET.__getitem__, set(zip(words, words[1:])))
        features += map(PLACE_BUCKET.__getitem__, enumerate(words[:3]))
        features += LINE_BUCKETS[_line(unit)]
        if heading is not None:
            features += map(BUCKET_OF.__getitem__, _heading_features(unit, heading))
        features += PLACE_BUCKETS[_place(before, i, len(starts))]
    as_array = (numpy.array(values, dtype="int64") for values in (starts, features, offsets))
    first, found, where = as_array
    return Units(first, headings, found, where)


def _edges(doc: Doc, starts: Sequence[int], length: int) -> List[int]:
    """Where units begin in the text, and its end."""
    return [*doc.to_array([IDX])[list(starts)].tolist(), length]


def find_units(doc: Doc) -> List[int]:
    """Find where units begin: at sentences and at lines.

    doc (Doc): a note with sentences.
    RETURNS (List[int]): their first tokens, white space left out, in order.
    RAISES (ValueError): the note has no sentences.
    """
    if len(doc) and not doc.has_annotation("SENT_START"):
        raise ValueError(
            "Sections are made of sentences, and this Doc has none: put 'clinbert_sentences' (or "
            "another component that sets sentences) before 'clinbert_sections'."
        )
    if not len(doc):
        return []
    columns = doc.to_array([SENT_START, IS_SPACE])
    begins = columns[:, 0] == 1
    begins[0] = True
    spaces = columns[:, 1] > 0
    for i in numpy.flatnonzero(spaces).tolist():
        begins[i] = begins[i] or "\n" in doc[i].text
    # a beginning in white space is that of the next word: the first one of its count
    words = numpy.flatnonzero(~spaces)
    count = numpy.cumsum(begins)[words]
    return words[numpy.flatnonzero(numpy.diff(count, prepend=0))].tolist()


def bucket(name: str) -> int:
    """Hash a feature. RETURNS (int): 0..BUCKETS - 1, the same on every machine."""
    return zlib.crc32(name.encode("utf8")) % BUCKETS


class _Known(Dict[Any, Any]):
    """Buckets of what was seen before: words, lines and places repeat."""

    def __init__(self, find: Callable[[Any], Any]) -> None:
        self.find = find

    def __missing__(self, key: Any) -> Any:
        if len(self) >= MEMORY:
            self.clear()
        self[key] = found = self.find(key)
        return found


def _name_all(*names: str) -> _Known:
    """Buckets of features with these names, by the tuple of their values."""
    return _Known(lambda values: [bucket(f"{n}={v}") for n, v in zip(names, values)])


BUCKET_OF = _Known(bucket)
WORD_BUCKET = _Known(lambda word: bucket(f"w={word}"))
PAIR_BUCKET = _Known(lambda pair: bucket(f"b={pair[0]} {pair[1]}"))
PLACE_BUCKET = _Known(lambda pair: bucket(f"{pair[0]}={pair[1]}"))
LINE_BUCKETS = _name_all("case", "length", "ends", "bullet")
PLACE_BUCKETS = _name_all("gap", "place", "first", "last")


def _words(text: str) -> List[str]:
    return ["#" if w.isdigit() else w.lower() for w in WORD.findall(text)[:MOST_WORDS]]


def _line(text: str) -> Tuple[str, int, str, str]:
    """Values of LINE_BUCKETS."""
    first = text.split("\n", 1)[0]
    opening, closing = text[:1], first[-1:]
    bullet = str(opening.isdigit()) if opening.isalnum() else opening
    ends = closing if closing in ".:;," else ""
    return f"{opening.isupper()}{first.isupper()}", min(len(first) // 20, 6), ends, bullet


def _place(before: str, i: int, count: int) -> Tuple[int, int, int, int]:
    """Values of PLACE_BUCKETS."""
    return min(before.count("\n"), 2), N_PLACES * i // count, min(i, 3), min(count - i, 3)


def _heading_features(text: str, heading: Heading) -> List[str]:
    found = [f"heading={heading.alone}"]
    if heading.name:
        found.append(f"title={heading.name}")
        found.append(f"title={heading.name} {heading.exact} {heading.alone}")
    title = text.split("\n", 1)[0][: heading.end]
    return found + [f"h={word.lower()}" for word in WORD.findall(title) if word.isalpha()]


def stack(units: Sequence[Units]) -> Tuple[IntArray, IntArray]:
    """Join the features of several notes.

    units (Sequence[Units]): notes.
    RETURNS (Tuple[IntArray, IntArray]): features, and where each unit's begin among them.
    """
    shift, offsets = 0, []
    for unit in units:
        offsets.append(unit.offsets + shift)
        shift += len(unit.features)
    features = [unit.features for unit in units]
    empty = numpy.zeros(0, dtype="int64")
    return numpy.concatenate([empty, *features]), numpy.concatenate([empty, *offsets])
