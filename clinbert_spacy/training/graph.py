"""A lexicon, a graph and vectors of concepts out of the open ontologies, written to a folder."""

import gzip
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy
import safetensors.numpy
from numpy.typing import NDArray

from ..corpora.files import CorpusError, replacing, write_text
from ..corpora.ontologies import SOURCES, find_sources, read_ontologies
from ..corpora.ontologies_files import Ontology
from ..models.lexicon import Lexicon
from .graph_card import write_graph_card
from .graph_embedding import EmbeddingSettings, model_scorer, train_embedding, vectors_of
from .graph_judging import (
    frequency_scorer,
    number_links,
    rank_tails,
    relations_of,
    split_triples,
    summarise,
)
from .graph_links import Link, ancestors, count_relations, make_links, without_relatives
from .graph_merge import Concept, merge, prefix_of
from .graph_names import entries_of

KINDS = (
    "disease", "symptom", "drug", "drug_class", "substance", "anatomy", "procedure", "test",
)  # fmt: skip
CODES = "ICD10CM"
CONCEPTS, TRIPLES, LEXICON = "concepts.tsv.gz", "triples.tsv.gz", "lexicon.msgpack.gz"
VECTORS, METRICS, CARD = "vectors.safetensors", "metrics.json", "README.md"
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Graph:
    """What the ontologies say together.

    concepts (List[Concept]): concepts.
    links (List[Link]): triples between them, by their indices.
    lexicon (Lexicon): their names; the same concepts in the same order.
    """

    concepts: List[Concept]
    links: List[Link]
    lexicon: Lexicon


def build_graph(
    folder: Union[str, Path],
    output: Union[str, Path],
    settings: Optional[EmbeddingSettings] = None,
    progress: Progress = lambda n: None,
) -> Dict[str, Any]:
    """Build everything and write it.

    folder (Union[str, Path]): a subfolder an ontology, named as in corpora.ontologies.SOURCES.
    output (Union[str, Path]): folder to write to; made if it is not there.
    settings (Optional[EmbeddingSettings]): how vectors are learned; None: no vectors.
    progress (Callable[[int], None]): told of every epoch, of two trainings: one without what is
        held out, which is judged, and one on all triples, which is written.
    RETURNS (Dict[str, Any]): what metrics.json holds: counts, figures and sizes.
    RAISES (ValueError): no ontology is there, a file of one is broken, the output is no folder.
    """
    folder, output = Path(folder), Path(output)
    found, missing = find_sources(folder)
    if output.exists() and not output.is_dir():
        raise CorpusError(f"Cannot write to {output}: expected a folder, found a file.")
    output.mkdir(parents=True, exist_ok=True)
    graph = assemble(list(read_ontologies(folder)))
    report: Dict[str, Any] = {
        "sources": {name: _describe(folder, name) for name in found},
        "missing": missing,
        **count(graph),
    }
    _write_tables(graph, output)
    graph.lexicon.to_disk(output / LEXICON)
    (output / VECTORS).unlink(missing_ok=True)
    if settings is not None:
        report["vectors"], vectors = embed(graph, settings, progress)
        _write_vectors(vectors, output / VECTORS)
    names = (CONCEPTS, TRIPLES, LEXICON, VECTORS)
    report["bytes"] = {n: (output / n).stat().st_size for n in names if (output / n).is_file()}
    write_text(output / METRICS, json.dumps(report, indent=2) + "\n")
    write_graph_card(report, output / CARD)
    return report


def assemble(ontologies: Sequence[Tuple[str, Ontology]]) -> Graph:
    """Merge terms, collect names, link concepts.

    ontologies (Sequence[Tuple[str, Ontology]]): name and content of each.
    RETURNS (Graph): concepts with a name or a triple; codes of ICD-10-CM need a name that running
        text may have, or another ontology that has the concept too.
    """
    concepts = merge(ontologies)
    entries = entries_of(concepts)
    links = make_links(concepts, entries, ontologies)
    named = {index for indices in entries.values() for index in indices}
    linked = {end for link in links for end in (link.head, link.tail)}
    kept = [i for i, x in enumerate(concepts) if i in named or (i in linked and not _is_code(x))]
    new = {old: i for i, old in enumerate(kept)}
    links = [
        replaced
        for link in links
        if link.head in new and link.tail in new
        for replaced in [link._replace(head=new[link.head], tail=new[link.tail])]
    ]
    renumbered = {key: [new[i] for i in indices] for key, indices in entries.items()}
    chosen = [concepts[i] for i in kept]
    masks = [sum(1 << KINDS.index(kind) for kind in concept.kinds) for concept in chosen]
    names = without_relatives(renumbered, ancestors(links))
    return Graph(chosen, links, Lexicon(KINDS, [x.id for x in chosen], masks, names))


