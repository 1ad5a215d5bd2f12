"""Vectors of concepts out of their triples and names: ComplEx on own vectors and word pieces."""

from collections import Counter
from dataclasses import dataclass
from typing import Callable, Iterator, List, Sequence

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..models.lexicon import normalise
from .graph_judging import Numbers, Scorer, Triples

START = 0.1  # deviation of numbers before training
LONG = 5  # letters of a word that is worth cutting
MAX_FEATURES = 24  # of a name
IMPOSSIBLE = -1e4
_ROWS = 4096  # vectors made at a time


@dataclass(frozen=True)
class EmbeddingSettings:
    """How vectors are learned.

    dim (int): real numbers a concept, even. epochs (int): passes over the triples. seed (int): of
    weights, order and draws. device (str): as torch names it. batch_size (int): triples a step;
    their tails are each other's negatives. negatives (int): further concepts, drawn a step.
    learning_rate (float): of Adam, falling to zero. own_dropout (float): how often a concept's
    own vector is left out, so that its name has to do. query_dropout (float): share of numbers
    left out of what is compared with the tails.
    """

    dim: int = 64
    epochs: int = 12
    seed: int = 0
    device: str = "cpu"
    batch_size: int = 2048
    negatives: int = 1024
    learning_rate: float = 0.01
    own_dropout: float = 0.5
    query_dropout: float = 0.3


def name_features(names: Sequence[str]) -> Numbers:
    """Cut names into words and word pieces: `-itis`, `cardi-`, the last word.

    names (Sequence[str]): preferred names.
    RETURNS (Numbers): numbers from 1 of what occurs in two names or more, filled up with 0.
        Shape (names, 24).
    """
    pieces = [list(dict.fromkeys(_pieces(name))) for name in names]
    counts = Counter(piece for found in pieces for piece in found)
    numbers = {piece: i for i, piece in enumerate((p for p, n in counts.items() if n > 1), 1)}
    table = numpy.zeros((len(names), MAX_FEATURES), dtype=numpy.int64)
    for row, found in enumerate(pieces):
        known = [numbers[piece] for piece in found if piece in numbers][:MAX_FEATURES]
        table[row, : len(known)] = known
    return table


def _pieces(name: str) -> Iterator[str]:
    words = normalise(name).split(" ")
    yield from words
    yield f"{words[-1]}$"
    for word in words:
        if len(word) > LONG:
            yield from (f"{word[:4]}-", f"-{word[-4:]}", f"-{word[-6:]}")


