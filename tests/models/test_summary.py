"""`clinbert.SentenceScorer.v1` on vectors that no transformer made."""

import re

import numpy
import pytest
import torch
from spacy.tokens import SpanGroup

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.models.headings import section_names
from clinbert_spacy.models.summary import N_KINDS, SentenceScorer, _ask, _features
from clinbert_spacy.pipeline.summary_facts import KINDS, kinds_told
from tests.toy_relations import WIDTH, number_doc, vectors_of

# Length of a note and where its sentences begin.
NOTES = [(7, (3, 4)), (0, ()), (2, ()), (9, (1, 5, 6))]
COUNTS = [3, 0, 1, 4]
NOTHING = [0.0] * N_KINDS


def make_doc(length, breaks, name="w", sections=None, told=None):
    """A note whose sentences are asked about."""
    doc = number_doc(length, [], breaks, name)
    spans = list(doc.sents)
    attrs = {
        "sections": sections or [""] * len(spans),
        "told": told or [NOTHING for _ in spans],
    }
    doc.spans[SUMMARY_KEY] = SpanGroup(doc, name=SUMMARY_KEY, spans=spans, attrs=attrs)
    return doc


def make_docs(notes=NOTES):
    return [make_doc(*note, name=f"n{i}w") for i, note in enumerate(notes)]


def make_model(gradients=None, **config):
    torch.manual_seed(0)
    settings = {"hidden": 6, "dropout": 0.0, "hide": 0.0, **config}
    model = SentenceScorer(vectors_of([] if gradients is None else gradients), **settings)
    model.initialize(X=make_docs())
    # before any training, sections are all alike
    torch.nn.init.normal_(weights(model)["section.weight"])
    return model


def weights(model):
    return dict(model.shims[0]._model.named_parameters())


# Scores


def test_a_score_and_a_vector_for_each_sentence():
    model, docs = make_model(), make_docs()
    found = model.predict(docs)
    assert found.counts == COUNTS
    assert found.scores.shape == (8,) and found.vectors.shape == (8, WIDTH)
    rows = numpy.concatenate(model.get_ref("tok2vec").predict(docs))
    edges = [0, 3, 4, 7, 9, 10, 14, 15, 18]
    means = [rows[a:b].mean(axis=0) for a, b in zip(edges, edges[1:])]
    assert numpy.allclose(found.vectors, means, atol=1e-6)


def test_decoded_by_note():
    model, docs = make_model(), make_docs()
    found = model.predict(docs)
    decoded = model.attrs["decode"](model, found)
    assert [len(scores) for scores, _ in decoded] == COUNTS
    assert numpy.allclose(
        numpy.concatenate([scores for scores, _ in decoded]), 1 / (1 + numpy.exp(-found.scores))
    )
    assert numpy.allclose(numpy.concatenate([rows for _, rows in decoded]), found.vectors)


@pytest.mark.parametrize("size", [2, 4])
def test_alone_as_in_a_batch(size):
    model = make_model()
    alone = [float(x) for doc in make_docs() for x in model.predict([doc]).scores]
    docs = make_docs()
    parts = [model.predict(docs[i : i + size]).scores for i in range(0, 4, size)]
    assert numpy.allclose(numpy.concatenate(parts), alone, atol=1e-6)


@pytest.mark.parametrize("docs", [[(0, ())], [(0, ()), (0, ())]])
def test_notes_without_sentences(docs):
    gradients = []
    model = make_model(gradients)
    found, backprop = model.begin_update(make_docs(docs))
    assert found.counts == [0] * len(docs) and found.scores.shape == (0,)
    loss, gradient = model.attrs["loss"](model, found, numpy.zeros(0, dtype="float32"))
    backprop(gradient)
    assert loss == 0.0 and [one.shape for one in gradients] == [(0, WIDTH)] * len(docs)
    decoded = model.attrs["decode"](model, found)
    assert [len(scores) for scores, _ in decoded] == [0] * len(docs)


# What is known of sentences


def test_places_and_lengths():
    doc = make_doc(7, (3, 4))
    rows = _features(doc.spans[SUMMARY_KEY], [3, 1, 3])
    assert rows.dtype == numpy.float32 and rows.shape == (3, N_KINDS + 4)
    assert not rows[:, :N_KINDS].any()
    assert numpy.allclose(rows[:, N_KINDS], [0, 1 / 3, 2 / 3])
    assert numpy.allclose(rows[:, N_KINDS + 1], [1, 1 / 2, 1 / 3])
    assert numpy.allclose(rows[:, N_KINDS + 2], [1 / 3, 1 / 2, 1])
    assert numpy.allclose(rows[:, N_KINDS + 3], numpy.log([4, 2, 4]) / 4)


