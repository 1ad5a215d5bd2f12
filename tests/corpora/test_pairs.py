"""Pairs of a text and its summary: read, parted, and whether weights that ship may see them."""

import csv

import pytest

from clinbert_spacy.corpora.pairs import PAIRS, describe, find_pairs, part_pairs, read_pairs
from clinbert_spacy.corpora.schema import NEVER_SHIPS

from .toy_notes import toy_note
from .toy_summaries import write_mas, write_notes, write_reports

TALK = "Doctor: Any cough?\nPatient: Yes, since Monday."
NOTE = "CHIEF COMPLAINT\n\nCough.\n\nHISTORY OF PRESENT ILLNESS\n\nCough since\nMonday.\n\nPLAN\n\n"


def write(path, header, rows):
    with path.open("w", encoding="utf8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path.parent


@pytest.fixture
def mts(tmp_path):
    header = ("ID", "section_header", "section_text", "dialogue")
    rows = [("0", "CC", "Cough since Monday.", TALK), ("1", "ROS", " ", TALK)]
    return write(tmp_path / "MTS-Dialog-TrainingSet.csv", header, rows)


@pytest.fixture
def aci(tmp_path):
    header = ("dataset", "encounter_id", "dialogue", "note")
    return write(tmp_path / "train.csv", header, [("x", "D2N001", TALK, NOTE)])


def test_mts_dialog(mts):
    (pair,) = read_pairs("mts_dialog", mts)
    assert pair == ("0", TALK, "Cough since Monday.", "0")


def test_aci_bench_section_by_section(aci):
    pairs = list(read_pairs("aci_bench", aci))
    assert [pair.summary for pair in pairs] == ["Cough.", "Cough since Monday."]
    assert {pair[1] for pair in pairs} == {TALK} and {pair.group for pair in pairs} == {"D2N001"}
    assert len({pair.id for pair in pairs}) == 2


def test_a_note_without_headings_is_broken(tmp_path):
    header = ("encounter_id", "dialogue", "note")
    folder = write(tmp_path / "train.csv", header, [("a", TALK, "Cough of a secret.")])
    with pytest.raises(ValueError, match=r"train.csv:2: expected a note with headings") as caught:
        list(read_pairs("aci_bench", folder))
    assert "secret" not in str(caught.value)


def test_notes_as_wholes_and_by_section(tmp_path):
    folder = write_notes(tmp_path / "notes")
    (whole,) = read_pairs("notes", folder)
    assert whole.id == "n1" and whole.source == toy_note("n1").text
    sections = list(read_pairs("note_sections", folder))
    assert sections and all(pair.source in whole.source for pair in sections)
    lines = [line for pair in sections for line in pair.summary.split("\n")]
    assert set(lines) <= set(whole.summary.split("\n"))
    assert all(line in pair.source for pair in sections for line in pair.summary.split("\n"))


def test_radiology_and_answers(tmp_path):
    reports = list(read_pairs("radiology", write_reports(tmp_path / "reports.json")))
    assert [(pair.id, pair.summary) for pair in reports] == [
        ("a", "Rib fracture."), ("c", "Clear lungs."),
    ]  # fmt: skip
    answers = [pair.summary for pair in read_pairs("mediqa_mas", write_mas(tmp_path / "mas"))]
    assert answers == ["Rest the knee. A brace may help.", "Drink water."]


def test_what_may_ship():
    assert {name for name in PAIRS if find_pairs(name).ships} == {
        "mts_dialog", "aci_bench", "notes", "note_sections",
    }  # fmt: skip
    assert all(PAIRS[name].name in NEVER_SHIPS for name in ("radiology", "mediqa_mas"))
    assert describe(["notes", "note_sections"]) == [{"name": "notes", "licence": "CC BY 4.0"}]


def test_a_group_is_in_one_part(tmp_path):
    rows = [(str(i), f"Finding number {i}.", "Clear.") for i in range(60)]
    pairs = list(read_pairs("radiology", write_reports(tmp_path / "reports.json", rows)))
    parts = part_pairs(pairs, 1, 5)
    assert sorted(map(len, parts.values()))[0] > 0
    assert {pair.id for part in parts.values() for pair in part} == {pair.id for pair in pairs}
    others = part_pairs([pair._replace(group="one") for pair in pairs], 1, 5)
    assert sorted(map(len, others.values())) == [0, 0, 60]


def test_unknown_corpus():
    with pytest.raises(ValueError, match="Unknown corpus of pairs 'mimic': expected one of"):
        list(read_pairs("mimic", "x"))
