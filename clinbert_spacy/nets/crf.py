"""BIOES tags and the CRF over them; `chains.py` reads it. Imports torch alone."""

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
        trans, first, last = (wide(score) for score in self.scores())
        weights, columns = trans.exp(), wide(emissions).unbind(1)
        alpha = first + columns[0]
        for t, column in enumerate(columns[1:], 1):
            step = log_matmul(alpha, weights) + column
            alpha = torch.where(mask[:, t : t + 1], step, alpha)
        return torch.logsumexp(alpha + last, dim=1).to(emissions.dtype)


class BioesCRF(MovesCRF):
    """A `MovesCRF` over BIOES tags."""

    def __init__(self, num_labels: int, learn: bool = True) -> None:
        super().__init__(*legal_moves(num_labels), learn)
        self.num_labels = num_labels
