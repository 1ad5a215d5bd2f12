"""Log odds against all other choices."""

import torch

from clinbert_spacy.nets.odds import against_others


def test_log_odds_are_those_of_the_softmax():
    scores = torch.randn(4, 6, dtype=torch.float64)
    share = scores.softmax(1)[:, 2:4].sum(1)
    assert torch.allclose(against_others(scores, 2, 4), (share / (1 - share)).log())


def test_what_all_choices_share_does_not_count():
    scores = torch.randn(3, 5, dtype=torch.float64)
    shifted = scores + torch.tensor([[100.0], [-7.0], [0.0]])
    assert torch.allclose(against_others(scores, 0, 1), against_others(shifted, 0, 1))
