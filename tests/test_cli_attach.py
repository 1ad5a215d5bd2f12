"""`clinbert attach-score` on a toy pipeline and a toy corpus."""

import json

import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_attach import attach_score
from clinbert_spacy.cli_errors import SafeGroup

from .toy_cli import PUBTATOR, make_pipeline


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command()(attach_score)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["attach-score", *map(str, arguments)])


def corpus(tmp_path, text=PUBTATOR):
    path = tmp_path / "notes.PubTator.txt"
    path.write_text(text)
    return ["--corpus", "bc5cdr", "--data", path]


def test_both_tokenizers_are_scored(tmp_path):
    pipeline = make_pipeline(tmp_path / "own")
    out = tmp_path / "out.json"
    done = run(pipeline, *corpus(tmp_path), "--output", out)
    assert done.exit_code == 0, done.output
    assert "own tokenizer" in done.output and "attached to blank" in done.output
    record = json.loads(out.read_text())
    results = record["results"]
    assert {row["f"]["value"] for row in results.values()} == {1.0}
    assert results["attached to blank"]["pipeline"]["components"] == "entity_ruler"
    assert len({row["data_sha256"] for row in results.values()}) == 1


def test_a_tokenizer_that_glues_costs(tmp_path):
    """spaCy keeps "pre/rash" as one token, so that the mention inside is lost."""
    import spacy

    pipeline = make_pipeline(tmp_path / "own")
    nlp = spacy.load(pipeline)
    config = nlp.config.copy()
    config["nlp"]["tokenizer"] = {"@tokenizers": "clinbert.ClinicalTokenizer.v1"}
    ours = spacy.util.load_model_from_config(config, auto_fill=True).from_disk(
        pipeline, exclude=["tokenizer"]
    )
    ours.to_disk(tmp_path / "clinical")
    text = PUBTATOR.replace("Aspirin and rash", "Aspirin10/rash..").replace("12\t16", "10\t14")
    out = tmp_path / "out.json"
    done = run(tmp_path / "clinical", *corpus(tmp_path, text), "--output", out)
    assert done.exit_code == 0, done.output
    results = json.loads(out.read_text())["results"]
    assert results["own tokenizer"]["recall"]["value"] == 1.0
    assert results["attached to blank"]["recall"]["value"] < 1.0


def test_host_that_does_not_fit(tmp_path):
    pipeline = make_pipeline(tmp_path / "own")
    done = run(pipeline, *corpus(tmp_path), "--host", pipeline)
    assert done.exit_code == 1
    assert "has a component named 'entity_ruler' already" in done.output
