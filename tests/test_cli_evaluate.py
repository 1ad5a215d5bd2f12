import json
import re

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.cli_evaluate import Selection
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.splits import in_split

from .toy_cli import PUBTATOR, make_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "toy")


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
