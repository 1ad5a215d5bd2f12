"""The part of the HTML report that shows a classification of documents."""

from math import log1p
from typing import Any, Dict, List, Mapping, Tuple

from .report import render

# Width and height of a diagram; and of the bars of counts under it.
SIDE, BARS = 220, 40
RANKED = {"auroc": "AUROC", "auprc": "AUPRC", "rp80": "Recall at precision 80 %"}


def render_documents(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Show scores, classes, reliability and what is gained by leaving decisions open.

    rows (Mapping[str, Mapping]): name to what `score_documents` and `describe` say, the row of most
        interest first.
    RETURNS (str): markup for `write_report`.
    """
    first = next(iter(rows.values()))
    measures = {"f": "F1, micro", "macro_f": "F1, macro over classes"}
    measures |= {name: title for name, title in RANKED.items() if name in first}
    return render(
        "documents.html",
        rows=rows,
        first=first,
        measures=measures,
        classes=list(zip(*(row["labels"] for row in rows.values()))),
        diagrams={name: draw_bins(row["reliability"]) for name, row in rows.items()},
        side=SIDE,
        bars=BARS,
        abstentions={name: row["abstention"] for name, row in rows.items() if "abstention" in row},
    )


def draw_bins(bins: List[Dict[str, float]]) -> List[Dict[str, Any]]:
    """Place bins in a diagram of SIDE pixels, with a bar of their counts under it.

    bins (List[Dict]): see `reliability.bin_values`.
    RETURNS (List[Dict]): the bins, with "x" and "y" of the point, "left" and "width" of the bar,
        "height" by the logarithm of n: most pairs of document and class lie in the first bin.
    """
    most = max((row["n"] for row in bins), default=1)
    return [{**row, **_place(row, most)} for row in bins]


def _place(row: Mapping[str, float], most: float) -> Dict[str, float]:
    x, y = _point(row["mean"], row["share"])
    left, right = (round(SIDE * row[end], 1) for end in ("low", "high"))
    height = round(BARS * log1p(row["n"]) / log1p(most), 1)
    return {"x": x, "y": y, "left": left, "width": round(right - left - 1, 1), "height": height}


def _point(mean: float, share: float) -> Tuple[float, float]:
    return round(SIDE * mean, 1), round(SIDE * (1 - share), 1)
