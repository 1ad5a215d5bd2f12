"""`clinbert classify-bench`: which sentences of the ADE corpus report an adverse effect."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from .cli_args import check_path, command_line, load_pipeline
from .cli_show import print_table, progress_bar

CORPUS = "ade"
COLUMNS = ("precision", "recall", "f", "average_precision", "precision_at_95")


def classify_bench(
    pipeline: Annotated[
        Optional[str], typer.Argument(help="Installed pipeline or folder; none: baseline alone.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of the ADE corpus.")] = Path(
        "assets/public/ade_corpus_v2"
    ),
    fold: Annotated[int, typer.Option(min=0, help="Fold to score, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 10,
    baseline: Annotated[bool, typer.Option(help="Score TF-IDF + linear SVM as well.")] = True,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences a batch.")] = 64,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score ADE sentence classification on a held-out fold, with a TF-IDF + linear SVM row."""
    from .evaluation.classification import BASELINE, evaluate_baseline
    from .evaluation.output import write_text

    check_path(data)
    if not pipeline and not baseline:
        raise ValueError("Neither a pipeline nor --baseline is given; expected one of them.")
    parts = _read_parts(data, fold, folds, encoding)
    record: Dict[str, Any] = {
        "command": command_line(), "data": data.resolve().name, "fold": fold, "folds": folds,
    }  # fmt: skip
    rows = {}
    if pipeline:
        record |= _score(pipeline, parts["held_out"], fold, folds, batch_size, gpu_id)
        rows["pipeline"] = record
    if baseline:
        found = evaluate_baseline(*parts.values(), corpus=CORPUS)
        rows[BASELINE] = found
        record = {**record, "beside": {BASELINE: found}} if pipeline else {**record, **found}
    _print(rows)
    if output:
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _read_parts(data: Path, fold: int, folds: int, encoding: str) -> Dict[str, Any]:
    from .corpora.sentences import PARTS, take_fold
    from .evaluation.classification import Labelled

    found = {part: take_fold(data, part, fold, folds, encoding) for part in PARTS}
    return {
        part: Labelled([s.text for s in chosen], [s.positive for s in chosen],
                       [s.group for s in chosen])
        for part, chosen in found.items()
    }  # fmt: skip


def _score(
    pipeline: str, held_out: Any, fold: int, folds: int, batch_size: int, gpu_id: int
) -> Dict[str, Any]:
    from .corpora.sentences import POSITIVE
    from .evaluation.classification import evaluate_classes

    nlp = load_pipeline(pipeline, gpu_id)
    trained = nlp.config.interpolate().get("corpora", {}).get("train", {})
    if "fold" in trained and (trained["fold"], trained.get("folds", 10)) != (fold, folds):
        raise ValueError(
            f"{pipeline} was trained for fold {trained['fold']} of {trained.get('folds', 10)}, not "
            f"{fold} of {folds}: it has seen sentences of this fold. Give --fold {trained['fold']}."
        )
    with progress_bar("classify", len(held_out.texts)) as advance:
        return evaluate_classes(
            nlp, held_out, POSITIVE, corpus=CORPUS, batch_size=batch_size, progress=advance
        )


def _print(rows: Dict[str, Dict[str, Any]]) -> None:
    cells: List[tuple] = []
    for row, result in rows.items():
        scores = [{key: f"{100 * x:.1f}" for key, x in result[name].items()} for name in COLUMNS]
        shown = [score["value"] for score in scores]
        ends = [f"{score['low']} - {score['high']}" for score in scores[2:]]
        cells.append((row, *shown[:3], ends[0], shown[3], ends[1], shown[4]))
    titles = ["", "P", "R", "F1", "95 % interval", "AP", "95 % interval", "P at R 95"]
    print_table(titles, cells)
    result = next(iter(rows.values()))
    typer.echo(
        f"{result['n_notes']} sentences, {result['n_positive']} of them positive; data sha256 "
        f"{result['data_sha256'][:16]}"
    )
