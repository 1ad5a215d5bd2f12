"""Concepts as entries of a knowledge base: out of ontologies, a graph, or a table of one's own."""

import csv
import gzip
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Set, Tuple

from ..corpora.files import broken
from ..corpora.ontologies_diseases import omim_references
from ..corpora.ontologies_files import CROSS_REFERENCE, IS_A, SYNONYM_OF, Ontology, Term
from ..models.lexicon import Lexicon, normalise
from ..models.linking_words import order_free
from .graph_links import make_links
from .graph_merge import Concept, merge, prefix_of
from .graph_names import entries_of

RULE_FILES = ("lexicon_rules.json", "linking_rules.json")
CONCEPTS, TRIPLES, LEXICON = "concepts.tsv.gz", "triples.tsv.gz", "lexicon.msgpack.gz"
_CLASS = re.compile(r"[A-Za-z]*")
Edges = Iterable[Tuple[str, str, str]]


class Entry(NamedTuple):
    """A concept of a knowledge base.

    id (str): the id it goes by. name (str): preferred name. names (Tuple[str, ...]): all names.
    kinds (Tuple[str, ...]): what it is. also (Tuple[str, ...]): other ids that mean the same.
    referred (Tuple[str, ...]): those of its ids that only other ontologies mention.
    own (Tuple[str, ...]): names that the ontology of its id prefers.
    headings (Tuple[str, ...]): names that some ontology prefers.
    same (Tuple[str, ...]): concepts that an ontology calls nearly the same.
    alike (Tuple[str, ...]): concepts that share a name. up (Tuple[str, ...]): broader concepts.
    """

    id: str
    name: str
    names: Tuple[str, ...]
    kinds: Tuple[str, ...]
    also: Tuple[str, ...] = ()
    referred: Tuple[str, ...] = ()
    own: Tuple[str, ...] = ()
    headings: Tuple[str, ...] = ()
    same: Tuple[str, ...] = ()
    alike: Tuple[str, ...] = ()
    up: Tuple[str, ...] = ()


def from_ontologies(
    folder: Path, ontologies: Sequence[Tuple[str, Ontology]], written: bool = True
) -> List[Entry]:
    """Merge ontologies and collect the names of each concept.

    folder (Path): where they lie; OMIM numbers of the Disease Ontology are read from it.
    ontologies (Sequence[Tuple[str, Ontology]]): name and content of each.
    written (bool): add the names that people write, by hand in the resources.
    RETURNS (List[Entry]): an entry a concept.
    """
    concepts = merge(ontologies)
    omim = omim_references(folder / "disease_ontology")
    held = {term.id for _, ontology in ontologies for term in ontology.terms}
    classes = {_class_of(id_) for id_ in held}
    links = make_links(concepts, entries_of(concepts), ontologies)
    ids = [concept.id for concept in concepts]
    near = _neighbours((ids[x.head], x.relation, ids[x.tail]) for x in links)
    return [_from_concept(x, omim, held, classes, near, written) for x in concepts]


def _class_of(id_: str) -> Tuple[str, str]:
    """Ontology and first letters of a number: MeSH numbers headings D, other substances C."""
    code = id_.partition(":")[2] or id_
    letters = _CLASS.match(code)
    return prefix_of(id_), letters[0] if letters else ""


def _from_concept(
    concept: Concept,
    omim: Mapping[str, Sequence[str]],
    held: Set[str],
    classes: Set[Tuple[str, str]],
    near: Mapping[str, Mapping[str, List[str]]],
    written: bool,
) -> Entry:
    names = [concept.name, *(name for t in concept.terms for name in (t.name, *t.names))]
    numbers = tuple(dict.fromkeys(n for id_ in concept.ids for n in omim.get(id_, ())))
    referred = tuple(x for x in concept.ids if x not in held and _class_of(x) in classes)
    return Entry(
        concept.id,
        concept.name,
        tuple(_distinct(with_written(names) if written else names)),
        concept.kinds,
        (*concept.ids[1:], *numbers),
        (*referred, *numbers),
        tuple({order_free(t.name) for t in concept.terms if t.id == concept.id}),
        tuple({order_free(t.name) for t in concept.terms} | {order_free(concept.name)}),
        **_near(near, concept.id),
    )


