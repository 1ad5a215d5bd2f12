import json

import pytest

from clinbert_spacy.corpora.dedupe import drop_overlaps, overlaps, word_runs
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.record import AnnotatedNote
from clinbert_spacy.corpora.splits import (
    fold_of,
    in_split,
    make_splits,
    read_excluded,
    read_splits,
    split_of,
    take_fold,
    take_part,
    write_excluded,
    write_splits,
)

WORDS = [f"word{i}" for i in range(60)]


def note(note_id, text, group="", corpus="x"):
    return AnnotatedNote(note_id, text, group=group, meta={"corpus": corpus})


def test_groups_stay_together_and_shares_hold():
    notes = [note(str(i), f"text {i}", f"patient{i // 3}") for i in range(3000)]
    splits = make_splits(notes, seed=1)
    by_group = {}
    for entry in splits.values():
        by_group.setdefault(entry["group"], set()).add(entry["split"])
    assert all(len(parts) == 1 for parts in by_group.values())
    train = sum(entry["split"] == "train" for entry in splits.values()) / 3000
    assert 0.75 < train < 0.85
    assert make_splits(notes, seed=1) == splits != make_splits(notes, seed=2)


def test_shares_are_checked():
    with pytest.raises(CorpusError, match="add up to 1"):
        split_of("a", shares={"train": 0.5})


def test_manifest_round_trip_and_changed_text(tmp_path):
    notes = [note("1", "one"), note("2", "two")]
    write_splits(make_splits(notes), tmp_path / "m.json")
    table = read_splits(tmp_path / "m.json")
    assert sum(in_split(notes[0], part, table) for part in ("train", "dev", "test")) == 1
    with pytest.raises(CorpusError, match="not the one that was split"):
        in_split(note("1", "changed"), "train", table)
    with pytest.raises(CorpusError, match="not found"):
        in_split(note("3", "new"), "train", table)
    (tmp_path / "bad.json").write_text(json.dumps({"notes": [{"id": 1}]}))
    with pytest.raises(CorpusError, match="another layout"):
        read_splits(tmp_path / "bad.json")


def test_manifest_is_small_and_without_text(tmp_path):
    notes = [note(str(i), f"secret {i}", f"p{i}") for i in range(3)]
    splits = make_splits(notes)
    write_splits(splits, tmp_path / "m.json")
    lines = (tmp_path / "m.json").read_text().splitlines()
    assert len(lines) == 5 and "secret" not in "".join(lines)
    assert json.loads(lines[1].rstrip(",")) == [
        "x", "0", "p0", splits["x", "0"]["sha256"], splits["x", "0"]["split"],
    ]  # fmt: skip
    assert read_splits(tmp_path / "m.json") == splits
    write_splits({}, tmp_path / "m.json")
    assert read_splits(tmp_path / "m.json") == {}


@pytest.mark.parametrize("rows", [[["x", "1"]], [{"id": 1}], [["x", "1", "g", 5, "dev"]], {}])
def test_broken_manifests(rows, tmp_path):
    write_splits({}, tmp_path / "m.json")
    value = {**json.loads((tmp_path / "m.json").read_text()), "notes": rows}
    (tmp_path / "m.json").write_text(json.dumps(value))
    with pytest.raises(CorpusError, match="another layout"):
        read_splits(tmp_path / "m.json")


def test_a_part_by_hash_and_by_manifest_is_the_same(tmp_path):
    notes = [note(str(i), f"text {i}") for i in range(50)]
    manifest = tmp_path / "m.json"
    write_splits(make_splits(notes), manifest)
    for part in ("train", "dev", "test"):
        assert take_part(notes, part) == take_part(notes, part, manifest)
    more = [*notes, *(note(f"new{i}", "unlisted") for i in range(50))]
    assert take_part(more, "train", manifest) == take_part(notes, "train")
    with pytest.raises(CorpusError, match="not the one that was split"):
        take_part([note("1", "changed")], "train", manifest)
    with pytest.raises(CorpusError, match="expected notes of 'y', found none"):
        take_part([note("1", "text 1", corpus="y")], "train", manifest)


def test_excluded_round_trip(tmp_path):
    write_excluded({("a", "2"), ("a", "1")}, tmp_path / "e.json", "why")
    assert read_excluded(tmp_path / "e.json") == {("a", "1"), ("a", "2")}
    (tmp_path / "e.json").write_text('{"excluded": ["a"]}')
    with pytest.raises(CorpusError, match="another layout"):
        read_excluded(tmp_path / "e.json")


def test_overlaps_by_note_pubmed_id_and_text():
    held = [note("1", " ".join(WORDS[:40]), "1234567", "held")]
    candidates = [
        note("1", "anything", "9", "held"),
        note("s1", "short", "1234567"),
        note("copy", "Before: " + " ".join(WORDS[10:24]).upper() + ", after", "7654321"),
        note("two_runs", " ".join(WORDS[10:23]), "7654322"),
        note("far", " ".join(WORDS[40:]), "7654323"),
        note("patient", "other", "p1"),
    ]
    assert overlaps(candidates, held) == {
        ("held", "1"): "held out",
        ("x", "s1"): "PubMed id",
        ("x", "copy"): "text",
    }
    assert [n.id for n in drop_overlaps(candidates, held)] == ["two_runs", "far", "patient"]


def test_word_runs_ignore_case_and_punctuation():
    assert word_runs("A, b c!", 2) == word_runs("a B-c", 2)
    assert word_runs("one two") == set()


def test_folds_are_fixed_and_of_one_size():
    # the figures of cross-validation stand on these
    assert [fold_of(name, 10) for name in ("10048291", "p1", "")] == [2, 2, 4]
    sizes = [0] * 5
    for i in range(5000):
        sizes[fold_of(f"patient{i}", 5)] += 1
    assert min(sizes) > 900 and fold_of("anything", 1) == 0


def test_a_fold_and_the_others():
    notes = [note(str(i), "text", f"patient{i // 3}") for i in range(90)]
    held_out = [list(take_fold(notes, fold, 4, True)) for fold in range(4)]
    assert sorted(int(n.id) for part in held_out for n in part) == list(range(90))
    groups = [{n.group for n in part} for part in held_out]
    assert all(groups) and sum(map(len, groups)) == 30
    for fold, part in enumerate(held_out):
        others = list(take_fold(notes, fold, 4, False))
        # in their order, each on one side
        assert sorted(others + part, key=lambda n: int(n.id)) == notes
        assert others == [n for n in notes if n not in part] and others != part


@pytest.mark.parametrize(("fold", "folds"), [(3, 3), (-1, 3), (0, 0), (0, -2)])
def test_folds_that_are_not_there(fold, folds):
    with pytest.raises(CorpusError, match=f"from 0 to {folds - 1}, found {fold}"):
        list(take_fold([note("1", "one")], fold, folds, True))
