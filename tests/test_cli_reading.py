import json

import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.layers import write_layers

from .corpora.toy_notes import toy_note

RULES = {"method": "rules", "model": None}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_sections")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "DRUG", "pattern": "naproxen"},
                        {"label": "SYMPTOM", "pattern": "cough"}])  # fmt: skip
    nlp.add_pipe("clinbert_assertion", config=RULES)
    folder = tmp_path_factory.mktemp("reading") / "nlp"
    nlp.to_disk(folder)
    return str(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    write_brat([toy_note()], folder)
    write_layers([toy_note()], folder)
    return str(folder)


@pytest.fixture(scope="module")
def result(pipeline, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    arguments = ["read-score", pipeline, "--data", data]
    run = CliRunner().invoke(app, [*arguments, "--output", str(folder / "r.json")])
    assert run.exit_code == 0, run.output
    return json.loads((folder / "r.json").read_text())


def test_sentences_beside_other_splitters(result):
    assert result["sentences"]["clinbert_sentences"]["f"] == 1.0
    assert set(result["sentences"]) == {"clinbert_sentences", "sentencizer", "pysbd_sentencizer"}
    assert result["sentences"]["sentencizer"]["f"] < 1.0


def test_sections_with_and_without_headings(result):
    assert result["sections"]["as_written"]["sections_f"] == 1.0
    assert result["sections"]["headed"] == {"n": 1, "r": 1.0}
    # nothing is left that says "plan"
    assert result["sections"]["without_headings"]["sections_f"] == 0.0


def test_assertion_on_gold_and_predicted_entities(result):
    gold = result["assertion"]["gold_spans"]
    assert gold["drug_status"]["per_value"]["stopped"] == {"p": 1.0, "r": 1.0, "f": 1.0, "n": 1}
    assert gold["presence"]["accuracy"] == 1.0 and gold["called_active"] == 0.0
    assert result["assertion"]["rules"] == gold
    # the ruler knows no hives
    assert result["assertion"]["predicted_spans"]["entities_not_found"] == 1


def test_rules_are_added_where_asked(data, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    output = str(tmp_path / "r.json")
    arguments = ["read-score", str(tmp_path / "blank"), "--data", data, "--output", output]
    for option, expected in (([], set()), (["--rules"], {"sentences", "sections", "assertion"})):
        run = CliRunner().invoke(app, [*arguments, *option])
        assert run.exit_code == 0, run.output
        found = json.loads((tmp_path / "r.json").read_text())
        assert set(found) - {"command", "notes", "sha256"} == expected


def test_folder_without_layers(pipeline, tmp_path):
    (tmp_path / "a.txt").write_text("No cough.", "utf8")
    (tmp_path / "a.ann").write_text("", "utf8")
    run = CliRunner().invoke(app, ["read-score", pipeline, "--data", str(tmp_path)])
    assert run.exit_code == 1
    assert "layers" in run.output and "assets/notes/dev" in run.output


def test_annotate_writes_what_was_read(pipeline, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("Plan: stopped naproxen.\nNo cough.", "utf8")
    output, page = tmp_path / "found.jsonl", tmp_path / "found.html"
    arguments = ["annotate", str(notes), "--pipeline", pipeline, "--output", str(output)]
    arguments += ["--html", str(page)]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    record = json.loads(output.read_text("utf8"))
    assert [section["name"] for section in record["sections"]] == ["plan"]
    drug, cough = record["entities"]
    assert drug["drug_status"] == "stopped" and drug["cue"] == [6, 13]
    assert cough["presence"] == "absent" and cough["experiencer"] == "patient"
    html = page.read_text("utf8")
    assert "DRUG · stopped</span>" in html and "SYMPTOM · absent</span>" in html
