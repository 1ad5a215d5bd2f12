"""Assertion and drug status by cues, after ConText (Harkema et al. 2009): every answer has its cue.

Linear in the note: the cues are found by spaCy's matchers, and two passes, one in each direction,
carry the cue that is open on each axis to the entities.
"""

import re
from typing import Container, Dict, List, NamedTuple, Optional, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import AXES
from .cues import END, SUBJECT, Cue, CueMatcher, Role
from .note_words import NoteWords, read_words

STATUS, PERSON, PRESENCE = "drug_status", "experiencer", "presence"
DEFAULTS = {axis: values[0] for axis, values in AXES.items()}
# A cue behind an entity belongs to what stands close before it, and to a list that ends there.
REACH_BACK = 6
# One that is said of the next words only: `not`.
REACH_SHORT = 6
# Drugs change their status many times in a sentence.
REACH = {"presence": 40, "experiencer": 40, "time": 25, "drug_status": 15}
# What may still happen to a drug that one is on.
LATER = ("stopped", "held", "changed")
# At the start of a sentence they say under which condition the rest happens.
CONDITIONS = {"if", "should"}
GIVEN = ("started", "active", "planned", "past")
# A drug that was stopped, and the same some time ago.
ENDED = ("stopped", "past")
AGO = {"ago", "back", "before", "last", "previously", "past"}
YEAR = re.compile(r"\(?(?:19[3-9]\d|20[0-2]\d)\)?")
# What somebody else does with a drug, the patient does not.
TAKEN = ("active", "past", "stopped", "started", "changed")
# What is said of the problems or of the drugs behind a cue, not of both.
DENIED = {"absent", "not_taken"}
# Of two cues that are equally near; what is said to be there counts first.
ORDER = ("present", "absent", "hypothetical", "conditional", "possible")
# Counts more than that a problem comes in a circumstance only.
OUTWEIGHS = {"absent", "hypothetical"}
# Directly before a drug these say nothing of the problems behind it.
OF_THE_DRUG = {"absent", "possible"}
# Between a drug and its reaction.
LEADS_ON = {"-", "–", ":", "(", "=", "->", ">"}
# Signs at the start of lines, where both stand in one list.
SIGNS = {
    "-": Role("presence", "absent", "before"),
    "+": Role("presence", "present", "before"),
}
BULLETS = {"-", "*", "•", "·", "–", "+"}
# Between a drug and the one that takes its place.
INSTEAD = {"for", "to", "with", "by", "onto"}
JOINED = {",", "and", "or", "/", "&", "+", "and/or", "nor"}


class Finding(NamedTuple):
    """What the rules say of an entity on one axis.

    value (str): e.g. `absent`. cue (Optional[Tuple[int, int]]): tokens of the cue; None where a
        section or the default decides. source (str): `cue`, `section`, `mention` (the cue stands
        at another mention of the same drug) or `default`.
    """

    value: str
    cue: Optional[Tuple[int, int]]
    source: str


Findings = Dict[str, Finding]
BY_DEFAULT = {axis: Finding(value, None, "default") for axis, value in DEFAULTS.items()}


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
    words = read_words(doc)
    cues = sorted([*matcher.find(doc, words, taken), *find_signs(words)])
    ahead = carry_ahead(words, asked, cues, matcher.short, matcher.data.get("exchange", ()))
    behind = carry_back(words, asked, cues, matcher.answers)
    inside = [matcher.look_inside(one.span) for one in asked]
    findings = [
        {axis: _decide(words, matcher, one, axis, before, after, own) for axis in one.axes}
        for one, before, after, own in zip(asked, ahead, behind, inside)
    ]
    return cues, share_status(asked, read_reactions(words, asked, findings, matcher))


