"""The items of the smell test: legal, distinct, apart from the notes; what the reader refuses."""

import copy
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from clinbert_spacy.corpora.dedupe import RunIndex
from clinbert_spacy.evaluation.smell_items import (
    CATEGORIES,
    ITEMS_FILE,
    KINDS,
    parse_item,
    read_items,
)

NOTES = Path(__file__).parent.parent.parent / "assets" / "notes"
SAFE = {
    "negated_enumerations", "family", "hypothetical", "allergy_list", "stopped_drug",
    "denied_effect",
}  # fmt: skip
RECORD = {
    "id": "toy-01",
    "category": "family",
    "text": "Zebulon's mother: cough on ramipril.",
    "targets": [[18, 23, "cough", ["SYMPTOM"]], [27, 35, "ramipril", ["DRUG"]]],
    "checks": [
        {"kind": "presence", "target": 0, "allowed": ["present"]},
        {"kind": "relation", "label": "ADVERSE_EFFECT", "head": 1, "tail": 0, "expected": True},
    ],
}


@pytest.fixture(scope="module")
def shipped():
    return read_items()


def words_of(text):
    return re.findall(r"[^\W_]+", text.lower())


def test_shipped_items_are_legal_and_enough(shipped):
    counts = Counter(item.category for item in shipped.items)
    assert set(counts) == set(CATEGORIES) and min(counts.values()) >= 20
    assert len(shipped.items) >= 260 and len(shipped.sha256) == 64
    kinds = Counter(check.kind for item in shipped.items for check in item.checks)
    assert set(kinds) == set(KINDS) and min(kinds.values()) >= 10
    for item in shipped.items:
        # silence alone passes no item
        assert any(check.kind != "no_entity" and check.expected for check in item.checks), item.id
        assert item.text.count("\n") <= 3 and len(item.text) <= 120, item.id
        for target in item.targets:
            assert target.words == target.words.strip(" .,;:()"), item.id
            before, after = item.text[target.start - 1 : target.start], item.text[target.end :][:1]
            assert not before.isalnum() and not after.isalnum(), item.id


def test_safety_categories(shipped):
    assert {name for name, safety in CATEGORIES.items() if safety} == SAFE
    in_safe = sum(item.category in SAFE for item in shipped.items)
    assert in_safe >= 120


def test_every_value_is_asked_for(shipped):
    asked = {
        (check.kind, value)
        for item in shipped.items
        for check in item.checks
        for value in check.allowed
        if len(check.allowed) == 1
    }
    wanted = {
        "presence": ["present", "absent", "possible", "conditional", "hypothetical"],
        "experiencer": ["patient", "family"],
        "time": ["current", "historical"],
        "drug_status": ["active", "started", "changed", "stopped", "held", "planned", "past",
                        "not_taken", "allergy"],
    }  # fmt: skip
    assert {(kind, value) for kind, values in wanted.items() for value in values} <= asked


def test_no_two_items_are_alike(shipped):
    bags = {item.id: set(words_of(item.text)) for item in shipped.items}
    alike = [
        (one, other)
        for one, other in combinations(bags, 2)
        if len(bags[one] & bags[other]) > 0.6 * len(bags[one] | bags[other])
    ]
    assert len({" ".join(words_of(item.text)) for item in shipped.items}) == len(bags)
    assert alike == []


def test_no_item_stands_in_the_notes(shipped):
    index = RunIndex(7)
    notes = [path.read_text("utf8") for path in sorted(NOTES.rglob("*.txt"))]
    assert len(notes) >= 260
    for item in shipped.items:
        index.add(item.text)
    flat = "\n".join(" ".join(words_of(note)) for note in notes)
    assert not any(index.find(note) for note in notes)
    assert [i.id for i in shipped.items if f" {' '.join(words_of(i.text))} " in flat] == []


def change(*path, to):
    record = copy.deepcopy(RECORD)
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = to
    return record


@pytest.mark.parametrize(
    "record, message",
    [
        (None, "expected fields"),
        ({**RECORD, "note": 1}, "expected fields"),
        (change("category", to="families"), "a category of"),
        (change("category", to=["family"]), "strings; two lists"),
        (change("text", to=""), "strings; two lists"),
        (change("checks", to=[]), "strings; two lists"),
        (change("targets", 0, to=[17, 22, "cough", ["SYMPTOM"]]), r"targets\[0\].*\[17, 22\]"),
        (change("targets", 0, 1, to=99), "offsets of the words"),
        (change("targets", 0, to=[18, 23, "cough"]), "another shape"),
        (change("targets", 0, 3, to=["COUGH"]), "expected labels of"),
        (change("targets", 0, 3, to=[]), "targets with labels"),
        (change("targets", 1, to=[20, 35, "ugh on ramipril", ["DRUG"]]), "two that overlap"),
        (change("checks", 0, "kind", to="mood"), "expected a kind of"),
        (change("checks", 0, "kind", to=["mood"]), "expected a kind of"),
        (change("checks", 0, "allowed", to=["gone"]), "allowed values of"),
        (change("checks", 0, "allowed", to=[]), "allowed values of"),
        (change("checks", 0, "allowed", to=[[]]), "allowed values of"),
        (change("checks", 0, "target", to=2), "numbers of targets, 0 to 1"),
        (change("checks", 1, "tail", to=True), "numbers of targets"),
        (change("checks", 1, "label", to="CAUSES"), "a label of"),
        (change("checks", 1, "label", to="HAS_VALUE"), "arguments labelled"),
        (change("checks", 1, "expected", to="yes"), "true or false"),
        (change("checks", 1, to=RECORD["checks"][0]), "a target without"),
    ],
)  # fmt: skip
def test_what_the_reader_refuses(record, message):
    assert parse_item(RECORD, "toy.jsonl:7").id == "toy-01"
    with pytest.raises(ValueError, match=message) as caught:
        parse_item(record, "toy.jsonl:7")
    assert str(caught.value).startswith("toy.jsonl:7")
    assert record is None or "toy-01" in str(caught.value)
    assert "Zebulon" not in str(caught.value)


def test_files(tmp_path):
    path = tmp_path / "toy.jsonl"
    with pytest.raises(ValueError, match=f"No file .*toy.jsonl.*{ITEMS_FILE}"):
        read_items(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="holds no item"):
        read_items(path)
    line = json.dumps(RECORD)
    path.write_text(f"{line}\n\n{line}\n")
    with pytest.raises(ValueError, match="toy.jsonl:3 .*toy-01.*a new id"):
        read_items(path)
    path.write_text(f"{line}\n{{\n")
    with pytest.raises(ValueError, match="toy.jsonl:2: expected fields"):
        read_items(path)
    path.write_text(line)
    found = read_items(path)
    assert found.name == "toy.jsonl" and [item.id for item in found.items] == ["toy-01"]
