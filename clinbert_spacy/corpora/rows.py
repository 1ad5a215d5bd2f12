"""Rows of CSV files of any size, compressed by gzip or not, with the line that each begins on."""
import csv
import gzip
import zlib
from pathlib import Path
from typing import IO, Any, Dict, Iterator, List, Sequence, Tuple, Union

from .files import broken

CELL_LIMIT = 2**31 - 1  # what csv can take on every platform


def read_rows(
    path: Union[str, Path], columns: Sequence[str], encoding: str = "utf-8"
) -> Iterator[Tuple[int, Dict[str, str]]]:
    """Read a CSV file a row at a time.

    path (Union[str, Path]): the file; compressed if its name ends in .gz.
    columns (Sequence[str]): names that its header must have. encoding (str): its encoding.
    YIELDS (Tuple[int, Dict[str, str]]): line, and cells by column.
    Raises CorpusError naming the line for another header, a row of another length, open quotes,
        bytes of another encoding, or a compressed file that ends early.
    """
    path = Path(path)
    if not path.is_file():
        raise broken(path, 0, f"a CSV file with columns {list(columns)}", "no file")
    # A cell may hold a whole note, and line ends of every kind: only csv itself may cut lines.
    csv.field_size_limit(CELL_LIMIT)
    with _open(path, encoding) as file:
        rows = numbered(path, csv.reader(file, strict=True))
        header = next(rows, (1, [""]))[1]
        if not set(columns) <= set(header) or len(set(header)) < len(header):
            raise broken(path, 1, f"a header with {list(columns)}, each once", "another header")
        for line, cells in rows:
            if len(cells) != len(header):
                raise broken(path, line, f"{len(header)} cells as in the header", f"{len(cells)}")
            yield line, dict(zip(header, cells))


def _open(path: Path, encoding: str) -> IO[str]:
    # a byte order mark would become part of the first column's name
    known = "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=known, newline="")
    return path.open(encoding=known, newline="")


def numbered(path: Path, reader: Any) -> Iterator[Tuple[int, List[str]]]:
    """Number the rows of a `csv.reader`.

    path (Path): the file, for errors. reader (Any): a `csv.reader` over it.
    YIELDS (Tuple[int, List[str]]): the line that a row begins on, and its cells; no empty rows.
    Raises CorpusError as read_rows does.
    """
    while True:
        line, failed, cells = reader.line_num + 1, "", None
        try:
            cells = next(reader, None)
        except csv.Error:
            failed = "a row of CSV with its quotes closed"
        except UnicodeError:
            failed = "text of the encoding that was given, from here on"
        except (EOFError, OSError, zlib.error):
            failed = "a whole file, from here on"
        # Raised outside the handlers: the messages of csv and of decoders may quote the row.
        if failed:
            raise broken(path, line, failed, "something else")
        if cells is None:
            return
        if cells:
            yield line, cells
