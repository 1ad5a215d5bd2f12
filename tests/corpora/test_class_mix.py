"""Classes of notes from several sources."""

import json

import pytest
import spacy

from clinbert_spacy.corpora.class_mix import FRAMES, create_note_classes
from clinbert_spacy.corpora.class_notes import CHAPTER_CLASSES, ENCOUNTER_CLASSES
from clinbert_spacy.corpora.files import CorpusError

EXCERPTS = [
    {"id": "a", "note": "Known {asthma|DISEASE|present,patient,current}.", "encounter": "visit",
     "chapters": ["X", "XVIII"]},
    {"id": "b", "note": "On the ward, no change.", "encounter": "", "chapters": []},
    {"id": "c", "note": "Sent home today.", "encounter": "discharge"},
]  # fmt: skip
NAMES = 'name,chapter\nasthma,X\n"fracture, left hip",XIX\n'
TABLE = (
    "note_id,medical_specialty,transcription\n"
    "1,Discharge Summary,Sent home.\n2,Surgery,Knee opened.\n3,Surgery,Knee opened.\n"
    "4,SOAP / Chart / Progress Notes,Better today.\n"
)


@pytest.fixture
def nlp():
    return spacy.blank("en")


@pytest.fixture
def folder(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in EXCERPTS)
    (tmp_path / "excerpts.jsonl").write_text(lines)
    (tmp_path / "names.csv").write_text(NAMES)
    (tmp_path / "mtsamples.csv").write_text(TABLE)
    return tmp_path


def read(nlp, task, **sources):
    return list(create_note_classes(task, sources)(nlp))


def told(example):
    return [name for name, value in example.reference.cats.items() if value]


def test_excerpts_tell_chapters_but_not_of_symptoms(nlp, folder):
    block = {"corpus": "excerpts", "path": folder / "excerpts.jsonl"}
    one, other = read(nlp, "chapters", excerpts=block)
    assert one.reference.text == "Known asthma."
    assert told(one) == ["ICD10_X"] and told(other) == []
    assert set(CHAPTER_CLASSES) - set(one.reference.cats) == {"ICD10_XVIII"}
    assert one.predicted.cats == {}


def test_excerpts_tell_the_encounter_that_they_show(nlp, folder):
    block = {"corpus": "excerpts", "path": folder / "excerpts.jsonl"}
    found = read(nlp, "encounter", excerpts=block)
    assert [told(eg) for eg in found] == [["ENCOUNTER_visit"], ["ENCOUNTER_discharge"]]
    assert all(set(eg.reference.cats) == set(ENCOUNTER_CLASSES) for eg in found)


def test_names_stand_in_frames_and_tell_every_chapter(nlp, folder):
    found = read(nlp, "chapters", names={"corpus": "problem_names", "path": folder / "names.csv"})
    assert [told(eg) for eg in found] == [["ICD10_X"], ["ICD10_XIX"]]
    assert "fracture, left hip" in found[1].reference.text
    assert all(set(eg.reference.cats) == set(CHAPTER_CLASSES) for eg in found)
    assert found[0].reference.text in {frame.format("asthma") for frame in FRAMES}


def test_kinds_of_documents_tell_the_encounter_where_they_can(nlp, folder):
    found = read(nlp, "encounter", mts={"corpus": "mtsamples", "path": folder})
    assert [told(eg) for eg in found] == [["ENCOUNTER_discharge"], ["ENCOUNTER_other"]]


def test_a_source_counts_as_often_as_it_is_repeated(nlp, folder):
    block = {"corpus": "problem_names", "path": folder / "names.csv"}
    assert len(read(nlp, "chapters", names={**block, "repeat": 2.5})) == 5
    assert len(read(nlp, "chapters", names={**block, "repeat": 0.5})) == 1
    assert len(read(nlp, "chapters", names={**block, "without": ["name-2"]})) == 1


def test_epochs_differ_and_runs_do_not(nlp, folder):
    block = {"corpus": "problem_names", "path": folder / "names.csv", "repeat": 8}
    one, other = (create_note_classes("chapters", {"n": block}, True, 3) for _ in range(2))
    epochs = [[eg.reference.text for eg in reader(nlp)] for reader in (one, one, other)]
    assert epochs[0] == epochs[2] != epochs[1]


@pytest.mark.parametrize(
    "task, block, said",
    [
        ("kinds", {}, "'kinds': expected one of"),
        ("chapters", {"corpus": "pdf", "path": "x"}, "corpus 'pdf'"),
        ("chapters", {"corpus": "problem_names"}, "expected a path"),
        ("chapters", {"corpus": "problem_names", "path": "x", "parts": 1}, "has ['parts']"),
        ("chapters", {"corpus": "problem_names", "path": "x", "repeat": -1}, "repeat = -1"),
    ],
)
def test_settings_that_cannot_be(task, block, said):
    with pytest.raises(CorpusError) as error:
        create_note_classes(task, {"a": block})
    assert said in str(error.value)


def test_no_source_is_an_error():
    with pytest.raises(CorpusError, match="No source"):
        create_note_classes("chapters", {})


@pytest.mark.parametrize(
    "task, kind, name, text, said",
    [
        ("encounter", "problem_names", "names.csv", NAMES, "the task chapters"),
        ("chapters", "mtsamples", "mtsamples.csv", TABLE, "the task encounter"),
        ("chapters", "problem_names", "names.csv", "name,chapter\nasthma,XXI\n", "names.csv:2"),
        ("chapters", "excerpts", "e.jsonl", '{"id": "a", "note": "x", "chapters": ["C"]}\n', "'C'"),
        ("encounter", "excerpts", "e.jsonl", '{"id": "a", "note": "x"}\n', "found none"),
    ],
)
def test_files_that_say_something_else(nlp, tmp_path, task, kind, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError) as error:
        read(nlp, task, a={"corpus": kind, "path": tmp_path / name})
    assert said in str(error.value)


def test_notes_without_titles(nlp):
    block = {"corpus": "notes", "path": "assets/notes/dev"}
    found = read(nlp, "encounter", notes={**block, "titles": False})
    whole = read(nlp, "encounter", notes=block)
    assert len(found) == len(whole) == 30
    lengths = [[len(eg.reference.text) for eg in part] for part in (found, whole)]
    assert sum(lengths[0]) < sum(lengths[1])
