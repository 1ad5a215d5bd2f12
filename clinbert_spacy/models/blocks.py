"""How much of a long note is read together: what all its tokens are turned into takes memory."""

from typing import List, Sequence, Tuple

# Tokens of which a head makes its vectors at once; batches are mostly shorter.
BLOCK = 20_000


def in_blocks(sizes: Sequence[int]) -> List[Tuple[int, int]]:
    """Group neighbours.

    sizes (Sequence[int]): tokens of each thing.
    RETURNS (List[Tuple[int, int]]): first thing and the one behind the last, of groups of at most
        `BLOCK` tokens or of one thing.
    """
    edges, total = [0] * bool(sizes), 0
    for number, size in enumerate(sizes):
        if number > edges[-1] and total + size > BLOCK:
            edges.append(number)
            total = 0
        total += size
    return list(zip(edges, [*edges[1:], len(sizes)]))
