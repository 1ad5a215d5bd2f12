"""`clinbert cid-score`: concepts of chemicals and the diseases that they induce."""

import json

import pytest
import spacy
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.files import sha256_of
from clinbert_spacy.training.kb import read_source, write_base

from .evaluation.toy_found import annotate
from .models.toy_kb import TABLE, write_table
from .toy_pairs import NAME

FILE = "CDR_DevelopmentSet.PubTator.txt"
TITLE, REST = "Zanfolin and gorbitis", "Zanpro gave gorb inflammation. Then green cough came."
# The last chemical is none that the base or the pipeline knows.
DEV = f"""1|t|{TITLE}
1|a|{REST}
1	0	8	Zanfolin	Chemical	D3
1	13	21	gorbitis	Disease	D1
1	CID	D3	D1

2|t|Quibrox and gorbitis.
2|a|Zanfolin and green cough.
2	CID	D3	D4
2	CID	D9	D1

3|t|Nothing.
3|a|At all.
"""
WORDS = {"zanfolin": "DRUG", "zanpro": "DRUG", "gorbitis": "DISEASE",
         "gorb inflammation": "DISEASE", "green cough": "SYMPTOM"}  # fmt: skip
SEEN = []


@spacy.Language.component("cli_test_cid")
def join_first(doc):
    """The first drug caused the first disease; it treats the first symptom."""
    first = {}
    for entity in doc.ents:
        first.setdefault(entity.label_, entity.text)
    named = (("DISEASE", "ADVERSE_EFFECT"), ("SYMPTOM", "TREATS"))
    links = [(first["DRUG"], first[tail], label) for tail, label in named
             if {"DRUG", tail} <= set(first)]  # fmt: skip
    SEEN.append(doc.text)
    return annotate(doc, links)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": label, "pattern": words} for words, label in WORDS.items()])
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("cli_test_cid", name=NAME)
    folder = tmp_path_factory.mktemp("cid") / "nlp"
    nlp.to_disk(folder)
    return folder


def make_base(folder, vocabulary):
    table = write_table(folder / "concepts.csv", TABLE.replace("X:", f"{vocabulary}:D"))
    write_base(read_source(table), folder / "kb")
    return folder / "kb"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("mesh"), "MESH")


@pytest.fixture
def data(tmp_path):
    (tmp_path / FILE).write_text(DEV, "utf8")
    return tmp_path


def score(pipeline, base, data, *options):
    arguments = ["cid-score", pipeline, base, "--data", data, *options]
    return CliRunner().invoke(app, [str(one) for one in arguments])


def scored(data, *args):
    result = score(*args, data, "--output", data / "r.json")
    assert result.exit_code == 0, result.output
    return json.loads((data / "r.json").read_text("utf8")), result


def values(row):
    return {name: row[name]["value"] for name in ("precision", "recall", "f")}


def test_pairs_of_concepts(pipeline, base, data):
    found, result = scored(data, pipeline, base)
    row, together = found["rows"]["pipeline"], found["rows"]["same sentence"]
    # D3 D1 of the first note, by another name than the gold's mention; the second note has D3 D1,
    # which is wrong; of its own pairs one was called TREATS, one has a chemical that nobody knows
    assert values(row) == pytest.approx({"precision": 0.5, "recall": 1 / 3, "f": 0.4})
    assert row["n_gold"] == together["n_gold"] == 3
    assert len(row["thresholds"]) == 2 and "thresholds" not in together
    # in one sentence: D3 D1 once, D3 D4 of the second note
    assert values(together) == pytest.approx({"precision": 1.0, "recall": 2 / 3, "f": 0.8})
    for score_ in (row["f"], together["f"]):
        assert 0 <= score_["low"] <= score_["value"] <= score_["high"] <= 1
    assert (found["corpus"], found["part"], found["n_notes"]) == ("bc5cdr", "dev", 3)
    texts = f"{TITLE}\n{REST}Quibrox and gorbitis.\nZanfolin and green cough.Nothing.\nAt all."
    assert found["data_sha256"] == sha256_of(texts)
    assert found["protocol"].startswith("document level") and found["base"]["concepts"] == 6
    lines = [line.split() for line in result.stdout.splitlines()]
    assert any(line[:4] == ["pipeline", "50.0", "33.3", "40.0"] for line in lines)
    assert any(line[:5] == ["same", "sentence", "100.0", "66.7", "80.0"] for line in lines)


def test_the_component_gives_all_that_it_has(pipeline, base, data):
    """Thresholds are chosen here, from pairs of low probability too."""
    scored(data, pipeline, base)
    assert join_first.thresholds == {"ADVERSE_EFFECT": 0.01}


def test_a_base_of_other_ids_links_nothing(pipeline, tmp_path, data):
    (tmp_path / "other").mkdir()
    found, _ = scored(data, pipeline, make_base(tmp_path / "other", "RXNORM"))
    for row in found["rows"].values():
        assert values(row) == {"precision": 0.0, "recall": 0.0, "f": 0.0} and row["n_gold"] == 3


def test_limit_and_part(pipeline, base, data):
    (data / "CDR_TestSet.PubTator.txt").write_text("9|t|Zanpro.\n9|a|Gorbitis.\n", "utf8")
    for options, expected in (
        (("--limit", 1), [f"{TITLE}\n{REST}"]),
        (("--part", "test"), ["Zanpro.\nGorbitis."]),
    ):
        SEEN.clear()
        result = score(pipeline, base, data, *options)
        assert result.exit_code == 0, result.output
        assert [*SEEN] == expected


def test_refused(pipeline, base, data, tmp_path):
    spacy.blank("en").to_disk(tmp_path / "bare")
    (data / "CDR_TestSet.PubTator.txt").write_text("\n\n", "utf8")
    for name, kb, folder, options, message in (
        (tmp_path / "bare", base, data, (), f"has no component '{NAME}'"),
        (pipeline, tmp_path / "none", data, (), "No such file or folder"),
        (pipeline, base, tmp_path / "none", (), "No such file or folder"),
        (pipeline, tmp_path / "bare", data, (), "No knowledge base in"),
        (pipeline, base, data, ("--part", "train"), "CDR_TrainingSet"),
        (pipeline, base, data, ("--part", "den"), "expected parts"),
        (pipeline, base, data, ("--part", "test"), "No note to score"),
    ):
        result = score(name, kb, folder, *options)
        assert result.exit_code == 1 and message in result.stderr, (message, result.output)
