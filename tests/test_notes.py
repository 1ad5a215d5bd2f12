"""The notes that ship: every layer legal, parts apart from each other and from public text."""

import json
import os
import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from clinbert_spacy.attributes import AXES, CAUSALITIES, KINDS
from clinbert_spacy.corpora.checks import find_faults
from clinbert_spacy.corpora.dedupe import word_runs
from clinbert_spacy.corpora.layers import CHAPTERS, ENCOUNTERS, read_notes
from clinbert_spacy.corpora.links import ALL as RELATIONS
from clinbert_spacy.corpora.offsets import read_offsets, read_texts
from clinbert_spacy.corpora.rows import read_rows
from clinbert_spacy.corpora.schema import PRODUCT_LABELS
from clinbert_spacy.corpora.snippets import read_snippets
from clinbert_spacy.evaluation.agreement import compare
from clinbert_spacy.evaluation.inventory import (
    count_layers,
    effects_of,
    names_of,
    unseen_share,
)
from clinbert_spacy.evaluation.smell_items import read_items
from clinbert_spacy.training.section_texts import Variation, marked_parts, write

ROOT = Path(__file__).parent.parent
NOTES = ROOT / "assets" / "notes"
PARTS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def parts():
    return {part: list(read_notes(NOTES / part)) for part in PARTS}


@pytest.mark.parametrize("part", PARTS)
def test_no_faults(parts, part):
    assert {note.id: faults for note in parts[part] if (faults := find_faults(note))} == {}


def test_there_are_enough_of_them(parts):
    every = [note for notes in parts.values() for note in notes]
    sizes = count_layers(every)["size"]
    assert [len(parts[part]) >= n for part, n in zip(PARTS, (160, 30, 70))] == [True] * 3
    assert sizes["words"] >= 60_000 and sizes["notes over 2000 words"] >= 10
    assert sizes["kinds of note"] >= 16 and sizes["specialties"] >= 14
    assert len(names_of(every, "DRUG")) >= 250 and len(effects_of(every)) >= 200
    assert {note.meta["layers"].encounter for note in every} == set(ENCOUNTERS)
    assert len({note.id for note in every}) == len({note.text for note in every}) == len(every)


def test_the_test_part_holds_enough_of_each_thing(parts):
    counts = count_layers(parts["test"])
    assert {k: n for k, n in counts["entities"].items() if n < 40} == {}
    for axis in ("presence", "experiencer", "time"):
        assert {k: n for k, n in counts[axis].items() if n < 30} == {}
    assert counts["relations"]["ADVERSE_EFFECT"] >= 60 and counts["relations"]["TREATS"] >= 60
    assert counts["adverse effects"]["hard negatives"] >= 60
    assert counts["adverse effects"]["present reactions"] >= 60


def test_most_of_the_test_part_was_not_seen_in_training(parts):
    assert unseen_share(parts["train"], parts["test"]) >= 0.4


def test_no_two_parts_share_a_run_of_twelve_words(parts):
    runs = {part: set().union(*(word_runs(n.text) for n in notes)) for part, notes in parts.items()}
    for left, right in combinations(PARTS, 2):
        assert not runs[left] & runs[right], f"{left} and {right}"


@pytest.fixture(scope="module")
def snippets():
    folder = NOTES / "snippets"
    return {part: list(read_snippets(folder / f"{part}.jsonl")) for part in ("train", "dev")}


@pytest.fixture(scope="module")
def pairs():
    folder = NOTES / "snippets"
    return {part: list(read_snippets(folder / f"pairs_{part}.jsonl")) for part in ("train", "dev")}


@pytest.fixture(scope="module")
def excerpts():
    return list(read_snippets(NOTES / "snippets" / "excerpts.jsonl"))


def test_there_are_enough_excerpts_of_each_thing(excerpts):
    labels = Counter(mention.label for note in excerpts for mention in note.mentions)
    assert set(labels) == set(PRODUCT_LABELS) and min(labels.values()) >= 150
    relations = Counter(relation.label for note in excerpts for relation in note.relations)
    assert set(relations) == set(RELATIONS) and min(relations.values()) >= 150
    assert len({note.id for note in excerpts}) == len({note.text for note in excerpts}) == 325


def test_what_is_said_of_excerpts_as_a_whole_is_legal(excerpts):
    lines = (NOTES / "snippets" / "excerpts.jsonl").read_text("utf8").splitlines()
    for note, row in zip(excerpts, map(json.loads, lines), strict=True):
        assert row["encounter"] in ("", *ENCOUNTERS)
        assert row["chapters"] == [name for name in CHAPTERS if name in row["chapters"]]
        places = [tuple(place) for place in row["summary"]]
        assert places and places == sorted(set(places))
        chosen = [note.text[start:end] for start, end in places]
        assert all(words and words == words.strip() for words in chosen)
        assert sum(map(len, chosen)) < 0.7 * len(note.text)


