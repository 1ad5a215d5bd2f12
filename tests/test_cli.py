import errno
import json
import os

import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy.cli import app

from .toy_cli import CANARY, make_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "toy")


@pytest.fixture
def run(tmp_path, pipeline):
    """Run `clinbert annotate` on inputs. RETURNS: result, records by id."""

    def annotate(*inputs, options=(), name=pipeline):
        output = tmp_path / "out.jsonl"
        arguments = ["annotate", *map(str, inputs), "--output", str(output), "--pipeline", name]
        result = CliRunner().invoke(app, [*arguments, *options])
        lines = output.read_text("utf8").splitlines() if output.exists() else []
        assert not list(tmp_path.glob(".*.tmp"))
        return result, {record["id"]: record for record in map(json.loads, lines)}

    return annotate


def entities(record):
    return [(e["start"], e["end"], e["label"], e["text"]) for e in record["entities"]]


def test_annotate_text_files_and_folders(run, tmp_path):
    folder = tmp_path / "notes"
    (folder / "ward").mkdir(parents=True)
    (folder / "b.txt").write_text("Rash after aspirin.")
    (folder / "ward" / "a.txt").write_text("Nothing.")
    (folder / "scan.pdf").write_bytes(b"%PDF")
    (folder / ".hidden.txt").write_text("aspirin")
    (folder / "b.ann").write_text("T1\tSYMPTOM 0 4\tRash\n")
    (folder / "notes.jsonl").write_text('{"id": "b"}\n')  # layers of b, not a note
    result, records = run(folder)
    assert result.exit_code == 0
    assert list(records) == ["b.txt", "ward/a.txt"]
    assert entities(records["b.txt"]) == [(0, 4, "SYMPTOM", "Rash"), (11, 18, "DRUG", "aspirin")]
    assert "text" not in records["b.txt"]
    assert len(records["b.txt"]["sha256"]) == 64
    assert "2 notes annotated, 1 skipped" in result.stderr
    assert "not a text, JSONL or CSV file by its name (.pdf)" in result.stderr


def test_outputs_are_no_input(pipeline, tmp_path):
    (tmp_path / "a.txt").write_text("rash")
    output, html = tmp_path / "out.jsonl", tmp_path / "out.html"
    arguments = ["annotate", "--pipeline", pipeline, "--output", str(output), "--html", str(html)]
    for _ in range(2):
        result = CliRunner().invoke(app, [*arguments, str(tmp_path)])
        assert result.exit_code == 0 and "1 notes annotated, 0 skipped" in result.stderr
    result = CliRunner().invoke(app, [*arguments, str(output)])
    assert result.exit_code == 1 and "the output goes there" in result.stderr
    assert json.loads(output.read_text())["id"] == "a.txt"


def test_annotate_jsonl(run, tmp_path):
    path = tmp_path / "notes.jsonl"
    rows = ['{"body": "aspirin\u2028", "nr": 7}', '{"body": "rash"}', "{broken", "[1]", "",
            '{"body": 5, "nr": "x"}', '{"text": "aspirin"}', '{"body": "", "nr": "e"}']  # fmt: skip
    rows += ["[" * 100_000, '{"body": ' + "9" * 5000 + "}"]
    path.write_bytes("\n".join(rows).encode() + b'\n{"body": "\xe9"}\n')
    options = ["--text-column", "body", "--id-column", "nr", "--with-text"]
    result, records = run(path, options=options)
    assert result.exit_code == 0
    assert list(records) == ["7", "notes.jsonl:2"]
    assert records["7"]["text"] == "aspirin\u2028"
    for line, reason in [
        (3, "not JSON at character 1"), (4, "holds a list"), (6, "of type int"),
        (7, "no key 'body'"), (8, "empty"), (9, "nested too deeply"),
        (10, "too many digits"), (11, "not utf-8 at byte 10"),
    ]:  # fmt: skip
        assert any(f"notes.jsonl:{line}: " in x and reason in x for x in result.stderr.split("\n"))


def test_annotate_csv(run, tmp_path):
    path = tmp_path / "notes.csv"
    long = "aspirin " + "x " * 100_000
    path.write_bytes(f'\ufeffid,text\nA,"one\r\nrash, ""two"""\nB,\n,{long}\n'.encode())
    result, records = run(path)
    assert result.exit_code == 0
    assert list(records) == ["A", "notes.csv:5"]
    assert entities(records["A"]) == [(5, 9, "SYMPTOM", "rash")]
    assert records["notes.csv:5"]["n_chars"] == len(long)
    assert "skipped notes.csv:4: empty" in result.stderr


