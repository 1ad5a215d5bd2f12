"""`clinbert_summary`: what a summary may cost, facts counted, words as vectors, gold sentences."""

import re

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.corpora.silver import measure as measure_silver
from clinbert_spacy.corpora.silver import parse_budget as parse_silver
from clinbert_spacy.pipeline.summary import gold_sentences, measure, parse_budget, word_vectors
from clinbert_spacy.pipeline.summary_facts import KINDS, Telling, kinds_told
from tests.pipeline.test_summary import NOTE, texts
from tests.toy_told import NAME, make_central, make_example, split

FACTS = st.lists(
    st.builds(
        Telling, st.sampled_from(KINDS), st.tuples(st.sampled_from("xy")),
        st.frozensets(st.integers(0, 4), min_size=1, max_size=2),
    ),
    max_size=12,
)  # fmt: skip

# Budgets


@pytest.mark.parametrize(
    ("budget", "n"),
    [
        ("0", 0), ("1", 1), ("5", 5), ("6", 6), ("999", 6), (4, 4), ("2.0", 2), (" 3 ", 3),
        ("0%", 0), ("1%", 1), ("16.6%", 1), ("33%", 1), ("34%", 2), ("50 %", 3), ("100%", 6),
        ("0w", 0), ("1w", 0), ("2w", 1), ("4w", 1), ("5w", 2), ("22w", 6), ("9999999w", 6),
    ],
)  # fmt: skip
def test_budgets(budget, n):
    doc = make_central(budget)(NOTE)
    assert len(texts(doc)) == n
    unit = str(budget).strip()
    if unit.endswith("w"):
        assert sum(len(text.split()) for text in texts(doc)) <= float(unit[:-1])


@pytest.mark.parametrize(
    "budget", ["", "w", "%", "five", "-1", -1, "1.5", "2.5w", "101%", "5 words", "1e3", "5w%",
               "gold", "inf", "nan", "9" * 400, True],
)  # fmt: skip
def test_malformed_budgets_are_refused_by_name(budget):
    with pytest.raises(ValueError, match=re.escape(f"budget = '{budget}': expected e.g. '5'")):
        parse_budget(budget)
    component = make_central("3").get_pipe(NAME)
    with pytest.raises(ValueError, match="budget = "):
        component.budget = budget
    assert component.budget == "3"
    with pytest.raises(ValueError, match="budget"):
        make_central(budget)


@given(st.integers(0, 2000), st.integers(0, 1000), st.sampled_from(["", "w", "%"]))
def test_costs_and_limits_are_those_of_the_silver_summaries(n, amount, unit):
    """The same budget means the same to the component and to the rows it is scored beside."""
    budget = f"{amount / 10:g}%" if unit == "%" else f"{amount}{unit}"
    doc = split("One two. Three.\n\nFour")
    sentences = list(doc.sents) * (n % 7)
    own = measure([s.text for s in sentences] and sentences, budget)
    assert own == measure_silver([s.text for s in sentences], parse_silver(budget))
    many = measure(["x"] * n if unit != "w" else [], budget)[1]
    assert many == measure_silver(["x"] * n, parse_silver(budget))[1]


def test_a_share_is_not_cut_by_rounding():
    assert measure(["x"] * 1000, "65.1%")[1] == 651 and 1000 * 65.1 / 100 < 651


# Facts


@given(FACTS)
def test_each_fact_is_told_for_the_first_time_once(tellings):
    """However often it is told; all sentences that tell it together are the first to do so."""
    counts, first = kinds_told(tellings, 5), {}
    assert counts.shape == (5, 16) and counts.dtype == numpy.float32
    for one in tellings:
        first.setdefault(one.fact, one)
    for i in range(5):
        for column, kind in enumerate(KINDS):
            for offset, among in ((0, tellings), (len(KINDS), first.values())):
                expected = sum(one.kind == kind and i in one.sentences for one in among)
                assert counts[i, column + offset] == expected


def test_facts_across_sentences_count_for_both():
    tellings = [Telling("side_effect", ("a", "b"), frozenset(place)) for place in ([0, 2], [1])]
    counts = kinds_told(tellings, 3)
    assert counts[:, 0].tolist() == [1, 1, 1] and counts[:, len(KINDS)].tolist() == [1, 0, 1]
    assert counts.sum() == 5 and kinds_told([], 0).shape == (0, 16)


