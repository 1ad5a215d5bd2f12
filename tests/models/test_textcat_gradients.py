"""What `clinbert.LongTextCat.v1` learns: cross-entropy, however sure it is of a note."""

import numpy
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from clinbert_spacy.models.textcat import slope
from tests.models.toy_textcat import (
    AGGREGATORS,
    ONE,
    SOME,
    difference,
    make_model,
    net_of,
    number_docs,
)

every_aggregator = pytest.mark.parametrize("aggregator", AGGREGATORS)
either = pytest.mark.parametrize("exclusive", [False, True])
KNOWN = [0, 3]  # notes that have words and a class


@pytest.fixture
def gradients():
    return []


def autograd_of(loss, logits):
    logits = logits.clone().requires_grad_()
    loss(logits).backward()
    return logits.grad


def known_of(rows):
    """Which classes are known, and their values."""
    known = torch.tensor([[value is not None for value in row] for row in rows])
    return known, torch.tensor([[float(value or 0) for value in row] for row in rows])


def test_slope_is_the_gradient_of_binary_cross_entropy():
    logits = torch.randn(4, 3)
    known, truth = known_of(SOME)
    given = slope(logits.sigmoid(), (logits.sigmoid() - truth) * known, exclusive=False)

    def loss(logits):
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none")
        return (each * known).sum() / 3  # the mean over notes of which something is known

    torch.testing.assert_close(given, autograd_of(loss, logits))
    assert not given[~known].any() and given[known].abs().min() > 0


def test_slope_is_the_gradient_of_cross_entropy():
    logits, truth = torch.randn(5, 3), torch.tensor([*ONE, [0, 0, 0]])
    difference = logits.softmax(1) - truth
    difference[4] = 0  # spaCy was told nothing of it
    given = slope(logits.softmax(1), difference, exclusive=True)
    labels = torch.tensor([0, 2, -100, 1, -100])  # nor does the third have a class
    torch.testing.assert_close(given, autograd_of(lambda x: cross_entropy(x, labels), logits))


@either
def test_slope_is_the_difference_over_notes_that_say_something(exclusive):
    """A note without passages, or of which nothing is known, weakens no other."""
    found = torch.tensor([[0.75, 0.25], [0.0, 0.0], [0.5, 0.5]])
    difference = torch.tensor([[-0.25, 0.25], [-1.0, 0.0], [0.0, 0.0]])
    expected = torch.tensor([[-0.25, 0.25], [0.0, 0.0], [0.0, 0.0]])
    assert torch.equal(slope(found, difference, exclusive), expected)
    difference[2] = torch.tensor([-0.5, 0.5])
    expected = torch.tensor([[-0.125, 0.125], [0.0, 0.0], [-0.25, 0.25]])
    assert torch.equal(slope(found, difference, exclusive), expected)


@either
def test_slopes_of_certainties(exclusive):
    found = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert not slope(found, found - found, exclusive).any()
    wrong = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    assert torch.equal(slope(found, wrong, exclusive), wrong / 2)


@every_aggregator
@either
def test_backprop_gives_the_gradients_of_cross_entropy(aggregator, exclusive, gradients):
    """To every weight and every word, what autograd says of the loss."""
    model = make_model(aggregator, gradients, exclusive_classes=exclusive)
    docs, net = number_docs(), net_of(model)
    scores, backprop = model.begin_update(docs)
    backprop(difference(scores, ONE if exclusive else SOME))
    found = {name: weight.grad.clone() for name, weight in net.named_parameters()}
    net.zero_grad()
    vectors = numpy.concatenate(model.get_ref("tok2vec").predict(docs))
    inputs = torch.from_numpy(vectors).requires_grad_()
    passage = torch.tensor([0] * 4 + [1] * 4 + [2] * 3 + [3] * 3 + [i // 4 + 4 for i in range(26)])
    note = torch.tensor([0] * 3 + [2] + [3] * 7)
    output = net(inputs, {"passage": passage, "note": note}, 4)[KNOWN]
    if exclusive:
        loss = cross_entropy(output, torch.tensor([0, 1]))
    else:
        known, truth = known_of([SOME[i] for i in KNOWN])
        each = binary_cross_entropy_with_logits(output, truth, reduction="none")
        loss = (each * known).sum() / len(KNOWN)
    loss.backward()
    assert numpy.allclose(numpy.concatenate(gradients), inputs.grad, atol=1e-6)
    assert inputs.grad.abs().max() > 1e-3
    for name, weight in net.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, atol=1e-5, rtol=1e-4)


@every_aggregator
def test_missing_classes_have_no_gradient(aggregator, gradients):
    model = make_model(aggregator, gradients)
    scores, backprop = model.begin_update(number_docs())
    backprop(difference(scores, [[1, None, 0], [None, None, 1], [None] * 3, [0, None, None]]))
    slopes = net_of(model).output.weight.grad.abs().sum(1)
    assert slopes[0] > 0 and slopes[1] == 0 and slopes[2] > 0
    assert [bool(numpy.abs(part).sum()) for part in gradients] == [True, False, False, True]


@every_aggregator
def test_a_note_without_class_has_no_gradient_where_classes_exclude_each_other(
    aggregator, gradients
):
    model = make_model(aggregator, gradients, exclusive_classes=True)
    scores, backprop = model.begin_update(number_docs())
    backprop(difference(scores, ONE))
    together = [part.copy() for part in gradients]
    assert [bool(numpy.abs(part).sum()) for part in together] == [True, False, False, True]
    # nor does it weaken those of the others
    docs = [doc for i, doc in enumerate(number_docs()) if i != 2]
    scores, backprop = model.begin_update(docs)
    backprop(difference(scores, [row for i, row in enumerate(ONE) if i != 2]))
    assert numpy.allclose(together[0], gradients[0], atol=1e-6)
    assert numpy.allclose(together[3], gradients[2], atol=1e-6)


def start_with(model, *biases):
    """Let every passage score these numbers."""
    net = net_of(model)
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.copy_(torch.tensor(biases))
    return net.output.bias


@every_aggregator
@pytest.mark.parametrize("lengths", [(4,), (3, 4, 0, 1)])
def test_wrong_and_certain_has_a_slope_of_about_1_a_note(aggregator, lengths):
    model = make_model(aggregator, n_classes=2)
    bias = start_with(model, 25.0, -25.0)
    scores, backprop = model.begin_update(number_docs(lengths))
    assert scores[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
    backprop(difference(scores, [[0, 1]] * len(lengths)))
    # each note is one passage, and the slope is the mean over notes
    assert bias.grad.tolist() == pytest.approx([1.0, -1.0], rel=1e-3)


@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("biases", [(0.0, 0.0), (-2.0, -2.0)])
@either
def test_noisy_or_of_many_passages_learns(exclusive, biases, n):
    model = make_model("NoisyOr", n_classes=2, exclusive_classes=exclusive)
    bias = start_with(model, *biases)
    scores, backprop = model.begin_update(number_docs([4 * n]))
    backprop(difference(scores, [[0, 1]]))
    assert bias.grad[0] > 0.1 * n
    # classes that exclude each other push each other
    assert bias.grad[1] < -0.1 * n if exclusive else bias.grad[1] <= 0
