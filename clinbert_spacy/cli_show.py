"""What the terminal shows: tables on stdout, progress and skipped files on stderr."""

import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Tuple

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from .cli_errors import explain

SHOWN_SKIPS = 20
FILE_WIDTH = 160
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
# of trainings, where people ask how long it still takes
LONG_COLUMNS = (*COLUMNS, TimeRemainingColumn())


class Skips:
    """What could not be read or annotated: counted, and the first ones shown."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: List[str] = []

    def add(self, place: str, reason: str) -> None:
        """Note that `place` (a path, a line, a note id) is left out because of `reason`."""
        self.count += 1
        if len(self.shown) < SHOWN_SKIPS:
            self.shown.append(f"skipped {place}: {reason}")

    def passed(
        self, outcomes: Iterable[Tuple[Any, Any]], advance: Callable[[int], None]
    ) -> Iterator[Tuple[Any, Any]]:
        """Pass notes with their Docs on, count every note, and keep back those that failed."""
        for note, outcome in outcomes:
            advance(1)
            if isinstance(outcome, Exception):
                self.add(f"note {note.id!r}", explain(outcome))
            else:
                yield note, outcome

    @contextmanager
    def printed(self) -> Iterator[None]:
        """Print to stderr at the end of a block, also if it fails."""
        try:
            yield
        finally:
            for line in self.shown:
                typer.echo(line, err=True)
            if self.count > len(self.shown):
                typer.echo(f"skipped {self.count - len(self.shown)} more", err=True)


@contextmanager
def progress_bar(title: str, total: int = 0) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; counts only, never an id or a text."""
    console = Console(stderr=True)
    with Progress(*COLUMNS, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total or None)
        yield lambda n: progress.advance(task, n)


def print_table(header: List[str], rows: List[Tuple[str, ...]]) -> None:
    """Print a table to stdout: numbers right, text left; not squeezed where no terminal is."""
    table = Table(box=None, pad_edge=False, show_header=any(header))
    for number, name in enumerate(header):
        numeric = bool(rows) and _is_number(rows[0][number])
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(markup=False, highlight=False, width=width).print(table)


def print_result(result: Any) -> None:
    """Print what `evaluate` found."""
    scores = [("micro", result.f), ("macro", result.macro_f)]
    rows = [
        (row.label, str(row.n), *(f"{100 * x:.1f}" for x in (row.precision, row.recall, row.f)))
        for row in result.labels
    ]
    total = [f"{100 * x.value:.1f}" for x in (result.precision, result.recall, result.f)]
    rows.append(("all (micro)", str(result.n_mentions), *total))
    print_table(["label", "n", "P", "R", "F1"], rows)
    for name, score in scores:
        ends = f"{100 * score.low:.1f} - {100 * score.high:.1f}"
        typer.echo(f"F1 {name} {100 * score.value:.1f} (95 % interval {ends})")
    typer.echo(
        f"{result.n_notes} notes of {result.corpus}, labels: {result.scheme}, "
        f"{result.n_discontinuous} discontinuous, {result.n_left_out} not scored, "
        f"data sha256 {result.data_sha256[:16]}"
    )


def print_conversion(report: Mapping[str, Any]) -> None:
    """Print what `convert` read, mapped and skipped."""
    header = ["label", "read", "mapped to", "skipped", "in pieces", "between tokens", "why"]
    rows = [
        (
            row["label"],
            str(row["read"]),
            " | ".join(row["mapped"]),
            str(row["skipped"]),
            str(row["discontinuous"]),
            str(row["unexpressible"]),
            row["reason"],
        )
        for row in report["labels"]
    ]
    print_table(header, rows)
    share = 100 * report["unexpressible"] / max(1, report["mentions"])
    typer.echo(
        f"{report['notes']} notes, {report['mentions']} mentions ({report['unexpressible']}, "
        f"{share:.2f} %, that tokens cannot express; {report['mismatches']} refused: offsets do "
        f"not fit), {report['relations']} relations; {report['written']} notes written"
    )


def plain(value: Any) -> str:
    """A value of one line for a table."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).isdigit()
