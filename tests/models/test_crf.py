"""The CRF against enumeration of every tag path."""

from itertools import product

import pytest
import torch

from clinbert_spacy.nets.chains import chain, decode, marginals, span_marginals
from clinbert_spacy.nets.crf import (
    BioesCRF,
    MovesCRF,
    legal_moves,
    num_tags,
    one_hot_allowed,
    spans_to_tags,
    tags_to_spans,
)
from clinbert_spacy.nets.sections import section_moves


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


def beside_others(emissions):
    """The sequence in chains with a shorter, a longer and an empty one, at (2,6)."""
    width = emissions.shape[1]
    return chain([torch.randn(2, width), emissions, torch.zeros(0, width), torch.randn(5, width)])


def test_partition_and_best_path(case):
    _, crf, emissions, paths, scores = case
    batch, mask = padded(emissions)
    assert torch.allclose(crf.log_partition(batch, mask)[0], scores.logsumexp(0), atol=1e-4)
    tags = decode(crf, beside_others(emissions))
    assert len(tags) == 11 and tuple(tags[2:6].tolist()) == paths[int(scores.argmax())]


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
    spans = [(s, e, n) for s in range(4) for e in range(s + 1, 5) for n in range(n_labels)]
    found = span_marginals(crf, beside_others(emissions), [[(0, 2, 0)], spans, [], []])
    for span, probability in zip(spans, found[1:], strict=True):
        expected = sum(float(p) for path, p in zip(paths, shares) if span in tags_to_spans(path))
        assert probability == pytest.approx(expected, abs=1e-4)


def test_tags_and_spans_are_inverse():
    spans = [(0, 1, 1), (2, 5, 0), (5, 7, 1)]
    assert tags_to_spans(spans_to_tags(spans, 8)) == spans


def test_without_learning_only_legality_counts():
    crf = BioesCRF(2, learn=False)
    assert not any(parameter.requires_grad for parameter in crf.parameters())
    emissions = torch.zeros(3, num_tags(2))
    emissions[:, 2] = 5.0  # I of the first label, illegal as a start and as an end
    assert legal(decode(crf, chain([emissions])).tolist(), 2)


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
    # the best tag of a word is not legal there, and the legal ones are further than exp() reaches
    far = torch.full((4, 9), -5000.0)
    far[:, 2] = 0.0
    shares = marginals(crf, chain([far]))
    torch.testing.assert_close(shares.sum(1), torch.ones(4, dtype=torch.float64))


def plain_path(crf, emissions):
    """The best path of one sequence, step by step, and the share of each tag at each word."""
    trans, first, last = (score.detach() for score in crf.scores())
    score, back = first + emissions[0], []
    ahead = [score.double()]
    for row in emissions[1:]:
        best, index = (score.unsqueeze(1) + trans).max(0)
        score = best + row
        back.append(index.tolist())
        ahead.append((ahead[-1].unsqueeze(1) + trans).logsumexp(0) + row)
    path = [int((score + last).argmax())]
    for index in reversed(back):
        path.append(index[path[-1]])
    behind = [last.double()]
    for row in reversed(emissions[1:]):
        behind.append((trans + row + behind[-1]).logsumexp(1))
    shares = torch.stack([a + b for a, b in zip(ahead, reversed(behind))]).softmax(1)
    return path[::-1], shares


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("make", [lambda: BioesCRF(3), lambda: MovesCRF(*section_moves(5))])
def test_chains_find_what_single_sequences_do(make, scale):
    crf = make()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    lengths = (1, 40, 0, 7, 7, 200, 1)
    sequences = [torch.randn(n, len(crf.first)) * scale for n in lengths]
    chains = chain(sequences)
    assert torch.equal(chains.unchain(chains.rows), torch.cat(sequences))
    expected = [plain_path(crf, sequence) for sequence in sequences if len(sequence)]
    assert decode(crf, chains).tolist() == [tag for path, _ in expected for tag in path]
    shares = torch.cat([shares for _, shares in expected])
    assert torch.allclose(marginals(crf, chains), shares, atol=1e-5)
