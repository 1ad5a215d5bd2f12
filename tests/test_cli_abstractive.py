"""`clinbert train-abstractive` and `abstract-score` from the command line, on copies."""

import json

import pytest
from thinc.api import Config
from typer.testing import CliRunner

from clinbert_spacy.cli import app

from .toy_abstractive import NAME, make_rules, toy_settings, write_copies


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path, checkpoint):
    settings = toy_settings(checkpoint, write_copies(tmp_path))
    Config(json.loads(settings.model_dump_json())).to_disk(tmp_path / "toy.cfg")
    return tmp_path / "toy.cfg"


def failed(done, *said):
    assert done.exit_code == 1 and "Traceback" not in done.output, done.output
    text = " ".join(done.output.split())
    assert all(words in text for words in said), text


def test_train_then_score(tmp_path, config):
    out, reports = tmp_path / "out", tmp_path / "reports.json"
    done = run("train-abstractive", config, "--output", out, "--training.max_steps", "3")
    assert done.exit_code == 0, done.output
    assert "3 updates" in done.output and "may ship: no" in done.output
    failed(run("train-abstractive", config, "--output", out), "use --resume or --overwrite")
    make_rules().to_disk(tmp_path / "rules")
    told = ("--data", reports, "--corpus", "radiology", "--longest", "8", "--beams", "1")
    done = run(
        "abstract-score", tmp_path / "rules", *told, "--generator", out / "model",
        "--output", tmp_path / "score.json", "--limit", "5",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "score.json").read_text("utf8"))
    assert record["n_texts"] == 5 and len(record["data_sha256"]) == 64
    assert set(record["rows"]) == {
        "generated", "reference", "lead-k", "first sentence", "most frequent",
    }  # fmt: skip
    assert record["rows"]["lead-k"]["flagged"]["value"] == 0.0
    assert record["rows"]["generated"]["flagged"]["value"] is not None
    assert "aspirin" not in (tmp_path / "score.json").read_text("utf8")


def test_scoring_without_a_generator(tmp_path):
    make_rules().to_disk(tmp_path / "rules")
    told = ("--data", write_copies(tmp_path), "--corpus", "radiology")
    failed(run("abstract-score", tmp_path / "rules", *told), f"no '{NAME}'", "--generator")


def test_wrong_settings_are_one_line(tmp_path, config):
    out = tmp_path / "out"
    failed(run("train-abstractive", config, "--output", out, "--card.ships", "true"), "may not")
    failed(run("train-abstractive", tmp_path / "none.cfg", "--output", out), "No config at")
    failed(
        run("abstract-score", "x", "--data", tmp_path, "--corpus", "mimic"), "--corpus is 'mimic'"
    )
