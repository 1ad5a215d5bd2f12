"""What the rows of an ablation changed: means over seeds, paired differences, a picture."""

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

SAME = ("corpus", "scheme", "protocol", "data_sha256")
BESIDE = "beside"
TITLES = {
    "f": "F1", "average_precision": "AP", "macro_f": "F1 macro", "entities_f": "entities F1",
    "spert_f": "F1, SpERT", "spert_macro_f": "F1 macro, SpERT", "precision_at_95": "P at R 95",
}  # fmt: skip
# row, set, seed
Place = Tuple[str, str, int]


@dataclass(frozen=True)
class Line:
    """A row on a set under a metric. Scores are between 0 and 1.

    values (Mapping[int, float]): by seed. mean (float), sd (Optional[float]): over the seeds; no
    sd with one seed alone. low (Optional[float]), high (Optional[float]): ends of the 95 %
    intervals over documents, each the mean over the seeds. deltas (Mapping[int, float]):
    difference to the first row with the same seed. delta (Optional[float]), delta_sd
    (Optional[float]): their mean and sd; none where the two rows share no seed.
    """

    set: str
    metric: str
    row: str
    values: Mapping[int, float]
    mean: float
    sd: Optional[float]
    low: Optional[float]
    high: Optional[float]
    deltas: Mapping[int, float]
    delta: Optional[float]
    delta_sd: Optional[float]


