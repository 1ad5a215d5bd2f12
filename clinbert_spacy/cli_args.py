"""What the command line names: pipelines, paths, encodings, and the command itself."""

import codecs
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, Sequence, TypeVar

import srsly

SCORES = {"p": "precision", "r": "recall", "f": "f", "macro_f": "macro_f"}
RECORDED = (*SCORES.values(), "n_notes", "n_mentions", "data_sha256", "scheme")
NEEDED_SCORES = {"corpus", "n_mentions", "data_sha256", *SCORES.values()}
Item = TypeVar("Item")


def use_device(gpu_id: int) -> None:
    """Compute on a GPU, or with -1 on the CPU.

    gpu_id (int): number of the GPU.
    RAISES (ValueError): there is no such GPU that thinc can use; says why.
    """
    from thinc.api import require_cpu, require_gpu

    if gpu_id < 0:
        require_cpu()
        return
    try:
        require_gpu(gpu_id)
    except Exception as error:  # thinc, CuPy and torch raise errors of their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"--gpu-id is {gpu_id}, but no such GPU can be used: {reason}. Install the extra "
            "'cuda' and a torch build for your CUDA version, or leave --gpu-id out for the CPU."
        ) from None


def load_pipeline(name: str, gpu_id: int = -1) -> Any:
    """Load an installed pipeline or a folder; the error says what is there and what to do.

    name (str): package or folder. gpu_id (int): number of the GPU, -1 for the CPU.
    RETURNS (Language): the pipeline.
    RAISES (ValueError): no such pipeline or GPU, or it cannot be loaded.
    """
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
    use_device(gpu_id)
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


def check_workers(n_process: int, gpu_id: int) -> None:
    """Raise if worker processes are to share a GPU, which cannot be forked."""
    if n_process > 1 and gpu_id >= 0:
        raise ValueError(f"--n-process is {n_process}; expected 1 with --gpu-id {gpu_id}.")


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
        # not srsly's JSON, which alters the last digit of figures
        found = srsly.read_yaml(path) if is_yaml else json.loads(path.read_text("utf8"))
    except ValueError as error:
        kind = "YAML" if is_yaml else "JSON"
        raise ValueError(f"{path} is not {kind}: {type(error).__name__}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected names and values.")
    return found


def read_figures(paths: Sequence[Path]) -> Dict[str, Any]:
    """Figures for a card out of files that `clinbert evaluate --output` wrote.

    RETURNS (Dict[str, Any]): headline figures as spaCy's cards show them, for instance
        {"bc5cdr_dev_ents_f": 0.86}, and under "evaluations" for each its notes, mentions,
        intervals and hash of the data.
    RAISES (ValueError): a file without scores, or two of the same corpus and part.
    """
    figures: Dict[str, Any] = {}
    evaluations: Dict[str, Any] = {}
    for path in paths:
        result = read_mapping(path)
        if not set(result) >= NEEDED_SCORES:
            raise ValueError(f"{path} holds no scores; expected what `clinbert evaluate` writes.")
        name = name_figures(result)
        if name in evaluations:
            raise ValueError(f"{path} holds scores on {name}, as a file before it; expected one.")
        figures |= {f"{name}_ents_{x}": result[key]["value"] for x, key in SCORES.items()}
        evaluations[name] = {key: result[key] for key in RECORDED if key in result}
    return {**figures, "evaluations": evaluations} if evaluations else {}


def name_figures(result: Mapping[str, Any]) -> str:
    """Name an evaluation by corpus and part: "bc5cdr_dev"; by the data's name without a part."""
    chosen = [*(result.get("part") or ()), result.get("split") or ""]
    limit = [f"first_{result['limit']}"] if result.get("limit") else []
    parts = [result["corpus"], *(filter(None, chosen)), *limit]
    if not any(chosen):
        parts.insert(1, Path(result.get("data") or "").stem)
    return "_".join(filter(None, (re.sub(r"\W+", "_", part).strip("_") for part in parts)))
