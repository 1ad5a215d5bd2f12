import os
from collections import Counter
from pathlib import Path

import pytest
import spacy

from clinbert_spacy.corpora.documents import (
    SOURCES,
    create_document_classes,
    find_source,
    read_documents,
    take_documents,
)
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.splits import PARTS

from .toy_documents import prose, toy_abstracts, write_abstracts, write_notes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy_abstracts(tmp_path_factory.mktemp("documents") / "a")


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


def read(nlp, path, part="train", corpus="medical_abstracts", **settings):
    return list(create_document_classes(corpus, str(path), part, **settings)(nlp))


def test_no_text_and_no_near_duplicate_is_in_two_parts(tmp_path):
    twins = [(1 + i % 3, f"{prose(i)} {end}") for i in range(30) for end in ("one", "two")]
    shared = [(1, f"{prose(100 + i, 60)} {prose(99, 25)}") for i in range(8)]
    path = write_abstracts(tmp_path / "a", [*twins, *shared])
    for fold in range(3):
        parts = take_documents("medical_abstracts", path, fold, 3)
        texts = {text.text for found in parts.values() for text in found}
        assert texts == {text for _, text in [*twins[::2], *shared]}
        assert sum(map(len, parts.values())) == 38 and all(parts.values())
        with_passage = [p for p, found in parts.items() for t in found if prose(99, 25) in t.text]
        assert len(with_passage) == 8 and len(set(with_passage)) == 1


def test_every_class_is_given_0_or_1(nlp, folder):
    examples = read(nlp, folder)
    texts = take_documents("medical_abstracts", folder)["train"]
    assert [example.reference.text for example in examples] == [text.text for text in texts]
    for example, text in zip(examples, texts, strict=True):
        assert len(example.reference.cats) == 5 and not example.predicted.cats
        assert [name for name, x in example.reference.cats.items() if x] == list(text.classes)
    # two classes have no example anywhere: they are zeros, not gaps
    assert Counter(sum(e.reference.cats.values()) for e in examples) == {1.0: len(examples)}
    make = spacy.registry.readers.get("clinbert.DocumentClasses.v1")
    assert make("medical_abstracts", folder, "dev")(nlp)


def test_every_setting_changes_something(nlp, folder):
    def texts(**settings):
        return [e.reference.text for e in read(nlp, folder, **settings)]

    plain = texts()
    assert texts(fold=1) != plain != texts(folds=7)
    assert texts(part="dev") != texts(part="held_out")
    assert len(texts(limit=5)) == 5 and texts(limit=5, seed=1) != texts(limit=5)
    assert set(texts(limit=5)) <= set(plain)
    shuffled = texts(shuffle=True)
    assert sorted(shuffled) == sorted(plain) and shuffled != plain != texts(shuffle=True, seed=1)
    reader = create_document_classes("medical_abstracts", folder, "train", shuffle=True)
    first, second = ([e.reference.text for e in reader(nlp)] for _ in range(2))
    assert sorted(first) == sorted(second) and first != second
    with pytest.raises(CorpusError, match="of the encoding that was given"):
        texts(encoding="utf-16")


def test_tasks_and_titles_of_notes(nlp, tmp_path):
    notes = [(f"n{i}", "CLINIC LETTER", prose(i), "visit", ["IX"]) for i in range(20)]
    path = write_notes(tmp_path / "notes", notes)
    both, encounter = (read(nlp, path, corpus="notes", task=task)[0] for task in ("", "encounter"))
    assert len(both.reference.cats) == 24 and sum(both.reference.cats.values()) == 2
    assert len(encounter.reference.cats) == 5 and "CLINIC LETTER" in both.reference.text
    bare = read(nlp, path, corpus="notes", titles=False)
    assert bare and not any("CLINIC" in example.reference.text for example in bare)


def test_another_file_to_score(nlp, tmp_path):
    rows = [(1 + i % 2, prose(i)) for i in range(30)]
    path = write_abstracts(tmp_path / "a", rows)
    other = write_abstracts(tmp_path / "b", [(1, f"{prose(0)} again"), (2, prose(99))])
    found = take_documents("medical_abstracts", path, held_out=other)
    assert [t.text for t in found["held_out"]] == [f"{prose(0)} again", prose(99)]
    rest = {t.text for part in ("train", "dev") for t in found[part]}
    assert rest == {text for _, text in rows[1:]}
    examples = read(nlp, path, "held_out", held_out=str(other))
    assert [e.reference.text for e in examples] == [t.text for t in found["held_out"]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"part": "test"}, "Part of a fold is 'test': expected one of"),
        ({"part": "dev", "fold": 5}, "Fold 5 of 5"),
        ({"part": "dev", "folds": 2}, "3 folds or more"),
        ({"part": "dev", "folds": 5000}, "fold 0 of 5000: expected texts in 'dev', found none"),
        ({"part": "dev", "task": "colour"}, "Task of medical_abstracts is 'colour': expected one"),
        ({"part": "dev", "corpus": "novels"}, "Corpus is 'novels': expected one of"),
    ],
)
def test_what_is_not_there(nlp, folder, settings, message):
    with pytest.raises(CorpusError, match=message):
        read(nlp, folder, **settings)


def test_long_documents_are_whole(nlp, tmp_path):
    rows = [(1 + i % 2, prose(i, 3000)) for i in range(8)]
    path = write_abstracts(tmp_path / "a", rows)
    examples = [e for part in PARTS for e in read(nlp, path, part, folds=3)]
    assert {e.reference.text for e in examples} == {text for _, text in rows}


def test_two_classes_name_the_one_looked_for():
    for name, source in SOURCES.items():
        assert find_source(name)[1] in source.tasks
        for task, classes in source.tasks.items():
            assert len(set(classes)) == len(classes) > 1
            two = len(classes) == 2 and task in source.exclusive
            assert bool(source.positive) == two and (not two or source.positive in classes)


@pytest.mark.corpora
@pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set")
@pytest.mark.parametrize(
    ("corpus", "folder_name", "fewest"),
    [("medical_abstracts", "medical_abstracts", 1800), ("mtsamples", "mtsamples", 1700),
     ("radiology", "mediqa2021_rrs", 1000)],
)  # fmt: skip
def test_the_public_corpora(corpus, folder_name, fewest):
    path = Path(os.environ["CLINBERT_CORPORA"]) / folder_name
    texts = read_documents(corpus, path)
    assert len({text.text for text in texts}) == len(texts) >= fewest
    source, task = find_source(corpus)
    count = Counter(name for text in texts for name in text.classes)
    assert set(count) == set(source.tasks[task]) and min(count.values()) >= 35
    parts = take_documents(corpus, path)
    assert min(map(len, parts.values())) > 150
