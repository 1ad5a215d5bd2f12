"""The card of a graph: where it comes from, what is in it, how good it is, what it is not."""

from pathlib import Path
from typing import Any, Iterable, List, Mapping, Sequence, Union

from ..corpora.files import write_text

INTRODUCTION = """# Concepts, names and vectors

Made by `clinbert build-graph` from open ontologies. Research and human-reviewed chart abstraction;
not a medical device, not for treatment decisions.

| file | what |
|---|---|
| `concepts.tsv.gz` | id, preferred name, kinds, sources, other ids of the same concept |
| `triples.tsv.gz` | head, relation, tail, source; "derived": follows from names or other triples |
| `lexicon.msgpack.gz` | names and their concepts, for `clinbert_spacy.models.lexicon` |
| `vectors.safetensors` | "vectors", float16, a row a concept in the order of `concepts.tsv.gz` |
| `metrics.json` | the numbers below, settings, SHA-256 of the sources |
"""

OWN = ("names that clinicians write and ontologies lack, by hand (`lexicon_rules.json`)", "MIT")

LIMITS = """## Limits

- MeSH is of 2015 and comes without its entry terms: headings only.
- RxNorm's file holds no ingredient that begins with A; DrugBank's names stand in, without
  combinations and brands, but for a few written by hand.
- Synonyms of the Disease Ontology are those of 2016; Mondo gives preferred names only.
- ICD-10-CM codes are classes of cases: a code is a concept only where its description is a name.
- English only. Short abbreviations are few, and found in capitals only.
- Concepts that should be one may stand apart: only exact references and equal preferred names
  were merged, and never two of the same ontology.
- Treatments are those of 97 diseases that PharmacotherapyDB covers; a missing triple means nothing.
- Vectors also read names: alike names give alike vectors, whatever the concepts.
"""


def write_graph_card(report: Mapping[str, Any], path: Union[str, Path]) -> None:
    """Write the card.

    report (Mapping[str, Any]): what metrics.json holds.
    path (Union[str, Path]): the file.
    """
    parts = [INTRODUCTION, _sources(report), _counts(report), _figures(report), LIMITS]
    write_text(path, "\n".join(part for part in parts if part))


def _sources(report: Mapping[str, Any]) -> str:
    rows = [(x["title"], x["licence"]) for x in report["sources"].values()]
    missing = ", ".join(report["missing"])
    note = f"\nNot there when this was built: {missing}.\n" if missing else ""
    return f"## Sources\n\n{_table(('source', 'licence'), [*rows, OWN])}{note}"


def _counts(report: Mapping[str, Any]) -> str:
    kinds = report["names_by_kind"]
    concepts = report["concepts_by_kind"]
    rows = [(kind, str(concepts.get(kind, 0)), str(kinds[kind])) for kind in kinds]
    rows.append(("all", str(report["concepts"]), str(report["names"])))
    relations = [(name, str(n)) for name, n in report["triples_by_relation"].items()]
    return (
        f"## Counts\n\n{_table(('kind', 'concepts', 'names'), rows)}\n"
        f"{report['ambiguous_names']} names are ambiguous: of more than one concept or kind, or "
        f"common words.\n\n{_table(('relation', 'triples'), relations)}"
    )


def _figures(report: Mapping[str, Any]) -> str:
    if "vectors" not in report:
        return ""
    vectors = report["vectors"]
    model, baseline = vectors["test"]["model"], vectors["test"]["frequency"]
    rows = [
        (name, str(row["n"]), *(f"{x[key]:.3f}" for key in row if key != "n" for x in (row, base)))
        for name, row, base in ((name, model[name], baseline[name]) for name in model)
    ]
    split = vectors["split"]
    header = ("relation", "n", "MRR", "by frequency", "Hits@10", "by frequency")
    return (
        f"## Vectors\n\nComplEx, {vectors['settings']['dim']} real numbers, "
        f"{vectors['settings']['epochs']} epochs, seed {vectors['settings']['seed']}. Tails of "
        f"{split['test']} held-out triples ranked among all {report['concepts']} concepts, other "
        f"true tails left out, after learning from {split['train']}; beside it tails ranked by how "
        "often they occur with the relation. Triples of the same two concepts are held out "
        "together. same_class and synonym_of are neither learned nor judged: they follow from the "
        "rest. The vectors in the file were then learned from all triples, with the same "
        f"settings.\n\n{_table(header, rows)}"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines: List[str] = [_row(header), _row(["---"] * len(header)), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
