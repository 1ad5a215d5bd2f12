"""Ontologies of drugs: DrugBank's open vocabulary, RxNorm ingredients, PharmacotherapyDB."""

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple

from .files import broken
from .ontologies_files import (
    HAS_INGREDIENT,
    IS_A,
    PALLIATES,
    TREATS,
    Ontology,
    Term,
    Triple,
    read_lines,
    read_rows,
    unique,
)

DRUG = "drug"
UNII = "UNII:"  # a substance in the register of the FDA: the same in DrugBank and RxNorm
_BRAND = re.compile(r"\[([^\]]+)\]$")
_CATEGORIES = {"DM": TREATS, "SYM": PALLIATES, "NOT": ""}
_COMBINATION, _PRECISE = "MIN", "PIN"


def read_drugbank(folder: Path) -> Ontology:
    """Read DrugBank's open vocabulary.

    folder (Path): with drugbank_vocabulary.csv, as it is or with .gz: semicolons between cells,
        a line of column numbers before the header.
    RETURNS (Ontology): drugs with their synonyms; UNII codes are exact references.
    """
    columns = ("DrugBank ID", "Common name", "UNII", "Synonyms")
    terms: List[Term] = []
    for row in read_rows(folder, "drugbank_vocabulary.csv", columns, ";", skip=1):
        id_, name, unii, synonyms = (row[column].strip() for column in columns)
        names = unique(synonyms.split(" | "), but=name)
        terms.append(Term(id_, name, (DRUG,), names, (UNII + unii,) if unii else ()))
    return Ontology(terms, [])


def read_rxnorm(folder: Path) -> Ontology:
    """Read RxNorm's ingredients; those whose name begins with A may be missing in the file.

    folder (Path): with ingredients.jsonl, as it is or with .gz, an ingredient a line.
    RETURNS (Ontology): ingredients and combinations, brands among their names; has_ingredient
        from combination to part, is_a from salt to base.
    """
    records = list(_records(folder))
    brands = _brands(records)
    terms: List[Term] = []
    for record in records:
        id_, unii = f"RXCUI:{record['RXCUI']}", record.get("UNII")
        names = unique(sorted(brands.get(record["RXCUI"], ())), but=record["Name"])
        terms.append(Term(id_, record["Name"], (DRUG,), names, (UNII + unii,) if unii else ()))
    return Ontology(terms, list(_composition(records)))


def _records(folder: Path) -> Iterator[Dict[str, Any]]:
    name = "ingredients.jsonl"
    for number, line in enumerate(read_lines(folder, name), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict) or not {"Name", "RXCUI", "TTY"} <= set(record):
            raise broken(folder / name, number, "an object with Name, RXCUI, TTY", "another line")
        yield record


def _brands(records: List[Dict[str, Any]]) -> Dict[str, Set[str]]:
    """Brand names by ingredient: of the combination where there is one, else of its parts."""
    owners: Dict[str, Dict[str, str]] = {}
    for record in records:
        for brand in _brands_of(record):
            owners.setdefault(brand, {})[record["RXCUI"]] = record["TTY"]
    found: Dict[str, Set[str]] = {}
    for brand, kinds in owners.items():
        combined = [id_ for id_, kind in kinds.items() if kind == _COMBINATION]
        single = [id_ for id_, kind in kinds.items() if kind != _PRECISE]
        for id_ in combined or single or list(kinds):
            found.setdefault(id_, set()).add(brand)
    return found


def _brands_of(record: Mapping[str, Any]) -> Iterator[str]:
    """Brands in the names of the products: "iobenguane 15 MCI/ML Injection [Azedra]".

    Products of other ingredients are listed too: only those count that name just these.
    """
    parts = record["Name"].lower().split(" / ")
    for component in record.get("SCDCs", ()):
        for drug in component.get("SCDs", ()):
            for product in drug.get("SBDs", ()):
                match = _BRAND.search(product["Name"])
                contents = product["Name"].lower().split(" / ")
                named = all(part in product["Name"].lower() for part in parts)
                if match and named and len(contents) == len(parts):
                    yield match[1]


def _composition(records: List[Dict[str, Any]]) -> Iterator[Triple]:
    ids = {record["Name"]: f"RXCUI:{record['RXCUI']}" for record in records}
    for record in records:
        id_, name = ids[record["Name"]], record["Name"]
        if record["TTY"] == _COMBINATION:
            parts = (ids.get(part) for part in name.split(" / "))
            yield from (Triple(id_, HAS_INGREDIENT, part) for part in parts if part)
        elif record["TTY"] == _PRECISE and (base := ids.get(_base(name, ids))):
            yield Triple(id_, IS_A, base)


def _base(name: str, ids: Mapping[str, str]) -> str:
    """The longest beginning of a salt's name that is an ingredient: "bisoprolol"."""
    words = name.split(" ")
    starts = (" ".join(words[:n]) for n in range(len(words) - 1, 0, -1))
    return next((start for start in starts if start in ids), "")


def read_pharmacotherapydb(folder: Path) -> Ontology:
    """Read PharmacotherapyDB.

    folder (Path): with indications.tsv, as it is or with .gz.
    RETURNS (Ontology): no terms; treats (disease-modifying) and palliates (symptomatic); pairs
        that its curators found to be no indication are left out.
    Raises CorpusError for a category that it should not have.
    """
    triples: List[Triple] = []
    columns: Tuple[str, ...] = ("doid_id", "drugbank_id", "category")
    for number, row in enumerate(read_rows(folder, "indications.tsv", columns), 2):
        if row["category"] not in _CATEGORIES:
            expected = f"a category of {sorted(_CATEGORIES)}"
            raise broken(folder / "indications.tsv", number, expected, "another one")
        if relation := _CATEGORIES[row["category"]]:
            triples.append(Triple(row["drugbank_id"], relation, row["doid_id"]))
    return Ontology([], triples)
