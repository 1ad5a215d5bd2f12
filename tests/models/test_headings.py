"""Headings: where they end and what they mean."""

import pytest

from clinbert_spacy.corpora.layers import SECTIONS
from clinbert_spacy.models.headings import find_heading, load_titles, look_up, normalise

CASES = [
    ("PAST MEDICAL HISTORY: asthma", "past_medical_history", "PAST MEDICAL HISTORY:"),
    ("Past medical history", "past_medical_history", "Past medical history"),
    ("pmh: asthma", "past_medical_history", "pmh:"),
    ("PMHx (per GP): asthma", "past_medical_history", "PMHx (per GP):"),
    ("3. Allergies: none", "allergies", "3. Allergies:"),
    ("ALERGIES: none", "allergies", "ALERGIES:"),
    ("Famly history: nil", "family_history", "Famly history:"),
    ("O/E alert, afebrile", "physical_exam", "O/E"),
    ("PMH depression", "past_medical_history", "PMH"),
    ("LABS", "laboratory", "LABS"),
    ("== Plan ==", "plan", "== Plan =="),
    ("Impression - no PE", "impression", "Impression -"),
    ("HPI\nwell until", "history_of_present_illness", "HPI"),
]


@pytest.mark.parametrize("text, name, heading", CASES)
def test_known(text, name, heading):
    found = find_heading(text)
    assert found is not None and found.name == name
    assert text[: found.end].strip() == heading


@pytest.mark.parametrize("text", ["Allergic to nuts since childhood.", "He is well", "plan to go"])
def test_sentences_are_no_headings(text):
    found = find_heading(text)
    assert found is None or not found.name


@pytest.mark.parametrize("text", ["", ":", "-", "1.", "(", " : x", "::::"])
def test_odd(text):
    found = find_heading(text)
    assert found is None or 0 <= found.end <= len(text)


def test_unknown_titles_look_like_headings():
    found = find_heading("LEFT KNEE: swollen")
    assert found is not None and not found.name and not found.alone


def test_titles_are_normalised_and_names_are_those_of_the_notes():
    titles = load_titles()
    assert set(titles.values()) == set(SECTIONS)
    assert all(normalise(title) == title for title in titles)


def test_short_titles_are_not_guessed():
    assert look_up("pmz") == ("", False)
    assert look_up("medicatoins") == ("medications", False)
