"""Ontologies of diseases: Disease Ontology, Mondo mappings, ICD-10-CM."""

import re
from itertools import product
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from .files import broken
from .ontologies_files import (
    CROSS_REFERENCE,
    HAS_SYMPTOM,
    IS_A,
    LOCATED_IN,
    Ontology,
    Term,
    Triple,
    by_name,
    read_lines,
    read_rows,
    unique,
)

DISEASE, SYMPTOM = "disease", "symptom"
SYMPTOM_CHAPTER = "R"
# Injuries, external causes, factors of health status: sentences rather than names.
CHAPTERS = "ABCDEFGHIJKLMNOPQR"
CODE_LENGTH = 5  # characters: deeper codes only add sides and encounters

_SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)" (EXACT|RELATED|NARROW|BROAD)')
_EXACT = ("EXACT", "RELATED")
_SOME = re.compile(r"'([^']+)' some ('[^']+'|[^\s()]+)$")
_LINKS = {"has symptom": (HAS_SYMPTOM, SYMPTOM), "disease has location": (LOCATED_IN, "anatomy")}
_XREFS = {"MESH": "MESH:", "MSH": "MESH:", "ICD10CM": "ICD10CM:"}
_VAGUE = re.compile(r",? (unspecified|uncomplicated)$")
_MONDO_TARGETS = ("doid", "mesh", "icd10cm")
_MONDO_OTHERS = ("broad", "close", "narrow", "related")


def read_disease_ontology(folder: Path) -> Ontology:
    """Read the Disease Ontology: current names and links, synonyms of its release of 2016.

    folder (Path): with HumanDO.tsv, allXREFinDO.tsv, DO-subClassOf-anonymous.tsv and
        doid-2016-03-04.obo, each as it is or with .gz.
    RETURNS (Ontology): diseases; is_a, has_symptom, located_in; cross-references to MeSH are
        exact ones, those to ICD-10-CM often broader, so they are links.
    """
    rows = list(read_rows(folder, "HumanDO.tsv", ("id", "label", "subClassOf")))
    ids = {row["label"]: row["id"] for row in rows}
    synonyms = _obo_synonyms(folder)
    xrefs = _xrefs(folder)
    terms: Dict[str, Term] = {}
    triples: List[Triple] = []
    for row in rows:
        id_, parent = row["id"], ids.get(row["subClassOf"])
        exact = tuple(x for x in xrefs.get(id_, ()) if x.startswith("MESH:"))
        names = unique(synonyms.get(id_, ()), but=row["label"])
        terms.setdefault(id_, Term(id_, row["label"], (DISEASE,), names, exact))
        if parent:
            triples.append(Triple(id_, IS_A, parent))
    codes = ((id_, x) for id_, found in xrefs.items() for x in found if x.startswith("ICD10CM:"))
    triples += [Triple(id_, CROSS_REFERENCE, code) for id_, code in codes if id_ in terms]
    links, symptoms = _restrictions(folder)
    triples += [link for link in links if link.head in terms]
    return Ontology([*terms.values(), *symptoms], triples)


def _obo_synonyms(folder: Path) -> Dict[str, List[str]]:
    """Names and synonyms by id, obsolete terms left out."""
    found: Dict[str, List[str]] = {}
    id_, names, obsolete = "", [""], False
    for line in [*read_lines(folder, "doid-2016-03-04.obo"), "[Term]"]:
        key, _, value = line.partition(": ")
        if line.startswith("["):
            if id_ and not obsolete:
                found[id_] = names
            id_, names, obsolete = "", [], False
        elif key == "id":
            id_ = value
        elif key == "name":
            names.append(value)
        elif key == "is_obsolete":
            obsolete = value == "true"
        elif key == "synonym" and (match := _SYNONYM.match(value)) and match[2] in _EXACT:
            names.append(match[1].replace('\\"', '"'))
    return found


def _xrefs(folder: Path) -> Dict[str, List[str]]:
    found: Dict[str, List[str]] = {}
    for row in read_rows(folder, "allXREFinDO.tsv", ("id", "xref")):
        source, _, code = row["xref"].partition(":")
        if source in _XREFS:
            found.setdefault(row["id"], []).append(_XREFS[source] + code)
    return found