def _is_code(concept: Concept) -> bool:
    return all(prefix_of(id_) == CODES for id_ in concept.ids)


def count(graph: Graph) -> Dict[str, Any]:
    """Count concepts, names and triples.

    graph (Graph): the graph.
    RETURNS (Dict[str, Any]): numbers, for metrics.json.
    """
    lexicon, entries = graph.lexicon, range(len(graph.lexicon))
    masks = [lexicon.kinds_of(entry) for entry in entries]
    return {
        "concepts": len(graph.concepts),
        "concepts_by_kind": dict(Counter(k for x in graph.concepts for k in x.kinds).most_common()),
        "names": len(lexicon),
        "names_by_kind": {k: sum(m >> i & 1 for m in masks) for i, k in enumerate(lexicon.kinds)},
        "ambiguous_names": sum(map(lexicon.is_ambiguous, entries)),
        "triples": len(graph.links),
        "triples_by_relation": count_relations(graph.links),
    }


def embed(
    graph: Graph, settings: EmbeddingSettings, progress: Progress
) -> Tuple[Dict[str, Any], NDArray[numpy.float32]]:
    """Learn vectors, judge them, learn again from all triples.

    graph (Graph): the graph. settings (EmbeddingSettings): how.
    progress (Callable[[int], None]): told of every epoch of both trainings.
    RETURNS (Tuple[Dict[str, Any], NDArray[float32]]): figures on the test part, of the model and
        of the baseline by frequency; vectors of all concepts, shape (concepts, dim).
    """
    relations, names = relations_of(graph.links), [concept.name for concept in graph.concepts]
    triples = number_links(graph.links, relations)
    parts = split_triples(triples, settings.seed)
    model = train_embedding(parts.train, names, len(relations), settings, progress)
    baseline = frequency_scorer(parts.train, len(names), len(relations))
    figures = {
        part: {
            name: summarise(rank_tails(scorer, rows, triples), rows, relations)
            for name, scorer in (("model", model_scorer(model)), ("frequency", baseline))
        }
        for part, rows in (("dev", parts.dev), ("test", parts.test))
    }
    again = train_embedding(triples, names, len(relations), settings, progress)
    report = {
        "settings": asdict(settings),
        "relations": relations,
        "split": {name: len(rows) for name, rows in parts._asdict().items()},
        **figures,
    }
    return report, vectors_of(again)


def _describe(folder: Path, name: str) -> Dict[str, Any]:
    source, digest = SOURCES[name], hashlib.sha256()
    for path in sorted((folder / name).iterdir()):
        if path.is_file():
            digest.update(path.read_bytes())
    return {
        "title": source.title,
        "licence": source.licence,
        "redistributable": source.redistributable,
        "sha256": digest.hexdigest(),
    }


def _write_tables(graph: Graph, output: Path) -> None:
    concepts = (
        (x.id, x.name, "|".join(x.kinds), "|".join(x.sources), "|".join(x.ids[1:]))
        for x in graph.concepts
    )
    _write_table(output / CONCEPTS, ("id", "name", "kinds", "sources", "also"), concepts)
    ids = graph.lexicon.concepts
    triples = ((ids[x.head], x.relation, ids[x.tail], x.source) for x in graph.links)
    _write_table(output / TRIPLES, ("head", "relation", "tail", "source"), triples)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in (header, *rows)]
    with replacing(path) as new:
        new.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode("utf8"), mtime=0))


def _write_vectors(vectors: NDArray[numpy.float32], path: Path) -> None:
    with replacing(path) as new:
        arrays: Mapping[str, NDArray[Any]] = {"vectors": vectors.astype(numpy.float16)}
        new.write_bytes(safetensors.numpy.save(dict(arrays)))
