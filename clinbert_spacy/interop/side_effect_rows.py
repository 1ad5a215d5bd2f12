"""Side effects of many notes as one table, CSV, TSV or Parquet, and as bars by drug."""

import csv
import os
from contextlib import contextmanager
from pathlib import Path
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Union,
)

from spacy.tokens import Doc

from ..attributes import LISTED, SideEffect, side_effects, side_effects_status

Row = Dict[str, Any]
Write = Callable[[Iterable[Row]], None]
Columns = Mapping[str, type]

COLUMNS: Dict[str, type] = {
    "note_id": str, "drug": str, "drug_start": int, "drug_end": int, "effect": str,
    "effect_start": int, "effect_end": int, "current_reaction": bool, "assertion": str,
    "causality": str, "kind": str, "drug_status": str, "score": float, "sentence_start": int,
    "sentence_end": int, "sentence": str, "known": str, "status": str,
}  # fmt: skip
ROWS_PER_BATCH = 1024
DIGITS = 4
CURRENT, POSSIBLE_CAUSE = "current reaction", "current, cause possible"
ALLERGY = "allergy, intolerance"
COLOURS = {
    CURRENT: "#b42318", POSSIBLE_CAUSE: "#f2a07b", "possible": "#f3d38a",
    "conditional": "#d8cf9a", "hypothetical": "#c9b8dd", "historical": "#9aa9c7",
    "family": "#7fb0b5", "absent": "#b9c0c8", "denied": "#8a939c", ALLERGY: "#5a7d5a",
}  # fmt: skip
SHOWN_DRUGS, NAME_LENGTH = 20, 40


def columns_of(with_known: bool) -> Dict[str, type]:
    """List the columns of the table. RETURNS (Dict[str, type]): `known` among them or not."""
    return {name: kind for name, kind in COLUMNS.items() if with_known or name != "known"}


def side_effect_rows(note_id: str, doc: Doc, marks: Optional[Sequence[str]] = None) -> List[Row]:
    """Turn a note into rows, one a pair of drug and effect.

    note_id (str): Name of the note.
    doc (Doc): A note that `clinbert_side_effects` has read.
    marks (Optional[Sequence[str]]): For each of `doc._.clinbert_side_effects` whether it is known,
        as `known_effects.mark_pairs` says; None: no such column.
    RETURNS (List[Row]): Values by `columns_of`; offsets are characters of the note, those of
        `effect` without the value that a test's text is given with, those of `sentence` from the
        first to the last sentence that carries the pair. A note without a pair has one row, which
        holds its status alone: an empty list is never silence.
    """
    columns = columns_of(marks is not None)
    about = {"note_id": _plain(note_id), "status": side_effects_status(doc)}
    effects = side_effects(doc)
    if not effects:
        return [{**dict.fromkeys(columns), **about}]
    rows = [{**dict.fromkeys(columns), **about, **_row(effect)} for effect in effects]
    if marks is not None:
        for row, mark in zip(rows, marks, strict=True):
            row["known"] = mark
    return rows


def _plain(text: str) -> str:
    """A name out of JSON may hold a lone surrogate, which UTF-8 cannot."""
    return text.encode("utf8", "replace").decode("utf8")


def _row(pair: SideEffect) -> Row:
    value = f" {pair.value.text}" if pair.value is not None else ""
    return {
        "drug": pair.drug.text,
        "drug_start": pair.drug.start_char,
        "drug_end": pair.drug.end_char,
        "effect": pair.effect.text + value,
        "effect_start": pair.effect.start_char,
        "effect_end": pair.effect.end_char,
        "current_reaction": pair.is_current_reaction,
        "assertion": pair.assertion,
        "causality": pair.causality,
        "kind": pair.kind,
        "drug_status": pair.drug_status,
        "score": round(float(pair.score), DIGITS),
        **_sentence(pair),
    }


def _sentence(pair: SideEffect) -> Row:
    if not pair.evidence:
        return {}
    start, end = pair.evidence[0].start_char, pair.evidence[-1].end_char
    return {
        "sentence_start": start,
        "sentence_end": end,
        "sentence": pair.drug.doc.text[start:end],
    }


