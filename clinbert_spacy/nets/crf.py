"""BIOES tags and the CRF over them. Imports torch alone."""

from typing import List, Sequence, Tuple

import torch
from torch import Tensor, nn

NEG = -1e4  # stands for -inf: keeps the gradients of logsumexp finite
B, I, E, S = 0, 1, 2, 3  # noqa: E741 (the names of the tagging scheme)

TokenSpan = Tuple[int, int, int]  # first token, one past the last token, label


def num_tags(num_labels: int) -> int:
    """Count the tags: `O`, and `B I E S` of each label. Tag `O` is 0."""
    return 1 + 4 * num_labels


def tag_id(label: int, role: int) -> int:
    """Number the tag of a label in a role (`B I E S` = 0..3)."""
    return 1 + 4 * label + role


def length_mask(sequences: Sequence[Tensor]) -> Tensor:
    """Boolean (B,T): which places of padded sequences are theirs."""
    lengths = torch.tensor([len(s) for s in sequences], device=sequences[0].device)
    return torch.arange(int(lengths.max()), device=lengths.device)[None, :] < lengths[:, None]


def legal_moves(num_labels: int) -> Tuple[Tensor, Tensor, Tensor]:
    """Boolean (K,K) transitions, (K,) starts and (K,) ends that BIOES allows."""
    k = num_tags(num_labels)
    role = torch.tensor([-1] + [B, I, E, S] * num_labels)
    label = torch.tensor([-1] + [n for n in range(num_labels) for _ in range(4)])
    opened = (role == B) | (role == I)  # the mention goes on after this tag
    inside = (role == I) | (role == E)  # the mention went on before this tag
    same = label.view(k, 1) == label.view(1, k)
    moves = torch.where(opened.view(k, 1), inside.view(1, k) & same, ~inside.view(1, k))
    return moves, ~inside, ~opened


def spans_to_tags(spans: Sequence[TokenSpan], length: int) -> List[int]:
    """One tag per word for non-overlapping spans."""
    tags = [0] * length
    for start, end, label in spans:
        if end - start == 1:
            tags[start] = tag_id(label, S)
            continue
        tags[start] = tag_id(label, B)
        tags[start + 1 : end - 1] = [tag_id(label, I)] * (end - start - 2)
        tags[end - 1] = tag_id(label, E)
    return tags


def tags_to_spans(tags: Sequence[int]) -> List[TokenSpan]:
    """Spans of a legal tag sequence."""
    spans: List[TokenSpan] = []
    start = 0
    for i, tag in enumerate(tags):
        if tag == 0:
            continue
        label, role = divmod(tag - 1, 4)
        if role in (B, S):
            start = i
        if role in (E, S):
            spans.append((start, i + 1, label))
    return spans


def one_hot_allowed(tags: Tensor, num_labels: int) -> Tensor:
    """(B,T) tags -> (B,T,K) allowed mask; a negative tag allows every tag."""
    k = num_tags(num_labels)
    exact = tags.unsqueeze(-1) == torch.arange(k, device=tags.device)
    return exact | (tags < 0).unsqueeze(-1)


def wide(values: Tensor) -> Tensor:
    """Float64, whose exp() reaches down to -700; float32 where a device has no other."""
    return values.float() if values.device.type == "mps" else values.double()


def log_matmul(scores: Tensor, weights: Tensor) -> Tensor:
    """Log of exp(scores) @ weights: a product instead of a sum over (B,K,K).

    scores (B,K), weights (K,K) not negative. What no weight leads to gets the log of the smallest
    number above zero instead of -inf, which keeps gradients finite.
    """
    top = scores.detach().amax(1, keepdim=True)
    found = (scores - top).exp() @ weights
    return found.clamp_min(torch.finfo(found.dtype).tiny).log() + top


