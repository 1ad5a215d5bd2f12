"""What the terminal shows of a benchmark."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple

import typer

from .cli_show import print_table

NONE = "-"


def print_speed(speed: Mapping[str, Any]) -> None:
    """Print what `benchmark` measured; what was not asked for is not there."""
    for one in speed.get("sets", ()):
        print_set(one)
    if "accuracy" in speed:
        print_accuracy(speed["accuracy"])
    if "shape" in speed:
        shape = speed["shape"]
        typer.echo(f"\nencoder of shape {shape['shape']}, {shape['weights']}")
        for one in shape["sets"]:
            print_set(one)
    if "footprint" in speed:
        print_footprint(speed["footprint"])
    for axis, points in speed.get("curves", {}).items():
        print_curve(axis, points)
    typer.echo("\n" + machine_line(speed))


def print_set(one: Mapping[str, Any]) -> None:
    """Print one set of notes: rows, ratios, stages, components."""
    typer.echo(f"\n{set_line(one)}")
    rows = [
        (
            row["name"],
            f"{row['words_per_second']:.0f}",
            _number(row["wordpieces_per_second"], ".0f"),
            f"{row['time_ratio']:.2f}",
            row["detail"],
        )
        for row in one["rows"]
    ]
    print_table(["", "words/s", "wordpieces/s", f"time / {rows[0][0]}", ""], rows)
    for name, value in one["ratios"].items():
        if value is not None:
            typer.echo(f"{name}: {value:.2f}")
    total = one["total"] or 1.0
    stages = {name: x for name, x in one["stages"].items() if x}
    parts = [f"{name} {x:.2f} s ({100 * x / total:.0f} %)" for name, x in stages.items()]
    typer.echo(f"stages of one pass: {', '.join(parts)}")
    names = ", ".join(f"{name} {x:.2f} s" for name, x in one["components"].items())
    typer.echo(f"components: {names}")


def set_line(one: Mapping[str, Any]) -> str:
    """Name a set with its size."""
    pieces = f", {one['n_wordpieces']} wordpieces" if one["n_wordpieces"] else ""
    again = one["times_used"]
    used = f"; the notes given are used up to {again} times, they are too few" if again > 1 else ""
    return f"{one['name']}: {one['n_notes']} notes, {one['n_words']} words{pieces}{used}"


def print_accuracy(found: Mapping[str, Any]) -> None:
    """Print a grid of settings with their scores and speed."""
    parts = ", ".join(found["part"]) or "all"
    typer.echo(f"\nentities on {found['corpus']} ({parts}), {found['n_notes']} notes")
    keys = [key for key in ("precision", "window", "context") if key in found["cells"][0]]
    rows = [
        (
            *(str(cell[key]) for key in keys),
            f"{100 * cell['f']:.2f}",
            f"{100 * cell['difference']:+.2f}",
            f"{cell['words_per_second']:.0f}",
        )
        for cell in found["cells"]
    ]
    print_table([*keys, "F1 micro", "difference", "words/s"], rows)


def print_footprint(found: Mapping[str, Any]) -> None:
    """Print start and memory."""
    start = found["cold start"]
    typer.echo("\ncold start and memory, each in a fresh process")
    rows = [(name, f"{x:.2f} s") for name, x in start["seconds"].items()]
    rows.append(("until the second note", f"{start['total']:.2f} s"))
    for name in ("ordinary", "long note"):
        one = found[name]
        rows.append((f"peak, {name}", f"{one['peak_mb']} MB ({one['loaded_mb']} MB when loaded)"))
    if "stream" in found:
        points = found["stream"]["points"]
        shown = ", ".join(f"{point['resident_mb']:.0f}" for point in points)
        rows.append((f"stream of {points[-1]['notes']} notes", f"{shown} MB"))
        rows.append(("growth, 2nd to last tenth", f"{found['stream']['growth_mb']:.1f} MB"))
    print_table(["", ""], rows)


def print_curve(axis: str, points: Sequence[Mapping[str, Any]]) -> None:
    """Print words a second against length of notes or size of batches."""
    names = [name for name in ("pipeline", "stock") if name in points[0]]
    rows: List[Tuple[str, ...]] = [
        (str(point[axis]), *(f"{point[name]:.0f}" for name in names)) for point in points
    ]
    typer.echo("")
    print_table([axis.replace("_", " "), *(f"{name}, words/s" for name in names)], rows)


def machine_line(speed: Mapping[str, Any]) -> str:
    """On what and with what was measured."""
    parts = [f"{speed['threads']} threads, {speed['dtype']}, {speed['device']}", speed["machine"]]
    parts.append(", ".join(f"{name} {version}" for name, version in speed["versions"].items()))
    if "sets" in speed:
        parts.insert(0, f"median of {speed['n_rounds']}, {speed['batch_size']} notes a batch")
        parts.append(f"peak {speed['peak_mb']} MB")
        parts.append(f"weights of the stock pipeline: {speed['stock_weights']}")
    return "; ".join(parts)


def _number(value: Optional[float], form: str) -> str:
    return NONE if value is None else format(value, form)
