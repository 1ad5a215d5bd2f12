"""The CRF against enumeration of every tag path."""

from itertools import product

import pytest
import torch

from clinbert_spacy.nets.crf import (
    BioesCRF,
    legal_moves,
    num_tags,
    one_hot_allowed,
    spans_to_tags,
    tags_to_spans,
)


def legal(path, n_labels):
    moves, starts, ends = legal_moves(n_labels)
    steps = all(bool(moves[a, b]) for a, b in zip(path, path[1:]))
    return bool(starts[path[0]]) and bool(ends[path[-1]]) and steps


def score(crf, emissions, path):
    value = crf.first[path[0]] + crf.last[path[-1]]
    value = value + sum(emissions[t, tag] for t, tag in enumerate(path))
    return value + sum(crf.transitions[a, b] for a, b in zip(path, path[1:]))


@pytest.fixture(params=[1, 2])
def case(request):
    n_labels, length = request.param, 4
    crf = BioesCRF(n_labels)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    emissions = torch.randn(length, num_tags(n_labels))
    paths = [p for p in product(range(num_tags(n_labels)), repeat=length) if legal(p, n_labels)]
    scores = torch.stack([score(crf, emissions, p) for p in paths]).detach()
    return n_labels, crf, emissions, paths, scores


def padded(emissions):
    """The sequence beside a shorter one, so that padding is there."""
    other = torch.randn(2, emissions.shape[1])
    batch = torch.nn.utils.rnn.pad_sequence([emissions, other], batch_first=True)
    return batch, torch.tensor([[True] * 4, [True, True, False, False]])


def test_partition_and_best_path(case):
    _, crf, emissions, paths, scores = case
    batch, mask = padded(emissions)
    assert torch.allclose(crf.log_partition(batch, mask)[0], scores.logsumexp(0), atol=1e-4)
    assert tuple(crf.decode(batch, mask)[0]) == paths[int(scores.argmax())]
    assert len(crf.decode(batch, mask)[1]) == 2


def test_loss_sums_over_allowed_paths(case):
    n_labels, crf, emissions, paths, scores = case
    allowed = torch.rand(4, num_tags(n_labels)) > 0.4
    allowed[:, 0] = True
    kept = [i for i, p in enumerate(paths) if all(allowed[t, tag] for t, tag in enumerate(p))]
    expected = scores.logsumexp(0) - scores[kept].logsumexp(0)
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert torch.allclose(crf(emissions[None], mask, allowed[None]), expected, atol=1e-3)


def test_span_probabilities(case):
    n_labels, crf, emissions, paths, scores = case
    shares = scores.softmax(0)
    batch, mask = padded(emissions)
    spans = [(s, e, n) for s in range(4) for e in range(s + 1, 5) for n in range(n_labels)]
    found = crf.span_marginals(batch, mask, [spans, []])[0]
    for span, probability in zip(spans, found):
        expected = sum(float(p) for path, p in zip(paths, shares) if span in tags_to_spans(path))
        assert probability == pytest.approx(expected, abs=1e-4)


def test_tags_and_spans_are_inverse():
    spans = [(0, 1, 1), (2, 5, 0), (5, 7, 1)]
    assert tags_to_spans(spans_to_tags(spans, 8)) == spans


def test_without_learning_only_legality_counts():
    crf = BioesCRF(2, learn=False)
    assert not any(parameter.requires_grad for parameter in crf.parameters())
    emissions = torch.zeros(1, 3, num_tags(2))
    emissions[0, :, 2] = 5.0  # I of the first label, illegal as a start and as an end
    path = crf.decode(emissions, torch.ones(1, 3, dtype=torch.bool))[0]
    assert legal(path, 2)


def test_the_loss_does_not_hang_on_the_level_of_the_scores():
    crf = BioesCRF(1)
    emissions = torch.randn(1, 600, num_tags(1))
    allowed = torch.zeros(1, 600, num_tags(1), dtype=torch.bool)
    allowed[:, :, 0] = True
    mask = torch.ones(1, 600, dtype=torch.bool)
    assert torch.allclose(
        crf(emissions, mask, allowed), crf(emissions - 30, mask, allowed), rtol=1e-3
    )


def test_gold_without_a_legal_path_adds_nothing():
    crf = BioesCRF(1)
    allowed = torch.zeros(1, 2, num_tags(1), dtype=torch.bool)
    allowed[:, :, 2] = True  # I I: no start
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert not crf.has_legal_path(mask, allowed)
    assert crf(torch.randn(1, 2, num_tags(1)), mask, allowed) == 0


def test_scores_far_apart_keep_finite_gradients():
    crf = BioesCRF(2)
    emissions = torch.zeros(1, 4, 9)
    # the only way to the gold is one that the scores all but rule out
    emissions[0, 1, 0] = 400.0
    emissions.requires_grad_()
    tags = torch.tensor([[-1, 1, 3, 0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    loss = crf(emissions, mask, one_hot_allowed(tags, 2))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(400.0, abs=10.0)
    assert emissions.grad.isfinite().all() and crf.transitions.grad.isfinite().all()
    assert emissions.grad[0, 1, 1] == pytest.approx(-1.0, abs=1e-3)
    sums = crf.marginals(emissions.detach() * 2, mask).sum(-1)
    torch.testing.assert_close(sums, torch.ones(1, 4))
