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
from spacy.tokens import Doc, Span

from ..attributes import (
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
    words_of,
)
from .section_scope import governing_sections

# In the order in which a summary owes them.
KINDS = (
    "side_effect", "allergy", "changed", "critical", "pending", "follow_up", "problem", "drug",
)  # fmt: skip
CHANGED = ("started", "stopped", "changed", "held")
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


def numbers_of_sentences(doc: Doc) -> numpy.ndarray:
    """Number the sentences. RETURNS (ndarray): that of each token. Shape (tokens,)."""
    starts = numpy.array([token.is_sent_start is True for token in doc], dtype="int64")
    if len(starts):
        starts[0] = 1
    return numpy.cumsum(starts) - 1


def find_tellings(doc: Doc, sentences: Sequence[Span]) -> List[Telling]:
    """Find what a note tells, and where.

    doc (Doc): the note, its entities judged and joined as far as the pipeline does that.
    sentences (Sequence[Span]): all of the note.
    RETURNS (List[Telling]): kind by kind in the order of KINDS, then in that of the note.
    """
    number = numbers_of_sentences(doc)
    found = [*_effects(doc, number), *_entities(doc, number)]
    found += [*_results(doc, number, sentences), *_by_cues(doc, sentences)]
    return sorted(found, key=lambda one: (KINDS.index(one.kind), min(one.sentences)))


def _effects(doc: Doc, number: numpy.ndarray) -> Iterator[Telling]:
    others = of_others(doc)
    for one in side_effects(doc):
        if one.causality == "denied" or (one.effect.start, one.effect.end) in others:
            continue
        key = (words_of(one.drug), words_of(one.effect))
        ends = frozenset(int(number[span.start]) for span in (one.drug, one.effect))
        if is_listed(one):
            if one.assertion not in NOT_LISTED:
                yield Telling("allergy", key[:1], ends)
        elif one.is_current_reaction or one.assertion == "historical":
            yield Telling("side_effect", key, ends)


def _entities(doc: Doc, number: numpy.ndarray) -> Iterator[Telling]:
    for span, values, _ in judged(doc):
        place, key = frozenset([int(number[span.start])]), (words_of(span),)
        status = values.get("drug_status")
        if status == "allergy":
            yield Telling("allergy", key, place)
        elif status in CHANGED:
            yield Telling("changed", (*key, status), place)
        elif status == "active":
            yield Telling("drug", key, place)
        elif _has(values):
            yield Telling("problem", key, place)


def _has(values: Mapping[str, str]) -> bool:
    """Whether the patient has a problem."""
    told = bool(values.get("presence")) and in_one_word(values) == "present"
    return told and is_patient(values)


def _results(doc: Doc, number: numpy.ndarray, sentences: Sequence[Span]) -> Iterator[Telling]:
    """Results that are called critical in their sentence, and tests whose result is to come."""
    cues, group = load_cues(), doc.spans.get(RELATIONS_KEY)
    rows = group.attrs.get("relations", []) if group is not None else []
    valued = {group[row["head"]].start for row in rows if row["label"] == "HAS_VALUE"}
    tests = [(int(number[e.start]), e) for e in doc.ents if e.label_ == "TEST"]
    # a sentence is read once, however many tests a table has
    said = {
        kind: {i for i in {i for i, _ in tests} if cues[kind].search(sentences[i].text)}
        for kind in ("critical", "pending")
    }
    for place, test in tests:
        kind = "critical" if test.start in valued else "pending"
        if place in said[kind]:
            yield Telling(kind, (words_of(test),), frozenset([place]))


def _by_cues(doc: Doc, sentences: Sequence[Span]) -> Iterator[Telling]:
    cues = load_cues()
    names = section_names_of(doc, sentences)
    for i, (sentence, name) in enumerate(zip(sentences, names)):
        if name in cues["follow_up_sections"] or cues["follow_up"].search(sentence.text):
            yield Telling("follow_up", (words_of(sentence),), frozenset([i]))


def find_needs(doc: Doc, sentences: Sequence[Span]) -> Dict[int, FrozenSet[int]]:
    """Find sentences that would say something else without another one.

    What is denied, stopped, ... by a cue in another sentence, such as the "no" in the line before,
    what a heading on a line of its own makes the family's, historical or an allergy, and, whether
    or not anybody judged entities, the lines below a "Denies:" or its like.

    doc (Doc): the note. sentences (Sequence[Span]): all of the note.
    RETURNS (Dict[int, FrozenSet[int]]): for sentences that need others, their numbers.
    """
    number = numbers_of_sentences(doc)
    headings = _headings(doc, number)
    needs: Dict[int, Set[int]] = _below_labels(doc, number, sentences)
    rows = judged(doc)
    governed = governing_sections(doc, [span for span, *_ in rows])
    for (span, values, cues), section in zip(rows, governed):
        own = int(number[span.start])
        meant = {int(number[start]) for start, _ in _ranges(cues)}
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


def _below_labels(
    doc: Doc, number: numpy.ndarray, sentences: Sequence[Span]
) -> Dict[int, Set[int]]:
    """Lines below a "Denies:" or its like, up to an empty line, a section or another label."""
    turning = load_cues()["turning"]
    opening = {int(number[section.start]) for section in doc.spans.get(SECTIONS_KEY) or ()}
    needs: Dict[int, Set[int]] = {}
    head: Optional[int] = None
    for i, sentence in enumerate(sentences):
        text = sentence.text.rstrip()
        if i in opening or LABEL.match(text.lstrip()):
            head = None
        if head is not None:
            needs[i] = {head}
        if text.endswith(":"):
            head = i if turning.search(text) else None
        elif sentence.text[len(text) :].count("\n") > 1:
            head = None
    return needs


def _ranges(cues: Dict[str, Any]) -> List[Tuple[int, int]]:
    return [tuple(place) for place in cues.values() if place]


def _headings(doc: Doc, number: numpy.ndarray) -> Dict[int, Set[int]]:
    """For sentences of a section, that of its first token, where its title stands."""
    found: Dict[int, Set[int]] = {}
    for section in doc.spans.get(SECTIONS_KEY, ()):
        first, last = int(number[section.start]), int(number[section.end - 1])
        for i in range(first + 1, last + 1):
            found[i] = {first}
    return found


def identified(doc: Doc, key: str = "clinbert_phi") -> FrozenSet[int]:
    """Number the sentences that name somebody. doc (Doc): the note. key (str): its span group.

    RETURNS (FrozenSet[int]): empty where nobody looked for identifiers.
    """
    number, group = numbers_of_sentences(doc), doc.spans.get(key)
    if group is None:
        return frozenset()
    return frozenset(i for s in group for i in number[s.start : s.end].tolist())


def kinds_told(tellings: Sequence[Telling], n_sentences: int) -> numpy.ndarray:
    """Count what each sentence tells, and what it is the first to tell.

    tellings (Sequence[Telling]): of a note, of each kind in its order. n_sentences (int): of it.
    RETURNS (ndarray): first the one, then the other. Shape (sentences, 2 * KINDS), float32.
    """
    counts = numpy.zeros((2, n_sentences, len(KINDS)), dtype="float32")
    seen: Set[Tuple[str, ...]] = set()
    for one in tellings:
        new = one.fact not in seen
        seen.add(one.fact)
        for i in one.sentences:
            counts[: 1 + new, i, KINDS.index(one.kind)] += 1
    return numpy.concatenate(counts, axis=1)
