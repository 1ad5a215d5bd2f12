"""`clinbert relation-score` and `fit-relations`: relations end to end, and their thresholds."""

import json
import random
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, List, Optional, Tuple

import typer
from spacy.language import Language
from spacy.training import Example

from .cli_args import check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

COMPONENT = "clinbert_side_effects"
Data = Annotated[Path, typer.Option(help="Folder or file of the corpus.")]
Corpus = Annotated[str, typer.Option(help="Its name: notes, pairs, ade, bc5cdr, ...")]
GpuId = Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Notes a batch.")]


def relation_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    data: Data,
    corpus: Corpus = "notes",
    scheme: Annotated[str, typer.Option(help="Labels: product, or own.")] = "product",
    part: Annotated[Optional[List[str]], typer.Option(help="Official part.")] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold to score, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=0, help="How many there are; 0: all notes.")] = 0,
    errors: Annotated[Optional[Path], typer.Option(help="Markdown file of 20 errors.")] = None,
    batch_size: BatchSize = 16,
    gpu_id: GpuId = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score relations from raw text: what was not found, or never proposed, is a miss."""
    from .corpora.files import sha256_of
    from .evaluation.output import write_text
    from .evaluation.side_effects import PROTOCOL, judge, overlapping, summarise, without_overlaps

    check_path(data)
    if output:
        check_path(output.parent)
    nlp = load_component(pipeline, gpu_id)
    check_fold(nlp, pipeline, corpus, fold, folds)
    block: Dict[str, Any] = {"corpus": corpus, "path": str(data)}
    block |= {"parts": part} if part else {}
    block |= {"fold": fold, "folds": folds, "held_out": True} if folds else {}
    examples = list(predict(nlp, block, scheme, batch_size))
    texts = "".join(example.reference.text for example in examples)
    record = {
        "command": command_line(), "corpus": corpus, "data": data.resolve().name, "scheme": scheme,
        "part": part or [], "fold": fold, "folds": folds, "n_notes": len(examples),
        "data_sha256": sha256_of(texts), "protocol": PROTOCOL,
        **summarise([judge(example) for example in examples]),
    }  # fmt: skip
    rest = summarise([judge(without_overlaps(example)) for example in examples])
    record["overlapping"] = sum(len(overlapping(example)) for example in examples)
    record |= {f"spert_{name}": rest[name] for name in ("f", "macro_f")}
    print_scores(record)
    if output:
        write_text(output, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if errors:
        errors.parent.mkdir(parents=True, exist_ok=True)
        write_text(errors, sample_errors(examples, corpus))
        typer.echo(f"errors: {errors}", err=True)


def load_component(pipeline: str, gpu_id: int) -> Language:
    """Load a pipeline that finds relations.

    RAISES (ValueError): it has no component for that.
    """
    nlp: Language = load_pipeline(pipeline, gpu_id)
    if COMPONENT not in nlp.pipe_names:
        raise ValueError(
            f"{pipeline} has no component {COMPONENT!r} among {nlp.pipe_names}: train one with "
            "configs/relations_head_cpu.cfg, or name a pipeline that has it."
        )
    return nlp


def check_fold(nlp: Language, pipeline: str, corpus: str, fold: int, folds: int) -> None:
    """Refuse to score a fold that was trained on.

    RAISES (ValueError): the pipeline's training left another fold out, or there are no folds.
    """
    if fold and not folds:
        raise ValueError(f"--fold is {fold}, --folds is 0; expected how many folds there are.")
    sources = nlp.config.interpolate().get("corpora", {}).get("train", {}).get("sources", {})
    named = sources.items() if hasattr(sources, "items") else (("", block) for block in sources)
    for name, block in named:
        left_out = (block.get("fold", 0), block.get("folds", folds))
        ours = block.get("corpus", name) == corpus and "folds" in block
        if folds and ours and left_out != (fold, folds):
            raise ValueError(
                f"{pipeline} was trained without fold {left_out[0]} of {left_out[1]}, not {fold} "
                f"of {folds}: it has seen notes of this fold."
            )


def predict(
    nlp: Language,
    block: Dict[str, Any],
    scheme: str,
    batch_size: int,
    disable: Tuple[str, ...] = (),
) -> Iterator[Example]:
    """Run a pipeline over a corpus. YIELDS (Example): what it found beside the gold."""
    from .corpora.readers import create_corpus
    from .evaluation.relations import covered_of

    examples = list(create_corpus([block], scheme=scheme)(nlp))
    if not examples:
        raise ValueError(f"No note to score in {block['path']}: expected at least one.")
    if not any(map(covered_of, examples)):
        raise ValueError(
            f"{block['path']}: {block['corpus']!r} does not mark relations wherever they are, so "
            "that nothing can be scored; expected a corpus such as notes, pairs or ade."
        )
    texts = ((example.reference.text, example) for example in examples)
    with progress_bar("relations", len(examples)) as advance:
        pipe = nlp.pipe(texts, as_tuples=True, batch_size=batch_size, disable=list(disable))
        for doc, example in pipe:
            advance(1)
            yield Example(doc, example.reference)


def print_scores(record: Dict[str, Any]) -> None:
    """Print what `relation-score` found. record (Dict[str, Any]): its JSON."""
    for title in ("entities", "relations", "places"):
        rows = [(name, *_percents(row), str(row["n"])) for name, row in record[title].items()]
        print_table([title, "P", "R", "F1", "n"], rows)
    lines = [("relations, micro", record["f"]), ("entities, macro", record["macro_f"])]
    for name, score in lines:
        low, high = (f"{100 * score[end]:.1f}" for end in ("low", "high"))
        typer.echo(f"{name}: F1 {100 * score['value']:.1f} ({low} - {high})")
    whole, attributes = record["whole"], record["attributes"]
    if whole["n"]:
        typer.echo(
            f"side effects with assertion, causality and kind right: F1 {100 * whole['f']:.1f}; "
            f"hard negatives read as present reactions: {100 * record['misread_share']:.1f} %; "
            f"true ones found and called absent or denied: {100 * record['denied_share']:.1f} %"
        )
    if attributes["n"]:
        typer.echo(f"attributes of drugs: F1 {100 * attributes['f']:.1f}")
    if record["overlapping"]:
        scores = (f"{100 * record[f'spert_{name}']['value']:.1f}" for name in ("f", "macro_f"))
        typer.echo(
            f"without {record['overlapping']} relations whose ends overlap (SpERT): relations, "
            f"entities macro: {', '.join(scores)}"
        )
    typer.echo(f"missed: {record['lost']}; {record['n_notes']} notes; {record['protocol']}")


def _percents(row: Dict[str, Any]) -> List[str]:
    return [f"{100 * row[key]:.1f}" for key in ("precision", "recall", "f")]


def sample_errors(examples: List[Example], corpus: str, count: int = 20) -> str:
    """Draw errors, as many of each type as there are types and room.

    examples (List[Example]): found beside gold. corpus (str): for the title. count (int): how many.
    RETURNS (str): Markdown; holds text of the corpus.
    """
    from .evaluation.relation_errors import errors_of

    by_type: Dict[str, List[Any]] = {}
    for example in examples:
        for error in errors_of(example):
            by_type.setdefault(error.type, []).append(error)
    rng = random.Random(0)
    for errors in by_type.values():
        rng.shuffle(errors)
    lines = [f"# Errors in relations: {corpus}", "", "| type | how many |", "|---|---|"]
    lines += [f"| {name} | {len(found)} |" for name, found in sorted(by_type.items())]
    lines += ["", "| type | note | text |", "|---|---|---|"]
    rounds = max(map(len, by_type.values()), default=0)
    drawn = [found[i] for i in range(rounds) for found in by_type.values() if i < len(found)]
    lines += [f"| {e.type} | {e.note} | {e.text} |" for e in drawn[:count]]
    return "\n".join(lines) + "\n"


def fit_relations(
    pipeline: Annotated[str, typer.Argument(help="Folder of the pipeline, or installed.")],
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder to write the pipeline to.")],
    corpus: Corpus = "notes",
    scheme: Annotated[str, typer.Option(help="Labels: product, or own.")] = "product",
    batch_size: BatchSize = 16,
    gpu_id: GpuId = -1,
) -> None:
    """Calibrate relations and choose their thresholds, on notes that they were not trained on."""
    from .corpora.files import CorpusError

    check_path(data)
    nlp = load_component(pipeline, gpu_id)
    block = {"corpus": corpus, "path": str(data)}
    examples = list(predict(nlp, block, scheme, batch_size, disable=(COMPONENT,)))
    fitted, rows = _fit(nlp.get_pipe(COMPONENT), examples)
    if not fitted:
        raise CorpusError(f"{data} marks none of the relations of {pipeline}: nothing to fit.")
    nlp.get_pipe(COMPONENT).fitted = fitted
    output.parent.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(output)
    print_table(
        ["relation", "pairs", "right", "slope", "shift", "threshold", "ECE before", "after"], rows
    )
    typer.echo(f"Fitted on {len(examples)} notes; written to {output}.", err=True)


def _fit(pipe: Any, examples: List[Example]) -> Tuple[Dict[str, Any], List[tuple]]:
    from .evaluation.relations import covered_of, gold_relations
    from .pipeline.calibration import Platt, calibrate, logits
    from .pipeline.pair_gold import right_pairs
    from .training.relation_fit import best_threshold, calibration_error, fit_platt

    judged = pipe.predict([example.predicted for example in examples])
    fitted, rows = {}, []
    for number, label in enumerate(pipe.labels):
        scores, right = right_pairs(examples, judged, label, number)
        if not len(scores):
            continue
        known = [example for example in examples if label in covered_of(example)]
        n_gold = sum(one.label == label for example in known for one in gold_relations(example))
        slope, shift = fit_platt(logits(scores), right)
        after = calibrate(scores, Platt(slope, shift, 0.0))
        fitted[label] = Platt(slope, shift, best_threshold(after, right, n_gold))
        errors = (calibration_error(x, right) for x in (scores, after))
        rows.append((label, str(len(scores)), str(right.sum()), f"{slope:.2f}", f"{shift:.2f}",
                     f"{fitted[label].threshold:.2f}", *(f"{x:.3f}" for x in errors)))  # fmt: skip
    return fitted, rows
