import gzip
import json
import lzma

import pytest
import spacy
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.cli_overlap import overlap, read_held_out
from clinbert_spacy.corpora.docbin import write_docs
from clinbert_spacy.corpora.exclusion import record_splits
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.splits import take_part

from .toy_cli import CANARY, PUBTATOR, leaks

LONG = " ".join(f"word{i}" for i in range(20))
OPENERS = {".jsonl": open, ".xz": lzma.open, ".gz": gzip.open}


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command()(overlap)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["overlap", *map(str, arguments)])


def write_text(path, *texts):
    with OPENERS[path.suffix](path, "wt", encoding="utf8") as file_:
        for source, text in texts:
            file_.write(json.dumps({"source": source, "text": text}) + "\n")
    return path


@pytest.fixture
def held(tmp_path):
    """A held-out folder with one text, whose words a document may share."""
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "a.txt").write_text(f"{CANARY}. {LONG}")
    return folder


def test_table_record_and_exit_code(held, tmp_path):
    rows = [("web", "Nothing."), ("web", f"Here: {LONG}"), ("book", CANARY)]
    path = write_text(tmp_path / "text.jsonl.xz", *rows)
    out = tmp_path / "out.json"
    done = run(path, "--against", held, "--output", out)
    assert done.exit_code == 0, done.output
    assert "1 of 3 documents share 3 or more runs of 12 words" in done.stdout
    record = json.loads(out.read_text())
    assert record["text"] == "text.jsonl.xz"
    assert [x["id"] for x in record["found"]] == ["text.jsonl.xz:2"]
    assert record["found"][0]["runs"] == {"all": 9, "held": 9}
    assert record["found"][0]["places"] == [[6, 6 + len(LONG)]]
    assert not list(leaks(done.output, out.read_bytes()))
    failing = run(path, "--against", held, "--fail")
    assert failing.exit_code == 1 and "1 documents share 3 or more runs" in failing.stderr
    assert run(path, "--against", held, "--fail", "--shared", 10).exit_code == 0
    assert run(path, "--against", held, "--fail", "--width", 21).exit_code == 0


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.gz", "kept.jsonl.xz"])
def test_the_others_are_written(held, tmp_path, name):
    path = write_text(tmp_path / "text.jsonl", ("web", LONG), ("web", "naïve"), ("book", "two"))
    kept = tmp_path / name
    assert run(path, "--against", held, "--drop-to", kept).exit_code == 0
    with OPENERS[kept.suffix](kept, "rt", encoding="utf8") as file_:
        rows = [json.loads(line) for line in file_]
    assert rows == [
        {"source": "web", "id": "text.jsonl:2", "text": "naïve"},
        {"source": "book", "id": "text.jsonl:3", "text": "two"},
    ]
    assert run(kept, "--against", held, "--fail").exit_code == 0


def test_a_file_that_was_there_stays_if_the_text_is_broken(held, tmp_path):
    path = write_text(tmp_path / "text.jsonl", ("web", LONG))
    path.write_text(path.read_text() + "{broken\n")
    kept = tmp_path / "kept.jsonl"
    kept.write_text("before")
    done = run(path, "--against", held, "--drop-to", kept)
    assert done.exit_code == 1 and "text.jsonl:2" in done.stderr
    assert kept.read_text() == "before" and not list(tmp_path.glob("*.tmp"))
    done = run(path, "--against", held, "--drop-to", tmp_path / "kept.txt")
    assert done.exit_code == 1 and "expected one of .jsonl" in done.stderr


def test_docbins_and_folders_are_texts(held, tmp_path):
    nlp = spacy.blank("en")
    path = tmp_path / "docs.spacy"
    write_docs([nlp.make_doc("Nothing."), nlp.make_doc(LONG)], path)
    assert "1 of 2 documents" in run(path, "--against", held).stdout
    assert "1 of 1 documents" in run(held, "--against", f"docs={path}").stdout


@pytest.fixture
def corpora(tmp_path):
    """BC5CDR with two parts, and trials with none."""
    bc5cdr, chia = tmp_path / "bc5cdr", tmp_path / "chia"
    for folder in (bc5cdr, chia):
        folder.mkdir()
    (bc5cdr / "CDR_DevelopmentSet.PubTator.txt").write_text(PUBTATOR)
    training = PUBTATOR.replace("1|", "2|").replace("1\t", "2\t").replace("Nothing", "Anything")
    (bc5cdr / "CDR_TrainingSet.PubTator.txt").write_text(training)
    for i in range(40):
        (chia / f"NCT{i}_inc.txt").write_text(f"Trial {i}")
        (chia / f"NCT{i}_inc.ann").write_text("")
    return tmp_path


def test_parts_of_corpora(corpora):
    bc5cdr, chia = corpora / "bc5cdr", corpora / "chia"
    name, texts = read_held_out(f"bc5cdr={bc5cdr}:dev")
    assert name == "bc5cdr:dev" and list(texts) == ["Aspirin and rash.\nNothing else."]
    name, texts = read_held_out(f"bc5cdr={bc5cdr}")
    assert name == "bc5cdr" and len(list(texts)) == 2
    dev = [note.text for note in take_part(read_corpus("chia", chia), "dev")]
    assert 0 < len(dev) < 40
    name, texts = read_held_out(f"chia={chia}:dev")
    assert name == "chia:dev" and list(texts) == dev
    manifest = corpora / "chia.json"
    record_splits("chia", chia, manifest)
    assert list(read_held_out(f"chia={chia}:dev@{manifest}")[1]) == dev


def test_names_of_plain_texts(tmp_path):
    (tmp_path / "a:b=c").mkdir()
    (tmp_path / "a:b=c" / "x.txt").write_text("one")
    for value, expected in (("mine={}", "mine"), ("{}", "a:b=c")):
        name, texts = read_held_out(value.format(tmp_path / "a:b=c"))
        assert name == expected and list(texts) == ["one"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("bc5cdr={bc5cdr}:half", "expected one of train, dev, test"),
        ("bc5cdr={bc5cdr}:dev@x.json", "leave @MANIFEST out"),
        ("chia={chia}:all", "expected one of train, dev, test"),
        ("chia={chia}:dev@nowhere.json", "nowhere.json: expected a file"),
        ("chia=nowhere:dev", "No such file or folder: nowhere"),
        ("nowhere", "No such file or folder: nowhere"),
        ("=x", "expected NAME=PATH"),
    ],
)
def test_held_out_sets_that_are_not_there(corpora, value, message):
    path = write_text(corpora / "text.jsonl", ("web", "one"))
    folders = {"bc5cdr": corpora / "bc5cdr", "chia": corpora / "chia"}
    done = run(path, "--against", value.format(**folders))
    assert done.exit_code == 1 and message in done.stderr, done.output
