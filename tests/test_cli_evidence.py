"""`clinbert evidence-score` on a tiny pipeline and invented abstracts."""

import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.documents import SOURCES, take_documents

from .corpora.toy_documents import prose, write_abstracts
from .models.toy_textcat import make_pipeline, train

DISEASES = SOURCES["medical_abstracts"].tasks["disease"]
TOLD = ["aspirin", "cough", "fever"]  # which class it is
# Each passage is encoded by itself.
ALONE = {"window": 4, "context": 0}


def run(*arguments):
    return CliRunner().invoke(app, ["evidence-score", *map(str, arguments)])


def score(pipeline, data, *arguments, corpus="medical_abstracts"):
    return run(pipeline, "--corpus", corpus, "--data", data, *arguments)


def abstract(i):
    """Four passages of four words, one of which tells the class."""
    passages = [prose(100 * i + j, 4) for j in range(3)]
    passages.insert(i % 4, " ".join([TOLD[i % 3]] * 4))
    return " ".join(passages)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rows = [(i % 3 + 1, abstract(i)) for i in range(24)]
    return write_abstracts(tmp_path_factory.mktemp("documents") / "abstracts", rows)


@pytest.fixture(scope="module")
def pipeline(checkpoint, data, tmp_path_factory):
    nlp = make_pipeline(checkpoint, aggregator="NoisyOr", encoder=ALONE)
    train(nlp, [(abstract(i), {name: float(name == DISEASES[i % 3]) for name in DISEASES})
                for i in range(15)], steps=25)  # fmt: skip
    nlp.config["corpora"]["train"] = {
        "@readers": "clinbert.DocumentClasses.v1", "corpus": "medical_abstracts",
        "path": str(data), "part": "train", "fold": 2,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("pipeline") / "model"
    nlp.to_disk(path)
    return path


def test_evidence_is_explained_and_scored(pipeline, data, tmp_path):
    out = tmp_path / "r.json"
    done = score(pipeline, data, "--part", "all", "--draws", 2, "--output", out)
    assert done.exit_code == 0, done.output
    for words in ("top passage deleted", "another passage deleted", "95 % interval", "NEOPLASMS",
                  "pairs with top > another, %", "pairs of document and class"):  # fmt: skip
        assert words in done.stdout
    record = json.loads(out.read_text())
    assert (record["part"], record["draws"], record["data"]) == ("all", 2, "abstracts")
    assert record["n_notes"] == 24 and record["n_pairs"] >= 12 and record["n_sentences"] == 0
    assert record["top"]["value"] > record["random"]["value"] + 0.3
    assert record["above_random"]["value"] > 0.9
    assert sum(row["n"] for row in record["labels"]) == record["n_pairs"]
    assert "aspirin" not in out.read_text() and "aspirin" not in done.output


def test_the_first_documents_of_the_held_out_part(pipeline, data, tmp_path):
    out = tmp_path / "r.json"
    done = score(pipeline, data, "--fold", 2, "--limit", 2, "--output", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["n_notes"] == 2
    n = len(take_documents("medical_abstracts", data, 2, 5, parts=("held_out",))["held_out"])
    done = score(pipeline, data, "--fold", 2)
    assert done.exit_code == 0 and f" in {n} documents of medical_abstracts" in done.stdout


def test_an_evidence_of_its_own_is_used(checkpoint, data, tmp_path):
    nlp = make_pipeline(checkpoint, aggregator="NoisyOr", encoder=ALONE)
    notes = [(abstract(i), {DISEASES[j]: float(i % 3 == j) for j in range(5)}) for i in range(6)]
    train(nlp, notes, steps=25)
    nlp.add_pipe("clinbert_evidence", config={"most": 1})
    nlp.to_disk(tmp_path / "model")
    done = score(tmp_path / "model", data, "--part", "all", "--output", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["pipeline"]["components"].split()[-1] == "clinbert_evidence"
    # one passage is all the evidence
    assert record["comprehensiveness"] == pytest.approx(record["top"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fold", 1], "was trained for fold 2, not 1"),
        (["--part", "train"], "--part is 'train'; expected one of held_out, dev, all"),
        (["--component", "textcat"], "no component 'textcat'"),
        (["--component", "clinbert_transformer"], "has no clinbert.LongTextCat.v1"),
        (["--task", "plot", "--part", "all"], "expected one of ['disease']"),
    ],
)
def test_what_is_refused(pipeline, data, options, said):
    done = score(pipeline, data, *options)
    assert done.exit_code == 1 and said in " ".join(done.stderr.split())
    assert "aspirin" not in done.stderr


def test_missing_data(pipeline, data):
    done = score(pipeline, data / "nowhere")
    assert done.exit_code == 1 and "No such file or folder" in done.stderr
