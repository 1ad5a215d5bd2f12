"""MeSH: headings with kinds by their places in the trees."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Dict, FrozenSet, Iterator, List, Sequence, Set, Tuple

from .files import broken
from .ontologies_files import IS_A, Ontology, Term, Triple, read_rows

DISEASE, SYMPTOM, DRUG = "disease", "symptom", "drug"
DRUG_CLASS, SUBSTANCE = "drug_class", "substance"
ANATOMY, PROCEDURE, TEST = "anatomy", "procedure", "test"
SIGNS = "mesh_signs.json"

# Longest beginning of a tree number wins; "" is of no kind, and left out.
BRANCHES = {
    "A": ANATOMY, "A13": "", "A18": "", "A19": "", "A20": "", "A21": "",
    "C": DISEASE, "C22": "", "C23.550.291": "",
    "D": DRUG, "D05": SUBSTANCE, "D08": SUBSTANCE, "D12": SUBSTANCE, "D12.125": DRUG,
    "D12.644": DRUG, "D12.644.276": SUBSTANCE, "D12.644.360": SUBSTANCE, "D13.444": SUBSTANCE,
    "D20.147": "", "D20.345": "", "D20.601": "", "D20.633": "", "D20.693": "", "D20.721": "",
    "D20.944": "", "D23": SUBSTANCE, "D26.255": "", "D26.650": "", "D26.660": "", "D26.776": "",
    "D27": DRUG_CLASS, "D27.720": "", "D27.888": "",
    "E": "", "E01": TEST, "E02": PROCEDURE, "E03": PROCEDURE, "E04": PROCEDURE, "E06": PROCEDURE,
    "E05.196": TEST, "E05.200": TEST,
    "F01.145.126": SYMPTOM, "F03": DISEASE,
}  # fmt: skip
# A heading that stands in both is only the first.
_OVERRULES = (
    (DRUG, SUBSTANCE), (DRUG, DRUG_CLASS), (SUBSTANCE, DRUG_CLASS), (PROCEDURE, TEST),
    (DISEASE, SYMPTOM), (DISEASE, TEST), (SYMPTOM, TEST), (DISEASE, PROCEDURE),
    (SYMPTOM, PROCEDURE),
)  # fmt: skip
Trees = Dict[str, List[str]]


def read_mesh(folder: Path) -> Ontology:
    """Read MeSH headings; entry terms are not among the files.

    folder (Path): with terms.tsv, tree-numbers.tsv and symptoms.tsv, as they are or with .gz.
    RETURNS (Ontology): headings of the branches in `BRANCHES`, with the inverted names put
        straight ("Leukemia, Myeloid" -> "Myeloid Leukemia"); is_a by tree number.
    """
    trees: Trees = {}
    for row in read_rows(folder, "tree-numbers.tsv", ("mesh_id", "mesh_tree_number")):
        trees.setdefault(row["mesh_id"], []).append(row["mesh_tree_number"])
    listed = {row["mesh_id"] for row in read_rows(folder, "symptoms.tsv", ("mesh_id",))}
    signs = _signs()
    terms: List[Term] = []
    for row in read_rows(folder, "terms.tsv", ("mesh_id", "mesh_name")):
        id_, name = row["mesh_id"], row["mesh_name"]
        kinds = _kinds(id_, trees.get(id_, ()), signs, listed)
        if kinds:
            terms.append(Term(f"MESH:{id_}", name, kinds, tuple(_straight(name))))
    if not terms:
        raise broken(folder / "terms.tsv", 0, "headings of the trees A, C, D, E or F", "none")
    kept = {term.id for term in terms}
    return Ontology(terms, [t for t in _parents(trees) if {t.head, t.tail} <= kept])


def _signs() -> Tuple[FrozenSet[str], FrozenSet[str]]:
    """Headings that are signs only, and those that are signs or diseases."""
    table = json.loads((files("clinbert_spacy.resources.en") / SIGNS).read_text("utf8"))
    return frozenset(table["signs"]), frozenset(table["either"])


def _kinds(
    id_: str, trees: Sequence[str], signs: Tuple[FrozenSet[str], FrozenSet[str]], listed: Set[str]
) -> Tuple[str, ...]:
    kinds = {kind for tree in trees if (kind := branch_kind(tree))}
    for first, second in _OVERRULES:
        if first in kinds:
            kinds.discard(second)
    if DISEASE in kinds and id_ in signs[0]:
        kinds = kinds - {DISEASE} | {SYMPTOM}
    elif DISEASE in kinds and id_ in signs[1] and id_ in listed:
        kinds |= {SYMPTOM}
    return tuple(sorted(kinds))


def branch_kind(tree: str) -> str:
    """Give the kind of a place in the trees.

    tree (str): a tree number, e.g. "C10.597.617".
    RETURNS (str): its kind, by the longest beginning in `BRANCHES`; empty for none.
    """
    parts = tree.split(".")
    starts = [".".join(parts[:n]) for n in range(len(parts), 0, -1)] + [tree[:1]]
    return next((BRANCHES[start] for start in starts if start in BRANCHES), "")


def _straight(name: str) -> Iterator[str]:
    """Other readings of an inverted heading: turned round, and without its commas."""
    parts = name.split(", ")
    if 1 < len(parts) < 4:
        yield " ".join(reversed(parts))
        yield " ".join(parts)


def _parents(trees: Trees) -> Iterator[Triple]:
    owners = {tree: id_ for id_, numbers in trees.items() for tree in numbers}
    seen: Set[Tuple[str, str]] = set()
    for tree, id_ in owners.items():
        parent = owners.get(tree.rpartition(".")[0])
        if parent and parent != id_ and (id_, parent) not in seen and branch_kind(tree):
            seen.add((id_, parent))
            yield Triple(f"MESH:{id_}", IS_A, f"MESH:{parent}")
