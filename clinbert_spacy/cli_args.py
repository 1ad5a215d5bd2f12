"""What the command line names: pipelines, paths, encodings, and the command itself."""

import codecs
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Sequence, TypeVar

import srsly

Item = TypeVar("Item")


def load_pipeline(name: str) -> Any:
    """Load an installed pipeline or a folder; the error says what is there and what to do."""
    import spacy

    folder = Path(name)
    if folder.is_dir():
        if not (folder / "meta.json").is_file():
            raise ValueError(f"{name} is not a pipeline folder: it holds no meta.json.")
    elif not spacy.util.is_package(name):
        installed = ", ".join(sorted(spacy.util.get_installed_models())) or "none"
        raise ValueError(
            f"No pipeline {name!r}: neither an installed package (installed: {installed}) nor a "
            "folder. Install its wheel with pip install --no-deps, or give its folder."
        )
    try:
        return spacy.load(name)
    except Exception as error:  # no note was read yet, so the message cannot quote one
        message = " ".join(str(error).split())[:400]
        raise ValueError(f"Cannot load {name}: {type(error).__name__}: {message}") from error


def check_path(path: Path) -> None:
    """Raise if nothing stands at `path`."""
    if not path.exists():
        raise ValueError(f"No such file or folder: {path}.")


def check_encoding(name: str) -> str:
    """Raise if Python knows no such encoding."""
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"Unknown encoding {name!r}; try utf-8 or latin-1.") from None
    return name


def check_choice(option: str, value: str, known: Sequence[str]) -> None:
    """Raise if an option has a value that is not among the known ones."""
    if value not in known:
        raise ValueError(f"{option} is {value!r}; expected one of {', '.join(known)}.")


def require_one(items: Iterable[Item], output: Path) -> Iterator[Item]:
    """Pass items on; raise at the end if there was none, before `output` is replaced."""
    empty = True
    for item in items:
        empty = False
        yield item
    if empty:
        raise ValueError(f"No note could be annotated. Nothing was written to {output}.")


def command_line() -> str:
    """What the user typed, for records."""
    return shlex.join(["clinbert", *sys.argv[1:]])


def read_mapping(path: Path) -> Dict[str, Any]:
    """Read a JSON or YAML file that holds a mapping."""
    check_path(path)
    is_yaml = path.suffix.lower() in (".yml", ".yaml")
    try:
        found = srsly.read_yaml(path) if is_yaml else srsly.read_json(path)
    except ValueError as error:
        kind = "YAML" if is_yaml else "JSON"
        raise ValueError(f"{path} is not {kind}: {type(error).__name__}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected names and values.")
    return found


def read_figures(paths: Sequence[Path]) -> Dict[str, float]:
    """Headline figures out of files that `clinbert evaluate --output` wrote.

    RETURNS (Dict[str, float]): e.g. {"bc5cdr_ents_f": 0.86}, as spaCy's cards show them.
    """
    figures: Dict[str, float] = {}
    for path in paths:
        result = read_mapping(path)
        if not {"corpus", "precision", "recall", "f", "macro_f"} <= set(result):
            raise ValueError(f"{path} holds no scores; expected what `clinbert evaluate` writes.")
        pairs = (("p", "precision"), ("r", "recall"), ("f", "f"), ("macro_f", "macro_f"))
        for short, name in pairs:
            figures[f"{result['corpus']}_ents_{short}"] = result[name]["value"]
    return figures
