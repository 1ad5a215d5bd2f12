"""Entities in their context to scores on several axes. Imports torch alone."""

from typing import Dict, List, Tuple

import torch
from torch import Tensor, nn

# Entities whose contexts are looked at together: what fits into a cache is faster.
AT_ONCE = 128
# Tokens that are read together: all that are in between are made for no more than these.
BLOCK = 20_000


class EntityContext(nn.Module):
    """A vector of an entity and of what stands around it.

    The entity asks, the tokens around it answer: attention over a window, in which each token
    carries where it stands and which cue it belongs to.

    n_in: width of a token vector; hidden: of all inner vectors; heads: of the attention; sizes:
    of the tables of features; dropout: in the head; hide: share of tokens, and of entities' own
    words, that are hidden in training, so that it reads the context and not the name.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int,
        heads: int,
        sizes: Dict[str, int],
        dropout: float,
        hide: float,
    ) -> None:
        super().__init__()
        self.hide = hide
        self.entity = nn.Linear(n_in, hidden)
        self.token = nn.Linear(n_in, hidden)
        self.place = nn.Embedding(sizes["places"], hidden)
        self.cue = nn.Linear(sizes["cues"], hidden, bias=False)
        self.label = nn.Embedding(sizes["labels"], hidden)
        self.section = nn.Embedding(sizes["sections"], hidden)
        self.rule = nn.Linear(sizes["rules"], hidden, bias=False)
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.join = nn.Linear(4 * hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S,hidden) of token vectors (N,n_in) and the questions of `AssertionNet`."""
        vectors = self._hide(vectors, self.hide / 2)
        tokens = self._tokens(vectors, asked["cue"])
        names = ("window", "mask", "inside", "place", "label", "section", "rule")
        parts = zip(*(asked[name].split(AT_ONCE) for name in names))
        return torch.cat([self._look(vectors, tokens, dict(zip(names, part))) for part in parts])

    def _tokens(self, vectors: Tensor, cue: Tensor) -> Tensor:
        if self.training or len(vectors) <= BLOCK:
            return self.token(vectors) + self.cue(cue)
        tokens = vectors.new_empty(len(vectors), self.token.out_features)
        for rows, cues, found in zip(vectors.split(BLOCK), cue.split(BLOCK), tokens.split(BLOCK)):
            torch.add(self.token(rows), self.cue(cues), out=found)
        return tokens

    def _look(self, vectors: Tensor, tokens: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        window, mask = asked["window"], asked["mask"]
        mean = mean_inside(vectors, window, asked["inside"] & mask)
        label = self.label(asked["label"])
        entity = self.entity(self._hide(mean, self.hide)) + label
        around = tokens[window] + self.place(asked["place"])
        found, _ = attend(self.attention, entity, around, mask)
        given = [self.section(asked["section"]) + label, self.rule(asked["rule"])]
        joined = self.dropout(torch.cat([entity, found, *given], dim=1))
        result: Tensor = self.norm(torch.relu(self.join(joined)))
        return result

    def _hide(self, rows: Tensor, share: float) -> Tensor:
        return hide_rows(rows, share if self.training else 0.0)


def attend(
    attention: nn.MultiheadAttention, asks: Tensor, rows: Tensor, mask: Tensor
) -> Tuple[Tensor, Tensor]:
    """(S,H) what each of the questions (S,H) finds in its rows (S,M,H), where mask (S,M) is set,
    and (S,M) how much each row counts.

    The same as calling the module, but keys and values of the rows are never made: the question
    goes through the keys' weights, and what it found through the values'. For one question a
    window that is M times less work.
    """
    weight, bias = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    heads, width = attention.num_heads, attention.head_dim
    query = nn.functional.linear(asks, weight[0], bias[0]).view(-1, heads, width)
    # a key's bias adds the same to all rows of a question
    keyed = torch.einsum("shd,hdk->shk", query, weight[1].view(heads, width, -1))
    scores = (keyed @ rows.transpose(1, 2)) * width**-0.5
    shares = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(-1)
    values = torch.einsum("shk,hdk->shd", shares @ rows, weight[2].view(heads, width, -1))
    found: Tensor = attention.out_proj(values.reshape(len(asks), -1) + bias[2])
    return found, shares.mean(1)


def mean_inside(rows: Tensor, window: Tensor, inside: Tensor) -> Tensor:
    """(S,H) mean of the rows (N,H) of each window (S,M) where `inside` (S,M) is set, 0 if nowhere.

    Most of a window is context: only the rows that count are looked up.
    """
    owner, place = inside.nonzero(as_tuple=True)
    sums = rows.new_zeros(len(window), rows.shape[1])
    sums = sums.index_add(0, owner, rows[window[owner, place]])
    return sums / inside.sum(1, keepdim=True).clamp(min=1)


def hide_rows(rows: Tensor, share: float) -> Tensor:
    """Zero a share of the rows (N,H), by chance."""
    return rows * (torch.rand(len(rows), 1, device=rows.device) >= share) if share else rows


def mean_of_others(rows: Tensor, group: Tensor) -> Tensor:
    """(S,H) for each of the rows (S,H) the mean of the others of its group (S,), 0 if alone."""
    n_groups = int(group.max()) + 1
    sums = rows.new_zeros(n_groups, rows.shape[1]).index_add(0, group, rows)
    counts = torch.bincount(group, minlength=n_groups)[group].unsqueeze(1) - 1
    # alone: exactly 0, not what rounding leaves
    return (sums[group] - rows) * (counts > 0) / counts.clamp(min=1)


def shares_of_groups(salience: Tensor, group: Tensor) -> Tensor:
    """(S,) softmax of (S,) within each group (S,)."""
    n_groups = int(group.max()) + 1
    tops = salience.new_full((n_groups,), float("-inf"))
    tops = tops.scatter_reduce(0, group, salience.detach(), "amax")
    weights = (salience - tops[group]).exp()
    sums = weights.new_zeros(n_groups).index_add(0, group, weights)
    return weights / sums[group]


class AssertionNet(nn.Module):
    """Entities -> scores of the values of each axis.

    Questions by name, for S entities and windows of M tokens: `window` (S,M) tokens, `mask` (S,M),
    `inside` (S,M), `place` (S,M), `label` (S,), `section` (S,), `rule` (S,values)
    what the rules say, `same` (S,): a number for each note and words of an entity;
    for N tokens `cue` (N,cues) which cues each belongs to.

    The rules' answers also go to the scores directly: the network learns where they err. They are
    hidden from a share of the entities (doubt) in training, so that it learns to do without. On
    axes that are `shared` a name has one value in a note: its mentions vote, each with a weight of
    its own, as "stop frusemide" says more than "gout from frusemide".
    """

    def __init__(
        self,
        n_in: int,
        values: List[int],
        sizes: Dict[str, int],
        hidden: int,
        heads: int,
        dropout: float,
        hide: float,
        trust: float,
        doubt: float,
        shared: List[bool],
    ) -> None:
        super().__init__()
        self.doubt = doubt
        columns = [one for one, count in zip(shared, values) for _ in range(count)]
        self.register_buffer("shared", torch.tensor(columns), persistent=False)
        self.salience = nn.Linear(hidden, 1)
        self.context = EntityContext(n_in, hidden, heads, sizes, dropout, hide)
        self.others = nn.Linear(2 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, sum(values))
        self.trust = nn.Parameter(torch.full((sum(values),), trust))

    def forward(self, vectors: Tensor, asked: Dict[str, Tensor]) -> Tensor:
        """(S, sum of values) scores, the axes one after another."""
        rule = hide_rows(asked["rule"], self.doubt if self.training else 0.0)
        own = self.context(vectors, {**asked, "rule": rule})
        both = self.dropout(torch.cat([own, mean_of_others(own, asked["same"])], dim=1))
        joined = own + torch.relu(self.others(both))
        scores: Tensor = self.output(self.dropout(joined)) + rule * self.trust
        return torch.where(self.shared, self._vote(scores, joined, asked["same"]), scores)

    def _vote(self, scores: Tensor, rows: Tensor, group: Tensor) -> Tensor:
        weights = shares_of_groups(self.salience(rows).squeeze(1), group)
        sums = scores.new_zeros(int(group.max()) + 1, scores.shape[1])
        return sums.index_add(0, group, scores * weights.unsqueeze(1))[group]
