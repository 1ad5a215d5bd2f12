"""Assertion and drug status by cues, after ConText (Harkema et al. 2009): every answer has its cue.

Linear in the note: the cues are found by spaCy's matchers, and two passes, one in each direction,
carry the cue that is open on each axis to the entities.
"""

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
    Sequence,
    Tuple,
)

from spacy.language import Language
from spacy.matcher import Matcher, PhraseMatcher
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

RESOURCE = "resources/en/cues.json"
PROBLEM_AXES = ("presence", "experiencer", "time")
DRUG_AXES = ("drug_status",)
DEFAULTS = {
    "presence": "present",
    "experiencer": "patient",
    "time": "current",
    "drug_status": "active",
}
DIRECTIONS = ("before", "after", "inside")
# A cue behind an entity belongs to what stands close before it, and to a list that ends there.
REACH_BACK = 6
# Drugs change their status many times in a sentence.
REACH = {"presence": 40, "experiencer": 40, "time": 25, "drug_status": 15}
JOINED = {",", "and", "or", "/", "&", "+", "and/or", "nor"}
END, PSEUDO = "end", "pseudo"


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


class Finding(NamedTuple):
    """What the rules say of an entity on one axis.

    value (str): e.g. `absent`. cue (Optional[Tuple[int, int]]): tokens of the cue; None where a
        section or the default decides. source (str): `cue`, `section` or `default`.
    """

    value: str
    cue: Optional[Tuple[int, int]]
    source: str


Findings = Dict[str, Finding]


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
    for axis in DEFAULTS:
        for value, lists in data[axis].items():
            for direction in DIRECTIONS:
                for phrase in lists[direction]:
                    role = Role(axis, value, direction, axis == "time" and phrase in weak)
                    roles.setdefault(phrase, []).append(role)
    for kind in (END, PSEUDO):
        for phrase in data[kind]:
            roles.setdefault(phrase, []).append(Role(kind, "", ""))
    return {phrase: tuple(found) for phrase, found in roles.items()}


class CueMatcher:
    """Finds cues in Docs of one pipeline, in its own tokens.

    nlp (Language): its tokenizer cuts the phrases as it cuts the notes.
    data (Optional[Mapping[str, Any]]): cue lists; those of the package by default.
    """

    def __init__(self, nlp: Language, data: Optional[Mapping[str, Any]] = None) -> None:
        self.data = load_cues() if data is None else data
        self.roles = list_roles(self.data)
        self.phrases = PhraseMatcher(nlp.vocab, attr="LOWER")
        self.patterns = Matcher(nlp.vocab)
        self.inside: List[Tuple[Pattern[str], Tuple[Role, ...]]] = []
        for phrase, roles in self.roles.items():
            if roles[0].direction == "inside":
                self.inside.append((re.compile(phrase.strip("/")), roles))
                continue
            words = _split(phrase, nlp)
            if any(isinstance(word, dict) for word in words):
                pattern = [w if isinstance(w, dict) else {"LOWER": w} for w in words]
                self.patterns.add(phrase, [pattern])
            else:
                self.phrases.add(phrase, [nlp.make_doc(phrase)])

    def find(self, doc: Doc, taken: Container[int] = ()) -> List[Cue]:
        """Find the cues of a note, the longest where they overlap.

        doc (Doc): the note. taken (Container[int]): tokens of entities, which are no cues.
        RETURNS (List[Cue]): in order; those without a meaning are left out.
        """
        found = [*self.phrases(doc, as_spans=True), *self.patterns(doc, as_spans=True)]
        free = (s for s in found if not any(i in taken for i in range(s.start, s.end)))
        kept = filter_spans(free)
        cues = [Cue(s.start, s.end, self.roles[s.label_]) for s in sorted(kept)]
        return [cue for cue in cues if any(role.axis != PSEUDO for role in cue.roles)]

    def look_inside(self, entity: Span) -> List[Role]:
        """Find what the words of an entity say themselves: `afebrile`.

        entity (Span): the entity.
        RETURNS (List[Role]): what they say.
        """
        text = entity.text.lower()
        return [role for pattern, found in self.inside if pattern.search(text) for role in found]


def _split(phrase: str, nlp: Language) -> List[Any]:
    """Words of a phrase as the pipeline's tokens; a word in slashes as a regular expression."""
    words: List[Any] = []
    for word in phrase.split(" "):
        if len(word) > 2 and word[0] == word[-1] == "/":
            words.append({"LOWER": {"REGEX": word[1:-1]}})
        else:
            words.extend(token.lower_ for token in nlp.make_doc(word))
    return words


class Asked(NamedTuple):
    """An entity to be judged.

    span (Span): the entity. axes (Tuple[str, ...]): its axes. section (str): where it stands, ""
    if unknown. chronic (bool): a disease that lasts.
    """

    span: Span
    axes: Tuple[str, ...]
    section: str = ""
    chronic: bool = False


