import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from clinbert_spacy.corpora import summaries
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.layers import LAYERS_FILE
from clinbert_spacy.corpora.schema import may_ship
from clinbert_spacy.corpora.summaries import (
    Summarised,
    add_sentences,
    find_facts,
    read_mediqa_mas,
    read_notes,
    read_radiology,
    read_summaries,
)

from .toy_notes import TEXT, toy_note, with_attributes
from .toy_summaries import ANSWERS, REFERENCES, REPORTS, write_mas, write_notes, write_reports


def words(item):
    return [[item.text[start:end] for start, end in places] for places in item.facts]


def test_notes_bring_sentences_choice_reference_and_facts(tmp_path):
    first, second = read_notes(write_notes(tmp_path, summary=(3, 1)))
    assert first.text == TEXT and first.sentences == toy_note().meta["layers"].sentences
    assert first.chosen == (1, 3)
    assert first.reference == "Stopped naproxen 500 mg because of\nhives.\nINR 3.1"
    assert words(first) == [["naproxen"], ["hives"]]
    assert (second.chosen, second.reference) == ((), "")


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("T1", {"Status": "active"}, ["hives"]),
        ("T1", {"Status": "allergy"}, ["naproxen", "hives"]),
        ("R2", {"Kind": "allergy"}, ["naproxen"]),
        ("R2", {"Causality": "denied"}, ["naproxen"]),
        ("T3", {"Presence": "absent"}, ["naproxen"]),
        ("T3", {"Experiencer": "family"}, ["naproxen"]),
    ],
)
def test_facts_are_changed_drugs_and_reactions_that_are_there(name, attributes, expected):
    note = with_attributes(toy_note(), name, **attributes)
    assert [note.text[slice(*places[0])] for places in find_facts(note)] == expected


def test_a_fact_has_all_places_that_name_it():
    note = toy_note()
    drug = note.mentions[0]
    text = note.text + " NAPROXEN was\nstopped."
    place = (len(note.text) + 1, len(note.text) + 9)
    again = replace(drug, id="T9", spans=(place,))
    facts = find_facts(replace(note, text=text, mentions=(*note.mentions, again)))
    assert facts[0] == (drug.spans[0], place) and len(facts) == 2
    other = replace(again, label="SYMPTOM", attributes={})
    assert len(find_facts(replace(note, text=text, mentions=(*note.mentions, other)))[0]) == 1


def test_notes_without_layers_are_left_out_but_not_all_of_them(tmp_path):
    folder = write_notes(tmp_path)
    lines = (folder / LAYERS_FILE).read_text("utf8").splitlines()
    (folder / LAYERS_FILE).write_text(lines[1] + "\n", "utf8")
    assert [item.id for item in read_notes(folder)] == ["n2"]
    (folder / LAYERS_FILE).unlink()
    with pytest.raises(CorpusError, match="expected notes with layers, found none"):
        list(read_notes(folder))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"summary": (4,)}, "a summary of sentences that 'n1' has"),
        ({"summary": (-1,)}, "a summary of sentences that 'n1' has"),
        ({"sentences": ((0, 900),), "summary": ()}, "sentences inside the text of 'n1'"),
        ({"sentences": ((4, 4),), "summary": ()}, "sentences inside the text of 'n1'"),
    ],
)
def test_layers_that_do_not_fit_their_note(tmp_path, layers, message):
    with pytest.raises(CorpusError, match=message) as caught:
        list(read_notes(write_notes(tmp_path, **layers)))
    assert LAYERS_FILE in str(caught.value) and "naproxen" not in str(caught.value)


@pytest.mark.parametrize("strict", [True, False])
def test_answers_of_a_question_are_one_text(tmp_path, strict):
    first, second = read_mediqa_mas(write_mas(tmp_path, strict=strict))
    assert first == Summarised(
        "7", f"{ANSWERS[0][2]}\n\n{ANSWERS[1][2]}", (), "Rest the knee. A brace may help."
    )
    assert (second.id, second.text) == ("9", "Drink water.")


@pytest.mark.parametrize(
    ("rows", "references", "message"),
    [
        (ANSWERS[:2], REFERENCES, r"Summaries.txt: expected the questions of .*others: \['9'\]"),
        (ANSWERS, "7||Zebulon\n", r"others: \['9'\]"),
        (ANSWERS, REFERENCES + "7||Zebulon\n", "Summaries.txt:3: expected a line a question"),
        (ANSWERS, "7|Zebulon\n", r"Summaries.txt:1: expected number of a question \|\| summary"),
        (ANSWERS, "7||Zebulon\n\n9|| \n", "Summaries.txt:3: expected number of a question"),
        (ANSWERS, "\n||Zebulon\n", "Summaries.txt:2: expected number of a question"),
        ([*ANSWERS, (9, "x", 5)], REFERENCES, "Answers.xlsx:5: expected a question and a text"),
        ([(7, "x")], REFERENCES, "Answers.xlsx:2: expected a question and a text"),
        ([(None, "x", "Zebulon")], REFERENCES, "Answers.xlsx:2: expected a question and a text"),
    ],
)
def test_answers_that_are_not_whole(tmp_path, rows, references, message):
    with pytest.raises(CorpusError, match=message) as caught:
        list(read_mediqa_mas(write_mas(tmp_path, rows, references)))
    assert "Zebulon" not in str(caught.value)


