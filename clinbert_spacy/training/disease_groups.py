"""Groups of diseases that a passage names, from the is-a relations of the graph."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Set, Tuple

import numpy
from numpy.typing import NDArray

from ..models.lexicon import Lexicon

TRIPLES_FILE = "triples.tsv.gz"
CONCEPTS_FILE = "concepts.tsv.gz"
IS_A = "is_a"
SMALLEST = 30  # concepts below a group
MOST = 64  # groups: the largest


def entry_groups(graph: Path, lexicon: Lexicon) -> Tuple[List[str], NDArray]:
    """Find the disease groups of every entry.

    A group is a concept right below a root of the disease hierarchies or below such a one, with
    enough concepts under it ("cardiovascular system disease", "nutritional disorder"); of these
    the largest.

    graph (Path): Folder that `clinbert build-graph` wrote.
    lexicon (Lexicon): Its names.
    RETURNS (Tuple[List[str], NDArray]): Names of the groups, and whether an entry is of a group.
        Row 0 stands for no entry. Shape (entries + 1, groups).
    RAISES (ValueError): The graph has no such hierarchy.
    """
    diseases = _disease_concepts(lexicon)
    parents = _parents(graph / TRIPLES_FILE, diseases)
    ancestors = {concept: _ancestors(concept, parents) for concept in parents}
    sizes: Dict[str, int] = defaultdict(int)
    for above in ancestors.values():
        for concept in above:
            sizes[concept] += 1
    depth = _depths(parents)
    large = [c for c, n in sizes.items() if n >= SMALLEST and depth.get(c) in (1, 2)]
    groups = sorted(sorted(large, key=lambda c: (-sizes[c], c))[:MOST])
    if not groups:
        raise ValueError(f"{graph / TRIPLES_FILE}: no hierarchy of diseases; build it again.")
    return _names(graph / CONCEPTS_FILE, groups), _table(lexicon, groups, ancestors)


def _disease_concepts(lexicon: Lexicon) -> Set[str]:
    bit = 1 << lexicon.kinds.index("disease")
    chosen = numpy.flatnonzero(lexicon.concept_kinds & bit)
    return {lexicon.concepts[i] for i in chosen}


def _parents(path: Path, diseases: Set[str]) -> Dict[str, Set[str]]:
    found: Dict[str, Set[str]] = defaultdict(set)
    with gzip.open(path, "rt", encoding="utf8", newline="") as stream:
        for head, relation, tail, *_ in csv.reader(stream, delimiter="\t"):
            if relation == IS_A and (head in diseases or tail in diseases):
                found[head].add(tail)
    return found


def _ancestors(concept: str, parents: Dict[str, Set[str]]) -> Set[str]:
    found: Set[str] = {concept}
    queue = [concept]
    while queue:
        for parent in parents.get(queue.pop(), ()):
            if parent not in found:
                found.add(parent)
                queue.append(parent)
    return found


def _depths(parents: Dict[str, Set[str]]) -> Dict[str, int]:
    children: Dict[str, Set[str]] = defaultdict(set)
    for concept, above in parents.items():
        for parent in above:
            children[parent].add(concept)
    depth = {concept: 0 for concept in children if not parents.get(concept)}
    level = list(depth)
    while level:
        below = [c for concept in level for c in children.get(concept, ()) if c not in depth]
        for concept in below:
            depth.setdefault(concept, depth[level[0]] + 1)
        level = sorted(set(below))
    return depth


def _table(lexicon: Lexicon, groups: List[str], ancestors: Dict[str, Set[str]]) -> NDArray:
    column = {group: i for i, group in enumerate(groups)}
    of_concept = [
        [column[a] for a in ancestors.get(concept, ()) if a in column]
        for concept in lexicon.concepts
    ]
    table = numpy.zeros((len(lexicon) + 1, len(groups)), dtype=bool)
    for entry in range(len(lexicon)):
        for concept in lexicon.concepts_of(entry):
            table[entry + 1, of_concept[int(concept)]] = True
    return table


def _names(path: Path, concepts: List[str]) -> List[str]:
    wanted, names = set(concepts), {}
    with gzip.open(path, "rt", encoding="utf8", newline="") as stream:
        for row in csv.reader(stream, delimiter="\t"):
            if row[0] in wanted:
                names[row[0]] = row[1]
    return [names.get(concept, concept) for concept in concepts]
