import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.layers import read_notes, write_layers

from .corpora.toy_notes import TEXT, toy_note, with_attributes


def run(*arguments):
    return CliRunner().invoke(app, ["notes", *map(str, arguments)])


def put(folder, *notes):
    write_brat(notes, folder)
    write_layers(notes, folder)


@pytest.fixture
def corpus(tmp_path):
    put(tmp_path / "corpus" / "train", toy_note("a"))
    put(tmp_path / "corpus" / "test", toy_note("b"))
    return tmp_path / "corpus"


def test_check_is_quiet_about_right_notes_and_fails_on_wrong_ones(corpus):
    assert run("check", corpus).output.strip() == "No faults."
    put(corpus / "test", with_attributes(toy_note("b"), "T3", Presence=None))
    result = run("check", corpus)
    assert result.exit_code == 1 and "expected Presence" in result.output
    assert "1 faults" in result.output and "hives" not in result.output


def test_report_counts_compares_and_renews_a_card(corpus, tmp_path):
    card, output = tmp_path / "card.md", tmp_path / "report.json"
    block = "<!-- COUNTS START: by a command -->\nold\n<!-- COUNTS END -->\n"
    card.write_text(f"before\n{block}after\n")
    double = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path in double:
        assert run("strip", corpus / "test", path).exit_code == 0
    options = [x for path in double for x in ("--double", path)]
    result = run("report", corpus, *options, "--card", card, "--output", output)
    assert result.exit_code == 0, result.output
    text = card.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| entities | SYMPTOM | 2 | 2 | 4 |" in text
    assert "| entities | F1 | 12 | 100.0 |  |" in text
    assert "0.0 % of the test part's different entity strings" in text
    assert json.loads(output.read_text())["facts"]["unseen in test"] == 0.0
    assert run("report", corpus, "--double", double[0]).exit_code == 1
    card.write_text("no markers")
    assert "has no lines" in run("report", corpus, "--card", card).output


def test_strip_and_restore(corpus, tmp_path):
    offsets, table = tmp_path / "o.jsonl", tmp_path / "texts.csv"
    assert run("strip", corpus / "train", offsets).exit_code == 0
    table.write_text(f'number,note\n1,"{TEXT}"\n')
    arguments = ["restore", offsets, tmp_path / "again", "--texts", table]
    assert run(*arguments, "--column", "note").exit_code == 0
    assert list(read_notes(tmp_path / "again")) == [toy_note("a")]
    assert "a column 'text'" in run(*arguments).output
    table.write_text("text\nother\n")
    lost = run(*arguments)
    assert lost.exit_code == 1 and "the first is 'a'" in lost.output


def test_folders_that_are_no_corpus(corpus, tmp_path):
    assert "has none of the folders" in run("check", tmp_path).output
    assert "No such file" in run("check", tmp_path / "x").output
    (corpus / "test" / "notes.jsonl").unlink()
    assert "1 notes of" in run("check", corpus).output
