"""`clinbert notes`: check, count and compare annotated notes; take texts off and put them back."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from .cli_args import check_path
from .cli_errors import SafeGroup
from .cli_show import print_table

PARTS = ("train", "dev", "test")
BLOCK = re.compile(r"(<!-- COUNTS START[^>]*-->\n).*?(<!-- COUNTS END -->)", re.S)

app = typer.Typer(cls=SafeGroup, no_args_is_help=True, help="Fully annotated notes (brat).")

Folder = Annotated[Path, typer.Argument(help="Folder with the parts train, dev and test.")]


@app.command()
def check(folder: Folder) -> None:
    """Check every layer of every note; exit with 1 if one is not as the guidelines say."""
    from .corpora.checks import find_faults

    rows = [
        (part, note.id, fault)
        for part, notes in _read_parts(folder).items()
        for note in notes
        for fault in find_faults(note)
    ]
    if rows:
        print_table(["part", "note", "fault"], rows)
        raise ValueError(f"{len(rows)} faults. The table names note and place.")
    typer.echo("No faults.")


@app.command()
def report(
    folder: Folder,
    double: Annotated[
        Optional[List[Path]], typer.Option(help="Two second annotations, without text.")
    ] = None,
    card: Annotated[Optional[Path], typer.Option(help="Markdown whose counts to renew.")] = None,
    output: Annotated[Optional[Path], typer.Option(help="Write everything as JSON.")] = None,
) -> None:
    """Count each layer of each part, and how far two annotators agree."""
    from .evaluation.inventory import count_layers, effects_of, names_of, tabulate, unseen_share
    from .evaluation.output import write_text

    parts = _read_parts(folder)
    every = [note for notes in parts.values() for note in notes]
    counts = {part: count_layers(notes) for part, notes in parts.items()}
    table = tabulate({**counts, "all": count_layers(every)})
    header = ["layer", "value", *counts, "all"]
    print_table(header, [tuple(row) for row in table])
    facts = {"drug names": len(names_of(every, "DRUG")), "effects": len(effects_of(every))}
    if {"train", "test"} <= set(parts):
        facts["unseen in test"] = unseen_share(parts["train"], parts["test"])
        line = f"{100 * facts['unseen in test']:.1f} % of the test part's different entity strings"
        typer.echo(f"{line} do not occur in the training part.")
    agreed = _agreement(every, double) if double else []
    agreement = [_agreement_cells(row) for row in agreed]
    if agreement:
        print_table(["layer", "measure", "n", "agreement", "alike"], agreement)
    if card:
        blocks = _markdown(header, table)
        if "unseen in test" in facts:
            blocks += f"\n{line} do not occur in the training part.\n"
        if agreement:
            blocks += "\n" + _markdown(
                ["layer", "measure", "n", "agreement", "same value, %"], agreement
            )
        _renew(card, blocks)
    if output:
        record: Dict[str, Any] = {"counts": counts, "facts": facts}
        record["agreement"] = [vars(row) for row in agreed]
        write_text(output, json.dumps(record, indent=2) + "\n")


@app.command()
def strip(
    folder: Annotated[Path, typer.Argument(help="brat folder with notes.jsonl.")],
    output: Annotated[Path, typer.Argument(help="JSONL file to write.")],
) -> None:
    """Write annotations without their text: offsets, labels and a hash of each text."""
    from .corpora.layers import read_notes
    from .corpora.offsets import write_offsets

    check_path(folder)
    typer.echo(f"{write_offsets(read_notes(folder), output)} notes: {output}", err=True)


@app.command()
def restore(
    offsets: Annotated[Path, typer.Argument(help="What `clinbert notes strip` wrote.")],
    output: Annotated[Path, typer.Argument(help="brat folder to write.")],
    texts: Annotated[List[Path], typer.Option(help="CSV, TSV, .rda or brat folder of texts.")],
    column: Annotated[str, typer.Option(help="Column with the text.")] = "text",
) -> None:
    """Put annotations back over the texts that they were made on."""
    from .corpora.brat import write_brat
    from .corpora.layers import write_layers
    from .corpora.offsets import read_offsets, read_texts

    for path in [offsets, *texts]:
        check_path(path)
    notes = read_offsets(offsets, read_texts(texts, column))
    write_brat(notes, output)
    write_layers(notes, output)
    typer.echo(f"{len(notes)} notes: {output}", err=True)


def _read_parts(folder: Path) -> Dict[str, List[Any]]:
    from .corpora.layers import read_notes

    check_path(folder)
    found = [part for part in PARTS if (folder / part).is_dir()]
    if not found:
        raise ValueError(f"{folder} has none of the folders {', '.join(PARTS)}.")
    parts = {part: list(read_notes(folder / part)) for part in found}
    bare = [note.id for notes in parts.values() for note in notes if "layers" not in note.meta]
    if bare:
        raise ValueError(
            f"{len(bare)} notes of {folder} have no line in their notes.jsonl, the first is "
            f"{bare[0]!r}; expected document layers for every note."
        )
    return parts


def _agreement(notes: List[Any], double: List[Path]) -> List[Any]:
    from .corpora.offsets import read_offsets
    from .evaluation.agreement import compare

    if len(double) != 2:
        raise ValueError(f"--double was given {len(double)} times; expected two annotations.")
    first, second = (read_offsets(path, [note.text for note in notes]) for path in double)
    return compare(first, second)


def _agreement_cells(row: Any) -> tuple:
    value = "not defined" if row.value is None else f"{100 * row.value:.1f}"
    alike = "" if row.alike is None else f"{100 * row.alike:.1f}"
    return (row.layer, row.measure, str(row.n), value, alike)


def _markdown(header: List[str], rows: Any) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _renew(card: Path, blocks: str) -> None:
    """Replace what stands between the markers of a card."""
    from .evaluation.output import write_text

    check_path(card)
    text = card.read_text("utf8")
    if not BLOCK.search(text):
        raise ValueError(f"{card} has no lines <!-- COUNTS START --> and <!-- COUNTS END -->.")
    write_text(card, BLOCK.sub(lambda m: f"{m[1]}{blocks}{m[2]}", text))
