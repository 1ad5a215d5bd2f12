"""Sections as a sequence of units: a bag of features each, their neighbours, a CRF. Torch alone."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from .crf import MovesCRF


def section_moves(n_names: int) -> Tuple[Tensor, Tensor, Tensor]:
    """Legal transitions (K,K), starts (K,), ends (K,) of K = 2 * names tags.

    Tag 2n begins a section of name n, tag 2n + 1 goes on with it.
    """
    tags = torch.arange(2 * n_names)
    begins = tags % 2 == 0
    same = (tags // 2).view(-1, 1) == (tags // 2).view(1, -1)
    return begins.view(1, -1) | same, begins, torch.ones_like(begins)


class SectionNet(nn.Module):
    """Units of notes -> scores of section tags.

    buckets: number of hashed features; width: of a unit's vector; window: units to either side
    that a convolution sees; n_names: sections' names; dropout: of vectors; word_dropout: of
    whole features, so that no single word decides; n_in: width of a token vector, 0 without them.
    """

    def __init__(
        self,
        n_names: int,
        buckets: int,
        width: int,
        window: int,
        dropout: float,
        word_dropout: float,
        n_in: int = 0,
    ) -> None:
        super().__init__()
        self.word_dropout = word_dropout
        self.bag = nn.EmbeddingBag(buckets, width, mode="sum")
        nn.init.normal_(self.bag.weight, std=0.05)
        self.vector = nn.Linear(n_in, width) if n_in else None
        self.near = nn.Conv1d(width, width, 2 * window + 1, padding=window)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, 2 * n_names)
        self.crf = MovesCRF(*section_moves(n_names))

    def forward(
        self,
        features: Tensor,
        offsets: Tensor,
        lengths: List[int],
        vectors: Optional[Tensor] = None,
    ) -> Tensor:
        """(B,T,K) scores, padded at the right, of features (N,), offsets (units,), units a note.

        vectors (units,n_in): mean of each unit's token vectors.
        """
        kept = torch.ones_like(features, dtype=self.bag.weight.dtype)
        kept = nn.functional.dropout(kept, self.word_dropout, self.training)
        bags = self.bag(features, offsets, per_sample_weights=kept)
        if self.vector is not None and vectors is not None:
            bags = bags + self.vector(vectors)
        bags = self.dropout(torch.tanh(bags))
        joined = bags + self._read_neighbours(bags, lengths)
        rows = nn.utils.rnn.pad_sequence(list(joined.split(lengths)), batch_first=True)
        scores: Tensor = self.output(self.dropout(rows))
        return scores

    def _read_neighbours(self, bags: Tensor, lengths: List[int]) -> Tensor:
        """(units,width) what stands around each unit.

        The notes stand one after another, apart by as much as a unit sees: a long one among short
        ones makes no work for them.
        """
        apart = int(self.near.padding[0])
        sizes = torch.tensor(lengths, device=bags.device)
        note = torch.arange(len(lengths), device=bags.device).repeat_interleave(sizes)
        place = torch.arange(len(bags), device=bags.device) + apart * note
        line = bags.new_zeros(len(bags) + apart * (len(lengths) - 1), bags.shape[1])
        near = self.near(line.index_copy(0, place, bags).T.unsqueeze(0))
        return torch.relu(near.squeeze(0).T[place])
