"""What `clinbert info` shows: versions, threads, device, processor, pipelines."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, List

PACKAGES = (
    "clinbert-spacy", "spacy", "spacy-transformers", "transformers", "tokenizers", "thinc",
    "torch", "scispacy", "safetensors", "numpy",
)  # fmt: skip
FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "bf16",
    "asimd",
)  # fmt: skip
META = ("version", "spacy_version", "license", "description", "components", "performance")


def collect_info() -> Dict[str, Any]:
    """Everything as plain data.

    RETURNS (Dict[str, Any]): python, platform, packages, torch, pipelines.
    """
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "torch": torch_info(),
        "pipelines": installed_pipelines(),
    }


def package_version(name: str) -> str:
    """Version of an installed distribution, or "not installed"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def torch_info() -> Dict[str, Any]:
    """Threads, device, and what the processor can do.

    RETURNS (Dict[str, Any]): threads, device (what pipelines use by default), gpus (those that
        torch sees), gpu_use (how to get one used, or what is missing), cpu_capability as torch
        says, cpu_features, cpu_precision (what a BERT reads in on the CPU unless a config says).
    """
    import torch
    from thinc.api import get_torch_default_device

    from .models.reading import cpu_precision

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "threads": torch.get_num_threads(),
        "device": get_torch_default_device().type,
        "gpus": gpus,
        "gpu_use": gpu_use(len(gpus)),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_features": cpu_features(),
        "cpu_precision": cpu_precision(),
    }


def gpu_use(n_gpus: int) -> str:
    """What it takes to compute on a GPU here.

    n_gpus (int): GPUs that torch sees.
    """
    from thinc.util import has_cupy_gpu

    if has_cupy_gpu and n_gpus:
        return "--gpu-id 0, or spacy.prefer_gpu() before spacy.load"
    if has_cupy_gpu:
        return "no: this torch build sees no GPU"
    return "no: needs CuPy, the extra 'cuda'" if n_gpus else "no: no GPU found"


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> List[str]:
    """Vector and matrix units that matter for speed; empty where the system does not tell."""
    if not cpuinfo.is_file():
        return []
    lines = cpuinfo.read_text("utf8").splitlines()
    flags = [line for line in lines if line.lower().startswith(("flags", "features"))]
    present = set(flags[0].split()) if flags else set()
    return [flag for flag in FLAGS if flag in present]


def installed_pipelines() -> Dict[str, Dict[str, Any]]:
    """Installed pipeline packages with what their meta.json says; none is imported or loaded."""
    from spacy import util

    pipelines = {}
    for name in sorted(util.get_installed_models()):
        folder = util.get_package_path(name)
        metas = sorted([folder / "meta.json", *folder.glob("*/meta.json")])
        found = next((path for path in metas if path.is_file()), None)
        meta = util.load_meta(found) if found else {}
        pipelines[name] = {key: meta[key] for key in META if key in meta}
    return pipelines
