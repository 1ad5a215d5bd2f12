"""`clinbert_abbreviations`: what short forms stand for, by the note itself or by their context."""

import re
import warnings
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from spacy import util
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model

from .. import attributes

NOTE, INVENTORY = "note", "inventory"
Place = Tuple[int, int]
_STOP = re.compile(r"[.;:]\s")
_LETTERS = re.compile(r"[^\W\d_]{2,}")


class Expansion(NamedTuple):
    """What a short form stands for.

    long_form (str): written out. source (str): `note` or `inventory`. score (float): in [0, 1].
    """

    long_form: str
    source: str
    score: float


@Language.factory(
    "clinbert_abbreviations",
    assigns=["doc.spans"],
    default_config={
        "model": {"@architectures": "clinbert.AbbreviationSenses.v1"},
        "threshold": 0.8,
        "definitions": True,
    },
)
def make_clinbert_abbreviations(
    nlp: Language, name: str, model: Model, threshold: float, definitions: bool
) -> "ClinicalAbbreviations":
    """Construct the component.

    model (Model): A `clinbert.AbbreviationSenses.v1`.
    threshold (float): A long form of a lower probability is not given.
    definitions (bool): Let scispaCy's AbbreviationDetector look for what the note defines.
    """
    return ClinicalAbbreviations(nlp.vocab, model, name, threshold, definitions)


