"""Sentences of a note to how much each belongs into its summary. Imports torch alone."""

from typing import Dict

import torch
from torch import Tensor, nn

from .textcat import count_groups, sum_of_groups


class SentenceNet(nn.Module):
    """Sentence vectors, seen beside their neighbours and the whole note -> scores.

    n_in: width of a token vector; n_features: numbers known of a sentence; n_sections: names of
    sections; hidden: of all inner vectors; dropout: in the head.
    """

    def __init__(
        self, n_in: int, n_features: int, n_sections: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_in)
        self.words = nn.Linear(n_in, hidden)
        self.known = nn.Linear(n_features, hidden)
        self.section = nn.Embedding(n_sections, hidden)
        self.join = nn.Linear(4 * hidden, hidden)
        self.output = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,) scores from token vectors (N,n_in) and, by name, `sentence` (N,) of each token,
        `note` (S,), `features` (S,n_features) and `section` (S,) of each sentence."""
        note = asked["note"]
        rows = self._read(tokens, asked)
        before, after = (_neighbour(rows, note, step) for step in (-1, 1))
        n_notes = int(note.max()) + 1
        whole = (sum_of_groups(rows, note, n_notes) / count_groups(note, n_notes))[note]
        joined = torch.relu(self.join(self.dropout(torch.cat([rows, before, after, whole], 1))))
        scores: Tensor = self.output(self.dropout(joined)).squeeze(1)
        return scores

    def _read(self, tokens: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        n = len(asked["note"])
        sums = sum_of_groups(tokens, asked["sentence"], n)
        mean = sums / count_groups(asked["sentence"], n)
        parts = self.words(self.dropout(self.norm(mean))) + self.known(asked["features"])
        return torch.relu(parts + self.section(asked["section"]))


def _neighbour(rows: Tensor, note: Tensor, step: int) -> Tensor:
    """(S,H) the row of each sentence's neighbour in its note, 0 without one."""
    moved, whose = rows.roll(-step, 0), note.roll(-step, 0)
    inside = whose == note
    # the first and the last of all are no neighbours, though they may be of one note
    inside[-1 if step > 0 else 0] = False
    return moved * inside.unsqueeze(1)
