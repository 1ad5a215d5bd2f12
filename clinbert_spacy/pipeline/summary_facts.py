"""What a summary owes its reader: side effects, allergies, changes of drugs, problems, plans."""

import re
from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import numpy
from spacy.attrs import SENT_START
from spacy.tokens import Doc, Span

from ..attributes import (
    ASSERTION_KEY,
    PROBLEM_AXES,
    RELATIONS_KEY,
    SECTIONS_KEY,
    in_one_word,
    section_names_of,
    side_effects,
)
from ..attributes.told import (
    NOT_LISTED,
    is_listed,
    is_patient,
    judged,
    load_cues,
    of_others,
)
from .section_scope import governing_sections

# In the order in which a summary owes them.
KINDS = (
    "side_effect", "allergy", "changed", "critical", "pending", "follow_up", "problem", "drug",
)  # fmt: skip
CHANGED = ("started", "stopped", "changed", "held")
BY_STATUS = {"allergy": "allergy", "active": "drug", **dict.fromkeys(CHANGED, "changed")}
# A value that a heading may give to all that stands below it.
BY_HEADING = (
    "absent", "family", "other", "historical", "possible", "conditional", "hypothetical",
)  # fmt: skip
# A line that opens something of its own.
LABEL = re.compile(r"[A-Z][^:\n]{0,40}:")


