"""A note as a reader would ask for it: problems, medications, allergies, side effects, the plan.

Plain data for JSON. Each line has the places in the note that it rests on, in characters. What is
the family's, another person's, denied, or only feared is no line of the patient's.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import (
    ASSERTION_KEY,
    AXES,
    CONCEPTS_KEY,
    RELATIONS_KEY,
    SECTIONS_KEY,
    relations,
    section_names_of,
    side_effects,
    side_effects_status,
)
from ..attributes.told import is_listed, is_patient, judged, load_cues
from .overview_effects import allergy_rows, effect_rows
from .overview_names import Names, Place, Row, show, tokens_of

PHI_KEY = "clinbert_phi"
# What the patient has, what is said most surely first.
ASSERTED = ("present", "conditional", "possible")
# Of a drug of which a note says several things, the first of these is the line's.
STATUSES = ("allergy", "stopped", "held", "changed", "started", "active", "planned", "past")
# Parts of a medication by the relation that joins them to the drug.
PARTS = {
    "HAS_STRENGTH": "strength", "HAS_DOSAGE": "dose", "HAS_FREQUENCY": "frequency",
    "HAS_ROUTE": "route", "HAS_FORM": "form", "HAS_DURATION": "duration", "TREATS": "reason",
}  # fmt: skip
PLAN_SECTIONS = ("plan", "assessment_and_plan")
PLAN, PENDING, FOLLOW_UP = "plan", "pending", "follow_up"


def structured_view(doc: Doc) -> Dict[str, Any]:
    """Sort what a pipeline found in a note under the headings that a reader looks for.

    A place is a dict of start, end (characters) and text. Mentions of one thing, the same words or
    the same linked concept, are one line, which holds the place of each.

    doc (Doc): An annotated note.
    RETURNS (Dict[str, Any]): `problems` (presence, time, mentions, and `absent`: where the same is
        denied), `medications` (status, statuses, mentions, and strength, dose, frequency, route,
        form, duration, reason, each a list of places with the number of the `mention` that it
        belongs to), `allergies` (kind or None, mentions, reactions, evidence), `side_effects`
        (drug, effect, causality, assertion, kind, current, drug_status, score, drug_mentions,
        effect_mentions, evidence), `plan` (sentences with kinds: plan, pending, follow_up; tests
        that are pending), and `read`: who looked, as an empty list is never silence.
    """
    names = Names(doc)
    return {
        "problems": problem_rows(doc, names),
        "medications": medication_rows(doc, names),
        "allergies": allergy_rows(doc, names),
        "side_effects": effect_rows(doc, names),
        "plan": plan_rows(doc),
        "read": {
            "assertion": ASSERTION_KEY in doc.spans,
            "relations": RELATIONS_KEY in doc.spans,
            "sections": SECTIONS_KEY in doc.spans,
            "sentences": _has_sentences(doc),
            "concepts": CONCEPTS_KEY in doc.spans,
            "side_effects": side_effects_status(doc),
        },
    }


def _has_sentences(doc: Doc) -> bool:
    return not len(doc) or doc.has_annotation("SENT_START")


def problem_rows(doc: Doc, names: Names) -> List[Row]:
    """List the patient's problems.

    A reaction out of a list of allergies is none: it happens under a condition that is avoided.

    doc (Doc): An annotated note. names (Names): Which of its mentions are the same.
    RETURNS (List[Row]): What is present and current first, then in the order of the note.
    """
    rows = judged(doc)
    reactions = {tokens_of(one.effect) for one in side_effects(doc) if is_listed(one)}
    sections = section_names_of(doc, [span for span, *_ in rows])
    found: Dict[str, List[Tuple[Span, Mapping[str, str]]]] = {}
    denied: Dict[str, List[Span]] = {}
    for (span, values, _), section in zip(rows, sections):
        presence = values.get("presence")
        listed = section == "allergies" or tokens_of(span) in reactions
        if not is_patient(values) or (listed and presence == "conditional"):
            continue
        if presence in ASSERTED:
            found.setdefault(names.key(span), []).append((span, values))
        elif presence == "absent":
            denied.setdefault(names.key(span), []).append(span)
    lines = [_problem(names, said, denied.get(key, [])) for key, said in found.items()]
    return sorted(lines, key=lambda row: (row["time"] != "current", row["presence"] != "present"))


def _problem(
    names: Names, said: Sequence[Tuple[Span, Mapping[str, str]]], denied: Sequence[Span]
) -> Row:
    presence = min((values["presence"] for _, values in said), key=ASSERTED.index)
    times = {values.get("time") for _, values in said if values["presence"] == presence}
    return {
        **names.about([span for span, _ in said]),
        "presence": presence,
        "time": next((time for time in AXES["time"] if time in times), None),
        "mentions": [
            {**show(span), "presence": values["presence"], "time": values.get("time")}
            for span, values in said
        ],
        "absent": [show(span) for span in denied],
    }


def medication_rows(doc: Doc, names: Names) -> List[Row]:
    """List the patient's drugs, those that are or were taken and those that must not be.

    doc (Doc): An annotated note. names (Names): Which of its mentions are the same.
    RETURNS (List[Row]): In the order of the note.
    """
    found: Dict[str, List[Tuple[Span, str]]] = {}
    for span, values, _ in judged(doc):
        status = values.get("drug_status")
        # what is not taken was refused, or is another person's
        if status in STATUSES:
            found.setdefault(names.key(span), []).append((span, status))
    parts = _parts_by_drug(doc)
    return [_medication(names, said, parts) for said in found.values()]


def _parts_by_drug(doc: Doc) -> Dict[Place, List[Tuple[str, Span]]]:
    found: Dict[Place, List[Tuple[str, Span]]] = {}
    for one in relations(doc):
        if one.label in PARTS:
            found.setdefault(tokens_of(one.head), []).append((PARTS[one.label], one.tail))
    return found


def _medication(
    names: Names, said: Sequence[Tuple[Span, str]], parts: Mapping[Place, List[Tuple[str, Span]]]
) -> Row:
    statuses = list(dict.fromkeys(status for _, status in said))
    row: Row = {
        **names.about([span for span, _ in said]),
        "status": min(statuses, key=STATUSES.index),
        "statuses": statuses,
        **{name: [] for name in PARTS.values()},
        "mentions": [{**show(span), "status": status} for span, status in said],
    }
    for number, (span, _) in enumerate(said):
        for name, part in parts.get(tokens_of(span), ()):
            row[name].append({**show(part), "mention": number})
    return row


def plan_rows(doc: Doc) -> List[Row]:
    """List the sentences that say what is to come.

    Those of plan and follow-up sections, those with the words of a follow-up, and those in which
    the result of a test is pending. A sentence with an identifier keeps its place, not its text.

    doc (Doc): An annotated note.
    RETURNS (List[Row]): kinds, section, start, end, text, tests; in the order of the note.
    """
    sentences = list(doc.sents) if _has_sentences(doc) else []
    names = section_names_of(doc, sentences)
    tests, titles = _open_tests(doc), _titles(doc)
    hidden = {token.i for span in doc.spans.get(PHI_KEY) or () for token in span}
    rows = []
    for sentence, name in zip(sentences, names):
        inside = [tests[i] for i in range(sentence.start, sentence.end) if i in tests]
        kinds = _kinds(sentence, name, inside)
        bare = _bare(sentence)
        if kinds and len(bare) and bare.end_char > titles.get(sentence.start, 0):
            text = None if hidden & set(range(bare.start, bare.end)) else bare.text
            places = [show(test) for test in inside] if PENDING in kinds else []
            row = {"kinds": kinds, "section": name, **show(bare), "text": text, "tests": places}
            rows.append(row)
    return rows


def _kinds(sentence: Span, section: Optional[str], tests: Sequence[Span]) -> List[str]:
    cues, text = load_cues(), sentence.text
    asked = {
        PLAN: section in PLAN_SECTIONS,
        PENDING: bool(tests) and cues[PENDING].search(text),
        FOLLOW_UP: section in cues["follow_up_sections"] or cues[FOLLOW_UP].search(text),
    }
    return [kind for kind, found in asked.items() if found]


def _open_tests(doc: Doc) -> Dict[int, Span]:
    """Tests without a value, by their first token."""
    valued = {one.head.start for one in relations(doc) if one.label == "HAS_VALUE"}
    return {e.start: e for e in doc.ents if e.label_ == "TEST" and e.start not in valued}


def _titles(doc: Doc) -> Dict[int, int]:
    """Ends of headings, in characters, by the first token of the section."""
    group = doc.spans.get(SECTIONS_KEY)
    if group is None:
        return {}
    lengths = group.attrs.get("headings") or [0] * len(group)
    return {s.start: s.start_char + length for s, length in zip(group, lengths)}


def _bare(sentence: Span) -> Span:
    """A sentence without the white space around it."""
    kept = [token.i for token in sentence if not token.is_space]
    return sentence.doc[kept[0] : kept[-1] + 1] if kept else sentence.doc[0:0]