class ComplEx(torch.nn.Module):
    """Scores of triples of complex vectors; a relation has a second vector for its inverse.

    A concept's vector is the sum of its own and of its name's, so that one with few triples, or
    none, stands near those with like names.

    features (Tensor): of names, as `name_features` makes them. Shape (concepts, features).
    n_relations (int): relations.
    settings (EmbeddingSettings): width and dropout.
    """

    features: Tensor

    def __init__(self, features: Tensor, n_relations: int, settings: EmbeddingSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("features", features)
        width, n_features = settings.dim, int(features.max()) + 1
        self.own = torch.nn.Parameter(START * torch.randn(len(features), width))
        self.relations = torch.nn.Parameter(START * torch.randn(2 * n_relations, width))
        self.pieces = torch.nn.EmbeddingBag(n_features, width, mode="sum", padding_idx=0)
        torch.nn.init.normal_(self.pieces.weight, std=START)

    def concepts(self, numbers: Tensor) -> Tensor:
        """Make vectors of concepts.

        numbers (Tensor): their numbers, shape (n,).
        RETURNS (Tensor): shape (n, dim).
        """
        features, own = self.features[numbers], self.own[numbers]
        count = (features > 0).sum(-1, keepdim=True).clamp(min=1)
        if self.training:
            kept = torch.rand(len(numbers), 1, device=own.device) > self.settings.own_dropout
            own = own * kept
        return own + self.pieces(features) / count.sqrt()

    def query(self, heads: Tensor, relations: Tensor) -> Tensor:
        """Turn heads by relations: the product with a tail is the score.

        heads (Tensor): vectors, shape (n, dim). relations (Tensor): numbers, shape (n,).
        RETURNS (Tensor): shape (n, dim).
        """
        (a, b), (c, d) = heads.chunk(2, -1), self.relations[relations].chunk(2, -1)
        turned = torch.cat([a * c - b * d, a * d + b * c], -1)
        return functional.dropout(turned, self.settings.query_dropout, self.training)

    def forward(self, triples: Tensor, drawn: Tensor) -> Tensor:
        """Give the loss: how far each true tail is from standing out among the others.

        triples (Tensor): head, relation, tail. Shape (n, 3). drawn (Tensor): other tails.
        RETURNS (Tensor): mean cross-entropy.
        """
        heads, relations, tails = triples.T
        candidates = torch.cat([tails, drawn])
        scores = self.query(self.concepts(heads), relations) @ self.concepts(candidates).T
        own = torch.arange(len(tails), device=scores.device)
        again = tails[:, None] == candidates[None, :]
        again[own, own] = False
        return functional.cross_entropy(scores.masked_fill(again, IMPOSSIBLE), own)


def train_embedding(
    triples: Triples,
    names: Sequence[str],
    n_relations: int,
    settings: EmbeddingSettings,
    progress: Callable[[int], None] = lambda n: None,
) -> ComplEx:
    """Learn vectors from triples, names and drawn negatives.

    triples (Triples): head, relation, tail. Shape (triples, 3).
    names (Sequence[str]): preferred name of each concept. n_relations (int): relations.
    settings (EmbeddingSettings): how.
    progress (Callable[[int], None]): told of every epoch.
    RETURNS (ComplEx): the model, fit for scoring.
    RAISES (ValueError): an odd width, no epoch, or no triple.
    """
    if settings.dim < 2 or settings.dim % 2 or settings.epochs < 1 or not len(triples):
        raise ValueError(
            f"Cannot learn vectors of {settings.dim} numbers in {settings.epochs} epochs from "
            f"{len(triples)} triples: expected an even --dim, --epochs of 1 or more, and triples. "
            "Leave vectors out with --no-vectors."
        )
    torch.manual_seed(settings.seed)
    features = torch.from_numpy(name_features(names))
    model = ComplEx(features, n_relations, settings).to(settings.device)
    both = torch.from_numpy(with_inverses(triples, n_relations)).to(settings.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    n_steps = settings.epochs * -(-len(both) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / n_steps)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(both)).split(settings.batch_size):
            drawn = torch.randint(len(names), (settings.negatives,)).to(settings.device)
            optimizer.zero_grad()
            model(both[rows.to(settings.device)], drawn).backward()
            optimizer.step()
            schedule.step()
        progress(1)
    return model.eval()


def with_inverses(triples: Triples, n_relations: int) -> Triples:
    """Add each triple read from its tail, under the number of the inverse relation.

    triples (Triples): shape (triples, 3). n_relations (int): relations.
    RETURNS (Triples): shape (2 * triples, 3).
    """
    inverse = triples[:, [2, 1, 0]] + numpy.array([0, n_relations, 0])
    return numpy.concatenate([triples, inverse])


def vectors_of(model: ComplEx) -> NDArray[numpy.float32]:
    """Make the vectors of all concepts.

    model (ComplEx): a trained model.
    RETURNS (NDArray[float32]): real parts, then imaginary ones. Shape (concepts, dim).
    """
    rows: List[Tensor] = []
    with torch.no_grad():
        for numbers in torch.arange(len(model.own), device=model.own.device).split(_ROWS):
            rows.append(model.concepts(numbers).cpu())
    return torch.cat(rows).numpy()


def model_scorer(model: ComplEx) -> Scorer:
    """Make the scores of a model.

    model (ComplEx): a trained model.
    RETURNS (Scorer): scores of every concept as the tail.
    """
    table = torch.from_numpy(vectors_of(model)).to(model.own.device)

    def score(heads: Numbers, relations: Numbers) -> NDArray[numpy.float32]:
        with torch.no_grad():
            numbers = torch.from_numpy(relations).to(table.device)
            query = model.query(table[torch.from_numpy(heads).to(table.device)], numbers)
            return (query @ table.T).cpu().numpy()

    return score
