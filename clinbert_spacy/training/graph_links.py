"""Triples between concepts, out of what ontologies say about ids and names."""

from collections import Counter
from itertools import combinations
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from ..corpora.ontologies_files import (
    CROSS_REFERENCE,
    IS_A,
    SAME_CLASS,
    SYNONYM_OF,
    Ontology,
    Triple,
)
from ..models.lexicon import key_of
from .graph_merge import DRUG, Concept, family, prefix_of

SYMMETRIC = (CROSS_REFERENCE, SYNONYM_OF, SAME_CLASS)
DERIVED = "derived"  # source of what follows from names and other triples
LARGEST_CLASS = 12  # drugs in a class that says that they are alike
MOST_SHARED = 4  # concepts of a name that says that they are alike
_DEPTH = 12  # steps of is_a that are followed


class Link(NamedTuple):
    """A triple between concepts, by their indices, and the ontology that states it."""

    head: int
    relation: str
    tail: int
    source: str


def make_links(
    concepts: Sequence[Concept],
    entries: Mapping[str, Sequence[int]],
    ontologies: Sequence[Tuple[str, Ontology]],
) -> List[Link]:
    """Make the triples between concepts.

    A symmetric relation is kept in one direction. `same_class` says that two drugs stand under
    the same heading of at most twelve; it follows from is_a.

    concepts (Sequence[Concept]): concepts.
    entries (Mapping[str, Sequence[int]]): by key, indices of the concepts that bear a name.
    ontologies (Sequence[Tuple[str, Ontology]]): name and content of each.
    RETURNS (List[Link]): each once, none from a concept to itself; ends that are no concept of
        ours are left out.
    """
    resolve = _Resolver(concepts, entries)
    found: Dict[Tuple[int, str, int], str] = {}
    for source, triple in _stated(ontologies):
        head, tail = resolve(triple.head), resolve(triple.tail)
        if head >= 0 and tail >= 0:
            _add(found, head, triple.relation, tail, source)
    parents = [(head, tail) for head, relation, tail in found if relation == IS_A]
    for first, second in _shared_names(concepts, entries):
        _add(found, first, SYNONYM_OF, second, DERIVED)
    for first, second in _siblings(concepts, parents):
        _add(found, first, SAME_CLASS, second, DERIVED)
    return [Link(*key, source) for key, source in found.items()]


def _stated(ontologies: Sequence[Tuple[str, Ontology]]) -> Iterator[Tuple[str, Triple]]:
    for source, ontology in ontologies:
        for triple in ontology.triples:
            yield source, triple
        # an exact match that was not merged, because the other is taken, remains a reference
        for term in ontology.terms:
            for other in term.exact:
                yield source, Triple(term.id, CROSS_REFERENCE, other)


def _add(
    found: Dict[Tuple[int, str, int], str], head: int, relation: str, tail: int, source: str
) -> None:
    if relation in SYMMETRIC and head > tail:
        head, tail = tail, head
    if head != tail:
        found.setdefault((head, relation, tail), source)


class _Resolver:
    """Finds the concept of an id, or of a name of some kind."""

    def __init__(self, concepts: Sequence[Concept], entries: Mapping[str, Sequence[int]]) -> None:
        self.families = [family(concept.kinds) for concept in concepts]
        self.entries = entries
        self.ids = {id_: i for i, concept in enumerate(concepts) for id_ in concept.ids}

    def __call__(self, end: str) -> int:
        kind, bar, name = end.partition("|")
        if not bar:
            return self.ids.get(end, -1)
        wanted = family([kind])
        bearers = self.entries.get(key_of(name), ())
        return next((i for i in bearers if self.families[i] == wanted), -1)


def _shared_names(
    concepts: Sequence[Concept], entries: Mapping[str, Sequence[int]]
) -> Iterator[Tuple[int, int]]:
    for indices in entries.values():
        if 1 < len(indices) <= MOST_SHARED:
            for first, second in combinations(sorted(indices), 2):
                if family(concepts[first].kinds) == family(concepts[second].kinds):
                    yield first, second


def _siblings(
    concepts: Sequence[Concept], parents: Iterable[Tuple[int, int]]
) -> Iterator[Tuple[int, int]]:
    classes: Dict[int, List[int]] = {}
    for child, parent in parents:
        if DRUG in concepts[child].kinds and prefix_of(concepts[parent].id) == "MESH":
            classes.setdefault(parent, []).append(child)
    for members in classes.values():
        if len(members) <= LARGEST_CLASS:
            yield from combinations(sorted(members), 2)


def ancestors(links: Iterable[Link]) -> Dict[int, Set[int]]:
    """Collect what stands above each concept.

    links (Iterable[Link]): triples; those of is_a count.
    RETURNS (Dict[int, Set[int]]): by concept, all concepts above it.
    """
    parents: Dict[int, Set[int]] = {}
    for link in links:
        if link.relation == IS_A:
            parents.setdefault(link.head, set()).add(link.tail)
    above: Dict[int, Set[int]] = {}
    for concept in parents:
        level, seen = set(parents[concept]), set(parents[concept])
        for _ in range(_DEPTH):
            level = {up for one in level for up in parents.get(one, ())} - seen
            seen |= level
            if not level:
                break
        above[concept] = seen
    return above


def without_relatives(
    entries: Mapping[str, Sequence[int]], above: Mapping[int, Set[int]]
) -> Dict[str, List[int]]:
    """Leave concepts out of an entry that stand above or below one before it there.

    A synonym that a narrower concept shares with a broader one is no real ambiguity.

    entries (Mapping[str, Sequence[int]]): by key, indices of concepts, the likeliest first.
    above (Mapping[int, Set[int]]): by concept, all concepts above it.
    RETURNS (Dict[str, List[int]]): entries with fewer concepts, none without any.
    """
    kept: Dict[str, List[int]] = {}
    for key, indices in entries.items():
        chosen: List[int] = []
        for index in indices:
            up = above.get(index, set())
            if not any(one in up or index in above.get(one, ()) for one in chosen):
                chosen.append(index)
        kept[key] = chosen
    return kept


def count_relations(links: Iterable[Link]) -> Dict[str, int]:
    """Count triples by relation, the most frequent first."""
    return dict(Counter(link.relation for link in links).most_common())
