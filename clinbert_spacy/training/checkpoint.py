"""A training run on disk: enough to go on as if nothing had happened, written all or nothing."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

import numpy
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from spacy.language import Language
from spacy.training.loop import DIR_MODEL_BEST, DIR_MODEL_LAST
from spacy.util import load_model_from_path
from thinc.api import Optimizer

from . import randomness, state

FORMAT = 1
DIR_CHECKPOINT = "checkpoint"
STATE_FILE = "state.json"
PIPELINE_FOLDER = "pipeline"
# These decide when training ends and what it says, not what an update does.
FREE_SETTINGS = ("max_steps", "patience", "logger")


class WriteError(ValueError):
    """A folder could not be written. What stood there before is untouched."""


@dataclass
class Progress:
    """How far training is.

    step (int): Number of the last finished update, -1 before the first.
    epoch (int): Passes over the data completed.
    words (int): Words seen.
    seconds (float): Time spent, all sessions together.
    seed (int): Seed of the stream of batches.
    results (List[Tuple[float, int]]): Score and step of each evaluation.
    """

    step: int = -1
    epoch: int = 0
    words: int = 0
    seconds: float = 0.0
    seed: int = 0
    results: List[Tuple[float, int]] = field(default_factory=list)


def prepare_output(output: Path, *, resume: bool, overwrite: bool) -> bool:
    """Make the output folder and decide whether to go on from a checkpoint in it.

    output (Path): The output folder.
    resume (bool): Whether going on was asked for.
    overwrite (bool): Whether deleting was asked for.
    RETURNS (bool): True to go on, False to begin.
    RAISES (ValueError): If the folder is taken and neither was asked for, or both were.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: give one of them.")
    names = (DIR_CHECKPOINT, DIR_MODEL_BEST, DIR_MODEL_LAST)
    for name in names:
        recover_folder(output / name)
    found = [name for name in names if (output / name).exists()]
    if resume and found and DIR_CHECKPOINT not in found:
        raise ValueError(
            f"'{output}' holds {', '.join(found)} but no '{DIR_CHECKPOINT}' to resume from. Give "
            f"--overwrite to begin again, or another output folder."
        )
    if found and not (resume or overwrite):
        raise ValueError(
            f"'{output}' already holds {', '.join(found)}. Give --resume to go on from the last "
            f"checkpoint, --overwrite to delete it and begin again, or another output folder."
        )
    if overwrite:
        for name in found:
            shutil.rmtree(output / name)
    output.mkdir(parents=True, exist_ok=True)
    return resume and bool(found)


