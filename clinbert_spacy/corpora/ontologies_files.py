"""What every ontology is read into: terms with their names, and triples; and its tables."""

import csv
import gzip
import zlib
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple, Union

from .files import BOM, broken, decode, lines_of

IS_A, TREATS, PALLIATES = "is_a", "treats", "palliates"
HAS_SYMPTOM, LOCATED_IN, HAS_INGREDIENT = "has_symptom", "located_in", "has_ingredient"
CROSS_REFERENCE, SYNONYM_OF, SAME_CLASS = "cross_reference", "synonym_of", "same_class"


class Term(NamedTuple):
    """A concept as one ontology has it.

    id (str): e.g. "MESH:D001241", "DOID:10763", "DB00945", "RXCUI:1191", "ICD10CM:I10".
    name (str): its preferred name.
    kinds (Tuple[str, ...]): what it is: "disease", "drug"; none for what only links others.
    names (Tuple[str, ...]): its other names.
    exact (Tuple[str, ...]): ids, elsewhere, of the same concept.
    """

    id: str
    name: str
    kinds: Tuple[str, ...]
    names: Tuple[str, ...] = ()
    exact: Tuple[str, ...] = ()


class Triple(NamedTuple):
    """Head, relation and tail; an end is an id, or a name of a given kind ("anatomy|lung")."""

    head: str
    relation: str
    tail: str


class Ontology(NamedTuple):
    """What one ontology says."""

    terms: List[Term]
    triples: List[Triple]


def by_name(kind: str, name: str) -> str:
    """Stand for a concept that a file knows by its name only.

    kind (str): what it is.
    name (str): a name of it, in any ontology.
    RETURNS (str): an end of a triple.
    """
    return f"{kind}|{name}"


def read_lines(folder: Path, name: str) -> Iterator[str]:
    """Read a text file as it is, or compressed with the ending .gz.

    folder (Path): folder of the ontology.
    name (str): name of the file, without .gz.
    YIELDS (str): its lines.
    Raises CorpusError where there is none, it is damaged, or not UTF-8.
    """
    path = folder / name
    packed = folder / f"{name}.gz"
    if path.is_file():
        raw = path.read_bytes()
    elif packed.is_file():
        path, raw = packed, _unpacked(packed)
    else:
        raise broken(path, 0, "this file, or the same with .gz", "none in the folder")
    yield from lines_of(decode(raw, path, "utf-8").lstrip(BOM))


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        pass
    raise broken(path, 0, "a whole gzip file", "a damaged one; copy it again")


def read_rows(
    folder: Path, name: str, columns: Sequence[str], delimiter: str = "\t", skip: int = 0
) -> Iterator[Dict[str, str]]:
    """Read a table with a header.

    folder (Path): folder of the ontology.
    name (str): name of the file, without .gz.
    columns (Sequence[str]): columns that it must have.
    delimiter (str): between cells.
    skip (int): lines before the header; lines that begin with # never count.
    YIELDS (Dict[str, str]): a row, by column.
    Raises CorpusError where the file, a column or a cell is missing.
    """
    numbers: List[int] = []
    lines = _noted(enumerate(read_lines(folder, name), 1), numbers)
    rows = (row for i, row in enumerate(csv.reader(lines, delimiter=delimiter)) if i >= skip)
    header = next(rows, [])
    if lost := [column for column in columns if column not in header]:
        raise broken(folder / name, 1, f"columns {list(columns)}", f"none named {lost}")
    for row in rows:
        if len(row) != len(header):
            raise broken(folder / name, numbers[-1], f"{len(header)} cells", f"{len(row)}")
        yield dict(zip(header, row, strict=True))


def _noted(lines: Iterable[Tuple[int, str]], numbers: List[int]) -> Iterator[str]:
    """Lines that count, with the number of the last one kept in a list."""
    for number, line in lines:
        if line and not line.startswith("#"):
            numbers[:] = [number]
            yield line


def unique(names: Sequence[str], but: Union[str, None] = None) -> Tuple[str, ...]:
    """Drop empty and repeated names, keep the order.

    names (Sequence[str]): names.
    but (Union[str, None]): a name to leave out.
    RETURNS (Tuple[str, ...]): those that remain.
    """
    return tuple(dict.fromkeys(name for name in map(str.strip, names) if name and name != but))