def test_facts_and_sections():
    told = [[2.0, *NOTHING[1:]], NOTHING, [*NOTHING[1:], 1.0]]
    names = section_names()
    docs = [make_doc(2, ()), make_doc(7, (3, 4), sections=[names[0], "elsewhere", ""], told=told)]
    counts, arrays = _ask(docs)
    assert counts == [1, 3] and arrays["section"].tolist() == [0, 1, 0, 0]
    assert arrays["sentence"].tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 3]
    assert arrays["features"][1, 0] == pytest.approx(numpy.log(3))
    assert arrays["features"][3, N_KINDS - 1] == pytest.approx(numpy.log(2))
    rows = arrays["features"]
    assert rows.shape == (4, N_KINDS + 4) and numpy.count_nonzero(rows[:, :N_KINDS]) == 2


@pytest.mark.parametrize(
    ("known", "changed"),
    [
        ({"sections": ["plan", "", ""]}, 0),
        ({"told": [NOTHING, [1.0, *NOTHING[1:]], NOTHING]}, 1),
        ({"told": [NOTHING, NOTHING, [*NOTHING[1:], 1.0]]}, 2),
    ],
)
def test_what_is_known_changes_scores(known, changed):
    model = make_model()
    docs = [make_doc(7, (3, 4)), make_doc(7, (3, 4), **known)]
    one, other = (model.predict([doc]).scores for doc in docs)
    steps = numpy.abs(one - other)
    assert steps[changed] > 1e-3 and numpy.delete(steps, changed).max() < 1e-6


@pytest.mark.parametrize("n_kinds", [8, 15, 17, 32])
def test_other_kinds_than_those_of_the_network_are_refused(n_kinds):
    model, doc = make_model(), make_doc(7, (3, 4), told=[[0.0] * n_kinds] * 3)
    message = re.escape(f"attrs['told'] has the shape (3, {n_kinds}), expected (3, 16)")
    for run in (model.predict, model.begin_update):
        with pytest.raises(ValueError, match=message):
            run([make_doc(2, ()), doc])


def test_counts_of_fewer_sentences_are_refused():
    """Twice as many kinds of half of the sentences are as many numbers."""
    doc = make_doc(7, (3,), told=[[0.0] * 2 * N_KINDS])
    with pytest.raises(ValueError, match=r"has the shape \(1, 32\), expected \(2, 16\)"):
        make_model().predict([doc])
    with pytest.raises(ValueError, match=r"has the shape \(0,\), expected \(2, 16\)"):
        doc.spans[SUMMARY_KEY].attrs["told"] = []
        make_model().predict([doc])


def test_the_network_knows_the_kinds_that_the_component_counts():
    assert N_KINDS == kinds_told([], 1).shape[1] == 2 * len(KINDS)


# Learning


def cost(model, docs, gold):
    return model.attrs["loss"](model, model.predict(docs), gold)[0]


def learn(model, docs, gold):
    found, backprop = model.begin_update(docs)
    loss, gradient = model.attrs["loss"](model, found, gold)
    backprop(gradient)
    return loss, gradient


GOLD = numpy.array([1, 0, -1, 0, 1, 1, 1, 1], dtype="float32")


def test_the_loss_is_cross_entropy_over_what_belongs():
    model, docs = make_model(), make_docs()
    p = 1 / (1 + numpy.exp(-model.predict(docs).scores.astype("float64")))
    costs = -numpy.where(GOLD == 1, numpy.log(p), numpy.log(1 - p)) * (GOLD >= 0)
    loss, gradient = learn(model, docs, GOLD)
    assert loss == pytest.approx(costs.sum() / 5, rel=1e-5)
    assert numpy.allclose(gradient, (p - GOLD) * (GOLD >= 0) / 5, atol=1e-6)
    # of a few only, it does not grow
    few = numpy.where(numpy.arange(8) < 4, GOLD, 0).astype("float32")
    costs = -numpy.where(few == 1, numpy.log(p), numpy.log(1 - p)) * (few >= 0)
    assert learn(model, docs, few)[0] == pytest.approx(costs.sum() / 4, rel=1e-5)


