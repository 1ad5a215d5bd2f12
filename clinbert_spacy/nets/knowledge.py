"""Facts about words brought into an encoder's vectors. Imports torch alone."""

from typing import NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Facts(NamedTuple):
    """What is known of the pieces of a batch, each combination of facts once.

    flags (Tensor): Yes or no for each flag. Shape (rows, n_flags). Row 0 is all zeros.
    vectors (Tensor): Vector of what is meant. Shape (rows, n_vector). Row 0 is all zeros.
    index (Tensor): Row of each piece, 0 where nothing is known. Shape (batch, length).
    made (Optional[Made]): What `KnowledgeFusion.make` made of flags and vectors, so that batches
        of the same notes share it.
    """

    flags: Tensor
    vectors: Tensor
    index: Tensor
    made: Optional["Made"] = None


class Made(NamedTuple):
    """Facts as vectors, a row each.

    input (Optional[Tensor]): Of the width of the embeddings. Shape (rows, n_embedding).
    output (Optional[Tensor]): Of the width of the encoder's vectors. Shape (rows, n_hidden).
    gate (Optional[Tensor]): Their share in the gate. Shape (rows, n_hidden).
    """

    input: Optional[Tensor]
    output: Optional[Tensor]
    gate: Optional[Tensor]


class FactVectors(nn.Module):
    """Facts as vectors of an encoder's width, zeros at first so that nothing is disturbed.

    n_flags (int): Number of flags.
    n_vector (int): Width of the given vectors, 0 for none.
    width (int): Width of the vectors made.
    """

    def __init__(self, n_flags: int, n_vector: int, width: int):
        super().__init__()
        self.flags = nn.Linear(n_flags, width, bias=False)
        self.vectors = nn.Linear(n_vector, width, bias=False) if n_vector else None
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, flags: Tensor, vectors: Tensor) -> Tensor:
        """Make the vector of each row. RETURNS (Tensor): float32. Shape (rows, width)."""
        made = self.flags(flags)
        if self.vectors is not None:
            made = made + self.vectors(vectors)
        return made.float()


class GatedFusion(nn.Module):
    """Adds facts to finished vectors, each dimension as far as a gate lets it.

    The sum is `h + sigmoid(W [h; k] + b) * k`. Where nothing is known k is zero, so that only the
    pieces of mentions are computed.

    n_flags, n_vector, width (int): See `FactVectors`.
    """

    def __init__(self, n_flags: int, n_vector: int, width: int):
        super().__init__()
        self.facts = FactVectors(n_flags, n_vector, width)
        self.gate = nn.Linear(2 * width, width)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def make(self, flags: Tensor, vectors: Tensor) -> Tuple[Tensor, Tensor]:
        """Make the vector of each row and its share in the gate. Shape (rows, width) each."""
        made = self.facts(flags, vectors)
        weight = self.gate.weight[:, made.shape[1] :]
        return made, F.linear(made, weight, self.gate.bias).float()

    def forward(self, hidden: Tensor, index: Tensor, made: Tensor, share: Tensor) -> Tensor:
        """Add facts to `(batch, length, width)` float32 vectors. RETURNS (Tensor): As given."""
        flat, rows = hidden.reshape(-1, hidden.shape[-1]), index.reshape(-1)
        known = rows.nonzero().squeeze(1)
        added, shares = F.embedding(rows[known], made), F.embedding(rows[known], share)
        weight = self.gate.weight[:, : hidden.shape[-1]]
        gate = torch.sigmoid(F.linear(flat[known], weight).float() + shares)
        return flat.index_add(0, known, gate * added).view_as(hidden)


class KnowledgeFusion(nn.Module):
    """Where and how facts enter an encoder.

    n_flags (int): Number of flags.
    n_vector (int): Width of the vectors given with the facts, 0 for none.
    n_embedding (int): Width of the encoder's wordpiece embeddings.
    n_hidden (int): Width of the encoder's outputs.
    places (Sequence[str]): `input`, `output` or both.
    """

    def __init__(
        self, n_flags: int, n_vector: int, n_embedding: int, n_hidden: int, places: Sequence[str]
    ):
        super().__init__()
        sizes = (n_flags, n_vector)
        self.input = FactVectors(*sizes, n_embedding) if "input" in places else None
        self.output = GatedFusion(*sizes, n_hidden) if "output" in places else None

    def make(self, flags: Tensor, vectors: Tensor) -> Made:
        """Make vectors of facts.

        flags, vectors (Tensor): See `Facts`.
        RETURNS (Made): A row each.
        """
        given = None if self.input is None else self.input(flags, vectors)
        if self.output is None:
            return Made(given, None, None)
        return Made(given, *self.output.make(flags, vectors))

    def before(self, facts: Facts) -> Optional[Tensor]:
        """Make what is added to the embeddings. Shape (batch, length, n_embedding), or None."""
        if self.input is None:
            return None
        made = facts.made.input if facts.made else self.input(facts.flags, facts.vectors)
        return F.embedding(facts.index, made)

    def after(self, hidden: Tensor, facts: Facts) -> Tensor:
        """Add facts to the encoder's outputs, if they enter there. RETURNS (Tensor): As given."""
        if self.output is None:
            return hidden
        if facts.made:
            return self.output(hidden, facts.index, facts.made.output, facts.made.gate)
        return self.output(hidden, facts.index, *self.output.make(facts.flags, facts.vectors))
