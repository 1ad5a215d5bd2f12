"""Annotations without their text: offsets, labels and a hash by which the text is found again.

For layers over texts that may be annotated but are not passed on, and for second annotations of
notes whose text stands elsewhere. One JSON object a line.
"""
import csv
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Union

from .brat import read_brat
from .files import CorpusError, broken, lines_of, read_text, sha256_of, write_text
from .layers import dump_layers, parse_layers
from .record import AnnotatedNote, Mention, Relation, check_note

FIELDS = {"id", "text_sha256", "mentions", "relations", "layers"}
R_SUFFIXES = (".rda", ".rdata")
TABLES = (".csv", ".tsv", *R_SUFFIXES)


def write_offsets(notes: Iterable[AnnotatedNote], path: Union[str, Path]) -> int:
    """Write notes without their text.

    notes (Iterable[AnnotatedNote]): notes, with or without document layers.
    path (Union[str, Path]): a .jsonl file.
    RETURNS (int): how many.
    Raises CorpusError where it cannot be written.
    """
    rows = [_dump(note) for note in notes]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(rows)


def _dump(note: AnnotatedNote) -> Dict[str, Any]:
    layers = note.meta.get("layers")
    return {
        "id": note.id,
        "text_sha256": sha256_of(note.text),
        "mentions": [[m.id, m.label, m.spans, dict(m.attributes)] for m in note.mentions],
        "relations": [[r.id, r.label, r.head, r.tail, dict(r.attributes)] for r in note.relations],
        "layers": None if layers is None else dump_layers(layers),
    }


def read_offsets(
    path: Union[str, Path], texts: Iterable[str], encoding: str = "utf-8"
) -> List[AnnotatedNote]:
    """Lay offsets over their texts again.

    path (Union[str, Path]): what `write_offsets` wrote.
    texts (Iterable[str]): texts among which those of the notes are looked for by hash.
    encoding (str): encoding of the file.
    RETURNS (List[AnnotatedNote]): the notes, meta["layers"] where there are any.
    Raises CorpusError for a broken line and for texts that are not there.
    """
    path = Path(path)
    rows = [
        (f"{path}:{number}", _parse(path, number, line))
        for number, line in enumerate(lines_of(read_text(path, encoding)), 1)
        if line.strip()
    ]
    wanted = {row["text_sha256"] for _, row in rows}
    found = {digest: text for text in texts if (digest := sha256_of(text)) in wanted}
    lost = [row["id"] for _, row in rows if row["text_sha256"] not in found]
    if lost:
        raise CorpusError(
            f"{path}: the texts of {len(lost)} of {len(rows)} notes are not among those given, "
            f"the first is {lost[0]!r}. Give the source that its card names, unaltered."
        )
    return [_load(place, row, found) for place, row in rows]


def read_digests(path: Union[str, Path], encoding: str = "utf-8") -> List[str]:
    """List the hashes of the texts of a file of offsets.

    path (Union[str, Path]): what `write_offsets` wrote. encoding (str): of the file.
    RETURNS (List[str]): SHA-256 of each text.
    Raises CorpusError for a broken line.
    """
    path = Path(path)
    lines = enumerate(lines_of(read_text(path, encoding)), 1)
    return [_parse(path, n, line)["text_sha256"] for n, line in lines if line.strip()]


def _parse(path: Path, number: int, line: str) -> Dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or set(row) != FIELDS:
        raise broken(path, number, f"an object with {sorted(FIELDS)}", "something else")
    return row


def _load(place: str, row: Mapping[str, Any], texts: Mapping[str, str]) -> AnnotatedNote:
    if not (_fits(row["mentions"], 4) and _fits(row["relations"], 5)):
        raise broken(place, 0, "mentions of 4 values and relations of 5", "another shape")
    layers = row["layers"]
    meta = {} if layers is None else {"layers": parse_layers(layers, place)}
    mentions = tuple(
        Mention(name, label, tuple((int(a), int(b)) for a, b in spans), attributes=attributes)
        for name, label, spans, attributes in row["mentions"]
    )
    relations = tuple(Relation(*fields) for fields in row["relations"])
    text = texts[row["text_sha256"]]
    return check_note(AnnotatedNote(row["id"], text, mentions, relations, meta=meta))


def _fits(rows: Any, width: int) -> bool:
    """Whether rows look like mentions (4 wide, offsets in third place) or relations (5 wide)."""
    return isinstance(rows, list) and all(
        isinstance(row, list)
        and len(row) == width
        and isinstance(row[-1], dict)
        and (width == 5 or _are_offsets(row[2]))
        for row in rows
    )


def _are_offsets(spans: Any) -> bool:
    return isinstance(spans, list) and all(
        isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)
        for span in spans
    )


def read_texts(
    paths: Sequence[Union[str, Path]], column: str, encoding: str = "utf-8"
) -> Iterator[str]:
    """Read texts out of CSV and TSV files, R data files (extra `rda`), folders of such, brat.

    paths (Sequence[Union[str, Path]]): files; folders of tables, or else of brat files.
    column (str): column with the text.
    encoding (str): encoding of the files, R's aside.
    YIELDS (str): texts as they are.
    Raises CorpusError for a missing file or column.
    """
    for path in map(Path, paths):
        if path.is_dir():
            tables = sorted(x for x in path.iterdir() if x.suffix.lower() in TABLES)
            yield from read_texts(tables, column, encoding)
            yield from () if tables else (note.text for note in read_brat(path, encoding))
        elif path.suffix.lower() in R_SUFFIXES:
            yield from _r_texts(path, column)
        else:
            yield from _csv_texts(path, column, encoding)


def _csv_texts(path: Path, column: str, encoding: str) -> Iterator[str]:
    csv.field_size_limit(sys.maxsize)
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    rows = csv.DictReader(read_text(path, encoding).splitlines(keepends=True), delimiter=delimiter)
    if column not in (rows.fieldnames or ()):
        raise broken(path, 1, f"a column {column!r}", f"{len(rows.fieldnames or ())} others")
    yield from (row[column] for row in rows)


def _r_texts(path: Path, column: str) -> Iterator[str]:
    import pyreadr

    if not path.is_file():
        raise broken(path, 0, "a file", "nothing at this path")
    for table in pyreadr.read_r(str(path)).values():
        if column not in table.columns:
            raise broken(path, 0, f"a column {column!r}", f"{len(table.columns)} others")
        yield from (text for text in table[column] if isinstance(text, str))
