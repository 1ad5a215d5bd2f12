"""`clinbert.LongTextCat.v1` by itself: batches, how much a passage counted, settings."""

import numpy
import pytest
import torch
from thinc.api import SGD

from clinbert_spacy.models.aggregators import configure_max_mean
from clinbert_spacy.models.passages import configure_passages
from clinbert_spacy.models.textcat import LongTextCat, judge
from tests.models.toy_textcat import (
    AGGREGATORS,
    LENGTHS,
    SOME,
    difference,
    make_model,
    net_of,
    number_docs,
    only,
)
from tests.toy_relations import WIDTH, vectors_of

every_aggregator = pytest.mark.parametrize("aggregator", AGGREGATORS)
either = pytest.mark.parametrize("exclusive", [False, True])


@pytest.fixture
def gradients():
    return []


# Batches


@every_aggregator
@either
def test_a_batch_equals_its_notes_alone(aggregator, exclusive):
    model = make_model(aggregator, exclusive_classes=exclusive)
    together = model.predict(number_docs())
    alone = numpy.concatenate([model.predict([doc]) for doc in number_docs()])
    assert together.shape == (len(LENGTHS), 3)
    assert numpy.allclose(together, alone, atol=1e-6)
    assert not together[1].any()  # no words, no class
    assert (together[[0, 2, 3]] > 0).all() and numpy.ptp(together[[0, 2, 3]], axis=0).min() > 1e-3


@pytest.mark.parametrize("lengths", [(0,), (0, 0), ()])
def test_without_passages_zeros_come_and_go_back(gradients, lengths):
    model = make_model(gradients=gradients)
    scores, backprop = model.begin_update(number_docs(lengths))
    assert scores.tolist() == [[0.0] * 3] * len(lengths)
    backprop(scores - 1)
    assert [part.shape for part in gradients] == [(0, WIDTH)] * len(lengths)


def test_words_outside_of_passages_count_for_nothing(gradients):
    model = make_model(gradients=gradients)
    (doc,) = number_docs([9])
    model.attrs["cut"] = only([(1, 3), (6, 7)])
    scores, backprop = model.begin_update([doc])
    model.attrs["cut"] = only([(0, 2), (2, 3)])
    words = [token.text for token in doc]
    short = type(doc)(doc.vocab, words=[words[i] for i in (1, 2, 6)])
    assert numpy.allclose(model.predict([short]), scores, atol=1e-6)
    backprop(difference(scores, [[1, 0, 0]]))
    moved = numpy.flatnonzero(numpy.abs(gradients[0]).sum(1) > 1e-6)
    assert moved.tolist() == [1, 2, 6]
    model.attrs["cut"] = only([])
    assert not model.predict([doc]).any()


# How much a passage counted


@every_aggregator
@either
def test_without_a_passage_the_note_is_what_the_rest_says(aggregator, exclusive):
    model = make_model(aggregator, exclusive_classes=exclusive)
    docs = number_docs([11, 0, 3, 8])
    cut = model.attrs["cut"]
    judged = model.attrs["judge"](model, docs)
    assert [found.ranges for found in judged] == [
        [(0, 4), (4, 8), (8, 11)], [], [(0, 3)], [(0, 4), (4, 8)]
    ]  # fmt: skip
    for doc, found, row in zip(docs, judged, model.predict(docs)):
        assert found.scores.shape == found.without.shape == (len(found.ranges), 3)
        assert numpy.allclose(found.whole, row, atol=1e-6)
        for i, left in enumerate(found.ranges):
            model.attrs["cut"] = only([other for other in found.ranges if other != left])
            assert numpy.allclose(found.without[i], model.predict([doc])[0], atol=1e-6)
            model.attrs["cut"] = only([left])
            alone = torch.from_numpy(found.scores[i])
            if exclusive:
                # noisy-or shares by odds
                shares = alone.softmax(0)
                alone = shares.logit() if aggregator == "NoisyOr" else alone
            alone = alone.softmax(0) if exclusive else alone.sigmoid()
            assert numpy.allclose(alone, model.predict([doc])[0], atol=1e-5)
        model.attrs["cut"] = cut
    assert not judged[2].without.any()  # nothing is left of it
    assert numpy.abs(judged[0].whole - judged[0].without).max() > 1e-3


