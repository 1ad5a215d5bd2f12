"""`PairReader` says what `RelationNet` says, whatever the notes."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Span

from clinbert_spacy.nets.pair_reader import max_of_ranges
from tests.toy_relations import LABELS, make_component, number_doc

COMPONENT = make_component([])


def random_note(seed: int, length: int, n_entities: int):
    """Entities may be nested, overlap, be long, and stand far apart."""
    rng = numpy.random.default_rng(seed)
    doc = number_doc(length, [], breaks=rng.integers(1, length + 1, length // 40).tolist())
    sizes = rng.choice([1, 1, 2, 3, 60], n_entities).tolist()
    firsts = rng.integers(0, max(length, 1), n_entities).tolist()
    labels = rng.choice(LABELS, n_entities).tolist()
    spans = zip(firsts, sizes, labels)
    return doc, [Span(doc, a, min(a + n, length), label=label) for a, n, label in spans]


def both_ways(notes):
    for doc, spans in notes:
        COMPONENT.ask(doc, spans)
    docs = [doc for doc, _ in notes]
    windows, _ = COMPONENT.model.begin_update(docs)
    return windows, COMPONENT.model.predict(docs)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 30)), min_size=1, max_size=4),
    st.sampled_from([1, 5, 64]),
)
def test_equals_what_is_learned(seed, sizes, at_once):
    notes = [random_note(seed + i, *size) for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clinbert_spacy.models.pair_parts.AT_ONCE", at_once)
        learned, read = both_ways(notes)
    assert read.counts == learned.counts and (read.allowed == learned.allowed).all()
    assert numpy.allclose(read.scores, learned.scores, atol=1e-4)
    assert read.focus.tolist() == learned.focus.tolist()


def test_far_ends_are_read_without_what_is_between():
    ends = [(0, 1, "DRUG"), (2000, 2001, "SYMPTOM"), (1000, 1001, "DISEASE")]
    doc = number_doc(2001, ends)
    learned, read = both_ways([(doc, list(doc.ents)), (number_doc(0, []), [])])
    assert numpy.allclose(read.scores, learned.scores, atol=1e-5) and read.counts == [2, 0]
    assert read.focus.tolist() == learned.focus.tolist()


@given(st.integers(0, 10**6), st.integers(1, 80))
def test_greatest_of_ranges(seed, length):
    rng = numpy.random.default_rng(seed)
    rows = torch.from_numpy(rng.normal(size=(length, 3)))
    ranges = rng.integers(0, length + 1, (6, 4))
    found = max_of_ranges(rows, torch.from_numpy(ranges))
    for row, (a, b, c, d) in zip(found, ranges.tolist()):
        inside = torch.cat([rows[a:b], rows[c:d], torch.full((1, 3), -torch.inf)])
        assert torch.equal(row, inside.amax(0))


def test_no_ranges():
    assert max_of_ranges(torch.zeros(4, 3), torch.zeros((0, 4), dtype=torch.long)).shape == (0, 3)
