"""Plain text for pretraining: JSON lines, text files or DocBins, compressed or not, as a stream."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, Mapping, NamedTuple, Union

from .docbin import read_docs
from .files import CorpusError, broken, read_text
from .readers import select_notes
from .sentences import take_fold

OPENERS: Dict[str, Callable[..., IO]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
TEXT_SUFFIXES = {".txt", ".text", ".md"}
JSON_SUFFIXES = {".jsonl", ".ndjson"}


class Passage(NamedTuple):
    """A document to read.

    source (str): where it comes from: its "source", or the name of its file's folder.
    id (str): its "id", or file and line.
    text (str): its text.
    """

    source: str
    id: str
    text: str


def read_texts(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Passage]:
    """Read documents one by one.

    path (Union[str, Path]): `.jsonl` with "text" and optionally "source" and "id" on each line,
        `.txt`, `.spacy`, the first two also with `.xz`, `.gz` or `.bz2`; a folder of them, or a
        pattern in one (`notes/*.txt`).
    encoding (str): encoding of text files.
    YIELDS (Passage): documents that hold more than white space.
    Raises CorpusError for a missing or broken file, and for one of another kind.
    """
    path = Path(path)
    if not path.exists() and "*" not in path.name:
        raise broken(path, 0, "a text file or folder", "nothing at this path")
    for file in _files(path):
        for passage in _read(file, encoding):
            if passage.text.strip():
                yield passage


def read_corpora(blocks: Mapping[str, Mapping[str, Any]]) -> Iterator[Passage]:
    """Read the texts of annotated corpora, without their labels.

    blocks (Mapping): as the sources of `clinbert.Corpus.v1`, by name; one with "fold" takes the
        training folds of the ADE sentences.
    YIELDS (Passage): a note, or a sentence; its source is the name of the block.
    Raises CorpusError for a missing or broken file, and for a block without "path".
    """
    for name, block in blocks.items():
        if not block.get("path"):
            raise CorpusError(f"Text of corpus {name!r}: expected a 'path', found {sorted(block)}.")
        if "fold" in block:
            sentences = take_fold(block["path"], "train", int(block["fold"]))
            yield from (Passage(name, s.id, s.text) for s in sentences)
            continue
        for notes in select_notes([{"corpus": name, **block}], 0, "", None, None):
            yield from (Passage(name, note.id, note.text) for note in notes)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    pattern = "**/*" if path.is_dir() else path.name
    folder = path if path.is_dir() else path.parent
    files = sorted(f for f in folder.glob(pattern) if f.is_file() and kind_of(f))
    if any(folder.glob("*.ann")):
        files = [f for f in files if kind_of(f) == "text"]  # a brat folder: its texts
    if not files:
        raise broken(path, 0, "files .jsonl, .txt or .spacy", "none in this folder")
    yield from files


def kind_of(file: Path) -> str:
    """Tell a file's kind by its suffix. RETURNS (str): jsonl, text, spacy, or empty."""
    suffix = file.suffix.lower()
    if suffix in OPENERS:
        suffix = Path(file.stem).suffix.lower()
    if suffix in JSON_SUFFIXES:
        return "jsonl"
    if suffix in TEXT_SUFFIXES:
        return "text"
    return "spacy" if file.suffix.lower() == ".spacy" else ""


def _read(file: Path, encoding: str) -> Iterator[Passage]:
    kind = kind_of(file)
    if not kind:
        raise broken(file, 0, "a suffix .jsonl, .txt or .spacy (.xz, .gz)", repr(file.suffix))
    if kind == "jsonl":
        yield from _read_jsonl(file)
    elif kind == "spacy":
        for number, doc in enumerate(read_docs(file), 1):
            yield Passage(file.stem, f"{file.name}:{number}", doc.text)
    elif file.suffix.lower() in OPENERS:
        with _open(file) as stream:
            yield Passage(file.parent.name, file.name, stream.read())
    else:
        yield Passage(file.parent.name, file.name, read_text(file, encoding))


def _open(file: Path) -> IO[str]:
    opener = OPENERS.get(file.suffix.lower())
    if opener is None:
        return open(file, encoding="utf-8", newline="\n")
    return opener(file, "rt", encoding="utf-8", newline="\n")


def _read_jsonl(file: Path) -> Iterator[Passage]:
    default = Path(file.name.split(".")[0]).name
    with _open(file) as stream:
        for number, line in enumerate(_lines(stream, file), 1):
            if line.strip():
                yield _passage(line, file, number, default)


def _lines(stream: IO[str], file: Path) -> Iterator[str]:
    number, what = 0, ""
    try:
        for line in stream:
            number += 1
            yield line
    except UnicodeDecodeError:
        what = "a byte that UTF-8 does not allow"
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, OSError):
        what = "a compressed stream that is broken or ends early"
    # Raised outside the handler: a decoder's error carries the text.
    if what:
        raise broken(file, number + 1, "UTF-8 lines", what)


def _passage(line: str, file: Path, number: int, default: str) -> Passage:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        found = "no JSON object" if not isinstance(row, dict) else f"the keys {sorted(row)}"
        raise broken(file, number, 'a JSON object with a string "text"', found)
    source, name = row.get("source", default), row.get("id", f"{file.name}:{number}")
    if not isinstance(source, str) or not source:
        raise broken(file, number, 'a string as "source"', type(source).__name__)
    return Passage(source, str(name), row["text"])