def judge(
    doc: Doc, asked: Sequence[Asked], matcher: CueMatcher
) -> Tuple[List[Cue], List[Findings]]:
    """Judge entities by the cues around them.

    doc (Doc): a note with sentences. asked (Sequence[Asked]): entities in order of their start.
    matcher (CueMatcher): finds the cues.
    RETURNS (Tuple[List[Cue], List[Findings]]): the cues, and by axis what they say of each entity.
    """
    taken = {i for one in asked for i in range(one.span.start, one.span.end)}
    cues = matcher.find(doc, taken)
    ahead = carry_ahead(doc, asked, cues)
    behind = carry_back(doc, asked, cues)
    sections = matcher.data["sections"]
    findings = [
        {axis: _decide(matcher, one, axis, before, after, sections) for axis in one.axes}
        for one, before, after in zip(asked, ahead, behind)
    ]
    return cues, findings


Open = Dict[str, Tuple[Role, Cue]]


def carry_ahead(doc: Doc, asked: Sequence[Asked], cues: Sequence[Cue]) -> List[Open]:
    """Carry cues that stand before entities to them.

    doc (Doc): the note. asked (Sequence[Asked]): entities. cues (Sequence[Cue]): both in order.
    RETURNS (List[Open]): by entity, the last open cue of each axis.
    """
    results: List[Open] = []
    current: Open = {}
    position, last = 0, 0
    for one in asked:
        start = one.span.start
        while position < len(cues) and cues[position].start < start:
            cue = cues[position]
            if _sentence_between(doc, last, cue.start):
                current = {}
            current = _open(current, cue, "before")
            last, position = cue.end - 1, position + 1
        if _sentence_between(doc, last, start):
            current = {}
        last = max(last, start)
        results.append({a: (r, c) for a, (r, c) in current.items() if start - c.end <= REACH[a]})
    return results


def carry_back(doc: Doc, asked: Sequence[Asked], cues: Sequence[Cue]) -> List[Open]:
    """Carry cues that stand behind entities back to them, and through the list before them.

    doc (Doc): the note. asked (Sequence[Asked]): entities. cues (Sequence[Cue]): both in order.
    RETURNS (List[Open]): by entity, the first cue of each axis within reach.
    """
    results: List[Open] = [{} for _ in asked]
    position = len(cues) - 1
    near: List[Cue] = []
    for k in range(len(asked) - 1, -1, -1):
        end = asked[k].span.end
        while position >= 0 and cues[position].start >= end:
            near.insert(0, cues[position])
            position -= 1
        near = [cue for cue in near if cue.start - end <= REACH_BACK]
        results[k] = _reach_back(doc, asked[k].span, near)
        if k + 1 < len(asked) and _joined(doc, end, asked[k + 1].span.start):
            results[k] = {**results[k + 1], **results[k]}
    return results


def _reach_back(doc: Doc, span: Span, near: Sequence[Cue]) -> Open:
    found: Open = {}
    for cue in near:
        ends = any(role.axis == END for role in cue.roles)
        if ends or _sentence_between(doc, span.end - 1, cue.start):
            break
        for role in cue.roles:
            if role.direction == "after" and role.axis not in found:
                found[role.axis] = (role, cue)
        # a comma, or a cue for what follows, cuts it off from cues further on
        if doc[cue.end - 1].text == ",":
            break
    return found


def _open(current: Open, cue: Cue, direction: str) -> Open:
    if any(role.axis == END for role in cue.roles):
        current = {}
    fresh = {role.axis: (role, cue) for role in cue.roles if role.direction == direction}
    return {**current, **fresh}


def _sentence_between(doc: Doc, left: int, right: int) -> bool:
    """Whether a sentence begins after one token and up to another."""
    return any(doc[i].is_sent_start for i in range(left + 1, right + 1))


def _joined(doc: Doc, left: int, right: int) -> bool:
    """Whether nothing but commas and conjunctions stand between two tokens."""
    return 0 < right - left <= 3 and all(doc[i].lower_ in JOINED for i in range(left, right))


def _decide(
    matcher: CueMatcher,
    one: Asked,
    axis: str,
    before: Open,
    after: Open,
    sections: Mapping[str, Mapping[str, str]],
) -> Finding:
    inside = [role for role in matcher.look_inside(one.span) if role.axis == axis]
    if inside:
        return Finding(inside[0].value, (one.span.start, one.span.end), "cue")
    found = [pair for pair in (before.get(axis), after.get(axis)) if pair is not None]
    found = [(role, cue) for role, cue in found if not (role.weak and one.chronic)]
    if found:
        role, cue = min(found, key=lambda pair: _distance(one.span, pair[1]))
        return Finding(role.value, (cue.start, cue.end), "cue")
    default = sections.get(one.section, {}).get(axis)
    if default is not None:
        return Finding(default, None, "section")
    return Finding(DEFAULTS[axis], None, "default")


def _distance(span: Span, cue: Cue) -> int:
    return span.start - cue.end if cue.end <= span.start else cue.start - span.end


def is_chronic(span: Span, chronic: Iterable[str]) -> bool:
    """Whether an entity names a disease that lasts.

    span (Span): the entity. chronic (Iterable[str]): names in small letters.
    RETURNS (bool): whether one of them stands in it as a word or words.
    """
    text = f" {span.text.lower()} "
    return any(f" {name} " in text or f" {name}'" in text for name in chronic)
