"""Logarithms of passages and groups of them: exact at any size, and never without a gradient."""

import numpy
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from clinbert_spacy.nets.textcat import NOTHING, Aggregator, log_mean_of_groups
from tests.nets.test_textcat import WIDTH, either, every_aggregator, make_net

# Scores of passages, in three notes of which the second is empty.
GROUP = torch.tensor([0, 0, 2, 2, 2])
CASES = {
    "small": [[0.3, -1.0, 0.5], [2.0, 0.0, -2.0], [0.0, 0.0, 0.0], [-3, 1, 1], [0.1, 0.2, 0.3]],
    "great": [[50.0, -50, 0], [-50, 50, 50], [50, 50, 50], [-50, -50, -50], [0, -50, -49]],
    "even": [[-2.0] * 3] * 5,
    "near 1": [[16.0, 0, 0], [17, 0, -30], [-8, 8, 0], [12, -12, 3], [25, 0, 0]],
}
every_case = pytest.mark.parametrize("rows", CASES.values(), ids=CASES)


def leaf(rows):
    return torch.tensor(rows, dtype=torch.float32, requires_grad=True)


def slope_of(output, i, j, scores):
    return torch.autograd.grad(output[i, j], scores, retain_graph=True)[0].numpy()


# Against formulas in double precision


def logsumexp(values):
    return numpy.logaddexp.reduce(numpy.asarray(values, dtype="float64"))


@every_case
def test_the_log_of_a_mean(rows):
    scores = leaf(rows)
    found = log_mean_of_groups(scores, GROUP, 3)
    for note in (0, 2):
        own = numpy.flatnonzero(GROUP.numpy() == note)
        for j in range(3):
            column = numpy.array(rows, dtype="float64")[own, j]
            expected = logsumexp(column) - numpy.log(len(own))
            assert found[note, j].item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
            slopes = numpy.zeros((5, 3))
            slopes[own, j] = numpy.exp(column - logsumexp(column))
            assert numpy.allclose(slope_of(found, note, j, scores), slopes, rtol=1e-5, atol=1e-30)


@every_case
def test_the_log_of_a_mean_beside_an_empty_note(rows):
    scores = leaf(rows)
    found = log_mean_of_groups(scores, GROUP, 3)
    assert found[1].tolist() == [NOTHING] * 3
    found.sum().backward()
    assert scores.grad.isfinite().all()
    assert scores.grad[:2].sum(0).tolist() == pytest.approx([1.0] * 3)
    nothing = log_mean_of_groups(scores[:0], GROUP[:0], 2)
    assert (nothing == NOTHING).all()


@every_case
def test_logs_of_classes_that_exclude_each_other(rows):
    """log (1 - p) to the last digit both where p is nearly 0 and where it is nearly 1."""
    scores = leaf(rows)
    yes, no = Aggregator(WIDTH, 3).logs(scores, True)
    for i, row in enumerate(numpy.array(rows, dtype="float64")):
        for j in range(3):
            rest = numpy.delete(row, j)
            margin = row[j] - logsumexp(rest)
            expected = -numpy.logaddexp(0, -margin), -numpy.logaddexp(0, margin)
            assert yes[i, j].item() == pytest.approx(expected[0], rel=1e-5, abs=1e-6)
            # of numbers below this, float32 has few digits
            assert no[i, j].item() == pytest.approx(expected[1], rel=1e-5, abs=1e-40)
            p = 1 / (1 + numpy.exp(-margin))
            slopes = numpy.insert(p * numpy.exp(rest - logsumexp(rest)), j, -p)
            assert numpy.allclose(slope_of(no, i, j, scores)[i], slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [[50.0, -50.0], [0.0, 0.0], [-2.0, 25.0]])
def test_logs_of_classes_that_do_not(rows):
    scores = leaf([rows])
    yes, no = Aggregator(WIDTH, 2).logs(scores, False)
    values = numpy.array([rows])
    assert numpy.allclose(yes.detach(), -numpy.logaddexp(0, -values), rtol=1e-6, atol=0)
    assert numpy.allclose(no.detach(), -numpy.logaddexp(0, values), rtol=1e-6, atol=0)


def test_a_single_class_is_certain():
    scores = leaf([[3.0], [-50.0]])
    yes, no = Aggregator(WIDTH, 1).logs(scores, True)
    assert yes.tolist() == [[0.0], [0.0]] and (no < -1000).all()
    (yes.sum() + no.sum()).backward()
    assert scores.grad.isfinite().all()