def read_reactions(
    words: NoteWords, asked: Sequence[Asked], findings: Sequence[Findings], matcher: CueMatcher
) -> List[Findings]:
    """Read `Penicillin: hives` as an allergy, where nothing else is said of either.

    The drug opens the statement, the problem ends it, and is what drugs do and not what they are
    given for.

    words (NoteWords): of a note. asked (Sequence[Asked]): entities.
    findings (Sequence[Findings]): what the cues say of each. matcher (CueMatcher): knows
    reactions, and the remedies of such problems.
    RETURNS (List[Findings]): the same, with those reactions.
    """
    read = list(findings)
    for k in range(len(asked) - 1):
        drug, problem = asked[k].span, asked[k + 1].span
        if not (STATUS in read[k] and PRESENCE in read[k + 1]):
            continue
        if not matcher.is_reaction(drug.text, problem.text) or not _opens(words, drug.start):
            continue
        between = words.phrase(drug.end, problem.start)
        said = (read[k][STATUS], read[k + 1][PRESENCE])
        if between in LEADS_ON and all(f.source != "cue" for f in said):
            cue = (drug.end, problem.start)
            read[k] = {**read[k], STATUS: Finding("allergy", cue, "cue")}
            read[k + 1] = {**read[k + 1], PRESENCE: Finding("conditional", cue, "cue")}
    return read


def _opens(words: NoteWords, token: int) -> bool:
    """Whether a token opens a statement."""
    before = words.texts[token - 1] if token else "\n"
    return words.begins[token] or before in (";", ".") or "\n" in before


def find_signs(words: NoteWords) -> List[Cue]:
    """Find the lines that say `+` or `-` of a finding; a list of `-` alone is only a list.

    words (NoteWords): of a note.
    RETURNS (List[Cue]): the signs, in order.
    """
    found: List[Cue] = []
    block: List[int] = []
    texts = words.texts
    breaks = [i for i, text in enumerate(texts[:-1]) if "\n" in text]
    for i in [*range(len(texts[:1])), *(i + 1 for i in breaks), None]:
        signs = i is not None and texts[i] in SIGNS
        if signs and (not block or _next_line(words, block[-1], i)):
            block.append(i)
            continue
        if len({texts[j] for j in block}) > 1:
            found.extend(Cue(j, j + 1, (SIGNS[texts[j]],)) for j in block)
        block = [i] if signs else []
    return found


def _next_line(words: NoteWords, left: int, right: int) -> bool:
    """Whether one line lies between two tokens that open lines."""
    return sum(words.texts[i].count("\n") for i in range(left, right)) == 1


def share_status(asked: Sequence[Asked], findings: Sequence[Findings]) -> List[Findings]:
    """Let a drug's mentions without a cue of their own take what is said of it elsewhere.

    A status belongs to the drug, not to a mention: "gout from frusemide" is past where the plan
    says "stop frusemide". What is said last counts.

    asked (Sequence[Asked]): entities. findings (Sequence[Findings]): what the rules say of each.
    RETURNS (List[Findings]): the same, with findings of the source `mention`.
    """
    said: Dict[str, Finding] = {}
    names = [one.span.text.lower() if STATUS in one.axes else "" for one in asked]
    for name, found in zip(names, findings):
        status = found.get(STATUS)
        if status is not None and status.source == "cue" and status.value != DEFAULTS[STATUS]:
            said[name] = status
    shared = []
    for name, found in zip(names, findings):
        other = said.get(name)
        counts = STATUS in found and other is not None and _counts_more(other, found[STATUS])
        shared.append({**found, STATUS: other._replace(source="mention")} if counts else found)
    return shared


def _counts_more(other: Finding, status: Finding) -> bool:
    """Whether what is said elsewhere counts more: a drug that one is `on` may be stopped later."""
    if status.source == "cue":
        return status.value == DEFAULTS[STATUS] and other.value in LATER
    return status.value != "allergy"


Open = Dict[str, Tuple[Role, Cue]]


