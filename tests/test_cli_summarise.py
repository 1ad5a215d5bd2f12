"""`clinbert summarise`: what it writes, what it adds to a pipeline, and odd notes and budgets."""

import csv
import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import SpanGroup
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.cli_summarise import prepare
from clinbert_spacy.evaluation.report import INTENDED_USE
from clinbert_spacy.interop.document_rows import classes_of

from .pipeline.test_summary_learning import examples, make_pipeline
from .toy_cli import CANARY, leaks
from .toy_told import make_central, numbers

NOTE = """Admitted with a cough and fever.
Took penicillin.
No rash. Mother has gout.

Allergies:
codeine - nausea

Plan:
Stop aspirin.
Follow up in May.
"""
WORDS = {"SYMPTOM": ("fever", "rash", "cough", "nausea"), "DISEASE": ("gout", "asthma"),
         "DRUG": ("penicillin", "codeine", "aspirin")}  # fmt: skip


@Language.component("summarise_test_phi")
def find_names(doc):
    """Words with a capital letter within them are identifiers."""
    spans = [doc[t.i : t.i + 1] for t in doc if t.text in CANARY.split()]
    doc.spans["clinbert_phi"] = SpanGroup(doc, spans=spans)
    return doc


@Language.component("summarise_test_cats", assigns=["doc.cats"])
def classify(doc):
    doc.cats = {"letter": 0.25, "discharge": 0.75}
    return doc


@Language.component("summarise_test_failing")
def fail(doc):
    if "fail here" in doc.text:
        raise ValueError(f"[E999] {doc.text}")
    return doc


def build(sentences=True):
    nlp = spacy.blank("en", meta={"name": "toy", "version": "1.2.3"})
    if sentences:
        nlp.add_pipe("clinbert_sentences")
    patterns = [{"label": label, "pattern": [{"LOWER": word}]}
                for label, row in WORDS.items() for word in row]  # fmt: skip
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    if sentences:
        nlp.add_pipe("clinbert_sections")
        nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    nlp.add_pipe("summarise_test_phi")
    nlp.add_pipe("summarise_test_failing")
    return nlp


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    build().to_disk(folder)
    return folder


@pytest.fixture
def run(tmp_path, pipeline):
    """Run `clinbert summarise` on texts. RETURNS: the result, and records by id."""

    def call(*texts, options=(), name=pipeline, notes=None):
        path, output = notes or tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        if notes is None:
            lines = [json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(texts)]
            path.write_text("\n".join(lines) + "\n")
        arguments = ["summarise", str(name), str(path), "--output", str(output)]
        done = CliRunner().invoke(app, [*arguments, *map(str, options)])
        lines = output.read_text("utf8").splitlines() if output.exists() else []
        return done, {record["id"]: record for record in map(json.loads, lines)}

    return call


def sentences(record):
    return [row["text"] for row in record["summary"]["sentences"]]


# What it writes


def test_a_note(run, tmp_path):
    done, records = run(NOTE, options=["--budget", "90%", "--html", tmp_path / "out.html"])
    assert done.exit_code == 0, done.output
    record = records["n0"]
    assert list(record) == ["id", "sha256", "n_chars", "summary", "view", "coverage"]
    assert (record["n_chars"], len(record["sha256"])) == (len(NOTE), 64)
    summary = record["summary"]
    assert (summary["method"], summary["budget"]) == ("central", "90%")
    for row in summary["sentences"]:
        assert NOTE[row["start"] : row["end"]] == row["text"] and 0 <= row["score"] <= 1
    assert {"codeine - nausea", "Allergies:"} <= set(sentences(record))
    assert {row["section"] for row in summary["sentences"]} >= {"allergies", "plan"}
    view = record["view"]
    assert [row["name"] for row in view["problems"]] == ["cough", "fever"]
    assert [row["name"] for row in view["allergies"]] == ["codeine"]
    statuses = {row["name"]: row["status"] for row in view["medications"]}
    assert statuses["aspirin"] == "stopped" and statuses["codeine"] == "allergy"
    assert [row["text"] for row in view["plan"]] == ["Stop aspirin.", "Follow up in May."]
    assert view["read"]["side_effects"] == "not_run"
    page = (tmp_path / "out.html").read_text("utf8")
    assert INTENDED_USE[:40] in page and "1 notes summarised, 1 of them shown" in page
    assert "chosen by central within a budget of 90%" in page and "toy" in page
    assert "1 notes summarised, 0 skipped" in done.stderr


