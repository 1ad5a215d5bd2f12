"""`clinbert build-abbreviations`: an inventory of short forms, with weights learned from a text."""

from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, Iterator, Mapping, Optional

import typer

from .cli_args import check_path, command_line, read_mapping
from .cli_show import print_table, progress_bar


def build_abbreviations(
    text: Annotated[Path, typer.Argument(help="JSONL (.xz, .gz), folder of texts, or DocBin.")],
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    senses: Annotated[
        Optional[Path], typer.Option(help="Folder of clinical-abbreviations' lists to add.")
    ] = None,
    licences: Annotated[
        Optional[Path], typer.Option(help="YAML: under 'licences', source of text to licence.")
    ] = None,
    notes: Annotated[
        Optional[Path], typer.Option(help="Folder of notes whose short forms are labelled.")
    ] = None,
    gold: Annotated[Optional[Path], typer.Option(help="TSV of those labels.")] = None,
    features: Annotated[int, typer.Option(min=1, help="Words kept a form.")] = 500,
    strength: Annotated[float, typer.Option(min=0.0001, help="Inverse of the L2 penalty.")] = 0.3,
    prior: Annotated[float, typer.Option(min=0.01, help="Beside contexts in notes.")] = 30.0,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="For the figures.")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample of contexts.")] = 0,
) -> None:
    """Learn from a text which long form an abbreviation stands for; judge held-out documents."""
    from .corpora.abbreviations import extend_inventory
    from .corpora.passages import read_texts
    from .models.abbreviations import read_inventory
    from .training.abbreviation_notes import read_gold
    from .training.abbreviations import Settings, build
    from .training.abbreviations_card import write_abbreviation_card

    check_path(text)
    if (notes is None) != (gold is None):
        raise ValueError("--notes and --gold go together: expected both or neither.")
    labelled = list(read_gold(gold, notes)) if gold and notes else []
    table = read_inventory()
    if senses is not None:
        check_path(senses)
        table = extend_inventory(table, senses)
    settings = Settings(features, strength, prior, seed=seed, threshold=threshold)
    about = {
        "command": command_line(),
        "inventory": "own" if senses is None else senses.resolve().name,
        "licences": read_licences(licences),
    }
    with progress_bar("documents") as advance:
        passages = _counted(read_texts(text), advance)
        report = build(passages, table, output, settings, labelled, about)
    write_abbreviation_card(report, output / "README.md")
    print_scores(report)
    if not report["ships"]:
        typer.echo("Warning: not for shipping, see Sources in its README.md.", err=True)
    typer.echo(f"written to {output}", err=True)


def read_licences(path: Optional[Path]) -> Dict[str, str]:
    """Read the licences of texts. RETURNS (Dict[str, str]): by source; empty without a file."""
    if path is None:
        return {}
    found = read_mapping(path).get("licences")
    if not isinstance(found, dict):
        raise ValueError(f"{path} has no block 'licences'; expected source: licence below it.")
    return {str(source): str(licence) for source, licence in found.items()}


def print_scores(report: Mapping[str, Any]) -> None:
    """Print the figures over all held-out contexts, and sizes."""
    keys = ("accuracy", "most_frequent", "given", "accuracy_given")
    scores = {kind: found["all"] for kind, found in report["scores"].items()}
    scores |= {f"notes, {part}": found for part, found in report["notes"].items()}
    rows = [
        (name, str(row["n"]), *(f"{row[key]:.3f}" for key in keys))
        for name, row in scores.items()
        if row["n"]
    ]
    print_table(["held out", "contexts", *(key.replace("_", " ") for key in keys)], rows)
    typer.echo(
        f"{report['forms']} forms, {report['ambiguous']} ambiguous, {report['learned']} learned, "
        f"{report['bytes']} bytes"
    )


def _counted(passages: Iterable[Any], advance: Any) -> Iterator[Any]:
    for passage in passages:
        yield passage
        advance(1)
