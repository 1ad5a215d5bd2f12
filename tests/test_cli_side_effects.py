import csv
import json

import pytest
import spacy
from pyarrow import parquet
from spacy.language import Language
from spacy.tokens import SpanGroup
from typer.testing import CliRunner

from clinbert_spacy.cli import app

from .toy_cli import CANARY, make_pipeline, write_notes

TEXTS = ["Aspirin gave a rash.", "Rash.", "No rash with ASPIRIN.", "aspirin 100"]


@Language.component("cli_test_side_effects")
def say_side_effects(doc):
    """Each drug with the first symptom; denied where the note says no."""
    spans = list(doc.ents)
    drugs = [i for i, span in enumerate(spans) if span.label_ == "DRUG"]
    effects = [i for i, span in enumerate(spans) if span.label_ == "SYMPTOM"][:1]
    rows = [
        {"head": drug, "tail": tail, "label": "ADVERSE_EFFECT", "score": 0.87654,
         "causality": "denied" if "No " in doc.text else "stated", "kind": "reaction",
         "evidence": [[0, len(doc)]], "cue": [1, 2]}
        for drug in drugs for tail in effects
    ]  # fmt: skip
    status = "found" if rows else "none_above_threshold" if drugs else "no_drug"
    attrs = {"types": [x.label_ for x in spans], "relations": rows, "status": status}
    doc.spans["clinbert_relations"] = SpanGroup(doc, attrs=attrs, spans=spans)
    return doc


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = make_pipeline(tmp_path_factory.mktemp("pipeline") / "toy")
    nlp = spacy.load(folder)
    nlp.add_pipe("cli_test_side_effects", name="clinbert_side_effects")
    nlp.add_pipe("cli_test_failing")
    nlp.to_disk(folder)
    return folder


@pytest.fixture
def run(tmp_path, pipeline):
    """Run `clinbert side-effects` on TEXTS. RETURNS: the result."""
    notes = write_notes(tmp_path / "in", TEXTS)

    def call(*options, output="t.csv", name=pipeline, inputs=notes):
        arguments = ["side-effects", str(inputs), "--output", str(tmp_path / output)]
        return CliRunner().invoke(app, [*arguments, "--pipeline", name, *map(str, options)])

    return call


def read(path):
    with path.open(encoding="utf8", newline="") as file_:
        return list(csv.DictReader(file_))


