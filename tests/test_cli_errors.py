import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clinbert_spacy import cli_errors
from clinbert_spacy.cli import app

from . import toy_cli
from .toy_cli import CANARY, leaks, make_pipeline, write_notes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "toy")


def test_failing_note_is_named_and_its_content_appears_nowhere(
    pipeline, tmp_path, monkeypatch, caplog
):
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    for folder in (scratch, out):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(toy_cli, "WATCHED", [out, scratch])
    toy_cli.SEEN.clear()
    failing = make_pipeline(tmp_path / "failing", "cli_test_failing")
    path = write_notes(tmp_path / "in", [*["rash"] * 99, f"{CANARY} took aspirin", "aspirin"])
    arguments = ["annotate", str(path), "--pipeline", failing, "--output", str(out / "o.jsonl")]
    result = CliRunner().invoke(app, [*arguments, "--html", str(out / "o.html")])
    assert result.exit_code == 0
    records = [json.loads(line) for line in (out / "o.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"n{i}" for i in range(101) if i != 99]
    assert "skipped note 'n99': ValueError [E999] in" in result.stderr
    assert "W999" in result.stderr
    # the unfinished output was looked at while the note failed
    assert any(b"SYMPTOM" in seen for seen in toy_cli.SEEN)
    assert not list(leaks(result.output, result.stderr, caplog.text, scratch, out, *toy_cli.SEEN))


def test_workers_do_not_show_content_either(tmp_path):
    failing = make_pipeline(tmp_path / "failing", "cli_test_failing")
    path = write_notes(tmp_path / "in", ["rash", f"{CANARY} took aspirin", "aspirin"])
    for name in ("scratch", "out"):
        (tmp_path / name).mkdir()
    start = "import tests.toy_cli, clinbert_spacy.cli; clinbert_spacy.cli.main()"
    options = ["--n-process", "2", "--batch-size", "1", "--pipeline", failing]
    done = subprocess.run(
        [sys.executable, "-c", start, "annotate", str(path), *options, "--output",
         str(tmp_path / "out" / "o.jsonl")],
        cwd=ROOT, capture_output=True, env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"skipped note 'n1': ValueError [E999] in" in done.stderr
    lines = (tmp_path / "out" / "o.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["n0", "n2"]
    assert not list(leaks(done.stdout, done.stderr, tmp_path / "scratch", tmp_path / "out"))


def test_evaluate_error_holds_no_content(tmp_path):
    failing = make_pipeline(tmp_path / "failing", "cli_test_failing")
    data = tmp_path / "data.txt"
    data.write_text(f"1|t|{CANARY} had a rash.\n1|a|\n")
    arguments = ["evaluate", failing, "--corpus", "bc5cdr", "--data", str(data)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "ValueError [E999]" in result.stderr
    assert CANARY not in result.output + result.stderr


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError])
def test_foreign_messages_are_not_shown(error):
    try:
        raise error(CANARY)
    except error as caught:
        assert CANARY not in cli_errors.explain(caught)
    assert cli_errors.explain(FileNotFoundError(errno.ENOENT, "x", "a.txt")).endswith(": a.txt")


def test_tracebacks_never_show_locals():
    assert app.pretty_exceptions_show_locals is False
    assert app.pretty_exceptions_enable is False


@pytest.mark.parametrize("command", ["evaluate", "annotate", "embed", "benchmark"])
def test_a_gpu_that_is_not_there(pipeline, tmp_path, monkeypatch, command):
    def refuse(gpu_id):
        raise ValueError(f"No GPU devices detected ({gpu_id})")

    monkeypatch.setattr("thinc.api.require_gpu", refuse)
    (tmp_path / "a.txt").write_text("rash")
    note, output = str(tmp_path / "a.txt"), str(tmp_path / "v.npz")
    arguments = {
        "evaluate": [pipeline, "--corpus", "notes", "--data", str(tmp_path)],
        "annotate": [note, "--pipeline", pipeline, "--output", output],
        "embed": [note, "--pipeline", pipeline, "--output", output],
        "benchmark": [pipeline, "--notes", note],
    }
    result = CliRunner().invoke(app, [command, *arguments[command], "--gpu-id", "3"])
    assert result.exit_code == 1
    assert "--gpu-id is 3, but no such GPU can be used: No GPU devices" in result.stderr
    assert "leave --gpu-id out for the CPU" in result.stderr


def test_workers_cannot_share_a_gpu(pipeline, tmp_path):
    options = ["--pipeline", pipeline, "--n-process", "2", "--gpu-id", "0"]
    arguments = ["annotate", str(tmp_path), "--output", str(tmp_path / "o.jsonl"), *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "expected 1 with --gpu-id 0" in result.stderr


@pytest.mark.parametrize(("command", "remedy"), [("train", "--resume"), ("info", "")])
def test_interruption_names_the_way_on(tmp_path, monkeypatch, command, remedy):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("clinbert_spacy.training.loop.train", interrupt)
    monkeypatch.setattr("clinbert_spacy.cli_info.collect_info", interrupt)
    options = ["x.cfg", "--output", str(tmp_path)] if command == "train" else []
    result = CliRunner().invoke(app, [command, *options])
    assert result.exit_code == 130
    assert result.stderr.startswith("Interrupted.") and remedy in result.stderr
