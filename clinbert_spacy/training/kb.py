"""A knowledge base in scispaCy's own files, with the index of its names, written to a folder."""

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy
import srsly

from ..corpora.concept_tables import read_concepts
from ..corpora.files import CorpusError, write_text
from ..corpora.ontologies import SOURCES, find_sources, read_ontologies
from ..models.linking_base import (
    ALIASES,
    CARD,
    FORMS,
    INDEX,
    KB,
    LINKS,
    RANKER,
    VECTORIZER,
    VECTORS,
    ConceptBase,
    Link,
    alike_of,
)
from ..models.linking_features import rarity_of
from ..models.linking_words import bag_of, base_of, order_free
from .kb_entries import CONCEPTS, Entry, from_graph, from_ontologies, from_terms

# scispaCy's: three letters, within words, in ten names or more. A small base has no rare ones.
GRAMS = {"analyzer": "char_wb", "ngram_range": (3, 3)}
RARE, SMALL = 10, 5000
# A smaller graph than scispaCy's (M 100, efConstruction 2000), which takes half an hour for
# 100,000 names on two cores. One thread makes the same graph each time.
GRAPH = {"M": 24, "efConstruction": 200, "post": 0, "indexThreadQty": 1}
WRITTEN = {
    "title": "names written by hand (lexicon_rules.json, linking_rules.json), with errors on the "
    "training parts of the NCBI disease corpus and BC5CDR in view",
    "licence": "MIT",
}
LIBRARIES = ("scispacy", "nmslib-metabrainz", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Built:
    """What a base is made of.

    entries (List[Entry]): its concepts. sources (Dict[str, Any]): titles, licences, SHA-256.
    """

    entries: List[Entry]
    sources: Dict[str, Any]


def read_source(path: Union[str, Path], duplicates: str = "error", written: bool = True) -> Built:
    """Read what a base is to be made of.

    path (Union[str, Path]): a folder of ontologies, a folder that `clinbert build-graph` wrote, or
        a CSV with the columns id, name, synonyms and type.
    duplicates (str): what an id is that comes twice in a CSV: "error" or "merge".
    written (bool): add names written by hand; never to a CSV.
    RETURNS (Built): entries and sources.
    Raises CorpusError where it is none of these, or a file of it is broken.
    """
    path = Path(path)
    if path.is_file():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        about = {"title": path.name, "licence": "that of the table", "sha256": digest}
        return Built(from_terms(read_concepts(path, duplicates)), {path.stem: about})
    by_hand = {"written_names": WRITTEN} if written else {}
    if (path / CONCEPTS).is_file():
        return Built(from_graph(path, written), {**_graph_sources(path), **by_hand})
    found, _ = find_sources(path)
    entries = from_ontologies(path, list(read_ontologies(path)), written)
    return Built(entries, {**{name: _ontology(path, name) for name in found}, **by_hand})


def _ontology(path: Path, name: str) -> Dict[str, Any]:
    digest = hashlib.sha256()
    for file_ in sorted((path / name).iterdir()):
        if file_.is_file():
            digest.update(file_.read_bytes())
    source = SOURCES[name]
    return {"title": source.title, "licence": source.licence, "sha256": digest.hexdigest()}


def _graph_sources(path: Path) -> Dict[str, Any]:
    metrics = path / "metrics.json"
    if metrics.is_file():
        return json.loads(metrics.read_text("utf8")).get("sources", {})
    digest = hashlib.sha256((path / CONCEPTS).read_bytes()).hexdigest()
    return {"graph": {"title": "a graph of `clinbert build-graph`", "sha256": digest}}


def write_base(built: Built, output: Union[str, Path]) -> Dict[str, Any]:
    """Write a base, and load it once.

    built (Built): what `read_source` gave.
    output (Union[str, Path]): folder to write to; made if it is not there. The weights of a ranker
        that were fitted on another base there are removed.
    RETURNS (Dict[str, Any]): the card: sources, counts, sizes and hashes of files, seconds, memory.
    Raises CorpusError where there is no concept, or the output is no folder.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise CorpusError(f"Cannot write to {output}: expected a folder, found a file.")
    if not built.entries:
        raise CorpusError("No concept for the knowledge base; expected at least one in the source.")
    output.mkdir(parents=True, exist_ok=True)
    for name in (RANKER, CARD):
        (output / name).unlink(missing_ok=True)
    clock = _Clock()
    _write_entries(built.entries, output)
    aliases = _write_index(output)
    _write_forms(aliases, output)
    card = {**_describe(built, aliases), **clock.seconds("build")}
    files = sorted(path for path in output.iterdir() if path.name != CARD and path.is_file())
    card["files"] = {x.name: {"bytes": x.stat().st_size, "sha256": _sha256(x)} for x in files}
    write_text(output / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    clock = _Clock()
    ConceptBase(output)
    card |= {**clock.seconds("load"), "peak_mb": _peak_mb()}
    write_text(output / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


class _Clock:
    """Seconds on the wall and of this process: on a busy machine they are far apart."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self, name: str) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): seconds since it was made, under "name_s", "name_cpu_s"."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {f"{name}_s": round(wall, 1), f"{name}_cpu_s": round(cpu, 1)}


def _write_entries(entries: Sequence[Entry], output: Path) -> None:
    """One JSON record a line, with the fields of scispaCy's `Entity`; the rest in another file."""
    lines = [
        json.dumps(
            {
                "concept_id": x.id,
                "canonical_name": x.name,
                "aliases": [name for name in x.names if name != x.name],
                "types": list(x.kinds),
                "definition": None,
            },
            ensure_ascii=True,
        )
        for x in entries
    ]
    write_text(output / KB, "\n".join(lines) + "\n")
    known = {x.id for x in entries}
    links = {x.id: _link(x, known) for x in entries}
    write_text(output / LINKS, json.dumps(links, ensure_ascii=True) + "\n")


def _link(entry: Entry, known: set) -> Link:
    near = ([id_ for id_ in ids if id_ in known] for ids in (entry.same, entry.alike, entry.up))
    return Link(
        list(entry.also), list(entry.referred), sorted(entry.own), sorted(entry.headings), *near
    )


def _write_index(output: Path) -> List[str]:
    """Vectors and neighbours of names, in the files that scispaCy's `LinkerPaths` loads.

    scispaCy's own `create_tfidf_ann_index` asks for scipy below 1.11, as it keeps vectors in half
    precision, and leaves every letter group of a small base out. Names of rare letter groups alone,
    such as "CKD", have no vector: they are returned with the others, and found by their words.
    """
    import joblib
    import nmslib
    import scipy.sparse
    from scispacy.linking_utils import KnowledgeBase
    from sklearn.feature_extraction.text import TfidfVectorizer

    every = sorted(KnowledgeBase(str(output / KB)).alias_to_cuis)
    vectorizer = TfidfVectorizer(
        **GRAMS, min_df=RARE if len(every) >= SMALL else 1, dtype=numpy.float32
    )
    vectors = vectorizer.fit_transform(every).tocsr()
    filled = numpy.diff(vectors.indptr) > 0  # nmslib cannot hold a vector without a number
    names, vectors = [x for x, keep in zip(every, filled) if keep], vectors[filled]
    joblib.dump(vectorizer, output / VECTORIZER)
    scipy.sparse.save_npz(output / VECTORS, vectors)
    write_text(output / ALIASES, json.dumps(names, ensure_ascii=True))
    index = nmslib.init(
        method="hnsw", space="cosinesimil_sparse", data_type=nmslib.DataType.SPARSE_VECTOR
    )
    index.addDataPointBatch(vectors)
    index.createIndex(GRAPH)
    index.saveIndex(str(output / INDEX))
    return every


def _write_forms(aliases: Sequence[str], output: Path) -> None:
    forms = {"free": order_free, "bag": bag_of, "salt": base_of}
    record = {"rarity": rarity_of(aliases), "alike": alike_of(aliases, forms)}
    srsly.write_msgpack(output / FORMS, record)


def _describe(built: Built, aliases: Sequence[str]) -> Dict[str, Any]:
    kinds = Counter(kind for entry in built.entries for kind in entry.kinds)
    return {
        "sources": built.sources,
        "concepts": len(built.entries),
        "concepts_by_kind": dict(kinds.most_common()),
        "names": len(aliases),
        "ids": len({id_ for x in built.entries for id_ in (x.id, *x.also)}),
        "index": GRAPH,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _peak_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def describe_sizes(card: Mapping[str, Any]) -> List[Tuple[str, int]]:
    """Files of a base with their bytes. card (Mapping[str, Any]): its card."""
    return [(name, file_["bytes"]) for name, file_ in card["files"].items()]
