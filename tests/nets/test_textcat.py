"""Aggregators of passages against formulas in plain Python, and the network around them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from clinbert_spacy.nets.textcat import (
    GRAM_SCALE,
    NOTHING,
    Attention,
    Max,
    MaxMean,
    Mean,
    NoisyOr,
    PassageNet,
    count_groups,
    log_odds_of_both,
    max_of_groups,
    sum_of_groups,
)

WIDTH = 3
MAKERS = {
    "mean": Mean, "max": Max, "max_mean": MaxMean, "noisy_or": NoisyOr, "attention": Attention
}  # fmt: skip
every_aggregator = pytest.mark.parametrize("name", MAKERS)
either = pytest.mark.parametrize("exclusive", [False, True])
# Passages of each note, number of classes, and a seed.
CASES = {
    "sizes": st.lists(st.integers(0, 5), min_size=1, max_size=4),
    "n_classes": st.integers(1, 3),
    "seed": st.integers(0, 9999),
}


def make(name, n_classes, seed=0):
    torch.manual_seed(seed)
    return MAKERS[name](WIDTH, n_classes).double()


def draw(sizes, n_classes, seed):
    """Vectors, scores and the note of each passage, those of notes mixed."""
    torch.manual_seed(seed)
    note = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    note = note[torch.randperm(len(note))]
    vectors = torch.randn(len(note), WIDTH, dtype=torch.double)
    return vectors, 3 * torch.randn(len(note), n_classes, dtype=torch.double), note


def probabilities(aggregator, vectors, scores, note, n_notes, exclusive):
    """What a network with this aggregator says of the notes."""
    net = PassageNet(1, scores.shape[1], WIDTH, exclusive, 0.0, lambda *_: aggregator)
    return net.probabilities(net.combine(vectors, scores, note, n_notes))


@every_aggregator
@either
@given(**CASES, at_once=st.sampled_from([1, 4, 8192]))
def test_each_passage_left_out(name, exclusive, sizes, n_classes, seed, at_once):
    vectors, scores, note = draw(sizes, n_classes, seed)
    note = note.sort().values
    net = PassageNet(1, n_classes, WIDTH, exclusive, 0.0, lambda *_: make(name, n_classes, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clinbert_spacy.nets.textcat.AT_ONCE", at_once)
        found = net.leave_out(vectors, scores, note) if len(note) else scores
    for i, row in enumerate(found):
        left = note == note[i]
        left[i] = False
        alone = net.combine(vectors[left], scores[left], note[left] * 0, 1)
        assert torch.allclose(row, alone[0])


# Plain formulas, of one note


def shares(values):
    weights = [math.exp(value) for value in values]
    return [weight / sum(weights) for weight in weights]


def alone(row, exclusive):
    return shares(row) if exclusive else [1 / (1 + math.exp(-score)) for score in row]


def shared(row, exclusive):
    return [value / sum(row) for value in row] if exclusive else row


def by_mean(rows, exclusive):
    found = zip(*[alone(row, exclusive) for row in rows])
    return [sum(column) / len(rows) for column in found]


def by_max(rows, exclusive):
    found = zip(*[alone(row, exclusive) for row in rows])
    return shared([max(column) for column in found], exclusive)


def by_max_mean(rows, exclusive, c=2.0):
    """P = (P_max + P_mean n / c) / (1 + n / c), Huang et al. (2019), equation 4."""
    n = len(rows)
    columns = list(zip(*[alone(row, exclusive) for row in rows]))
    found = [(max(x) + sum(x) / n * n / c) / (1 + n / c) for x in columns]
    return shared(found, exclusive)


def by_noisy_or(rows, exclusive):
    found = [alone(row, exclusive) for row in rows]
    if not exclusive:
        return [1 - math.prod(1 - p for p in column) for column in zip(*found)]
    if len(rows[0]) == 1:
        return [1.0]
    others = [[sum(row[:i] + row[i + 1 :]) for i in range(len(row))] for row in found]
    return shared([1 / math.prod(column) - 1 for column in zip(*others)], exclusive)


def by_attention(rows, asked, exclusive):
    weights = [shares(column) for column in zip(*asked)]
    scores = [sum(w * s for w, s in zip(*pair)) for pair in zip(weights, zip(*rows))]
    return alone(scores, exclusive)


def plain(aggregator, name, vectors, scores, note, n_notes, exclusive):
    formulas = {
        "mean": by_mean, "max": by_max, "max_mean": by_max_mean, "noisy_or": by_noisy_or
    }  # fmt: skip
    found = []
    for i in range(n_notes):
        rows = scores[note == i].tolist()
        if not rows:
            found.append([0.0] * scores.shape[1])
        elif name == "attention":
            asked = aggregator.asks(vectors[note == i]).tolist()
            found.append(by_attention(rows, asked, exclusive))
        else:
            found.append(formulas[name](rows, exclusive))
    return torch.tensor(found, dtype=torch.double)


@every_aggregator
@either
@settings(max_examples=25)
@given(**CASES)
def test_aggregators_are_what_their_formulas_say(name, exclusive, sizes, n_classes, seed):
    aggregator = make(name, n_classes, seed)
    case = (*draw(sizes, n_classes, seed), len(sizes), exclusive)
    expected = plain(aggregator, name, *case)
    torch.testing.assert_close(probabilities(aggregator, *case), expected)


@every_aggregator
@either
def test_a_note_without_passages_has_no_class(name, exclusive):
    vectors, scores, note = draw([2, 0, 1, 0], 3, 1)
    net = make_net(name, exclusive, n_classes=3)
    combined = net.combine(vectors, scores, note, 4)
    assert (combined == NOTHING).all(1).tolist() == [False, True, False, True]
    found = net.probabilities(combined)
    assert (found.sum(1) > 0).tolist() == [True, False, True, False]
    assert not found[1].any() and not found[3].any()
    nothing = probabilities(make(name, 3), vectors[:0], scores[:0], note[:0], 2, exclusive)
    assert nothing.tolist() == [[0.0] * 3] * 2


@every_aggregator
@either
def test_a_single_passage_decides_alone(name, exclusive):
    vectors, scores, note = draw([1], 3, 2)
    expected = scores.softmax(1) if exclusive else scores.sigmoid()
    if exclusive and name == "noisy_or":  # shares by odds
        odds = expected / (1 - expected)
        expected = odds / odds.sum()
    found = probabilities(make(name, 3), vectors, scores, note, 1, exclusive)
    torch.testing.assert_close(found, expected)


@every_aggregator
@settings(max_examples=25)
@given(**CASES)
def test_exclusive_classes_sum_to_one(name, sizes, n_classes, seed):
    case = draw(sizes, n_classes, seed)
    found = probabilities(make(name, n_classes, seed), *case, len(sizes), True)
    expected = (torch.tensor(sizes) > 0).double()
    torch.testing.assert_close(found.sum(1), expected)
    assert (found >= 0).all()


@every_aggregator
@either
@settings(max_examples=20)
@given(**CASES)
def test_the_order_of_passages_changes_nothing(name, exclusive, sizes, n_classes, seed):
    vectors, scores, note = draw(sizes, n_classes, seed)
    aggregator = make(name, n_classes, seed)
    order = torch.randperm(len(note))
    one = (vectors, scores, note)
    other = (rows[order] for rows in one)
    one, other = (aggregator(*rows, len(sizes), exclusive) for rows in (one, other))
    torch.testing.assert_close(one, other)


@every_aggregator
@either
def test_notes_of_a_batch_know_nothing_of_each_other(name, exclusive):
    vectors, scores, note = draw([3, 0, 1, 4], 2, 3)
    aggregator = make(name, 2)
    together = aggregator(vectors, scores, note, 4, exclusive)
    for i in (0, 2, 3):
        own = note == i
        single = aggregator(vectors[own], scores[own], note[own] * 0, 1, exclusive)
        torch.testing.assert_close(together[i], single[0])


@pytest.mark.parametrize("c", [0.5, 2.0, 50.0])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_huang_weighs_the_mean_by_passages_over_c(c, n):
    vectors, scores, note = draw([n], 2, n)
    found = MaxMean(WIDTH, 2, c=c)(vectors, scores, note, 1, False).sigmoid()
    expected = torch.tensor([by_max_mean(scores.tolist(), False, c)], dtype=torch.double)
    torch.testing.assert_close(found, expected)


def test_huang_lies_between_mean_and_max_nearer_to_max_with_a_great_c():
    vectors, scores, note = draw([6], 1, 5)
    case = (vectors, scores, note, 1, False)
    mean, greatest = (m(WIDTH, 1)(*case).sigmoid() for m in (Mean, Max))
    small, great = (MaxMean(WIDTH, 1, c=c)(*case).sigmoid() for c in (1e-6, 1e6))
    torch.testing.assert_close(small, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(great, greatest, atol=1e-5, rtol=0)


@every_aggregator
@either
@pytest.mark.parametrize("size", [30.0, 1e4, 1e30])
def test_extreme_scores_stay_finite(name, exclusive, size):
    """Noisy-or above all: no logarithm of 0, no difference of what is nearly equal."""
    rows = [[size, -size], [-size, -size], [size, size]]
    scores = torch.tensor(rows, requires_grad=True)
    vectors = torch.full((3, WIDTH), size if size < 1e9 else 1e9, requires_grad=True)
    net = make_net(name, exclusive).float()
    combined = net.combine(vectors, scores, torch.tensor([0, 0, 2]), 3)  # the second is empty
    found = net.probabilities(combined)
    assert found.isfinite().all() and (found >= 0).all() and (found <= 1).all()
    assert found[[0, 2]].any(1).all() and not found[1].any()
    combined[[0, 2]].sum().backward()
    assert scores.grad.isfinite().all()
    assert vectors.grad is None or vectors.grad.isfinite().all()


def test_noisy_or_keeps_tiny_probabilities():
    """1 - (1 - p) of a p below the precision of numbers near 1 would be 0."""
    scores = torch.full((4, 1), -25.0)
    found = NoisyOr(WIDTH, 1)(None, scores, torch.zeros(4, dtype=torch.long), 1, False)
    assert float(found) == pytest.approx(math.log(4) - 25, abs=1e-4)


def test_attention_of_each_class_is_its_own():
    """Classes look at different passages: each finds its own score, not a mean of both."""
    aggregator = make("attention", 2)
    with torch.no_grad():
        aggregator.asks.weight.copy_(torch.tensor([[50.0, 0, 0], [0, 50.0, 0]]))
        aggregator.asks.bias.zero_()
    vectors = torch.eye(2, WIDTH, dtype=torch.double)
    scores = torch.tensor([[4.0, -1.0], [-2.0, 3.0]], dtype=torch.double)
    found = aggregator(vectors, scores, torch.zeros(2, dtype=torch.long), 1, False)
    torch.testing.assert_close(found, torch.tensor([[4.0, 3.0]], dtype=torch.double))


# Pieces


def test_sums_counts_and_maxima_of_groups():
    rows = torch.tensor([[1.0, -2.0], [3.0, -5.0], [-4.0, 0.5]])
    group = torch.tensor([2, 2, 0])
    assert sum_of_groups(rows, group, 4).tolist() == [[-4.0, 0.5], [0, 0], [4.0, -7.0], [0, 0]]
    none = [NOTHING] * 2
    assert max_of_groups(rows, group, 4).tolist() == [[-4.0, 0.5], none, [3.0, -2.0], none]
    assert count_groups(group, 4).tolist() == [[1], [1], [2], [1]]
    assert sum_of_groups(rows[:, 0], group, 3).tolist() == [-4.0, 0.0, 4.0]


@either
def test_probabilities_of_what_was_combined(exclusive):
    net = make_net(exclusive=exclusive)
    combined = torch.tensor([[1.0, -2.0], [NOTHING, NOTHING], [80.0, -80.0]]).double()
    found = net.probabilities(combined)
    expected = combined.softmax(1) if exclusive else combined.sigmoid()
    assert torch.equal(found[[0, 2]], expected[[0, 2]]) and not found[1].any()


# The network


def make_net(name="mean", exclusive=False, dropout=0.0, n_classes=2):
    net = PassageNet(4, n_classes, WIDTH, exclusive, dropout, MAKERS[name]).double()
    torch.nn.init.normal_(net.join.bias)
    return net.eval()


def test_a_passage_is_its_mean_beside_a_weighed_mean():
    net = make_net()
    tokens, passage = torch.randn(5, 4, dtype=torch.double), torch.tensor([0, 0, 1, 1, 1])
    vectors, scores = net.read(tokens, {"passage": passage})
    for i, own in enumerate((tokens[:2], tokens[2:])):
        weights = net.weigh(own).squeeze(1).softmax(0)
        rows = torch.cat([own.mean(0), weights @ own])
        vector = torch.relu(net.join(net.norm(rows)))
        torch.testing.assert_close(vectors[i], vector)
        torch.testing.assert_close(scores[i], net.output(vector))


@every_aggregator
@either
def test_gradients_against_finite_differences(name, exclusive):
    net = make_net(name, exclusive)
    tokens = torch.randn(7, 4, dtype=torch.double, requires_grad=True)
    passage, note = torch.tensor([0, 0, 1, 1, 2, 3, 3]), torch.tensor([0, 2, 0, 2])

    def loss(x, *weights):
        found = net(x, {"passage": passage, "note": note}, 3)[[0, 2]]
        if exclusive:
            return cross_entropy(found, torch.tensor([1, 0]))
        truth = torch.tensor([[1, 0], [0, 1.0]]).double()
        return binary_cross_entropy_with_logits(found, truth)

    assert torch.autograd.gradcheck(loss, (tokens, *net.parameters()))


def test_the_letters_of_a_passage_count_where_they_are_asked():
    net = PassageNet(4, 2, WIDTH, False, 0.0, MAKERS["mean"], n_grams=16).double().eval()
    torch.nn.init.normal_(net.bag.weight)
    tokens, passage = torch.randn(3, 4, dtype=torch.double), torch.tensor([0, 0, 1])
    asked = {"passage": passage, "grams": torch.tensor([3, 5, 5]), "begins": torch.tensor([0, 2])}
    _, scores = net.read(tokens, asked)
    plain = make_net()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if k in plain.state_dict()})
    own = torch.stack([net.bag.weight[[3, 5]].sum(0) / 2**0.5, net.bag.weight[5]])
    torch.testing.assert_close(scores - plain.read(tokens, asked)[1], GRAM_SCALE * own)


def test_a_passage_without_letters_is_read_by_its_vectors():
    net = PassageNet(4, 2, WIDTH, False, 0.0, MAKERS["mean"], n_grams=16).eval()
    asked = {"passage": torch.tensor([0, 1]), "grams": torch.tensor([3])}
    found = net.read(torch.randn(2, 4), {**asked, "begins": torch.tensor([0, 1])})[1]
    assert torch.isfinite(found).all()


def test_a_gate_multiplies_probabilities():
    a, b = torch.randn(2, 5, 3, dtype=torch.double) * 5
    found = log_odds_of_both(a, b).sigmoid()
    torch.testing.assert_close(found, a.sigmoid() * b.sigmoid())
    extreme = log_odds_of_both(torch.tensor([1e4, -1e4]), torch.tensor([1e4, 1e4]))
    assert torch.isfinite(extreme).all()


def gated_net(few):
    torch.manual_seed(0)
    make = {"n_grams": 8, "gated": True, "few": few}
    return PassageNet(4, 2, WIDTH, False, 0.0, MAKERS["noisy_or"], **make).train()


@pytest.mark.parametrize("few, taught", [(0, True), (2, True), (1, False)])
def test_long_notes_teach_the_gate_and_short_ones_the_names(few, taught):
    net = gated_net(few)
    asked = {"passage": torch.tensor([0, 1]), "note": torch.tensor([0, 0])}
    asked |= {"grams": torch.tensor([3, 5]), "begins": torch.tensor([0, 1])}
    net(torch.randn(2, 4), asked, 1).sum().backward()
    assert net.gate.weight.grad.abs().sum() > 0
    names = [p.grad for p in (net.bag.weight, net.output.weight, net.join.weight)]
    assert [x is not None and bool(x.abs().sum() > 0) for x in names] == [taught] * 3


def test_what_a_long_note_teaches_is_no_matter_in_use():
    one, other = gated_net(0).eval(), gated_net(1).eval()
    asked = {"passage": torch.tensor([0, 1]), "note": torch.tensor([0, 0])}
    asked |= {"grams": torch.tensor([3, 5]), "begins": torch.tensor([0, 1])}
    tokens = torch.randn(2, 4)
    torch.testing.assert_close(one(tokens, asked, 1), other(tokens, asked, 1))


def test_a_class_begins_as_rare_where_classes_do_not_exclude_each_other():
    assert make_net().output.bias.tolist() == [-2.0, -2.0]
    assert make_net(exclusive=True).output.bias.tolist() != [-2.0, -2.0]


def test_dropout_in_training_alone():
    net = make_net(dropout=0.5)
    asked = {"passage": torch.tensor([0, 0, 1, 1]), "note": torch.tensor([0, 0])}
    case = (torch.randn(4, 4).double(), asked, 1)
    assert torch.equal(net(*case), net(*case))
    net.train()
    assert not torch.equal(net(*case), net(*case))
    (one, _), (other, _) = (net.read(*case[:2]) for _ in range(2))
    assert not torch.equal(one, other)
