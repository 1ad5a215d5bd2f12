import csv

import pytest
import spacy
from pyarrow import parquet
from spacy.tokens import SpanGroup

from clinbert_spacy import attributes
from clinbert_spacy.interop.side_effect_rows import (
    ALLERGY,
    COLUMNS,
    CURRENT,
    POSSIBLE_CAUSE,
    columns_of,
    draw_by_drug,
    say_category,
    side_effect_rows,
    table_writer,
)

TEXT = "Rash after aspirin. On warfarin, INR was 9."


def write_group(doc, rows, types, status="found", values=None):
    """Fill the groups as `clinbert_side_effects` and `clinbert_assertion` do."""
    spans = [doc[start:end] for start, end, _ in types]
    doc.spans["clinbert_relations"] = SpanGroup(
        doc,
        name="clinbert_relations",
        attrs={"types": [x[2] for x in types], "relations": rows, "status": status},
        spans=spans,
    )
    if values is not None:
        doc.spans["clinbert_assertion"] = SpanGroup(
            doc,
            attrs={"values": values, "scores": [{}] * len(spans), "cues": [{}] * len(spans)},
            spans=spans,
        )
    return doc


def effect(head, tail, evidence, causality="stated", kind="reaction", score=0.912345):
    return {
        "head": head, "tail": tail, "label": "ADVERSE_EFFECT", "score": score,
        "causality": causality, "kind": kind, "evidence": evidence, "cue": [],
    }  # fmt: skip


@pytest.fixture
def doc():
    """Two side effects, the second of them a test with a value."""
    types = [
        (0, 1, "SYMPTOM"),
        (2, 3, "DRUG"),
        (5, 6, "DRUG"),
        (7, 8, "TEST"),
        (9, 10, "LAB_VALUE"),
    ]
    values = [{"presence": "absent"}, {"drug_status": "stopped"}, {}, {}, {}]
    rows = [
        effect(1, 0, [[0, 4]]),
        effect(2, 3, [[0, 4], [4, 11]], "possible"),
        {"head": 3, "tail": 4, "label": "HAS_VALUE", "score": 0.8},
    ]
    return write_group(spacy.blank("en")(TEXT), rows, types, values=values)


def test_a_row_a_pair(doc):
    first, second = side_effect_rows("n1", doc)
    assert first == {
        "note_id": "n1", "drug": "aspirin", "drug_start": 11, "drug_end": 18, "effect": "Rash",
        "effect_start": 0, "effect_end": 4, "current_reaction": False, "assertion": "absent",
        "causality": "stated", "kind": "reaction", "drug_status": "stopped", "score": 0.9123,
        "sentence_start": 0, "sentence_end": 19, "sentence": "Rash after aspirin.",
        "status": "found",
    }  # fmt: skip
    assert list(first) == list(columns_of(False))
    assert (second["effect"], second["current_reaction"]) == ("INR 9", True)
    assert TEXT[second["effect_start"] : second["effect_end"]] == "INR"
    assert TEXT[second["sentence_start"] : second["sentence_end"]] == second["sentence"] == TEXT


def test_marks(doc):
    rows = side_effect_rows("n1", doc, ["known", "unexpected"])
    assert [row["known"] for row in rows] == ["known", "unexpected"]
    assert list(rows[0]) == list(COLUMNS)


@pytest.mark.parametrize("status", ["none_above_threshold", "no_drug", "not_run"])
def test_an_empty_list_is_never_silence(status):
    doc = spacy.blank("en")("Nothing.")
    if status != "not_run":
        write_group(doc, [], [], status)
    (row,) = side_effect_rows("a\ud800", doc, [])
    assert (row.pop("note_id"), row.pop("status")) == ("a?", status)
    assert set(row.values()) == {None} and say_category({"drug": None}) is None


@pytest.mark.parametrize(
    ("values", "category"),
    [
        ({}, CURRENT),
        ({"causality": "possible"}, POSSIBLE_CAUSE),
        ({"current_reaction": False, "kind": "allergy"}, ALLERGY),
        ({"current_reaction": False, "drug_status": "allergy"}, ALLERGY),
        ({"current_reaction": False, "causality": "denied"}, "denied"),
        ({"current_reaction": False, "assertion": "hypothetical"}, "hypothetical"),
    ],
)
def test_categories(values, category):
    row = {
        "drug": "x", "current_reaction": True, "assertion": "present", "causality": "stated",
        "kind": "reaction", "drug_status": "active",
    }  # fmt: skip
    assert say_category({**row, **values}) == category


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables(doc, tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    rows = side_effect_rows("n,1\n\t", doc)
    with table_writer(path, columns_of(False)) as write:
        write(rows)
        write(side_effect_rows("n2", spacy.blank("en")("")))
        assert not path.exists()
    assert [x.name for x in tmp_path.iterdir()] == [path.name]
    if suffix == ".parquet":
        found = parquet.read_table(path).to_pylist()
        assert found[:2] == rows and found[2]["drug_start"] is None
        return
    with path.open(encoding="utf8", newline="") as file_:
        found = list(csv.DictReader(file_, delimiter="\t" if suffix == ".tsv" else ","))
    expected = [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    assert found[:2] == expected and found[2]["status"] == "not_run" and found[2]["drug"] == ""


def test_a_table_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(KeyError), table_writer(path, columns_of(False)):
        raise KeyError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with (
        pytest.raises(ValueError, match="expected a name that ends in one of .csv"),
        table_writer(tmp_path / "t.xlsx", columns_of(False)),
    ):
        pass


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    counts = {f"drug {i} $x_": {CURRENT: i, "absent": 1} for i in range(30)}
    draw_by_drug(counts, tmp_path / "p.svg", "For research.")
    draw_by_drug({}, tmp_path / "empty.png", "For research.")
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_every_value_has_a_category():
    from clinbert_spacy.interop.side_effect_rows import COLOURS

    assert set(attributes.PRIORITY) - {"present"} | {"denied", ALLERGY} < set(COLOURS)
