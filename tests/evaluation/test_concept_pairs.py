"""Pairs of concepts of a document."""

import pytest

from clinbert_spacy.evaluation.concept_pairs import (
    ConceptPair,
    Document,
    best_of_mentions,
    count,
    score_as_given,
    score_documents,
)

A, B, C, D = (("MESH:A",), ("MESH:B",), ("MESH:C",), ("MESH:D", "OMIM:1"))


def test_the_best_mention_pair_counts():
    rows = [(A, B, 0.2), (A, B, 0.7), (A, C, 0.4)]
    assert best_of_mentions(rows) == [ConceptPair(A, B, 0.7), ConceptPair(A, C, 0.4)]


def test_a_gold_pair_is_found_once_and_by_any_id():
    gold = {("MESH:A", "OMIM:1"), ("MESH:A", "MESH:B")}
    found = [ConceptPair(A, D, 0.9), ConceptPair(A, ("MESH:X", "OMIM:1"), 0.8),
             ConceptPair(A, C, 0.9), ConceptPair(A, B, 0.1)]  # fmt: skip
    counts = count(Document("1", gold, found), 0.5)
    assert (counts.tp, counts.fp, counts.fn) == (1, 1, 1)


def test_each_half_has_the_threshold_of_the_other():
    right, wrong = {("MESH:A", "MESH:B")}, ConceptPair(A, C, 0.5)
    documents = [
        Document(str(i), right, [ConceptPair(A, B, 0.9 if i % 2 else 0.6), wrong])
        for i in range(6)
    ]
    found = score_documents(documents)
    # the first half is best from 0.51 on, the second one as well: no wrong pair, none missed
    assert found["f"]["value"] == 1.0 and found["thresholds"] == [0.51, 0.51]
    assert score_as_given(documents)["precision"]["value"] == pytest.approx(0.5)


def test_documents_without_pairs():
    found = score_documents([Document("1", set(), []), Document("2", set(), [])])
    assert found["f"]["value"] == 0.0 and found["n_gold"] == 0
