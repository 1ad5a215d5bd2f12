"""Cues of assertion and drug status, and how they are found in a note."""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import (
    Any,
    Container,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Pattern,
    Set,
    Tuple,
)

from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc, Span

from ..attributes import AXES
from .note_words import NoteWords
from .word_patterns import MEMORY, Word, WordPatterns

RESOURCE = "resources/en/cues.json"
DIRECTIONS = ("before", "after", "inside")
END, PSEUDO = "end", "pseudo"
# The value of an END after which another person is spoken of.
SUBJECT = "subject"
QUERIES = ("?", "??")
# What may stand between an entity and the answer to it: `Rash: N`, `rash (-)`, `rash [N]`.
LINKS = (":", "(", "[", "=", "-", "–")
REACH_LINKS, REACH_LINE = 4, 60
STOPS = (".", ",", ";", "/", "//", ")", "]", "(", "|")


class Role(NamedTuple):
    """What a cue says.

    axis (str): `presence`, `experiencer`, `time`, `drug_status`, or END, PSEUDO.
    value (str): e.g. `absent`. direction (str): one of DIRECTIONS.
    weak (bool): says nothing about the time of a chronic disease.
    """

    axis: str
    value: str
    direction: str
    weak: bool = False


class Cue(NamedTuple):
    """A cue in a note: tokens from `start` up to `end`, and what it says."""

    start: int
    end: int
    roles: Tuple[Role, ...]


class Phrase(NamedTuple):
    """A phrase of the lists in a note: tokens from `start` up to `end`, and which one it is."""

    start: int
    end: int
    key: str


def longest(phrases: Iterable[Phrase]) -> List[Phrase]:
    """Keep the longest of phrases that overlap, the first of two that are equally long.

    phrases (Iterable[Phrase]): of a note. RETURNS (List[Phrase]): in order.
    """
    kept: List[Phrase] = []
    seen: Set[int] = set()
    for phrase in sorted(phrases, key=lambda p: (p.start - p.end, p.start)):
        # none that was kept is shorter: it would reach over one of the ends
        if phrase.start not in seen and phrase.end - 1 not in seen:
            kept.append(phrase)
            seen.update(range(phrase.start, phrase.end))
    return sorted(kept)


@lru_cache(maxsize=1)
def load_cues() -> Dict[str, Any]:
    """Read the cue lists. RETURNS (Dict[str, Any]): `resources/en/cues.json`."""
    text = files("clinbert_spacy").joinpath(RESOURCE).read_text("utf8")
    found: Dict[str, Any] = json.loads(text)
    return found


def list_roles(data: Mapping[str, Any]) -> Dict[str, Tuple[Role, ...]]:
    """Turn the lists round: what each phrase says.

    data (Mapping[str, Any]): what `load_cues` gave.
    RETURNS (Dict[str, Tuple[Role, ...]]): roles by phrase.
    """
    weak = set(data["weak"])
    roles: Dict[str, List[Role]] = {}
    for axis in AXES:
        for value, lists in data[axis].items():
            for direction in DIRECTIONS:
                for phrase in lists[direction]:
                    role = Role(axis, value, direction, axis == "time" and phrase in weak)
                    roles.setdefault(phrase, []).append(role)
    for kind in (END, PSEUDO):
        for phrase in data[kind]:
            value = SUBJECT if phrase in data[SUBJECT] else ""
            roles.setdefault(phrase, []).append(Role(kind, value, ""))
    return {phrase: tuple(found) for phrase, found in roles.items()}


def _entity_before(words: NoteWords, start: int, taken: Container[int]) -> bool:
    """Whether an entity ends at a token, or before the colon or bracket in front of it."""
    for i in range(start - 1, max(-1, start - 1 - REACH_LINKS), -1):
        if i in taken:
            return True
        if "\n" in words.texts[i] or not (words.texts[i] in LINKS or words.texts[i].isspace()):
            return False
    return False


def _stops(words: NoteWords, end: int) -> bool:
    """Whether nothing of the same statement follows."""
    return end >= len(words.texts) or words.texts[end] in STOPS or "\n" in words.texts[end]


def _is_apart(words: NoteWords, start: int, end: int) -> bool:
    """Whether a sign opens what follows: `?PE`, not `PE?` nor `PE (?)`."""
    if start == 0 or (end < len(words.texts) and words.texts[end] == ")"):
        return start == 0
    return bool(words.spaces[start - 1]) or not words.texts[start - 1][-1].isalnum()


def _boxes_follow(words: NoteWords, start: int, taken: Container[int]) -> bool:
    """Whether the boxes of a line stand behind what they tick: `Fever [ ] Cough [x]`."""
    first = start
    for i in range(start - 1, max(-1, start - 1 - REACH_LINE), -1):
        if "\n" in words.texts[i]:
            break
        first = i if words.texts[i] == "[" else first
    return _entity_before(words, first, taken)


def _has_both(roles: Iterable[Role]) -> bool:
    """Whether a phrase says something of what stands before and behind it, on one axis."""
    before = {role.axis for role in roles if role.direction == "before"}
    return any(role.axis in before for role in roles if role.direction == "after")


