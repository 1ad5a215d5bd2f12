"""Corpus files in and out: errors name file, line and what was expected; writes are whole."""
import errno
import hashlib
import json
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Union

BOM = "\ufeff"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class CorpusError(ValueError):
    """A file, or a note in it, is not what its format says. Never holds note content."""


def broken(path: Union[str, Path], line: int, expected: str, found: str) -> CorpusError:
    """Make the error for one broken line.

    path (Union[str, Path]): the file.
    line (int): line number, from 1; 0 where the whole file is meant.
    expected (str): what the format asks for.
    found (str): what was there, as a count or kind, never its content.
    RETURNS (CorpusError): the error, to be raised.
    """
    place = f"{path}:{line}" if line else str(path)
    return CorpusError(f"{place}: expected {expected}, found {found}.")


def read_text(path: Union[str, Path], encoding: str = "utf-8") -> str:
    """Read a text file with its line ends and byte order mark as they are.

    path (Union[str, Path]): the file.
    encoding (str): its encoding.
    RETURNS (str): the decoded text.
    Raises CorpusError for a missing, empty, binary or wrongly encoded file.
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing"
        raise broken(path, 0, "a file", f"{kind} at this path")
    raw = path.read_bytes()
    if not raw:
        raise broken(path, 0, "text", "an empty file")
    if b"\x00" in raw and not encoding.lower().replace("-", "").startswith(("utf16", "utf32")):
        raise broken(path, 0, f"{encoding} text", "a binary file (it holds zero bytes)")
    return decode(raw, path, encoding)


def decode(raw: bytes, path: Union[str, Path], encoding: str) -> str:
    """Decode bytes.

    raw (bytes): content of the file.
    path (Union[str, Path]): the file, for the error.
    encoding (str): the encoding to use.
    RETURNS (str): the text.
    Raises CorpusError with line and remedy where the bytes do not fit the encoding.
    """
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    remedy = "give its encoding, e.g. --encoding latin-1"
    raise broken(path, line, f"{encoding} text ({remedy})", "a byte that it does not allow")


def lines_of(text: str) -> List[str]:
    """Split at line feeds only, drop a byte order mark and carriage returns at line ends.

    text (str): a decoded file.
    RETURNS (List[str]): its lines; line i of the file is at i - 1.
    """
    return [line[:-1] if line.endswith("\r") else line for line in text.lstrip(BOM).split("\n")]


def sha256_of(text: str) -> str:
    """Hash a text.

    text (str): any text.
    RETURNS (str): SHA-256 of its UTF-8 bytes, in hexadecimal.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def load_json(path: Union[str, Path], encoding: str = "utf-8") -> object:
    """Parse a JSON file.

    path (Union[str, Path]): the file.
    encoding (str): its encoding.
    RETURNS (object): its value.
    Raises CorpusError with the line where it is not JSON.
    """
    text = read_text(path, encoding)
    try:
        return json.loads(text.lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        line, what = error.lineno, error.msg
    # Raised outside the handler: the decoder's error carries the whole text.
    raise broken(path, line, "JSON", what)


@contextmanager
def replacing(path: Union[str, Path]) -> Iterator[Path]:
    """Write beside a file and put it in place at the end: what was there stays whole until then.

    path (Union[str, Path]): the file to be.
    YIELDS (Path): where to write, in the same folder.
    Raises CorpusError where it cannot be written; what was there is kept.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise CorpusError(f"Cannot write {path}: expected a file, found a folder or device.")
    target = path.resolve()
    new = target.with_name(f".{uuid.uuid4().hex}.tmp")
    failed = None
    try:
        yield new
        os.replace(new, target)
    except OSError as error:
        failed = error.errno or errno.EIO
    finally:
        new.unlink(missing_ok=True)
    if failed is not None:
        raise CorpusError(f"Cannot write {path}: {_why(failed)}. What was there is kept.")


def _why(number: int) -> str:
    if number in _FULL:
        return "the disk is full; free some space and run again"
    if number == errno.ENOENT:
        return "its folder does not exist; make it first"
    return os.strerror(number)


def write_text(path: Union[str, Path], text: str) -> None:
    """Write a text as UTF-8, line ends as they are, whole or not at all.

    path (Union[str, Path]): the file.
    text (str): its content.
    Raises CorpusError where it cannot be written or UTF-8 cannot hold it.
    """
    with replacing(path) as new:
        new.write_bytes(encode(text, path))


def encode(text: str, path: Union[str, Path]) -> bytes:
    """Encode a text as UTF-8.

    text (str): any text.
    path (Union[str, Path]): the file it is for, for the error.
    RETURNS (bytes): its bytes.
    Raises CorpusError naming the place of a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = error.start
    # Raised outside the handler: the encoder's error carries the whole text.
    raise CorpusError(f"Cannot write {path}: UTF-8 cannot hold the lone surrogate at {place}.")
