import errno
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from typer.testing import CliRunner

from clinbert_spacy import cli_errors
from clinbert_spacy.cli import app
from clinbert_spacy.cli_evaluate import Selection
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.splits import in_split

CANARY = "Zebulon Quaxley"
ROOT = Path(__file__).parent.parent
PUBTATOR = (
    "1|t|Aspirin and rash.\n1|a|Nothing else.\n1\t0\t7\tAspirin\tChemical\tD001241\n"
    "1\t12\t16\trash\tDisease\tD005076\n"
)


WATCHED, SEEN = [], []


@Language.component("cli_test_failing")
def fail_on_canary(doc):
    warnings.warn(f"[W999] {doc.text}", UserWarning, stacklevel=1)
    if CANARY in doc.text:
        SEEN.extend(x.read_bytes() for folder in WATCHED for x in folder.iterdir() if x.is_file())
        raise ValueError(f"[E999] cannot read {doc.text}")
    return doc


def make_pipeline(folder, *components):
    nlp = spacy.blank("en", meta={"name": "toy", "version": "1.2.3", "license": "MIT"})
    patterns = {"DRUG": "aspirin", "SYMPTOM": "rash", "TEST": "naïve🦠"}
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": k, "pattern": v} for k, v in patterns.items()])
    for name in components:
        nlp.add_pipe(name)
    nlp.to_disk(folder)
    return str(folder)


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


def write_notes(folder, texts):
    """A JSONL file of notes n0, n1, ... RETURNS: its path."""
    folder.mkdir()
    lines = [json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(texts)]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "notes.jsonl"


def leaks(*places):
    """Which of these strings, bytes and folders hold the canary."""
    for place in places:
        files = [x for x in place.rglob("*") if x.is_file()] if isinstance(place, Path) else []
        held = b"".join(x.read_bytes() for x in files)
        held += place if isinstance(place, bytes) else str(place).encode()
        if any(word.encode() in held for word in CANARY.split()):
            yield place


def test_failing_note_is_named_and_its_content_appears_nowhere(
    pipeline, tmp_path, monkeypatch, caplog
):
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    for folder in (scratch, out):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setitem(globals(), "WATCHED", [out, scratch])
    SEEN.clear()
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
    assert any(b"SYMPTOM" in seen for seen in SEEN)
    assert not list(leaks(result.output, result.stderr, caplog.text, scratch, out, *SEEN))


def test_workers_do_not_show_content_either(tmp_path):
    failing = make_pipeline(tmp_path / "failing", "cli_test_failing")
    path = write_notes(tmp_path / "in", ["rash", f"{CANARY} took aspirin", "aspirin"])
    for name in ("scratch", "out"):
        (tmp_path / name).mkdir()
    start = "import tests.test_cli, clinbert_spacy.cli; clinbert_spacy.cli.main()"
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


def test_evaluate(pipeline, tmp_path):
    data, output, html = tmp_path / "dev.txt", tmp_path / "r.json", tmp_path / "r.html"
    data.write_text(PUBTATOR)
    arguments = ["evaluate", pipeline, "--corpus", "bc5cdr", "--data", str(data)]
    result = CliRunner().invoke(app, [*arguments, "--output", str(output), "--html", str(html)])
    assert result.exit_code == 0, result.output
    assert "F1 micro 100.0" in result.stdout
    record = json.loads(output.read_text())
    assert record["f"]["value"] == 1.0 and record["pipeline"]["version"] == "1.2.3"
    assert [row["label"] for row in record["labels"]] == ["Chemical", "Disease"]
    assert "Scores on bc5cdr" in html.read_text("utf8")


@pytest.fixture
def trials(tmp_path):
    """A corpus without official parts. RETURNS: folder, ids of its development notes."""
    folder = tmp_path / "trials"
    folder.mkdir()
    for i in range(30):
        (folder / f"NCT{i}_inc.txt").write_text("Aspirin")
        (folder / f"NCT{i}_inc.ann").write_text("T1\tDrug 0 7\tAspirin\n")
    notes = read_corpus("chia", folder)
    return folder, [note.id for note in notes if in_split(note, "dev", None)]


def test_evaluate_split(pipeline, trials, tmp_path):
    folder, ids = trials
    output, html = tmp_path / "r.json", tmp_path / "r.html"
    arguments = ["evaluate", pipeline, "--corpus", "chia", "--data", str(folder)]
    arguments += ["--output", str(output), "--html", str(html)]
    result = CliRunner().invoke(app, [*arguments, "--split", "dev"])
    assert result.exit_code == 0 and "Warning" not in result.stderr
    record = json.loads(output.read_text())
    assert 0 < record["n_notes"] == len(ids) < 30
    assert (record["data"], record["part"], record["split"]) == ("trials", [], "dev")
    shown = re.findall("<h3>(.+?)</h3>", html.read_text("utf8"))
    assert shown == ids[:5]
    result = CliRunner().invoke(app, [*arguments, "--limit", "2"])
    assert "Warning: chia has no official parts and no --split" in result.stderr
    record = json.loads(output.read_text())
    assert (record["n_notes"], record["limit"], len(record["warnings"])) == (2, 2, 1)
    assert len(re.findall("<h3>", html.read_text("utf8"))) == 2
    result = CliRunner().invoke(app, [*arguments, "--split", "half"])
    assert result.exit_code == 1 and "expected one of train, dev, test" in result.stderr


def test_what_a_score_is_worth(trials, tmp_path):
    folder, _ = trials
    file_ = tmp_path / "CDR_DevelopmentSet.PubTator.txt"
    file_.write_text(PUBTATOR)
    assert "no --part (train, dev, test)" in Selection("bc5cdr", tmp_path).warnings()[0]
    for silent in (
        Selection("bc5cdr", tmp_path, ["dev"]),
        Selection("bc5cdr", file_),
        Selection("notes", folder),
        Selection("chia", folder, split="test"),
    ):
        assert not silent.warnings()
    assert Selection("ade", file_).warnings() == ["incomplete gold: precision means little"]


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


def test_workers_cannot_share_a_gpu(run, tmp_path):
    result, _ = run(tmp_path, options=["--n-process", "2", "--gpu-id", "0"])
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


@pytest.mark.parametrize(
    "corpus, data, expected",
    [
        ("bc5", PUBTATOR, "Unknown corpus 'bc5'"),
        ("bc5cdr", None, "No such file or folder"),
        ("bc5cdr", "", "an empty file"),
        ("bc5cdr", "\x00\x01", "a binary file"),
        ("bc5cdr", "no pubtator", "data.txt:1: expected"),
        ("bc5cdr", PUBTATOR.replace("Chemical", "Drug"), "label 'Drug' is not among"),
        ("ade", PUBTATOR, "expected"),
    ],
)
def test_evaluate_bad_input(pipeline, tmp_path, corpus, data, expected):
    path = tmp_path / "data.txt"
    if data is not None:
        path.write_text(data)
    arguments = ["evaluate", pipeline, "--corpus", corpus, "--data", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_pipeline_that_is_not_there(tmp_path):
    arguments = ["evaluate", "en_nothing", "--corpus", "ncbi", "--data", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "pip install --no-deps" in result.stderr
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path), *arguments[2:]])
    assert result.exit_code == 1 and "holds no meta.json" in result.stderr
    (tmp_path / "meta.json").write_text("{}")
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path), *arguments[2:]])
    assert result.exit_code == 1 and "Cannot load" in result.stderr


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
