import hashlib
import json
from pathlib import Path

import numpy
import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy import cli_args
from clinbert_spacy.cli import app

from .toy_cli import CANARY, PUBTATOR, leaks, write_notes


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def project(tmp_path):
    """A project with one public and one private asset, and a folder that holds the public one."""
    folder = tmp_path / "at_hand"
    folder.mkdir()
    (folder / "toy.txt").write_text("toy")
    digest = hashlib.md5(b"toy", usedforsecurity=False).hexdigest()
    path = tmp_path / "project.yml"
    path.write_text(
        f"assets:\n- dest: assets/toy.txt\n  url: file:///nowhere\n  checksum: '{digest}'\n"
        "- dest: assets/n2c2\n"
    )
    return path, folder


def test_fetch_takes_and_verifies(project):
    path, folder = project
    result = invoke("fetch", "--from", folder, "--project", path)
    assert result.exit_code == 0, result.output
    assert "copied" in result.stdout and "n2c2" in result.stdout
    assert (path.parent / "assets" / "toy.txt").read_text() == "toy"


def test_fetch_fails_on_a_mismatch(project):
    path, folder = project
    (folder / "toy.txt").write_text("other")
    result = invoke("fetch", "--from", folder, "--project", path)
    assert result.exit_code == 1
    assert "Not usable: toy.txt" in result.stderr and "mismatch" in result.stdout
    assert not (path.parent / "assets" / "toy.txt").exists()


@pytest.mark.parametrize("names", [["nothing"], ["n2c2"]])
def test_fetch_of_what_cannot_be_had(project, names):
    path, folder = project
    assert invoke("fetch", *names, "--from", folder, "--project", path).exit_code == 1
    assert invoke("fetch", *names, "--project", path.parent / "no.yml").exit_code == 1


def test_convert_reports_per_label(tmp_path):
    source, output = tmp_path / "in.txt", tmp_path / "out.spacy"
    source.write_text(PUBTATOR)
    result = invoke("convert", source, "--corpus", "bc5cdr", "--output", output)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["Chemical", "1", "DRUG"] in [row[:3] for row in rows]
    assert ["Disease", "1", "DISEASE"] in [row[:3] for row in rows]  # by its MeSH concept
    assert "1 notes, 2 mentions" in result.stdout and "1 notes written" in result.stdout
    assert output.is_file()


def test_convert_bad_input(tmp_path):
    assert invoke("convert", tmp_path / "no.txt", "--corpus", "bc5cdr").exit_code == 1
    (tmp_path / "in.txt").write_text(PUBTATOR.replace("0\t7", "0\t9"))
    result = invoke("convert", tmp_path / "in.txt", "--corpus", "bc5cdr", "--to", "nothing")
    assert result.exit_code == 1 and "'nothing'" in result.stderr


@pytest.mark.parametrize("config", [None, "[nlp]\nlang = 'en'\n", "[training\n"])
def test_train_bad_config_is_one_clear_error(tmp_path, config):
    path = tmp_path / "train.cfg"
    if config is not None:
        path.write_text(config)
    result = invoke("train", path, "--output", tmp_path / "out", "--training.max_steps", "1")
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("Error: ") and len(result.stderr.strip().splitlines()) == 1


def test_package_bad_meta(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "model")
    meta = tmp_path / "meta.json"
    arguments = ["package", tmp_path / "model", tmp_path, "--version", "0.1.0", "--meta", meta]
    assert "No such file" in invoke(*arguments).stderr
    for content, message in [("{", "is not JSON"), ("[]", "holds a list"), ("{}", "lacks")]:
        meta.write_text(content)
        result = invoke(*arguments)
        assert result.exit_code == 1 and message in result.stderr


SCORE = {"value": 0.5, "low": 0.4, "high": 0.6}
SCORED = {
    "corpus": "ncbi", "n_mentions": 7, "n_notes": 2, "data_sha256": "ab",
    **dict.fromkeys(("precision", "recall", "f", "macro_f"), SCORE),
}  # fmt: skip


