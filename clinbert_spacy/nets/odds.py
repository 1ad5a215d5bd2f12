"""Scores of choices to log odds. Imports torch alone."""

import torch
from torch import Tensor


def against_others(scores: Tensor, first: int, end: int) -> Tensor:
    """(N,) log odds of the choices first..end against all others, from their scores (N,K)."""
    others = torch.cat([scores[:, :first], scores[:, end:]], dim=1)
    return scores[:, first:end].logsumexp(1) - others.logsumexp(1)
