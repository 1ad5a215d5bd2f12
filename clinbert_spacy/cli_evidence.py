"""`clinbert evidence-score`: what deleting the evidence does, beside other passages."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import typer

from .cli_args import check_choice, check_encoding, check_path, command_line, load_pipeline
from .cli_documents import check_trained
from .cli_fit_classes import ALL, find_classifier, read_part
from .cli_show import print_table, progress_bar

FACTORY = "clinbert_evidence"
TITLES = {
    "top": "top passage deleted", "random": "another passage deleted",
    "difference": "top - another", "above_random": "pairs with top > another, %",
    "head": "top left out behind the encoder", "comprehensiveness": "all evidence deleted",
    "sufficiency": "all but the evidence deleted",
}  # fmt: skip


def evidence_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    corpus: Annotated[str, typer.Option(help="As in document-score.")],
    component: Annotated[
        str, typer.Option(help="The classifier, a clinbert.LongTextCat.v1 in it.")
    ] = "textcat_multilabel",
    task: Annotated[str, typer.Option(help="As in document-score.")] = "",
    titles: Annotated[bool, typer.Option("--titles/--no-titles", help="As there.")] = True,
    part: Annotated[
        str,
        typer.Option(help="held_out or dev of the fold; all: of a folder kept out of training."),
    ] = "held_out",
    fold: Annotated[int, typer.Option(min=0, help="Fold, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 5,
    draws: Annotated[int, typer.Option(min=1, help="Other passages a class.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="First so many documents; 0: all.")] = 0,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Documents a batch.")] = 16,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Delete the evidence of classes from documents: do they lose them, and by other passages?"""
    from .evaluation.evidence import evaluate_evidence
    from .evaluation.output import write_text

    check_path(data)
    check_choice("--part", part, ["held_out", "dev", ALL])
    asked = {"corpus": corpus, "task": task, "titles": titles, "fold": fold, "folds": folds}
    texts = read_part(corpus, data, part, fold, folds, (task, titles, check_encoding(encoding)))
    texts = texts[:limit] if limit else texts
    described, documents = _gather(corpus, task, texts)
    nlp = load_pipeline(pipeline, gpu_id)
    find_classifier(nlp, component)
    if part != ALL:
        check_trained(pipeline, nlp.config, {**asked, "held_out": None}, described.name)
    explain(nlp, component)
    with progress_bar("delete", len(texts)) as advance:
        found = evaluate_evidence(
            nlp, described, documents, component=component, draws=draws, seed=seed,
            batch_size=batch_size, progress=advance,
        )  # fmt: skip
    _print(found)
    if output:
        head = {"command": command_line(), "data": data.resolve().name, **asked, "part": part}
        record = {**head, "limit": limit, **found}
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def explain(nlp: Any, component: str) -> None:
    """Add a `clinbert_evidence` for a classifier, unless the pipeline has one already."""
    pipes = (pipe for _, pipe in nlp.pipeline)
    if not any(component in getattr(pipe, "textcats", ()) for pipe in pipes):
        name = f"{FACTORY}_of_{component}"
        nlp.add_pipe(FACTORY, name=name, config={"textcats": [component]})


def _gather(corpus: str, task: str, texts: Sequence[Any]) -> Tuple[Any, Any]:
    import numpy

    from .corpora.documents import find_source
    from .evaluation.documents import Documents, Task

    source, name = find_source(corpus, task)
    classes = source.tasks[name]
    rows = [[label in text.classes for label in classes] for text in texts]
    truth = numpy.array(rows, dtype=bool).reshape(len(texts), len(classes))
    described = Task(corpus, name, classes, name in source.exclusive, source.positive)
    columns = ([text.text for text in texts], truth, [text.group for text in texts])
    return described, Documents(*columns)


def _print(found: Mapping[str, Any]) -> None:
    rows: List[Tuple[str, ...]] = [
        (title, *_cells(name, found[name])) for name, title in TITLES.items()
    ]
    print_table(["probability lost", "mean", "95 % interval"], rows)
    print_table(
        ["class", "n", *("top", "another", "top > another, %", "comprehensiveness", "sufficiency")],
        [_class_cells(row) for row in found["labels"]],
    )
    kept = f"; sentences were deleted in {found['n_sentences']} of them"
    typer.echo(
        f"{found['n_pairs']} pairs of document and class in {found['n_notes']} documents of "
        f"{found['corpus']} ({found['scheme']}){kept if found['n_sentences'] else ''}; "
        f"{found['n_single']} pairs left out, as there is no other passage; "
        f"{found['draws']} draws, seed {found['seed']}; data sha256 {found['data_sha256'][:16]}"
    )


def _cells(name: str, score: Mapping[str, float]) -> Tuple[str, str]:
    scale, digits = (100, 1) if name == "above_random" else (1, 3)
    value, low, high = (f"{scale * score[key]:.{digits}f}" for key in ("value", "low", "high"))
    return value, f"{low} to {high}"


def _class_cells(row: Dict[str, Any]) -> Tuple[str, ...]:
    named = ("top", "random", "above_random", "comprehensiveness", "sufficiency")
    shown = [f"{100 * row[x]:.1f}" if x == "above_random" else f"{row[x]:.3f}" for x in named]
    return (row["label"], str(row["n"]), *shown)
