"""`clinbert attach-score`: what a pipeline loses when another pipeline's tokenizer feeds it."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from .cli_args import check_encoding, command_line, load_pipeline
from .cli_show import print_table, progress_bar

BLANK = "blank"


def attach_score(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    corpus: Annotated[str, typer.Option(help="Known corpus: bc5cdr, ncbi, maccrobat, ...")],
    data: Annotated[Path, typer.Option(help="File or folder of the corpus.")],
    host: Annotated[
        str, typer.Option(help="Pipeline to attach to; blank: spaCy's own for the language.")
    ] = BLANK,
    part: Annotated[Optional[List[str]], typer.Option(help="Official part, e.g. dev.")] = None,
    split: Annotated[str, typer.Option(help="Part by hash of the group: train, dev, test.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="First so many notes; 0: all.")] = 0,
    encoding: Annotated[str, typer.Option(help="Encoding of the input files.")] = "utf-8",
    output: Annotated[Optional[Path], typer.Option(help="Write the results as JSON.")] = None,
) -> None:
    """Score a pipeline with its own tokenizer, and attached to a host with the host's."""
    from .cli_evaluate import Selection
    from .evaluation.output import write_text
    from .interop.attach import attach

    chosen = Selection(corpus, data, part, split, limit, check_encoding(encoding))
    chosen.check()
    own = load_pipeline(pipeline)
    results = {"own tokenizer": _score(own, chosen)}
    target = make_blank(own.lang) if host == BLANK else load_pipeline(host)
    attach(target, source=own)
    results[f"attached to {host}"] = _score(target, chosen)
    print_comparison(results)
    for line in chosen.warnings():
        typer.echo(f"Warning: {line}.", err=True)
    if output:
        found = {name: result.to_dict() for name, result in results.items()}
        record = {"command": command_line(), **chosen.record(), "results": found}
        write_text(output, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def make_blank(lang: str) -> Any:
    """Make spaCy's pipeline of a language, without components. RETURNS (Language): it."""
    import spacy

    return spacy.blank(lang)


def print_comparison(results: Dict[str, Any]) -> None:
    """Print precision, recall and F1 with its interval of each result."""
    rows = []
    for name, result in results.items():
        values = [f"{100 * x.value:.1f}" for x in (result.precision, result.recall, result.f)]
        interval = f"{100 * result.f.low:.1f} - {100 * result.f.high:.1f}"
        rows.append((name, str(result.n_mentions), *values, interval))
    print_table(["pipeline", "n", "P", "R", "F1", "95 % interval"], rows)


def _score(nlp: Any, chosen: Any) -> Any:
    from .corpora.harmonise import to_product
    from .corpora.schema import get_schema
    from .evaluation.evaluate import evaluate
    from .evaluation.labels import labels_of, plan_labels

    plan = plan_labels(get_schema(chosen.corpus), labels_of(nlp), "auto")
    notes = chosen.notes()
    if plan.scheme == "product":
        notes = (to_product(note) for note in notes)
    with progress_bar("evaluate") as advance:
        return evaluate(nlp, notes, chosen.corpus, plan, progress=advance)
