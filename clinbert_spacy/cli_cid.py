"""`clinbert cid-score`: pairs of concepts of BC5CDR, from raw text."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import typer
from spacy.tokens import Doc

from .cli_args import check_path, command_line
from .cli_link import add_detector
from .cli_relations import COMPONENT, load_component
from .cli_show import print_table, progress_bar

EFFECT = "ADVERSE_EFFECT"
LEAST = 0.01
Rows = List[Tuple[Tuple[str, ...], Tuple[str, ...], float]]


def cid_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    base: Annotated[Path, typer.Argument(help="Folder that build-kb wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of BC5CDR.")],
    part: Annotated[str, typer.Option(help="Official part.")] = "dev",
    limit: Annotated[int, typer.Option(min=0, help="First so many notes; 0: all.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Notes a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score chemical-disease pairs of concepts: entities, links and relations from raw text."""
    from .corpora.files import sha256_of
    from .corpora.readers import read_corpus
    from .evaluation.concept_pairs import (
        PROTOCOL,
        Document,
        best_of_mentions,
        score_as_given,
        score_documents,
    )
    from .evaluation.output import write_text
    from .models.linking import ConceptLinker
    from .pipeline.linking import ConceptLinking

    check_path(data)
    check_path(base)
    if output:
        check_path(output.parent)
    nlp = load_component(pipeline, gpu_id)
    nlp.get_pipe(COMPONENT).thresholds = {EFFECT: LEAST}
    linker = ConceptLinker(base, ("MESH", "OMIM"))
    component, nlp = ConceptLinking(linker, threshold=0.3), add_detector(nlp)
    notes = list(read_corpus("bc5cdr", data, [part]))[: limit or None]
    if not notes:
        raise ValueError(f"No note to score in {data}: expected at least one.")
    documents, together = [], []
    with progress_bar("concept pairs", len(notes)) as advance:
        texts = ((note.text, note) for note in notes)
        for doc, note in nlp.pipe(texts, as_tuples=True, batch_size=batch_size):
            ids = linked_ids(component(doc), linker)
            gold = {(f"MESH:{r.head}", f"MESH:{r.tail}") for r in note.relations}
            documents.append(Document(note.id, gold, best_of_mentions(relation_rows(doc, ids))))
            together.append(Document(note.id, gold, best_of_mentions(same_sentence(doc, ids))))
            advance(1)
    found = {"pipeline": score_documents(documents), "same sentence": score_as_given(together)}
    record = {
        "command": command_line(), "corpus": "bc5cdr", "part": part, "n_notes": len(notes),
        "data_sha256": sha256_of("".join(note.text for note in notes)), "protocol": PROTOCOL,
        "base": linker.base.card, "rows": found,
    }  # fmt: skip
    _print(found)
    if output:
        write_text(output, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def linked_ids(doc: Doc, linker: Any) -> Dict[Tuple[int, int], Tuple[str, ...]]:
    """Ids of each linked entity. RETURNS (Dict): by tokens."""
    from .pipeline.linking import entities_of

    return {
        (x.start, x.end): tuple(linker.base.ids_of(x.kb_id_)) for x in entities_of(doc) if x.kb_id_
    }


def relation_rows(doc: Doc, ids: Dict[Tuple[int, int], Tuple[str, ...]]) -> Rows:
    """Mention pairs that the pipeline joined, both ends linked."""
    rows = []
    for head, tail, label, score in doc._.clinbert_relations:
        ends = [ids.get((span.start, span.end)) for span in (head, tail)]
        if label == EFFECT and ends[0] and ends[1]:
            rows.append((ends[0], ends[1], score))
    return rows


def same_sentence(doc: Doc, ids: Dict[Tuple[int, int], Tuple[str, ...]]) -> Rows:
    """All drugs and problems of a sentence: what a model must beat."""
    rows = []
    for sentence in doc.sents:
        ends = [(ids.get((span.start, span.end)), span.label_) for span in sentence.ents]
        drugs = [linked for linked, label in ends if linked and label == "DRUG"]
        others = [linked for linked, label in ends if linked and label in ("DISEASE", "SYMPTOM")]
        rows += [(drug, other, 1.0) for drug in drugs for other in others]
    return rows


def _print(found: Dict[str, Dict[str, Any]]) -> None:
    cells = []
    for name, row in found.items():
        scores = [f"{100 * row[key]['value']:.1f}" for key in ("precision", "recall", "f")]
        interval = f"{100 * row['f']['low']:.1f} - {100 * row['f']['high']:.1f}"
        cells.append((name, *scores, interval, str(row["n_gold"])))
    print_table(["", "P", "R", "F1", "95 % interval", "gold pairs"], cells)