class CueMatcher:
    """Finds cues in Docs of one pipeline, in its own tokens.

    nlp (Language): its tokenizer cuts the phrases as it cuts the notes, so they are cut at the
        first note only: a pipeline that is loaded gets its tokenizer after its components.
    data (Optional[Mapping[str, Any]]): cue lists; those of the package by default.
    """

    def __init__(self, nlp: Language, data: Optional[Mapping[str, Any]] = None) -> None:
        self.nlp: Optional[Language] = nlp
        self.data = load_cues() if data is None else data
        self.roles = list_roles(self.data)
        self.answers = frozenset(self.data.get("answers", ()))
        self.close = frozenset(self.data.get("close", ()))
        self.short = frozenset(self.data.get("short", ()))
        self.inside: List[Tuple[Pattern[str], Tuple[Role, ...]]] = [
            (re.compile(phrase.strip("/")), roles)
            for phrase, roles in self.roles.items()
            if roles[0].direction == "inside"
        ]
        self.yields = frozenset(self.data.get("yields", ()))
        self._names: Dict[str, Tuple[List[Role], bool]] = {}

    def _cut(self, nlp: Language) -> None:
        """Cut the phrases into tokens; the pipeline is not needed any more."""
        self.nlp = None
        self.phrases = PhraseMatcher(nlp.vocab, attr="LOWER")
        patterns: Dict[str, List[Word]] = {}
        for phrase, roles in self.roles.items():
            if roles[0].direction == "inside":
                continue
            words = _split(phrase, nlp)
            if any(isinstance(word, re.Pattern) for word in words):
                patterns[phrase] = words
            else:
                nlp.vocab.strings.add(phrase, allow_transient=False)  # outlives a memory_zone
                self.phrases.add(phrase, [nlp.make_doc(phrase)])
        self.patterns = WordPatterns(patterns)

    def find(self, doc: Doc, words: NoteWords, taken: Container[int] = ()) -> List[Cue]:
        """Find the cues of a note, the longest where they overlap.

        doc (Doc): the note. words (NoteWords): its tokens.
        taken (Container[int]): those of entities, which are no cues.
        RETURNS (List[Cue]): in order; those without a meaning are left out.
        """
        if self.nlp is not None:
            self._cut(self.nlp)
        strings = doc.vocab.strings
        found = [Phrase(start, end, strings[key]) for key, start, end in self.phrases(doc)]
        found += [Phrase(s.start, s.end, s.label_) for s in self.patterns(doc)]
        free = (p for p in found if not any(i in taken for i in range(p.start, p.end)))
        cues = [self._place(words, phrase, taken) for phrase in longest(free)]
        return [cue for cue in cues if any(role.axis != PSEUDO for role in cue.roles)]

    def _place(self, words: NoteWords, span: Phrase, taken: Container[int]) -> Cue:
        """The cue of a phrase, with what it says where it stands."""
        roles = self.roles[span.key]
        if words.texts[span.start] in QUERIES:
            # "headache ?migraine" asks for what follows, "migraine?" for what stands before
            keeps = "before" if _is_apart(words, span.start, span.end) else "after"
        elif words.texts[span.start] == "[" and span.key not in self.answers:
            keeps = ""
            if _boxes_follow(words, span.start, taken):
                roles = tuple(r._replace(direction="after") for r in roles)
        else:
            keeps = self._keeps(words, span, taken)
        kept = roles if not keeps else tuple(r for r in roles if r.direction in ("", keeps))
        return Cue(span.start, span.end, kept)

    def _keeps(self, words: NoteWords, span: Phrase, taken: Container[int]) -> str:
        """The one direction in which a phrase is to be read at its place, "" for both."""
        phrase = span.key
        behind = _entity_before(words, span.start, taken)
        if phrase in self.close:
            return "after" if behind else "before"
        ends = _stops(words, span.end)
        if phrase in self.answers:
            return "after" if behind and ends else "before"
        if not _has_both(self.roles[phrase]):
            return ""
        if behind:
            # "pain denied, fever ...": nothing more is denied
            return "after" if ends else ""
        return "before" if span.end in taken else ""

    def is_reaction(self, drug: str, problem: str) -> bool:
        """Whether a problem is one that drugs do, and not one that this drug is given for.

        drug (str): the drug. problem (str): the problem.
        RETURNS (bool): whether it is.
        """
        names = (part in drug.lower() for part in self.data.get("remedies", ()))
        signs = (part in problem.lower() for part in self.data.get("reactions", ()))
        return any(signs) and not any(names)

    def look_inside(self, entity: Span) -> List[Role]:
        """Find what the words of an entity say themselves: `afebrile`.

        entity (Span): the entity.
        RETURNS (List[Role]): what they say.
        """
        return self._name(entity)[0]

    def is_chronic(self, entity: Span) -> bool:
        """Whether an entity names a disease that lasts.

        entity (Span): the entity.
        RETURNS (bool): whether one of the names stands in it as a word or words.
        """
        return self._name(entity)[1]

    def _name(self, entity: Span) -> Tuple[List[Role], bool]:
        """What the words of an entity say, whatever stands around them."""
        text = entity.text.lower()
        found = self._names.get(text)
        if found is None:
            if len(self._names) >= MEMORY:
                self._names.clear()
            found = self._names[text] = self._read_name(text)
        return found

    def _read_name(self, text: str) -> Tuple[List[Role], bool]:
        roles = [role for pattern, said in self.inside if pattern.search(text) for role in said]
        apart = f" {text} "
        names = self.data.get("chronic", ())
        return roles, any(f" {name} " in apart or f" {name}'" in apart for name in names)


def _split(phrase: str, nlp: Language) -> List[Word]:
    """Words of a phrase as the pipeline's tokens; a word in slashes as a regular expression."""
    words: List[Word] = []
    for word in phrase.split(" "):
        if len(word) > 2 and word[0] == word[-1] == "/":
            words.append(re.compile(word[1:-1]))
        else:
            words.extend(token.lower_ for token in nlp.make_doc(word))
    return words
