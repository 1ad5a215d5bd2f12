"""The open ontologies: which are accepted, under which licence, and what they say."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple, Union

from .files import CorpusError
from .ontologies_diseases import read_disease_ontology, read_icd10cm, read_mondo
from .ontologies_drugs import read_drugbank, read_pharmacotherapydb, read_rxnorm
from .ontologies_files import Ontology
from .ontologies_mesh import read_mesh


@dataclass(frozen=True)
class Source:
    """An ontology that is accepted.

    title (str): name and release, for cards.
    licence (str): what its source states, and whether that was verified.
    redistributable (bool): whether what is made of it may be passed on, commercially too.
    read (Callable[[Path], Ontology]): reads its folder.
    """

    title: str
    licence: str
    redistributable: bool
    read: Callable[[Path], Ontology]


# Nothing for non-commercial use only, and nothing that needs a licence of its own, is ever added.
SOURCES: Dict[str, Source] = {
    "disease_ontology": Source(
        "Disease Ontology, 2026; its synonyms from the release 2016-03-04",
        "CC0 1.0",
        True,
        read_disease_ontology,
    ),
    "drugbank_vocabulary": Source(
        "DrugBank open data vocabulary, 2021",
        "CC0 1.0 by DrugBank for its open data; stated from memory, the mirror carries no licence",
        True,
        read_drugbank,
    ),
    "icd10cm": Source(
        "ICD-10-CM, fiscal year 2022",
        "public domain (CDC/CMS); the packaged form CC BY 4.0 (V. Castro, icd10us)",
        True,
        read_icd10cm,
    ),
    "mesh_2015": Source(
        "MeSH 2015, headings and trees without entry terms",
        "public (NLM); the extracted form CC0 1.0 (D. Himmelstein)",
        True,
        read_mesh,
    ),
    "mondo": Source("Mondo mappings, 2026", "CC BY 4.0 (Monarch Initiative)", True, read_mondo),
    "pharmacotherapydb": Source(
        "PharmacotherapyDB 1.0", "CC0 1.0 (D. Himmelstein)", True, read_pharmacotherapydb
    ),
    "rxnorm_ingredients": Source(
        "RxNorm current prescribable content, 2025-10-06; no ingredient that begins with A",
        "no licence required for this subset (NLM; from memory), to be credited to NLM",
        True,
        read_rxnorm,
    ),
}


def find_sources(folder: Union[str, Path]) -> Tuple[List[str], List[str]]:
    """See which ontologies a folder holds.

    folder (Union[str, Path]): a subfolder an ontology, named as in `SOURCES`.
    RETURNS (Tuple[List[str], List[str]]): those that are there, and those that are missing.
    Raises CorpusError where none is there.
    """
    folder = Path(folder)
    found = [name for name in SOURCES if (folder / name).is_dir()]
    if not found:
        raise CorpusError(
            f"{folder}: expected a folder with some of {', '.join(SOURCES)}, found none of them. "
            "Give the folder that holds the ontologies, a subfolder each."
        )
    return found, [name for name in SOURCES if name not in found]


def read_ontologies(folder: Union[str, Path]) -> Iterator[Tuple[str, Ontology]]:
    """Read every accepted ontology of a folder; other subfolders are not looked at.

    folder (Union[str, Path]): a subfolder an ontology, named as in `SOURCES`.
    YIELDS (Tuple[str, Ontology]): its name and what it says.
    Raises CorpusError where none is there, or a file of one is not as it should be.
    """
    for name in find_sources(folder)[0]:
        yield name, SOURCES[name].read(Path(folder) / name)
