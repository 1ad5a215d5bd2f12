"""What a CRF says of many sequences at once, without padding and gradients: the best path of tags
and the probabilities of its parts. Imports torch alone."""

from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from .crf import B, E, I, MovesCRF, S, TokenSpan

# A tag this far below the best one of its word counts as if it were no further below: exp() of it
# is above zero in float64.
FAR = -600.0


class Chains(NamedTuple):
    """Rows of B sequences: the first rows of all of them, then the second ones, and so on.

    Sequences stand in the order of their lengths, the longest first: those that go on after a step
    are its first ones.

    rows (Tensor): (N,K). sizes (List[int]): how many sequences have a row of each step.
    place (Tensor): (N,) where the rows of the sequences, one sequence after another, stand.
    lengths (List[int]): of the sequences, as they were given.
    """

    rows: Tensor
    sizes: List[int]
    place: Tensor
    lengths: List[int]

    def unchain(self, values: Tensor) -> Tensor:
        """(N,...) values of the rows, one sequence after another."""
        return values[self.place]

    def starts(self) -> Tensor:
        """(B,) where each sequence begins in what `unchain` gives."""
        lengths = torch.tensor(self.lengths)
        return (lengths.cumsum(0) - lengths).to(self.place.device)


def chain(sequences: Sequence[Tensor]) -> Chains:
    """Interleave sequences (T,K), which may be empty but not all of them."""
    lengths = torch.tensor([len(s) for s in sequences])
    order = lengths.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    sizes = (lengths > torch.arange(int(lengths.max())).unsqueeze(1)).sum(1)
    starts = lengths.cumsum(0) - lengths
    step = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
    place = (sizes.cumsum(0) - sizes)[step] + rank.repeat_interleave(lengths)
    joined = torch.cat(list(sequences))
    place = place.to(joined.device)
    rows = torch.empty_like(joined)
    rows[place] = joined
    return Chains(rows, sizes.tolist(), place, lengths.tolist())


def decode(crf: MovesCRF, chains: Chains) -> Tensor:
    """(N,) best legal tag path of each sequence (Viterbi), one sequence after another."""
    with torch.inference_mode():
        return _best_tags(chains, *_scores_of(crf, chains))


def marginals(crf: MovesCRF, chains: Chains) -> Tensor:
    """(N,K) probability of each tag at each row, one sequence after another; float64."""
    with torch.inference_mode():
        found = _sum_paths(chains, *_scores_of(crf, chains))
        shares = found.ahead * found.back
        return chains.unchain(shares / shares.sum(1, keepdim=True))


def span_marginals(
    crf: MovesCRF, chains: Chains, spans: Sequence[Sequence[TokenSpan]]
) -> List[float]:
    """Probability that each asked-for span is exactly a mention, one sequence after another.

    crf (MovesCRF): over BIOES tags. spans (Sequence): of each sequence.
    """
    rows = [(b, s, e - 1, n) for b, row in enumerate(spans) for s, e, n in row]
    if not rows:
        return []
    with torch.inference_mode():
        scores = _scores_of(crf, chains)
        asked = torch.tensor(rows, device=chains.rows.device).unbind(1)
        logs = _log_mentions(chains, _sum_paths(chains, *scores), scores[0].double(), *asked)
        found: List[float] = logs.exp().clamp(max=1.0).tolist()
    return found


def _scores_of(crf: MovesCRF, chains: Chains) -> Tuple[Tensor, Tensor, Tensor]:
    """Scores of transitions, starts and ends, where the chains are."""
    trans, first, last = (score.to(chains.rows.device) for score in crf.scores())
    return trans, first, last