def test_judging_does_not_train():
    model = make_model("Attention", dropout=0.5)
    net_of(model).train()
    one, other = (judge(model, number_docs())[0] for _ in range(2))
    assert numpy.array_equal(one.without, other.without)
    assert all(weight.grad is None for weight in net_of(model).parameters())


# Settings


def scores_of(**config):
    torch.manual_seed(0)
    return make_model(**config).predict(number_docs())


def test_aggregators_differ():
    found = [scores_of(aggregator=name) for name in AGGREGATORS]
    for i, one in enumerate(found):
        assert not any(numpy.allclose(one, other, atol=1e-4) for other in found[:i])


def test_the_size_of_passages_changes_scores():
    assert not numpy.allclose(scores_of(size=4), scores_of(size=5), atol=1e-4)


def test_hidden_is_the_width_of_a_passage():
    model = make_model(hidden=7)
    assert net_of(model).join.out_features == net_of(model).output.in_features == 7


def test_exclusive_classes_sum_to_one_and_others_need_not():
    one, other = (make_model(exclusive_classes=exclusive) for exclusive in (True, False))
    sums = one.predict(number_docs()).sum(1)
    assert numpy.allclose(sums, [1, 0, 1, 1], atol=1e-5)
    assert not numpy.allclose(other.predict(number_docs()).sum(1), sums, atol=0.1)
    assert [model.attrs["multi_label"] for model in (one, other)] == [False, True]


def test_dropout_in_training_alone():
    for share, same in ((0.0, True), (0.5, False)):
        model = make_model(dropout=share)
        one, other = (model.begin_update(number_docs())[0] for _ in range(2))
        assert numpy.array_equal(one, other) == same
        one, other = (model.predict(number_docs()) for _ in range(2))
        assert numpy.array_equal(one, other)


def test_lr_scale_is_the_length_of_a_step():
    moved = []
    for scale in (1.0, 5.0):
        torch.manual_seed(0)
        model = make_model(lr_scale=scale)
        before = net_of(model).join.weight.detach().clone()
        scores, backprop = model.begin_update(number_docs())
        backprop(difference(scores, SOME))
        optimizer = SGD(0.01, L2=0.0, grad_clip=0.0)
        model.finish_update(optimizer)
        moved.append(net_of(model).join.weight.detach() - before)
        assert optimizer.learn_rate == 0.01
    assert moved[0].abs().max() > 1e-5
    torch.testing.assert_close(moved[1], 5 * moved[0], atol=1e-6, rtol=1e-2)


def test_c_of_huang_changes_scores_and_is_positive():
    cut = configure_passages(4)
    found = []
    for c in (2.0, 10.0):
        torch.manual_seed(0)
        model = LongTextCat(vectors_of([]), configure_max_mean(c), cut, nO=2)
        model.initialize(X=number_docs())
        found.append(model.predict(number_docs()))
    assert (found[1][3] > found[0][3]).all()  # nearer to the greatest
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"c = {c}: expected a number above 0"):
            configure_max_mean(c)


def test_classes_are_counted_in_the_data():
    model = LongTextCat(vectors_of([]), AGGREGATORS["Mean"](), configure_passages(4))
    model.initialize(X=number_docs(), Y=numpy.zeros((4, 5), dtype="float32"))
    assert model.get_dim("nO") == 5 and model.predict(number_docs()).shape == (4, 5)


# Weights


@every_aggregator
def test_weights_travel_as_half_precision(aggregator):
    model = make_model(aggregator)
    copy = LongTextCat(
        vectors_of([]), AGGREGATORS[aggregator](), configure_passages(4), hidden=12, dropout=0.0
    ).from_bytes(model.to_bytes())
    docs = number_docs()
    assert numpy.abs(copy.predict(docs) - model.predict(docs)).max() < 1e-3
    assert copy.get_dim("nO") == 3
    for name, weight in net_of(model).state_dict().items():
        assert torch.equal(net_of(copy).state_dict()[name], weight.half().float())


def test_initializing_again_keeps_weights():
    model = make_model()
    before = model.predict(number_docs())
    model.initialize(X=number_docs())
    assert numpy.array_equal(model.predict(number_docs()), before)