def test_nothing_is_learned_of_what_is_unknown():
    gradients = []
    model = make_model(gradients)
    loss, gradient = learn(model, make_docs(), numpy.full(8, -1, dtype="float32"))
    assert loss == 0.0 and not gradient.any()
    assert not any(one.any() for one in gradients)
    assert not any(value.grad.abs().sum() for value in weights(model).values())


def test_a_note_without_gold_beside_one_with_it():
    gradients = []
    model, docs = make_model(gradients), make_docs()
    gold = numpy.array([-1, -1, -1, -1, 1, 0, 0, 0], dtype="float32")
    learn(model, docs, gold)
    assert [bool(one.any()) for one in gradients] == [False, False, False, True]
    alone = []
    other = make_model(alone)
    learn(other, docs[3:], gold[4:])
    assert numpy.allclose(gradients[3], alone[0], atol=1e-6)


def test_gradients_of_the_head_against_finite_differences():
    model, docs = make_model(), make_docs()
    learn(model, docs, GOLD)
    for name, weight in weights(model).items():
        slope = float(weight.grad.norm())
        direction, step, values = weight.grad / max(slope, 1e-12), 1e-2, []
        for sign in (1, -2):
            weight.data += sign * step * direction
            values.append(cost(model, docs, GOLD))
        weight.data += step * direction
        found = (values[0] - values[1]) / (2 * step)
        assert found == pytest.approx(slope, rel=2e-2, abs=1e-3), name


def test_gradients_of_the_tokens_against_finite_differences():
    gradients = []
    model, docs = make_model(gradients), make_docs()
    learn(model, docs, GOLD)
    assert [one.shape for one in gradients] == [(length, WIDTH) for length, _ in NOTES]
    leaf = model.get_ref("tok2vec")
    rows = leaf.predict(docs)
    rng = numpy.random.default_rng(0)
    for _ in range(5):
        ways = [rng.normal(size=row.shape).astype("f") for row in rows]
        expected = sum(float((way * one).sum()) for way, one in zip(ways, gradients))
        values = []
        # so small that no unit is switched on or off in between
        for step in (5e-4, -5e-4):
            moved = [row + step * way for row, way in zip(rows, ways)]
            leaf._func = lambda model, docs, is_train, moved=moved: (moved, lambda found: docs)
            values.append(cost(model, docs, GOLD))
        assert (values[0] - values[1]) / 1e-3 == pytest.approx(expected, rel=3e-2, abs=3e-4)


@pytest.mark.parametrize("name", ["dropout", "hide"])
def test_prediction_is_not_left_to_chance(name):
    model, docs = make_model(**{name: 0.5}), make_docs()
    first, second = (model.predict(docs).scores for _ in range(2))
    assert numpy.array_equal(first, second)
    assert numpy.allclose(first, make_model().predict(docs).scores, atol=1e-6)
    trained = [model.begin_update(docs)[0].scores for _ in range(2)]
    assert not numpy.array_equal(*trained)


# Settings and saving


def test_every_setting_counts():
    sizes = {name: value.shape for name, value in weights(make_model()).items()}
    assert sizes["known.weight"] == (6, N_KINDS + 4)
    assert sizes["section.weight"] == (1 + len(section_names()), 1)
    assert weights(make_model(hidden=9))["output.weight"].shape == (1, 18)
    shim = make_model(lr_scale=3.0, dropout=0.25, hide=0.75).shims[0]
    assert shim.lr_scale == 3.0
    assert (shim._model.dropout.p, shim._model.hide.p) == (0.25, 0.75)
    assert SentenceScorer(vectors_of([])).shims[0].lr_scale == 10.0


def test_weights_survive_in_half_precision():
    model, docs = make_model(hidden=64), make_docs()
    fresh = SentenceScorer(vectors_of([]), hidden=64).from_bytes(model.to_bytes())
    assert numpy.allclose(fresh.predict(docs).scores, model.predict(docs).scores, atol=5e-3)
    assert len(model.to_bytes()) < 4 * sum(x.numel() for x in weights(model).values())


def test_initialized_twice_keeps_what_is_there():
    model = make_model()
    before = weights(model)["words.weight"]
    model.initialize(X=make_docs())
    assert weights(model)["words.weight"] is before


def test_the_longest_note_of_the_sample_sizes_the_network():
    leaf = vectors_of([])
    leaf._dims["nO"] = None
    model = SentenceScorer(leaf, hidden=6)
    model.initialize(X=[make_doc(0, ()), make_doc(3, ())])
    assert weights(model)["words.weight"].shape == (6, WIDTH)
