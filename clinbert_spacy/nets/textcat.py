"""Passages of notes to classes of notes. Imports torch alone."""

from typing import Callable, Dict, List, Tuple

import torch
from torch import Tensor, nn

from .assertion import shares_of_groups

# Instead of minus infinity: exp of it is 0, and its slope is finite.
NOTHING = -1e4
# Each bucket is met seldom: it must learn faster than the rest.
GRAM_SCALE = 20.0
# Passages that are combined at once where each is left out by turns.
AT_ONCE = 8192


def sum_of_groups(rows: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """(G,...) sums of the rows (P,...) of each group (P,)."""
    return rows.new_zeros((n_groups, *rows.shape[1:])).index_add(0, group, rows)


def count_groups(group: Tensor, n_groups: int) -> Tensor:
    """(G,1) how many rows each group has, at least 1."""
    return torch.bincount(group, minlength=n_groups).clamp(min=1).unsqueeze(1)


def max_of_groups(rows: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """(G,K) greatest of the rows (P,K) of each group (P,), NOTHING for an empty one."""
    index = group.unsqueeze(1).expand_as(rows)
    empty = rows.new_full((n_groups, rows.shape[1]), NOTHING)
    return empty.scatter_reduce(0, index, rows, "amax", include_self=False)


def log_mean_of_groups(rows: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """(G,K) log of the mean of exp of the rows (P,K) of each group, NOTHING for an empty one."""
    tops = max_of_groups(rows.detach(), group, n_groups)
    sums = sum_of_groups((rows - tops[group]).exp(), group, n_groups)
    # an empty group's sum is 0
    logs = sums.clamp(min=1e-30).log() * (sums > 0)
    return tops + logs - count_groups(group, n_groups).to(rows.dtype).log()


def log_odds(yes: Tensor, no: Tensor, exclusive: bool) -> Tensor:
    """What `PassageNet` scores a note by, from log p and log (1 - p) of its classes."""
    return yes if exclusive else yes - no


def log_odds_of_both(a: Tensor, b: Tensor) -> Tensor:
    """Log odds of p q, from log odds a of p and b of q, all of one shape."""
    neither = torch.stack([torch.zeros_like(a), a, b]).logsumexp(0)
    return a + b - neither


def _most(sizes: Tensor) -> List[int]:
    """Cut rows that stand for so many (P,) others into parts that stand for about AT_ONCE."""
    return torch.unique_consecutive(sizes.cumsum(0) // AT_ONCE, return_counts=True)[1].tolist()


class Aggregator(nn.Module):
    """Combines the passages of each note. hidden: width of a passage's vector; n_out: classes.

    Called with vectors (P,H) and scores (P,K) of passages, the note of each (P,), the number of
    notes D and whether classes exclude each other; returns (D,K), of which the softmax of a note's
    classes, or else the sigmoid of each, is its probability. Logarithms all the way: however sure a
    note, the passages that made it so still learn. What a note without passages gets is arbitrary.
    """

    def __init__(self, hidden: int, n_out: int) -> None:
        super().__init__()

    def logs(self, scores: Tensor, exclusive: bool) -> Tuple[Tensor, Tensor]:
        """(P,K) log p and log (1 - p) of each passage by itself."""
        if not exclusive:
            return nn.functional.logsigmoid(scores), nn.functional.logsigmoid(-scores)
        yes = scores.log_softmax(-1)
        others = torch.stack([_all_but(scores, i) for i in range(scores.shape[1])], dim=1)
        # each is exact where the other rounds
        unlikely = torch.log1p(-yes.exp().clamp(max=0.5))
        likely = others - scores.logsumexp(-1, keepdim=True)
        return yes, torch.where(yes.exp() < 0.5, unlikely, likely)


def _all_but(scores: Tensor, i: int) -> Tensor:
    """(P,) log of the sum of exp of all columns (P,K) but one, NOTHING if there is no other."""
    rest = torch.cat([scores[:, :i], scores[:, i + 1 :]], dim=1)
    return rest.logsumexp(-1) if rest.shape[1] else scores.new_full((len(scores),), NOTHING)


class Mean(Aggregator):
    """The mean of the passages' probabilities."""

    def forward(
        self, vectors: Tensor, scores: Tensor, group: Tensor, n_notes: int, exclusive: bool
    ) -> Tensor:
        """See `Aggregator`."""
        yes, no = self.logs(scores, exclusive)
        means = (log_mean_of_groups(one, group, n_notes) for one in (yes, no))
        return log_odds(*means, exclusive)


class Max(Aggregator):
    """The greatest of the passages' probabilities; its share where classes exclude each other."""

    def forward(
        self, vectors: Tensor, scores: Tensor, group: Tensor, n_notes: int, exclusive: bool
    ) -> Tensor:
        """See `Aggregator`."""
        return max_of_groups(scores.log_softmax(-1) if exclusive else scores, group, n_notes)


class MaxMean(Aggregator):
    """(max + mean * n / c) / (1 + n / c) of n passages, of Huang et al. (2019): the longer the
    note, the more the mean counts, as the greatest of many is high by chance."""

    def __init__(self, hidden: int, n_out: int, c: float = 2.0) -> None:
        super().__init__(hidden, n_out)
        self.c = c

    def forward(
        self, vectors: Tensor, scores: Tensor, group: Tensor, n_notes: int, exclusive: bool
    ) -> Tensor:
        """See `Aggregator`."""
        yes, no = self.logs(scores, exclusive)
        share = (count_groups(group, n_notes).to(scores.dtype) / self.c).log()
        best = max_of_groups(yes, group, n_notes)
        # of 1 - p the greatest p is the least
        least = -max_of_groups(-no, group, n_notes)
        means = [log_mean_of_groups(one, group, n_notes) + share for one in (yes, no)]
        joined = (torch.logaddexp(best, means[0]), torch.logaddexp(least, means[1]))
        return log_odds(*joined, exclusive)


class NoisyOr(Aggregator):
    """1 - the product of (1 - p): each passage by itself may be enough. Classes that exclude each
    other share by the odds of that."""

    def forward(
        self, vectors: Tensor, scores: Tensor, group: Tensor, n_notes: int, exclusive: bool
    ) -> Tensor:
        """See `Aggregator`."""
        against = -sum_of_groups(self.logs(scores, exclusive)[1], group, n_notes)
        # log of p / (1 - p) = log of exp(against) - 1
        return against + torch.log(-torch.expm1(-against.clamp(min=1e-30)))


class Attention(Aggregator):
    """Scores of passages weighed by an attention of each class's own (Mullenbach et al. 2018)."""

    def __init__(self, hidden: int, n_out: int) -> None:
        super().__init__(hidden, n_out)
        self.asks = nn.Linear(hidden, n_out)

    def forward(
        self, vectors: Tensor, scores: Tensor, group: Tensor, n_notes: int, exclusive: bool
    ) -> Tensor:
        """See `Aggregator`."""
        asked = self.asks(vectors)
        weights = (asked - max_of_groups(asked.detach(), group, n_notes)[group]).exp()
        sums = sum_of_groups(weights, group, n_notes)[group]
        return sum_of_groups(scores * weights / sums, group, n_notes)


class PassageNet(nn.Module):
    """Token vectors -> vectors and scores of passages -> scores of notes.

    A passage is the mean of its tokens beside a mean that weighs them. With a gate its probability
    is that of what it names times that of counting in its note.

    n_in: width of a token vector; hidden: of a passage's; n_out: classes; exclusive: whether a
    note has exactly one; dropout: in the head; aggregator: makes an `Aggregator` of hidden, n_out;
    n_grams: buckets of the passages' own words and letters, 0 to go without; gated: whether there
    is a gate; few: notes of more passages teach the gate alone, 0: all teach all.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        hidden: int,
        exclusive: bool,
        dropout: float,
        aggregator: Callable[[int, int], Aggregator],
        n_grams: int = 0,
        gated: bool = False,
        few: int = 0,
    ) -> None:
        super().__init__()
        self.exclusive = exclusive
        self.few = few
        self.bag = nn.EmbeddingBag(n_grams, n_out, mode="sum") if n_grams else None
        self.gate = nn.Linear(2 * n_in, n_out) if gated else None
        self.weigh = nn.Linear(n_in, 1)
        self.norm = nn.LayerNorm(2 * n_in)
        self.join = nn.Linear(2 * n_in, hidden)
        self.output = nn.Linear(hidden, n_out)
        self.dropout = nn.Dropout(dropout)
        self.aggregate = aggregator(hidden, n_out)
        if self.bag is not None:
            nn.init.zeros_(self.bag.weight)
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.ones_(self.gate.bias)
        if not exclusive:
            # most classes are absent from most notes
            nn.init.constant_(self.output.bias, -2.0)

    def read(self, tokens: Tensor, asked: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """(P,hidden) and (P,K) of tokens (N,n_in) and, by name, the `passage` of each (N,), all P
        named, the `note` of each (P,), and where there are grams these (G,) and where those of each
        passage begin (P,)."""
        passage = asked["passage"]
        shares = shares_of_groups(self.weigh(tokens).squeeze(1), passage)
        n = int(passage.max()) + 1
        mean = sum_of_groups(tokens, passage, n) / count_groups(passage, n)
        weighed = sum_of_groups(tokens * shares.unsqueeze(1), passage, n)
        rows = self.norm(torch.cat([mean, weighed], dim=1))
        vectors = torch.relu(self.join(self.dropout(rows)))
        scores = self.output(self.dropout(vectors))
        if self.bag is not None:
            scores = scores + self._spelled(asked["grams"], asked["begins"])
        if self.few and self.training:
            many = torch.bincount(asked["note"])[asked["note"]] > self.few
            scores = torch.where(many.unsqueeze(1), scores.detach(), scores)
        if self.gate is not None:
            scores = log_odds_of_both(scores, self.gate(self.dropout(rows)))
        return vectors, scores

    def _spelled(self, grams: Tensor, begins: Tensor) -> Tensor:
        sizes = torch.diff(begins, append=begins.new_tensor([len(grams)])).clamp(min=1)
        found: Tensor = GRAM_SCALE * self.bag(grams, begins) / sizes.sqrt().unsqueeze(1)  # type: ignore[misc]
        return found

    def combine(self, vectors: Tensor, scores: Tensor, note: Tensor, n_notes: int) -> Tensor:
        """(D,K) scores of notes from passages, see `Aggregator`; NOTHING for one without any."""
        found = self.aggregate(vectors, scores, note, n_notes, self.exclusive)
        there = torch.bincount(note, minlength=n_notes).unsqueeze(1) > 0
        return torch.where(there, found, NOTHING)

    def leave_out(self, vectors: Tensor, scores: Tensor, note: Tensor) -> Tensor:
        """(P,K) what `combine` gives a passage's note if that passage were not there, from
        vectors (P,H), scores (P,K) and the note of each (P,), in order of notes."""
        counts = torch.bincount(note)
        sizes, first = counts[note], (counts.cumsum(0) - counts)[note]
        found = []
        for part in torch.arange(len(note), device=note.device).split(_most(sizes)):
            left = part.repeat_interleave(sizes[part])
            number = torch.arange(len(left), device=note.device)
            begins = sizes[part].cumsum(0) - sizes[part]
            rows = number + (first[part] - begins).repeat_interleave(sizes[part])
            left, rows = left[rows != left] - part[0], rows[rows != left]
            found.append(self.combine(vectors[rows], scores[rows], left, len(part)))
        return torch.cat(found)

    def probabilities(self, combined: Tensor) -> Tensor:
        """(D,K) probabilities of notes from what `combine` gave, 0 for one without passages."""
        found = combined.softmax(-1) if self.exclusive else combined.sigmoid()
        return found * (combined > NOTHING)

    def forward(self, tokens: Tensor, asked: Dict[str, Tensor], n_notes: int) -> Tensor:
        """(D,K) from tokens (N,n_in) and, by name, what `read` asks and each passage's `note`."""
        return self.combine(*self.read(tokens, asked), asked["note"], n_notes)