def test_figures_for_the_card(tmp_path):
    path, other = tmp_path / "r.json", tmp_path / "s.json"
    path.write_text(json.dumps({**SCORED, "part": ["dev"]}))
    other.write_text(json.dumps({**SCORED, "part": ["test"]}))
    figures = cli_args.read_figures([path, other])
    assert figures["ncbi_dev_ents_f"] == figures["ncbi_test_ents_macro_f"] == 0.5
    evaluation = figures["evaluations"]["ncbi_dev"]
    assert (evaluation["n_mentions"], evaluation["data_sha256"]) == (7, "ab")
    assert evaluation["f"] == SCORE
    other.write_text(path.read_text())
    with pytest.raises(ValueError, match="s.json holds scores on ncbi_dev, as a file before"):
        cli_args.read_figures([path, other])
    path.write_text("{}")
    with pytest.raises(ValueError, match="holds no scores"):
        cli_args.read_figures([path])
    assert cli_args.read_figures([]) == {}


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({}, "ncbi"),
        ({"part": ["train", "dev"]}, "ncbi_train_dev"),
        ({"split": "dev", "data": "ncbi_disease"}, "ncbi_dev"),
        ({"data": "test"}, "ncbi_test"),
        ({"data": "my notes-2.txt", "limit": 9}, "ncbi_my_notes_2_first_9"),
    ],
)
def test_name_of_figures(chosen, name):
    assert cli_args.name_figures({**SCORED, **chosen}) == name


@pytest.fixture
def transformer_folder(make_nlp, make_examples, tmp_path):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def test_embed_annotate_and_benchmark_with_a_transformer(transformer_folder, checkpoint, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("The patient takes aspirin. No rash.")
    (notes / "b.txt").write_text(" \n")
    pipeline = ["--pipeline", transformer_folder]
    for unit, ids in [("note", ["a.txt", "b.txt"]), ("sentence", ["a.txt:0-26", "a.txt:27-35"])]:
        output = tmp_path / f"{unit}.npz"
        result = invoke("embed", notes, "--output", output, "--unit", unit, *pipeline)
        assert result.exit_code == 0, result.output
        found = numpy.load(output)
        assert list(found["ids"])[:2] == ids and found["vectors"].shape[1] == 32
    result = invoke("annotate", notes, "--output", tmp_path / "out.jsonl", *pipeline)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert record["n_chars"] == 35 and record["coverage"].get("truncated", 0) == 0
    output, html = tmp_path / "speed.json", tmp_path / "speed.html"
    arguments = ["--set", "ordinary", "--stock", checkpoint, "--rounds", 1]
    arguments += ["--output", output, "--html", html]
    result = invoke("benchmark", transformer_folder, "--notes", notes, *arguments)
    assert result.exit_code == 0, result.output
    speed = json.loads(output.read_text())
    (found,) = speed["sets"]
    names = [row["name"] for row in found["rows"]]
    assert names[0] == "pipeline" and {"stock", "encoder, float32"} <= set(names)
    assert found["n_words"] == 6 and found["rows"][0]["time_ratio"] == 1.0
    assert speed["stock_weights"] == checkpoint.name
    assert "Speed and memory" in html.read_text()


def test_benchmark_has_the_stock_pipeline_with_the_same_weights(transformer_folder, tmp_path):
    (tmp_path / "a.txt").write_text("The patient takes aspirin. No rash.")
    arguments = ["--notes", tmp_path / "a.txt", "--rounds", 1, "--set", "ordinary"]
    result = invoke("benchmark", transformer_folder, *arguments)
    assert result.exit_code == 0, result.output
    names = [line.split("  ")[0] for line in result.stdout.splitlines()]
    order = [name for name in names if name in ("pipeline", "stock", "encoder, float32")]
    assert order == ["pipeline", "stock", "encoder, float32"]
    printed = " ".join(result.stdout.split())
    assert "weights of the stock pipeline: those of the pipeline, in float32" in printed


def test_embed_shows_no_content(make_nlp, make_examples, tmp_path, monkeypatch, caplog):
    folders = [tmp_path / name for name in ("out", "scratch")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folders[1]))
    nlp = make_nlp()
    nlp.add_pipe("cli_test_failing")
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "model")
    path = write_notes(tmp_path / "in", ["rash", f"{CANARY} took aspirin", "aspirin"])
    for suffix in ("npz", "parquet"):
        output = folders[0] / f"v.{suffix}"
        result = invoke("embed", path, "--output", output, "--pipeline", tmp_path / "model")
        assert result.exit_code == 0, result.output
        assert "2 vectors, 1 skipped" in result.stderr and "note 'n1'" in result.stderr
        assert not list(leaks(result.output, result.stderr, caplog.text, *folders))


