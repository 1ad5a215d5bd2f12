"""`clinbert side-effects`: what drugs did, over many notes, as one table."""

from collections import Counter, defaultdict
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, Mapping, Optional, Sequence

import typer
from spacy.language import Language
from spacy.tokens import Doc

from .attributes import FOUND, NO_DRUG, NONE_FOUND, NOT_RUN
from .cli_args import check_encoding, load_pipeline, require_one
from .cli_show import Skips, print_table, progress_bar
from .interop import known_effects as label
from .interop import side_effect_rows as tables

COMPONENT = "clinbert_side_effects"
SHOWN_DRUGS = 20
PICTURES = (".png", ".svg", ".pdf")


class Tally:
    """What the terminal and the plot show of many notes."""

    def __init__(self) -> None:
        self.notes: Counter = Counter()
        self.marks: Counter = Counter()
        self.drugs: Dict[str, Counter] = defaultdict(Counter)
        self.current: Counter = Counter()
        self.not_mentioned = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count the rows of a note; drugs are compared in lower case."""
        self.notes[rows[0]["status"]] += 1
        for row in rows:
            category = tables.say_category(row)
            if category is not None:
                drug = " ".join(row["drug"].lower().split())
                self.drugs[drug][category] += 1
                self.current[drug] += row["current_reaction"]
                self.marks[row.get("known")] += 1

    @property
    def n_pairs(self) -> int:
        """RETURNS (int): Pairs of a drug and an effect."""
        return self.marks.total()


def side_effects(
    inputs: Annotated[List[Path], typer.Argument(help="Text files, folders, JSONL or CSV files.")],
    output: Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.")],
    pipeline: Annotated[str, typer.Option(help="Installed pipeline or folder.")] = "en_clinbert",
    plot: Annotated[Optional[Path], typer.Option(help="Draw bars by drug here as well.")] = None,
    known: Annotated[
        Optional[Path],
        typer.Option(help="Your table of known effects: CSV with the columns drug and effect."),
    ] = None,
    text_column: Annotated[str, typer.Option(help="JSONL key or CSV column: text.")] = "text",
    id_column: Annotated[str, typer.Option(help="JSONL key or CSV column: id.")] = "id",
    encoding: Annotated[str, typer.Option(help="Encoding of the input files.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(min=1, help="Notes a batch.")] = 32,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
) -> None:
    """List side effects of drugs in notes, one line a pair; a note without one has a line too."""
    from .cli_annotate import stream_docs
    from .cli_notes import ReadOptions, count_notes, list_files, read_notes

    beside = output.with_suffix(".not_mentioned.csv")
    check_outputs(output, beside if known else None, plot, known)
    table = label.read_known_effects(known) if known else None
    options = ReadOptions(text_column, id_column, check_encoding(encoding))
    nlp, skips = load_pipeline(pipeline, gpu_id), Skips()
    check_component(nlp, pipeline)
    files = list_files(inputs, skips.add, [output, beside, plot, known])
    notes = read_notes(files, options, skips.add)
    with skips.printed(), progress_bar("side effects", count_notes(files)) as advance:
        outcomes = skips.passed(stream_docs(nlp, notes, batch_size), advance)
        tally = write_tables(require_one(outcomes, output), output, table, beside)
    if plot:
        draw(tally, plot)
    print_tally(tally)
    if known:
        print_known(tally, beside)
    typer.echo(f"{tally.notes.total()} notes read, {skips.count} skipped: {output}", err=True)


def check_outputs(
    output: Path, beside: Optional[Path], plot: Optional[Path], known: Optional[Path]
) -> None:
    """Check, before anything is read, that all files can be written.

    output (Path): the table. beside (Optional[Path]): effects that notes do not mention.
    plot (Optional[Path]): the picture. known (Optional[Path]): the user's table, which stays.
    RAISES (ValueError): a suffix, a folder, a name that is used twice, or no matplotlib.
    """
    tables.check_suffix(output)
    if plot and plot.suffix not in PICTURES:
        raise ValueError(f"--plot is {plot}; expected a name in {', '.join(PICTURES)}.")
    if plot and find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib: install the extra `plot`, or leave it out.")
    paths = [path for path in (output, beside, plot, known) if path]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"Two files have one name among {', '.join(map(str, paths))}.")
    for path in paths:
        if path.is_dir() or not path.parent.is_dir():
            raise ValueError(f"Cannot use {path}: expected a file in a folder that is there.")


def check_component(nlp: Language, pipeline: str) -> None:
    """Check that a pipeline looks for side effects.

    nlp (Language): the pipeline. pipeline (str): its name, for the message.
    RAISES (ValueError): `clinbert_side_effects` is missing or disabled.
    """
    names = {*nlp.pipe_names, *(nlp.get_pipe_meta(name).factory for name in nlp.pipe_names)}
    if COMPONENT not in names:
        found = ", ".join(nlp.pipe_names) or "none"
        raise ValueError(
            f"{pipeline} has no component {COMPONENT!r} (it runs: {found}). Name with --pipeline "
            "one that has it; without it, no output would say anything about side effects."
        )


def write_tables(
    outcomes: Iterable[Any], output: Path, known: Optional[label.KnownEffects], beside: Path
) -> Tally:
    """Write the rows of notes as they come.

    outcomes (Iterable[Tuple[Note, Doc]]): annotated notes. output (Path): the table.
    known (Optional[KnownEffects]): the user's table. beside (Path): where effects go that it
        knows of a note's drugs and that the note does not mention.
    RETURNS (Tally): counts.
    """
    tally = Tally()
    with ExitStack() as stack:
        write = stack.enter_context(
            tables.table_writer(output, tables.columns_of(known is not None))
        )
        if known is not None:
            write_beside = stack.enter_context(tables.table_writer(beside, label.NOT_MENTIONED))
        doc: Doc
        for note, doc in outcomes:
            marks = label.mark_pairs(known, doc) if known is not None else None
            rows = tables.side_effect_rows(note.id, doc, marks)
            tally.add(rows)
            write(rows)
            if known is not None:
                left = label.not_mentioned_rows(note.id, known, doc)
                tally.not_mentioned += len(left)
                write_beside(left)
    return tally


def draw(tally: Tally, plot: Path) -> None:
    """Draw the bars, with the intended use below."""
    from .evaluation.report import INTENDED_USE

    tables.draw_by_drug(tally.drugs, plot, INTENDED_USE)


def print_tally(tally: Tally) -> None:
    """Print notes by status, current reactions by drug, and what the table is for."""
    from .evaluation.report import INTENDED_USE

    known = (FOUND, NONE_FOUND, NO_DRUG, NOT_RUN)
    others = sorted(set(tally.notes) - set(known))
    print_table(
        ["status", "notes"],
        [(name, str(tally.notes[name])) for name in (*known, *others) if tally.notes[name]],
    )
    typer.echo(f"{tally.n_pairs} pairs, {tally.current.total()} of them current reactions.")
    drugs = sorted(tally.drugs, key=lambda drug: (-tally.current[drug], drug))
    rows = [
        (drug, str(tally.current[drug]), str(tally.drugs[drug].total()))
        for drug in drugs[:SHOWN_DRUGS]
    ]
    if rows:
        print_table(["drug", "current reactions", "all pairs"], rows)
    if len(drugs) > SHOWN_DRUGS:
        typer.echo(f"{len(drugs) - SHOWN_DRUGS} more drugs are in the table.")
    typer.echo(f"Intended use: {INTENDED_USE}")


def print_known(tally: Tally, beside: Path) -> None:
    """Print how many pairs the user's table knows, and where its other effects went."""
    counts = ", ".join(
        f"{tally.marks[x]} {x}" for x in (label.KNOWN, label.UNEXPECTED, label.NOT_LISTED)
    )
    typer.echo(
        f"Pairs beside your table: {counts}. Known effects of the notes' drugs that the notes do "
        f"not mention, which are no findings: {tally.not_mentioned} in {beside}"
    )
