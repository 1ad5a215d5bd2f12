import os
from collections import Counter
from pathlib import Path

import pytest
import spacy

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.sentences import (
    PARTS,
    create_sentence_classes,
    read_sentences,
    take_fold,
)

from .toy_ade import write_ade


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ade(tmp_path_factory.mktemp("ade"))


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def read(nlp, folder, part="train", **settings):
    return list(create_sentence_classes(folder, part, **settings)(nlp))


def test_each_text_once_and_positive_wins(tmp_path):
    folder = write_ade(tmp_path, 3)
    before = {s.text: s.positive for s in read_sentences(folder)}
    assert Counter(before.values()) == {False: 6, True: 3}
    positive = next(text for text, truth in before.items() if truth)
    with (folder / "ADE-NEG.txt").open("a") as file_:
        file_.write(f"999 NEG {positive}\n999 NEG {next(iter(before))}\n")
    (folder / "DRUG-DOSE.rel").write_text("999|Take 5 mg of x.|5 mg|5|9|x|13|14\n")
    sentences = list(read_sentences(folder))
    assert {s.text: s.positive for s in sentences} == before and len(sentences) == 9


def test_folds_part_the_papers(folder):
    whole = {s.id for s in read_sentences(folder)}
    held_out = Counter()
    for fold in range(4):
        parts = {part: take_fold(folder, part, fold, 4) for part in PARTS}
        papers = [{s.group for s in found} for found in parts.values()]
        assert sum(map(len, papers)) == len(set().union(*papers)) == 40
        assert {s.id for found in parts.values() for s in found} == whole
        held_out.update(s.id for s in parts["held_out"])
        assert parts["dev"] == take_fold(folder, "held_out", (fold + 1) % 4, 4)
    assert set(held_out) == whole and set(held_out.values()) == {1}


def test_reader_gives_both_classes(nlp, folder):
    examples = read(nlp, folder, folds=4)
    sentences = take_fold(folder, "train", 0, 4)
    assert [example.reference.text for example in examples] == [s.text for s in sentences]
    for example, sentence in zip(examples, sentences, strict=True):
        expected = {"ADE": float(sentence.positive), "OTHER": float(not sentence.positive)}
        assert example.reference.cats == expected and not example.predicted.cats
    make = spacy.registry.readers.get("clinbert.SentenceClasses.v1")
    n_dev = len(read(nlp, folder, "dev", folds=4))
    assert len(list(make(str(folder), "dev", folds=4)(nlp))) == n_dev


def test_every_setting_changes_something(nlp, folder):
    def ids(**settings):
        return [e.reference.text for e in read(nlp, folder, **{"folds": 4, **settings})]

    plain = ids()
    assert ids(fold=1) != plain != ids(folds=5)
    assert ids(limit=5, seed=1) != ids(limit=5) and len(ids(limit=5)) == 5
    assert set(ids(limit=5)) <= set(plain)
    shuffled = ids(shuffle=True)
    assert sorted(shuffled) == sorted(plain) and shuffled != plain != ids(shuffle=True, seed=1)
    reader = create_sentence_classes(folder, "train", folds=4, shuffle=True)
    first, second = ([e.reference.text for e in reader(nlp)] for _ in range(2))
    assert sorted(first) == sorted(second) and first != second
    with pytest.raises(CorpusError, match="expected 8 columns"):
        ids(encoding="utf-16")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"part": "test"}, "expected one of"),
        ({"part": "dev", "fold": 10}, "Fold 10 of 10"),
        ({"part": "dev", "folds": 2}, "3 folds or more"),
        ({"part": "dev", "folds": 5000}, "found none"),
    ],
)
def test_parts_that_are_not_there(folder, settings, message):
    with pytest.raises(CorpusError, match=message):
        take_fold(folder, **settings)


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
def test_the_corpus_in_folds():
    folder = Path(os.environ["CLINBERT_CORPORA"]) / "ade_corpus_v2"
    sentences = list(read_sentences(folder))
    texts = [s.text for s in sentences]
    assert len(set(texts)) == len(texts) > 15_000
    share = sum(s.positive for s in sentences) / len(sentences)
    assert 0.15 < share < 0.3
    sizes = [len(take_fold(folder, part)) for part in PARTS]
    assert sum(sizes) == len(sentences) and min(sizes[1:]) > 1_000
