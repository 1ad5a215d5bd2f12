"""Losses over training, drawn."""

import json
from pathlib import Path
from typing import Any, Dict, List


def draw_losses(log: Path, output: Path) -> Path:
    """Draw each loss of a pretraining's log against the wordpieces seen.

    log (Path): `log.jsonl` of a run.
    output (Path): A picture; the suffix tells the format.
    RETURNS (Path): `output`.
    RAISES (ImportError): matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in log.read_text("utf8").splitlines() if line]
    names = sorted({name for row in rows for name in row["train"]} - {"loss"})
    figure = Figure(figsize=(4 * min(3, len(names)), 3 * -(-len(names) // 3)), layout="constrained")
    axes = figure.subplots(-(-len(names) // 3), min(3, len(names)), squeeze=False).ravel()
    for axis, name in zip(axes, names):
        for part, style in (("train", "-"), ("held_out", "--")):
            points = _points(rows, part, name)
            if points:
                axis.plot(*zip(*points), style, marker=".", label=part.replace("_", " "))
        axis.set_title(name.replace("_", " "))
        axis.set_xlabel("million wordpieces")
        axis.legend(frameon=False)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    figure.savefig(output, dpi=110)
    return output


def _points(rows: List[Dict[str, Any]], part: str, name: str) -> List[tuple]:
    return [(row["pieces"] / 1e6, row[part][name]) for row in rows if name in row.get(part, {})]