@dataclass(frozen=True)
class Table:
    """A whole ablation.

    rows (Sequence[str]): names, the first is the one compared with. metrics (Mapping): scores by
    set, the most important one first. lines (Sequence[Line]): one where there is a result.
    notes (Mapping[str, str]): by row. budget (Mapping[str, Any]): what is the same for all.
    """

    rows: Sequence[str]
    metrics: Mapping[str, Sequence[str]]
    lines: Sequence[Line]
    notes: Mapping[str, str]
    budget: Mapping[str, Any]

    def line(self, name: str, metric: str, row: str) -> Optional[Line]:
        """A line of a set, None if there is no result yet."""
        places = {(line.set, line.metric, line.row): line for line in self.lines}
        return places.get((name, metric, row))

    def mean_delta(self, row: str) -> Optional[float]:
        """Mean difference over the sets, by their first metric; None if one is missing."""
        lines = [self.line(name, metrics[0], row) for name, metrics in self.metrics.items()]
        deltas = [line.delta for line in lines if line and line.delta is not None]
        return statistics.fmean(deltas) if lines and len(deltas) == len(lines) else None

    def to_dict(self) -> Dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers."""
        means = {row: self.mean_delta(row) for row in self.rows}
        return {**asdict(self), "lines": [asdict(x) for x in self.lines], "mean_deltas": means}


def tabulate(
    results: Mapping[Place, Mapping[str, Any]],
    rows: Sequence[str],
    metrics: Mapping[str, Sequence[str]],
    notes: Mapping[str, str] = {},  # noqa: B006 (read only)
    budget: Mapping[str, Any] = {},  # noqa: B006
) -> Table:
    """Bring the results of cells together.

    results (Mapping[Place, Mapping[str, Any]]): by row, set and seed what `evaluate --output`
        wrote. A "beside" in it, e.g. a baseline, gets a row of its own.
    rows (Sequence[str]): names in order, the first is the one compared with.
    metrics (Mapping[str, Sequence[str]]): scores by set. notes (Mapping[str, str]): by row.
    budget (Mapping[str, Any]): what is the same for all, for the record.
    RETURNS (Table): the table; cells without a result are left out.
    RAISES (ValueError): two rows were scored on other data with one seed, or a score is missing.
    """
    check_comparable(results)
    lines: List[Line] = []
    for name, wanted in metrics.items():
        for metric in wanted:
            found = {row: _values(results, row, name, metric) for row in rows}
            base = {seed: score["value"] for seed, score in found[rows[0]].items()}
            lines += [_line(name, metric, row, found[row], base) for row in rows if found[row]]
            for row, scores in _beside(results, name, metric).items():
                lines.append(_line(name, metric, row, scores, {}))
    used = {row: note for row, note in notes.items() if note and row in rows}
    return Table(list(rows), dict(metrics), lines, used, dict(budget))


def check_comparable(results: Mapping[Place, Mapping[str, Any]]) -> None:
    """Raise if two rows of a set were scored on other data or otherwise with the same seed."""
    first: Dict[Tuple[str, int], Tuple[str, Mapping[str, Any]]] = {}
    for (row, name, seed), result in results.items():
        other, base = first.setdefault((name, seed), (row, result))
        if differ := [key for key in SAME if result.get(key) != base.get(key)]:
            raise ValueError(
                f"Rows {other!r} and {row!r} of {name}, seed {seed}, differ in "
                f"{', '.join(differ)}: expected the same data and protocol. Take the lines of one "
                "of them out of the results, and run again."
            )


def _values(
    results: Mapping[Place, Mapping[str, Any]], row: str, name: str, metric: str
) -> Dict[int, Mapping[str, float]]:
    found = {seed: x for (r, s, seed), x in sorted(results.items()) if (r, s) == (row, name)}
    for seed, result in found.items():
        if not isinstance(result.get(metric), Mapping):
            raise ValueError(
                f"The result of {name} | {row} | seed {seed} has no score {metric!r}. Put one that "
                f"it has into `metrics` of the set, e.g. {sorted(scores_in(result))}."
            )
    return {seed: result[metric] for seed, result in found.items()}


def scores_in(result: Mapping[str, Any]) -> List[str]:
    """Names of the scores of a result."""
    return [key for key, x in result.items() if isinstance(x, Mapping) and "value" in x]


def _beside(
    results: Mapping[Place, Mapping[str, Any]], name: str, metric: str
) -> Dict[str, Dict[int, Mapping[str, float]]]:
    rows: Dict[str, Dict[int, Mapping[str, float]]] = {}
    for (_, set_, seed), result in sorted(results.items()):
        for row, scores in result.get(BESIDE, {}).items() if set_ == name else ():
            if metric in scores:
                rows.setdefault(row, {}).setdefault(seed, scores[metric])
    return rows


def _line(
    name: str, metric: str, row: str, scores: Mapping[int, Mapping[str, float]],
    base: Mapping[int, float],
) -> Line:  # fmt: skip
    values = {seed: score["value"] for seed, score in scores.items()}
    deltas = {seed: value - base[seed] for seed, value in values.items() if seed in base}
    ends = [_mean([x[key] for x in scores.values() if key in x]) for key in ("low", "high")]
    return Line(
        name, metric, row, values, statistics.fmean(values.values()), _sd(values.values()),
        ends[0], ends[1], deltas, _mean(deltas.values()), _sd(deltas.values()),
    )  # fmt: skip


def _mean(values: Iterable[float]) -> Optional[float]:
    numbers = list(values)
    return statistics.fmean(numbers) if numbers else None


def _sd(values: Iterable[float]) -> Optional[float]:
    numbers = list(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def cells_of(table: Table) -> Tuple[List[str], List[Tuple[str, ...]]]:
    """The table as text, in percent.

    table (Table): a table.
    RETURNS (Tuple): header and rows; the first row of each set has no difference.
    """
    header = ["set", "row", "seeds", "score", "mean", "sd", "95 % interval", "change", "sd"]
    return header, [_cells(line, line.row == table.rows[0]) for line in table.lines]


def _cells(line: Line, is_first: bool) -> Tuple[str, ...]:
    interval = "" if line.low is None else f"{percent(line.low)} - {percent(line.high)}"
    change = ("", "") if is_first else (percent(line.delta, "+"), percent(line.delta_sd))
    return (
        line.set, line.row, str(len(line.values)), TITLES.get(line.metric, line.metric),
        percent(line.mean), percent(line.sd), interval, *change,
    )  # fmt: skip


def percent(value: Optional[float], sign: str = "") -> str:
    """A share in percent with one decimal, empty for None. sign (str): "+" shows it always."""
    return "" if value is None else f"{100 * value:{sign}.1f}"


def changes_of(table: Table) -> Tuple[List[str], List[Tuple[str, ...]]]:
    """Every row's change of the first metric of each set, and their mean.

    table (Table): a table.
    RETURNS (Tuple): header and rows: points of percent with the standard deviation in brackets.
    """
    rows = []
    for row in table.rows[1:]:
        lines = [table.line(name, metrics[0], row) for name, metrics in table.metrics.items()]
        rows.append((row, *map(_change, lines), percent(table.mean_delta(row), "+")))
    return ["row", *table.metrics, "mean"], rows


def _change(line: Optional[Line]) -> str:
    if line is None or line.delta is None:
        return ""
    spread = "" if line.delta_sd is None else f" ({percent(line.delta_sd)})"
    return percent(line.delta, "+") + spread


def to_markdown(table: Table, command: str = "") -> str:
    """Write a table for people.

    table (Table): a table. command (str): what made it.
    RETURNS (str): Markdown: scores, changes, what they mean, the notes of the rows.
    """
    budget = ", ".join(f"{key} = {value}" for key, value in table.budget.items()) or "as configured"
    text = [
        "Scores in percent, mean and standard deviation over the seeds. Intervals: 95 % bootstrap "
        "over documents, mean of their ends over the seeds. Changes: difference to "
        f"“{table.rows[0]}” with the same seed, in points; a row's spread over seeds is that of "
        f"its differences. Budget of every cell: {budget}.",
        *map(_markdown, (cells_of(table), changes_of(table))),
        "\n".join(f"- **{row}**: {note}" for row, note in table.notes.items()),
        f"Made by `{command}`." if command else "",
    ]
    return "\n\n".join(part.rstrip("\n") for part in text if part) + "\n"


def _markdown(table: Tuple[List[str], List[Tuple[str, ...]]]) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) if rows else ""


def plot_changes(table: Table, path: Union[str, Path]) -> None:
    """Draw the changes: a panel a set, a line a row, a dot a seed, a bar at the mean.

    table (Table): a table. path (Union[str, Path]): the picture; its suffix tells the format.
    RAISES (ImportError): matplotlib is not installed (extra `plot`).
    """
    from matplotlib.figure import Figure

    names, rows = list(table.metrics), list(table.rows[1:])
    height = 1.2 + 0.4 * len(rows)
    figure = Figure(figsize=(1.8 + 2.6 * len(names), height), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        metric = table.metrics[name][0]
        panel.axvline(0, color="0.6", linewidth=1)
        for place, row in enumerate(rows):
            line = table.line(name, metric, row)
            if line and line.delta is not None:
                points = [100 * delta for delta in line.deltas.values()]
                panel.plot(points, [place] * len(points), "o", color="tab:blue", alpha=0.6)
                panel.plot([100 * line.delta], [place], "|", color="black", markersize=14)
        panel.set_title(f"{name}, {TITLES.get(metric, metric)}")
        panel.set_xlabel("change, points")
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.savefig(path, dpi=150)
