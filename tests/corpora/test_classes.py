import pytest

from clinbert_spacy.corpora.classes import (
    ClassifiedText,
    check_parts,
    drop_known,
    part_texts,
    settle,
)
from clinbert_spacy.corpora.files import CorpusError

from .toy_documents import prose

ORDER = ("A", "B", "C")


def text(name, words, *classes, group=None):
    return ClassifiedText(name, words, classes, group or name)


def test_the_same_text_is_one_with_all_its_classes():
    near = f"{prose(1)} again"
    texts = [text("1", prose(1), "B"), text("2", near, "A"), text("3", prose(2), "C")]
    first, other = settle(texts, "near", False, ORDER)
    assert first == text("1", prose(1), "A", "B") and other == texts[2]
    assert [t.id for t in settle(texts, "equal", False, ORDER)] == ["1", "2", "3"]
    assert {t.group for t in settle(texts, "equal", False, ORDER)} == {"1", "3"}


def test_an_exclusive_class_that_is_told_twice_is_left_out():
    texts = [text("1", prose(1), "B"), text("2", prose(1), "A"), text("3", prose(2), "C")]
    assert settle(texts, "near", True, ORDER) == [texts[2]]
    agreed = [texts[0], text("2", prose(1), "B")]
    assert settle(agreed, "near", True, ORDER) == [texts[0]]


def test_patients_and_passages_make_one_group():
    shared = prose(9, 25)
    texts = [
        text("1", prose(1), "A", group="p"), text("2", f"{prose(2, 60)} {shared}", "A", group="p"),
        text("3", f"{prose(3, 60)} {shared}", "B"), text("4", prose(4), "B"),
    ]  # fmt: skip
    assert [t.group for t in settle(texts, "near", True, ORDER)] == ["p", "p", "p", "4"]
    assert settle(texts, "patients", True, ORDER) == texts


def test_what_is_scored_elsewhere_is_not_trained_on():
    shared = prose(9, 25)
    held_out = [text("h", f"{prose(5, 60)} {shared}", "A"), text("i", prose(6), "B", group="p")]
    texts = [
        text("1", f"{prose(1, 60)} {shared}", "A"), text("2", prose(6), "B"),
        text("3", prose(3), "A", group="p"), text("4", prose(4), "A"),
    ]  # fmt: skip
    assert [t.id for t in drop_known(texts, held_out, "near")] == ["4"]
    assert [t.id for t in drop_known(texts, held_out, "patients")] == ["1", "2", "4"]


def test_no_group_is_in_two_parts():
    texts = [text(str(i), prose(i), "A", group=f"p{i // 3}") for i in range(90)]
    seen = set()
    for fold in range(3):
        parts = part_texts(texts, fold, 3)
        groups = [{t.group for t in found} for found in parts.values()]
        assert all(groups) and sum(map(len, groups)) == len(set().union(*groups)) == 30
        assert sorted(int(t.id) for found in parts.values() for t in found) == list(range(90))
        assert parts["dev"] == part_texts(texts, (fold + 1) % 3, 3)["held_out"]
        seen |= {t.id for t in parts["held_out"]}
    assert len(seen) == 90


def test_with_another_part_to_score_the_fold_is_trained_on():
    texts = [text(str(i), prose(i), "A") for i in range(40)]
    usual, other = part_texts(texts, 1, 4), part_texts(texts, 1, 4, texts[:2])
    assert other["held_out"] == texts[:2] and other["dev"] == usual["dev"]
    assert set(other["train"]) == {*usual["train"], *usual["held_out"]}


def test_empty_parts_are_named():
    parts = part_texts([], 0, 3)
    check_parts(parts, (), "x.csv")
    with pytest.raises(CorpusError, match="x.csv: expected texts in 'dev', found none"):
        check_parts({**parts, "train": [text("1", "x", "A")]}, ("train", "dev"), "x.csv")