def test_blank_rows_and_lines_are_nothing(tmp_path):
    rows = [ANSWERS[0], (None, None, None), *ANSWERS[1:]]
    folder = write_mas(tmp_path, rows, REFERENCES.replace("\n", "\r\n\r\n"))
    assert [item.reference for item in read_mediqa_mas(folder)][1] == "Drink water."


def test_workbooks_that_are_none(tmp_path, monkeypatch):
    folder = write_mas(tmp_path)
    book = folder / "Set_Answers.xlsx"
    whole = book.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], make_zip()):
        book.write_bytes(content)
        with pytest.raises(CorpusError, match="Answers.xlsx: expected an .xlsx workbook"):
            list(read_mediqa_mas(folder))
    write_mas(folder, references="")
    with pytest.raises(CorpusError, match="Summaries.txt: expected text, found an empty file"):
        list(read_mediqa_mas(folder))
    monkeypatch.setattr(summaries, "ANSWERS", ("Question", "Answer"))
    with pytest.raises(CorpusError, match="Answers.xlsx:1: expected columns Question, Answer"):
        list(read_mediqa_mas(write_mas(folder)))
    monkeypatch.setattr(summaries, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match="needs openpyxl to be read: pip install openpyxl"):
        list(read_mediqa_mas(folder))


def make_zip():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as book:
        book.writestr("note.txt", "Zebulon")
    return made.getvalue()


def test_one_file_of_each_kind(tmp_path):
    folder = write_mas(tmp_path / "mas")
    (folder / "More_Answers.xlsx").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"expected one file \*Answers.xlsx, found 2"):
        list(read_mediqa_mas(folder))
    with pytest.raises(CorpusError, match=r"expected one file \*.json, found 0"):
        list(read_radiology(folder))


def test_each_finding_once_and_only_with_an_impression(tmp_path):
    path = write_reports(tmp_path / "reports.json")
    found = list(read_radiology(path))
    assert [item.id for item in found] == ["a", "c"] and found == list(read_radiology(tmp_path))
    assert found[0] == Summarised("a", REPORTS[0][1], (), "Rib fracture.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file"),
        ('[\n{"study_id": "Zebulon",]', "reports.json:2: expected JSON"),
        ('{"study_id": "Zebulon"}', "expected a list of reports"),
        ('["Zebulon"]', "as strings in report 1"),
        ('[{"study_id": "a", "findings": "Zebulon", "impression": null}]', "in report 1"),
        ('[{"study_id": "a", "findings": "Zebulon"}]', "study_id, findings, impression as strings"),
    ],
)
def test_reports_that_are_none(tmp_path, content, message):
    path = tmp_path / "reports.json"
    path.write_text(content, "utf8")
    with pytest.raises(CorpusError, match=message) as caught:
        list(read_radiology(path))
    assert "Zebulon" not in str(caught.value)


def test_corpora_by_name(tmp_path):
    path = write_reports(tmp_path / "reports.json")
    assert [item.id for item in read_summaries("radiology", path)] == ["a", "c"]
    assert len(list(read_summaries("notes", write_notes(tmp_path / "notes")))) == 2
    assert len(list(read_summaries("mediqa_mas", write_mas(tmp_path / "mas")))) == 2
    with pytest.raises(CorpusError, match=r"Unknown corpus 'mts'.*'mediqa_mas', 'notes'"):
        read_summaries("mts", path)
    assert not may_ship("mediqa2021_mas") and not may_ship("mediqa2021_rrs")


def test_sentences_are_added_where_there_are_none():
    def split(text):
        return [(0, 4), (4, 6), (6, len(text))]

    plain = Summarised("a", " Hm.  \n Yes. ", (), "")
    (found,) = add_sentences([plain], split)
    assert [found.text[start:end] for start, end in found.sentences] == ["Hm.", "Yes."]
    given = replace(plain, sentences=((0, 3),))
    chosen = replace(plain, chosen=())
    assert list(add_sentences([given, chosen], split)) == [given, chosen]
    (empty,) = add_sentences([Summarised("a", "", (), "")], lambda text: [(0, 0)])
    assert empty.sentences == ()


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
def test_the_corpora():
    folder = Path(os.environ["CLINBERT_CORPORA"])
    questions = list(read_mediqa_mas(folder / "mediqa2021_mas"))
    assert len(questions) == 50 and all(item.text and item.reference for item in questions)
    reports = list(read_radiology(folder / "mediqa2021_rrs"))
    assert len(reports) > 1000 and len({item.text for item in reports}) == len(reports)
