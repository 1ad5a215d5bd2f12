"""Many pairs to scores of relations: what `RelationNet` says, cheaper. Imports torch alone."""

from typing import Dict, Iterable, List, Tuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from .relations import BETWEEN, ROLES, RelationNet, pool


class PairReader:
    """Judges pairs by a trained `RelationNet`, without dropout.

    A layer over things side by side is the sum of layers over each: what is asked of a token, of an
    entity or of a row of the tables is asked once, not for each pair that has it. Pairs near each
    other are read together (a part), over all tokens that any of their windows has.

    net (RelationNet): the network. vectors (Tensor): of tokens (N,n_in). asked (Dict): `place`,
    `breaks`, `members` and `owner` as for the network; `heads` and `tails`: numbers of the entities
    that are one, each once; `of_head`, `of_tail`: for each of these rows of all tables joined, of
    those features that do not depend on the other end.
    """

    def __init__(self, net: RelationNet, vectors: Tensor, asked: Dict[str, Tensor]) -> None:
        self.net = net
        marks = (net.place.weight.unsqueeze(1) + net.breaks.weight).flatten(0, 1)
        marked = asked["place"] * len(net.breaks.weight) + asked["breaks"]
        self.tokens = net.token(vectors).add_(marks[marked])
        entities = pool(self.tokens, asked["members"], asked["owner"])
        self.heads, self.tails = entities[asked["heads"]], entities[asked["tails"]]
        self.width = self.tokens.shape[1]
        self._read_tokens()
        self._read_ends(asked)

    def _read_tokens(self) -> None:
        """Keys and values of all tokens, and of roles with one more: outside of the window."""
        attention = self.net.attention
        weight = attention.in_proj_weight[self.width :]
        self.keyed = linear(self.tokens, weight)
        roles = torch.cat([self.net.role.weight, self.net.role.weight[:1]])
        shape = (len(roles), 2, attention.num_heads, attention.head_dim)
        keys, values = linear(roles, weight).view(shape).unbind(1)
        self.role_keys, self.role_values = keys.permute(1, 2, 0), values.transpose(0, 1)

    def _read_ends(self, asked: Dict[str, Tensor]) -> None:
        """The shares of both ends and of features in the question and in what is joined."""
        net, attention = self.net, self.net.attention
        asks, joins = net.ask.weight.split(self.width, 1), net.join.weight.split(self.width, 1)
        scale = attention.head_dim**-0.5
        query = attention.in_proj_weight[: self.width] * scale

        def both(rows: Tensor, ask: Tensor, join: Tensor) -> Tensor:
            return torch.cat([linear(linear(rows, ask), query), linear(rows, join)], dim=1)

        self.table = both(torch.cat([one.weight for one in net.tables]), asks[2], joins[3])  # type: ignore[misc]
        bias = attention.in_proj_bias[: self.width] * scale
        bias = torch.cat([linear(net.ask.bias, query, bias), net.join.bias])
        self.of_head = both(self.heads, asks[0], joins[0]).add_(self._features(asked["of_head"]))
        self.of_head += bias
        self.of_tail = both(self.tails, asks[1], joins[1]).add_(self._features(asked["of_tail"]))
        self.rest = torch.cat([joins[2], joins[4], joins[5]], dim=1).t().contiguous()

    def _features(self, rows: Tensor) -> Tensor:
        return embedding_bag(rows, self.table, mode="sum")

    def read(self, parts: Iterable[Dict[str, Tensor]]) -> Tuple[Tensor, Tensor]:
        """(P,n_out) scores of the pairs, and (P,) the token that counted most of those that may.

        parts (Iterable[Dict]): of p pairs and m tokens each. `head`, `tail` (p,): which of `heads`
        and `tails`; `features` (p,F): rows of the tables joined; `token` (m,); `role` (p,m), as
        many as there are roles where a token is not in a window; `edges` (p,S+1) and `roles` (p,S):
        stretches of m with the same role; `between` (p,4): two ranges of m between both ends;
        `free` (p,m): whether a token may count. -1: none of these did.
        """
        rows = [self._judge(part) for part in parts]
        scores, focus = zip(*rows)
        return torch.cat(scores), torch.cat(focus)

    def _judge(self, part: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        net, head, tail = self.net, part["head"], part["tail"]
        given = self.of_head[head].add_(self.of_tail[tail]).add_(self._features(part["features"]))
        query, known = given[:, : self.width], given[:, self.width :]
        found, shares = self._attend(query, part)
        ends = self.heads[head].mul_(self.tails[tail])
        rows = torch.cat([ends, found, self._strongest(part)], dim=1)
        hidden = net.norm(torch.addmm(known, rows, self.rest).relu_())
        counted, best = (shares * part["free"]).max(1)
        focus = torch.where(counted > 0, part["token"][best], -1)
        return net.output(hidden), focus

    def _attend(self, query: Tensor, part: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """See `attend`: (p,H) what is found, and (p,m) how much each token counts."""
        attention = self.net.attention
        heads, width = attention.num_heads, attention.head_dim
        keys, values = self.keyed[part["token"]].view(-1, 2, heads, width).unbind(1)
        asks = query.reshape(-1, heads, width).transpose(0, 1)
        by_role = torch.bmm(asks, self.role_keys)
        by_role[:, :, -1] = float("-inf")
        scores = torch.bmm(asks, keys.permute(1, 2, 0))
        scores += by_role.gather(2, part["role"].expand(heads, -1, -1))
        shares = scores.softmax(-1)
        found = torch.bmm(shares, values.transpose(0, 1))
        found += torch.bmm(self._by_role(shares, part), self.role_values)
        joined = found.transpose(0, 1).reshape(len(query), -1)
        return attention.out_proj(joined + attention.in_proj_bias[-self.width :]), shares.sum(0)

    def _by_role(self, shares: Tensor, part: Dict[str, Tensor]) -> Tensor:
        """(heads,p,roles) sums of shares (heads,p,m)."""
        sums = torch.nn.functional.pad(shares.cumsum(-1), (1, 0))
        edges, roles = (part[name].expand(len(shares), -1, -1) for name in ("edges", "roles"))
        stretches = sums.gather(2, edges).diff(dim=2)
        found = shares.new_zeros(*shares.shape[:2], self.role_values.shape[1])
        return found.scatter_add_(2, roles, stretches)

    def _strongest(self, part: Dict[str, Tensor]) -> Tensor:
        """(p,H) greatest of what stands between, at least 0."""
        # the role is the same for all between, but for the order of both ends
        turned = part["roles"][:, 0] >= ROLES
        role = self.net.role.weight[BETWEEN + ROLES * turned]
        return max_of_ranges(self.tokens[part["token"]], part["between"]).add_(role).relu_()


def max_of_ranges(rows: Tensor, ranges: Tensor) -> Tensor:
    """(S,H) greatest of the rows (M,H) from the first to before the second, from the third to
    before the fourth of ranges (S,4), ...; minus infinity where all are empty.

    A range is two that may overlap, of lengths that are powers of two.
    """
    first, end = ranges.t()[::2], ranges.t()[1::2]
    level = torch.frexp((end - first).clamp(min=0).float()).exponent.long() - 1
    base = 1 + level * len(rows)
    places = torch.cat([base + first, base + end - (1 << level.clamp(min=0))])
    places = torch.where(torch.cat([level, level]) < 0, 0, places)
    tables: List[Tensor] = [rows]
    for i in range(int(level.max()) if level.numel() else 0):
        last, step = tables[-1], 1 << i
        tables.append(torch.cat([torch.maximum(last[:-step], last[step:]), last[-step:]]))
    nothing = rows.new_full((1, rows.shape[1]), float("-inf"))
    return torch.cat([nothing, *tables])[places].amax(0)
