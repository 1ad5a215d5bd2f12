"""Pairs of entities to scores of relations. Imports torch alone."""

from typing import Dict, List, Tuple

import torch
from torch import Tensor, nn

from .assertion import attend

# Pairs whose windows are looked at together: what fits into a processor's cache is twice as fast.
AT_ONCE = 128


class RelationNet(nn.Module):
    """Pairs -> scores of relations, of causality and of kind, one after another.

    Both spans, what stands between and around them, how far apart they are, whether a sentence
    ends between, where in the note, what is said of them, and the other candidates. For N tokens,
    E entities, P pairs with windows of M tokens: `place` (N,) which label of entity a token
    belongs to, `breaks` (N,) whether a sentence begins; `members` (T,) tokens
    of the entities and `owner` (T,) whose; `head`, `tail` (P,) entities; `window`, `mask`, `role`
    (P,M): tokens, which are there, and whether before, in, between or behind the two; `buckets`
    (P,features): numbers into `tables`.

    n_in: width of a token vector; n_out: scores; hidden: of all inner vectors; heads: of the
    attention; sizes: of the tables of features;
    n_places, n_roles; dropout: in the head.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_places: int,
        hidden: int,
        heads: int,
        n_roles: int,
        sizes: List[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.token = nn.Linear(n_in, hidden)
        self.place = nn.Embedding(n_places, hidden)
        self.breaks = nn.Embedding(2, hidden)
        self.role = nn.Embedding(n_roles, hidden)
        self.tables = nn.ModuleList(nn.Embedding(size, hidden) for size in sizes)
        self.ask = nn.Linear(3 * hidden, hidden)
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.join = nn.Linear(6 * hidden, 2 * hidden)
        self.norm = nn.LayerNorm(2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * hidden, n_out)
        for embedding in (self.place, self.breaks, self.role, *self.tables):
            nn.init.normal_(embedding.weight, std=0.1)

    def forward(self, vectors: Tensor, asked: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """(P,n_out) scores of token vectors (N,n_in) and the arrays above, and (P,M) how much each
        token of the window counted."""
        own = self.token(self.dropout(vectors))
        tokens = own + self.place(asked["place"]) + self.breaks(asked["breaks"])
        entities = pool(tokens, asked["members"], asked["owner"])
        names = ("head", "tail", "window", "mask", "role", "buckets")
        parts = zip(*(asked[name].split(AT_ONCE) for name in names))
        rows = [self._judge(tokens, entities, dict(zip(names, part))) for part in parts]
        scores, shares = zip(*rows)
        return torch.cat(scores), torch.cat(shares)

    def _judge(
        self, tokens: Tensor, entities: Tensor, asked: Dict[str, Tensor]
    ) -> Tuple[Tensor, Tensor]:
        head, tail = entities[asked["head"]], entities[asked["tail"]]
        columns = zip(self.tables, asked["buckets"].unbind(1))
        features = torch.stack([table(column) for table, column in columns]).sum(0)
        around = tokens[asked["window"]] + self.role(asked["role"])
        query = self.ask(torch.cat([head, tail, features], dim=1))
        found, shares = attend(self.attention, query, around, asked["mask"])
        between = (asked["role"] % ROLES == BETWEEN) & asked["mask"]
        strongest = torch.relu(around * between.unsqueeze(-1)).amax(1)
        joined = torch.cat([head, tail, head * tail, features, found, strongest], dim=1)
        hidden = self.norm(torch.relu(self.join(self.dropout(joined))))
        return self.output(self.dropout(hidden)), shares


# Where a token stands to a pair, counted anew for pairs whose tail comes first.
ROLES = 5
BEFORE, HEAD, BETWEEN, TAIL, BEHIND = range(ROLES)


def pool(rows: Tensor, members: Tensor, owner: Tensor) -> Tensor:
    """(E,H) mean of the rows (N,H) that each entity has."""
    count = int(owner.max()) + 1
    sums = rows.new_zeros(count, rows.shape[1]).index_add(0, owner, rows[members])
    return sums / torch.bincount(owner, minlength=count).unsqueeze(1)
