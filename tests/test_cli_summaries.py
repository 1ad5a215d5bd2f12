import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import SpanGroup
from typer.testing import CliRunner

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.cli import app
from clinbert_spacy.cli_summaries import _budgets, split_sentences, summarise
from clinbert_spacy.corpora.summaries import Summarised
from clinbert_spacy.evaluation.summary_rows import GOLD, LEAD, ORACLE, RANDOM, RANK

from .corpora.toy_summaries import write_mas, write_notes, write_reports
from .toy_told import make_central, numbers

PLAIN = {LEAD, RANDOM, RANK, ORACLE}


@Language.component("summaries_test_last")
def choose_last(doc):
    """The last two sentences, the later one first."""
    chosen = list(doc.sents)[-2:][::-1]
    doc.spans[SUMMARY_KEY] = SpanGroup(doc, spans=chosen)
    return doc


@pytest.fixture
def pipeline(tmp_path):
    return save(tmp_path, "clinbert_sentences", "summaries_test_last")


def save(tmp_path, *components):
    nlp = spacy.blank("en", meta={"name": "toy", "version": "1.2.3"})
    for name in components:
        nlp.add_pipe(name)
    nlp.to_disk(tmp_path / "nlp")
    return tmp_path / "nlp"


def run(*arguments):
    return CliRunner().invoke(app, ["summary-score", *map(str, arguments)])


def test_a_pipeline_beside_the_rows(pipeline, tmp_path):
    output = tmp_path / "out.json"
    data = write_notes(tmp_path / "notes", summary=(3,))
    done = run(pipeline, "--data", data, "--output", output)
    assert done.exit_code == 0, done.output
    record = json.loads(output.read_text("utf8"))
    assert set(record["rows"]) == {"pipeline", GOLD, *PLAIN}
    assert all(name in done.stdout for name in record["rows"])
    row = record["rows"]["pipeline"]
    # INR 3.1 is gold in one of two notes; the cough is not
    assert row["choice"]["recall"]["value"] == 1 and row["choice"]["precision"]["value"] == 0.25
    assert row["sentences"] == 2 and record["rows"][LEAD]["sentences"] == 0.5
    assert record["pipeline"]["version"] == "1.2.3" and record["budget"] == "gold"
    assert record["n_facts"] == 4 and "naproxen" not in output.read_text("utf8") + done.output


def test_rows_as_long_as_the_pipeline_was(pipeline, tmp_path):
    output = tmp_path / "out.json"
    data = write_notes(tmp_path / "notes")
    done = run(pipeline, "--data", data, "--budget", "pipeline", "--output", output)
    assert done.exit_code == 0, done.output
    rows = json.loads(output.read_text("utf8"))["rows"]
    assert [rows[name]["sentences"] for name in ("pipeline", LEAD, RANDOM, RANK)] == [2] * 4
    done = run("--data", data, "--budget", "pipeline")
    assert done.exit_code == 1 and "there is none; give one, or another budget" in done.stderr


@pytest.mark.parametrize(
    ("corpus", "write", "budget", "n_texts", "words"),
    [
        ("mediqa_mas", write_mas, "gold", 2, 3.5),
        ("mediqa_mas", write_mas, "3w", 2, 2.5),
        ("radiology", lambda path: write_reports(path), "1", 2, 3.0),
        ("radiology", lambda path: write_reports(path), "50%", 2, 3.0),
        ("notes", write_notes, "0", 2, 0.0),
    ],
)
def test_rows_alone(tmp_path, corpus, write, budget, n_texts, words):
    output = tmp_path / "out.json"
    data = write(tmp_path / "data")
    done = run("--data", data, "--corpus", corpus, "--budget", budget, "--output", output)
    assert done.exit_code == 0, done.output
    record = json.loads(output.read_text("utf8"))
    assert set(record["rows"]) - {GOLD} == PLAIN and "pipeline" not in record
    assert (record["n_notes"], record["rows"][LEAD]["words"]) == (n_texts, words)
    assert f"{n_texts} texts of {corpus}" in done.stdout