def test_table_and_summary(run, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    rows = read(tmp_path / "t.csv")
    assert [(r["note_id"], r["drug"], r["effect"], r["status"]) for r in rows] == [
        ("n0", "Aspirin", "rash", "found"),
        ("n1", "", "", "no_drug"),
        ("n2", "ASPIRIN", "rash", "found"),
        ("n3", "", "", "none_above_threshold"),
    ]
    assert [r["current_reaction"] for r in rows] == ["True", "", "False", ""]
    assert rows[0]["score"] == "0.8765" and rows[0]["sentence"] == TEXTS[0]
    assert "known" not in rows[0]
    lines = [line.split() for line in result.stdout.splitlines()]
    for line in (["found", "2"], ["none_above_threshold", "1"], ["no_drug", "1"]):
        assert line in lines
    assert "2 pairs, 1 of them current reactions." in result.stdout
    assert ["aspirin", "1", "2"] in lines
    assert "Not a medical device" in result.stdout and "“no effect”" in result.stdout
    assert "4 notes read, 0 skipped" in result.stderr


def test_parquet_and_plot(run, tmp_path):
    pytest.importorskip("matplotlib")
    result = run("--plot", tmp_path / "p.png", output="t.parquet")
    assert result.exit_code == 0, result.output
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert rows[0]["current_reaction"] is True and rows[1]["drug_start"] is None
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_known_effects(run, tmp_path):
    known = tmp_path / "label.csv"
    known.write_text("drug,effect\nAspirin,Rashes\nAspirin,Tinnitus\nwarfarin,bleeding\n")
    result = run("--known", known)
    assert result.exit_code == 0, result.output
    assert [row["known"] for row in read(tmp_path / "t.csv")] == ["known", "", "known", ""]
    left = read(tmp_path / "t.not_mentioned.csv")
    tinnitus = [(name, "Aspirin", "Tinnitus") for name in ("n0", "n2")]
    expected = [*tinnitus, ("n3", "Aspirin", "Rashes"), ("n3", "Aspirin", "Tinnitus")]
    assert [tuple(row.values()) for row in left] == expected
    assert "2 known, 0 unexpected, 0 drug_not_listed" in result.stdout
    assert "which are no findings: 4 in" in result.stdout


def test_outputs_and_the_label_are_no_notes(run, tmp_path):
    folder = tmp_path / "in"
    known = folder / "label.csv"
    known.write_text("drug,effect\nAspirin,Rash\n")
    for _ in range(2):
        result = run("--known", known, output="in/t.csv", inputs=folder)
        assert result.exit_code == 0 and "4 notes read, 0 skipped" in result.stderr


def test_failing_note_is_named_without_content(run, tmp_path):
    notes = write_notes(tmp_path / "more", ["rash", f"{CANARY} took aspirin"])
    result = run(inputs=notes)
    assert result.exit_code == 0 and "skipped note 'n1'" in result.stderr
    assert "1 notes read, 1 skipped" in result.stderr and CANARY not in result.output
    assert [row["note_id"] for row in read(tmp_path / "t.csv")] == ["n0"]


@pytest.mark.parametrize(
    ("options", "output", "message"),
    [
        ((), "t.xlsx", "expected a name that ends in one of .csv, .tsv, .parquet"),
        (("--plot", "p.txt"), "t.csv", "--plot is p.txt; expected a name in .png"),
        (("--known", "none.csv"), "t.csv", "none.csv: no such file"),
        ((), "none/t.csv", "expected a file in a folder that is there"),
        (("--encoding", "klingon"), "t.csv", "Unknown encoding 'klingon'"),
    ],
)
def test_refused_before_anything_is_read(run, tmp_path, options, output, message):
    result = run(*options, output=output)
    assert result.exit_code == 1 and message in result.stderr
    assert not list(tmp_path.glob("t.*"))


def test_the_label_is_not_overwritten(run, tmp_path):
    known = tmp_path / "t.csv"
    known.write_text("drug,effect\nAspirin,Rash\n")
    result = run("--known", known)
    assert result.exit_code == 1 and "Two files have one name" in result.stderr
    assert known.read_text().startswith("drug,effect")


def test_pipeline_without_the_component(run, tmp_path):
    name = make_pipeline(tmp_path / "bare")
    result = run(name=name)
    assert result.exit_code == 1
    assert "has no component 'clinbert_side_effects' (it runs: entity_ruler)" in result.stderr


def test_plot_without_matplotlib(run, tmp_path, monkeypatch):
    monkeypatch.setattr("clinbert_spacy.cli_side_effects.find_spec", lambda name: None)
    result = run("--plot", tmp_path / "p.png")
    assert result.exit_code == 1 and "install the extra `plot`" in result.stderr


def test_annotate_writes_relations(pipeline, tmp_path):
    notes = write_notes(tmp_path / "in", TEXTS[:2])
    output, html = tmp_path / "o.jsonl", tmp_path / "o.html"
    arguments = ["annotate", str(notes), "--pipeline", pipeline, "--output", str(output)]
    result = CliRunner().invoke(app, [*arguments, "--html", str(html)])
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, output.read_text("utf8").splitlines())
    drug = {"start": 0, "end": 7, "label": "DRUG", "text": "Aspirin"}
    rash = {"start": 15, "end": 19, "label": "SYMPTOM", "text": "rash"}
    relation = {"label": "ADVERSE_EFFECT", "head": drug, "tail": rash, "score": 0.8765}
    assert first["relations"] == [relation]
    assert first["side_effects"] == [
        {"drug": drug, "effect": rash, "value": None, "score": 0.8765, "current_reaction": True,
         "assertion": None, "causality": "stated", "kind": "reaction", "drug_status": None,
         "evidence": [[0, 20]], "cue": [8, 12]}
    ]  # fmt: skip
    assert first["side_effects_status"] == "found"
    assert (second["relations"], second["side_effects"]) == ([], [])
    assert second["side_effects_status"] == "no_drug"
    page = html.read_text("utf8")
    assert 'data-rel="1"' in page and "Side effects: no drug." in page
