"""`clinbert ablate`: rows of changes times sets of data times seeds, trained, scored, tabulated."""

import json
import signal
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, Iterator, List, Optional, Sequence

import typer
from rich.console import Console
from rich.progress import Progress

from .cli_args import check_choice, command_line, read_mapping
from .cli_show import LONG_COLUMNS, print_table

RESULTS = "cells.jsonl"
# a cell takes minutes, and the time left is to be guessed from all of them
WINDOW = 1e9


def ablate(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Rows, sets, seeds; --vars.NAME VALUE fills in.")],
    output: Annotated[Path, typer.Option(help="Folder for results and tables.")] = Path(
        "metrics/ablation"
    ),
    work: Annotated[Path, typer.Option(help="Folder to train in.")] = Path("training/ablation"),
    rows: Annotated[Optional[List[str]], typer.Option(help="These rows alone. Repeat it.")] = None,
    sets: Annotated[Optional[List[str]], typer.Option(help="These sets alone. Repeat it.")] = None,
    seeds: Annotated[Optional[List[int]], typer.Option(help="These seeds alone.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Cells at a time, a process each.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
    gpu_id: Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")] = -1,
    plot: Annotated[
        Optional[Path], typer.Option(help="Draw the changes (.svg, .png; needs the extra plot).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells, run none.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the folders of trainings.")] = False,
) -> None:
    """Fill an ablation table cell by cell; run again, it goes on where it was interrupted."""
    from .training.ablation import make_cells, read_plan
    from .training.ablation_encoders import find_needed
    from .training.ablation_run import Runner, read_results

    plan = read_plan(read_mapping(config), read_variables(context.args))
    _check_plot(plot)
    cells, done = make_cells(plan, work), read_results(output / RESULTS)
    chosen = choose(cells, rows, sets, seeds)
    if dry_run:
        _print_cells(chosen, done)
        return
    left = find_left(chosen, done)
    # one encoder at a time, with the threads of all cells
    failed = _pretrain(Runner(work, threads * parallel, gpu_id), left)
    ready = [cell for cell in left if not find_needed([cell])]
    runner = Runner(work, threads, gpu_id)
    failed += _fill(runner, ready, done, output / RESULTS, parallel, keep)
    table = make_table(plan, cells, done)
    if table.lines:
        _show(table, output, plot)
    if failed:
        raise ValueError(f"{len(failed)} trainings failed. The first: {failed[0]}")


def read_variables(words: Sequence[str]) -> Dict[str, str]:
    """Read `--vars.NAME VALUE`.

    words (Sequence[str]): what the command line held beside the known options.
    RETURNS (Dict[str, str]): values by name.
    RAISES (ValueError): another option, or one without a value.
    """
    found: Dict[str, str] = {}
    rest = list(words)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not option.startswith("--vars.") or not (equals or rest):
            raise ValueError(f"Cannot use {option!r} here; expected --vars.NAME VALUE.")
        found[option.removeprefix("--vars.")] = value if equals else rest.pop(0)
    return found


def choose(
    cells: Sequence[Any],
    rows: Optional[List[str]],
    sets: Optional[List[str]],
    seeds: Optional[List[int]],
) -> List[Any]:
    """Cells of some rows, sets and seeds.

    cells (Sequence[Cell]): all. rows, sets, seeds (Optional[List]): which; None or none: all.
    RETURNS (List[Cell]): the chosen ones, in order.
    RAISES (ValueError): a name or number that no cell has.
    """
    wanted = {"row": rows, "set": sets, "seed": seeds}
    for name, values in wanted.items():
        known = list(dict.fromkeys(str(getattr(cell, name)) for cell in cells))
        for value in values or ():
            check_choice(f"--{name}s", str(value), known)
    return [
        cell
        for cell in cells
        if all(not values or getattr(cell, name) in values for name, values in wanted.items())
    ]


def make_table(plan: Any, cells: Sequence[Any], done: Dict[str, Any]) -> Any:
    """Bring the results of the cells together that are done.

    plan (Plan): the plan. cells (Sequence[Cell]): its cells. done (Dict): records by key.
    RETURNS (Table): see evaluation.ablation.
    """
    from .evaluation.ablation import tabulate

    own = {f"{key} on {name}": value for name, data in plan.sets.items()
           for key, value in data.budget.items()}  # fmt: skip
    results = {(x.row, x.set, x.seed): done[x.key]["result"] for x in cells if x.key in done}
    return tabulate(
        results,
        [row.name for row in plan.rows],
        {name: data.metrics for name, data in plan.sets.items()},
        {row.name: row.note for row in plan.rows},
        {**plan.budget, **own},
    )


def _check_plot(plot: Optional[Path]) -> None:
    if plot and find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib: install the extra `plot`, or leave it out.")


def _print_cells(cells: Sequence[Any], done: Dict[str, Any]) -> None:
    from .training.ablation_encoders import find_needed

    left = find_left(cells, done)
    encoders = find_needed(left)
    for encoder in encoders:
        typer.echo(f"encoder {encoder.name} to make: {encoder.folder}")
    first: Dict[str, str] = {}
    rows = []
    for cell in cells:
        same = first.setdefault(cell.key, cell.row)
        state = "done" if cell.key in done else "to do" if same == cell.row else f"as {same}"
        rows.append((str(cell.seed), cell.set, cell.row, cell.key, state))
    print_table(["seed", "set", "row", "key", ""], rows)
    typer.echo(f"{len(cells)} cells, {len(left)} trainings and {len(encoders)} encoders to do.")


def find_left(cells: Sequence[Any], done: Dict[str, Any]) -> List[Any]:
    """Cells to run: two rows may be the same config, e.g. where a row changes nothing on a set.

    cells (Sequence[Cell]): the cells. done (Dict): records by key.
    RETURNS (List[Cell]): no key twice, none that is done.
    """
    first: Dict[str, Any] = {}
    for cell in cells:
        first.setdefault(cell.key, cell)
    return [cell for key, cell in first.items() if key not in done]


def _pretrain(runner: Any, cells: Sequence[Any]) -> List[str]:
    """Make the encoders that cells need. RETURNS: why some could not be made."""
    from .training.ablation_encoders import find_needed

    failed: List[str] = []
    needed = find_needed(cells)
    with _stoppable(runner), _bar("encoders", len(needed)) as tell:
        for encoder in needed:
            try:
                runner.pretrain(encoder)
                tell(f"encoder {encoder.name}: {encoder.model}")
            except ValueError as error:
                failed.append(str(error))
                tell(f"failed: {error}")
    return failed


def _fill(
    runner: Any, cells: Sequence[Any], done: Dict[str, Any], path: Path, parallel: int, keep: bool
) -> List[str]:
    """Run cells, and put them into `done`. RETURNS: why cells failed."""
    from .training.ablation_run import append_result

    failed: List[str] = []
    with _stoppable(runner), _bar("cells", len(cells)) as tell:
        for cell, record, error in runner.run_all(cells, parallel):
            if record is None:
                failed.append(error)
                tell(f"failed: {error}")
                continue
            append_result(path, record)
            done[cell.key] = record
            if not keep:
                runner.clean(cell)
            tell(f"{cell.name}: {_scores(record['result'])} ({record['seconds']} s)")
    return failed


def _scores(result: Dict[str, Any]) -> str:
    from .evaluation.ablation import TITLES, percent

    names = [key for key in TITLES if key in result]
    return ", ".join(f"{TITLES[key]} {percent(result[key]['value'])}" for key in names)


@contextmanager
def _stoppable(runner: Any) -> Iterator[None]:
    """Let a request to end stop the processes, as an interruption does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        runner.stop()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar over trainings on stderr, with the time left; tells a line for each."""
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    with Progress(*LONG_COLUMNS, console=console, speed_estimate_period=WINDOW) as progress:
        task = progress.add_task(title, total=total)

        def tell(line: str) -> None:
            progress.advance(task)
            typer.echo(line, err=True)

        yield tell


def _show(table: Any, output: Path, plot: Optional[Path]) -> None:
    from .evaluation.ablation import cells_of, changes_of, plot_changes, to_markdown
    from .evaluation.output import write_text

    for header, rows in (cells_of(table), changes_of(table)):
        if rows:
            print_table(header, rows)
            typer.echo("")
    for row, note in table.notes.items():
        typer.echo(f"{row}: {note}")
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "table.md", to_markdown(table, command_line()))
    record = {"command": command_line(), **table.to_dict()}
    write_text(output / "table.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if plot:
        plot_changes(table, plot)
