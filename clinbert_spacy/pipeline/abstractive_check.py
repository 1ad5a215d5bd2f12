"""What a generated text says and its note does not: entities, numbers, negations, pairs."""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from spacy.tokens import Doc, Span

from ..attributes import ABBREVIATIONS_KEY, ASSERTION_KEY, ENTS_KEY, RELATIONS_KEY, Flag, relations
from .quantities import Quantity, find_quantities
from .quantity_match import why_unsupported

INVENTORY = "resources/en/abbreviations.json"
# Labels that measure something: their numbers decide, not their words, if they have any.
MEASURES = ("STRENGTH", "DOSAGE", "FREQUENCY", "DURATION", "LAB_VALUE")
UNCERTAIN = ("possible", "conditional", "hypothetical")
TAKEN = ("active", "started", "changed")
NOT_TAKEN = ("stopped", "held", "past", "not_taken", "allergy")
PAIRED = ("HAS_STRENGTH", "HAS_DOSAGE", "HAS_FORM", "HAS_ROUTE", "HAS_FREQUENCY", "HAS_DURATION",
          "HAS_VALUE")  # fmt: skip
# Where a phrase ends: words on either side of it are no phrase.
STOP = "|"
WORD = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[.;:\n]+(?=\s|$)")
ARTICLES = ("a", "an", "the")
Words = Tuple[str, ...]
Values = Mapping[str, str]


class Said(NamedTuple):
    """What a text says. words (Words): all of it, normalised. quantities (List[Quantity]): its
    numbers. entities (List[Tuple[Words, Values]]): words of each, and what is said of it.
    pairs (List[Tuple[str, Words, Words, List[Quantity]]]): label, head, tail, numbers of the tail.
    """

    words: Words
    quantities: List[Quantity]
    entities: List[Tuple[Words, Values]]
    pairs: List[Tuple[str, Words, Words, List[Quantity]]]


def words_of(text: str) -> Words:
    """Bring a text to what is compared.

    text (str): any text.
    RETURNS (Words): words and figures in lower case, without articles and "'s"; ends of sentences
        and lines as STOP.
    """
    lower = re.sub(r"['’]s\b", "", text.lower())
    found = (match.group() for match in WORD.finditer(lower))
    return tuple(STOP if w[0] in ".;:\n" else w for w in found if w not in ARTICLES)


def phrase_of(text: str) -> Words:
    """The same for an entity, without STOP. RETURNS (Words): its words."""
    return tuple(word for word in words_of(text) if word != STOP)


def find_flags(output: Doc, note: Doc) -> List[Flag]:
    """Find what a generated text says and its note does not.

    output (Doc): the text, annotated as the note is. note (Doc): the note.
    RETURNS (List[Flag]): in order of the text; a place may have several, for several reasons.
    """
    forms = {**known_forms(), **_own_forms(output), **_own_forms(note)}
    said = read_said(note)
    flags = set(_of_numbers(output, said))
    wrong = {i for flag in flags for i in range(flag.start, flag.end)}
    flags.update(_of_entities(output, said, forms))
    for flag in _of_pairs(output, said, forms):
        if wrong.isdisjoint(range(flag.start, flag.end)):
            flags.add(flag)
    return sorted(flags)


def checks_of(note: Doc) -> List[str]:
    """List what can be checked of a text by what its note has.

    note (Doc): annotated. RETURNS (List[str]): `numbers`, `entities`, and where the pipeline has
        what they need `assertion` and `relations`.
    """
    needs = {"assertion": ASSERTION_KEY, "relations": RELATIONS_KEY}
    return ["numbers", "entities", *(name for name, key in needs.items() if key in note.spans)]


def read_said(doc: Doc) -> Said:
    """Gather what a text says. RETURNS (Said): see there."""
    values = _values(doc)
    entities = [
        (phrase_of(ent.text), values.get((ent.start, ent.end), {})) for ent in entities_of(doc)
    ]
    pairs = [
        (one.label, phrase_of(one.head.text), phrase_of(one.tail.text),
         find_quantities(one.tail.text))
        for one in relations(doc) if one.label in PAIRED
    ]  # fmt: skip
    return Said(words_of(doc.text), find_quantities(doc.text), entities, pairs)


def entities_of(doc: Doc) -> List[Span]:
    """List entities, those that overlap among them, each place and label once."""
    spans = [*doc.ents, *(doc.spans.get(ENTS_KEY) or ())]
    found = {(span.start, span.end, span.label): span for span in spans}
    return [found[place] for place in sorted(found)]


def _values(doc: Doc) -> Dict[Tuple[int, int], Values]:
    group = doc.spans.get(ASSERTION_KEY)
    rows = group.attrs.get("values", ()) if group is not None else ()
    return {(span.start, span.end): values for span, values in zip(group or (), rows)}


