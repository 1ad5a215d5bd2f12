"""Entities in their context to scores on several axes. Imports torch alone."""

from typing import Dict, List

import torch
from torch import Tensor, nn


class EntityContext(nn.Module):
    """A vector of an entity and of what stands around it.

    The entity asks, the tokens around it answer: attention over a window, in which each token
    carries where it stands and which cue it belongs to.

    n_in: width of a token vector; hidden: of all inner vectors; heads: of the attention;
    n_places, n_cues, n_labels, n_sections, n_rules: sizes of the tables of features.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        heads: int,
        sizes: Dict[str, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.entity = nn.Linear(n_in, hidden)
        self.token = nn.Linear(n_in, hidden)
        self.place = nn.Embedding(sizes["places"], hidden)
        self.cue = nn.Linear(sizes["cues"], hidden, bias=False)
        self.label = nn.Embedding(sizes["labels"], hidden)
        self.section = nn.Embedding(sizes["sections"], hidden)
        self.rule = nn.Linear(sizes["rules"], hidden, bias=False)
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,hidden) of token vectors (N,n_in) and the questions of `AssertionNet`."""
        tokens = self.token(vectors)
        window, mask = asked["window"], asked["mask"]
        inside = (asked["inside"] & mask).unsqueeze(-1)
        mean = (vectors[window] * inside).sum(1) / inside.sum(1).clamp(min=1)
        entity = self.entity(mean) + self.label(asked["label"])
        around = tokens[window] + self.place(asked["place"]) + self.cue(asked["cue"])
        found, _ = self.attention(
            entity.unsqueeze(1), around, around, key_padding_mask=~mask, need_weights=False
        )
        given = self.section(asked["section"]) + self.rule(asked["rule"])
        joined: Tensor = self.norm(torch.relu(entity + found.squeeze(1) + given))
        return self.dropout(joined)


class AssertionNet(nn.Module):
    """Entities -> scores of the values of each axis.

    Questions by name, for S entities and windows of M tokens: `window` (S,M) tokens, `mask` (S,M),
    `inside` (S,M), `place` (S,M), `cue` (S,M,cues), `label` (S,), `section` (S,), `rule` (S,rules),
    `same` (S,S): share of each other entity of the same words in the note, zero without one.
    """

    def __init__(
        self,
        n_in: int,
        values: List[int],
        sizes: Dict[str, int],
        hidden: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.context = EntityContext(n_in, hidden, heads, sizes, dropout)
        self.others = nn.Linear(hidden, hidden, bias=False)
        self.hidden = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.outputs = nn.ModuleList(nn.Linear(hidden, n) for n in values)

    def forward(self, vectors: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S, sum of values) scores, the axes one after another."""
        own = self.context(vectors, asked)
        shared = self.others(asked["same"] @ own)
        hidden = self.dropout(torch.relu(self.hidden(own + shared)) + own)
        return torch.cat([output(hidden) for output in self.outputs], dim=1)
