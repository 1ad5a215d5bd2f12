"""Plain notes without annotation: .txt files, folders, JSON lines, CSV."""
import csv
import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Union

from .files import BOM, CorpusError, broken, lines_of, read_text
from .record import AnnotatedNote

SUFFIXES = (".txt", ".jsonl", ".csv", ".tsv")
Found = Union[AnnotatedNote, CorpusError]


def read_notes(
    paths: Iterable[Union[str, Path]],
    encoding: str = "utf-8",
    text_field: str = "text",
    id_field: str = "id",
    on_error: Optional[Callable[[CorpusError], None]] = None,
) -> Iterator[AnnotatedNote]:
    """Stream notes from files and folders.

    paths (Iterable[Union[str, Path]]): .txt (a note a file), .jsonl, .csv, .tsv (a note a row) or
        folders of such files, in order of name.
    encoding (str): their encoding.
    text_field (str): field or column with the text.
    id_field (str): field or column with the id; file name and line number where it is missing.
    on_error (Optional[Callable[[CorpusError], None]]): called for each thing that cannot be read,
        which is then skipped. Without it the first one is raised.
    YIELDS (AnnotatedNote): notes; meta["source"] is the file.
    """
    for path in files_in(paths):
        for found in _read(path, encoding, text_field, id_field):
            if isinstance(found, AnnotatedNote):
                yield found
            elif on_error is None:
                raise found
            else:
                on_error(found)


def files_in(paths: Iterable[Union[str, Path]]) -> List[Path]:
    """List the files behind paths.

    paths (Iterable[Union[str, Path]]): files and folders.
    RETURNS (List[Path]): files as given; of folders, those with a known suffix, by name.
    """
    files: List[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
            files.extend(sorted(inside) or [path])
        else:
            files.append(path)
    return files


def _read(path: Path, encoding: str, text_field: str, id_field: str) -> Iterator[Found]:
    if path.is_dir():
        yield broken(path, 0, f"a folder with files {', '.join(SUFFIXES)}", "none of them")
        return
    try:
        text = read_text(path, encoding)
    except CorpusError as error:
        yield error
        return
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        rows: Iterator[Any] = _json_rows(path, text)
    elif suffix in (".csv", ".tsv"):
        rows = _csv_rows(path, text, "\t" if suffix == ".tsv" else ",")
    else:
        yield AnnotatedNote(path.stem, text, meta={"source": str(path)})
        return
    for number, row in rows:
        yield row if isinstance(row, CorpusError) else _note(
            path, number, row, text_field, id_field
        )


def _note(path: Path, number: int, row: Dict[str, Any], text_field: str, id_field: str) -> Found:
    text = row.get(text_field)
    if not isinstance(text, str):
        return broken(path, number, f"a text in {text_field!r} (see --text-field)", "none")
    name = row.get(id_field)
    note_id = str(name) if name not in (None, "") else f"{path.stem}-{number}"
    return AnnotatedNote(note_id, text, meta={"source": str(path)})


def _json_rows(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            yield number, _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> Union[Dict[str, Any], CorpusError]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        return broken(path, number, "a JSON object on one line", "something else")
    return row


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[Any]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a note may be longer than csv's default
    reader = csv.DictReader(
        text.lstrip(BOM).splitlines(keepends=True), delimiter=delimiter, strict=True
    )
    rows = iter(reader)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            row = {}
        if row is None:
            return
        odd = not row or None in row or None in row.values()
        number = reader.line_num
        found = broken(path, number, "as many cells as the header", "another number")
        yield number, found if odd else row
