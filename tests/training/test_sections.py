"""Notes with sections out of several corpora."""

import json
import random

import pytest
import spacy

from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.layers import write_layers
from clinbert_spacy.corpora.offsets import write_offsets
from clinbert_spacy.corpora.record import AnnotatedNote
from clinbert_spacy.training.section_texts import (
    Part,
    Variation,
    aci_bench_parts,
    marked_parts,
    mts_dialog_parts,
    mtsamples_parts,
    notes_parts,
    write,
)
from clinbert_spacy.training.sections import create_sectioned_notes
from tests.corpora.toy_notes import toy_note


@pytest.fixture
def samples(tmp_path):
    path = tmp_path / "mtsamples.csv"
    text = (
        "CHIEF COMPLAINT:, Cough.,ALLERGIES:  None.,HEENT:, Clear.,PLAN: , 1.  Rest.,2.  Fluids."
    )
    path.write_text(f'id,transcription\n1,"{text}"\n2,"PLAN: rest"\n', "utf8")
    return path


def test_mtsamples(samples):
    (parts,) = mtsamples_parts(samples)
    assert parts == [
        Part("chief_complaint", "CHIEF COMPLAINT", "Cough."),
        Part("allergies", "ALLERGIES", "None.\nHEENT:\nClear."),
        Part("plan", "PLAN", "1.  Rest.\n2.  Fluids."),
    ]


def test_texts_that_evaluate_are_left_out(samples, tmp_path):
    text = samples.read_text("utf8").split('"')[1]
    path = tmp_path / "offsets.jsonl"
    note = AnnotatedNote("a", text, ())
    write_offsets([note], path)
    block = {"path": str(samples), "without": str(path)}
    read = create_sectioned_notes({"mtsamples": block}, {})
    assert list(read(spacy.blank("en"))) == []
    with pytest.raises(ValueError, match="'without' is known to mtsamples alone"):
        create_sectioned_notes({"notes": block}, {})


def test_a_text_counts_once(samples):
    rows = samples.read_text("utf8")
    samples.write_text(rows + rows.split("\n", 1)[1], "utf8")
    assert len(list(mtsamples_parts(samples))) == 1


def test_mts_dialog(tmp_path):
    path = tmp_path / "mts.csv"
    rows = "".join(f"{i},ALLERGY,None {i}.\n" for i in range(20))
    path.write_text("ID,section_header,section_text\n" + rows + "20,FAM/SOCHX,Smokes.\n", "utf8")
    notes = list(mts_dialog_parts(path))
    assert sum(map(len, notes)) == 21 and max(map(len, notes)) <= 8
    names = {part.name for note in notes for part in note}
    assert names == {"allergies", "family_history|social_history"}


def test_aci_bench(tmp_path):
    path = tmp_path / "aci.csv"
    path.write_text('id,note\n1,"CHIEF COMPLAINT\n\nCough.\n\nPLAN\n\nRest.\nFluids."\n', "utf8")
    (parts,) = aci_bench_parts(path)
    assert parts == [
        Part("chief_complaint", "CHIEF COMPLAINT", "Cough."),
        Part("plan", "PLAN", "Rest.\nFluids."),
    ]


def test_notes(tmp_path):
    write_brat([toy_note()], tmp_path)
    write_layers([toy_note()], tmp_path)
    ((part,),) = notes_parts(tmp_path)
    assert part.name == "plan" and part.heading == "Plan" and part.body.startswith("Stopped")


MARKED = (
    "[[chief_complaint]]Cough for a week. [[past_medical_history]]PMHx: asthma,\n"
    "[[allergies]]NKDA.\n\n[[plan]]Rest."
)


def write_marked(folder, *notes):
    path = folder / "marked.jsonl"
    rows = [json.dumps({"id": f"n{i}", "note": note}) for i, note in enumerate(notes)]
    path.write_text("\n".join(rows) + "\n", encoding="utf8")
    return path


def test_marked_notes_are_written_as_they_were(tmp_path):
    (parts,) = marked_parts(write_marked(tmp_path, MARKED))
    assert [part.name for part in parts] == MARKED.replace("]]", "[[").split("[[")[1::2]
    assert (parts[1].heading, parts[1].body) == ("PMHx", "asthma,")
    text, sections = write(parts, Variation(original=1.0, title=1.0), random.Random(0))
    assert text == "Cough for a week. PMHx: asthma,\nNKDA.\n\nRest."
    assert [text[start:end] for start, end, _ in sections] == [
        "Cough for a week.", "PMHx: asthma,", "NKDA.", "Rest.",
    ]  # fmt: skip
    text, _ = write(parts, Variation(bare=1.0), random.Random(0))
    assert "PMHx" not in text and text.count("\n") >= 3


@pytest.mark.parametrize(
    "note", ["Cough.", "Cough. [[plan]]Rest.", "[[plans]]Rest.", "[[plan]] [[allergies]]NKDA"]
)
def test_broken_marks(tmp_path, note):
    path = write_marked(tmp_path, MARKED, note)
    with pytest.raises(CorpusError, match="marked.jsonl:2.*before each section") as error:
        list(marked_parts(path))
    assert "Rest" not in str(error.value)


def test_reader(samples):
    sources = {"mtsamples": {"path": str(samples), "repeat": 2, "licence": "CC0-1.0"}}
    read = create_sectioned_notes(sources, {"bare": 1.0})
    nlp = spacy.blank("en")
    examples = list(read(nlp))
    assert len(examples) == 2
    group = examples[0].reference.spans["clinbert_sections"]
    assert [s.label_ for s in group] == ["chief_complaint", "allergies", "plan"]
    assert group[0].text == "Cough." and "ALLERGIES" not in examples[0].reference.text
    assert "clinbert_sections" not in examples[0].predicted.spans


@pytest.mark.parametrize("block", [{"path": "x", "corpus": "mimic"}, {}, {"path": "x", "size": 1}])
def test_wrong_sources(block):
    with pytest.raises(ValueError, match="notes"):
        create_sectioned_notes({"notes": block}, {})


def test_missing_columns(tmp_path):
    path = tmp_path / "mtsamples.csv"
    path.write_text("id,text\n", "utf8")
    with pytest.raises(CorpusError, match="transcription"):
        list(mtsamples_parts(path))
    with pytest.raises(CorpusError, match="no file"):
        list(mtsamples_parts(tmp_path / "other.csv"))
