"""`clinbert.RelationClassifier.v1`: scores of batches, gradients, losses."""

import numpy
import pytest
import torch
from spacy.tokens import Doc, Span

from clinbert_spacy.models.relation_features import REACH
from clinbert_spacy.models.relations import SAID, PairGold, RelationClassifier, pair_loss
from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.side_effects import SideEffects
from tests.toy_relations import (
    BLANK,
    ONE,
    TWO,
    WIDTH,
    asked,
    make_component,
    number_doc,
    vectors_of,
)

N_SAID = sum(map(len, SAID))


@pytest.fixture
def gradients():
    return []


@pytest.fixture
def component(gradients):
    return make_component(gradients)


# Scores


def predict(component, *docs):
    for doc in docs:
        component.ask(doc, doc.ents)
    return component.model.predict(list(docs))


def four():
    last = number_doc(60, TWO, (8,), "v")
    return [number_doc(10, ONE), number_doc(0, []), number_doc(5, []), last]


def test_a_batch_equals_its_notes_alone(component):
    together = predict(component, *four())
    alone = [predict(component, doc) for doc in four()]
    assert together.counts == [1, 0, 0, 3] == [sum(one.counts) for one in alone]
    assert together.scores.shape == (4, len(RELATIONS) + N_SAID)
    joined = numpy.concatenate([one.scores for one in alone])
    assert numpy.allclose(together.scores, joined, atol=1e-5)
    assert numpy.ptp(joined, axis=0).max() > 0.1
    assert together.focus.tolist() == [x for one in alone for x in one.focus.tolist()]
    judged = component.model.attrs["decode"](component.model, together)
    assert [len(one.relations) for one in judged] == together.counts
    for one, row in zip(judged, alone):
        (same,) = component.model.attrs["decode"](component.model, row)
        assert all(numpy.allclose(x, y, atol=1e-5) for x, y in zip(one, same))


def test_a_long_note_behind_another_is_read_as_alone(component):
    rows = [(68, 69, "DRUG"), (72, 73, "SYMPTOM")]
    alone = predict(component, number_doc(200, rows)).scores
    together = predict(component, number_doc(30, ONE, name="v"), number_doc(200, rows)).scores
    assert numpy.allclose(together[1:], alone, atol=1e-5)


def test_pairs_a_part_at_a_time(component, monkeypatch):
    expected = predict(component, *four())
    monkeypatch.setattr("clinbert_spacy.models.pair_parts.AT_ONCE", 1)
    found = predict(component, *four())
    assert numpy.allclose(found.scores, expected.scores, atol=1e-5)
    assert found.focus.tolist() == expected.focus.tolist()


def test_probabilities_of_what_types_allow(component):
    *_, judged = component.model.attrs["decode"](component.model, predict(component, *four()))
    names = list(RELATIONS)
    kept = [[names[i] for i in numpy.flatnonzero(row)] for row in judged.relations]
    assert kept == [["ADVERSE_EFFECT", "TREATS"]] * 2 + [["HAS_STRENGTH"]]
    for part in (judged.causality, judged.kind, judged.assertion):
        assert part.sum(1) == pytest.approx(numpy.ones(3))


def test_the_focus_is_a_word_of_the_window_outside_of_both(component):
    docs = [number_doc(60, TWO), number_doc(2, [(0, 1, "DRUG"), (1, 2, "SYMPTOM")])]
    found = predict(component, *docs)
    spans = list(docs[0].spans["clinbert_relations"])
    pairs = docs[0].spans["clinbert_relations"].attrs["pairs"]
    for (head, tail), focus in zip(pairs, found.focus):
        taken = {*range(spans[head].start, spans[head].end), *range(
            spans[tail].start, spans[tail].end
        )}  # fmt: skip
        assert 0 <= focus < 12 + REACH and focus not in taken
    assert found.focus[-1] == -1  # nothing but the two


def test_other_words_other_scores(component):
    """The scores look at words before, between and behind, not at a far-off rest."""
    rows = [(20, 21, "DRUG"), (24, 25, "SYMPTOM")]
    before = predict(component, number_doc(60, rows)).scores
    for at, same in ((3, True), (10, False), (22, False), (30, False), (50, True)):
        doc = number_doc(60, rows)
        words = ["changed" if token.i == at else token.text for token in doc]
        other = Doc(BLANK.vocab, words=words, sent_starts=[i == 0 for i in range(60)])
        other.set_ents([Span(other, a, b, label=label) for a, b, label in rows])
        assert numpy.allclose(predict(component, other).scores, before, atol=1e-6) == same


def test_order_of_entities_matters(component):
    one = predict(component, number_doc(10, [(3, 4, "DRUG"), (6, 7, "SYMPTOM")])).scores
    other = predict(component, number_doc(10, [(3, 4, "SYMPTOM"), (6, 7, "DRUG")])).scores
    assert not numpy.allclose(one, other, atol=1e-3)


# Gradients


def test_gradients_of_shared_tokens_are_summed(component, gradients):
    """The drug stands in three pairs: it gets what each of them sends, not their mean."""
    doc = number_doc(60, TWO)
    component.ask(doc, doc.ents)
    parts = []
    scores, _ = component.model.begin_update([doc])
    weights = numpy.random.default_rng(0).normal(size=scores.scores.shape).astype("f")
    for chosen in (slice(0, 1), slice(1, 2), slice(2, 3), slice(None)):
        _, backprop = component.model.begin_update([doc])
        sent = numpy.zeros_like(weights)
        sent[chosen] = weights[chosen]
        backprop(sent)
        parts.append(gradients[0].copy())
    *single, together = parts
    assert numpy.allclose(together, sum(single), atol=1e-5)
    assert all(numpy.abs(part[4:6]).max() > 1e-4 for part in single)  # the drug, in each


