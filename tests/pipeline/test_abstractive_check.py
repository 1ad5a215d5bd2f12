"""Flags of `clinbert_abstractive`: what a text says and its note does not."""

import pytest

from clinbert_spacy.attributes import FLAG_REASONS
from clinbert_spacy.pipeline.abstractive_check import known_forms, words_of
from tests.toy_abstractive import NAME, make_rules, shown

NOTE = """54-year-old with HTN, type 2 diabetes and possible pneumonia. Denies chest pain.
Mother had breast cancer. Takes lisinopril 10 mg daily and metoprolol 25 mg twice daily.
Stopped metformin on 03/05/2024 for nausea. Two nodules."""


@pytest.fixture(scope="module")
def component():
    nlp = make_rules()
    return nlp.add_pipe(NAME)


@pytest.fixture(scope="module")
def note(component):
    with component.nlp.select_pipes(disable=[NAME]):
        return component.nlp(NOTE)


@pytest.mark.parametrize(
    "text",
    [
        "54-year-old with hypertension on lisinopril 10 mg daily.",
        "Lisinopril 0.01 g once daily.",
        "Metoprolol 25 mg BID.",
        "No chest pain.",
        "Possible pneumonia.",
        "Mother had breast cancer.",
        "Stopped metformin in March 2024.",
        "2 nodules, nausea.",
        "Type 2 diabetes.",
        "The patient.",
    ],
)
def test_what_the_note_says_is_not_flagged(component, note, text):
    found = component.check(note, text)
    assert shown(found) == [] and found.status == "unflagged"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Takes warfarin.", [("warfarin", "not_in_note")]),
        ("Has a rash and fever.", [("rash", "not_in_note"), ("fever", "not_in_note")]),
        ("Lisinopril 20 mg.", [("20 mg", "number")]),
        ("Lisinopril 10 mcg.", [("10 mcg", "unit")]),
        ("Lisinopril 25 mg.", [("25 mg", "pairing")]),
        ("Three nodules.", [("Three", "number")]),
        ("Seen on April 2, 2024.", [("April 2, 2024", "date")]),
        ("Lisinopril 10 mg three times a day.", [("three times a day", "number")]),
        ("Chest pain.", [("Chest pain", "negation")]),
        ("No hypertension.", [("hypertension", "negation")]),
        ("Denies nausea.", [("nausea", "negation")]),
        ("Pneumonia.", [("Pneumonia", "certainty")]),
        ("Breast cancer.", [("Breast cancer", "experiencer")]),
        ("Mother had nausea.", [("nausea", "experiencer")]),
        ("On metformin.", [("metformin", "drug_status")]),
        ("Stopped lisinopril.", [("lisinopril", "drug_status")]),
        (
            "Takes warfarin 5 mg, no nausea.",
            [("warfarin", "not_in_note"), ("5 mg", "number"), ("nausea", "negation")],
        ),
    ],
)
def test_what_the_note_does_not_say_is_flagged(component, note, text, expected):
    found = component.check(note, text)
    assert shown(found) == expected and found.status == "unsupported"
    assert all(flag.reason in FLAG_REASONS for flag in found.flags)
    kinds = {"number": "number", "unit": "number", "date": "date"}
    assert all(flag.kind == kinds.get(flag.reason, "entity") for flag in found.flags)
    assert all(bool(flag.label) == (flag.kind == "entity") for flag in found.flags)


def test_a_thing_that_the_note_both_has_and_denies_is_no_contradiction(component):
    with component.nlp.select_pipes(disable=[NAME]):
        note = component.nlp("Cough last week. Today no cough.")
    assert shown(component.check(note, "Cough.")) == shown(component.check(note, "No cough.")) == []


def test_abbreviations_in_either_place(component):
    with component.nlp.select_pipes(disable=[NAME]):
        short, long = component.nlp("Known HTN."), component.nlp("Known hypertension.")
    assert shown(component.check(short, "Hypertension.")) == []
    assert shown(component.check(long, "HTN.")) == []
    assert known_forms()["htn"] == ("hypertension",) and "all" not in known_forms()


def test_words_do_not_join_over_the_end_of_a_sentence(component):
    with component.nlp.select_pipes(disable=[NAME]):
        note = component.nlp("Tightness of the chest. Pain in the knee.")
    assert shown(component.check(note, "Chest pain.")) == [("Chest pain", "not_in_note")]
    assert words_of("The patient's 2.5 cm Mass.\nNo") == ("patient", "2.5", "cm", "mass", "|", "no")


def test_says_what_it_looked_at(component, note):
    assert component.check(note, "Nausea.").checks == (
        "numbers", "entities", "assertion", "relations",
    )  # fmt: skip
    with component.nlp.select_pipes(disable=[NAME, "toy_said"]):
        plain = component.nlp(NOTE)
        assert component.check(plain, "Nausea.").checks == ("numbers", "entities")


def test_an_empty_text_has_nothing_to_flag(component, note):
    found = component.check(note, " \n")
    assert found.status == "empty" and not found.flags
