"""`clinbert_sentences`: sentences of clinical notes, by rules over lines and punctuation."""

import json
import re
import warnings
from importlib.resources import files
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional

import numpy
from spacy.attrs import DEP, IDX, LENGTH, SENT_START
from spacy.language import Language
from spacy.tokens import Doc

RESOURCE = "resources/en/sentences.json"
TERMINAL = ".!?:"
# A line shorter than this was not wrapped by a program, and one longer than LONGEST was not at all.
SHORTEST, LONGEST = 40, 130
# Wrapped lines are ragged: a small letter goes on even if its word would have fitted in this room.
SLACK = 25
# Characters before a full stop that decide whether a sentence ends there.
LOOK_BACK = 80

LINE = re.compile(r"[^\r\n]*\S")
BULLET = re.compile(
    r"(?:[-*•·–+>]|\(?\d{1,2}[.)]|\(?[a-zA-Z][.)]|#\s?\d*|\[\s?[xX]?\s?\])\s+\S"
)
LABEL = re.compile(r"[A-Z][A-Za-z /&]{0,30}:")
SALUTATION = re.compile(r"Dear\b")
STOP = re.compile(r"([.!?]+)[\"')\]]*\s+(?=\S)")
LETTERS_WITH_DOTS = re.compile(r"(?:[a-z]\.)+[a-z]")
LIST_NUMBER = re.compile(r"\(?\d{1,2}|[a-zA-Z]")
COMMON_WORD = re.compile(r"(?:[a-z]{3}|\d)\s$")


class Line(NamedTuple):
    """A line that is not blank: offsets of its first and one past its last visible character.

    indent (int): white space before it.
    """

    start: int
    end: int
    indent: int


class Words(NamedTuple):
    """What resources/en/sentences.json holds."""

    never_end: FrozenSet[str]
    before_number: FrozenSet[str]
    rarely_end: FrozenSet[str]
    go_on: FrozenSet[str]


@Language.factory(
    "clinbert_sentences",
    assigns=["token.is_sent_start", "doc.sents"],
    default_config={"overwrite": True, "scorer": {"@scorers": "spacy.senter_scorer.v1"}},
    default_score_weights={"sents_f": 1.0, "sents_p": 0.0, "sents_r": 0.0},
)
def make_clinbert_sentences(
    nlp: Language, name: str, overwrite: bool, scorer: Optional[Callable]
) -> "ClinicalSentences":
    """Construct the sentence splitter.

    overwrite (bool): Replace boundaries that are there. Those of a parser always stay, as spaCy
        derives them from its tree; a warning says so.
    scorer (Optional[Callable]): Scores Examples.
    """
    return ClinicalSentences(name, overwrite=overwrite, scorer=scorer)


class ClinicalSentences:
    """Marks the first token of each sentence; see `find_sentences`."""

    def __init__(
        self,
        name: str = "clinbert_sentences",
        *,
        overwrite: bool = True,
        scorer: Optional[Callable] = None,
    ):
        self.name = name
        self.overwrite = overwrite
        self.scorer = scorer
        self.words = load_words()

    def __call__(self, doc: Doc) -> Doc:
        """Mark the sentences of a note.

        doc (Doc): The note.
        RETURNS (Doc): The same note.
        """
        if doc.to_array([DEP]).any():
            warnings.warn(
                f"'{self.name}' leaves the sentences of this Doc to its parser, which ran before. "
                "For clinical boundaries put it before the parser, or take the parser out.",
                stacklevel=2,
            )
        elif self.overwrite or not doc.has_annotation("SENT_START"):
            mark_sentences(doc, find_sentences(doc.text, self.words))
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 32) -> Iterator[Doc]:
        """Mark the sentences of a stream of notes.

        stream (Iterable[Doc]): The notes. batch_size (int): Unused.
        YIELDS (Doc): The notes, in order.
        """
        yield from map(self, stream)

    def score(self, examples: Iterable, **kwargs: Any) -> Dict[str, Any]:
        """Score Examples.

        examples (Iterable[Example]): The Examples.
        RETURNS (Dict[str, Any]): What the scorer gives.
        """
        return self.scorer(examples, **kwargs) if self.scorer is not None else {}


def load_words() -> Words:
    """Read the words that decide. RETURNS (Words): From `resources/en/sentences.json`."""
    found = json.loads(files("clinbert_spacy").joinpath(RESOURCE).read_text("utf8"))
    return Words(*(frozenset(found[name]) for name in Words._fields))