def _near(near: Mapping[str, Mapping[str, List[str]]], id_: str) -> Dict[str, Tuple[str, ...]]:
    return {name: tuple(near[name].get(id_, ())) for name in ("same", "alike", "up")}


def _neighbours(edges: Edges) -> Dict[str, Dict[str, List[str]]]:
    near: Dict[str, Dict[str, List[str]]] = {"same": {}, "alike": {}, "up": {}}
    sides = {CROSS_REFERENCE: "same", SYNONYM_OF: "alike"}
    for head, relation, tail in edges:
        if relation == IS_A:
            near["up"].setdefault(head, []).append(tail)
        elif relation in sides:
            near[sides[relation]].setdefault(head, []).append(tail)
            near[sides[relation]].setdefault(tail, []).append(head)
    return near


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Names that differ in more than case, plural and spelling."""
    seen: Set[str] = set()
    for name in names:
        key = normalise(name)
        if key and key not in seen:
            seen.add(key)
            yield " ".join(name.split())


@cache
def _written() -> Mapping[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for file_ in RULE_FILES:
        text = (files("clinbert_spacy.resources.en") / file_).read_text("utf8")
        for name, others in json.loads(text)["names"].items():
            found.setdefault(order_free(name), []).extend(others)
    return found


def with_written(names: Sequence[str]) -> List[str]:
    """Add what people write for a concept.

    names (Sequence[str]): its names in the ontologies.
    RETURNS (List[str]): these, and those of the resources for any of them.
    """
    added = [other for name in names for other in _written().get(order_free(name), ())]
    return [*names, *added]


def from_graph(folder: Path, written: bool = True) -> List[Entry]:
    """Take the concepts of a graph that `clinbert build-graph` wrote, with its cleaned names.

    folder (Path): with concepts.tsv.gz, triples.tsv.gz and lexicon.msgpack.gz.
    written (bool): as in `from_ontologies`.
    RETURNS (List[Entry]): an entry a concept.
    Raises CorpusError where a file is missing or has other columns.
    """
    rows = list(_rows(folder / CONCEPTS, ("id", "name", "kinds", "sources", "also")))
    triples = _rows(folder / TRIPLES, ("head", "relation", "tail"))
    near = _neighbours((row["head"], row["relation"], row["tail"]) for row in triples)
    names = _lexicon_names(folder)
    entries = []
    for row in rows:
        all_names = [row["name"], *names.get(row["id"], ())]
        heading = (order_free(row["name"]),)
        also = tuple(filter(None, row["also"].split("|")))
        chosen = tuple(_distinct(with_written(all_names) if written else all_names))
        kinds = tuple(filter(None, row["kinds"].split("|")))
        entries.append(
            Entry(row["id"], row["name"], chosen, kinds, also, (), heading, heading,
                  **_near(near, row["id"]))
        )  # fmt: skip
    return entries


def _lexicon_names(folder: Path) -> Dict[str, List[str]]:
    lexicon = Lexicon.from_disk(folder / LEXICON)
    found: Dict[str, List[str]] = {}
    for entry in range(len(lexicon)):
        for concept in lexicon.concepts_of(entry):
            found.setdefault(lexicon.concepts[concept], []).append(lexicon.surface(entry))
    return found


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Dict[str, str]]:
    if not path.is_file():
        raise broken(path, 0, "a file of a graph that `clinbert build-graph` wrote", "none")
    with gzip.open(path, "rt", encoding="utf8", newline="") as file_:
        reader = csv.DictReader(file_, delimiter="\t", quoting=csv.QUOTE_NONE)
        if lost := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise broken(path, 1, f"columns {list(columns)}", f"none named {lost}")
        yield from reader


def from_terms(terms: Sequence[Term]) -> List[Entry]:
    """Take terms as they are.

    terms (Sequence[Term]): concepts of one's own.
    RETURNS (List[Entry]): an entry a term.
    """
    return [
        Entry(t.id, t.name, tuple(_distinct((t.name, *t.names))), t.kinds,
              own=(order_free(t.name),), headings=(order_free(t.name),))
        for t in terms
    ]  # fmt: skip
