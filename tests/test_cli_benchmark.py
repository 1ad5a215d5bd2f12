import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy import cli_benchmark
from clinbert_spacy.cli import app
from clinbert_spacy.evaluation import footprint, footprint_child, speed_plots

from .toy_cli import PUBTATOR

NOTE = "The patient takes aspirin. No rash."
FAST = ("--rounds", 1, "--words", 20, "--long-words", 40)


def invoke(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)])


@pytest.fixture
def folder(make_nlp, make_examples, tmp_path):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def note(tmp_path):
    (tmp_path / "a.txt").write_text(NOTE)
    return tmp_path / "a.txt"


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus.txt").write_text(PUBTATOR)
    return tmp_path / "corpus.txt"


def test_three_sets_in_print_json_and_html(folder, note, tmp_path):
    output, html = tmp_path / "s.json", tmp_path / "s.html"
    arguments = ("--output", output, "--html", html, "--threads", 1)
    result = invoke(folder, "--notes", note, *FAST, *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert [one["name"] for one in found["sets"]] == ["short", "ordinary", "very long"]
    assert found["sets"][2]["n_words"] == 40 and found["sets"][2]["times_used"] == 7
    assert found["command"].startswith("clinbert") and found["threads"] == 1
    printed = " ".join(result.stdout.split())
    for text in (
        "very long: 1 notes, 40 words", "up to 7 times", "share of the bare encoder",
        "times the stock pipeline", "stages of one pass", "encoder, bfloat16",
    ):  # fmt: skip
        assert text in printed
    assert "Set: very long" in html.read_text()


def test_chosen_sets_and_contenders(folder, note, tmp_path):
    chosen = ("--set", "ordinary", "--contender", "pipeline", "--contender", "stock")
    result = invoke(folder, "--notes", note, *FAST, *chosen, "--output", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads((tmp_path / "s.json").read_text())["sets"]
    assert [row["name"] for row in found["rows"]] == ["pipeline", "stock"]
    assert found["ratios"]["share of the bare encoder"] is None


def test_everything_else(folder, note, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(footprint, "LONG_NOTE_BYTES", 300)
    monkeypatch.setattr(
        footprint, "run_task", lambda task: footprint_child.TASKS[task["task"]](task)
    )
    monkeypatch.setattr(speed_plots, "NOTE_WORDS", (2, 5))
    monkeypatch.setattr(speed_plots, "BATCH_SIZES", (1, 2))
    output, html = tmp_path / "s.json", tmp_path / "s.html"
    result = invoke(
        folder, "--notes", note, *FAST, "--set", "ordinary", "--contender", "pipeline",
        "--contender", "encoder-float32", "--footprint", "--memory-notes", 10, "--accuracy",
        "bc5cdr", "--data", corpus, "--try-context", 0, "--try-window", 30, "--shape", "1x64",
        "--plots", tmp_path / "plots", "--output", output, "--html", html,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert found["footprint"]["long note"]["bytes"] == 300
    assert len(found["footprint"]["stream"]["points"]) == 10
    cells = found["accuracy"]["cells"]
    assert [(cell["window"], cell["context"]) for cell in cells] == [(20, 4), (30, 0)]
    assert {cell.get("precision", "float32") for cell in cells} == {"float32"}
    assert cells[0]["difference"] == 0 and 0 <= cells[1]["f"] <= 1
    assert found["accuracy"]["corpus"] == "bc5cdr" and found["accuracy"]["n_notes"] == 1
    assert found["shape"]["shape"] == "1x64" and found["shape"]["weights"] == "random weights"
    assert len(found["shape"]["sets"][0]["rows"]) == 2
    assert found["plots"] == ["note_words.png", "batch_size.png"]
    assert all((tmp_path / "plots" / name).is_file() for name in found["plots"])
    assert [point["note_words"] for point in found["curves"]["note_words"]] == [2, 5]
    page = html.read_text()
    for text in (
        "encoder of shape 1x64, random weights", "until the second note",
        "entities on bc5cdr (all), 1 notes", "growth, 2nd to last tenth",
    ):  # fmt: skip
        assert text in " ".join(result.stdout.split())
    for text in ("Cold start", "accuracy on bc5cdr", "shape 1x64", "by note words"):
        assert text in page


def test_accuracy_needs_no_notes(folder, corpus, tmp_path):
    arguments = ("--accuracy", "bc5cdr", "--data", corpus, "--output", tmp_path / "s.json")
    result = invoke(folder, *arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    assert "sets" not in found and found["accuracy"]["cells"][0]["difference"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No notes: give --notes"),
        (("--footprint",), "No notes for --footprint"),
        (("--notes", "NOTE", "--set", "medium"), "Unknown set of notes: ['medium']"),
        (("--notes", "NOTE", "--contender", "rival"), "Unknown contender: ['rival']"),
        (("--notes", "NOTE", "--rounds", 0), "rounds is 0; expected at least 1"),
        (("--notes", "NOTE", "--batch-size", -1), "notes a batch is -1"),
        (("--notes", "NOTE", "--words", 0), "words of a set is 0"),
        (("--notes", "NOTE", "--threads", 0), "threads is 0"),
        (("--notes", "NOTE", "--memory-notes", 0), "notes of the stream is 0"),
        (("--notes", "NOTE", "--shape", "12"), "expected LAYERSxWIDTH"),
        (("--notes", "NOTE", "--try-context", 0), "belong to --accuracy"),
        (("--notes", "NOTE", "--part", "dev"), "belong to --accuracy"),
        (("--notes", "BLANK"), "found 1 notes without a word"),
        (("--accuracy", "bc5cdr"), "has no --data"),
        (("--accuracy", "nothing", "--data", "CORPUS"), "nothing"),
        (("--accuracy", "bc5cdr", "--data", "CORPUS", "--part", "dev"), "no official parts"),
        (("--accuracy", "bc5cdr", "--data", "CORPUS", "--try-precision", "int4"), "int4"),
        (("--accuracy", "bc5cdr", "--data", "CORPUS", "--try-window", 0), "window 0 with"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(folder, note, corpus, tmp_path, arguments, message):
    (tmp_path / "blank.txt").write_text(" \n")
    places = {"NOTE": note, "CORPUS": corpus, "BLANK": tmp_path / "blank.txt"}
    result = invoke(folder, *(places.get(x, x) for x in arguments))
    assert result.exit_code == 1, result.output
    assert message in result.stderr and result.stderr.count("Error:") == 1


def test_no_matplotlib(folder, note, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_benchmark, "find_spec", lambda name: None)
    result = invoke(folder, "--notes", note, "--plots", tmp_path / "plots")
    assert result.exit_code == 1 and "install the extra `plot`" in result.stderr
