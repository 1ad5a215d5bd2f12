"""The cleaned view: what it drops, what it must never drop, and the map back to the original."""

import time

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinbert_spacy.pipeline.cleaning import WORD, _words, clean_text, safe_stop_words

NEVER_REMOVED = sorted(_words()["never_removed"])
SECONDS_FOR_A_LONG_NOTE = 5.0

LAYOUT = [
    ("  Fever \t and\u00a0chills  ", "Fever and chills"),
    ("HPI:\r\n\r\n\r\n  pain  \r\n", "HPI:\npain"),
    ("pain!!!! ??? .....", "pain! ? ."),
    ("a -- b ---- c", "a - b - c"),
    ("edema 2++ //", "edema 2++ //"),
    ("\ufeffpain\u200b\u200b here", "pain here"),
    ("e\u0301tude  👩\u200d⚕️", "e\u0301tude 👩\u200d⚕️"),
    ("", ""),
    (" \r\n\t ", ""),
]

BOILERPLATE = [
    ("pain\nPage 1 of 3\nfever", "pain\nfever"),
    ("E-signed by Dr. J. Roe. No fever", "No fever"),
    ("pain\r\n--- PAGE: 2/3 ---\r\nfever", "pain\nfever"),
    ("No fever.\nElectronically signed by J. Roe, MD on 1/2/2020\n", "No fever."),
    ("Plan: rest. E-signed by J. Roe", "Plan: rest."),
    ("Dictated but not reviewed\nNo fever", "No fever"),
    ("Job ID: 1234\nD: 01/02/2020\nT: 01/03/2020 10:00\nNo fever", "No fever"),
    ("This note was dictated using speech software; errors may occur.\nNo fever", "No fever"),
    ("CONFIDENTIALITY NOTICE: for the addressee alone\nNo fever", "No fever"),
    ("This report contains confidential facts\nNo fever", "No fever"),
    ("No fever\n*** END OF REPORT ***", "No fever"),
    ("HPI\n=========\nNo fever", "HPI\nNo fever"),
    ("Mr. [**Last Name (un) 12**] has[**2151-7-16**]pain", "Mr. has pain"),
    ("seen by [REDACTED] at [ hospital ]", "seen by at"),
    ("Mr. ___ from XXXX", "Mr. from"),
    # what only looks like it
    ("See page 3 of the chart", "See page 3 of the chart"),
    ("T: 38.5, [Na 140], xxx", "T: 38.5, [Na 140], xxx"),
    ("The consent was signed by the patient", "The consent was signed by the patient"),
]

STOP_WORDS = [
    ("There is no pain in the left arm.", "no pain left arm."),
    ("She is not in distress and has never smoked", "not distress never smoked"),
    (
        "Neither nausea nor vomiting, without the chills",
        "Neither nausea nor vomiting, without chills",
    ),
    ("Can't walk, doesn’t eat; cannot do it", "Can't walk, doesn’t eat; cannot"),
    ("PE was ruled out; may be a pneumonia", "PE ruled out; may pneumonia"),
    ("Denies fever or chills but has a cough", "Denies fever or chills but cough"),
    ("free of pain, if it is needed", "free pain, if needed"),
    ("THE PATIENT WAS TAKEN TO THE OR", "PATIENT TAKEN TO OR"),
    ("hepatitis A, n/a, a.m., follow-on", "hepatitis A, n/a, a.m., follow-on"),
]


@pytest.mark.parametrize(("text", "cleaned"), LAYOUT)
def test_white_space_and_repeated_punctuation_collapse(text, cleaned):
    assert clean_text(text).text == cleaned


@pytest.mark.parametrize(("text", "cleaned"), BOILERPLATE)
def test_boilerplate_is_dropped(text, cleaned):
    assert clean_text(text).text == cleaned


@pytest.mark.parametrize("text", ["pain\nPage 1 of 3\nfever", "Mr. [REDACTED] has pain"])
def test_boilerplate_stays_on_request(text):
    assert clean_text(text, boilerplate=False).text == text


