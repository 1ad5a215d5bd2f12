"""Notes from text files, folders, JSONL and CSV, one at a time; what cannot be read is named."""

import csv
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
)

JSONL_SUFFIXES = {".jsonl", ".ndjson"}
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LAYERS = "notes.jsonl"  # beside brat files it holds annotations, not notes
TEXT_SUFFIXES = {".txt", ".text", ".md", ""}
# brat keeps the annotation of a text beside it
BESIDE_NOTES = {".ann"}
BOM = "\ufeff"
OnSkip = Callable[[str, str], None]


class Note(NamedTuple):
    """A note to annotate. `id` names it in outputs and messages."""

    id: str
    text: str


class NoteFile(NamedTuple):
    """A file to read. `name` is what its notes are called after."""

    path: Path
    name: str


class Problem(ValueError):
    """Why a file or a line cannot be read; never holds its content."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read. `text_column` and `id_column` name JSONL keys or CSV columns."""

    text_column: str = "text"
    id_column: str = "id"
    encoding: str = "utf-8"


def list_files(
    paths: Sequence[Path], on_skip: OnSkip, outputs: Sequence[Optional[Path]] = ()
) -> List[NoteFile]:
    """List the files behind paths.

    paths (Sequence[Path]): files and folders; folders are searched in depth, in order of name.
    on_skip (Callable): called with place and reason for what cannot be read.
    outputs (Sequence[Optional[Path]]): files that will be written; they are no input.
    RETURNS (List[NoteFile]): files with the names of their notes.
    """
    taken = {path.resolve() for path in outputs if path}
    found: List[NoteFile] = []
    for path in paths:
        if not path.exists():
            on_skip(str(path), "no such file or folder")
        elif path.is_dir():
            inside = _files_inside(path, taken, on_skip)
            found += [NoteFile(file_, file_.relative_to(path).as_posix()) for file_ in inside]
        elif path.resolve() in taken:
            on_skip(str(path), "the output goes there; give it another name")
        else:
            found.append(NoteFile(path, path.name))
    return [NoteFile(path, str(path)) for path, _ in found] if len(paths) > 1 else found


def count_notes(files: Sequence[NoteFile]) -> int:
    """How many notes there are, if all are text files; else 0: not known before reading."""
    tables = JSONL_SUFFIXES | set(DELIMITERS)
    return 0 if any(file_.path.suffix.lower() in tables for file_ in files) else len(files)


def read_notes(
    files: Iterable[NoteFile], options: ReadOptions, on_skip: OnSkip
) -> Iterator[Note]:
    """Read notes, holding one at a time.

    A text file is one note, exactly as it stands (a byte order mark is not part of it). The id is
    the file's name, or its path if several inputs are given; in JSONL and CSV the id column, or
    file name and line.

    files (Iterable[NoteFile]): from `list_files`.
    options (ReadOptions): columns and encoding.
    on_skip (Callable): called with place and reason for what cannot be read.
    RETURNS (Iterator[Note]): the notes.
    """
    for path, name in files:
        yield from _read_file(path, name, options, on_skip)


def _files_inside(path: Path, taken: Set[Path], on_skip: OnSkip) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        beside = {LAYERS} if any(name.endswith(".ann") for name in names) else set()
        for name in sorted(name for name in set(names) - beside if not name.startswith(".")):
            file_ = Path(folder, name)
            suffix = file_.suffix.lower()
            if suffix in BESIDE_NOTES or file_.resolve() in taken:
                continue
            if suffix in TEXT_SUFFIXES | JSONL_SUFFIXES | set(DELIMITERS):
                yield file_
            else:
                on_skip(str(file_), f"not a text, JSONL or CSV file by its name ({file_.suffix})")


def _read_file(path: Path, name: str, options: ReadOptions, on_skip: OnSkip) -> Iterator[Note]:
    suffix = path.suffix.lower()
    try:
        if suffix in JSONL_SUFFIXES:
            yield from _read_jsonl(path, name, options, on_skip)
        elif suffix in DELIMITERS:
            yield from _read_table(path, name, DELIMITERS[suffix], options, on_skip)
        else:
            yield Note(name, _check(_decode(path.read_bytes(), options.encoding)))
    except Problem as problem:
        on_skip(str(path), str(problem))
    except OSError as error:
        on_skip(str(path), os.strerror(error.errno) if error.errno else type(error).__name__)


