"""Candidate pairs laid out for `nets.pair_reader.PairReader`: parts of neighbours, not windows."""

from typing import Dict, Iterator, Sequence, Tuple

import numpy
from numpy.typing import NDArray

from ..nets.relations import BEFORE, BEHIND, BETWEEN, HEAD, ROLES, TAIL
from . import blocks

Arrays = Dict[str, NDArray]
# Pairs that are read together: more of them have more words that are not in all windows, fewer
# cost more calls.
AT_ONCE = 64
# Of a token that is not in a window.
OUTSIDE = 2 * ROLES
# Arrays of `relation_features.ask` with a row for each pair.
OF_PAIRS = ("head", "tail", "buckets", "bounds")


def blocks_of(arrays: Arrays) -> Iterator[Tuple[slice, Arrays]]:
    """Cut the pairs of long notes into groups that are read without the rest of the tokens.

    arrays (Arrays): of `relation_features.ask`, without windows.
    YIELDS (Tuple[slice, Arrays]): tokens, and the same arrays of these and of pairs among them; in
        order of the pairs.
    """
    n_pairs, n_tokens = len(arrays["head"]), len(arrays["place"])
    if n_tokens <= blocks.BLOCK:
        yield slice(0, n_tokens), arrays
        return
    ends = [arrays[end][arrays[name]] for end in ("starts", "ends") for name in ("head", "tail")]
    edges = numpy.column_stack([arrays["bounds"], *ends])
    firsts = numpy.arange(0, n_pairs, AT_ONCE)
    lows = numpy.minimum.reduceat(edges.min(1), firsts).tolist()
    highs = numpy.maximum.reduceat(edges.max(1), firsts).tolist()
    first, low, high = 0, lows[0], highs[0]
    for part, (a, b) in enumerate(zip(lows, highs)):
        if max(high, b) - min(low, a) > blocks.BLOCK and part * AT_ONCE > first:
            yield slice(low, high), _cut(arrays, slice(first, part * AT_ONCE), low, high)
            first, low, high = part * AT_ONCE, a, b
        low, high = min(low, a), max(high, b)
    yield slice(low, high), _cut(arrays, slice(first, n_pairs), low, high)


def _cut(arrays: Arrays, pairs: slice, low: int, high: int) -> Arrays:
    """Some pairs, their entities and the tokens from low to before high, numbered anew."""
    found = {name: arrays[name][pairs] for name in OF_PAIRS}
    used = numpy.unique(numpy.concatenate([found["head"], found["tail"]]))
    kept = numpy.isin(arrays["owner"], used)
    tokens = {name: arrays[name][low:high] for name in ("place", "breaks", "word", "sentence")}
    return {
        **tokens,
        "head": numpy.searchsorted(used, found["head"]),
        "tail": numpy.searchsorted(used, found["tail"]),
        "buckets": found["buckets"],
        "bounds": found["bounds"] - low,
        "starts": arrays["starts"][used] - low,
        "ends": arrays["ends"][used] - low,
        "members": arrays["members"][kept] - low,
        "owner": numpy.searchsorted(used, arrays["owner"][kept]),
    }


def known_of_ends(
    arrays: Arrays, sizes: Sequence[int], of_head: Sequence[int], of_tail: Sequence[int]
) -> Tuple[Arrays, Arrays]:
    """Part what is known of single entities from what is known of pairs.

    arrays (Arrays): of `relation_features.ask`. sizes (Sequence[int]): of the tables of features.
    of_head, of_tail (Sequence[int]): columns of `buckets` that depend on one end alone.
    RETURNS (Tuple[Arrays, Arrays]): what `PairReader` takes, and of pairs `head`, `tail` (numbers
        of these) and `features`.
    """
    rows = arrays["buckets"] + (numpy.cumsum([0, *sizes])[:-1])
    ends: Arrays = {name: arrays[name] for name in ("place", "breaks", "members", "owner")}
    pairs: Arrays = {}
    for name, columns in (("head", of_head), ("tail", of_tail)):
        found, first, pairs[name] = numpy.unique(
            arrays[name], return_index=True, return_inverse=True
        )
        ends[f"{name}s"], ends[f"of_{name}"] = found, rows[first][:, list(columns)]
    rest = sorted({*range(len(sizes))} - {*of_head, *of_tail})
    return ends, {**pairs, "features": rows[:, rest]}


