"""`clinbert explain`."""

import json
import re

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.evaluation import explain as module
from clinbert_spacy.evaluation.report import INTENDED_USE
from tests.evaluation.toy_explain import WITH, WITHOUT, classifier

from .toy_cli import CANARY, write_notes
from .toy_cli import make_pipeline as make_other

TEXTS = [WITH[0], WITHOUT[0], WITH[1]]


@pytest.fixture(scope="module")
def pipeline(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "nlp"
    classifier(checkpoint, "textcat_multilabel").to_disk(folder)
    return str(folder)


@pytest.fixture
def run(tmp_path, pipeline):
    """Run `clinbert explain` on TEXTS. RETURNS: the result."""
    notes = write_notes(tmp_path / "in", TEXTS)

    def call(*options, output="t.html", name=pipeline, inputs=notes):
        arguments = ["explain", name, str(inputs), "--output", str(tmp_path / output)]
        return CliRunner().invoke(app, [*arguments, "--steps", "4", *map(str, options)])

    return call


def test_heat_map_and_json(run, tmp_path):
    result = run("--json", tmp_path / "t.json")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "t.html").read_text("utf8")
    assert INTENDED_USE in html and html.count('<div class="note">') == 3
    assert re.search(r">rash</span>", html)
    record = json.loads((tmp_path / "t.json").read_text("utf8"))
    assert record["command"].startswith("clinbert") and record["steps"] == 4
    assert [note["id"] for note in record["notes"]] == ["n0", "n1", "n2"]
    assert [x["label"] for note in record["notes"] for x in note["items"]] == [
        "rash", "none", "rash"
    ]  # fmt: skip
    words = record["notes"][0]["items"][0]["words"]
    best = max(words, key=lambda word: word[2])
    assert TEXTS[0][best[0] : best[1]] == "rash"
    assert "3 decisions on 3 notes explained" in result.stderr
    assert "rash" in result.stdout and "lisinopril" not in result.output


def test_a_label_and_a_bound(run, tmp_path):
    result = run("--label", "rash", "--max-items", 2, "--json", tmp_path / "t.json")
    assert result.exit_code == 0, result.output
    notes = json.loads((tmp_path / "t.json").read_text("utf8"))["notes"]
    assert [[x["label"] for x in note["items"]] for note in notes] == [["rash"], ["rash"]]
    assert [note["items"][0]["score"] > 0 for note in notes] == [True, False]


def test_what_is_left_of_a_note_is_said(run, tmp_path):
    result = run("--label", "rash", "--label", "none", "--max-items", 1)
    assert "1 decisions on 1 notes explained, 1 more" in result.stderr
    assert "1 more decisions on this note" in (tmp_path / "t.html").read_text("utf8")


def test_the_help_says_that_the_page_holds_the_notes():
    found = " ".join(CliRunner().invoke(app, ["explain", "--help"]).output.split())
    assert "The HTML holds the notes' text" in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--label", "FOO"), "No label 'FOO' among those that can be explained: none, rash"),
        (("--kind", "entities"), "no component that decides on entities"),
        (("--kind", "foo"), "--kind is 'foo'; expected one of classes, relations, entities"),
        (("--baseline", "zero"), "--baseline is 'zero'; expected one of pad, mask"),
        (("--json", "no/such/folder/t.json"), "expected a file in a folder that is there"),
        (("--encoding", "foo"), "Unknown encoding 'foo'"),
    ],
)
def test_bad_options(run, tmp_path, options, message):
    result = run(*options)
    assert result.exit_code == 1 and message in " ".join(result.stderr.split())
    assert not (tmp_path / "t.html").exists()


def test_one_name_for_two_files(run, tmp_path):
    result = run("--json", tmp_path / "t.html")
    assert result.exit_code == 1 and "give two names" in result.stderr


def test_a_pipeline_that_decides_nothing(run, tmp_path):
    result = run(name=make_other(tmp_path / "other"))
    assert result.exit_code == 1 and "decides on anything and can be explained" in result.stderr


def test_without_captum(run, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    result = run()
    assert result.exit_code == 1 and "install the extra `explain`" in result.stderr


def test_empty_notes_are_skipped_and_nothing_is_said_of_content(run, tmp_path):
    notes = write_notes(tmp_path / "more", ["", " \n ", f"{CANARY} has rash"])
    result = run("--label", "rash", inputs=notes)
    assert result.exit_code == 0, result.output
    assert "notes.jsonl:1: empty" in result.stderr
    assert not any(word in result.output for word in CANARY.split())
    html = (tmp_path / "t.html").read_text("utf8")
    assert html.count("Nothing was decided") == 1 and CANARY.split()[0] in html


def test_no_note_at_all_writes_nothing(run, tmp_path):
    result = run(inputs=write_notes(tmp_path / "empty", [""]))
    assert result.exit_code == 1 and "No note could be annotated" in result.stderr
    assert not (tmp_path / "t.html").exists()
