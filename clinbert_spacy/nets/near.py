"""Self-attention to what stands near: linear in the length of a note. Imports torch alone."""

from typing import Tuple

import torch
from torch import Tensor, nn

# Tokens of a block; each sees its own and the blocks before and behind it.
BLOCK = 64


def block_up(rows: Tensor, fill: float = 0.0) -> Tensor:
    """(B,BLOCK,...) rows (N,...) in blocks, the last one filled up."""
    rest = -len(rows) % BLOCK
    padding = rows.new_full((rest, *rows.shape[1:]), fill)
    return torch.cat([rows, padding]).view(-1, BLOCK, *rows.shape[1:])


def with_neighbours(blocks: Tensor, fill: float = 0.0) -> Tensor:
    """(B,3*BLOCK,...) each block (B,BLOCK,...) between the one before and the one behind it."""
    edge = blocks.new_full((1, *blocks.shape[1:]), fill)
    return torch.cat([torch.cat([edge, blocks[:-1]]), blocks, torch.cat([blocks[1:], edge])], dim=1)


class NearLayer(nn.Module):
    """A transformer layer whose tokens see those of the same note in their own block of 64 and in
    the two beside it; how far apart two tokens are counts for itself.

    hidden: width; heads: of the attention; dropout: of what each half adds.
    """

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.distance = nn.Embedding(4 * BLOCK, heads)
        self.feed = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden), nn.GELU(),
            nn.Linear(2 * hidden, hidden),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.distance.weight)

    def forward(self, rows: Tensor, note: Tensor) -> Tensor:
        """(N,hidden) of rows (N,hidden) of the notes with numbers `note` (N,)."""
        rows = rows + self.dropout(self._attend(rows, note))
        fed: Tensor = self.feed(rows)
        return rows + self.dropout(fed)

    def _attend(self, rows: Tensor, note: Tensor) -> Tensor:
        query, keys, values = self._split(self.qkv(self.norm(rows)))
        found = nn.functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=self._bias(note)
        )
        joined = found.transpose(1, 2).reshape(-1, rows.shape[1])[: len(rows)]
        projected: Tensor = self.out(joined)
        return projected

    def _split(self, qkv: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        query, keys, values = (block_up(part) for part in qkv.chunk(3, dim=1))
        parts = (query, with_neighbours(keys), with_neighbours(values))
        shaped = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]
        return shaped[0], shaped[1], shaped[2]

    def _bias(self, note: Tensor) -> Tensor:
        """(B,heads,BLOCK,3*BLOCK): what the distance adds, -inf for tokens of other notes."""
        owner = block_up(note, -1.0)
        same = owner.unsqueeze(2) == with_neighbours(owner, -2.0).unsqueeze(1)
        # what only fills up sees itself, so that no row is empty
        place = torch.arange(3 * BLOCK, device=note.device)
        steps = place.unsqueeze(0) - place[:BLOCK].unsqueeze(1) + BLOCK
        bias = self.distance(steps).permute(2, 0, 1).unsqueeze(0)
        return bias.masked_fill(~same.unsqueeze(1), float("-inf"))
