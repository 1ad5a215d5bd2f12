"""Sentences of a note to how much each belongs into its summary. Imports torch alone."""

from typing import Dict

import torch
from torch import Tensor, nn

from .textcat import count_groups, sum_of_groups


class SentenceNet(nn.Module):
    """Sentence vectors, numbers known of each sentence and its section -> scores that add up.

    What is known speaks for itself, straight and bent; few sentences are ever chosen by people, and
    their vectors are learned by heart unless most of each is hidden.

    n_in: width of a token vector; n_features: numbers known of a sentence; n_sections: names of
    sections; hidden: of the inner vectors; dropout: of these; hide: share of a sentence's vector
    that is hidden in training.
    """

    def __init__(
        self, n_in: int, n_features: int, n_sections: int, hidden: int, dropout: float, hide: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_in)
        self.hide = nn.Dropout(hide)
        self.words = nn.Linear(n_in, hidden)
        self.known = nn.Linear(n_features, hidden)
        self.section = nn.Embedding(n_sections, 1)
        self.straight = nn.Linear(n_features, 1)
        self.output = nn.Linear(2 * hidden, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.section.weight)

    def forward(self, tokens: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,) scores from token vectors (N,n_in) and, by name, `sentence` (N,) of each token,
        `features` (S,n_features) and `section` (S,) of each sentence."""
        return self.score(self.means(tokens, asked), asked)

    def means(self, tokens: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,n_in) what `forward` reads of token vectors (N,n_in): the mean of each sentence."""
        n = len(asked["section"])
        return sum_of_groups(tokens, asked["sentence"], n) / count_groups(asked["sentence"], n)

    def score(self, mean: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,) what `forward` gives, from means of sentences (S,n_in)."""
        features = asked["features"]
        words = self.words(self.hide(self.norm(mean)))
        joined = torch.relu(torch.cat([words, self.known(features)], 1))
        scores: Tensor = self.output(self.dropout(joined))
        return (scores + self.straight(features) + self.section(asked["section"])).squeeze(1)