def carry_ahead(
    words: NoteWords,
    asked: Sequence[Asked],
    cues: Sequence[Cue],
    short: Container[str] = (),
    exchange: Container[str] = (),
) -> List[Open]:
    """Carry cues that stand before entities to them.

    words (NoteWords): of the note.
    asked (Sequence[Asked]): entities. cues (Sequence[Cue]): both in order.
    short (Container[str]): cues that reach a few words. exchange (Container[str]): cues of a drug
    that makes way for another.
    RETURNS (List[Open]): by entity, the last open cue of each axis.
    """
    results: List[Open] = []
    drugs = {one.span.start for one in asked if STATUS in one.axes}
    scope = Scope(words)
    position = last_drug = 0
    # which kind of entity stands first behind a cue
    firsts: Dict[Cue, str] = {}
    for one in asked:
        start = one.span.start
        while position < len(cues) and cues[position].start < start:
            scope.move_to(cues[position].start)
            scope.open(cues[position], cues[position].end in drugs)
            position += 1
        scope.move_to(start)
        near = {
            axis: (role, cue)
            for axis, (role, cue) in scope.near(start).items()
            if not (_text(words, cue) in short and _is_beyond(words, cue.end, start))
        }
        kind = STATUS if STATUS in one.axes else PRESENCE
        _leave_to_others(near, kind, firsts)
        if kind == STATUS:
            _take_its_place(words, near, exchange, last_drug, start)
            last_drug = one.span.end
        results.append(near)
    return results


def _leave_to_others(near: Open, kind: str, firsts: Dict[Cue, str]) -> None:
    """Drop what is denied of the other kind: "no bruising on apixaban" denies no apixaban."""
    if kind in near:
        role, cue = near[kind]
        if role.value in DENIED and firsts.get(cue, kind) != kind:
            del near[kind]
    for _, cue in near.values():
        firsts.setdefault(cue, kind)


def _take_its_place(
    words: NoteWords, near: Open, exchange: Container[str], left: int, right: int
) -> None:
    """Read the second of two drugs as started: "swapped sertraline for mirtazapine"."""
    if STATUS not in near:
        return
    _, cue = near[STATUS]
    leads_on = any(words.lower[i] in INSTEAD for i in range(max(left, right - 3), right))
    if leads_on and cue.end <= left and _text(words, cue) in exchange:
        near[STATUS] = (Role(STATUS, "started", "before"), cue)


def _text(words: NoteWords, cue: Cue) -> str:
    return words.phrase(cue.start, cue.end).lower()


def _is_beyond(words: NoteWords, left: int, right: int) -> bool:
    """Whether a cue of a few words does not reach from one token to another."""
    return right - left > REACH_SHORT or any(words.texts[i] in ",:(" for i in range(left, right))


class Scope:
    """The cues that are open at a place of a note, moved from its start to its end.

    A sentence ends them, unless it ends in a colon and a list follows: `Negative for:`, then items.
    """

    def __init__(self, words: NoteWords) -> None:
        self.words = words
        self.current: Open = {}
        self.at = 0
        self.listing = False

    def move_to(self, token: int) -> None:
        """Go on to a token, over the sentences in between."""
        for i in range(self.at + 1, token + 1):
            if self.words.begins[i]:
                self._begin_sentence(i)
        self.at = max(self.at, token)

    def open(self, cue: Cue, of_drug: bool = False) -> None:
        """Take in a cue: what it says from here on, or that what was said ends.

        of_drug (bool): a drug follows at once: "no aspirin (rash)", "likely ifosfamide: acidosis".
        """
        ends = [role.value for role in cue.roles if role.axis == END]
        if ends and self.words.texts[cue.start] == ";":
            # "Allergies: aspirin - wheeze; codeine - nausea"
            self.current = {a: pair for a, pair in self.current.items() if self._lists(pair[1])}
        elif ends:
            # "Her sister had a clot and developed a rash": still the sister
            kept = () if SUBJECT in ends else (PERSON,)
            self.current = {axis: self.current[axis] for axis in kept if axis in self.current}
        for role in cue.roles:
            if role.direction == "before" and not (of_drug and role.value in OF_THE_DRUG):
                self._say(role, cue)
        self.at = max(self.at, cue.end - 1)

    def _say(self, role: Role, cue: Cue) -> None:
        """Take in what a cue says on one axis.

        "If platelets fall, stop apixaban": it is not stopped, and what would be given is planned.
        """
        last = self.current.get(role.axis)
        if role.axis != STATUS:
            self.current[role.axis] = (role, cue)
        elif self.words.lower[cue.start] in CONDITIONS and cue.end - cue.start == 1:
            if self.words.begins[cue.start]:
                self.current[STATUS] = (role, cue)
        elif last is None or self.words.lower[last[1].start] not in CONDITIONS:
            self.current[STATUS] = (role, cue)
        elif role.value not in GIVEN:
            del self.current[STATUS]

    def _lists(self, cue: Cue) -> bool:
        """Whether a cue ends in a colon or stands before one."""
        return ":" in self.words.texts[cue.end - 1 : cue.end + 1]

    def near(self, token: int) -> Open:
        """What is open and within reach of a token."""
        return {
            axis: (role, cue)
            for axis, (role, cue) in self.current.items()
            if self.listing or token - cue.end <= REACH[axis]
        }

    def _begin_sentence(self, i: int) -> None:
        before = reversed(self.words.texts[max(0, i - 3) : i])
        opens = next((text for text in before if not text.isspace()), "") == ":"
        goes_on = self.listing and self.words.texts[i] in BULLETS
        self.listing = opens or goes_on
        if not self.listing:
            self.current = {}


