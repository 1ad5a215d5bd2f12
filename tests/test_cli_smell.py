import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.evaluation.smell_items import read_items

from .toy_cli import make_pipeline
from .toy_smell import clinbert_attributes, make_perfect


@pytest.fixture(scope="module")
def perfect(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perfect") / "nlp"
    make_perfect().to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("toy") / "nlp")


def run(*arguments):
    return CliRunner().invoke(app, ["smell-test", *map(str, arguments)])


def test_perfect(perfect, tmp_path, monkeypatch):
    # what the user typed is what the process was started with
    monkeypatch.setattr("sys.argv", ["clinbert", "smell-test", "my pipeline"])
    output = tmp_path / "smell.json"
    with clinbert_attributes():
        options = ["--adapter", "clinbert", "--min-safety", 1, "--output", output, "--show-failed"]
        result = run(perfect, *options)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    (family,) = [line for line in lines if line[:1] == ["family"]]
    assert family[1:5] == ["yes", "28", "28", "100.0"]
    assert "read as clinbert" in result.stdout
    record = json.loads(output.read_text("utf8"))
    assert record["sha256"] == read_items().sha256 and record["failed"] == {}
    assert record["command"] == "clinbert smell-test 'my pipeline'"
    assert [row["category"] for row in record["rows"]][-2:] == ["safety", "all"]


def test_min_safety_and_failed_texts(toy, tmp_path):
    output = tmp_path / "smell.json"
    options = ["--adapter", "clinbert", "--min-safety", 0.9, "--show-failed", "--output", output]
    result = run(toy, *options)
    assert result.exit_code == 1
    assert "0 of 165 safety items passed (0.0 %); expected at least 90.0 %" in result.stderr
    assert "No fever, rigors, headache or neck stiffness" in result.stdout
    assert "not answered" in result.stdout and "missed" in result.stdout
    assert json.loads(output.read_text("utf8"))["rows"][-1]["passed"] == 0
    quiet = run(toy, "--adapter", "clinbert")
    assert quiet.exit_code == 0 and "neck stiffness" not in quiet.output


def test_gold_spans_kinds_and_label_map(toy, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text('{"PROBLEM": ["DISEASE", "SYMPTOM"], "MED": "DRUG"}')
    code = tmp_path / "code.py"
    code.write_text(
        "from spacy.tokens import Span\n"
        "Span.set_extension('negex', getter=lambda s: s.label_ == 'PROBLEM', force=True)\n"
    )
    options = ["--gold-spans", "--kind", "presence", "--label-map", labels, "--code", code]
    result = run(toy, *options, "--adapter", "negspacy", "--output", tmp_path / "out.json")
    from spacy.tokens import Span

    Span.remove_extension("negex")
    assert result.exit_code == 0, result.output
    assert "read as negspacy, entities given" in result.stdout
    record = json.loads((tmp_path / "out.json").read_text("utf8"))
    items = read_items().items
    asked = [[c for c in i.checks if c.kind == "presence"] for i in items]
    wanted = sum(all("absent" in c.allowed for c in checks) for checks in asked if checks)
    assert record["rows"][-1]["passed"] == wanted > 0
    assert record["rows"][-1]["not_answered"] == 0


@pytest.mark.parametrize(
    "options, message",
    [
        (["--adapter", "cTAKES"], "expected one of auto, clinbert, medspacy, negspacy"),
        (["--kind", "mood"], "--kind is 'mood'; expected one of entity"),
        (["--disable", "ner"], "--disable is 'ner'; expected one of entity_ruler"),
        (["--code", "nowhere.py"], "No such file or folder: nowhere.py"),
        (["--gold-spans", "--kind", "entity"], "No check of the kinds entity"),
    ],
)
def test_wrong_options(toy, options, message):
    result = run(toy, *options)
    assert result.exit_code == 1 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_label_map_with_unknown_labels(toy, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text('{"PROBLEM": "ILLNESS"}')
    result = run(toy, "--label-map", labels)
    assert (
        result.exit_code == 1 and "PROBLEM is 'ILLNESS'; expected one of DISEASE" in result.stderr
    )