def test_there_are_enough_pairs_of_each_thing(pairs):
    relations = [relation for note in pairs["train"] for relation in note.relations]
    said = Counter(value for relation in relations for value in relation.attributes.values())
    assert min(said[value] for value in (*CAUSALITIES, *KINDS)) >= 25
    assert Counter(relation.label for relation in relations)["TREATS"] >= 500
    assert sum(not note.relations for note in pairs["train"]) >= 30
    assert sum(len(notes) for notes in pairs.values()) == 995


def test_there_are_enough_snippets_of_each_thing(snippets):
    mentions = [mention for note in snippets["train"] for mention in note.mentions]
    values = Counter(value for mention in mentions for value in mention.attributes.values())
    rare = {v: values[v] for axis in AXES.values() for v in axis if values[v] < 30}
    assert rare == {}
    statuses = (values[status] for status in AXES["drug_status"])
    assert min(statuses) >= 200
    ids = [note.id for notes in snippets.values() for note in notes]
    assert len(ids) == len(set(ids)) == 1460


@pytest.fixture(scope="module")
def encounters():
    return list(read_snippets(NOTES / "snippets" / "encounters.jsonl"))


def test_encounters_are_of_every_kind_and_have_a_summary(encounters):
    lines = (NOTES / "snippets" / "encounters.jsonl").read_text("utf8").splitlines()
    rows = [json.loads(line) for line in lines]
    counts = Counter(row["encounter"] for row in rows)
    assert set(counts) == set(ENCOUNTERS) and min(counts.values()) >= 100
    assert len({note.id for note in encounters}) == len({note.text for note in encounters}) == 602
    for note, row in zip(encounters, rows, strict=True):
        assert not note.mentions and note.text == row["note"]
        chosen = [note.text[start:end] for start, end in row["summary"]]
        assert chosen and all(text == text.strip() != "" for text in chosen)


def test_names_of_problems_cover_every_chapter():
    path = NOTES / "snippets" / "problem_names.csv"
    rows = [row for _, row in read_rows(path, ("name", "chapter"))]
    counts = Counter(row["chapter"] for row in rows)
    assert set(counts) == set(CHAPTERS) and min(counts.values()) >= 40
    assert len({row["name"].lower() for row in rows}) == len(rows) == 4444


def test_what_only_trains_shares_no_run_of_words_with_what_judges(
    parts, snippets, pairs, excerpts, encounters
):
    marked = marked_parts(NOTES / "snippets" / "sections.jsonl")
    texts = [write(found, Variation(original=1.0), random.Random(0))[0] for found in marked]
    assert len(texts) == 240
    texts += [note.text for found in (snippets, pairs) for note in found["train"]]
    texts += [note.text for note in (*excerpts, *encounters)]
    judged = [note.text for part in ("dev", "test") for note in parts[part]]
    judged += [item.text for item in read_items().items]
    judged += [note.text for found in (snippets, pairs) for note in found["dev"]]
    ours, theirs = (set().union(*map(word_runs, group)) for group in (texts, judged))
    assert not ours & theirs


def test_the_two_annotations_cover_what_they_should(parts):
    texts = [note.text for part in ("dev", "test") for note in parts[part]]
    first, second = (
        read_offsets(NOTES / "double" / f"{name}.jsonl", texts) for name in ("first", "second")
    )
    assert {note.text for note in first} == set(texts)
    rows = {row.layer: row for row in compare(first, second)}
    assert 0.5 < rows["entities"].value < 1.0
    assert 0.0 < rows["presence"].value < 1.0


def test_offsets_alone_carry_no_text():
    for path in (NOTES / "out_of_style.jsonl", *(NOTES / "double").glob("*.jsonl")):
        assert '"text"' not in path.read_text("utf8")


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
class TestBesidePublicText:
    def public(self):
        folder = Path(os.environ["CLINBERT_CORPORA"])
        yield folder / "mtsamples" / "mtsamples.csv"
        yield from folder.rglob("*.txt")
        yield from folder.rglob("*.PubTator")
        yield from folder.rglob("*.rel")

    def test_no_note_copies_public_text(self, parts):
        ours = {note.id: word_runs(note.text) for notes in parts.values() for note in notes}
        every = set().union(*ours.values())
        shared = Counter()
        for path in self.public():
            found = word_runs(path.read_text("utf8", errors="replace")) & every
            shared.update(name for name, runs in ours.items() if runs & found)
        assert shared == {}

    def test_the_out_of_style_notes_stand_on_their_texts(self):
        folder = Path(os.environ["CLINBERT_CORPORA"]) / "mtsamples"
        texts = read_texts([folder], "transcription")
        notes = read_offsets(NOTES / "out_of_style.jsonl", texts)
        assert len(notes) == 20
        assert {note.id: faults for note in notes if (faults := find_faults(note))} == {}

