"""How far a heading decides: to the end of its line, or through the lines below it."""

import pytest
import spacy

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
