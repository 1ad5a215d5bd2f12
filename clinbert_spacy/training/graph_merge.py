"""Terms of several ontologies made one concept where they surely mean the same."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence, Set, Tuple

from ..corpora.ontologies_files import Ontology, Term
from ..models.lexicon import key_of

# Which ontology names a concept, which kinds it has, and which id it goes by: first come.
NAMED_BY = ("DOID", "RXCUI", "DB", "MONDO", "MESH", "ICD10CM", "DO-SYMPTOM")
KINDS_BY = ("MESH", "DOID", "MONDO", "ICD10CM", "DO-SYMPTOM")
ID_BY = ("MESH", "DOID", "DB", "RXCUI", "MONDO", "ICD10CM", "DO-SYMPTOM")
PROBLEM, CHEMICAL = "problem", "chemical"
FAMILIES = {
    "disease": PROBLEM, "symptom": PROBLEM,
    "drug": CHEMICAL, "substance": CHEMICAL, "drug_class": CHEMICAL,
}  # fmt: skip
DRUG, DRUG_CLASS = "drug", "drug_class"
_DRUG_LISTS = {"DB", "RXCUI"}


@dataclass
class Concept:
    """What terms of several ontologies mean.

    id (str): the id it goes by.
    name (str): preferred name.
    kinds (Tuple[str, ...]): what it is.
    terms (List[Term]): the terms.
    ids (List[str]): their ids, and others that stand for the same.
    sources (List[str]): the ontologies.
    """

    id: str
    name: str
    kinds: Tuple[str, ...]
    terms: List[Term]
    ids: List[str]
    sources: List[str] = field(default_factory=list)


def prefix_of(id_: str) -> str:
    """Tell the ontology of an id.

    id_ (str): an id, e.g. "DOID:10763" or "DB00945".
    RETURNS (str): e.g. "DOID", "DB".
    """
    prefix, colon, _ = id_.partition(":")
    return prefix if colon else id_[:2]


class Groups:
    """Ids that mean the same; a group never holds two ids of one ontology."""

    def __init__(self) -> None:
        self.of: Dict[str, Set[str]] = {}

    def join(self, first: str, second: str) -> bool:
        """Make two ids one, unless their groups share an ontology.

        first (str): an id. second (str): another.
        RETURNS (bool): whether they are one now.
        """
        a, b = (self.of.setdefault(id_, {id_}) for id_ in (first, second))
        if a is b:
            return True
        if {prefix_of(x) for x in a} & {prefix_of(x) for x in b}:
            return False
        a |= b
        self.of.update({id_: a for id_ in b})
        return True


def merge(ontologies: Sequence[Tuple[str, Ontology]]) -> List[Concept]:
    """Merge terms conservatively.

    Two terms become one where an ontology says so (Mondo's exact matches, MeSH references of the
    Disease Ontology, a UNII code in DrugBank and RxNorm), then where preferred names are equal,
    then, for drugs only, where the preferred name of one is a synonym of just one term of the
    other ontology. No concept ever holds two terms of one ontology: whoever comes second stays
    apart, and the pair is kept as a cross-reference or shared name. References to ICD-10-CM
    are links unless Mondo calls them exact: its codes are classes of cases.

    ontologies (Sequence[Tuple[str, Ontology]]): name and content of each.
    RETURNS (List[Concept]): concepts, in the order of their first terms.
    """
    terms = {term.id: term for _, ontology in ontologies for term in ontology.terms}
    sources = {term.id: name for name, ontology in ontologies for term in ontology.terms}
    groups = Groups()
    for first, second in [*_stated(terms.values()), *_same_name(terms.values())]:
        groups.join(first, second)
    for first, second in _same_drug(terms.values(), groups):
        groups.join(first, second)
    concepts: List[Concept] = []
    done: Set[str] = set()
    for id_ in terms:
        if id_ not in done:
            ids = sorted(groups.of.get(id_, {id_}), key=lambda x: (rank(x, ID_BY), x))
            done.update(ids)
            concepts.append(_concept(ids, terms, sources))
    return concepts


def rank(id_: str, order: Sequence[str]) -> int:
    """Tell how early an ontology comes.

    id_ (str): an id. order (Sequence[str]): ontologies.
    RETURNS (int): place of its ontology; past the end if it is not among them.
    """
    prefix = prefix_of(id_)
    return order.index(prefix) if prefix in order else len(order)


def family(kinds: Iterable[str]) -> str:
    """Tell of which family kinds are, within which names may make terms one.

    kinds (Iterable[str]): kinds of a term.
    RETURNS (str): "problem", "chemical" or the kind itself.
    """
    return next((FAMILIES.get(kind, kind) for kind in sorted(kinds)), "")


def _concept(ids: List[str], terms: Mapping[str, Term], sources: Mapping[str, str]) -> Concept:
    own = [terms[id_] for id_ in ids if id_ in terms]
    named = min(own, key=lambda term: rank(term.id, NAMED_BY))
    decides = min(own, key=lambda term: rank(term.id, KINDS_BY))
    kinds = set(decides.kinds)
    if any(prefix_of(term.id) in _DRUG_LISTS for term in own):
        kinds = kinds - {DRUG_CLASS} | {DRUG}
    origins = list(dict.fromkeys(sources[term.id] for term in own))
    return Concept(ids[0], named.name, tuple(sorted(kinds)), own, ids, origins)


def _stated(terms: Iterable[Term]) -> Iterator[Tuple[str, str]]:
    """Pairs that an ontology states; a code of a register stands for those that bear it."""
    bearers: Dict[str, List[str]] = {}
    for term in terms:
        for other in term.exact:
            if other.startswith("UNII:"):
                bearers.setdefault(other, []).append(term.id)
            else:
                yield term.id, other
    for ids in bearers.values():
        if len(ids) == 2:
            yield ids[0], ids[1]


def _same_name(terms: Iterable[Term]) -> Iterator[Tuple[str, str]]:
    found: Dict[Tuple[str, str], List[str]] = {}
    for term in terms:
        if key := key_of(term.name):
            found.setdefault((family(term.kinds), key), []).append(term.id)
    for ids in found.values():
        yield from combinations(sorted(ids, key=lambda x: (rank(x, ID_BY), x)), 2)


def _same_drug(terms: Iterable[Term], groups: Groups) -> Iterator[Tuple[str, str]]:
    """Pairs of a preferred name and the only synonym like it, among drugs."""
    drugs = [term for term in terms if family(term.kinds) == CHEMICAL]
    preferred: Dict[str, List[Term]] = {}
    synonyms: Dict[str, List[Term]] = {}
    for term in drugs:
        preferred.setdefault(key_of(term.name), []).append(term)
        for key in {key_of(name) for name in term.names}:
            synonyms.setdefault(key, []).append(term)
    for key, named in preferred.items():
        others = synonyms.get(key, [])
        if len(others) == 1 and len(named) == 1:
            yield named[0].id, others[0].id
