"""`clinbert.*Aggregator.v1`: how the passages of a note make up its classes."""

from functools import partial
from typing import Callable

from ..nets.textcat import Aggregator, Attention, Max, MaxMean, Mean, NoisyOr

# Makes the aggregator of passages this wide and of so many classes.
MakeAggregator = Callable[[int, int], Aggregator]


def configure_mean() -> MakeAggregator:
    """Registered as `clinbert.MeanAggregator.v1`: the mean of the passages' probabilities."""
    return Mean


def configure_max() -> MakeAggregator:
    """Registered as `clinbert.MaxAggregator.v1`: the greatest of the passages' probabilities."""
    return Max


def configure_max_mean(c: float = 2.0) -> MakeAggregator:
    """Registered as `clinbert.MaxMeanAggregator.v1`: (max + mean * n / c) / (1 + n / c) of n
    passages (Huang et al. 2019, ClinicalBERT).

    c (float): the greater, the less the mean counts in a long note.
    RETURNS (MakeAggregator): For `clinbert.LongTextCat.v1`.
    RAISES (ValueError): `c` is not positive.
    """
    if not c > 0:
        raise ValueError(f"c = {c}: expected a number above 0, as 2.0 in Huang et al. (2019).")
    return partial(MaxMean, c=c)


def configure_noisy_or() -> MakeAggregator:
    """Registered as `clinbert.NoisyOrAggregator.v1`: 1 - the product of (1 - p)."""
    return NoisyOr


def configure_attention() -> MakeAggregator:
    """Registered as `clinbert.AttentionAggregator.v1`: each class weighs the passages by an
    attention of its own (Mullenbach et al. 2018)."""
    return Attention
