"""Every torch module that lives in a shipped pipeline. Imports torch alone."""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

NEG = -1e4  # stands for -inf: keeps the gradients of logsumexp finite
B, I, E, S = 0, 1, 2, 3  # noqa: E741 (the names of the tagging scheme)

TokenSpan = Tuple[int, int, int]  # first token, one past the last token, label


class LayerMix(nn.Module):
    """A learned convex mix of an encoder's layers (Peters et al. 2018, eq. 1, without gamma)."""

    def __init__(self, n_layers: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers))

    def forward(self, layers: Tensor) -> Tensor:
        """Mix `(n_layers, batch, length, width)` to `(batch, length, width)`."""
        shares = torch.softmax(self.weights, dim=0)
        # A sum and not einsum, which autocast would run in half precision.
        return (shares.view(-1, 1, 1, 1) * layers.float()).sum(0)


class ClinicalEncoder(nn.Module):
    """A pretrained transformer that gives one vector per wordpiece.

    transformer (nn.Module): Takes `input_ids` and `attention_mask`, gives `last_hidden_state`.
    n_mixed (Optional[int]): Number of layers to mix (embeddings included); None takes the last.
    """

    def __init__(self, transformer: nn.Module, n_mixed: Optional[int] = None):
        super().__init__()
        self.transformer = transformer
        self.mix = LayerMix(n_mixed) if n_mixed else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode `(batch, length)` ids to `(batch, length, width)` float32 vectors."""
        output = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=self.mix is not None,
            return_dict=True,
        )
        if self.mix is None:
            return output.last_hidden_state.float()
        return self.mix(torch.stack(output.hidden_states))


def num_tags(num_labels: int) -> int:
    """Count the tags: `O`, and `B I E S` of each label. Tag `O` is 0."""
    return 1 + 4 * num_labels


def tag_id(label: int, role: int) -> int:
    """Number the tag of a label in a role (`B I E S` = 0..3)."""
    return 1 + 4 * label + role


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


class BioesCRF(nn.Module):
    """CRF over BIOES tags; transitions start at zero, illegal moves are barred."""

    def __init__(self, num_labels: int, learn: bool = True) -> None:
        super().__init__()
        k = num_tags(num_labels)
        self.num_labels = num_labels
        moves, starts, ends = legal_moves(num_labels)
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
        return self._forward_pass(emissions, mask)[1]

    def _forward_pass(self, emissions: Tensor, mask: Tensor) -> Tuple[Tensor, Tensor]:
        trans, first, last = self.scores()
        alpha = first + emissions[:, 0]
        alphas = [alpha]
        for t in range(1, emissions.shape[1]):
            step = torch.logsumexp(alpha.unsqueeze(2) + trans, dim=1) + emissions[:, t]
            alpha = torch.where(mask[:, t : t + 1], step, alpha)
            alphas.append(alpha)
        return torch.stack(alphas, 1), torch.logsumexp(alpha + last, dim=1)

    def _backward_pass(self, emissions: Tensor, mask: Tensor) -> Tensor:
        trans, _, last = self.scores()
        beta = last.expand(emissions.shape[0], -1)
        betas = [beta]
        for t in range(emissions.shape[1] - 1, 0, -1):
            step = torch.logsumexp(trans + (emissions[:, t] + beta).unsqueeze(1), dim=2)
            beta = torch.where(mask[:, t : t + 1], step, beta)
            betas.append(beta)
        return torch.stack(betas[::-1], 1)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """(B,T,K) probability of each tag at each word."""
        alphas, log_z = self._forward_pass(emissions, mask)
        betas = self._backward_pass(emissions, mask)
        return (alphas + betas - log_z.view(-1, 1, 1)).exp() * mask.unsqueeze(-1)

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
        trans = self.scores()[0]
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


class CharCNN(nn.Module):
    """Word vectors from characters: convolutions of several widths, max over positions.

    n_chars (int): Size of the character table; 0 is padding.
    width (int): Size of a character's vector.
    n_filters (int): Filters per kernel size.
    kernels (Tuple[int, ...]): Kernel sizes.
    """

    def __init__(
        self, n_chars: int, width: int, n_filters: int, kernels: Tuple[int, ...] = (2, 3, 4)
    ):
        super().__init__()
        self.embed = nn.Embedding(n_chars, width, padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, n_filters, kernel, padding=kernel - 1) for kernel in kernels
        )
        self.n_out = n_filters * len(kernels)

    def forward(self, chars: Tensor) -> Tensor:
        """Encode `(words, characters)` ids to `(words, n_out)`."""
        embedded = self.embed(chars).transpose(1, 2)
        pooled = [torch.relu(c(embedded)).amax(dim=2) for c in self.convolutions]
        return torch.cat(pooled, dim=1)


class TokenTagger(nn.Module):
    """Scores of BIOES tags from token vectors, word shapes and characters, with a CRF on top.

    The shapes and characters give back what an uncased vocabulary has lost.

    n_in (int): Width of a token vector.
    n_labels (int): Entity labels.
    n_hidden (int): Width of the hidden layer; 0 for none.
    n_shapes (Tuple[int, ...]): Table size of each shape feature.
    char_filters (int): Character filters per kernel size; 0 for no characters.
    n_chars (int): Size of the character table.
    dropout (float): Dropout before the hidden and the output layer.
    learn_transitions (bool): A CRF; otherwise only legality constrains the path.
    """

    def __init__(
        self,
        n_in: int,
        n_labels: int,
        *,
        n_hidden: int,
        n_shapes: Tuple[int, ...],
        char_filters: int,
        n_chars: int,
        dropout: float,
        learn_transitions: bool,
    ):
        super().__init__()
        self.shapes = nn.ModuleList(nn.Embedding(size, 16) for size in n_shapes)
        self.chars = CharCNN(n_chars, 24, char_filters) if char_filters else None
        width = n_in + 16 * len(n_shapes) + (self.chars.n_out if self.chars else 0)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(width, n_hidden) if n_hidden else None
        self.output = nn.Linear(n_hidden or width, num_tags(n_labels))
        self.crf = BioesCRF(n_labels, learn_transitions)

    def forward(self, vectors: Tensor, shapes: Tensor, chars: Tensor, word_of: Tensor) -> Tensor:
        """Score tags.

        vectors (Tensor): Token vectors. Shape (tokens, n_in).
        shapes (Tensor): Shape ids. Shape (tokens, features).
        chars (Tensor): Characters of the distinct words. Shape (words, characters).
        word_of (Tensor): Distinct word of each token. Shape (tokens,).
        RETURNS (Tensor): Shape (tokens, tags).
        """
        parts = [vectors, *(table(shapes[:, i]) for i, table in enumerate(self.shapes))]
        if self.chars is not None:
            parts.append(self.chars(chars)[word_of])
        hidden = self.dropout(torch.cat(parts, dim=1))
        if self.hidden is not None:
            hidden = self.dropout(nn.functional.gelu(self.hidden(hidden)))
        return self.output(hidden)
