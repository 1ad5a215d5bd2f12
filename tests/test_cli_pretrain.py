"""`clinbert pretrain`, `lm-score` and `pair-score` from the command line."""

import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app

from .training.toy_text import make_config, write_text


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path, checkpoint):
    write_text(tmp_path, 40, n_sentences=30)
    make_config(tmp_path, checkpoint).to_disk(tmp_path / "toy.cfg")
    return tmp_path / "toy.cfg"


def test_pretrain_then_score(tmp_path, checkpoint, config):
    out = tmp_path / "out"
    done = run("pretrain", config, "--output", out, "--training.max_steps", "4")
    assert done.exit_code == 0, done.output
    assert f"Checkpoint: {out / 'model'}" in done.output and (out / "loss.png").is_file()
    assert json.loads((out / "log.jsonl").read_text("utf8").splitlines()[-1])["step"] == 4
    text = tmp_path / "text.jsonl"
    done = run(
        "lm-score", checkpoint, out / "model", "--texts", text, "--train", text,
        "--steps", "2", "--output", tmp_path / "lm.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "lm.json").read_text("utf8"))["rows"]
    assert [row["encoder"] for row in rows] == [str(checkpoint), str(out / "model")]
    done = run("pair-score", out / "model", "--cache", tmp_path / "cache", "--count", "40")
    assert done.exit_code == 0 and "bag_of_words" in done.output


def test_a_taken_output_is_one_line(tmp_path, config):
    out = tmp_path / "out"
    assert run("pretrain", config, "--output", out, "--no-plot").exit_code == 0
    done = run("pretrain", config, "--output", out)
    assert done.exit_code == 1 and "use --resume or --overwrite" in done.output
    assert "Traceback" not in done.output


def test_a_wrong_setting_is_one_line(tmp_path, config):
    done = run("pretrain", config, "--output", tmp_path / "o", "--training.lenght", "3")
    assert done.exit_code == 1 and "lenght" in done.output and "Traceback" not in done.output
