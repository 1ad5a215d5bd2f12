"""Candidate pairs: types that fit, near each other, a fixed number a head."""

import time

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from clinbert_spacy.pipeline.candidates import (
    RELATIONS,
    Typed,
    allowed_by_types,
    begins_of,
    check_ends,
    evidence_of,
    once_a_statement,
    propose,
    sentence_numbers,
    type_entities,
)

NLP = spacy.blank("en")
TABLE = {"AE": [["DRUG"], ["PROBLEM", "TEST"]], "TREATS": [["DRUG"], ["PROBLEM"]],
         "LIKE": [["DRUG"], ["DRUG"]]}  # fmt: skip


def make_doc(length, breaks=()):
    starts = [i == 0 or i in breaks for i in range(length)]
    return Doc(NLP.vocab, words=["w"] * length, sent_starts=starts)


def typed(doc, rows):
    return type_entities([Span(doc, a, b, label=label) for a, b, label in rows], TABLE, {})


def brute(doc, entities, table, window, most):
    """The same by all pairs: slow, and plain to see."""
    number = sentence_numbers(doc)
    found = set()
    for h, head in enumerate(entities):
        for label in {one.label for one in entities}:
            allowed = [
                i for i, (heads, tails) in enumerate(table.values())
                if head.label in heads and label in tails
            ]  # fmt: skip
            near = [
                (max(tail.span.start - head.span.end, head.span.start - tail.span.end, 0), t)
                for t, tail in enumerate(entities)
                if t != h and tail.label == label and allowed
                and abs(int(number[tail.span.start]) - int(number[head.span.start])) <= window
            ]  # fmt: skip
            found |= {(h, t, tuple(allowed)) for _, t in sorted(near)[:most]}
    return sorted(found)


@st.composite
def notes(draw):
    """Docs with entities, nested and overlapping ones too."""
    length = draw(st.integers(1, 30))
    doc = make_doc(length, draw(st.sets(st.integers(1, 30), max_size=6)))
    span = st.tuples(st.integers(0, length - 1), st.integers(1, 9), st.sampled_from(
        ["DRUG", "PROBLEM", "TEST", "OTHER"]
    ))  # fmt: skip
    rows = [(a, min(a + n, length), label) for a, n, label in draw(st.lists(span, max_size=12))]
    return doc, typed(doc, rows)


@settings(max_examples=300)
@given(notes(), st.integers(0, 4), st.integers(0, 3))
def test_equals_all_pairs_sifted(note, window, most):
    doc, entities = note
    pairs = propose(doc, entities, TABLE, window, most)
    assert [tuple(pair) for pair in pairs] == brute(doc, entities, TABLE, window, most)
    assert all(pair.head != pair.tail for pair in pairs)
    heads = {pair.head for pair in pairs}
    assert len(pairs) <= len(heads) * 3 * most


def words(pairs):
    return [(pair.head, pair.tail) for pair in pairs]


def test_nearest_first_on_both_sides():
    doc = make_doc(20)
    rows = [(a, a + 1, "PROBLEM") for a in (0, 5, 9, 12, 19)]
    entities = typed(doc, [*rows, (8, 9, "DRUG")])
    drug = 2
    found = [words(propose(doc, entities, TABLE, 0, most)) for most in range(6)]
    nearest = [3, 1, 4, 0, 5]  # gaps of 0, 2, 3, 7 and 10
    for most, pairs in enumerate(found):
        assert pairs == sorted((drug, tail) for tail in nearest[:most])


def test_what_reaches_nearer_is_nearer():
    """A long entity that began earlier may end later than the one inside it."""
    doc = make_doc(14)
    entities = typed(doc, [(0, 10, "PROBLEM"), (1, 2, "PROBLEM"), (11, 12, "DRUG")])
    assert words(propose(doc, entities, TABLE, 0, 1)) == [(2, 0)]
    assert words(propose(doc, entities, TABLE, 0, 2)) == [(2, 0), (2, 1)]


def test_window_counts_sentences_on_both_sides():
    doc = make_doc(10, breaks=(2, 4, 6, 8))
    entities = typed(doc, [(a, a + 1, "DRUG" if a == 4 else "PROBLEM") for a in range(0, 10, 2)])
    assert words(propose(doc, entities, TABLE, 0, 9)) == []
    assert words(propose(doc, entities, TABLE, 1, 9)) == [(2, 1), (2, 3)]
    assert words(propose(doc, entities, TABLE, 2, 9)) == [(2, 0), (2, 1), (2, 3), (2, 4)]


def test_most_is_of_each_label():
    doc = make_doc(9)
    rows = [(i, i + 1, "PROBLEM" if i % 2 else "TEST") for i in range(1, 9)]
    entities = typed(doc, [(0, 1, "DRUG"), *rows])
    assert words(propose(doc, entities, TABLE, 0, 1)) == [(0, 1), (0, 2)]
    assert len(propose(doc, entities, TABLE, 0, 3)) == 6


def test_one_type_at_both_ends_goes_both_ways_and_never_to_itself():
    doc = make_doc(4)
    entities = typed(doc, [(0, 1, "DRUG"), (1, 2, "DRUG"), (3, 4, "DRUG")])
    found = words(propose(doc, entities, TABLE, 0, 9))
    assert found == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_pairs_are_directed_by_types_and_know_what_is_allowed():
    doc = make_doc(3)
    entities = typed(doc, [(0, 1, "PROBLEM"), (1, 2, "DRUG"), (2, 3, "TEST")])
    found = propose(doc, entities, TABLE, 0, 9)
    assert [tuple(pair) for pair in found] == [(1, 0, (0, 1)), (1, 2, (0,))]