# However sure a note


def learn(name, exclusive, scores, truth, n_notes=1):
    """Slope of cross-entropy for the passages of notes of equal length."""
    net = make_net(name, exclusive, n_classes=scores.shape[1]).float()
    note = torch.arange(n_notes).repeat_interleave(len(scores) // n_notes)
    combined = net.combine(torch.zeros(len(scores), WIDTH), scores, note, n_notes)
    if exclusive:
        loss = cross_entropy(combined, torch.tensor(truth))
    else:
        loss = binary_cross_entropy_with_logits(combined, torch.tensor(truth), reduction="sum")
    (loss * n_notes if exclusive else loss).backward()
    assert scores.grad.isfinite().all()
    return scores.grad


@pytest.mark.parametrize("n", [40, 150])
def test_noisy_or_of_many_passages_that_know_nothing_yet(n):
    """1 - a product of 150 halves is 1 to the last digit, and every class as certain."""
    found = learn("noisy_or", True, leaf([[0.0, 0.0]] * n), [0])
    assert numpy.allclose(found, [[-0.5, 0.5]] * n, rtol=1e-4)
    found = learn("noisy_or", True, leaf([[0.0] * 4] * n), [2])
    assert (found[:, 2] < -0.2).all() and (found[:, [0, 1, 3]] > 0.05).all()


@pytest.mark.parametrize("n", [40, 150])
def test_noisy_or_of_many_passages_at_the_bias_classes_begin_with(n):
    p = 1 / (1 + numpy.exp(2.0))
    found = learn("noisy_or", False, leaf([[-2.0, -2.0]] * n), [[0.0, 1.0]])
    assert numpy.allclose(found[:, 0], p, rtol=1e-4)
    # a class that is there has little to learn: the note says so
    left = (1 - p) ** n
    assert numpy.allclose(found[:, 1], -left * p / (1 - left), rtol=1e-2, atol=1e-7)


@every_aggregator
@pytest.mark.parametrize(("score", "truth"), [(25.0, 0.0), (-25.0, 1.0), (-50.0, 1.0)])
@pytest.mark.parametrize("n_notes", [1, 3])
def test_wrong_and_certain_still_learns(name, score, truth, n_notes):
    found = learn(name, False, leaf([[score]] * n_notes), [[truth]] * n_notes, n_notes)
    assert numpy.allclose(found, 1.0 if truth == 0 else -1.0, rtol=1e-4)


@every_aggregator
@pytest.mark.parametrize("n", [1, 4])
def test_wrong_and_certain_by_all_passages_still_learns(name, n):
    """Noisy-or blames every passage, as each by itself is enough; the others share the blame."""
    found = learn(name, False, leaf([[25.0]] * n), [[0.0]])
    assert float(found.sum()) == pytest.approx(n if name == "noisy_or" else 1.0, rel=1e-3)


@every_aggregator
@pytest.mark.parametrize("margin", [25.0, 50.0])
def test_wrong_and_certain_still_learns_where_classes_exclude_each_other(name, margin):
    found = learn(name, True, leaf([[margin, 0.0, 0.0]]), [1])
    assert 0.99 < float(found[0, 0]) < 2.01 and -2.01 < float(found[0, 1]) < -0.99
    assert float(found.sum()) == pytest.approx(0, abs=1e-4)
    if name != "noisy_or":
        assert numpy.allclose(found, [[1.0, -1.0, 0.0]], atol=1e-4)


@every_aggregator
@either
def test_an_empty_note_in_between_spoils_no_gradient(name, exclusive):
    net = make_net(name, exclusive).float()
    scores = leaf([[50.0, -50.0], [-50.0, 50.0], [-50.0, -50.0]])
    vectors = torch.randn(3, WIDTH, requires_grad=True)
    combined = net.combine(vectors, scores, torch.tensor([0, 0, 2]), 4)
    combined[[0, 2]].sum().backward(retain_graph=True)
    expected, scores.grad = scores.grad.clone(), None
    # what is said of the empty ones changes nothing
    combined.sum().backward()
    assert scores.grad.isfinite().all() and torch.equal(scores.grad, expected)
    assert vectors.grad is None or vectors.grad.isfinite().all()