def carry_back(
    words: NoteWords, asked: Sequence[Asked], cues: Sequence[Cue], answers: Container[str] = ()
) -> List[Open]:
    """Carry cues that stand behind entities back to them, and through the list before them.

    words (NoteWords): of the note.
    asked (Sequence[Asked]): entities. cues (Sequence[Cue]): both in order.
    answers (Container[str]): cues that are said of the last of a list only.
    RETURNS (List[Open]): by entity, the first cue of each axis within reach.
    """
    results: List[Open] = [{} for _ in asked]
    position = len(cues) - 1
    near: List[Cue] = []
    following: Dict[Tuple[str, ...], int] = {}
    for k in range(len(asked) - 1, -1, -1):
        end = asked[k].span.end
        while position >= 0 and cues[position].start >= end:
            near.insert(0, cues[position])
            position -= 1
        near = [cue for cue in near if cue.start - end <= REACH_BACK]
        # what stands behind another of its kind is said of that
        limit = following.get(asked[k].axes, len(words.texts))
        results[k] = _reach_back(words, asked[k].span, [c for c in near if c.start < limit])
        following[asked[k].axes] = asked[k].span.start
        if k + 1 < len(asked) and _joined(words, end, asked[k + 1].span.start):
            shared = _of_list(words, asked[k + 1].span, results[k + 1], answers)
            results[k] = {**shared, **results[k]}
    return results


def _of_list(words: NoteWords, last: Span, found: Open, answers: Container[str]) -> Open:
    """What stands behind the last of a list and is said of all: not the `nil` of `pain, rash nil`.

    An answer behind a colon is: `stroke, TIA: none`. So is what follows `and`.
    """
    before = words.texts[last.start - 1] if last.start else ""
    if before != ",":
        return found
    return {
        axis: (role, cue)
        for axis, (role, cue) in found.items()
        if cue.start > last.end or _text(words, cue) not in answers
    }


def _reach_back(words: NoteWords, span: Span, near: Sequence[Cue]) -> Open:
    found: Open = {}
    for cue in near:
        ends = any(role.axis == END for role in cue.roles)
        if ends or _sentence_between(words, span.end - 1, cue.start):
            break
        for role in cue.roles:
            if role.direction != "after":
                continue
            first = found.get(role.axis)
            # "stopped two years ago": over, and not ended now
            if first is None or (first[0].value, role.value) == ENDED and _is_dated(words, cue):
                found[role.axis] = (role, cue)
        # a comma, or a cue for what follows, cuts it off from cues further on
        if words.texts[cue.end - 1] == ",":
            break
    return found


def _sentence_between(words: NoteWords, left: int, right: int) -> bool:
    """Whether a sentence begins after one token and up to another."""
    return True in words.begins[left + 1 : right + 1]


