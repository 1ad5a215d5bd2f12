"""Short texts with marks in them."""

import json

import pytest
from spacy.lang.en import English

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.readers import create_corpus, read_corpus
from clinbert_spacy.pipeline.assertion import ClinicalAssertion, gold_entities, gold_values


def write(folder, *notes):
    path = folder / "snippets.jsonl"
    rows = [{"id": f"s{i}", "note": note} for i, note in enumerate(notes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


NOTE = (
    "Stop {ramipril|DRUG|stopped}:\n{cough|SYMPTOM|present,patient,current}. Mother had "
    "{stroke|DISEASE|present,family,historical}."
)


def test_marks_leave_the_text(tmp_path):
    (note,) = read_corpus("snippets", write(tmp_path, NOTE))
    assert note.text == "Stop ramipril:\ncough. Mother had stroke."
    found = [(note.text[m.start : m.end], m.label, dict(m.attributes)) for m in note.mentions]
    assert found == [
        ("ramipril", "DRUG", {"Status": "stopped"}),
        ("cough", "SYMPTOM", {"Presence": "present", "Experiencer": "patient", "Time": "current"}),
        ("stroke", "DISEASE", {"Presence": "present", "Experiencer": "family",
                               "Time": "historical"}),
    ]  # fmt: skip


def test_examples_say_what_is_to_be_learned(tmp_path):
    nlp = English()
    read = create_corpus({"snippets": {"path": str(write(tmp_path, NOTE))}})
    (example,) = read(nlp)
    component = ClinicalAssertion(nlp, None, method="rules")
    nlp.add_pipe("sentencizer")(example.predicted)
    component.ask(example.predicted, gold_entities(example))
    assert [values.get("drug_status") for values in gold_values(example)] == ["stopped", None, None]
    group = example.reference.spans["clinbert_ents"]
    assert set(group.attrs["covered"]) == {"DISEASE", "SYMPTOM", "DRUG"}


@pytest.mark.parametrize(
    "note, found",
    [
        ("{aspirin|DRUG|gone}", "'gone'"),
        ("{cough|SYMPTOM|present}", "'present'"),
        ("{liver|ANATOMY|present}", "'ANATOMY'"),
        ("{aspirin|DRUG}", "a brace"),
        ("{{aspirin|DRUG|active}}", "a brace"),
    ],
)
def test_broken_marks_are_named(tmp_path, note, found):
    path = write(tmp_path, "well {rash|SYMPTOM|absent,patient,current}", note)
    with pytest.raises(CorpusError, match=f"snippets.jsonl:2.*{found}"):
        list(read_corpus("snippets", path))


@pytest.mark.parametrize("line", ["aspirin", '["aspirin"]', '{"id": "a"}', '{"id": 1, "note": ""}'])
def test_broken_lines_are_named_without_their_text(tmp_path, line):
    path = tmp_path / "snippets.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="snippets.jsonl:1.*'id' and 'note'") as error:
        list(read_corpus("snippets", path))
    assert "aspirin" not in str(error.value)
