"""Which sentences make a summary: what is owed first, then what counts most and is not said yet."""

from typing import Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy
from numpy.typing import NDArray

from .summary_facts import Telling

# Kinds that a budget which allows it always holds.
OWED = ("side_effect", "allergy")
# Likeness to all others together that is none but for rounding.
NONE = 1e-5


class Material(NamedTuple):
    """What is known of the sentences of a note.

    scores (NDArray): how much each belongs into a summary, in [0, 1]. Shape (sentences,).
    vectors (NDArray): of length 1 or 0, for how alike two are. Shape (sentences, width).
    costs (Sequence[int]): what each takes of the budget. tellings (Sequence[Telling]): of facts.
    needs (Mapping): sentences without which another would say something else, by its number.
    barred (FrozenSet[int]): those that must not be shown.
    words (Sequence[str]): of each, by which one repeats another; empty: not looked at.
    """

    scores: NDArray
    vectors: NDArray
    costs: Sequence[int]
    tellings: Sequence[Telling]
    needs: Mapping[int, FrozenSet[int]] = {}
    barred: FrozenSet[int] = frozenset()
    words: Sequence[str] = ()


class Chooser:
    """Chooses sentences under a budget.

    material (Material): the sentences. limit (int): of the sum of costs.
    redundancy (float): how much the likeness to what is chosen counts against a sentence, in [0, 1]
        (maximal marginal relevance, Carbonell and Goldstein 1998).
    partly (bool): where the limit is too low for all that is owed: as much of it as there is room
        for, or else what counts most, owed or not.
    """

    def __init__(self, material: Material, limit: int, redundancy: float, partly: bool = True):
        self.material = material
        self.limit = limit
        self.redundancy = redundancy
        self.partly = partly
        # asked again and again: what comes with sentences, and what does not change of a rank
        self._with_needs: Dict[FrozenSet[int], Optional[FrozenSet[int]]] = {}
        self._ranks: Dict[FrozenSet[int], Tuple[float, Tuple[int, ...]]] = {}
        self._begin()

    def _begin(self) -> None:
        material, n = self.material, len(self.material.scores)
        self.left = self.limit
        self.chosen: Set[int] = set()
        self.told: Set[Tuple[str, ...]] = set()
        self.owed = [one for one in material.tellings if one.kind in OWED]
        self.facts: Dict[int, List[Telling]] = {}
        self.places: Dict[Tuple[str, ...], Set[int]] = {}
        for one in material.tellings:
            self.places.setdefault(one.fact, set()).update(one.sentences)
            for i in one.sentences:
                self.facts.setdefault(i, []).append(one)
        self.alike: Dict[str, List[int]] = {}
        for i, words in enumerate(material.words):
            self.alike.setdefault(words, []).append(i)
        # of each sentence: may it still come, does it only repeat, is it like one of the chosen
        self.open = numpy.ones(n, dtype=bool)
        self.repeats = numpy.zeros(n, dtype=bool)
        self.likeness = numpy.full(n, -numpy.inf)

    def choose(self) -> List[int]:
        """RETURNS (List[int]): Numbers of the chosen sentences, ascending."""
        while (owed := self._best_owed()) is not None:
            self._take(owed)
        if not self.partly and self._owes():
            self._begin()
        while (best := self._best()) is not None:
            self._take(best)
        return sorted(self.chosen)

    def _owes(self) -> bool:
        """Whether something is owed that could be shown, and there was no room for it."""
        left = [one for one in self.material.tellings if one.kind in OWED]
        return any(one.fact not in self.told and self.with_needs(one.sentences) for one in left)

    def with_needs(self, wanted: FrozenSet[int]) -> Optional[FrozenSet[int]]:
        """Add what sentences need. RETURNS: None if one of them is barred."""
        found, open_ = set(wanted), list(wanted)
        while open_:
            for other in self.material.needs.get(open_.pop(), ()):
                if other not in found:
                    found.add(other)
                    open_.append(other)
        return None if found & self.material.barred else frozenset(found)

    def _cost(self, group: FrozenSet[int]) -> int:
        return sum(self.material.costs[i] for i in group - self.chosen)

    def _fits(self, wanted: FrozenSet[int]) -> Optional[FrozenSet[int]]:
        """What would come with sentences; None if it does not fit, and then it never will."""
        if wanted not in self._with_needs:
            self._with_needs[wanted] = self.with_needs(wanted)
        group = self._with_needs[wanted]
        return group if group and self._cost(group) <= self.left else None

    def _take(self, group: FrozenSet[int]) -> None:
        new = sorted(group - self.chosen)
        self.left -= self._cost(group)
        self.chosen |= group
        self.open[new] = False
        told = {t.fact for i in new for t in self.facts.get(i, ()) if t.sentences <= self.chosen}
        touched = {i for fact in told - self.told for i in self.places[fact]}
        self.told |= told
        for i in new:
            # not @: threads of its library cost more than so small a product
            likeness = numpy.einsum("ij,j->i", self.material.vectors, self.material.vectors[i])
            self.likeness = numpy.maximum(self.likeness, likeness)
            # once is enough: they stay what they are
            touched.update(self.alike.pop(self.material.words[i], ()) if self.alike else ())
        for i in touched:
            self.repeats[i] = self._repeats(i)

    def _repeats(self, i: int) -> bool:
        """Whether all that a sentence tells has been told, or all its words said."""
        facts = self.facts.get(i, [])
        if not facts:
            # asked only where the same words were chosen
            return True
        return all(one.fact in self.told for one in facts)

    def _best_owed(self) -> Optional[FrozenSet[int]]:
        """The sentences that tell most of what is owed for what they cost."""
        groups: Dict[FrozenSet[int], Tuple[float, float, Tuple[int, ...]]] = {}
        left = [one for one in self.owed if one.fact not in self.told]
        self.owed = []
        for one in left:
            group = self._fits(one.sentences)
            if group is not None:
                self.owed.append(one)
                if group not in groups:
                    groups[group] = self._rank(group)
        return max(groups, key=groups.__getitem__) if groups else None

    def _rank(self, group: FrozenSet[int]) -> Tuple[float, float, Tuple[int, ...]]:
        after = self.chosen | group
        told = {
            t.fact
            for i in group
            for t in self.facts.get(i, ())
            if t.kind in OWED and t.fact not in self.told and t.sentences <= after
        }
        if group not in self._ranks:
            order = sorted(group)
            self._ranks[group] = float(self.material.scores[order].mean()), tuple(order)
        return (len(told) / max(self._cost(group), 1), *self._ranks[group])

    def _best(self) -> Optional[FrozenSet[int]]:
        """The sentence that counts most; those that only repeat come last."""
        values = self._values()
        while self.open.any():
            fresh = self.open & ~self.repeats
            among = fresh if fresh.any() else self.open
            best = int(numpy.where(among, values, -numpy.inf).argmax())
            group = self._fits(frozenset([best]))
            if group is not None:
                return group
            self.open[best] = False
        return None

    def _values(self) -> NDArray:
        scores: NDArray = self.material.scores
        if not self.chosen:
            return scores
        return (1 - self.redundancy) * scores - self.redundancy * self.likeness


def central(vectors: NDArray, damping: float = 0.85, steps: int = 50) -> NDArray:
    """Score sentences by how central they are, without having learned anything.

    PageRank over the likeness of their vectors, as in TextRank (Mihalcea and Tarau 2004), without a
    table of all pairs.

    vectors (NDArray): of length 1 or 0, no number negative. Shape (sentences, width).
    RETURNS (NDArray): in [0, 1], the greatest 1. Shape (sentences,).
    """
    n = len(vectors)
    if not n:
        return numpy.zeros(0, dtype="float32")
    own = (vectors * vectors).sum(axis=1)

    def walk(shares: NDArray) -> NDArray:
        shares = shares.astype(vectors.dtype)
        return vectors @ (shares @ vectors) - own * shares

    sums = walk(numpy.ones(n))
    alone = sums < NONE
    rank = numpy.full(n, 1.0 / n)
    for _ in range(steps):
        moved = walk(numpy.where(alone, 0.0, rank) / numpy.where(alone, 1.0, sums))
        rank = (1 - damping) / n + damping * (moved + rank[alone].sum() / n)
    return (rank / rank.max()).astype("float32")