def _joined(words: NoteWords, left: int, right: int) -> bool:
    """Whether nothing but commas and conjunctions stand between two tokens."""
    return 0 < right - left <= 3 and all(words.lower[i] in JOINED for i in range(left, right))


def _decide(
    words: NoteWords,
    matcher: CueMatcher,
    one: Asked,
    axis: str,
    before: Open,
    after: Open,
    own: Sequence[Role],
) -> Finding:
    pairs = [pair for pair in (before.get(axis), after.get(axis)) if pair is not None]
    inside = [role for role in own if role.axis == axis]
    if not pairs and not inside and not (axis == STATUS and PERSON in before):
        return _unsaid(matcher, one, axis)
    # "denies exertional dyspnoea"
    outweighed = any(role.value in OUTWEIGHS for role, _ in pairs)
    if inside and not (outweighed and inside[0].value == "conditional"):
        return Finding(inside[0].value, (one.span.start, one.span.end), "cue")
    found = [(role, cue) for role, cue in pairs if not (role.weak and one.chronic)]
    if axis == STATUS:
        if PERSON in before and _is_of_others(before[PERSON][0], found):
            _, cue = before[PERSON]
            return Finding("not_taken", (cue.start, cue.end), "cue")
        found = _drug_cues(words, matcher, found)
    if axis == PRESENCE:
        found = _problem_cues(words, found)
    if found:
        role, cue = min(found, key=lambda pair: _weigh(one.span, *pair))
        return Finding(role.value, (cue.start, cue.end), "cue")
    return _unsaid(matcher, one, axis)


def _unsaid(matcher: CueMatcher, one: Asked, axis: str) -> Finding:
    """What holds where no cue decides."""
    default = matcher.data["sections"].get(one.section, {}).get(axis)
    return BY_DEFAULT[axis] if default is None else Finding(default, None, "section")


def _is_of_others(person: Role, found: Sequence[Tuple[Role, Cue]]) -> bool:
    """Whether it is another person who takes a drug."""
    taken = all(role.value in TAKEN for role, _ in found)
    return person.value != DEFAULTS[PERSON] and taken


def _drug_cues(
    words: NoteWords, matcher: CueMatcher, found: List[Tuple[Role, Cue]]
) -> List[Tuple[Role, Cue]]:
    """The cues of a drug that count: `on` says little beside `on aspirin - hold`."""
    firm = [pair for pair in found if _text(words, pair[1]) not in matcher.yields]
    values = {role.value for role, _ in firm}
    if values == set(ENDED):
        # "stopped digoxin two years ago"
        dated = [p for p in firm if p[0].value == "past" and _is_dated(words, p[1])]
        return dated or firm
    return firm or found


def _problem_cues(words: NoteWords, found: List[Tuple[Role, Cue]]) -> List[Tuple[Role, Cue]]:
    """The cues of a problem that count: "no dyspnoea on exertion" is absent."""
    values = {role.value for role, _ in found}
    if values & OUTWEIGHS:
        # "if the pain persists, start codeine", but "return if fever persists"
        bare = any(words.lower[c.start] in CONDITIONS for _, c in found)
        weaker = {"conditional"} if bare or "absent" in values else {"conditional", "present"}
        return [pair for pair in found if pair[0].value not in weaker]
    return found


def _is_dated(words: NoteWords, cue: Cue) -> bool:
    """Whether a cue says that it was long ago."""
    dates = filter(YEAR.fullmatch, words.texts[cue.start : cue.end])
    return not AGO.isdisjoint(words.lower[cue.start : cue.end]) or any(dates)


def _weigh(span: Span, role: Role, cue: Cue) -> Tuple[int, int]:
    """The smaller, the more a cue counts: by its distance, then by what it says."""
    rank = ORDER.index(role.value) if role.value in ORDER else len(ORDER)
    return _distance(span, cue), rank


def _distance(span: Span, cue: Cue) -> int:
    return span.start - cue.end if cue.end <= span.start else cue.start - span.end