class Telling(NamedTuple):
    """A place where a note tells a fact; another place may tell the same.

    kind (str): one of KINDS. key (Tuple[str, ...]): the fact's words. sentences (FrozenSet[int]):
    numbers of the sentences that tell it together.
    """

    kind: str
    key: Tuple[str, ...]
    sentences: FrozenSet[int]

    @property
    def fact(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The same for every place that tells it."""
        return (self.kind, *self.key)


class Note(NamedTuple):
    """A note as it is read for a summary: what else would be looked up for every fact.

    doc (Doc): the note. text (str): its text. sentences (List[Span]): all of them.
    texts (List[str]): of the sentences. number (List[int]): of each token's sentence.
    sections (List[str]): name of the section of each sentence, "" outside.
    """

    doc: Doc
    text: str
    sentences: List[Span]
    texts: List[str]
    number: List[int]
    sections: List[str]

    def words(self, span: Span) -> str:
        """RETURNS (str): `words_of`, cut out of the text."""
        return " ".join(self.text[span.start_char : span.end_char].lower().split())


def read_note(doc: Doc) -> Note:
    """Read a note once. doc (Doc): with sentences. RETURNS (Note): what is known of it."""
    text, sentences = doc.text, list(doc.sents)
    names = [name or "" for name in section_names_of(doc, sentences)]
    texts = [text[s.start_char : s.end_char] for s in sentences]
    return Note(doc, text, sentences, texts, numbers_of_sentences(doc).tolist(), names)


def numbers_of_sentences(doc: Doc) -> numpy.ndarray:
    """Number the sentences. RETURNS (ndarray): that of each token. Shape (tokens,)."""
    starts = (doc.to_array([SENT_START]).ravel() == 1).astype("int64")
    starts[:1] = 1
    return numpy.cumsum(starts) - 1


def find_tellings(note: Note) -> List[Telling]:
    """Find what a note tells, and where.

    note (Note): its entities judged and joined as far as the pipeline does that.
    RETURNS (List[Telling]): kind by kind in the order of KINDS, then in that of the note.
    """
    found = [*_effects(note), *_entities(note), *_results(note), *_by_cues(note)]
    return sorted(found, key=lambda one: (KINDS.index(one.kind), min(one.sentences)))


def _effects(note: Note) -> Iterator[Telling]:
    others = of_others(note.doc)
    for one in side_effects(note.doc):
        if one.causality == "denied" or (one.effect.start, one.effect.end) in others:
            continue
        key = (note.words(one.drug), note.words(one.effect))
        ends = frozenset(note.number[span.start] for span in (one.drug, one.effect))
        if is_listed(one):
            if one.assertion not in NOT_LISTED:
                yield Telling("allergy", key[:1], ends)
        elif one.is_current_reaction or one.assertion == "historical":
            yield Telling("side_effect", key, ends)


def _entities(note: Note) -> Iterator[Telling]:
    group = note.doc.spans.get(ASSERTION_KEY)
    for i, values in enumerate(group.attrs.get("values", []) if group is not None else []):
        status = values.get("drug_status")
        kind = BY_STATUS.get(status) or ("problem" if _has(values) else "")
        if kind:
            span = group[i]
            key = (note.words(span), *([status] if kind == "changed" else []))
            yield Telling(kind, key, frozenset([note.number[span.start]]))


def _has(values: Mapping[str, str]) -> bool:
    """Whether the patient has a problem."""
    told = bool(values.get("presence")) and in_one_word(values) == "present"
    return told and is_patient(values)


def _results(note: Note) -> Iterator[Telling]:
    """Results that are called critical in their sentence, and tests whose result is to come."""
    cues, group = load_cues(), note.doc.spans.get(RELATIONS_KEY)
    rows = group.attrs.get("relations", []) if group is not None else []
    valued = {group[row["head"]].start for row in rows if row["label"] == "HAS_VALUE"}
    tests = [(note.number[e.start], e) for e in note.doc.ents if e.label_ == "TEST"]
    # a sentence is read once, however many tests a table has
    said = {
        kind: {i for i in {i for i, _ in tests} if cues[kind].search(note.texts[i])}
        for kind in ("critical", "pending")
    }
    for place, test in tests:
        kind = "critical" if test.start in valued else "pending"
        if place in said[kind]:
            yield Telling(kind, (note.words(test),), frozenset([place]))


def _by_cues(note: Note) -> Iterator[Telling]:
    cues = load_cues()
    for i, (text, name) in enumerate(zip(note.texts, note.sections)):
        if name in cues["follow_up_sections"] or cues["follow_up"].search(text):
            yield Telling("follow_up", (note.words(note.sentences[i]),), frozenset([i]))


def find_needs(note: Note) -> Dict[int, FrozenSet[int]]:
    """Find sentences that would say something else without another one.

    What is denied, stopped, ... by a cue in another sentence, such as the "no" in the line before,
    what a heading on a line of its own makes the family's, historical or an allergy, and, whether
    or not anybody judged entities, the lines below a "Denies:" or its like.

    note (Note): the note.
    RETURNS (Dict[int, FrozenSet[int]]): for sentences that need others, their numbers.
    """
    doc, number = note.doc, note.number
    headings = _headings(doc, number)
    needs: Dict[int, Set[int]] = _below_labels(note)
    rows = judged(doc)
    governed = governing_sections(doc, [span for span, *_ in rows])
    for (span, values, cues), section in zip(rows, governed):
        own = number[span.start]
        meant = {number[start] for start, _ in _ranges(cues)}
        if section and _by_heading(doc, values, cues):
            meant |= headings.get(own, set())
        if meant - {own}:
            needs.setdefault(own, set()).update(meant - {own})
    return {i: frozenset(others) for i, others in needs.items()}


def _by_heading(doc: Doc, values: Mapping[str, str], cues: Mapping[str, Any]) -> bool:
    """Whether no words of the text say what was decided: the heading above may."""
    if values.get("drug_status") == "allergy":
        # the dash of "Penicillin - rash" says it below its heading only
        return not any(token.is_alpha for token in doc[slice(*cues.get("drug_status") or (0, 0))])
    return any(values.get(axis) in BY_HEADING and not cues.get(axis) for axis in PROBLEM_AXES)


def _below_labels(note: Note) -> Dict[int, Set[int]]:
    """Lines below a "Denies:" or its like, up to an empty line, a section or another label."""
    turning = load_cues()["turning"]
    sections = note.doc.spans.get(SECTIONS_KEY) or ()
    opening = {note.number[section.start] for section in sections}
    needs: Dict[int, Set[int]] = {}
    head: Optional[int] = None
    for i, whole in enumerate(note.texts):
        text = whole.rstrip()
        if i in opening or LABEL.match(text.lstrip()):
            head = None
        if head is not None:
            needs[i] = {head}
        if text.endswith(":"):
            head = i if turning.search(text) else None
        elif whole[len(text) :].count("\n") > 1:
            head = None
    return needs


def _ranges(cues: Dict[str, Any]) -> List[Tuple[int, int]]:
    return [tuple(place) for place in cues.values() if place]


def _headings(doc: Doc, number: Sequence[int]) -> Dict[int, Set[int]]:
    """For sentences of a section, that of its first token, where its title stands."""
    found: Dict[int, Set[int]] = {}
    for section in doc.spans.get(SECTIONS_KEY, ()):
        first, last = number[section.start], number[section.end - 1]
        for i in range(first + 1, last + 1):
            found[i] = {first}
    return found


def identified(doc: Doc, key: str = "clinbert_phi") -> FrozenSet[int]:
    """Number the sentences that name somebody. doc (Doc): the note. key (str): its span group.

    RETURNS (FrozenSet[int]): empty where nobody looked for identifiers.
    """
    group = doc.spans.get(key)
    if group is None:
        return frozenset()
    number = numbers_of_sentences(doc)
    return frozenset(i for s in group for i in number[s.start : s.end].tolist())


def kinds_told(tellings: Sequence[Telling], n_sentences: int) -> numpy.ndarray:
    """Count what each sentence tells, and what it is the first to tell.

    tellings (Sequence[Telling]): of a note, of each kind in its order. n_sentences (int): of it.
    RETURNS (ndarray): first the one, then the other. Shape (sentences, 2 * KINDS), float32.
    """
    column = {kind: i for i, kind in enumerate(KINDS)}
    every: List[int] = []
    first: List[int] = []
    seen: Set[Tuple[str, ...]] = set()
    for one in tellings:
        places = [i * len(KINDS) + column[one.kind] for i in one.sentences]
        every += places
        first += places if one.fact not in seen else []
        seen.add(one.fact)
    size = n_sentences * len(KINDS)
    counts = [numpy.bincount(found, minlength=size) for found in (every, first)]
    shape = (n_sentences, len(KINDS))
    return numpy.hstack([found.reshape(shape) for found in counts]).astype("float32")
