"""The HTML page of summaries and views: nothing from outside, nothing unescaped, no dead link."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinbert_spacy.interop.overview import structured_view
from clinbert_spacy.interop.overview_page import cut_text, note_tables, render_page
from tests.toy_gold import gold_docs
from tests.toy_told import denied, drug, effect, has, lay

NOTE = """Took amoxicillin. Rash <b>
from amoxicillin.
No fever. Codeine: itch.
Follow up in May.
"""


def record_of(doc, sentences=(), **extra):
    rows = [{"start": s.start_char, "end": s.end_char, "text": s.text, "section": "plan",
             "score": 0.51234} for s in sentences]  # fmt: skip
    summary = {"method": "central", "budget": "20%", "sentences": rows}
    return {"id": "n<1>", "summary": summary, "view": structured_view(doc), **extra}


@pytest.fixture
def doc():
    judged = [drug("amoxicillin", "stopped"), has("Rash"), drug("amoxicillin@2", "stopped"),
              denied("fever", "No"), drug("Codeine", "allergy"),
              has("itch", presence="conditional")]  # fmt: skip
    pairs = [effect("amoxicillin@2", "Rash"), effect("Codeine", "itch", kind="allergy")]
    return lay(NOTE, judged, pairs)


def render(*notes, **values):
    return render_page(notes, **{"intended_use": "For <research>.", "pipeline": {"name": "toy"},
                                 **values})  # fmt: skip


def note_text(page):
    """The text of the first note as a browser shows it."""
    (inside,) = re.findall(r'<div class="note">(.*?)</div>', page, re.S)[:1]
    return html.unescape(re.sub(r"<[^>]+>", "", inside))


def test_a_page(doc):
    record = record_of(doc, list(doc.sents)[:1])
    page = render((NOTE, record), command="clinbert <x>", lines=["1 note."], title="t")
    for words in ("For &lt;research&gt;.", "clinbert &lt;x&gt;", "1 note.", "n&lt;1&gt;", "toy"):
        assert words in page
    assert "<b>" not in page and note_text(page) == NOTE
    assert "script" not in page and not re.search(r'(?:src|href)="(?!#)', page)
    assert "default-src 'none'" in page
    assert '<a href="#n1-0">Took amoxicillin.</a>' in page and "0.51" in page
    assert re.search(r'<span id="n1-18" class="[^"]*hit[^"]*">Rash</span>', page)
    assert 'class="sum">Took ' in page


def links(page):
    return re.findall(r'href="#([^"]+)"', page)


def test_every_link_has_its_place(doc):
    page = render((NOTE, record_of(doc)), (NOTE, record_of(doc)))
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and {"n1", "n2", "n1-18", "n2-18"} <= set(ids)
    assert set(links(page)) == set(ids) and len(links(page)) > 20


def test_every_link_of_the_invented_notes_has_its_place():
    notes = [(note.text, record_of(doc, list(doc.sents)[:2])) for note, doc in gold_docs()[::40]]
    page = render(*notes)
    assert set(links(page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert note_text(page) == notes[0][0]


def cells(doc, title, **extra):
    tables = {table.title: table for table in note_tables(record_of(doc, **extra))}
    return [[", ".join(text for text, _ in cell) for cell in row] for row in tables[title].rows]


def test_tables(doc):
    assert cells(doc, "Problems") == [["Rash", "present", "current", "18", "", ""]]
    first, second = cells(doc, "Medications")
    assert first[:2] == ["amoxicillin", "stopped"] and first[-2:] == ["5, 32", ""]
    assert second[:2] == ["Codeine", "allergy"]
    allergies = cells(doc, "Allergies and intolerances")
    assert allergies == [["Codeine", "allergy", "itch", "55"]]
    assert cells(doc, "Side effects") == [
        ["amoxicillin", "Rash", "stated", "present", "reaction", "yes", "stopped"]
    ]
    plan = cells(doc, "Plan, pending, follow-up")
    assert plan == [["Follow up in May.", "follow up", ""]]
    classes = [{"label": "a_b", "score": 0.9, "decision": "yes", "evidence": [[0, 4], [18, 22]]},
               {"label": "c", "score": 0.1}]  # fmt: skip
    assert cells(doc, "Classes", classes=classes) == [["a b", "0.90", "yes", "0, 18"],
                                                      ["c", "0.10", "", ""]]  # fmt: skip
    assert "Classes" not in {table.title for table in note_tables(record_of(doc))}


def test_parts_of_a_drug_stand_once_where_they_are_said_twice(doc):
    record = record_of(doc)
    places = [{"start": 0, "text": "10 mg"}, {"start": 18, "text": "10 MG"},
              {"start": 40, "text": "20 mg"}]  # fmt: skip
    record["view"]["medications"][0]["strength"] = places
    (row, _) = next(t for t in note_tables(record) if t.title == "Medications").rows
    assert row[2] == [("10 mg", 0), ("20 mg", 40)]


def test_empty_tables_say_why():
    empty = {table.title: table.empty for table in note_tables(record_of(lay("")))}
    assert "judged no entities" in empty["Problems"] and empty["Side effects"] == "None: not run."
    page = render(("", record_of(lay(""))))
    assert page.count("judged no entities") == 3 and "the budget allows none" in page


def test_a_sentence_that_names_somebody_is_not_in_a_table():
    doc = lay("Follow up with Dr Quaxley.", phi=["Quaxley"])
    ((sentence, _, _),) = next(t for t in note_tables(record_of(doc)) if t.title[:4] == "Plan").rows
    assert sentence == [("(names somebody: see the note)", 0)]


def test_what_utf8_cannot_hold_is_replaced():
    assert "a?b" in render(("a\ud800b", record_of(lay("a b"))))


PLACES = st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from(["sum", "hit"]))


@settings(max_examples=80)
@given(st.lists(PLACES, max_size=8), st.sets(st.integers(0, 20), max_size=6))
def test_the_pieces_joined_are_the_text(rows, anchors):
    text = "abcdefghijklmnopqrstuvwxyz123456"
    marks = [(start, start + length, style) for start, length, style in rows]
    found = cut_text(text, anchors, marks, "n")
    assert "".join(part.text for part in found) == text and all(part.text for part in found)
    assert {part.id for part in found} - {""} == {f"n{start}" for start in anchors}
    at = 0
    for part in found:
        inside = {style for start, end, style in marks if start <= at < end}
        assert set(part.style.split()) == inside
        at += len(part.text)
