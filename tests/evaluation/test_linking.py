"""Scores of entity linking, from the counts to the command line."""

import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.evaluation.linking import EndToEnd, Judged, gold_ids, score_gold

from ..models.toy_kb import TABLE, write_table

ITEMS = [
    Judged("n1", "Disease", ("M:1",), [("M:1", "O:1")], ("M:1",)),
    Judged("n1", "Disease", ("O:1",), [("M:2",), ("M:1", "O:1")]),
    Judged("n2", "Disease", ("M:9",), [("M:2",)], answered=False),
    Judged("n2", "Disease", ("M:1", "M:2"), [("M:1",)]),
    Judged("n2", "Disease", (), [("M:1",)]),
    Judged("n2", "Chemical", ("M:3",), [], answered=False),
]
HELD = {"M:1", "O:1", "M:2", "M:3"}


def test_accuracy():
    row = score_gold(ITEMS, HELD)["Disease"]
    assert (row["mentions"], row["single"], row["composite"], row["unlinked"]) == (5, 3, 1, 1)
    assert row["accuracy_1"] == pytest.approx(1 / 3) and row["accuracy_5"] == pytest.approx(2 / 3)
    assert row["ceiling"] == pytest.approx(2 / 3) and row["accuracy_1_held"] == 0.5
    assert row["accuracy_1_strict"] == 0.25 and row["string_match"] == pytest.approx(1 / 3)
    assert row["answered"] == pytest.approx(2 / 3) and row["answered_right"] == 0.5
    assert row["composite_any"] == 1 and row["unlinked_answered"] == 1
    low, high = row["interval"]
    assert 0 <= low <= row["accuracy_1"] <= high <= 1


def test_every_label_and_all():
    rows = score_gold(ITEMS, HELD)
    assert set(rows) == {"Chemical", "Disease", "all"} and rows["all"]["mentions"] == 6
    assert rows["Chemical"]["accuracy_1"] == 0 and rows["Chemical"]["answered_right"] is None


def test_nothing_to_score():
    with pytest.raises(ValueError, match="No mention to score"):
        score_gold([], HELD)


def test_end_to_end():
    found = EndToEnd()
    gold = {
        (0, 3, "D"): ("M:1",),
        (4, 6, "D"): ("M:1", "M:2"),
        (7, 9, "D"): (),
        (10, 12, "D"): ("M:4",),
    }
    predicted = {
        (0, 3, "D"): ("M:1",),
        (4, 6, "D"): ("M:1",),
        (7, 9, "D"): ("M:3",),
        (1, 2, "D"): ("M:1",),
    }
    found.add(gold, predicted)
    row = found.row()
    assert (row["gold"], row["predicted"]) == (3, 3)
    assert row["precision"] == row["recall"] == row["f"] == pytest.approx(1 / 3)
    assert row["span_f"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("concepts", "expected"),
    [
        (("D001241",), ("MESH:D001241",)),
        (("OMIM:123456",), ("OMIM:123456",)),
        (("D001+D002",), ("MESH:D001", "MESH:D002")),
        ((" D008661",), ("MESH:D008661",)),
        ((), ()),
    ],
)
def test_ids(concepts, expected):
    assert gold_ids(concepts) == expected


NOTE = """1|t|Acute gorbitis and gorb inflammation
1|a|Multiple gorb sclerosis (MGS) was seen, then MGS again, and zanfolin.
1	0	14	Acute gorbitis	SpecificDisease	D2
1	19	36	gorb inflammation	SpecificDisease	D1
1	37	60	Multiple gorb sclerosis	SpecificDisease	D5
1	62	65	MGS	SpecificDisease	D5
1	82	85	MGS	SpecificDisease	D5
"""


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "ncbi"
    folder.mkdir()
    for name in ("NCBItrainset_corpus.txt", "NCBIdevelopset_corpus.txt"):
        (folder / name).write_text(NOTE, "utf8")
    return folder


@pytest.fixture
def base(tmp_path):
    table = TABLE.replace("X:", "MESH:D").replace("|MGS", "").replace(",MGS,", ",,")
    run("build-kb", write_table(tmp_path / "a.csv", table), tmp_path / "kb")
    return tmp_path / "kb"


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)))


def test_commands(corpus, base, tmp_path):
    done = run("link-fit", base, "--corpus", f"ncbi={corpus}")
    assert done.exit_code == 0, done.output
    ranker = json.loads((base / "ranker.json").read_text("utf8"))
    assert list(ranker["fitted_on"]) == ["ncbi:train"] and ranker["with_right_candidate"] == 5
    assert str(corpus) not in json.dumps(ranker)
    output = tmp_path / "score.json"
    done = run("link-score", base, "--corpus", "ncbi", "--data", corpus, "--output", output)
    assert done.exit_code == 0, done.output
    found = json.loads(output.read_text("utf8"))
    row = found["gold_mentions"]["all"]
    assert row["accuracy_1"] == 1 and row["ceiling"] == 1 and row["string_match"] == 0.6
    assert len(found["data_sha256"]) == 64 and found["base"]["concepts"] == 6


def test_end_to_end_of_a_pipeline(corpus, base, tmp_path):
    import spacy

    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    names = ("Acute gorbitis", "gorb inflammation", "Multiple gorb sclerosis", "MGS")
    ruler.add_patterns([{"label": "DISEASE", "pattern": name} for name in names])
    nlp.to_disk(tmp_path / "nlp")
    output = tmp_path / "score.json"
    options = ("--corpus", "ncbi", "--data", corpus, "--pipeline", tmp_path / "nlp")
    done = run("link-score", base, *options, "--output", output)
    assert done.exit_code == 0, done.output
    row = json.loads(output.read_text("utf8"))["end_to_end"]["all"]
    assert row["span_f"] == 1 and row["f"] == 1


def test_command_errors(corpus, base, tmp_path):
    done = run("link-score", tmp_path, "--corpus", "ncbi", "--data", corpus)
    assert done.exit_code == 1 and "No knowledge base" in done.output
    done = run("link-score", base, "--corpus", "other", "--data", corpus)
    assert done.exit_code == 1 and "Unknown corpus" in done.output
    done = run("link-score", base, "--corpus", "ncbi", "--data", corpus, "--part", "third")
    assert done.exit_code == 1 and "--part" in done.output
    done = run("link-fit", base, "--corpus", "ncbi")
    assert done.exit_code == 1 and "expected NAME=FOLDER" in done.output


def test_a_base_without_the_ids_cannot_be_fitted(corpus, tmp_path):
    run("build-kb", write_table(tmp_path / "a.csv"), tmp_path / "kb")
    done = run("link-fit", tmp_path / "kb", "--corpus", f"ncbi={corpus}", "--vocabulary", "X")
    assert done.exit_code == 1 and "right concept of none of 5 mentions" in done.output