class MovesCRF(nn.Module):
    """CRF over K tags; learned scores of transitions start at zero, illegal moves are barred.

    moves (K,K), starts (K,), ends (K,): bool, what is legal.
    """

    def __init__(self, moves: Tensor, starts: Tensor, ends: Tensor, learn: bool = True) -> None:
        super().__init__()
        k = len(starts)
        self.register_buffer("moves", moves, persistent=False)
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("ends", ends, persistent=False)
        self.transitions = nn.Parameter(torch.zeros(k, k), requires_grad=learn)
        self.first = nn.Parameter(torch.zeros(k), requires_grad=learn)
        self.last = nn.Parameter(torch.zeros(k), requires_grad=learn)

    def scores(self) -> Tuple[Tensor, Tensor, Tensor]:
        """Transition, start and end scores with illegal ones at NEG."""
        return (
            self.transitions.masked_fill(~self.moves, NEG),
            self.first.masked_fill(~self.starts, NEG),
            self.last.masked_fill(~self.ends, NEG),
        )

    def forward(self, emissions: Tensor, mask: Tensor, allowed: Tensor) -> Tensor:
        """Summed loss: logZ(all legal paths) - logZ(paths through allowed tags).

        emissions (B,T,K) float, mask (B,T) bool with padding at the right,
        allowed (B,T,K) bool. Sequences with no legal allowed path, or no
        words, add nothing.
        """
        both = torch.cat([emissions, emissions.masked_fill(~allowed, NEG)])
        log_z = self.log_partition(both, torch.cat([mask, mask]))
        free, held = log_z.chunk(2)
        loss = free - held
        usable = self.has_legal_path(mask, allowed)
        return torch.where(usable, loss, torch.zeros_like(loss)).sum()

    @torch.no_grad()
    def has_legal_path(self, mask: Tensor, allowed: Tensor) -> Tensor:
        """(B,) whether a legal path runs through the allowed tags; False without words."""
        moves = self.moves.float()
        reached = self.starts & allowed[:, 0]
        for t in range(1, allowed.shape[1]):
            step = ((reached.float() @ moves) > 0) & allowed[:, t]
            reached = torch.where(mask[:, t : t + 1], step, reached)
        return mask[:, 0] & (reached & self.ends).any(1)

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """(B,) log of the summed exp-scores of all legal paths."""
        return self._forward_pass(emissions, mask)[1].to(emissions.dtype)

    def _forward_pass(self, emissions: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
        trans, first, last = (wide(score) for score in self.scores())
        weights, columns = trans.exp(), wide(emissions).unbind(1)
        alpha = first + columns[0]
        alphas = [alpha]
        for t, column in enumerate(columns[1:], 1):
            step = log_matmul(alpha, weights) + column
            alpha = torch.where(mask[:, t : t + 1], step, alpha)
            alphas.append(alpha)
        return torch.stack(alphas, 1), torch.logsumexp(alpha + last, dim=1)

    def _backward_pass(self, emissions: Tensor, mask: Tensor) -> Tensor:
        trans, _, last = (wide(score) for score in self.scores())
        weights, columns = trans.exp().T, wide(emissions).unbind(1)
        beta = last.expand(emissions.shape[0], -1)
        betas = [beta]
        for t in range(len(columns) - 1, 0, -1):
            step = log_matmul(columns[t] + beta, weights)
            beta = torch.where(mask[:, t : t + 1], step, beta)
            betas.append(beta)
        return torch.stack(betas[::-1], 1)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """(B,T,K) probability of each tag at each word."""
        alphas, log_z = self._forward_pass(emissions, mask)
        betas = self._backward_pass(emissions, mask)
        shares = (alphas + betas - log_z.view(-1, 1, 1)).exp() * mask.unsqueeze(-1)
        return shares.to(emissions.dtype)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> List[List[int]]:
        """Best legal tag path of each sequence (Viterbi)."""
        trans, first, last = self.scores()
        score = first + emissions[:, 0]
        back: List[Tensor] = []
        for t in range(1, emissions.shape[1]):
            best, index = (score.unsqueeze(2) + trans).max(dim=1)
            score = torch.where(mask[:, t : t + 1], best + emissions[:, t], score)
            back.append(index)
        final = (score + last).argmax(dim=1)
        return self._trace(back, final.tolist(), mask.sum(1).tolist())

    @staticmethod
    def _trace(back: List[Tensor], final: List[int], lengths: List[int]) -> List[List[int]]:
        pointers = torch.stack(back, 1).tolist() if back else [[] for _ in final]
        paths: List[List[int]] = []
        for tag, steps, length in zip(final, pointers, lengths):
            path = [tag] if length else []
            for t in range(length - 2, -1, -1):
                path.append(steps[t][path[-1]])
            paths.append(path[::-1])
        return paths


class BioesCRF(MovesCRF):
    """A `MovesCRF` over BIOES tags, which can weigh whole mentions."""

    def __init__(self, num_labels: int, learn: bool = True) -> None:
        super().__init__(*legal_moves(num_labels), learn)
        self.num_labels = num_labels

    @torch.no_grad()
    def span_marginals(
        self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[TokenSpan]]
    ) -> List[List[float]]:
        """Probability that each asked-for span is exactly a mention, per sequence."""
        rows = [(b, s, e - 1, n) for b, row in enumerate(spans) for s, e, n in row]
        if not rows:
            return [[] for _ in spans]
        seq, start, stop, label = torch.tensor(rows, device=emissions.device).unbind(1)
        alphas, log_z = self._forward_pass(emissions, mask)
        betas = self._backward_pass(emissions, mask)
        trans, emissions = wide(self.scores()[0]), wide(emissions)
        tag_b, tag_i, tag_e, tag_s = (1 + 4 * label + role for role in (B, I, E, S))
        single = alphas[seq, start, tag_s] + betas[seq, start, tag_s]
        sums = emissions.cumsum(1)  # inner words: start < w < stop
        inner = (stop - start - 1).clamp(min=0)
        inner_emit = sums[seq, (stop - 1).clamp(min=0), tag_i] - sums[seq, start, tag_i]
        via_inner = (
            trans[tag_b, tag_i]
            + trans[tag_i, tag_e]
            + inner_emit
            + (inner - 1) * trans[tag_i, tag_i]
        )
        bridge = torch.where(inner > 0, via_inner, trans[tag_b, tag_e])
        multi = (
            alphas[seq, start, tag_b]
            + bridge
            + emissions[seq, stop, tag_e]
            + betas[seq, stop, tag_e]
        )
        probs = (torch.where(start == stop, single, multi) - log_z[seq]).exp().clamp(max=1.0)
        flat = iter(probs.tolist())
        return [[next(flat) for _ in row] for row in spans]
