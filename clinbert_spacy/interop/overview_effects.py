"""What drugs did to the patient, and what the patient is to avoid: lines of a structured view."""

from typing import Dict, List, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import LISTED, SideEffect, side_effects
from ..attributes.told import NOT_LISTED, is_listed, judged, of_others
from .overview_names import DIGITS, Names, Row, one_line, show_all, tokens_of

# What is said of an effect that the patient has, had or may have, most surely first.
ASSERTIONS = (None, "present", "historical", "conditional", "possible")
CAUSALITIES = ("stated", "possible")


def said_of_patient(doc: Doc) -> List[SideEffect]:
    """List the side effects that the patient has, had or may have, and what is to be avoided.

    doc (Doc): An annotated note.
    RETURNS (List[SideEffect]): None that is denied, absent, feared or another person's.
    """
    others = of_others(doc)
    return [
        one
        for one in side_effects(doc)
        if one.causality != "denied"
        and one.assertion not in NOT_LISTED
        and tokens_of(one.effect) not in others
    ]


def allergy_rows(doc: Doc, names: Names) -> List[Row]:
    """List allergies and intolerances.

    doc (Doc): An annotated note. names (Names): Which of its mentions are the same.
    RETURNS (List[Row]): A line a drug; `kind` is None where the note has the drug in a list and
        does not say which of the two it is.
    """
    drugs: Dict[str, List[Span]] = {}
    effects: Dict[str, List[SideEffect]] = {}
    for span, values, _ in judged(doc):
        if values.get("drug_status") == "allergy":
            drugs.setdefault(names.key(span), []).append(span)
    for one in said_of_patient(doc):
        if is_listed(one):
            key = names.key(one.drug)
            drugs.setdefault(key, []).append(one.drug)
            effects.setdefault(key, []).append(one)
    rows = [_allergy(names, spans, effects.get(key, [])) for key, spans in drugs.items()]
    return sorted(rows, key=lambda row: row["mentions"][0]["start"])


def _allergy(names: Names, drugs: Sequence[Span], effects: Sequence[SideEffect]) -> Row:
    mentions = sorted(drugs, key=tokens_of)
    kinds = {one.kind for one in effects}
    return {
        **names.about(mentions),
        "kind": next((kind for kind in LISTED if kind in kinds), None),
        "mentions": show_all(mentions),
        "reactions": [_reaction(same) for same in _by_effect(names, effects).values()],
        "evidence": _evidence(effects),
    }


def _reaction(effects: Sequence[SideEffect]) -> Row:
    best = min(effects, key=_rank)
    said = {"assertion": best.assertion, "causality": best.causality}
    return {"name": _effect_name(effects[0]), **said, "mentions": _effect_places(effects)}


def effect_rows(doc: Doc, names: Names) -> List[Row]:
    """List side effects.

    doc (Doc): An annotated note. names (Names): Which of its mentions are the same.
    RETURNS (List[Row]): A line a drug and effect; `current` says whether the patient has it, or had
        it in this illness. Where a note tells it several times, what is surest is the line's.
    """
    pairs: Dict[str, List[SideEffect]] = {}
    for one in said_of_patient(doc):
        if not is_listed(one):
            pairs.setdefault(names.key(one.drug), []).append(one)
    groups = [same for drug in pairs.values() for same in _by_effect(names, drug).values()]
    rows = [_effect(names, same) for same in groups]
    return sorted(rows, key=lambda row: row["effect_mentions"][0]["start"])


def _effect(names: Names, effects: Sequence[SideEffect]) -> Row:
    best = min(effects, key=_rank)
    drug, effect = names.about([best.drug]), names.about([best.effect])
    return {
        "drug": drug["name"],
        "drug_concept": drug["concept"],
        "effect": _effect_name(best),
        "effect_concept": effect["concept"],
        "causality": best.causality,
        "assertion": best.assertion,
        "kind": best.kind,
        "current": best.is_current_reaction,
        "drug_status": best.drug_status,
        "score": round(float(max(one.score for one in effects)), DIGITS),
        "drug_mentions": show_all([one.drug for one in effects]),
        "effect_mentions": _effect_places(effects),
        "evidence": _evidence(effects),
    }


def _by_effect(names: Names, effects: Sequence[SideEffect]) -> Dict[str, List[SideEffect]]:
    found: Dict[str, List[SideEffect]] = {}
    for one in effects:
        found.setdefault(names.key(one.effect), []).append(one)
    return found


def _rank(effect: SideEffect) -> Tuple[bool, int, int, float]:
    """What is said most surely ranks first."""
    surest = ASSERTIONS.index(effect.assertion), CAUSALITIES.index(effect.causality)
    return (not effect.is_current_reaction, *surest, -effect.score)


def _effect_name(effect: SideEffect) -> str:
    return one_line(*filter(None, (effect.effect, effect.value)))


def _effect_places(effects: Sequence[SideEffect]) -> List[Row]:
    """A test that is an effect has its value with it."""
    return show_all([span for one in effects for span in (one.effect, one.value) if span])


def _evidence(effects: Sequence[SideEffect]) -> List[Row]:
    """Places of sentences, without their text."""
    found = {tokens_of(span): span for one in effects for span in one.evidence}
    return [{"start": s.start_char, "end": s.end_char} for _, s in sorted(found.items())]
