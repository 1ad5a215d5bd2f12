"""Token vectors, word shapes and characters to scores of tags. Imports torch alone."""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from .crf import BioesCRF, num_tags

# Words of about the same length that are spelt out together.
AT_ONCE = 256


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
        by_length = not self.training and len(chars) > AT_ONCE
        return self._encode_by_length(chars) if by_length else self._encode(chars)

    def _encode(self, chars: Tensor) -> Tensor:
        embedded = self.embed(chars).transpose(1, 2)
        pooled = [torch.relu(c(embedded)).amax(dim=2) for c in self.convolutions]
        return torch.cat(pooled, dim=1)

    def _encode_by_length(self, chars: Tensor) -> Tensor:
        """The same, with words of about the same length together: most are short."""
        lengths, order = (chars > 0).sum(1).sort()
        # one place of padding stays, as all places with nothing but padding give the same
        parts = [
            self._encode(chars[rows, : int(length.max()) + 1])
            for rows, length in zip(order.split(AT_ONCE), lengths.split(AT_ONCE))
        ]
        return torch.cat(parts)[order.argsort()]


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
        return self.score(vectors, shapes, self.spell(chars), word_of)

    def spell(self, chars: Tensor) -> Optional[Tensor]:
        """Vectors of the distinct words from their characters, None without a character network.

        chars (Tensor): Shape (words, characters).
        RETURNS (Optional[Tensor]): Shape (words, width).
        """
        return None if self.chars is None else self.chars(chars)

    def score(
        self, vectors: Tensor, shapes: Tensor, spelt: Optional[Tensor], word_of: Tensor
    ) -> Tensor:
        """Score tags, see `forward`.

        spelt (Optional[Tensor]): what `spell` gave.
        """
        if self.hidden is None and not self.training:
            return self._score_parts(vectors, shapes, spelt, word_of)
        parts = [vectors, *(table(shapes[:, i]) for i, table in enumerate(self.shapes))]
        if spelt is not None:
            parts.append(spelt[word_of])
        hidden = self.dropout(torch.cat(parts, dim=1))
        if self.hidden is not None:
            hidden = self.dropout(nn.functional.gelu(self.hidden(hidden)))
        return self.output(hidden)

    def _score_parts(
        self, vectors: Tensor, shapes: Tensor, spelt: Optional[Tensor], word_of: Tensor
    ) -> Tensor:
        """The same without joining the parts: what many tokens share is weighed once."""
        tables = [table.weight for table in self.shapes]
        rows = [shapes[:, i] for i in range(len(tables))]
        if spelt is not None:
            tables.append(spelt)
            rows.append(word_of)
        widths = [vectors.shape[1], *(table.shape[1] for table in tables)]
        first, *weights = self.output.weight.split(widths, dim=1)
        scores = nn.functional.linear(vectors, first, self.output.bias)
        for table, weight, row in zip(tables, weights, rows):
            scores = scores + nn.functional.linear(table, weight)[row]
        return scores