def test_pairs_grow_with_entities_and_not_with_their_square():
    counts = []
    for n in (200, 400, 800):
        doc = make_doc(n)
        entities = typed(doc, [(i, i + 1, "DRUG" if i % 2 else "PROBLEM") for i in range(n)])
        start = time.perf_counter()
        counts.append(sum(len(pair.allowed) == 2 for pair in propose(doc, entities, TABLE, 9, 5)))
        assert time.perf_counter() - start < 5.0
    assert counts == [100 * 5, 200 * 5, 400 * 5]


@pytest.mark.parametrize("rows", [[], [(0, 1, "DRUG")], [(0, 1, "PROBLEM"), (1, 2, "TEST")]])
def test_nothing_to_pair(rows):
    assert propose(make_doc(2), typed(make_doc(2), rows), TABLE, 2, 12) == []
    assert propose(make_doc(0), [], TABLE, 2, 12) == []


def test_types_of_other_components():
    doc = make_doc(6)
    spans = [
        Span(doc, a, b, label=label)
        for a, b, label in (
            (4, 5, "SIGN"), (0, 2, "CHEMICAL"), (0, 1, "DRUG"), (0, 1, "DRUG"), (3, 4, "PERSON"),
        )
    ]  # fmt: skip
    found = type_entities(spans, TABLE, {"CHEMICAL": "DRUG", "SIGN": "PROBLEM"})
    assert [(one.span.start, one.span.end, one.label) for one in found] == [
        (0, 1, "DRUG"), (0, 2, "DRUG"), (4, 5, "PROBLEM"),
    ]  # fmt: skip
    assert found[1].span.label_ == "CHEMICAL"  # the entity itself keeps its label
    mapped_away = type_entities(spans, TABLE, {"DRUG": "SUBSTANCE"})
    assert mapped_away == []


def test_sentences_are_numbered():
    assert sentence_numbers(make_doc(5, breaks=(2, 4))).tolist() == [1, 1, 2, 2, 3]


def test_the_table_turned_round():
    assert allowed_by_types(TABLE) == {
        ("DRUG", "PROBLEM"): (0, 1), ("DRUG", "TEST"): (0,), ("DRUG", "DRUG"): (2,),
    }  # fmt: skip
    assert allowed_by_types(RELATIONS)["DRUG", "TEST"] == (0,)


@pytest.mark.parametrize(
    "table", [{}, {"AE": [["DRUG"]]}, {"AE": [["DRUG"], []]}, {"AE": [["A"], ["B"], ["C"]]}]
)
def test_broken_tables(table):
    with pytest.raises(ValueError, match="expected for each relation the labels of its heads"):
        check_ends(table)
    check_ends(RELATIONS)


def test_entities_out_of_order_are_sorted():
    doc = make_doc(8)
    rows = [(6, 7, "PROBLEM"), (0, 1, "PROBLEM"), (3, 4, "DRUG")]
    entities = typed(doc, rows)
    assert [one.span.start for one in entities] == [0, 3, 6]
    assert isinstance(entities[0], Typed)
    assert words(propose(doc, entities, TABLE, 0, 1)) == [(1, 0)]  # both 2 away: the left one


def test_evidence_is_the_sentences_of_both_ends():
    begins = begins_of(make_doc(9, breaks=(3, 6)))
    assert begins == [0, 3, 6, 9] and begins_of(make_doc(0)) == [0]
    assert evidence_of(begins, [7, 2], 4) == {"evidence": [[0, 3], [6, 9]], "cue": [4, 5]}
    assert evidence_of(begins, [3, 5], -1) == {"evidence": [[3, 6]], "cue": []}


def test_a_long_note_is_paired_block_by_block(monkeypatch):
    doc = make_doc(40)
    entities = typed(doc, [(i, i + 1, "DRUG" if i % 3 else "PROBLEM") for i in range(40)])
    expected = propose(doc, entities, TABLE, 1, 4)
    monkeypatch.setattr("clinbert_spacy.pipeline.candidates.AT_ONCE", 50)
    assert propose(doc, entities, TABLE, 1, 4) == expected


def test_one_pair_a_statement():
    words = dict(enumerate(["amoxicillin", "rash", "amoxicillin", "rash", "fever"]))
    rows = [
        {"head": head, "tail": tail, "label": label, "score": score}
        for head, tail, label, score in (
            (0, 1, "ADVERSE_EFFECT", 0.9), (2, 1, "ADVERSE_EFFECT", 0.4),
            (2, 3, "ADVERSE_EFFECT", 0.8), (2, 4, "ADVERSE_EFFECT", 0.3),
            (0, 1, "HAS_FORM", 0.9), (2, 1, "HAS_FORM", 0.4),
        )
    ]  # fmt: skip
    kept = once_a_statement(rows, words, ["ADVERSE_EFFECT"])
    assert [(row["head"], row["tail"], row["label"]) for row in kept] == [
        (0, 1, "ADVERSE_EFFECT"), (2, 3, "ADVERSE_EFFECT"), (2, 4, "ADVERSE_EFFECT"),
        (0, 1, "HAS_FORM"), (2, 1, "HAS_FORM"),
    ]  # fmt: skip
    assert once_a_statement(rows, words, []) == rows
