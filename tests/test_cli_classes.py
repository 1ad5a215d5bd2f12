import json
from pathlib import Path

import pytest
import spacy
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_classes import classify_bench
from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.evaluation.classification import BASELINE
from clinbert_spacy.training.loop import train

from .corpora.toy_ade import write_ade

CONFIG = Path(__file__).parent.parent / "configs" / "bench_ade_cpu.cfg"


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command("classify-bench")(classify_bench)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["classify-bench", *map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_ade(tmp_path_factory.mktemp("ade"), 60)


@pytest.fixture(scope="module")
def model(data, checkpoint, tmp_path_factory):
    output = tmp_path_factory.mktemp("classes")
    overrides = {
        "paths.encoder": str(checkpoint),
        "paths.corpus": str(data),
        "corpora.train.fold": 2,
        "corpora.train.folds": 5,
        "components.clinbert_transformer.model.window": 20,
        "components.clinbert_transformer.model.context": 4,
        "components.clinbert_transformer.model.precision": "float32",
        "training.batcher.size": 200,
        "training.max_steps": 30,
        "training.eval_frequency": 10,
        "training.optimizer.learn_rate.initial_rate": 0.01,
        "training.optimizer.learn_rate.warmup_steps": 1,
    }
    train(CONFIG, output, overrides=overrides)
    return output / "model-best"


def test_config_trains_a_classifier_that_is_scored(model, data, tmp_path):
    out = tmp_path / "r.json"
    done = run(model, "--data", data, "--fold", 2, "--folds", 5, "--output", out)
    assert done.exit_code == 0, done.output
    assert BASELINE in done.stdout and "pipeline" in done.stdout
    record = json.loads(out.read_text())
    assert (record["fold"], record["folds"], record["data"]) == (2, 5, data.name)
    # told apart by one word
    assert record["f"]["value"] > 0.9 and record["average_precision"]["value"] > 0.9
    beside = record["beside"][BASELINE]
    assert beside["f"]["value"] > 0.9 and beside["data_sha256"] == record["data_sha256"]
    assert "aspirin" not in out.read_text()


def test_saved_pipeline_is_whole(model):
    nlp = spacy.load(model)
    assert nlp.pipe_names == ["clinbert_transformer", "textcat"]
    texts = ["The patient has rash after aspirin.", "", "The patient takes aspirin daily."]
    docs = list(nlp.pipe(texts))
    positive, _, negative = (doc.cats["ADE"] for doc in docs)
    assert positive > 0.5 > negative
    for doc in (docs[0], docs[2]):
        assert nlp(doc.text).cats == pytest.approx(doc.cats, abs=1e-5)
        assert sum(doc.cats.values()) == pytest.approx(1, abs=1e-5)
    assert set(nlp("").cats) == {"ADE", "OTHER"}


def test_a_fold_that_was_trained_on_is_refused(model, data):
    done = run(model, "--data", data, "--fold", 0, "--folds", 5)
    assert done.exit_code == 1 and "has seen sentences of this fold. Give --fold 2" in done.stderr


def test_baseline_alone_and_neither(data, tmp_path):
    out = tmp_path / "r.json"
    done = run("--data", data, "--folds", 5, "--output", out)
    assert done.exit_code == 0 and "pipeline" not in done.stdout
    assert json.loads(out.read_text())["f"]["value"] > 0.9
    done = run("--data", data, "--no-baseline")
    assert done.exit_code == 1 and "expected one of them" in done.stderr
    done = run("--data", data / "nowhere")
    assert done.exit_code == 1 and "No such file or folder" in done.stderr