def test_the_same_words_of_another_kind_are_another_fact():
    tellings = [Telling(kind, ("a",), frozenset([0])) for kind in ("problem", "drug", "drug")]
    counts = kinds_told(tellings, 1)[0]
    columns = [KINDS.index("problem"), KINDS.index("drug")]
    assert counts[columns].tolist() == [1, 2]
    assert counts[[len(KINDS) + column for column in columns]].tolist() == [1, 1]


# Words and gold sentences


def test_vectors_of_words():
    doc = split("Cough, cough 38.\nNo cough.\n...\nFever 38.")
    rows = word_vectors(list(doc.sents))
    assert rows.shape == (4, 4)  # 38, cough, fever, no
    assert numpy.allclose((rows**2).sum(axis=1), [1, 1, 0, 1])
    likeness = rows @ rows.T
    assert likeness[0, 1] > 0 and likeness[0, 3] > 0 and likeness[1, 3] == 0
    # what stands in fewer sentences counts more
    assert rows[1, 3] > rows[1, 1] and rows[3, 2] > rows[3, 0]
    assert word_vectors([]).shape == (0, 0)


def test_likeness_is_what_sentences_do_not_all_share():
    """Vectors of an encoder lie close together."""
    component = make_central("2", redundancy=0.5).get_pipe(NAME)
    doc = split("One.\nTwo.\nThree.\nFour.")
    component.ask(doc)
    vectors = numpy.array([[9, 1, 0], [9, 1, 0], [9, -1, 0], [9, -1, 0]], dtype="float32")
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    component.set_annotations([doc], [(numpy.array([1.0, 0.8, 0.6, 0.5]), vectors)])
    assert texts(doc) == ["One.", "Three."]


def gold_of(text, gold, spans):
    """For predicted sentences, as places of the text."""
    nlp = spacy.blank("en")
    example = make_example(nlp, text, gold)
    doc = example.predicted
    found = [doc.char_span(*place) for place in spans]
    assert None not in found
    doc.spans[SUMMARY_KEY] = SpanGroup(doc, spans=found)
    return gold_sentences(example).tolist()


TEXT = "One two three. Four five six.\n\n\n        \n          Seven."
END = TEXT.index("Seven.")


@pytest.mark.parametrize(
    ("gold", "spans", "expected"),
    [
        (["One two three."], [(0, 14), (15, 29)], [1, 0]),
        (["One two three."], [(0, 7), (8, 29)], [1, 0]),  # 6 of 17 letters
        (["two three. Four"], [(0, 14), (15, 29)], [1, 0]),
        (["Seven."], [(0, 29), (29, len(TEXT))], [0, 1]),
        (["Four five six."], [(0, 14), (15, END)], [0, 1]),  # white space does not count
        (["One two three. Four five six."], [(0, 14), (15, 29), (END, END + 6)], [1, 1, 0]),
        ([], [(0, 14), (15, 29)], [0, 0]),
        (None, [(0, 14), (15, 29)], [-1, -1]),
        (["One", "three."], [(0, 14)], [1]),
        (["Seven."], [(29, END)], [0]),  # white space alone
        ([TEXT[29:END]], [(15, END)], [0]),
    ],
)
def test_gold_sentences_under_other_bounds(gold, spans, expected):
    assert gold_of(TEXT, gold, spans) == expected


def test_exactly_half_is_enough():
    assert gold_of("abcd efgh", ["abcd"], [(0, 9)]) == [1]
    assert gold_of("abcd efghi", ["abcd"], [(0, 10)]) == [0]


def test_tokens_of_the_reference_may_differ():
    nlp = spacy.blank("en")
    predicted = nlp.make_doc("One. Two.")
    reference = Doc(nlp.vocab, words=["One", ".", "Two", "."], spaces=[False, True, False, False])
    reference.spans[SUMMARY_KEY] = [reference[2:4]]
    predicted.spans[SUMMARY_KEY] = [predicted[:2], predicted[2:]]
    assert gold_sentences(Example(predicted, reference)).tolist() == [0, 1]