def mark_sentences(doc: Doc, starts: Iterable[int]) -> None:
    """Write sentence boundaries on a Doc.

    doc (Doc): The note. starts (Iterable[int]): Characters at which a sentence begins; white space
        before one belongs to the sentence before it.
    """
    if not len(doc):
        return
    places = doc.to_array([IDX, LENGTH]).astype("int64")
    # each start falls into the first token that ends behind it
    tokens = numpy.searchsorted(places.sum(axis=1), sorted(starts), side="right")
    marks = numpy.full(len(doc), -1, dtype="int64")
    # what stands before the first sentence is white space: part of it
    marks[tokens[1:][tokens[1:] < len(doc)]] = 1
    marks[0] = 1
    # not `token.is_sent_start`, which reads the whole note for each token
    doc.from_array([SENT_START], marks.astype("uint64"))


def find_sentences(text: str, words: Words) -> List[int]:
    """Find where sentences begin.

    Lines first: one begins a sentence unless the line before it was wrapped by a program or ends
    in a word that goes on. Then full stops, question and exclamation marks within lines.

    text (str): The note. words (Words): What decides.
    RETURNS (List[int]): Offsets of their first visible characters, in order. Linear in the text.
    """
    lines = find_lines(text)
    width = max((line.end - line.start + line.indent for line in lines), default=0)
    starts: List[int] = []
    for i, line in enumerate(lines):
        if i == 0 or not goes_on(text, lines[i - 1], line, width, words):
            starts.append(line.start)
        starts.extend(line.start + at for at in find_stops(text[line.start : line.end], words))
    return starts


def find_lines(text: str) -> List[Line]:
    """List the lines that are not blank. RETURNS (List[Line]): In order."""
    lines = []
    for match in LINE.finditer(text):
        indent = len(match.group()) - len(match.group().lstrip())
        lines.append(Line(match.start() + indent, match.end(), indent))
    return lines


def goes_on(text: str, left: Line, right: Line, width: int, words: Words) -> bool:
    """Say whether a sentence runs over the end of a line.

    text (str): The note. left (Line), right (Line): Neighbours.
    width (int): Characters of the longest line of the note.
    words (Words): What decides.
    RETURNS (bool): Whether `right` goes on with the sentence of `left`.
    """
    before, after = text[left.start : left.end], text[right.start : right.end]
    blank = text.count("\n", left.end, right.start) > 1
    if blank or BULLET.match(after) or LABEL.match(after) or SALUTATION.match(before):
        return False
    if before[-1] in TERMINAL:
        return False
    first, last = after.split(None, 1)[0], before.rsplit(None, 1)[-1]
    small = first[0].islower() or first[0] == "("
    length = len(before) + left.indent
    wraps = length >= SHORTEST and width <= LONGEST
    need = len(first) + 1 - (width - length)  # characters by which the word would stick out
    tight = wraps and need >= 0
    open_end = last.lower() in words.go_on or before[-1] in "/&+("
    if open_end and (small or tight or before[-1].islower()):
        return True
    if before[-1] in ",;" and (small or tight):
        return True
    deeper = right.indent > left.indent and not first[0].isupper()
    return tight or (wraps and (small or deeper) and need + SLACK >= 0)


def find_stops(line: str, words: Words) -> Iterator[int]:
    """Find the sentences that begin within a line.

    line (str): A line. words (Words): What decides.
    YIELDS (int): Offsets of their first characters.
    """
    for match in STOP.finditer(line):
        # not all that stands before: a note may be one line of a million characters
        before = line[max(0, match.start() - LOOK_BACK) : match.start()]
        if _ends(before, match.group(1), line[match.end()], words):
            yield match.end()


def _ends(before: str, mark: str, after: str, words: Words) -> bool:
    """Say whether a sentence ends at a mark between a part of a line and a character."""
    capital = after.isascii() and after.isupper()
    if mark != ".":
        return not after.islower()
    word = before.rsplit(None, 1)[-1].lstrip("([\"'") if before.strip() else ""
    head = before[: len(before) - len(word)]
    small = word.lower()
    if small in words.never_end or (small in words.rarely_end and not capital):
        return False
    if small in words.before_number and after.isdigit():
        return False
    if len(word) == 1 and word.isupper():
        # an initial or a genus (C. difficile), not the end of "hepatitis B." or "6/12 L."
        return capital and bool(COMMON_WORD.search(head))
    if not capital and LETTERS_WITH_DOTS.fullmatch(small):
        return False
    opens_item = not head.strip() or head.rstrip()[-1] in ".:;"
    return not (opens_item and LIST_NUMBER.fullmatch(word))