@pytest.mark.parametrize(
    "boilerplate",
    [
        "Electronically signed by J. Roe, M.D.",
        "E-signed by Dr. Roe on 1/2/2020 at 10:30;",
        "Dictated by Dr. J. Roe.",
        "This note was created with speech software.",
        "D: 01/02/2020",
        "Page 2",
        "Confidential: for the addressee alone.",
        "[**2151-7-16**]",
    ],
)
@pytest.mark.parametrize("line", ["No fever.", "Patient is not in distress and denies pain"])
def test_boilerplate_never_takes_the_next_sentence_along(boilerplate, line):
    assert clean_text(f"{boilerplate} {line}").text.endswith(line)


@pytest.mark.parametrize(("text", "cleaned"), STOP_WORDS)
def test_stop_words_go_and_negation_stays(text, cleaned):
    assert clean_text(text, stop_words=True).text == cleaned


def test_stop_words_stay_unless_asked():
    assert clean_text("There is no pain").text == "There is no pain"


@pytest.mark.parametrize("word", NEVER_REMOVED)
def test_no_cue_is_ever_removed(word):
    for form in (word, word.capitalize(), word.upper(), word.replace("'", "’")):
        assert clean_text(f"pain {form} fever", stop_words=True).text == f"pain {form} fever"


def test_the_shipped_lists_do_not_contradict_each_other():
    assert safe_stop_words() == frozenset(_words()["stop_words"])


PIECES = st.sampled_from(
    [*NEVER_REMOVED, *sorted(safe_stop_words()), "pain", "Page 1 of 2", "[**x**]", "____", "!!!"]
    + [" ", "\n", "\r\n", "\t ", ".", ",", "--", "++", "é", "e\u0301", "👩\u200d⚕️", "\u200b"]
)
notes = st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=60))
switches = st.booleans()


@settings(max_examples=300)
@given(notes, switches, switches)
def test_every_character_comes_from_where_the_map_says(text, stop_words, boilerplate):
    view = clean_text(text, stop_words=stop_words, boilerplate=boilerplate)
    assert view.offsets.shape == (len(view.text),)
    assert view.offsets.dtype == numpy.int64
    assert (numpy.diff(view.offsets) > 0).all()
    for character, offset in zip(view.text, view.offsets, strict=True):
        assert character == text[offset] or character in " \n"


@settings(max_examples=200)
@given(notes, st.data())
def test_a_span_maps_to_the_original_that_holds_it(text, data):
    view = clean_text(text)
    if not view.text:
        return
    start = data.draw(st.integers(0, len(view.text) - 1))
    end = data.draw(st.integers(start + 1, len(view.text)))
    first, last = view.original_span(start, end)
    assert 0 <= first < last <= len(text)
    words = view.text[start:end].split()
    assert all(word[0] in text[first:last] for word in words)


@settings(max_examples=200)
@given(notes, switches)
def test_cleaning_twice_changes_nothing_more(text, stop_words):
    once = clean_text(text, stop_words=stop_words, boilerplate=False).text
    assert clean_text(once, stop_words=stop_words, boilerplate=False).text == once


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*NEVER_REMOVED, *sorted(safe_stop_words())]), max_size=30))
def test_cues_survive_in_order(words):
    cleaned = clean_text(" ".join(words), stop_words=True).text
    assert WORD.findall(cleaned) == [word for word in words if word in NEVER_REMOVED]


@pytest.mark.parametrize("span", [(-1, 2), (2, 2), (3, 1), (0, 5)])
def test_a_span_outside_the_view_is_refused(span):
    with pytest.raises(ValueError, match="0 <= start < end <= 4.*CleanView.text"):
        clean_text("pain").original_span(*span)


@pytest.mark.parametrize("piece", [" ", "\n", "_", "-", "a'", "page 1 ", "[**", "x", "d: ", ". "])
def test_long_notes_end_in_bounded_time(piece):
    text = piece * (300_000 // len(piece)) + "x"
    start = time.perf_counter()
    clean_text(text, stop_words=True)
    assert time.perf_counter() - start < SECONDS_FOR_A_LONG_NOTE
