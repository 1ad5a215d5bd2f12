"""`clinbert relation-score` and `fit-relations`."""

import json
import pickle

import numpy
import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.files import sha256_of
from clinbert_spacy.corpora.splits import fold_of
from clinbert_spacy.pipeline.calibration import Platt, logits

from .toy_pairs import FOR, GAVE, NAME, add_ruler, rules_pipeline, write_snippets
from .toy_relations import trained_pipeline

NOTES = [GAVE, FOR, "Nothing new."]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return rules_pipeline(tmp_path_factory.mktemp("relations") / "nlp")


@pytest.fixture
def data(tmp_path):
    return write_snippets(tmp_path / "pairs.jsonl", *NOTES)


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def score(pipeline, data, *options, corpus="pairs"):
    return run("relation-score", pipeline, "--data", data, "--corpus", corpus, *options)


def test_scores_and_record(pipeline, data, tmp_path):
    result = score(pipeline, data, "--output", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "r.json").read_text("utf8"))
    assert (found["precision"]["value"], found["recall"]["value"]) == (0.5, 0.5)
    assert found["relations"]["ADVERSE_EFFECT"]["recall"] == 1.0
    assert found["relations"]["TREATS"]["recall"] == 0.0
    assert found["entities"]["DRUG"] == {"precision": 1.0, "recall": 1.0, "f": 1.0, "n": 2}
    assert found["hard_negatives"] == {"indication": {"n": 1, "read_as_present": 1}}
    assert found["lost"] == {"not joined": 1} and found["overlapping"] == 0
    assert found["spert_f"] == found["f"] and found["spert_macro_f"] == found["macro_f"]
    about = ("corpus", "data", "scheme", "part", "fold", "folds", "n_notes")
    assert [found[key] for key in about] == ["pairs", "pairs.jsonl", "product", [], 0, 0, 3]
    texts = "ramipril gave cough.aspirin for fever.Nothing new."
    assert found["data_sha256"] == sha256_of(texts)
    assert str(tmp_path) not in json.dumps({**found, "command": ""})
    lines = result.stdout.splitlines()
    assert any(line.split() == ["ADVERSE_EFFECT", "50.0", "100.0", "66.7", "1"] for line in lines)
    assert "relations, micro: F1 50.0" in result.stdout
    assert "hard negatives read as present reactions: 100.0 %" in result.stdout
    assert "missed: {'not joined': 1}; 3 notes; end to end from raw text" in result.stdout
    assert "SpERT" not in result.stdout and "attributes of drugs" not in result.stdout


def test_errors_into_a_folder_that_does_not_exist_yet(pipeline, data, tmp_path):
    page = tmp_path / "new" / "folder" / "errors.md"
    result = score(pipeline, data, "--errors", page)
    assert result.exit_code == 0 and str(page) in "".join(result.stderr.splitlines())
    lines = page.read_text("utf8").splitlines()
    kinds = [f"{kind}: both ends right, the link is not" for kind in ("missed", "wrong")]
    assert lines == [
        "# Errors in relations: pairs", "", "| type | how many |", "|---|---|",
        *(f"| {kind} | 1 |" for kind in kinds), "", "| type | note | text |", "|---|---|---|",
        *(f"| {kind} | s1 | **aspirin** for __fever__. |" for kind in kinds),
    ]  # fmt: skip


def test_twenty_errors_of_all_types(pipeline, tmp_path):
    """One type has thirty errors, the other one: both are shown."""
    missed = GAVE.replace("ramipril", "zolax")
    data = write_snippets(tmp_path / "a.jsonl", *[missed] * 30, FOR)
    pages = [tmp_path / name for name in ("a.md", "b.md")]
    for page in pages:
        assert score(pipeline, data, "--errors", page).exit_code == 0
    counts, shown = pages[0].read_text("utf8").split("| type | note | text |")
    assert "| missed: head on one side alone | 30 |" in counts
    assert shown.count("zolax") == 18 and shown.count("fever") == 2
    assert pages[0].read_text("utf8") == pages[1].read_text("utf8")


def test_without_errors_the_page_is_empty(pipeline, tmp_path):
    data = write_snippets(tmp_path / "a.jsonl", GAVE)
    assert score(pipeline, data, "--errors", tmp_path / "e.md").exit_code == 0
    assert (tmp_path / "e.md").read_text("utf8").endswith("| type | note | text |\n|---|---|---|\n")


def test_output_into_a_folder_that_does_not_exist(pipeline, data, tmp_path):
    result = score(pipeline, data, "--output", tmp_path / "none" / "r.json")
    assert result.exit_code == 1 and "No such file or folder" in result.stderr


# Folds


def fold_pipeline(folder, sources):
    return rules_pipeline(folder, train={"@readers": "clinbert.Corpus.v1", "sources": sources})


@pytest.mark.parametrize(
    "sources",
    [
        {"main": {"corpus": "pairs", "path": "x", "fold": 1, "folds": 3}},
        {"pairs": {"path": "x", "fold": 1, "folds": 3}},
        [{"corpus": "ncbi", "path": "y"}, {"corpus": "pairs", "path": "x", "fold": 1, "folds": 3}],
    ],
)
def test_a_fold_that_was_trained_on_is_refused(sources, tmp_path):
    name = fold_pipeline(tmp_path / "nlp", sources)
    data = write_snippets(tmp_path / "a.jsonl", *[GAVE] * 12)
    result = score(name, data, "--fold", 1, "--folds", 3, "--output", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "r.json").read_text("utf8"))
    held_out = sum(fold_of(f"s{i}", 3) == 1 for i in range(12))
    assert found["n_notes"] == held_out and 0 < held_out < 12
    assert (found["fold"], found["folds"]) == (1, 3)
    for fold, folds in ((0, 3), (2, 3), (1, 4)):
        result = score(name, data, "--fold", fold, "--folds", folds)
        assert result.exit_code == 1
        assert f"was trained without fold 1 of 3, not {fold} of {folds}" in result.stderr