class ClinicalAbbreviations(Pipe):
    """Long forms of abbreviations: as the note defines them, else from an inventory.

    Writes `doc.spans["clinbert_abbreviations"]`, whose attrs hold `long_forms`, `sources` and
    `scores` in the order of the spans.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "clinbert_abbreviations",
        threshold: float = 0.8,
        definitions: bool = True,
    ):
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold = {threshold}: expected a number from 0 to 1.")
        attributes.install()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.threshold = threshold
        self.definitions = definitions
        self._detector: Optional[Any] = None
        self._pattern: Optional[Tuple[Any, re.Pattern[str]]] = None

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        path: Optional[Union[str, Path]] = None,
    ) -> None:
        """Take the inventory and weights of a file; without one the model keeps what it has.

        path (Optional[Union[str, Path]]): What `clinbert build-abbreviations` wrote.
        RAISES (ValueError): `path` holds no such thing.
        """
        if path is not None:
            self.model.attrs["load"](self.model, path)

    def __call__(self, doc: Doc) -> Doc:
        """Write the expansions of a note. RETURNS (Doc): The same Doc."""
        found = self._defined(doc) if self.definitions else {}
        taken = {i for start, end in found for i in range(start, end)}
        for (start, end), expansion in self._inferred(doc).items():
            if taken.isdisjoint(range(start, end)):
                found[start, end] = expansion
        places = sorted(found)
        expansions = [found[place] for place in places]
        doc.spans[attributes.ABBREVIATIONS_KEY] = SpanGroup(
            doc,
            name=attributes.ABBREVIATIONS_KEY,
            spans=[doc[start:end] for start, end in places],
            attrs={
                "long_forms": [expansion.long_form for expansion in expansions],
                "sources": [expansion.source for expansion in expansions],
                "scores": [expansion.score for expansion in expansions],
            },
        )
        return doc

    def _defined(self, doc: Doc) -> Dict[Place, Expansion]:
        """What the note itself defines, as scispaCy finds it; doc._.abbreviations stays alone.

        Small letters ("(it)") are no short form, and a long form holds no end of a sentence.
        """
        from scispacy.abbreviation import filter_matches

        if self._detector is None:
            self._detector = make_detector(self.vocab)
        inside = [(key, start + 1, end - 1) for key, start, end in self._detector.matcher(doc)]
        candidates = filter_matches(inside, doc)
        with warnings.catch_warnings():
            # scispaCy asks a matcher that is still empty where no candidate fits
            warnings.filterwarnings("ignore", message=r"\[W036\]")
            pairs = self._detector.find_matches_for(candidates, doc) if candidates else []
        return {
            (short.start, short.end): Expansion(" ".join(long.text.split()), NOTE, 1.0)
            for long, shorts in sorted(pairs, key=lambda pair: pair[0].start)
            for short in shorts
            if any(letter.isupper() for letter in short.text) and not _STOP.search(long.text)
        }

    def _inferred(self, doc: Doc) -> Dict[Place, Expansion]:
        """What the inventory says of the forms in a note."""
        table, reach = self.model.attrs["table"], self.model.attrs["reach"]
        places, mentions = [], []
        text = doc.text  # made anew at every look
        for match in self._forms(table["forms"]).finditer(text):
            span = doc.char_span(match.start(), match.end())
            if span is None or is_ordinary(match, table):
                continue
            before = text[max(0, match.start() - reach) : match.start()]
            places.append((span.start, span.end))
            mentions.append((match.group(), before, text[match.end() : match.end() + reach]))
        spelled = dict(spelled_out(mentions, table["forms"]))
        found = {}
        for place, mention, scores in zip(places, mentions, self.model.predict(mentions)):
            form, best = mention[0], max(range(len(scores)), key=scores.__getitem__)
            if form in spelled:
                found[place] = Expansion(spelled[form], NOTE, 1.0)
            elif scores[best] >= self.threshold:
                long_form = table["forms"][form][best]
                found[place] = Expansion(long_form, INVENTORY, float(scores[best]))
        return found

    def _forms(self, forms: Mapping[str, Any]) -> "re.Pattern[str]":
        """One pattern for all short forms; made anew when the model has another table."""
        if self._pattern is None or self._pattern[0] is not forms:
            self._pattern = (forms, form_pattern(forms))
        return self._pattern[1]

    def to_bytes(self, *, exclude: Sequence[str] = ()) -> bytes:
        """Serialise the table. RETURNS (bytes): msgpack."""
        return util.to_bytes({"model": self.model.to_bytes}, exclude)

    def from_bytes(self, data: bytes, *, exclude: Sequence[str] = ()) -> "ClinicalAbbreviations":
        """Restore what `to_bytes` wrote. RETURNS (ClinicalAbbreviations): The same component."""
        util.from_bytes(data, {"model": self.model.from_bytes}, exclude)
        return self

    def to_disk(self, path: Union[str, Path], *, exclude: Sequence[str] = ()) -> None:
        """Write the table to a folder."""
        util.to_disk(path, {"model": self.model.to_disk}, exclude)

    def from_disk(
        self, path: Union[str, Path], *, exclude: Sequence[str] = ()
    ) -> "ClinicalAbbreviations":
        """Restore what `to_disk` wrote. RETURNS (ClinicalAbbreviations): The same component."""
        util.from_disk(path, {"model": self.model.from_disk}, exclude)
        return self


def make_detector(vocab: Vocab) -> Any:
    """Make scispaCy's detector, unless its attributes would replace somebody else's.

    vocab (Vocab): Of the pipeline.
    RETURNS (AbbreviationDetector): With serialisable output.
    RAISES (ValueError): Another package holds one of its attributes.
    """
    from scispacy.abbreviation import AbbreviationDetector

    for holder, name, default in ((Doc, "abbreviations", []), (Span, "long_form", None)):
        if holder.has_extension(name) and holder.get_extension(name) != (default, None, None, None):
            raise ValueError(
                f"{holder.__name__}._.{name} is already defined by another package, and scispaCy's "
                "AbbreviationDetector would replace it. Remove that extension, or set "
                "definitions = false in the config of clinbert_abbreviations."
            )
    return AbbreviationDetector(Language(vocab), make_serializable=True)


def form_pattern(forms: Iterable[str]) -> "re.Pattern[str]":
    """Write a pattern that finds short forms as whole words, case counts.

    forms (Iterable[str]): Short forms.
    RETURNS (re.Pattern): The longest form first.
    """
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def is_ordinary(match: "re.Match[str]", table: Mapping[str, Any]) -> bool:
    """Say whether a form is an ordinary word among words in capitals, as in "AS NOTED ABOVE".

    match (re.Match): A form in its text.
    table (Mapping): Its `ordinary` lists forms that are also words or names; other forms beside
        it, as in "HTN, AS, MR", say nothing.
    RETURNS (bool): True if most of the three words on either side, in its line, are in capitals.
    """
    if match.group() not in table["ordinary"]:
        return False
    before = match.string[max(0, match.start() - 100) : match.start()]
    after = match.string[match.end() : match.end() + 100]
    left = _LETTERS.findall(before.rpartition("\n")[2])
    right = _LETTERS.findall(after.partition("\n")[0])
    words = [word for word in [*left[-3:], *right[:3]] if word not in table["forms"]]
    return sum(word.isupper() for word in words) * 2 > len(words)


def spelled_out(
    mentions: Iterable[Sequence[str]], forms: Mapping[str, Sequence[str]]
) -> Iterator[Tuple[str, str]]:
    """Find forms that the note explains right behind them, as in "MS (multiple sclerosis)".

    scispaCy takes parentheses of three words or fewer for the short form.

    mentions (Iterable): Form, text before, text after. forms (Mapping): Long forms of each.
    YIELDS (Tuple[str, str]): Form and long form.
    """
    for form, _, after in mentions:
        opening = re.match(r"\s?\(([^()]+)\)", after)
        said = " ".join(opening.group(1).lower().split()) if opening else ""
        yield from ((form, long) for long in forms[form] if long.lower() == said)
