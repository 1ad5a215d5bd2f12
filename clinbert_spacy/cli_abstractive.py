"""`clinbert train-abstractive`, `abstract-score`: summaries in words of a network's own."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Mapping, Optional, Sequence

import typer
from rich.console import Console
from rich.progress import Progress

from .cli_args import check_choice, check_encoding, check_path, command_line, load_pipeline
from .cli_show import LONG_COLUMNS, print_table, progress_bar

COMPONENT = "clinbert_abstractive"


def train_abstractive(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config, as configs/abstractive_cpu.cfg.")],
    output: Annotated[Path, typer.Option(help="Folder for model, state and log.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run first.")
    ] = False,
) -> None:
    """Train a generator of summaries (extra trainer). It invents: see clinbert_abstractive."""
    from spacy.cli._util import parse_config_overrides

    from .training.abstractive import train_abstractive as run
    from .training.abstractive_settings import read_abstractive

    settings = read_abstractive(config, parse_config_overrides(list(context.args)))
    with Progress(*LONG_COLUMNS, console=Console(stderr=True)) as bars:
        task = bars.add_task("updates", total=None)

        def show(info: Mapping[str, Any]) -> None:
            loss = info["row"].get("eval_loss", info["row"].get("loss"))
            text = "updates" if loss is None else f"loss {loss:.3f}"
            bars.update(task, total=info["steps"], completed=info["step"], description=text)

        folder = run(settings, output, resume=resume, overwrite=overwrite, on_step=show)
    _print_training(json.loads((folder / "abstractive.json").read_text("utf8")))
    typer.echo(f"Generator: {folder}")


def _print_training(about: Mapping[str, Any]) -> None:
    rows = [
        (name, *(str(count[key]) for key in ("read", "used", "too_long")))
        for name, count in about["pairs"].items()
    ]
    print_table(["pairs", "read", "used", "too long"], rows)
    loss = about["dev_loss"]
    shown = "no dev part" if loss is None else f"least loss on the dev part {loss:.3f}"
    ships = "yes" if about["ships"] else "no"
    typer.echo(f"{about['updates']} updates, {shown}; may ship: {ships}")


def abstract_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder that checks.")],
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    corpus: Annotated[str, typer.Option(help="radiology, mts_dialog, notes, ...")],
    generator: Annotated[
        Optional[Path],
        typer.Option(help="Folder that train-abstractive wrote; none: that of the pipeline."),
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold to score, as in training.")] = 0,
    folds: Annotated[int, typer.Option(min=3, help="How many folds there are.")] = 5,
    beams: Annotated[int, typer.Option(min=1, help="Candidates of the beam search.")] = 4,
    longest: Annotated[int, typer.Option(min=4, help="Longest summary, in wordpieces.")] = 64,
    limit: Annotated[int, typer.Option(min=0, help="First so many texts; 0: all.")] = 0,
    encoding: Annotated[str, typer.Option(help="Encoding of the corpus files.")] = "utf-8",
    output: Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")] = None,
) -> None:
    """Score a generator on a held-out fold by ROUGE and flags, beside plain rows."""
    from .corpora.pairs import PAIRS, part_pairs, read_pairs
    from .evaluation.abstractive import (
        GENERATED,
        LEAD,
        REFERENCE,
        hash_pairs,
        plain_rows,
        score_abstracts,
    )
    from .evaluation.output import write_text

    check_path(data)
    check_choice("--corpus", corpus, list(PAIRS))
    parts = part_pairs(list(read_pairs(corpus, data, check_encoding(encoding))), fold, folds)
    pairs = parts["held_out"][:limit] if limit else parts["held_out"]
    if not pairs:
        raise ValueError(f"{data}: fold {fold} of {folds} has no text; give another --fold.")
    nlp = _with_generator(load_pipeline(pipeline), generator, beams, longest)
    references = [pair.summary for pair in pairs]
    rows = plain_rows(
        [pair.source for pair in pairs], [_sentences(pair.source) for pair in pairs], references,
        [pair.summary for pair in parts["train"]],
    )  # fmt: skip
    judged = _judge(nlp, pairs, {REFERENCE: references, LEAD: rows[LEAD]})
    rows = {GENERATED: [one.text for one in judged[GENERATED]], **rows}
    with progress_bar("score", len(rows)) as advance:
        scored = score_abstracts(references, rows, judged, progress=advance)
    record: Dict[str, Any] = {
        "command": command_line(), "corpus": corpus, "data": data.resolve().name, "fold": fold,
        "folds": folds, "beams": beams, "longest": longest, **scored,
        "data_sha256": hash_pairs([pair[:3] for pair in pairs]),
    }  # fmt: skip
    _print_scores(record)
    if output:
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _with_generator(nlp: Any, generator: Optional[Path], beams: int, longest: int) -> Any:
    if COMPONENT not in nlp.pipe_names:
        if generator is None:
            raise ValueError(
                f"The pipeline has no '{COMPONENT}': give the folder `model` that "
                "`clinbert train-abstractive` wrote as --generator."
            )
        nlp.add_pipe(COMPONENT)
    component = nlp.get_pipe(COMPONENT)
    component.set_limits(beams=beams, longest=longest)
    if generator is not None:
        component.load(generator)
    return nlp


def _judge(
    nlp: Any, pairs: Sequence[Any], others: Mapping[str, Sequence[str]]
) -> Dict[str, List[Any]]:
    """The generated summaries, and other rows under the same check."""
    from .evaluation.abstractive import GENERATED

    component = nlp.get_pipe(COMPONENT)
    found: Dict[str, List[Any]] = {GENERATED: [], **{name: [] for name in others}}
    with progress_bar("summarise", len(pairs)) as advance:
        docs = nlp.pipe([pair.source for pair in pairs], batch_size=16)
        for number, doc in enumerate(docs):
            found[GENERATED].append(doc._.clinbert_abstract)
            for name, row in others.items():
                found[name].append(component.check(doc, row[number]))
            advance(1)
    return found


def _sentences(text: str) -> List[Any]:
    from .cli_summaries import split_sentences

    trimmed = []
    for start, end in split_sentences(text):
        piece = text[start:end]
        if piece.strip():
            trimmed.append((start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())))
    return trimmed


def _print_scores(record: Mapping[str, Any]) -> None:
    names = ("rouge1", "rouge2", "rougeL")
    titles = ["", "ROUGE-1", "95 % interval", "ROUGE-2", "95 % interval", "ROUGE-L",
              "95 % interval", "words", "flagged %", "95 % interval"]  # fmt: skip
    rows = []
    for name, row in record["rows"].items():
        cells = [cell for score in (*names, "words", "flagged") for cell in _cells(row, score)]
        rows.append((name, *cells))
    print_table(titles, rows)
    for name, row in record["rows"].items():
        if row.get("reasons"):
            counts = ", ".join(f"{reason} {n}" for reason, n in row["reasons"].items())
            typer.echo(f"{name}: flags: {counts}; {row['truncated']} texts not read to the end")
    typer.echo(
        f"{record['n_texts']} texts of {record['corpus']}, fold {record['fold']} of "
        f"{record['folds']}; data sha256 {record['data_sha256'][:16]}"
    )


def _cells(row: Mapping[str, Any], name: str) -> List[str]:
    value = row.get(name)
    if name == "words":
        return ["-" if value is None else f"{value:.1f}"]
    if value is None:
        return ["-", "-"]
    return [f"{100 * value['value']:.1f}", f"{100 * value['low']:.1f} - {100 * value['high']:.1f}"]