def test_folds_of_another_corpus_do_not_matter(tmp_path):
    name = fold_pipeline(tmp_path / "nlp", {"ade": {"path": "x", "fold": 1, "folds": 3}})
    data = write_snippets(tmp_path / "a.jsonl", *[GAVE] * 12)
    assert score(name, data, "--fold", 0, "--folds", 3).exit_code == 0


@pytest.mark.parametrize(
    "options, message",
    [
        (("--fold", 3, "--folds", 3), "Expected a fold from 0 to 2, found 3"),
        (("--fold", 3), "--fold is 3, --folds is 0"),
    ],
)
def test_folds_that_are_not_there(pipeline, data, options, message):
    result = score(pipeline, data, *options)
    assert result.exit_code == 1 and message in result.stderr


# What cannot be scored


@pytest.fixture(params=["relation-score", "fit-relations"])
def command(request, tmp_path):
    output = ["--output", tmp_path / "out"] if request.param == "fit-relations" else []
    return lambda name, data, *options: run(request.param, name, "--data", data, *output, *options)


def test_refused(command, pipeline, data, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "bare")
    write_snippets(tmp_path / "empty.jsonl")
    for name, path, corpus, message in (
        (tmp_path / "bare", data, "pairs", f"has no component '{NAME}' among []"),
        (tmp_path / "none", data, "pairs", "No pipeline"),
        (pipeline, tmp_path / "none.jsonl", "pairs", "none.jsonl"),
        (pipeline, data, "snippet", "Unknown corpus 'snippet'"),
        # entities alone; relations of one drug a note
        (pipeline, data, "snippets", "'snippets' does not mark relations"),
        (pipeline, tmp_path / "empty.jsonl", "pairs", "No note to score"),
    ):
        result = command(name, path, "--corpus", corpus)
        assert result.exit_code == 1 and message in result.stderr, (message, result.output)
    assert not (tmp_path / "out").exists()


# Fitting

MANY = (
    "{lisinopril|DRUG|stopped|1} stopped due to "
    "{cough|SYMPTOM|present,patient,current|AE:1:stated:reaction} . {aspirin|DRUG|active|2} 10 mg "
    "for {fever|SYMPTOM|present,patient,current|TREATS:2} ."
)


@pytest.fixture(scope="module")
def trained(checkpoint, tmp_path_factory):
    nlp = add_ruler(pickle.loads(pickle.dumps(trained_pipeline(checkpoint))), before=NAME)
    folder = tmp_path_factory.mktemp("trained") / "nlp"
    nlp.to_disk(folder)
    return folder


def scores_of(nlp):
    doc = nlp("lisinopril stopped due to cough . aspirin 10 mg for fever .")
    return {(x.head.text, x.tail.text, x.label): x.score for x in doc._.clinbert_relations}


def test_fitted_pipelines_load_and_are_calibrated(trained, tmp_path):
    data = write_snippets(tmp_path / "many.jsonl", *[MANY] * 12)
    output = tmp_path / "out" / "fitted"
    result = run("fit-relations", trained, "--data", data, "--corpus", "pairs", "--output", output)
    assert result.exit_code == 0, result.output
    before, after = spacy.load(trained), spacy.load(output)
    assert before.get_pipe(NAME).fitted == {}
    fitted = after.get_pipe(NAME).fitted
    # what the corpus does not mark is not fitted
    assert set(fitted) == {"ADVERSE_EFFECT", "TREATS"}
    for row in fitted.values():
        assert (row.slope, row.shift) != (1.0, 0.0) and 0.0 < row.threshold < 1.0
        assert row.threshold != 0.5
    raw, now = scores_of(before), scores_of(after)
    assert set(raw) == set(now) == {
        ("lisinopril", "cough", "ADVERSE_EFFECT"), ("aspirin", "fever", "TREATS"),
    }  # fmt: skip
    for key, value in raw.items():
        given, found = logits(numpy.array([value, now[key]]))
        slope, shift, _ = fitted[key[2]]
        assert found == pytest.approx(slope * given + shift, abs=0.1) and abs(found - given) > 0.3
    rows = [line.split() for line in result.stdout.splitlines()]
    assert any(row[:3] == ["TREATS", "48", "12"] for row in rows)
    assert "Fitted on 12 notes" in result.stderr
    # fitting what is fitted changes nothing: it begins with the raw scores
    again = tmp_path / "again"
    result = run("fit-relations", output, "--data", data, "--corpus", "pairs", "--output", again)
    assert result.exit_code == 0, result.output
    for label, row in spacy.load(again).get_pipe(NAME).fitted.items():
        assert row == pytest.approx(fitted[label], rel=1e-2)


def test_too_few_pairs_are_left_as_they_are(trained, tmp_path):
    data = write_snippets(tmp_path / "few.jsonl", MANY)
    output = tmp_path / "fitted"
    result = run("fit-relations", trained, "--data", data, "--corpus", "pairs", "--output", output)
    assert result.exit_code == 0, result.output
    fitted = spacy.load(output).get_pipe(NAME).fitted
    assert set(fitted.values()) == {Platt(1.0, 0.0, 0.5)}


def test_nothing_to_fit(trained, tmp_path):
    """No pair was proposed."""
    data = write_snippets(tmp_path / "bare.jsonl", "Nothing new.")
    output = tmp_path / "fitted"
    result = run("fit-relations", trained, "--data", data, "--corpus", "pairs", "--output", output)
    assert result.exit_code == 1 and "marks none of the relations" in result.stderr
    assert not output.exists()