def test_csv_row_with_another_number_of_cells_is_not_cut_silently(run, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text(f"id,text,ward\nA,{CANARY} has a rash, and more,2\nB,rash,1\nC,rash\n")
    result, records = run(path)
    assert list(records) == ["B"]
    assert "skipped notes.csv:2: 4 cells; expected 3" in result.stderr
    assert "skipped notes.csv:4: 2 cells; expected 3" in result.stderr
    assert CANARY not in result.output


def test_csv_without_header_does_not_show_its_first_line(run, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text(f"1,{CANARY} has a rash\n")
    result, _ = run(path)
    assert result.exit_code == 1
    assert "no column 'text' among the 2 of the first line" in result.stderr
    assert CANARY not in result.output


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "no such file or folder"),
        (b"", "empty"),
        (b"\x89PNG\x00\x01\xff\xfe", "binary file, not text"),
        (b"text\x00text", "binary data, not text"),
        ("Patiënt: rash".encode("latin-1"), "not utf-8 at byte 4"),
    ],
)
def test_unreadable_input(run, tmp_path, content, reason):
    path = tmp_path / "note.txt"
    if content is not None:
        path.write_bytes(content)
    result, records = run(path)
    assert result.exit_code == 1
    assert not records
    assert reason in result.stderr
    assert "No note could be annotated" in result.stderr
    good = tmp_path / "good.txt"
    good.write_text("rash")
    result, records = run(path, good)
    assert result.exit_code == 0
    assert list(records) == [str(good)]
    assert "1 notes annotated, 1 skipped" in result.stderr


@pytest.mark.parametrize(
    "text, expected",
    [
        (" \r\n\t ", []),
        ("BP ok.\r\nrash\r\n", [(8, 12, "SYMPTOM", "rash")]),
        ("e\u0301🦠 naïve🦠 rash", [(4, 10, "TEST", "naïve🦠"), (11, 15, "SYMPTOM", "rash")]),
        ("x" * 20_000 + " rash", [(20_001, 20_005, "SYMPTOM", "rash")]),
        ("rash " + "word " * 210_000, [(0, 4, "SYMPTOM", "rash")]),
    ],
    ids=["whitespace", "crlf", "emoji", "long-word", "1MB"],
)
def test_odd_text_keeps_its_offsets(run, tmp_path, text, expected):
    path = tmp_path / "note.txt"
    path.write_bytes(text.encode())
    result, records = run(path)
    assert result.exit_code == 0
    assert entities(records["note.txt"]) == expected
    assert records["note.txt"]["n_chars"] == len(text)


def test_encoding_option(run, tmp_path):
    path = tmp_path / "note.txt"
    path.write_bytes("Patiënt: rash".encode("latin-1"))
    result, records = run(path, options=["--encoding", "latin-1"])
    assert entities(records["note.txt"]) == [(9, 13, "SYMPTOM", "rash")]
    result, _ = run(path, options=["--encoding", "klingon"])
    assert result.exit_code == 1 and "Unknown encoding 'klingon'" in result.stderr


def test_html(run, tmp_path):
    (tmp_path / "note.txt").write_text("<b>rash</b> & aspirin")
    result, _ = run(tmp_path / "note.txt", options=["--html", str(tmp_path / "out.html")])
    html = (tmp_path / "out.html").read_text("utf8")
    assert "&lt;b&gt;" in html and "<b>" not in html and "Intended use" in html


def test_worker_processes(run, tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f'{{"id": "{i}", "text": "rash {i}"}}\n' for i in range(12)))
    result, records = run(path, options=["--n-process", "2", "--batch-size", "3"])
    assert list(records) == [str(i) for i in range(12)]
    assert all(entities(r) == [(0, 4, "SYMPTOM", "rash")] for r in records.values())


def test_full_disk_leaves_the_old_output(run, tmp_path, monkeypatch):
    (tmp_path / "note.txt").write_text("rash")
    (tmp_path / "out.jsonl").write_text('{"id": "old"}\n')

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result, records = run(tmp_path / "note.txt")
    assert result.exit_code == 1
    assert "disk is full" in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert list(records) == ["old"]


def test_info(pipeline):
    result = CliRunner().invoke(app, ["info", "--json"])
    found = json.loads(result.stdout)
    assert found["packages"]["spacy"] == spacy.__version__
    assert found["torch"]["threads"] >= 1
    assert found["torch"]["device"] == "cpu" and found["torch"]["gpu_use"]
    assert "cpu_features" in CliRunner().invoke(app, ["info"]).stdout


@pytest.mark.parametrize(
    "command",
    ["fetch", "convert", "train", "evaluate", "annotate", "embed", "info", "benchmark", "package",
     "seeds", "exclude"],
)
def test_every_command_has_help(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
