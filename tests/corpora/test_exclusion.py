import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_project import exclude, seeds
from clinbert_spacy.corpora.exclusion import find_excluded, list_sources, record_splits
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.splits import read_splits, split_of, take_part

ROOT = Path(__file__).parent.parent.parent
LONG = " ".join(f"word{i}" for i in range(40))


def abstract(number, text):
    mention = f"{number}\t0\t5\tTitle\tDisease\tD1"
    return f"{number}|t|Title of {number}.\n{number}|a|{text}\n{mention}\n\n"


@pytest.fixture
def folder(tmp_path):
    bc5cdr = tmp_path / "bc5cdr"
    bc5cdr.mkdir()
    (bc5cdr / "CDR_TrainingSet.PubTator.txt").write_text(
        abstract(10001, "Alone.") + abstract(10002, f"Copied: {LONG}.")
    )
    (bc5cdr / "CDR_DevelopmentSet.PubTator.txt").write_text(abstract(20001, f"Held: {LONG}."))
    biored = tmp_path / "biored"
    biored.mkdir()
    twin = abstract(20001, "The same abstract, marked by others.")
    (biored / "Train.PubTator").write_text(twin.replace("Disease", "DiseaseOrPhenotypicFeature"))
    return tmp_path


def train(folder):
    return [
        {"corpus": "bc5cdr", "path": folder / "bc5cdr", "parts": ["train"]},
        {"corpus": "biored", "path": folder / "biored", "parts": ["train"]},
    ]


def test_what_a_corpus_does_not_train_on_is_held_out(folder):
    found = find_excluded(train(folder), [])
    assert found == {("bc5cdr", "10002"): "text", ("biored", "20001"): "PubMed id"}


def test_parts_of_one_corpus_in_two_blocks_are_both_trained_on(folder):
    block = {"corpus": "bc5cdr", "path": folder / "bc5cdr"}
    blocks = [{**block, "parts": ["train"]}, {**block, "parts": ["dev"]}]
    assert find_excluded(blocks, []) == {}
    assert find_excluded(blocks, blocks[1:]) == {
        ("bc5cdr", "10002"): "text", ("bc5cdr", "20001"): "held out",
    }  # fmt: skip


def test_named_and_development_notes_are_held_out(folder, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "n.txt").write_text(f"Note. {LONG}")
    (notes / "n.ann").write_text("")
    block = {"corpus": "notes", "path": notes}
    sources = train(folder)[:1]
    (folder / "bc5cdr" / "CDR_DevelopmentSet.PubTator.txt").unlink()
    assert not find_excluded(sources, [])
    assert find_excluded(sources, [block]) == find_excluded(sources, [], [block]) != {}


def test_split_by_hash(tmp_path):
    folder = tmp_path / "chia"
    folder.mkdir()
    for name in (f"NCT{i}_inc" for i in range(20)):
        (folder / f"{name}.txt").write_text(LONG)
        (folder / f"{name}.ann").write_text("")
    found = find_excluded([{"corpus": "chia", "path": folder, "split": "train"}], [])
    assert found and all(split_of(name, 0) == "train" for _, name in found)


def test_split_by_manifest(tmp_path):
    folder = tmp_path / "chia"
    folder.mkdir()
    for name in (f"NCT{i}_inc" for i in range(20)):
        (folder / f"{name}.txt").write_text(LONG)
        (folder / f"{name}.ann").write_text("")
    block = {"corpus": "chia", "path": folder, "split": "train"}
    manifest = tmp_path / "chia.json"
    assert record_splits("chia", folder, manifest) == 20
    found = find_excluded([{**block, "splits": manifest}], [])
    assert found and found == find_excluded([block], [])
    assert LONG not in manifest.read_text()


@pytest.mark.parametrize("name", ["chia", "lct", "maccrobat"])
def test_shipped_manifests_are_the_default_split(name):
    path = ROOT / "assets" / "splits" / f"{name}.json"
    table = read_splits(path)
    assert table and path.stat().st_size < 150_000
    assert all(entry["split"] == split_of(entry["group"], 0) for entry in table.values())
    assert {corpus for corpus, _ in table} == {name}


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
@pytest.mark.parametrize(
    ("name", "folder"), [("chia", "chia"), ("lct", "lct"), ("maccrobat", "maccrobat2020")]
)
def test_shipped_manifests_are_of_the_corpora(name, folder):
    notes = list(read_corpus(name, Path(os.environ["CLINBERT_CORPORA"]) / folder))
    manifest = ROOT / "assets" / "splits" / f"{name}.json"
    for part in ("train", "dev", "test"):
        assert take_part(notes, part, manifest) == take_part(notes, part)


def test_both_forms_of_sources():
    by_name = {"bc5cdr": {"path": "a"}, "main": {"corpus": "ncbi", "path": "b"}}
    listed = list_sources(by_name)
    assert [block["corpus"] for block in listed] == ["bc5cdr", "ncbi"]
    assert list_sources(listed) == listed


def run(*arguments):
    app = typer.Typer()
    app.command()(seeds)
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=settings)(exclude)
    return CliRunner().invoke(app, ["exclude", *map(str, arguments)])


def test_command(folder, tmp_path):
    config = ROOT / "configs" / "bench_cpu.cfg"
    out = tmp_path / "out.json"
    done = run(config, "--output", out, "--paths.corpus", folder / "bc5cdr")
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["excluded"] == [{"corpus": "bc5cdr", "id": "10002"}]
    done = run(config, "--output", out, "--held-out", "x", "--paths.corpus", folder / "bc5cdr")
    assert "expected CORPUS=PATH" in str(done.exception)
    done = run(config, "--output", out, "--paths.corpus", folder / "nowhere")
    assert isinstance(done.exception, CorpusError)


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
def test_the_shipped_list_is_what_the_command_makes(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "out.json"
    held_out = ("--held-out", "notes=assets/notes/test")
    corpora = os.environ["CLINBERT_CORPORA"]
    done = run("configs/product_cpu.cfg", "--output", out, *held_out, "--paths.corpora", corpora)
    assert done.exit_code == 0, done.output
    shipped = json.loads((ROOT / "assets" / "splits" / "excluded.json").read_text("utf8"))
    assert json.loads(out.read_text("utf8"))["excluded"] == shipped["excluded"]