def replace_folder(target: Path, write: Callable[[Path], Any]) -> None:
    """Write a folder so that a crash at any moment leaves the old one or the new one.

    target (Path): The folder to make or replace.
    write (Callable): Writes everything into the path it is given.
    RAISES (WriteError): If writing fails (disk full, no permission); the old folder stays.
    """
    recover_folder(target)
    partial, previous = _beside(target, "partial"), _beside(target, "previous")
    try:
        partial.mkdir(parents=True)
        write(partial)
        _flush(partial)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise WriteError(_write_message(target, error)) from error
    if target.exists():
        target.rename(previous)
    partial.rename(target)
    _flush_entry(target.parent)
    shutil.rmtree(previous, ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Clear up after a crash in `replace_folder`.

    target (Path): The folder. Restored if the crash came between its two renames.
    """
    partial, previous = _beside(target, "partial"), _beside(target, "previous")
    if previous.exists() and not target.exists():
        previous.rename(target)
    for leftover in (partial, previous):
        if leftover.exists():
            shutil.rmtree(leftover)


def save_checkpoint(
    path: Path,
    nlp: Language,
    optimizer: Optimizer,
    progress: Progress,
    config: Mapping[str, Any],
) -> None:
    """Write pipeline, exact weights, optimizer, random states and progress.

    The folder "pipeline" may hold weights in half precision; "weights.safetensors" counts.

    path (Path): The checkpoint folder, replaced as a whole.
    nlp (Language): The pipeline with its current (not averaged) weights.
    optimizer (Optimizer): The optimizer.
    progress (Progress): How far training is.
    config (Mapping): The resolved config that was given.
    RAISES (WriteError): If writing fails; the previous checkpoint stays.
    """
    arrays, counts = state.get_optimizer_state(nlp, optimizer)
    record = {
        "format": FORMAT,
        "progress": asdict(progress),
        "counts": counts,
        "fixed": state.get_fixed(nlp),
        "config": config,
        "config_sha256": config_hash(config),
        "random": randomness.get_random_state(),
    }

    def write(folder: Path) -> None:
        nlp.to_disk(folder / PIPELINE_FOLDER)
        for kind, values in {"weights": state.get_weights(nlp), **arrays}.items():
            save_file(_contiguous(values), folder / f"{kind}.safetensors")
        (folder / STATE_FILE).write_text(json.dumps(record), encoding="utf8")

    replace_folder(path, write)


def read_record(path: Path) -> Dict[str, Any]:
    """Read the plain part of a checkpoint.

    path (Path): The checkpoint folder.
    RETURNS (Dict[str, Any]): Progress, counts, config, random states.
    RAISES (ValueError): If a file is missing or the format is another one.
    """
    needed = [STATE_FILE, "weights.safetensors", f"{PIPELINE_FOLDER}/config.cfg"]
    missing = [name for name in needed if not (path / name).exists()]
    if missing:
        raise ValueError(
            f"The checkpoint '{path}' is not complete: {', '.join(missing)} missing. Start again "
            f"with --overwrite."
        )
    record = json.loads((path / STATE_FILE).read_text(encoding="utf8"))
    if record.get("format") != FORMAT:
        raise ValueError(
            f"The checkpoint '{path}' has format {record.get('format')}, expected {FORMAT}. Use "
            f"the version of clinbert-spacy that wrote it, or start again with --overwrite."
        )
    return record


def load_pipeline(path: Path, record: Mapping[str, Any]) -> Language:
    """Load the pipeline of a checkpoint with its exact weights.

    path (Path): The checkpoint folder.
    record (Mapping[str, Any]): What `read_record` read from it.
    RETURNS (Language): The pipeline.
    """
    nlp = load_model_from_path(path / PIPELINE_FOLDER)
    state.set_weights(nlp, load_file(path / "weights.safetensors"))
    state.set_fixed(nlp, record["fixed"])
    return nlp


def restore_optimizer(
    path: Path, record: Mapping[str, Any], nlp: Language, optimizer: Optimizer
) -> Progress:
    """Restore the optimizer of a checkpoint.

    path (Path): The checkpoint folder.
    record (Mapping[str, Any]): What `read_record` read from it.
    nlp (Language): What `load_pipeline` loaded from it.
    optimizer (Optimizer): A fresh optimizer of the same config, changed in place.
    RETURNS (Progress): How far training was.
    """
    files = {kind: path / f"{kind}.safetensors" for kind in state.MOMENTS}
    arrays = {kind: load_file(file) for kind, file in files.items() if file.exists()}
    progress = Progress(**record["progress"])
    progress.results = [(score, step) for score, step in progress.results]
    state.set_optimizer_state(nlp, optimizer, arrays, record["counts"], progress.step + 1)
    return progress


def check_same_config(record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse to go on under another config.

    record (Mapping[str, Any]): What `read_record` read.
    config (Mapping[str, Any]): The resolved config given now. `training.max_steps`, `patience` and
        `logger` may differ.
    RAISES (ValueError): Names the settings that differ.
    """
    if record["config_sha256"] == config_hash(config):
        return
    before, now = dict(_flatten(_binding(record["config"]))), dict(_flatten(_binding(config)))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    shown = "; ".join(f"{key}: {before.get(key)!r} -> {now.get(key)!r}" for key in changed[:5])
    raise ValueError(
        f"The config differs from the checkpoint's in {len(changed)} setting(s): {shown}. Resume "
        f"with the same config, or start again with --overwrite."
    )


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash a resolved config, without the settings that may change on resuming.

    config (Mapping[str, Any]): The config, interpolated.
    RETURNS (str): SHA-256, hexadecimal.
    """
    text = json.dumps(_binding(config), sort_keys=True)
    return hashlib.sha256(text.encode("utf8")).hexdigest()


def _binding(config: Mapping[str, Any]) -> Dict[str, Any]:
    training = config.get("training", {})
    kept = {key: value for key, value in training.items() if key not in FREE_SETTINGS}
    return {**config, "training": kept}


def _flatten(value: Any, path: str = "") -> Iterator[Tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flatten(inner, f"{path}.{key}" if path else str(key))


def _contiguous(arrays: Mapping[str, numpy.ndarray]) -> Dict[str, numpy.ndarray]:
    return {name: numpy.ascontiguousarray(array) for name, array in arrays.items()}


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.name}.{suffix}")


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _flush_entry(path)


def _flush_entry(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_message(target: Path, error: Exception) -> str:
    free = shutil.disk_usage(target.parent).free // 2**20 if target.parent.exists() else 0
    kept = f"What '{target.name}' held before is intact" if target.exists() else "Nothing was lost"
    return (
        f"Could not write '{target}': {error} ({free} MB free). {kept}. Make room, then go on "
        f"from the last checkpoint with --resume."
    )