def _decode(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix(BOM)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise Problem("binary file, not text") from None
        raise Problem(
            f"not {encoding} at byte {error.start}; if it is in another encoding, name it, for "
            "instance --encoding latin-1"
        ) from None


def _check(text: Any) -> str:
    if not isinstance(text, str):
        raise Problem(f"the text is of type {type(text).__name__}; expected a string")
    if not text:
        raise Problem("empty")
    if "\0" in text:
        raise Problem("binary data, not text (it holds a zero character)")
    return text


def _read_jsonl(path: Path, name: str, options: ReadOptions, on_skip: OnSkip) -> Iterator[Note]:
    n_lines = 0
    with path.open("rb") as file_:
        for number, line in enumerate(file_, 1):
            if not line.strip():
                continue
            n_lines += 1
            try:
                yield _parse_line(line, f"{name}:{number}", options)
            except Problem as problem:
                on_skip(f"{path}:{number}", str(problem))
    if not n_lines:
        raise Problem("empty")


def _parse_line(line: bytes, place: str, options: ReadOptions) -> Note:
    text = _decode(line, options.encoding)
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise Problem(f"not JSON at character {error.pos}") from None
    except RecursionError:
        raise Problem("not usable JSON: nested too deeply") from None
    except ValueError:
        raise Problem("not usable JSON: a number with too many digits") from None
    if not isinstance(record, dict):
        raise Problem(f"a line holds a {type(record).__name__}; expected an object")
    if options.text_column not in record:
        raise Problem(
            f"no key {options.text_column!r}; name the one that holds the text with --text-column"
        )
    note_id = record.get(options.id_column)
    return Note(
        place if note_id in (None, "") else str(note_id), _check(record[options.text_column])
    )


def _read_table(
    path: Path, name: str, delimiter: str, options: ReadOptions, on_skip: OnSkip
) -> Iterator[Note]:
    # the default, 131072 characters, is shorter than a long note
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    encoding = "utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding
    with path.open(encoding=encoding, newline="") as file_:
        rows = csv.DictReader(file_, delimiter=delimiter, strict=True)
        try:
            _check_columns(rows.fieldnames or [], options)
            for row in rows:
                place = f"{name}:{rows.line_num}"
                yield from _parse_row(row, place, options, on_skip)
        except UnicodeDecodeError:
            raise Problem(
                f"not {options.encoding} after line {rows.line_num}; if it is in another encoding, "
                "name it, for instance --encoding latin-1"
            ) from None
        except csv.Error as error:
            raise Problem(f"broken table after line {rows.line_num}: {error}") from None


def _check_columns(names: Sequence[str], options: ReadOptions) -> None:
    if not names:
        raise Problem("empty")
    if options.text_column not in names:
        # the names are not shown: without a header line they would be a note
        raise Problem(
            f"no column {options.text_column!r} among the {len(names)} of the first line; name the "
            "one that holds the text with --text-column"
        )


def _parse_row(
    row: Dict[str, Any], place: str, options: ReadOptions, on_skip: OnSkip
) -> Iterator[Note]:
    note_id = row.get(options.id_column) or place
    try:
        _check_cells(row)
        yield Note(note_id, _check(row[options.text_column]))
    except Problem as problem:
        on_skip(place, str(problem))


def _check_cells(row: Dict[Any, Any]) -> None:
    """Raise where a row has more or fewer cells than the first line; else a note may be cut."""
    extra = len(row.get(None, ()))
    missing = sum(value is None for value in row.values())
    if extra or missing:
        expected = len(row) - bool(extra)
        raise Problem(
            f"{expected + extra - missing} cells; expected {expected} as in the first line. Quote "
            "text that holds the delimiter or a line end"
        )


def all_texts(paths: List[Path], encoding: str, on_skip: OnSkip) -> List[str]:
    """Texts of all notes at once, for a benchmark."""
    files = list_files(paths, on_skip)
    return [note.text for note in read_notes(files, ReadOptions(encoding=encoding), on_skip)]