@pytest.mark.parametrize(
    ("corpus", "files"),
    [
        ("bc5cdr", {"a.txt": f"1|t|{CANARY} and rash.\n1|a|\n1\t0\t99\t{CANARY}\tDisease\tD0\n"}),
        ("bc5cdr", {"a.txt": f"{CANARY} without a format"}),
        ("brat", {"a.txt": f"{CANARY} has a rash", "a.ann": f"T1\tDrug 0 99\t{CANARY}\n"}),
        ("brat", {"a.txt": "rash", "a.ann": f"{CANARY}\n"}),
        ("bioc", {"a.xml": f"<collection>{CANARY}"}),
        ("csv", {"a.csv": f"id,text,start,end,label\n1,{CANARY},0,99,DRUG\n"}),
        ("csv", {"a.csv": f"{CANARY}\n"}),
        ("docbin", {"a.spacy": CANARY}),
    ],
)
def test_convert_shows_no_content(tmp_path, monkeypatch, caplog, corpus, files):
    for name in ("in", "out", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    for name, content in files.items():
        (tmp_path / "in" / name).write_text(content)
    source = tmp_path / "in" if corpus == "brat" else tmp_path / "in" / next(iter(files))
    output = tmp_path / "out" / "o.spacy"
    result = invoke("convert", source, "--corpus", corpus, "--scheme", "own", "--output", output)
    assert result.exit_code != 0 or output.exists()
    assert not list(leaks(result.output, result.stderr, caplog.text, tmp_path / "scratch"))
    if result.exit_code:
        assert not list((tmp_path / "out").iterdir())


def test_embed_bad_arguments(transformer_folder, tmp_path):
    Path(tmp_path / "a.txt").write_text("rash")
    base = ["embed", tmp_path / "a.txt", "--pipeline", transformer_folder, "--output"]
    for arguments, message in [
        ([tmp_path / "v.txt"], "expected a name that ends in one of"),
        ([tmp_path / "v.npz", "--unit", "word"], "expected one of note, sentence"),
        ([tmp_path / "v.npz", "--pooling", "min"], "Unknown pooling"),
    ]:
        result = invoke(*base, *arguments)
        assert result.exit_code == 1 and message in result.stderr
        assert not list(tmp_path.glob("v*"))


def test_vectors_are_taken_off_notes_but_not_where_they_are_wanted(transformer_folder, tmp_path):
    import spacy

    from clinbert_spacy.cli_annotate import free_activations, prepare_embedding

    nlp = spacy.load(transformer_folder)
    free_activations(nlp)
    names = list(nlp.pipe_names)
    free_activations(nlp)
    assert nlp.pipe_names == names and names[-1] == "clinbert_cleaner"
    assert nlp("aspirin for fever")._.trf_data is None
    prepare_embedding(nlp, sentences=False)
    assert nlp("aspirin for fever")._.trf_data is not None