@lru_cache(maxsize=1)
def known_forms() -> Dict[str, Words]:
    """Read abbreviations that stand for one thing alone.

    RETURNS (Dict[str, Words]): words of the long form, by the short form in lower case; those that
        are ordinary words in lower case are left out.
    """
    table = json.loads(files("clinbert_spacy").joinpath(INVENTORY).read_text("utf8"))
    ordinary = {form.lower() for form in table["ordinary"]}
    by_form: Dict[str, Set[Words]] = {}
    for form, longs in table["forms"].items():
        by_form.setdefault(form.lower(), set()).update(map(phrase_of, longs))
    return {
        form: next(iter(longs))
        for form, longs in by_form.items()
        if len(longs) == 1 and form not in ordinary
    }


def _own_forms(doc: Doc) -> Dict[str, Words]:
    """What the abbreviations of a text stand for in it, as far as a component found out."""
    group = doc.spans.get(ABBREVIATIONS_KEY)
    longs = group.attrs.get("long_forms", ()) if group is not None else ()
    return {span.text.lower(): phrase_of(long) for span, long in zip(group or (), longs)}


def _expand(words: Words, forms: Mapping[str, Words]) -> Words:
    return tuple(part for word in words for part in forms.get(word, (word,)))


def _holds(whole: Words, part: Words) -> bool:
    n = len(part)
    return any(whole[i : i + n] == part for i in range(len(whole) - n + 1))


def _of_numbers(output: Doc, said: Said) -> Iterator[Flag]:
    for one in find_quantities(output.text):
        reason = why_unsupported(one, said.quantities)
        if reason:
            yield Flag(one.start, one.end, one.kind, "", reason)


def _of_entities(output: Doc, said: Said, forms: Mapping[str, Words]) -> Iterator[Flag]:
    values, known = _values(output), _expand(said.words, forms)
    mentions = [(_expand(words, forms), found) for words, found in said.entities]
    for ent in entities_of(output):
        words = phrase_of(ent.text)
        if not words or (ent.label_ in MEASURES and find_quantities(ent.text)):
            continue
        whole = _expand(words, forms)
        place = (ent.start_char, ent.end_char, "entity", ent.label_)
        if not (_holds(said.words, words) or _holds(known, whole)):
            yield Flag(*place, "not_in_note")
            continue
        there = [found for other, found in mentions if found and _holds(other, whole)]
        here = values.get((ent.start, ent.end), {})
        for reason in _turned(here, there) if there else ():
            yield Flag(*place, reason)


def _turned(here: Values, there: Sequence[Values]) -> Iterator[str]:
    """What is said here that the note says otherwise wherever it names the thing."""
    presence, others = _axis(here, there, "presence")
    if presence == "absent" and others and "absent" not in others:
        yield "negation"
    if presence == "present" and others == {"absent"}:
        yield "negation"
    elif presence == "present" and others and others <= set(UNCERTAIN):
        yield "certainty"
    person, others = _axis(here, there, "experiencer")
    if person and others and (person == "patient") != ("patient" in others):
        yield "experiencer"
    status, others = _axis(here, there, "drug_status")
    for own, opposite in ((TAKEN, NOT_TAKEN), (NOT_TAKEN, TAKEN)):
        if status in own and others and others <= set(opposite):
            yield "drug_status"


def _axis(here: Values, there: Sequence[Values], axis: str) -> Tuple[str, FrozenSet[str]]:
    return here.get(axis, ""), frozenset(found[axis] for found in there if axis in found)


def _of_pairs(output: Doc, said: Said, forms: Mapping[str, Words]) -> Iterator[Flag]:
    """What belongs to another drug or test in the note, or where the note has another one."""
    theirs = [(label, _expand(h, forms), t, q) for label, h, t, q in said.pairs]
    for one in relations(output):
        if one.label not in PAIRED:
            continue
        head, tail = _expand(phrase_of(one.head.text), forms), phrase_of(one.tail.text)
        numbers = find_quantities(one.tail.text)
        heads = [h for label, h, t, q in theirs
                 if label == one.label and _same_tail(tail, numbers, t, q)]  # fmt: skip
        own = any(label == one.label and h == head for label, h, _, _ in theirs)
        if head not in heads and (heads or own):
            yield Flag(one.tail.start_char, one.tail.end_char, "entity", one.tail.label_, "pairing")


def _same_tail(words: Words, numbers: Any, other: Words, others: Sequence[Quantity]) -> bool:
    if words == other:
        return True
    return bool(numbers) and not any(why_unsupported(one, others) for one in numbers)