def test_first_texts_alone(tmp_path):
    output = tmp_path / "out.json"
    path = write_reports(tmp_path / "reports.json")
    done = run("--data", path, "--corpus", "radiology", "--budget", "1", "--limit", 1,
               "--output", output)  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(output.read_text("utf8"))
    assert (record["n_notes"], record["limit"], record["data"]) == (1, 1, "reports.json")


def test_a_pipeline_without_summaries_and_its_remedy(tmp_path):
    data = write_notes(tmp_path / "notes")
    done = run(save(tmp_path, "clinbert_sentences"), "--data", data)
    assert done.exit_code == 1 and "writes no doc.spans['clinbert_summary']" in done.stderr
    assert "clinbert_sentences. Give one with the component" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "mts"], "expected one of notes, mediqa_mas, radiology"),
        (["--budget", "all"], "Budget of a summary is 'all'"),
        (["--encoding", "klingon"], "Unknown encoding 'klingon'"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, message):
    done = run("--data", write_notes(tmp_path / "notes"), *arguments)
    assert done.exit_code == 1 and message in done.stderr
    done = run("--data", tmp_path / "nowhere", *arguments)
    assert done.exit_code == 1 and "No such file or folder" in done.stderr


def test_sentences_are_those_of_the_component():
    text = "Plan:\n- Stopped naproxen.  No cough. Dr. Who\n\n- INR 3.1 "
    found = [text[start:end].strip() for start, end in split_sentences(text)]
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    assert found == [sent.text.strip() for sent in nlp(text).sents] and len(found) > 2
    assert split_sentences("") == []


# Budgets of single texts

TEXTS = [
    Summarised("a", "One. Two and more. Three.", ((0, 4), (5, 18), (19, 25)), "", (0, 2)),
    Summarised("b", "Four. Five is five.", (), "Five."),
    Summarised("c", "Six.", ((0, 4),), "", ()),
]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("gold", ["2", "1w", "0"]), ("pipeline", ["", "", ""]), ("3", ["3"] * 3),
        ("50w", ["50w"] * 3), ("20%", ["20%"] * 3), ("33.3%", ["33.3%"] * 3), ("0", ["0"] * 3),
        ("1000000w", ["1000000w"] * 3), ("33.3333333%", ["33.3333333%"] * 3),
    ],
)  # fmt: skip
def test_budgets_as_the_component_reads_them(budget, expected):
    assert _budgets(TEXTS, budget) == expected


@pytest.mark.parametrize(
    ("budgets", "counts"),
    [
        (["2", "1w", "0"], [2, 1, 0]), (["9", "9", "9"], [3, 2, 1]), (["34%"] * 3, [1, 1, 1]),
        (["", "", ""], [1, 1, 1]), ([], [1, 1, 1]),
    ],
)  # fmt: skip
def test_each_text_gets_its_budget(budgets, counts):
    nlp = make_central("1")
    for size in (1, 3):
        found = summarise(nlp, TEXTS, size, budgets)
        assert [len(spans) for spans in found] == counts
    assert all(spans == sorted(spans) for spans in found)
    assert nlp.pipe_names == ["clinbert_sentences", SUMMARY_KEY]


def test_a_text_is_summarised_as_the_pipeline_alone_would():
    found = summarise(make_central("3"), TEXTS, 2, ["1"] * 3)
    nlp = make_central("1")
    docs = [nlp(item.text) for item in TEXTS]
    assert found == [[(s.start_char, s.end_char) for s in doc._.clinbert_summary] for doc in docs]
    assert [len(numbers(doc)) for doc in docs] == [1, 1, 1]


def test_our_component_is_measured_under_the_budget_of_the_gold(tmp_path):
    make_central("100%").to_disk(tmp_path / "nlp")
    data, output = write_notes(tmp_path / "notes", summary=(0, 3)), tmp_path / "out.json"
    for budget, sentences in (("gold", 1.0), ("1", 1.0), ("100%", 4.0), ("pipeline", 4.0)):
        done = run(tmp_path / "nlp", "--data", data, "--budget", budget, "--output", output)
        assert done.exit_code == 0, done.output
        rows = json.loads(output.read_text("utf8"))["rows"]
        assert rows["pipeline"]["sentences"] == sentences
        assert rows[LEAD]["sentences"] <= sentences