def say_category(row: Row) -> Optional[str]:
    """Choose the bar's part that a pair belongs to.

    row (Row): Of `side_effect_rows`.
    RETURNS (Optional[str]): A key of COLOURS; None for a row without a pair.
    """
    if row["drug"] is None:
        return None
    if row["current_reaction"]:
        return POSSIBLE_CAUSE if row["causality"] == "possible" else CURRENT
    if row["kind"] in LISTED or row["drug_status"] == "allergy":
        return ALLERGY
    return "denied" if row["causality"] == "denied" else str(row["assertion"])


@contextmanager
def table_writer(path: Union[str, Path], columns: Columns) -> Iterator[Write]:
    """Open a table; the file appears only once the block has ended without an error.

    path (Union[str, Path]): `.csv`, `.tsv` (UTF-8, a line of names first) or `.parquet`.
    columns (Columns): Names and types of the columns.
    RETURNS (Iterator[Write]): Takes rows, as often as wanted.
    RAISES (ValueError): The suffix is unknown.
    """
    path = Path(path)
    check_suffix(path)
    unfinished = path.with_name(f"{path.stem}.unfinished{path.suffix}")
    try:
        with WRITERS[path.suffix](unfinished, columns) as write:
            yield write
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_suffix(path: Path) -> None:
    """Check that a table can be written. RAISES (ValueError): the suffix is unknown."""
    if path.suffix not in WRITERS:
        raise ValueError(
            f"Cannot write a table to '{path.name}': expected a name that ends in one of "
            f"{', '.join(WRITERS)}. Rename the output file."
        )


@contextmanager
def _csv_writer(path: Path, columns: Columns) -> Iterator[Write]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with path.open("w", encoding="utf8", newline="") as file_:
        writer = csv.DictWriter(file_, list(columns), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _parquet_writer(path: Path, columns: Columns) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
    kinds[bool] = pyarrow.bool_()
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    waiting: List[Row] = []
    with parquet.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(rows: Iterable[Row]) -> None:
            waiting.extend(rows)
            if len(waiting) >= ROWS_PER_BATCH:
                flush()

        yield write
        flush()


WRITERS: Dict[str, Callable[[Path, Columns], ContextManager[Write]]] = {
    ".csv": _csv_writer,
    ".tsv": _csv_writer,
    ".parquet": _parquet_writer,
}


def draw_by_drug(counts: Mapping[str, Mapping[str, int]], path: Path, footer: str) -> None:
    """Draw a bar a drug, in parts by what the notes say of its effects.

    counts (Mapping[str, Mapping[str, int]]): Pairs by drug and category, see `say_category`.
    path (Path): A picture; the suffix tells the format. footer (str): A sentence below.
    RAISES (ImportError): matplotlib is not installed (extra `plot`).
    """
    from matplotlib.figure import Figure

    drugs = sorted(counts, key=lambda drug: (-sum(counts[drug].values()), drug))
    shown = drugs[:SHOWN_DRUGS]
    figure = Figure(figsize=(9, 1.8 + 0.35 * max(2, len(shown))), layout="constrained")
    axis = figure.subplots()
    _draw_bars(axis, [counts[drug] for drug in shown])
    # a dollar sign in a name is no formula
    names = [drug[:NAME_LENGTH] for drug in shown]
    axis.set_yticks(range(len(names)), names, parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel("pairs of drug and effect in the notes")
    axis.set_title(f"{len(shown)} of {len(drugs)} drugs" if drugs else "no pair was found")
    axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(footer, fontsize=7, wrap=True)
    figure.savefig(path, dpi=150)


def _draw_bars(axis: Any, rows: Sequence[Mapping[str, int]]) -> None:
    left = [0] * len(rows)
    for name, colour in COLOURS.items():
        sizes = [row.get(name, 0) for row in rows]
        if any(sizes):
            axis.barh(range(len(rows)), sizes, left=left, color=colour, label=name)
            left = [start + size for start, size in zip(left, sizes)]
    if any(left):
        axis.figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        axis.xaxis.get_major_locator().set_params(integer=True)
