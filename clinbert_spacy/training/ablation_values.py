"""What the settings of an ablation stand for: variables, options, files and their hashes."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Tuple

# A name alone: those of spaCy's configs have a dot, as in ${system.seed}.
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CHUNK = 1 << 20


def names_in(value: Any) -> List[str]:
    """Variables that a value names.

    value (Any): a string, or lists and mappings of strings.
    RETURNS (List[str]): each once, in order.
    """
    return list(dict.fromkeys(name for text in _strings(value) for name in _VARIABLE.findall(text)))


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """Put variables in.

    value (Any): a string, or lists and mappings of strings; "${name}" alone becomes the
        variable's value, whatever its type.
    variables (Mapping[str, Any]): values by name; names with a dot are left to spaCy.
    RETURNS (Any): the same with the values in it.
    RAISES (ValueError): a variable without a value.
    """
    if isinstance(value, Mapping):
        return {key: fill(item, variables) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    if unknown := sorted(set(_VARIABLE.findall(value)) - set(variables)):
        raise ValueError(
            f"{value!r} names the variables {unknown}; expected some of {sorted(variables)}. Give "
            f"it a value under `vars`, or with --vars.{unknown[0]}."
        )
    whole = _VARIABLE.fullmatch(value)
    if whole:
        return variables[whole.group(1)]
    return _VARIABLE.sub(lambda match: str(variables[match.group(1)]), value)


def to_options(block: Mapping[str, Any]) -> List[str]:
    """Turn names and values into a command with options.

    block (Mapping[str, Any]): e.g. {"corpus": "ncbi", "part": ["dev"]}; "command" names another
        command than `evaluate`; True is a flag, a list an option for each.
    RETURNS (List[str]): e.g. ["evaluate", "--corpus", "ncbi", "--part", "dev"].
    """
    words = [str(block.get("command", "evaluate"))]
    for key, value in block.items():
        option = f"--{key.replace('_', '-')}"
        if key == "command" or value is None or value is False:
            continue
        if value is True:
            words.append(option)
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words += [option, str(item)]
    return words


def named_files(config: Mapping[str, Any]) -> Iterator[str]:
    """Strings of a config that may name a file: all of [paths], elsewhere those with a slash.

    config (Mapping[str, Any]): interpolated.
    YIELDS (str): the strings.
    """
    for section, value in config.items():
        for text in _strings(value):
            if text and (section == "paths" or "/" in text):
                yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else ():
        yield from _strings(item)
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from _strings(item)


def digest(path: Path) -> str:
    """Hash a file, or names and contents of all files below a folder.

    path (Path): it exists.
    RETURNS (str): SHA-256, hexadecimal.
    """
    files = sorted(x for x in path.rglob("*") if x.is_file()) if path.is_dir() else [path]
    rows: List[Tuple[str, str]] = []
    for file in files:
        found = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
        rows.append((file.relative_to(path).as_posix(), found.hexdigest()))
    return hashlib.sha256(json.dumps(rows).encode("utf8")).hexdigest()


def hash_content(content: Any, files: Iterable[str], digests: Dict[str, str]) -> str:
    """Hash something together with the content of files.

    content (Any): as JSON can hold it. files (Iterable[str]): paths; those not there count as
    names alone. digests (Dict[str, str]): hashes by path, filled as they are needed.
    RETURNS (str): 16 hexadecimal digits.
    """
    known: Dict[str, str] = {}
    for path in files:
        if path not in digests and Path(path).exists():
            digests[path] = digest(Path(path))
        if path in digests:
            known[path] = digests[path]
    text = json.dumps([content, known], sort_keys=True)
    return hashlib.sha256(text.encode("utf8")).hexdigest()[:16]
