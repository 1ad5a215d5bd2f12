import json
import re

import pytest
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_documents import document_score
from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.corpora.documents import SOURCES, take_documents
from clinbert_spacy.evaluation.document_baselines import BAG, SVM, train_bag
from clinbert_spacy.evaluation.documents import Task, make_documents

from .corpora.toy_documents import (
    prose,
    toy_abstracts,
    write_abstracts,
    write_notes,
    write_reports,
)
from .models.toy_textcat import make_pipeline, train

DISEASES = SOURCES["medical_abstracts"].tasks["disease"]


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command("document-score")(document_score)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["document-score", *map(str, arguments)])


def score(path, *arguments, corpus="medical_abstracts"):
    return run("--corpus", corpus, "--data", path, "--epochs", 2, *arguments)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return toy_abstracts(tmp_path_factory.mktemp("documents") / "abstracts", 90)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """A pipeline that was trained on fold 2 of 5, as its config says."""
    found = take_documents("medical_abstracts", data, 2, 5)["train"]
    task = Task("medical_abstracts", "disease", DISEASES, True)
    columns = zip(*((t.text, t.classes, t.group) for t in found))
    nlp = train_bag(task, make_documents(task, *map(list, columns)), epochs=40)
    nlp.config["corpora"]["train"] = {
        "@readers": "clinbert.DocumentClasses.v1", "corpus": "medical_abstracts",
        "path": str(data), "part": "train", "fold": 2,
    }  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model-best"
    nlp.to_disk(path)
    return path


def test_a_pipeline_and_the_baselines_are_scored(model, data, tmp_path):
    out = tmp_path / "r.json"
    done = score(data, model, "--fold", 2, "--output", out)
    assert done.exit_code == 0, done.output
    for word in ("pipeline", SVM, BAG, "micro F1", "ECE", "NEOPLASMS"):
        assert word in done.stdout
    record = json.loads(out.read_text())
    assert (record["fold"], record["folds"], record["data"]) == (2, 5, "abstracts")
    assert record["n_train"] + record["n_dev"] + record["n_notes"] == 90
    # told apart by one word
    assert record["f"]["value"] > 0.8 and record["pipeline"]
    assert set(record["beside"]) == {SVM, BAG} and record["beside"][SVM]["f"]["value"] > 0.8
    assert record["beside"][SVM]["data_sha256"] == record["data_sha256"]
    assert "amber" not in out.read_text() and "disease0" not in out.read_text()


