"""Long notes are read block by block, and it makes no difference."""

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Span
from thinc.api import Model

from clinbert_spacy.models.blocks import in_blocks
from clinbert_spacy.models.ner import TokenTagger
from clinbert_spacy.models.textcat import judge
from clinbert_spacy.nets.assertion import EntityContext
from tests.models.toy_textcat import make_model, number_docs
from tests.toy_relations import LABELS, make_component, number_doc


@pytest.fixture
def block_of(monkeypatch):
    return lambda size: monkeypatch.setattr("clinbert_spacy.models.blocks.BLOCK", size)


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ([], []),
        ([9], [(0, 1)]),
        ([2, 2, 1], [(0, 2), (2, 3)]),
        ([1, 9, 1, 0, 3], [(0, 1), (1, 2), (2, 5)]),
    ],
)
def test_neighbours_are_grouped(block_of, sizes, expected):
    block_of(4)
    assert in_blocks(sizes) == expected


def random_notes(lengths):
    rng = numpy.random.default_rng(0)
    for length in lengths:
        doc = number_doc(length, [], breaks=range(1, length, 17))
        firsts = rng.integers(0, length, length // 8).tolist() if length else []
        ends = [min(first + rng.choice([1, 2, 50]), length) for first in firsts]
        labels = rng.choice(LABELS, len(firsts)).tolist()
        yield doc, [Span(doc, *row) for row in zip(firsts, ends, labels)]


@pytest.mark.parametrize("size", [1, 40, 300])
def test_relations(block_of, monkeypatch, size):
    monkeypatch.setattr("clinbert_spacy.models.pair_parts.AT_ONCE", 3)
    component = make_component([])
    docs = []
    for doc, spans in random_notes([400, 0, 90, 5, 200]):
        component.ask(doc, spans)
        docs.append(doc)
    whole = component.model.predict(docs)
    block_of(size)
    found = component.model.predict(docs)
    assert len(found.scores) > 50 and (found.focus >= 0).any()
    assert numpy.allclose(found.scores, whole.scores, atol=1e-5)
    assert found.focus.tolist() == whole.focus.tolist()


@pytest.mark.parametrize("config", [{}, {"n_grams": 64, "gated": True}])
@pytest.mark.parametrize("size", [1, 9])
def test_passages(block_of, config, size):
    model = make_model("Attention", **config)
    if config:
        torch.nn.init.normal_(model.shims[0]._model.bag.weight)
    whole, judged = model.predict(number_docs()), judge(model, number_docs())
    block_of(size)
    assert numpy.allclose(model.predict(number_docs()), whole, atol=1e-6)
    for one, other in zip(judge(model, number_docs()), judged):
        assert one.ranges == other.ranges
        assert all(numpy.allclose(a, b, atol=1e-6) for a, b in zip(one[1:], other[1:]))


def by_place(docs, width=6):
    return [numpy.sin(numpy.arange(len(d) * width, dtype="f")).reshape(-1, width) for d in docs]


@pytest.mark.parametrize("config", [{}, {"hidden": 5}, {"shapes": False, "char_filters": 0}])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_words(block_of, config, size):
    tok2vec = Model("rows", lambda _, X, is_train: (by_place(X), lambda d: d), dims={"nO": 6})
    model = TokenTagger(tok2vec, **{"char_filters": 4, **config})
    model.set_dim("nO", 2)
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(t) for t in ("rash after  aspirin or Rash , twice", "", "  ", "no fever")]
    model.initialize(X=docs[:1])
    whole = model.predict(docs).scores
    block_of(size)
    found = model.predict(docs).scores
    assert [len(one) for one in found] == [7, 0, 0, 2]
    assert all(numpy.allclose(a, b, atol=1e-6) for a, b in zip(found, whole))


def test_contexts_of_entities(monkeypatch):
    sizes = {"places": 3, "cues": 2, "labels": 2, "sections": 2, "rules": 2}
    net = EntityContext(6, 8, 2, sizes, 0.0, 0.0).eval()
    asked = {
        "window": torch.arange(20).view(4, 5), "mask": torch.ones(4, 5, dtype=torch.bool),
        "inside": torch.arange(5).expand(4, 5) == 2, "place": torch.arange(20).view(4, 5) % 3,
        "label": torch.tensor([0, 1, 1, 0]), "section": torch.tensor([1, 1, 0, 0]),
        "rule": torch.rand(4, 2), "cue": torch.rand(20, 2),
    }  # fmt: skip
    vectors = torch.rand(20, 6)
    with torch.inference_mode():
        whole = net(vectors, asked)
        monkeypatch.setattr("clinbert_spacy.nets.assertion.BLOCK", 7)
        assert torch.allclose(net(vectors, asked), whole, atol=1e-6)
