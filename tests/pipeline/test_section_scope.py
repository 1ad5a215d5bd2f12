"""How far a heading decides: to the end of its line, or through the lines below it."""

import pytest
import spacy
from spacy.tokens import SpanGroup

from clinbert_spacy.pipeline.section_scope import governing_sections

NOTES = [
    ("FHx: father gout\nchest clear", ("gout", "family_history"), ("clear", "")),
    ("FAMILY HISTORY\nfather gout\nsister lupus", ("lupus", "family_history")),
    ("Allergies: codeine,\n  latex\n- eggs\n1. stop aspirin", ("latex", "allergies"),
     ("eggs", "allergies"), ("aspirin", "")),
    ("FHx: mother had gout and her sister had\nlupus", ("lupus", "family_history")),
    ("Allergies: latex. Codeine - nausea. Takes digoxin for years\nchest clear",
     ("nausea", "allergies"), ("digoxin", "")),
    ("no headings at all", ("headings", "")),
]  # fmt: skip


@pytest.fixture(scope="module")
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_sections")
    return nlp


@pytest.mark.parametrize("note", NOTES)
def test_reach(nlp, note):
    text, *expected = note
    doc = nlp(text)
    spans = [doc.char_span(text.index(w), text.index(w) + len(w)) for w, _ in expected]
    names = governing_sections(doc, spans)
    decided = [name if name != "header" else "" for name in names]
    assert decided == [wanted for _, wanted in expected]


def test_without_sections(nlp):
    doc = nlp.make_doc("gout")
    assert governing_sections(doc, [doc[0:1]]) == [""]


def sectioned(nlp, text, *sections):
    """Sections as a learned finder writes them: first and last word, name, letters of heading."""
    doc = nlp.make_doc(text)
    nlp.get_pipe("clinbert_sentences")(doc)
    places = [(text.index(a), text.index(b) + len(b), name) for a, b, name, _ in sections]
    spans = [doc.char_span(start, end, label=name) for start, end, name in places]
    headings = [heading for *_, heading in sections]
    attrs = {"headings": headings, "titled": [False] * len(headings)}
    doc.spans["clinbert_sections"] = SpanGroup(doc, attrs=attrs, spans=spans)
    return doc


def test_sections_that_were_guessed_decide_nothing(nlp):
    guessed = ("Come", "fever.", "instructions", 0)
    doc = sectioned(nlp, "Come back with fever.", guessed)
    assert governing_sections(doc, [doc[3:4]]) == [""]
    # of sections of another component we cannot know
    del doc.spans["clinbert_sections"].attrs["titled"]
    assert governing_sections(doc, [doc[3:4]]) == ["instructions"]


def test_an_unknown_title_counts_in_a_note_of_several_sections(nlp):
    advice = ("Safety", "rash", "instructions", len("Safety words:"))
    text = "Safety words: rash"
    doc = sectioned(nlp, text, advice)
    assert governing_sections(doc, [doc[-1:]]) == [""]
    text = "Seen today.\nWell.\nSafety words: rash"
    others = (("Seen", "today.", "header", 0), ("Well", "Well.", "assessment", 0))
    doc = sectioned(nlp, text, *others, advice)
    assert governing_sections(doc, [doc[-1:]]) == ["instructions"]
