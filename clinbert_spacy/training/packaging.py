"""From a trained folder to a wheel that installs offline, and that says what it is."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any, Iterator, List, Mapping, Optional, Tuple, Union

import spacy
import srsly
from packaging.version import InvalidVersion, Version
from spacy.cli.package import package
from spacy.language import Language
from thinc.api import Config, Model

from .card import complete_meta, licence_list, model_card

MAX_MEGABYTES = 50
# The earliest time a zip file can hold: the same input gives the same wheel
EPOCH = "315619200"
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build_package(
    model_dir: Union[str, Path],
    out_dir: Union[str, Path],
    *,
    name: str,
    version: str,
    meta: Mapping[str, Any],
    half: bool = True,
    max_megabytes: float = MAX_MEGABYTES,
) -> Path:
    """Build a wheel, without a network.

    model_dir (Union[str, Path]): The trained pipeline ("model-best").
    out_dir (Union[str, Path]): Where the wheel goes.
    name (str): Package name, e.g. "en_clinbert".
    version (str): Its version, e.g. "0.1.0".
    meta (Mapping[str, Any]): See `card.complete_meta`.
    half (bool): Save the weights of our torch layers in half precision.
    max_megabytes (float): Largest wheel allowed, in units of 2**20 bytes.
    RETURNS (Path): The wheel.
    RAISES (ValueError): For a wrong name, version, meta data or source, or a wheel too large.
    """
    model_dir, out_dir = Path(model_dir), Path(out_dir)
    _check_names(model_dir, name, version)
    nlp = spacy.load(model_dir)
    graph = [source for node in _nodes(nlp) for source in node.attrs.get("sources", ())]
    full_meta = complete_meta(nlp.meta, meta, name=name, version=version, graph=graph)
    if half:
        halve(nlp)
    with tempfile.TemporaryDirectory() as folder:
        stage, project = Path(folder) / "stage", Path(folder) / "project"
        project.mkdir()
        _write_stage(nlp, stage, full_meta)
        package(stage, project, create_sdist=False, create_wheel=False)
        wheel = _build_wheel(next(project.iterdir()), Path(folder) / "dist")
        _check_size(wheel, max_megabytes)
        out_dir.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, out_dir / wheel.name))


def install_package(wheel: Union[str, Path], target: Optional[Union[str, Path]] = None) -> str:
    """Install a wheel without its dependencies and without a network.

    wheel (Union[str, Path]): The wheel.
    target (Optional[Union[str, Path]]): Folder to install into; None for this environment.
    RETURNS (str): Name for `spacy.load`.
    RAISES (ValueError): If there is no such wheel or pip fails.
    """
    wheel = Path(wheel)
    if wheel.suffix != ".whl" or not wheel.is_file():
        raise ValueError(f"No wheel at '{wheel}'. Expected a .whl file made by `clinbert package`.")
    place = ["--target", str(target), "--upgrade"] if target is not None else []
    options = ["--no-deps", "--no-index", "--force-reinstall", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, *place, str(wheel)]
    _run(command, "installing the wheel", "Is pip in this environment?")
    return wheel.name.split("-")[0]


def halve(nlp: Language) -> None:
    """Make our torch layers save their weights in half precision. Memory is left alone.

    nlp (Language): The pipeline.
    """
    for node in _nodes(nlp):
        for shim in node.shims:
            if hasattr(shim, "save_dtype"):
                shim.save_dtype = "float16"


def strip_paths(value: Any) -> Tuple[Any, List[str]]:
    """Reduce absolute paths in a config to their last name.

    value (Any): A config, or any value in one.
    RETURNS (Tuple[Any, List[str]]): The value without, and the paths found.
    """
    if isinstance(value, str):
        absolute = value.startswith(("/", "~")) or PureWindowsPath(value).is_absolute()
        return (PureWindowsPath(value).name, [value]) if absolute else (value, [])
    if isinstance(value, Mapping):
        pairs = {key: strip_paths(inner) for key, inner in value.items()}
        clean = {key: kept for key, (kept, _) in pairs.items()}
        return clean, [path for _, paths in pairs.values() for path in paths]
    if isinstance(value, (list, tuple)):
        items = [strip_paths(inner) for inner in value]
        return [kept for kept, _ in items], [path for _, paths in items for path in paths]
    return value, []


def _nodes(nlp: Language) -> Iterator[Model]:
    for _, proc in nlp.components:
        model = getattr(proc, "model", None)
        if isinstance(model, Model):
            yield from model.walk()


def _check_names(model_dir: Path, name: str, version: str) -> None:
    if not (model_dir / "config.cfg").is_file():
        raise ValueError(f"No pipeline at '{model_dir}': expected a folder with a config.cfg.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(f"Package name '{name}': expected small letters, digits and single '_'.")
    try:
        Version(version)
    except InvalidVersion as error:
        raise ValueError(f"Version '{version}': expected the form of '0.1.0'.") from error


def _write_stage(nlp: Language, stage: Path, meta: Mapping[str, Any]) -> None:
    _forget_folders(nlp)
    nlp.to_disk(stage)
    # an encoder named by ${paths.encoder} must still be named when the paths are gone
    config = Config().from_disk(stage / "config.cfg", interpolate=True)
    given = [value for value in config.get("paths", {}).values() if isinstance(value, str)]
    config["paths"] = {key: None for key in config.get("paths", {})}
    clean, found = strip_paths(config)
    Config(clean).to_disk(stage / "config.cfg")
    srsly.write_json(stage / "meta.json", dict(meta))
    (stage / "README.md").write_text(model_card(meta), encoding="utf8")
    (stage / "LICENSES_SOURCES").write_text(licence_list(meta), encoding="utf8")
    _check_leaks(stage, [*found, *strip_paths(given)[1]])


def _forget_folders(nlp: Language) -> None:
    """What is saved with the weights may name the folder that an encoder came from."""
    for node in _nodes(nlp):
        texts = {key: value for key, value in node.attrs.items() if isinstance(value, str)}
        node.attrs.update(strip_paths(texts)[0])
        for shim in node.shims:
            if hasattr(shim, "hf_config"):
                shim.hf_config = strip_paths(shim.hf_config)[0]


def _check_leaks(stage: Path, paths: List[str]) -> None:
    for file in sorted(path for path in stage.rglob("*") if path.is_file()):
        content = file.read_bytes() if paths else b""
        if any(path.encode("utf8") in content for path in paths):
            raise ValueError(
                f"'{file.relative_to(stage)}' holds an absolute path of this machine. The "
                f"component that wrote it must save a name only."
            )


def _build_wheel(project: Path, dist: Path) -> Path:
    dist.mkdir()
    remedy = "Building needs setuptools>=70.1 in this environment."
    _run([sys.executable, "-c", BUILD, str(dist)], "building the wheel", remedy, project)
    return next(dist.glob("*.whl"))


def _run(command: List[str], task: str, remedy: str, folder: Optional[Path] = None) -> None:
    environment = {"SOURCE_DATE_EPOCH": EPOCH, **os.environ}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ValueError(f"Failed at {task} (exit status {done.returncode}). {remedy}\n{said}")


def _check_size(wheel: Path, max_megabytes: float) -> None:
    size = wheel.stat().st_size / 2**20
    if size <= max_megabytes:
        return
    with zipfile.ZipFile(wheel) as archive:
        parts = sorted(archive.infolist(), key=lambda part: -part.compress_size)[:3]
    largest = ", ".join(f"{p.filename} {p.compress_size / 2**20:.1f} MB" for p in parts)
    raise ValueError(
        f"The wheel '{wheel.name}' has {size:.1f} MB, allowed are {max_megabytes:g}. Largest: "
        f"{largest}. Save in half precision, or train from a smaller encoder."
    )