def _best_tags(chains: Chains, trans: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(N,) tags of the best path of each sequence (Viterbi), one sequence after another.

    trans (K,K), first (K,), last (K,): scores of transitions, starts and ends.
    """
    totals = _best_totals(chains, trans, first)
    tags = (totals + last).argmax(1)  # what follows the last row of a sequence is its end
    into = trans.T.contiguous()
    steps, chosen = totals.split(chains.sizes), tags.split(chains.sizes)
    for t in range(len(steps) - 1, 0, -1):
        after = chosen[t]
        here = steps[t - 1][: len(after)] + into.index_select(0, after)
        torch.argmax(here, 1, out=chosen[t - 1][: len(after)])
    return chains.unchain(tags)


def _best_totals(chains: Chains, trans: Tensor, first: Tensor) -> Tensor:
    """(N,K) score of the best path up to each row that ends in each tag."""
    columns = chains.rows.T.contiguous()  # the longer side last: it is what is run through
    totals = torch.empty_like(columns)
    scores, steps = columns.split(chains.sizes, 1), totals.split(chains.sizes, 1)
    torch.add(scores[0], first.unsqueeze(1), out=steps[0])
    moves = trans.unsqueeze(2)
    for before, score, step in zip(steps, scores[1:], steps[1:]):
        best = (before[:, : score.shape[1]].unsqueeze(1) + moves).amax(0)
        torch.add(best, score, out=step)
    return totals.T.contiguous()


class Sums(NamedTuple):
    """Sums over the paths of sequences, of rows as they stand in `Chains`, in float64.

    scores (N,K): of the rows, the best one of a row 0. ahead (N,K), back (N,K): sums over what
    leads to a tag, its row included, and over what follows, up to a factor for each row, whose
    logarithms are log_ahead (N,) and log_back (N,).
    """

    scores: Tensor
    ahead: Tensor
    log_ahead: Tensor
    back: Tensor
    log_back: Tensor


def _sum_paths(chains: Chains, trans: Tensor, first: Tensor, last: Tensor) -> Sums:
    """Sum over all paths before and behind each tag, as products: no logarithm at any step.

    trans (K,K), first (K,), last (K,): scores of transitions, starts and ends.
    """
    scores = chains.rows.double()
    scores = (scores - scores.amax(1, keepdim=True)).clamp_min(FAR)
    weights, moves = scores.exp(), trans.double().exp()
    ahead, norms_ahead = _sum_ahead(weights, moves, first.double().exp(), chains.sizes)
    back, norms_back = _sum_back(weights, moves, last.double().exp(), chains.sizes)
    return Sums(scores, ahead, norms_ahead.log(), back, norms_back.log())


def _sum_ahead(
    weights: Tensor, moves: Tensor, first: Tensor, sizes: List[int]
) -> Tuple[Tensor, Tensor]:
    sums, norms = torch.empty_like(weights), weights.new_ones(len(weights), 1)
    parts, found, tops = weights.split(sizes), sums.split(sizes), norms.split(sizes)
    torch.mul(parts[0], first, out=found[0])
    _scale(found[0], tops[0])
    for t in range(1, len(sizes)):
        torch.mm(found[t - 1][: sizes[t]], moves, out=found[t])
        found[t].mul_(parts[t])
        _scale(found[t], tops[t])
    return sums, norms.squeeze(1)


def _sum_back(
    weights: Tensor, moves: Tensor, last: Tensor, sizes: List[int]
) -> Tuple[Tensor, Tensor]:
    sums, norms = last.repeat(len(weights), 1), weights.new_ones(len(weights), 1)
    parts, found, tops = weights.split(sizes), sums.split(sizes), norms.split(sizes)
    into = moves.T.contiguous()
    for t in range(len(sizes) - 1, 0, -1):
        here, top = found[t - 1][: sizes[t]], tops[t - 1][: sizes[t]]
        torch.mm(found[t] * parts[t], into, out=here)
        _scale(here, top)
    return sums, norms.squeeze(1)


def _scale(rows: Tensor, norms: Tensor) -> None:
    torch.sum(rows, 1, keepdim=True, out=norms)
    rows.div_(norms)


def _log_mentions(
    chains: Chains,
    sums: Sums,
    trans: Tensor,
    seq: Tensor,
    start: Tensor,
    stop: Tensor,
    label: Tensor,
) -> Tensor:
    """(S,) log of the shares of mentions from `start` to `stop`, both included, of sequences."""
    begin = chains.starts()
    lengths = torch.tensor(chains.lengths, device=seq.device)
    first, final, end = begin[seq] + start, begin[seq] + stop, begin[seq] + lengths[seq] - 1
    left, right, close = (chains.place[i] for i in (first, final, end))
    alone = start == stop
    tag_b, tag_i, tag_e, tag_s = (1 + 4 * label + role for role in (B, I, E, S))
    ahead = sums.ahead[left, torch.where(alone, tag_s, tag_b)].log()
    back = sums.back[right, torch.where(alone, tag_s, tag_e)].log()
    inner = (stop - start - 1).clamp(min=0)
    via_inner = trans[tag_b, tag_i] + trans[tag_i, tag_e] + (inner - 1) * trans[tag_i, tag_i]
    bridge = torch.where(inner > 0, via_inner, trans[tag_b, tag_e]) + sums.scores[right, tag_e]
    bridge = bridge + _inner_scores(chains, sums, first, inner, tag_i)
    # the factors of the rows: those behind the first one are not in `ahead`, but in the whole
    ahead_of, back_of = (chains.unchain(f).cumsum(0) for f in (sums.log_ahead, sums.log_back))
    factors = ahead_of[first] - ahead_of[end] + back_of[end] - back_of[final] + sums.log_back[right]
    whole = (sums.ahead[close] * sums.back[close]).sum(1).log()
    return ahead + back + torch.where(alone, torch.zeros_like(bridge), bridge) + factors - whole


def _inner_scores(chains: Chains, sums: Sums, first: Tensor, inner: Tensor, tag: Tensor) -> Tensor:
    """(S,) summed scores of the words between the first and the last one of each mention."""
    owner = torch.arange(len(inner), device=inner.device).repeat_interleave(inner)
    nth = torch.arange(len(owner), device=inner.device) - (inner.cumsum(0) - inner)[owner]
    found = sums.scores[chains.place[first[owner] + 1 + nth], tag[owner]]
    return found.new_zeros(len(inner)).index_add(0, owner, found)