def test_classes_and_what_decided(run, tmp_path):
    nlp = build()
    nlp.add_pipe("summarise_test_cats")
    nlp.to_disk(tmp_path / "nlp")
    _, records = run(NOTE, name=tmp_path / "nlp")
    assert records["n0"]["classes"] == [{"label": "discharge", "score": 0.75},
                                        {"label": "letter", "score": 0.25}]  # fmt: skip
    doc = nlp(NOTE)
    attrs = {"rows": [{"span": 0, "label": "discharge", "drop": 0.2}],
             "decisions": {"discharge": "yes", "letter": "no"}}  # fmt: skip
    doc.spans["clinbert_evidence"] = SpanGroup(doc, spans=[doc[0:7]], attrs=attrs)
    assert classes_of(doc)["classes"] == [
        {"label": "discharge", "score": 0.75, "decision": "yes", "evidence": [[0, 32]]},
        {"label": "letter", "score": 0.25, "decision": "no", "evidence": []},
    ]


def test_folders_and_tables_are_read_as_annotate_reads_them(run, tmp_path):
    folder = tmp_path / "notes"
    (folder / "ward").mkdir(parents=True)
    (folder / "b.txt").write_text(NOTE)
    (folder / "ward" / "a.txt").write_text("Cough.")
    done, records = run(notes=folder)
    assert list(records) == ["b.txt", "ward/a.txt"] and done.exit_code == 0
    path = tmp_path / "notes.csv"
    with path.open("w", newline="") as file_:
        csv.writer(file_).writerows([["nr", "body"], ["7", "Cough."]])
    done, records = run(notes=path, options=["--text-column", "body", "--id-column", "nr"])
    assert list(records) == ["7"] and sentences(records["7"]) == ["Cough."]


def test_html_notes(run, tmp_path):
    page = tmp_path / "out.html"
    run("Cough.", "Fever.", "Gout.", options=["--html", page, "--html-notes", 2])
    text = page.read_text("utf8")
    assert "3 notes summarised, 2 of them shown" in text and text.count('<div class="note">') == 2


# What it adds to a pipeline


def test_a_pipeline_without_summaries_gets_some_and_says_so(run, tmp_path):
    done, records = run(NOTE)
    assert "has no clinbert_summary: one was added with method = 'central'" in done.stderr
    assert "sets no sentences" not in done.stderr
    assert records["n0"]["summary"]["budget"] == "20%" and len(sentences(records["n0"])) == 1
    build(sentences=False).to_disk(tmp_path / "bare")
    done, records = run("Cough.\nFever.", name=tmp_path / "bare", options=["--budget", "2"])
    assert "sets no sentences: clinbert_sentences was added" in done.stderr
    assert sentences(records["n0"]) == ["Cough.", "Fever."]


def test_a_pipeline_with_summaries_keeps_its_own(run, tmp_path):
    make_central("3").to_disk(tmp_path / "nlp")
    done, records = run(NOTE, name=tmp_path / "nlp")
    assert "clinbert_summary" not in done.stderr and records["n0"]["summary"]["budget"] == "3"
    assert len(sentences(records["n0"])) == 3
    _, records = run(NOTE, name=tmp_path / "nlp", options=["--budget", "1"])
    assert len(sentences(records["n0"])) == 1


def test_a_disabled_component_is_enabled():
    nlp = make_central("3")
    nlp.disable_pipe("clinbert_summary")
    assert prepare(nlp, "1", None) == ["clinbert_summary is disabled in the pipeline: it was "
                                       "enabled."]  # fmt: skip
    assert len(numbers(nlp(NOTE))) == 1


def test_method_switches(run, tmp_path, checkpoint):
    nlp = make_pipeline(checkpoint, budget="2")
    nlp.initialize(lambda: examples(nlp))
    nlp.to_disk(tmp_path / "nlp")
    found = {}
    for method in (None, "model", "central"):
        options = ["--method", method] if method else []
        done, records = run(NOTE, name=tmp_path / "nlp", options=[*options, "--budget", "100%"])
        assert done.exit_code == 0, done.output
        summary = records["n0"]["summary"]
        found[method] = [row["score"] for row in summary["sentences"]]
        assert summary["method"] == (method or "model")
    assert found[None] == found["model"] != found["central"]


def test_a_model_that_is_not_there(run, tmp_path):
    done, records = run(NOTE, options=["--method", "model"])
    assert done.exit_code == 1 and "the pipeline has no clinbert_summary (it runs: " in done.stderr
    make_central().to_disk(tmp_path / "nlp")
    done, records = run(NOTE, name=tmp_path / "nlp", options=["--method", "model"])
    assert done.exit_code == 1 and "it was made with method = 'central'" in done.stderr
    assert records == {}