def omim_references(folder: Path) -> Dict[str, List[str]]:
    """Read which numbers of OMIM the Disease Ontology gives its diseases.

    They are no part of `read_disease_ontology`: a disease may have several, and merging by them
    would make one of what OMIM holds apart.

    folder (Path): with allXREFinDO.tsv, as it is or with .gz.
    RETURNS (Dict[str, List[str]]): ids such as "OMIM:123456" by id of the Disease Ontology; none
        where the folder is not there.
    """
    found: Dict[str, List[str]] = {}
    if folder.is_dir():
        for row in read_rows(folder, "allXREFinDO.tsv", ("id", "xref")):
            source, _, number = row["xref"].partition(":")
            if source == "MIM" and number.isdecimal():
                found.setdefault(row["id"], []).append(f"OMIM:{number}")
    return found


def _restrictions(folder: Path) -> Tuple[List[Triple], List[Term]]:
    """Links of the form 'has symptom' some fever; symptoms get a term named after them."""
    triples: List[Triple] = []
    symptoms: Dict[str, Term] = {}
    column = "SubClass Of [ANON]"
    for row in read_rows(folder, "DO-subClassOf-anonymous.tsv", ("ID", column)):
        for part in row[column].split("|"):
            match = _SOME.match(part)
            if match is None or match[1] not in _LINKS:
                continue
            relation, kind = _LINKS[match[1]]
            name = match[2].strip("'")
            if kind == SYMPTOM:
                id_ = f"DO-SYMPTOM:{name.replace(' ', '_')}"
                symptoms[id_] = Term(id_, name, (SYMPTOM,))
            tail = by_name(kind, name)
            triples.append(Triple(row["ID"], relation, tail))
    return triples, list(symptoms.values())


def read_mondo(folder: Path) -> Ontology:
    """Read the mappings of Mondo.

    folder (Path): with mondo_exactmatch_doid.sssom.tsv, the same for mesh and icd10cm, and any
        of broadmatch, closematch, narrowmatch and relatedmatch.
    RETURNS (Ontology): diseases with Mondo's names; exact matches; other matches as
        cross-references.
    """
    exact: Dict[str, List[str]] = {}
    labels: Dict[str, str] = {}
    for target in _MONDO_TARGETS:
        for id_, label, other in _mappings(folder, "exactmatch", target):
            labels[id_] = label
            exact.setdefault(id_, []).append(other)
    triples: List[Triple] = []
    for match, target in product(_MONDO_OTHERS, _MONDO_TARGETS):
        if any(folder.glob(f"mondo_{match}match_{target}.sssom.tsv*")):
            for id_, label, other in _mappings(folder, f"{match}match", target):
                labels.setdefault(id_, label)
                triples.append(Triple(id_, CROSS_REFERENCE, other))
    terms = [Term(i, name, (DISEASE,), (), tuple(exact.get(i, ()))) for i, name in labels.items()]
    return Ontology(terms, triples)


def _mappings(folder: Path, match: str, target: str) -> Iterator[Tuple[str, str, str]]:
    columns = ("subject_id", "subject_label", "object_id")
    for row in read_rows(folder, f"mondo_{match}_{target}.sssom.tsv", columns):
        other = row["object_id"].replace("mesh:", "MESH:")
        yield row["subject_id"], row["subject_label"], other


def read_icd10cm(folder: Path) -> Ontology:
    """Read ICD-10-CM: chapters of diseases and symptoms, codes of up to five characters.

    folder (Path): with icd10cm.csv, as it is or with .gz.
    RETURNS (Ontology): diseases, and symptoms (chapter R), without ", unspecified"; is_a by code.
    """
    columns = ("icd10cm_code", "icd10cm_long_description")
    names: Dict[str, str] = {}
    for number, row in enumerate(read_rows(folder, "icd10cm.csv", columns, ","), 2):
        code = row[columns[0]]
        if not code:
            raise broken(folder / "icd10cm.csv", number, "a code", "an empty cell")
        if code[0] in CHAPTERS and len(code) <= CODE_LENGTH:
            names[code] = _VAGUE.sub("", row[columns[1]])
    terms = [Term(_icd(code), name, (_icd_kind(code),)) for code, name in names.items()]
    parents = ((code, _icd_parent(code, names)) for code in names)
    return Ontology(terms, [Triple(_icd(c), IS_A, _icd(p)) for c, p in parents if p])


def _icd(code: str) -> str:
    return f"ICD10CM:{code[:3]}.{code[3:]}" if len(code) > 3 else f"ICD10CM:{code}"


def _icd_kind(code: str) -> str:
    return SYMPTOM if code[0] == SYMPTOM_CHAPTER else DISEASE


def _icd_parent(code: str, names: Dict[str, str]) -> str:
    shorter: Sequence[str] = [code[:n] for n in range(len(code) - 1, 2, -1)]
    return next((parent for parent in shorter if parent in names), "")
