from dataclasses import replace

import pytest

from clinbert_spacy.corpora.checks import find_faults, is_present_reaction
from clinbert_spacy.corpora.record import Mention, Relation

from .toy_notes import TEXT, toy_note, with_attributes, without


def test_a_right_note_has_no_fault():
    assert find_faults(toy_note()) == []


def relabel(note, name, label):
    mentions = tuple(replace(m, label=label) if m.id == name else m for m in note.mentions)
    return replace(note, mentions=mentions)


def also(note, *items):
    mentions = [item for item in items if isinstance(item, Mention)]
    relations = [item for item in items if isinstance(item, Relation)]
    return replace(
        note, mentions=(*note.mentions, *mentions), relations=(*note.relations, *relations)
    )


@pytest.mark.parametrize(
    ("note", "fault"),
    [
        (relabel(toy_note(), "T5", "LABTEST"), "T5 LABTEST 57-60: unknown label"),
        (with_attributes(toy_note(), "T3", Presence=None), "expected Presence"),
        (with_attributes(toy_note(), "T3", Presence="maybe"), "expected Presence"),
        (with_attributes(toy_note(), "T3", Mood="x"), "attributes ['Mood'] do not belong"),
        (with_attributes(toy_note(), "T1", Status=None), "expected Status"),
        (with_attributes(toy_note(), "T5", Status="active"), "do not belong"),
        (with_attributes(toy_note(), "R2", Kind=None), "R2 ADVERSE_EFFECT: expected Kind"),
        (with_attributes(toy_note(), "R1", Kind="reaction"), "R1 HAS_STRENGTH: attributes"),
        (without(toy_note(), "R1"), "T2 STRENGTH 22-28: expected HAS_STRENGTH or else"),
        (without(toy_note(), "R3"), "T6 LAB_VALUE 61-64: expected HAS_VALUE or else"),
        (with_attributes(toy_note(), "T2", Unlinked="unnamed"), "expected HAS_STRENGTH or else"),
        (also(toy_note(), Relation("R9", "TREATS", "T3", "T1")), "found SYMPTOM -> DRUG"),
        (also(toy_note(), Relation("R9", "NEAR", "T3", "T1")), "R9 NEAR: unknown relation"),
        (also(toy_note(), Mention("T9", "TEST", ((58, 62),))), "overlap at"),
        (toy_note(encounter="nap"), "encounter 'nap'"),
        (toy_note(chapters=("XXX",)), "chapters ['XXX'] are unknown"),
        (toy_note(sections=((0, len(TEXT), "poem"),)), "sections ['poem'] are unknown"),
        (toy_note(sections=((5, len(TEXT), "plan"),)), "section at 5"),
        (toy_note(sections=((0, 20, "plan"), (10, len(TEXT), "plan"))), "section at 10"),
        (toy_note(sentences=((0, 4), (5, 46))), "sentence at 64"),
        (toy_note(sentences=((0, 15), (15, 46), (47, 64))), "T1 13-21 crosses a sentence end"),
        (toy_note(summary=()), "summary: expected 1 to 1"),
        (toy_note(summary=(0, 1)), "summary: expected 1 to 1"),
        (toy_note(summary=(7,)), "summary: expected 1 to 1"),
        (replace(toy_note(), meta={}), "no document layers"),
    ],
)
def test_each_fault_is_found(note, fault):
    assert any(fault in found for found in find_faults(note)), find_faults(note)
    assert not any("naproxen" in found for found in find_faults(note))


def test_an_excuse_stands_for_a_missing_drug():
    note = with_attributes(without(toy_note(), "R1"), "T2", Unlinked="unnamed")
    assert find_faults(note) == []


@pytest.mark.parametrize(
    ("changes", "present"),
    [
        ({}, True),
        ({"R2": {"Kind": "withdrawal"}}, True),
        ({"R2": {"Causality": "possible"}}, True),
        ({"R2": {"Kind": "allergy"}}, False),
        ({"R2": {"Kind": "intolerance"}}, False),
        ({"R2": {"Causality": "denied"}}, False),
        ({"T3": {"Presence": "absent"}}, False),
        ({"T3": {"Presence": "hypothetical"}}, False),
        ({"T3": {"Experiencer": "family"}}, False),
    ],
)
def test_present_reactions_and_hard_negatives(changes, present):
    note = toy_note()
    for name, attributes in changes.items():
        note = with_attributes(note, name, **attributes)
    relation = next(r for r in note.relations if r.id == "R2")
    effect = next(m for m in note.mentions if m.id == "T3")
    assert is_present_reaction(relation, effect) is present