def parts_of(arrays: Arrays, pairs: Arrays) -> Iterator[Arrays]:
    """Lay out pairs.

    arrays (Arrays): of `relation_features.ask`, without windows. pairs (Arrays): more of each pair,
        handed on.
    YIELDS (Arrays): see `PairReader.read`.
    """
    edges, roles, between = _stretches(arrays)
    # no sentence has the number 0
    free = numpy.where(arrays["word"] & (arrays["place"] == 0), arrays["sentence"], 0)
    begins = arrays["sentence"][arrays["starts"]]
    for first in range(0, len(edges), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        token, place = _columns(edges[part], arrays["bounds"][part])
        base, at = edges[part].min(), place(edges[part])
        heads, tails = (begins[arrays[name][part]][:, None] for name in ("head", "tail"))
        words = free[token]
        yield {
            **{name: values[part] for name, values in pairs.items()},
            "token": token,
            "role": _fill(at, roles[part], len(token)),
            "edges": at,
            "roles": roles[part],
            "between": place(numpy.maximum(between[part], base)),
            "free": (words == heads) | (words == tails),
        }


def _columns(edges: NDArray, bounds: NDArray) -> Tuple[NDArray, "_Places"]:
    """Tokens of any window of a part, and the way from the batch's numbers to theirs."""
    low, n = edges.min(), edges.max() - edges.min() + 1
    opened, closed = (numpy.bincount((bounds[:, i::2] - low).ravel(), minlength=n) for i in (0, 1))
    shown = numpy.cumsum(opened - closed) > 0
    return numpy.flatnonzero(shown) + low, _Places(low, numpy.cumsum(shown) - shown)


class _Places:
    """Numbers of tokens to how many columns stand before them."""

    def __init__(self, low: int, before: NDArray) -> None:
        self.low, self.before = low, before

    def __call__(self, tokens: NDArray) -> NDArray:
        return self.before[numpy.minimum(tokens - self.low, len(self.before) - 1)]


def _fill(edges: NDArray, roles: NDArray, length: int) -> NDArray:
    """(pairs, length): the role of each token, OUTSIDE before the first edge and from the last."""
    edge = numpy.full((len(roles), 1), OUTSIDE)
    sizes = numpy.diff(edges, axis=1, prepend=0, append=length)
    flat = numpy.repeat(numpy.hstack([edge, roles, edge]).ravel(), sizes.ravel())
    return flat.reshape(len(roles), length)


def _stretches(arrays: Arrays) -> Tuple[NDArray, NDArray, NDArray]:
    """Cut windows where the role may change: edges (pairs, 8), the roles between them (pairs, 7),
    and the two ranges between both ends (pairs, 4)."""
    head, tail = (
        [arrays[end][arrays[name]][:, None] for end in ("starts", "ends")]
        for name in ("head", "tail")
    )
    bounds = arrays["bounds"]
    edges = numpy.sort(numpy.hstack([bounds, *head, *tail]), axis=1)
    backward = head[0] > tail[0]
    left = [numpy.where(backward, b, a) for a, b in zip(head, tail)]
    right = [numpy.where(backward, a, b) for a, b in zip(head, tail)]
    roles = find_roles(edges[:, :-1], head, tail, left, right) + ROLES * backward
    shown = [_within(edges[:, :-1], [bounds[:, i, None], bounds[:, i + 1, None]]) for i in (0, 2)]
    first = [left[1], numpy.minimum(right[0], bounds[:, 1, None])]
    second = [numpy.maximum(left[1], bounds[:, 2, None]), right[0]]
    roles = numpy.where(shown[0] | shown[1], roles, OUTSIDE)
    return edges, roles, numpy.hstack([*first, *second])


def _within(token: NDArray, ends: Sequence[NDArray]) -> NDArray[numpy.bool_]:
    return (token >= ends[0]) & (token < ends[1])


def find_roles(
    token: NDArray,
    head: Sequence[NDArray],
    tail: Sequence[NDArray],
    left: Sequence[NDArray],
    right: Sequence[NDArray],
) -> NDArray:
    """Say what tokens are to a pair.

    token (NDArray): their places. head, tail, left, right (Sequence[NDArray]): starts and ends of
        the entities of the pairs, and again as they stand in the note.
    RETURNS (NDArray): BEFORE, HEAD, BETWEEN, TAIL or BEHIND. Shape (pairs, tokens), as all.
    """
    role = numpy.full(token.shape, BETWEEN)
    role[token < left[0]] = BEFORE
    role[token >= right[1]] = BEHIND
    role[_within(token, tail)] = TAIL
    role[_within(token, head)] = HEAD
    return role
