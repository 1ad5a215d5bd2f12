"""Concepts of one's own: a CSV of ids, names, synonyms and types."""

import csv
from pathlib import Path
from typing import Dict, Iterator, List, Tuple, Union

from .files import CorpusError, broken, lines_of, read_text
from .ontologies_files import Term, unique

COLUMNS = ("id", "name", "synonyms", "type")
BETWEEN = "|"  # of synonyms, and of types
DUPLICATES = ("error", "merge")


def read_concepts(path: Union[str, Path], duplicates: str = "error") -> List[Term]:
    """Read a table of concepts.

    path (Union[str, Path]): CSV in UTF-8 with the columns id, name, synonyms and type, others left
        out of account; | between synonyms, and between types.
    duplicates (str): what an id that comes twice is: an "error", or one concept ("merge") that has
        the first name, and all names and types.
    RETURNS (List[Term]): a term a concept, in the order of the file.
    Raises CorpusError for a missing column or cell, an id that comes twice, a file without concept.
    """
    if duplicates not in DUPLICATES:
        raise CorpusError(f"duplicates is {duplicates!r}; expected one of {', '.join(DUPLICATES)}.")
    terms: Dict[str, Term] = {}
    for number, row in _rows(Path(path)):
        term = _term(Path(path), number, row)
        if term.id in terms and duplicates == "error":
            raise broken(
                path, number, "ids that come once (or --duplicates merge)", f"{term.id!r} again"
            )
        terms[term.id] = _merged(terms[term.id], term) if term.id in terms else term
    if not terms:
        raise broken(path, 0, "a concept a line below the header", "no concept")
    return list(terms.values())


def _rows(path: Path) -> Iterator[Tuple[int, Dict[str, str]]]:
    reader = csv.reader(lines_of(read_text(path)))
    header = [cell.strip() for cell in next(reader, [])]
    if lost := [column for column in COLUMNS if column not in header]:
        raise broken(
            path, 1, f"the columns {', '.join(COLUMNS)}",
            f"{', '.join(header) or 'none'} (missing: {', '.join(lost)})",
        )  # fmt: skip
    for row in reader:
        if not any(map(str.strip, row)):
            continue
        if len(row) != len(header):
            raise broken(path, reader.line_num, f"{len(header)} cells", f"{len(row)}")
        yield reader.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=True)}


def _term(path: Path, number: int, row: Dict[str, str]) -> Term:
    for column in ("id", "name"):
        if not row[column]:
            raise broken(path, number, f"a cell under {column!r}", "an empty one")
    names = unique(row["synonyms"].split(BETWEEN), but=row["name"])
    return Term(row["id"], row["name"], unique(row["type"].split(BETWEEN)), names)


def _merged(first: Term, second: Term) -> Term:
    names = unique([*first.names, second.name, *second.names], but=first.name)
    return first._replace(names=names, kinds=unique([*first.kinds, *second.kinds]))
