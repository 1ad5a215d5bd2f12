"""Units of a note (its sentences and lines) as hashed features, for finding sections."""

import re
import zlib
from typing import Iterator, List, NamedTuple, Sequence, Set, Tuple

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc

from .headings import Heading, find_heading

BUCKETS = 16384
WORD = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")
MOST_WORDS = 60
N_PLACES = 10

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
    ends = [*starts[1:], len(doc)]
    features: List[int] = []
    offsets, headings = [], []
    for i, (start, end) in enumerate(zip(starts, ends)):
        text = doc[start:end].text.strip()
        heading = find_heading(text)
        headings.append(heading)
        offsets.append(len(features))
        place = _place(doc, i, start, len(starts))
        found = (*_words(text), *_heading_features(text, heading), *place)
        features.extend(bucket(name) for name in found)
    as_array = (numpy.array(values, dtype="int64") for values in (features, offsets))
    return Units(numpy.array(starts, dtype="int64"), headings, *as_array)


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
    starts: Set[int] = set()
    begins = True
    for token in doc:
        begins = begins or bool(token.is_sent_start)
        if token.is_space:
            begins = begins or "\n" in token.text
        elif begins:
            starts.add(token.i)
            begins = False
    return sorted(starts)


def bucket(name: str) -> int:
    """Hash a feature. RETURNS (int): 0..BUCKETS - 1, the same on every machine."""
    return zlib.crc32(name.encode("utf8")) % BUCKETS


def _words(text: str) -> Iterator[str]:
    words = ["#" if w.isdigit() else w.lower() for w in WORD.findall(text)[:MOST_WORDS]]
    yield from {f"w={word}" for word in words}
    yield from {f"b={first} {second}" for first, second in zip(words, words[1:])}
    yield from (f"{i}={word}" for i, word in enumerate(words[:3]))


def _heading_features(text: str, heading: "Heading | None") -> Iterator[str]:
    first = text.split("\n", 1)[0]
    yield f"case={text[:1].isupper()}{first.isupper()}"
    yield f"length={min(len(first) // 20, 6)}"
    yield f"ends={first[-1:] if first[-1:] in '.:;,' else ''}"
    yield f"bullet={text[:1] if not text[:1].isalnum() else text[:1].isdigit()}"
    if heading is None:
        return
    yield f"heading={heading.alone}"
    if heading.name:
        yield f"title={heading.name}"
        yield f"title={heading.name} {heading.exact} {heading.alone}"
    title = first[: heading.end]
    yield from (f"h={word.lower()}" for word in WORD.findall(title) if word.isalpha())


def _place(doc: Doc, i: int, start: int, count: int) -> Iterator[str]:
    before = doc[start - 1].text if start else "\n\n"
    yield f"gap={min(before.count(chr(10)), 2)}"
    yield f"place={N_PLACES * i // count}"
    yield f"first={min(i, 3)}"
    yield f"last={min(count - i, 3)}"


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