def test_the_report_shows_rows_classes_and_reliability(model, data, tmp_path):
    out, html = tmp_path / "r.json", tmp_path / "r.html"
    done = score(data, model, "--fold", 2, "--output", out, "--html", html)
    assert done.exit_code == 0, done.output
    record, page = json.loads(out.read_text()), html.read_text("utf8")
    assert "not a medical device" in page.lower() and record["data_sha256"] in page
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(|<script", page)
    assert "amber" not in page and "disease0" not in page
    for row in ("pipeline", SVM, BAG):
        assert f"<tr><td>{row}</td>" in page and f'aria-label="Reliability of {row}"' in page
    assert "<h4>pipeline, not calibrated</h4>" in page and "by its limits" not in page
    rows = [record, *record["beside"].values()]
    # a point a bin, with its count beside
    assert page.count("<circle") == sum(len(row["reliability"]) for row in rows)
    for row in rows:
        assert sum(one["n"] for one in row["reliability"]) == record["n_notes"]
        assert all(f"<td>{one['n']}</td>" in page for one in row["reliability"])
        for found in row["labels"]:
            assert 0 <= found["ece"] <= 1 and f"{found['ece']:.3f}" in page
        assert row["risk_coverage"][0]["coverage"] == 1.0
    assert "abstention" not in record and record["calibrated"] is False


def test_a_report_of_baselines_alone(data, tmp_path):
    html = tmp_path / "r.html"
    done = score(data, "--html", html)
    assert done.exit_code == 0, done.output
    page = html.read_text("utf8")
    assert "<h2>Pipeline</h2>" not in page and f'aria-label="Reliability of {SVM}"' in page


def test_limits_leave_some_open(checkpoint, data, tmp_path):
    """Fitted on the spot: below 0.3 `no`, from 0.999999 on `yes`, which nothing reaches."""
    nlp = make_pipeline(checkpoint)
    train(nlp, [("fever", {name: 1.0 for name in DISEASES})], steps=1)
    attrs = nlp.get_pipe("textcat_multilabel").model.attrs
    attrs["rules"] = [{"method": "temperature", "temperature": 1.0, "shift": 0.0}] * len(DISEASES)
    attrs["limits"] = [[0.0, 0.999999]] + [[0.999, 0.999999]] * (len(DISEASES) - 1)
    nlp.to_disk(tmp_path / "model")
    out, html = tmp_path / "r.json", tmp_path / "r.html"
    options = ("--no-baselines", "--output", out, "--html", html)
    done = score(data, tmp_path / "model", *options)
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    assert record["calibrated"] is True
    # of a task with one class a document is open where one class is
    assert record["abstention"]["unsure"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert [row["unsure"] for row in record["abstention"]["labels"]] == [1.0] * len(DISEASES)
    said = " ".join(done.stdout.split())
    assert "pipeline, by its limits: 100.0 % unsure (100.0 - 100.0), F1 on the decided" in said
    page = html.read_text("utf8")
    assert "<h4>pipeline, calibrated</h4>" in page and "pipeline, by its limits" in page


def test_a_pipeline_that_may_have_seen_the_fold_is_refused(model, data):
    done = score(data, model, "--fold", 1)
    assert done.exit_code == 1 and "was trained for fold 2, not 1" in done.stderr
    done = score(data, model, "--fold", 2, "--folds", 6)
    assert done.exit_code == 1 and "folds 5, not 6" in done.stderr
    done = score(data, model, "--fold", 2, "--held-out", data)
    assert done.exit_code == 1 and "expected texts in 'train', found none" in done.stderr


def test_another_part_is_named_by_its_folder(model, data, tmp_path):
    other = write_abstracts(tmp_path / "other", [(i % 3 + 1, f"{prose(500 + i)} disease{i % 3}")
                                                 for i in range(9)])  # fmt: skip
    done = score(data, model, "--fold", 2, "--held-out", other)
    assert done.exit_code == 1 and "held_out None, not 'other'" in done.stderr
    done = score(data, "--held-out", other)
    assert done.exit_code == 0 and "9 documents of medical_abstracts" in done.stdout


def test_baselines_alone_neither_and_nothing_there(data, tmp_path):
    out = tmp_path / "r.json"
    done = score(data, "--output", out, "--precision", 0.5)
    assert done.exit_code == 0 and "pipeline" not in done.stdout
    record = json.loads(out.read_text())
    assert record["f"] == record["beside"][SVM]["f"] and record["precision"] == 0.5
    assert record["beside"][BAG]["settings"]["epochs"] == 2
    done = score(data, "--no-baselines")
    assert done.exit_code == 1 and "expected one of them" in done.stderr
    done = score(data / "nowhere")
    assert done.exit_code == 1 and "No such file or folder" in done.stderr
    done = score(data, corpus="novels")
    assert done.exit_code == 1 and "Corpus is 'novels'" in done.stderr


def test_a_pipeline_for_other_classes_is_refused(model, tmp_path):
    said = [("opaque", "Mass."), ("clear", "No acute disease.")]
    rows = [(f"{prose(i)} {said[i % 2][0]}", said[i % 2][1]) for i in range(40)]
    path = write_reports(tmp_path / "indiana.json", rows)
    done = score(path, model, "--fold", 2, corpus="radiology")
    assert done.exit_code == 1 and "corpus 'medical_abstracts', not 'radiology'" in done.stderr
    done = score(path, corpus="radiology")
    assert done.exit_code == 0, done.output
    for word in ("AUROC", "AUPRC", "R at P 80", "% positive", "ABNORMAL"):
        assert word in done.stdout


def test_one_class_alone(tmp_path):
    path = write_abstracts(tmp_path / "a", [(1, prose(i)) for i in range(30)])
    done = score(path)
    assert done.exit_code == 1 and "documents have one class; expected two or more" in done.stderr


def test_notes_with_and_without_titles(tmp_path):
    kinds = [("DISCHARGE SUMMARY", "discharge"), ("CLINIC LETTER", "visit")]
    notes = [(f"n{i}", kinds[i % 2][0], prose(i), kinds[i % 2][1], ["IX"]) for i in range(60)]
    path = write_notes(tmp_path / "notes", notes)
    figures = []
    for option in ("--titles", "--no-titles"):
        out = tmp_path / "r.json"
        done = score(path, "--task", "encounter", option, "--output", out, corpus="notes")
        assert done.exit_code == 0, done.output
        figures.append(json.loads(out.read_text())["f"]["value"])
    # nothing but the title tells them apart
    assert figures[0] > 0.9 and figures[1] < 0.8
