"""Write result files whole or not at all."""

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator, Union

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
WRITE_ERRORS = (*DISK_FULL, errno.EIO, errno.EFBIG, errno.EROFS)


class OutputError(ValueError):
    """A result file could not be written. The message names the file and the remedy."""


@contextmanager
def atomic_writer(path: Union[str, Path]) -> Iterator[IO[str]]:
    """Open a temporary file beside `path` and move it there at the end.

    On any error the temporary file is removed and what stood at `path` stays as it was.

    path (Union[str, Path]): the file to write, UTF-8, line ends as given.
    RETURNS (Iterator[IO[str]]): the open file.
    RAISES (OutputError): the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary = Path(_make_temporary(path))
    try:
        with temporary.open("w", encoding="utf8", newline="") as file_:
            yield file_
            file_.flush()
            os.fsync(file_.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in WRITE_ERRORS:
            raise _explain(path, error) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Union[str, Path], text: str) -> None:
    """Write `text` to `path` through `atomic_writer`."""
    with atomic_writer(path) as file_:
        file_.write(text)


def _make_temporary(path: Path) -> str:
    if path.is_dir():
        raise OutputError(f"Cannot write {path}: it is a folder; expected a file name.")
    if path.exists() and not path.is_file():
        # Moving the finished file there would replace the device or pipe itself.
        raise OutputError(f"Cannot write {path}: it is a device or pipe; expected a file name.")
    try:
        handle, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.absolute().parent)
    except OSError as error:
        raise _explain(path, error) from None
    # mkstemp gives 0600; a result file gets what the user's umask says
    mask = os.umask(0)
    os.umask(mask)
    os.close(handle)
    os.chmod(name, 0o666 & ~mask)
    return name


def _explain(path: Path, error: OSError) -> OutputError:
    if error.errno in DISK_FULL:
        remedy = "the disk is full; free some space and run again"
    elif error.errno == errno.ENOENT:
        remedy = "its folder does not exist; make it first"
    else:
        remedy = os.strerror(error.errno) if error.errno else type(error).__name__
    return OutputError(f"Cannot write {path}: {remedy}. Nothing was written.")
