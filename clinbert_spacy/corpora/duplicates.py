"""Texts of one corpus that say the same, and texts that share a passage."""
import re
from itertools import combinations
from typing import Dict, Hashable, Iterable, List, NamedTuple, Sequence, Set, Tuple

from .dedupe import RUNS_SHARED, word_runs

# Two texts say the same where they share this much of the shorter one's runs of twelve words.
SHARE_SAME = 0.5
# They share a passage where so many runs are the same: 21 words on end. Fewer, and the phrases of
# every operation report tie a tenth of MTSamples together.
RUNS_LINKED = 10
# A run that more texts than this have is a phrase of the trade; it tells nothing.
MOST_OWNERS = 50
_WORD = re.compile(r"[^\W_]+")


class Compared(NamedTuple):
    """What texts have in common. Both lists hold a number a text.

    same (List[int]): the first text that says the same, possibly itself.
    linked (List[int]): the first text that it must not be parted from, possibly itself.
    """

    same: List[int]
    linked: List[int]


def compare(texts: Sequence[str], near: bool = True) -> Compared:
    """Find duplicates and shared passages; both are passed on from text to text.

    texts (Sequence[str]): the texts.
    near (bool): texts say the same where they share half of the shorter one's runs of words,
        three at least; otherwise only where all their words are the same. Case, punctuation and
        white space never count.
    RETURNS (Compared): numbers of texts. Texts that share half of their runs, or ten runs, are
        linked; so are those that say the same.
    """
    firsts = first_of(" ".join(_WORD.findall(text.lower())) for text in texts)
    unique = sorted(set(firsts))
    runs = {i: word_runs(texts[i]) for i in unique}
    like, linked = [], []
    for (a, b), n_shared in _shared(runs).items():
        enough = max(RUNS_SHARED, SHARE_SAME * min(len(runs[a]), len(runs[b])))
        if n_shared >= enough:
            like.append((a, b))
        if n_shared >= min(enough, RUNS_LINKED):
            linked.append((a, b))
    equal = list(enumerate(firsts))
    return Compared(join(equal + (like if near else [])), join(equal + linked))


def first_of(keys: Iterable[Hashable]) -> List[int]:
    """Number keys by their first place. RETURNS (List[int]): the first place of each key."""
    seen: Dict[Hashable, int] = {}
    return [seen.setdefault(key, i) for i, key in enumerate(keys)]


def join(pairs: Sequence[Tuple[int, int]]) -> List[int]:
    """Join what pairs tie together.

    pairs (Sequence[Tuple[int, int]]): numbers; each from 0 on stands in a pair, if only with
        itself.
    RETURNS (List[int]): for each number the lowest one that it is tied to.
    """
    root = list(range(1 + max((max(pair) for pair in pairs), default=-1)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        root[high] = low
    return [find(i) for i in range(len(root))]


def _shared(runs: Dict[int, Set[bytes]]) -> Dict[Tuple[int, int], int]:
    owners: Dict[bytes, List[int]] = {}
    for i, found in runs.items():
        for run in found:
            owners.setdefault(run, []).append(i)
    count: Dict[Tuple[int, int], int] = {}
    for texts in owners.values():
        if len(texts) <= MOST_OWNERS:
            for pair in combinations(texts, 2):
                count[pair] = count.get(pair, 0) + 1
    return count