# Odd notes


def test_empty_notes_are_skipped_and_named(run, tmp_path):
    done, records = run("", "Cough.", "   \n")
    assert done.exit_code == 0 and list(records) == ["n1", "n2"]
    assert "empty" in done.stderr and "2 notes summarised, 1 skipped" in done.stderr
    assert sentences(records["n2"]) == []
    (tmp_path / "out.jsonl").unlink()
    done, records = run("")
    assert done.exit_code == 1 and "No note could be annotated" in done.stderr and records == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cough", ["Cough"]),
        ("Der Patient hustet seit Montag.\nKein Fieber.",
         ["Der Patient hustet seit Montag.", "Kein Fieber."]),
        ("咳嗽三天。", ["咳嗽三天。"]),
        ("Na 140 | K 4.1\nCr 88 | Hb 120", ["Na 140 | K 4.1", "Cr 88 | Hb 120"]),
    ],
)  # fmt: skip
def test_one_word_another_language_and_a_table(run, tmp_path, text, expected):
    html = tmp_path / "out.html"
    done, records = run(text, options=["--budget", "100%", "--html", html])
    assert done.exit_code == 0, done.output
    assert sentences(records["n0"]) == expected and expected[-1] in html.read_text("utf8")
    found = {name for name, rows in records["n0"]["view"].items() if rows} - {"read"}
    assert found == ({"problems"} if text == "Cough" else set())


def test_a_note_of_identifiers_alone_has_an_empty_summary(run, tmp_path):
    html = tmp_path / "out.html"
    options = ["--budget", "100%", "--html", html]
    done, records = run(f"{CANARY}.\nFollow up with {CANARY}.", options=options)
    assert done.exit_code == 0 and sentences(records["n0"]) == []
    assert [row["text"] for row in records["n0"]["view"]["plan"]] == [None]
    assert not list(leaks(json.dumps(records), done.stderr))
    assert "has none that may be shown" in html.read_text("utf8")


def test_duplicated_paragraphs_are_said_once(run):
    part = "Cough and fever.\nTook penicillin.\n\n"
    _, records = run(part * 3 + "Sleeps well.", options=["--budget", "3"])
    assert len(set(sentences(records["n0"]))) == 3
    (row, *_) = records["n0"]["view"]["problems"]
    assert row["name"] == "Cough" and len(row["mentions"]) == 3


# Budgets


@pytest.mark.parametrize(
    ("budget", "n"),
    [("0", 0), ("0%", 0), ("0w", 0), ("1", 1), ("4w", 1), ("99", 3), ("9999w", 3), ("100%", 3)],
)
def test_budgets(run, budget, n):
    text = "Cough and fever.\nTook penicillin with food.\nSleeps very well today."
    done, records = run(text, options=["--budget", budget])
    assert done.exit_code == 0 and len(sentences(records["n0"])) == n
    assert records["n0"]["summary"]["budget"] == budget


@pytest.mark.parametrize("budget", ["all", "", "-1", "2.5", "120%", "20 percent", "1e3"])
def test_budgets_that_are_none(run, budget):
    done, records = run("Cough.", options=[f"--budget={budget}"], name="nowhere")
    assert done.exit_code == 1 and records == {}
    assert f"budget = '{budget}': expected e.g. '5' (sentences), '80w' or '20%'." in done.stderr


# What cannot be used


def test_wrong_arguments(run, tmp_path):
    for options, message in [
        (["--method", "guess"], "--method is 'guess'; expected one of central, model"),
        (["--encoding", "klingon"], "Unknown encoding 'klingon'"),
        (["--html", tmp_path / "out.jsonl"], "--html and --output are both"),
        (["--html", tmp_path / "no" / "out.html"], "expected a file in a folder that is there"),
    ]:
        done, records = run("Cough.", options=options)
        assert done.exit_code == 1 and message in done.stderr and records == {}
    done, _ = run("Cough.", name="no_such_pipeline")
    assert done.exit_code == 1 and "No pipeline 'no_such_pipeline'" in done.stderr


def test_a_note_that_fails_takes_no_other_with_it_and_is_not_quoted(run, tmp_path):
    done, records = run("Cough.", f"fail here {CANARY}", "Fever.")
    assert done.exit_code == 0 and list(records) == ["n0", "n2"]
    assert "skipped note 'n1'" in done.stderr and not list(leaks(done.output + done.stderr))