def test_gradients_against_finite_differences():
    component = make_component([])
    docs = [number_doc(10, ONE), number_doc(40, TWO, breaks=(8,))]
    arrays = asked(component, *docs).arrays
    given = {name: torch.from_numpy(array) for name, array in arrays.items()}
    network = component.model.shims[0]._model.double().eval()
    vectors = torch.randn(50, WIDTH, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x, given)[0], (vectors,))


def test_backprop_gives_the_gradients_of_the_network(component, gradients):
    """Neither scaled nor averaged over pairs: what autograd says of the scores that were sent."""
    docs = four()
    arrays = {name: torch.from_numpy(x) for name, x in asked(component, *docs).arrays.items()}
    found, backprop = component.model.begin_update(docs)
    sent = numpy.random.default_rng(0).normal(size=found.scores.shape).astype("f")
    backprop(sent)
    vectors = component.model.get_ref("tok2vec").predict(docs)
    inputs = torch.from_numpy(numpy.concatenate(vectors)).requires_grad_()
    component.model.shims[0]._model(inputs, arrays)[0].backward(torch.from_numpy(sent))
    assert numpy.allclose(numpy.concatenate(gradients), inputs.grad, atol=1e-5)
    assert inputs.grad.abs().max() > 0.01


def test_gradients_go_to_their_own_notes(component, gradients):
    docs = four()
    for doc in docs:
        component.ask(doc, doc.ents)
    scores, backprop = component.model.begin_update(docs)
    sent = numpy.zeros_like(scores.scores)
    sent[0] = 1.0
    backprop(sent)
    assert [part.shape for part in gradients] == [(len(doc), WIDTH) for doc in docs]
    assert numpy.abs(gradients[0]).max() > 0
    assert not any(numpy.abs(part).any() for part in gradients[1:])


@pytest.mark.parametrize("lengths", [(5,), (0, 4), (0, 0)])
def test_without_pairs_zeros_go_back(component, gradients, lengths):
    docs = [number_doc(length, []) for length in lengths]
    for doc in docs:
        component.ask(doc, doc.ents)
    scores, backprop = component.model.begin_update(docs)
    assert scores.scores.shape == (0, len(RELATIONS) + N_SAID)
    loss, gradient = pair_loss(component.model, scores, no_gold(0))
    assert loss == 0.0
    backprop(gradient)
    assert [part.shape for part in gradients] == [(length, WIDTH) for length in lengths]
    assert not any(part.any() for part in gradients)
    judged = component.model.attrs["decode"](component.model, scores)
    assert [one.relations.shape for one in judged] == [(0, len(RELATIONS))] * len(docs)


# Loss


def no_gold(pairs):
    said = [numpy.full(pairs, -1) for _ in SAID]
    return PairGold(numpy.full((pairs, len(RELATIONS)), -1), *said)


def test_loss_against_finite_differences(component):
    scores = predict(component, *four())
    gold = no_gold(4)
    gold.relations[0, 0], gold.relations[1, 1], gold.relations[1, 0] = 1, 0, 1
    gold.causality[:2], gold.kind[2], gold.assertion[1:] = (1, 2), 4, (0, 6, 6)
    _, gradient = pair_loss(component.model, scores, gold)
    step = 0.01
    for place in numpy.ndindex(scores.scores.shape):
        moved = []
        for sign in (step, -step):
            other = scores.scores.copy()
            other[place] += sign
            moved.append(pair_loss(component.model, scores._replace(scores=other), gold)[0])
        assert gradient[place] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=2e-4)


def test_what_is_unknown_or_not_allowed_costs_nothing(component):
    scores = predict(component, *four())
    loss, gradient = pair_loss(component.model, scores, no_gold(4))
    assert loss == 0.0 and gradient.shape == scores.scores.shape and not gradient.any()
    gold = no_gold(4)
    gold.relations[:] = 0
    _, gradient = pair_loss(component.model, scores, gold)
    relations = gradient[:, : len(RELATIONS)]
    assert ((relations != 0) == scores.allowed).all() and (relations[scores.allowed] > 0).all()
    assert not gradient[:, len(RELATIONS) :].any()


def test_loss_of_what_is_said(component):
    scores = predict(component, *four())
    gold = no_gold(4)
    gold.causality[1] = 2
    component.model.attrs["said_weight"] = 1.0
    whole, gradient = pair_loss(component.model, scores, gold)
    assert numpy.flatnonzero(numpy.abs(gradient).sum(1)).tolist() == [1]
    columns = numpy.flatnonzero(numpy.abs(gradient).sum(0)) - len(RELATIONS)
    assert columns.tolist() == [0, 1, 2]
    component.model.attrs["said_weight"] = 0.25
    assert pair_loss(component.model, scores, gold)[0] == pytest.approx(whole / 4)


# Weights


def test_weights_of_another_size_are_refused(component):
    component.model.attrs["relations"] = ["ADVERSE_EFFECT"]
    with pytest.raises(ValueError, match="know 9 relations between 11 labels.*names 1 between 11"):
        component.model.predict([number_doc(3, [])])


def test_weights_are_built_once(component):
    network = component.model.shims[0]._model
    component.model.initialize(X=[number_doc(2, [])])
    assert component.model.shims[0]._model is network
    with pytest.raises(ValueError, match="no weights yet"):
        SideEffects(BLANK.vocab, RelationClassifier(vectors_of([]))).predict([number_doc(3, [])])
