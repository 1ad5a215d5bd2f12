"""A pretraining on disk: its state, its log, and the checkpoint that it ends with."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForMaskedLM

from ..corpora.files import write_text
from ..models.shims import SAVE_DTYPES
from .checkpoint import replace_folder
from .objectives import PretrainingNet
from .pretrain_card import write_card
from .pretrain_settings import Settings
from .pretrain_setup import Prepared

MODEL_FOLDER = "model"
STATE_FOLDER = "state"
LOG_FILE = "log.jsonl"
# These decide when a run saves and looks, not what an update does.
FREE = {"save_every", "evaluate_every", "evaluate_rows", "device", "save_dtype"}


@dataclass
class Progress:
    """How far a pretraining is.

    step (int): Updates done.
    pieces (int): Wordpieces seen, special ones included.
    seconds (float): Time spent, all sessions together.
    logged_at (int): Step of the last row in the log.
    sums (Dict[str, float]): Losses summed since then.
    """

    step: int = 0
    pieces: int = 0
    seconds: float = 0.0
    logged_at: int = 0
    sums: Dict[str, float] = field(default_factory=dict)


@dataclass
class Saved:
    """What was read from disk to go on: progress, log, and the tensors."""

    progress: Progress
    log: List[Dict[str, Any]]
    tensors: Dict[str, torch.Tensor]


def prepare_output(output: Path, *, resume: bool, overwrite: bool) -> bool:
    """Make the output folder.

    output (Path): The folder.
    resume (bool): Go on, where there is something to go on from.
    overwrite (bool): Delete what a pretraining left here.
    RETURNS (bool): There is a state to go on from.
    RAISES (ValueError): The folder is taken and neither was asked for, or both were.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: choose one.")
    ours = [output / name for name in (MODEL_FOLDER, STATE_FOLDER, LOG_FILE)]
    taken = [path.name for path in ours if path.exists()]
    if overwrite:
        for path in ours:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    elif taken and not resume:
        raise ValueError(f"{output} holds {taken} of an earlier run: use --resume or --overwrite.")
    output.mkdir(parents=True, exist_ok=True)
    return resume and (output / STATE_FOLDER).is_dir()


def settings_hash(settings: Settings) -> str:
    """Hash the settings that decide what an update does. RETURNS (str): In hexadecimal."""
    values = json.loads(settings.model_dump_json(exclude={"card", "paths"}))
    values["training"] = {k: v for k, v in values["training"].items() if k not in FREE}
    values["text"].pop("cache")
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def save(
    output: Path,
    settings: Settings,
    net: PretrainingNet,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    log: List[Dict[str, Any]],
) -> None:
    """Write a state, whole or not at all.

    output (Path): The folder of the run.
    settings (Settings): Its settings.
    net (PretrainingNet): Weights.
    optimizer (torch.optim.Optimizer): Its moments.
    progress (Progress): How far it is.
    log (List[Dict]): Rows so far.
    """
    names = _parameter_names(net)
    tensors = {f"net.{name}": p.detach() for name, p in net.named_parameters()}
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            tensors[f"{key}.{names[parameter]}"] = value.detach()
    tensors["random"] = torch.get_rng_state()
    record = {"settings": settings_hash(settings), "progress": asdict(progress), "log": log}

    def write(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        whole = {name: value.contiguous().cpu() for name, value in tensors.items()}
        save_file(whole, folder / "tensors.safetensors")
        (folder / "state.json").write_text(json.dumps(record), "utf8")

    replace_folder(output / STATE_FOLDER, write)


def _parameter_names(net: nn.Module) -> Dict[nn.Parameter, str]:
    return {parameter: name for name, parameter in net.named_parameters()}


def read_state(output: Path, settings: Settings) -> Saved:
    """Read a state back.

    output (Path): The folder of the run.
    settings (Settings): They must be those of the run.
    RETURNS (Saved): Progress and tensors.
    RAISES (ValueError): The settings changed, or the state is broken.
    """
    folder = output / STATE_FOLDER
    path = folder / "state.json"
    if not path.is_file():
        raise ValueError(f"{folder} lacks state.json: begin again with --overwrite.")
    record = json.loads(path.read_text("utf8"))
    if record["settings"] != settings_hash(settings):
        raise ValueError(
            f"The config differs from the one that {folder} was made with: put it back as it "
            "was, or begin again with --overwrite."
        )
    tensors = load_file(folder / "tensors.safetensors")
    return Saved(Progress(**record["progress"]), record["log"], tensors)


def restore(saved: Saved, net: PretrainingNet, optimizer: torch.optim.Optimizer) -> None:
    """Put a state back into a network and its optimizer.

    saved (Saved): From `read_state`.
    net (PretrainingNet): Changed in place.
    optimizer (torch.optim.Optimizer): Changed in place.
    """
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(saved.tensors[f"net.{name}"])
            moments = ("step", "exp_avg", "exp_avg_sq")
            found = {key: saved.tensors.get(f"{key}.{name}") for key in moments}
            if found["step"] is not None:
                # The fused AdamW keeps its step counts beside the weights.
                device = parameter.device
                optimizer.state[parameter] = {k: v.to(device) for k, v in found.items()}
    torch.set_rng_state(saved.tensors["random"])


def write_log(output: Path, log: List[Dict[str, Any]]) -> None:
    """Write the log, a JSON object a line. output (Path): The folder of the run."""
    write_text(output / LOG_FILE, "".join(json.dumps(row) + "\n" for row in log))


def write_model(
    output: Path,
    prepared: Prepared,
    settings: Settings,
    progress: Progress,
    log: List[Dict[str, Any]],
) -> None:
    """Write the checkpoint: weights, tokenizer, the heads beside them, a card.

    output (Path): The folder of the run.
    prepared (Prepared): Networks and tokenizer.
    settings (Settings): For the card.
    progress (Progress): For the card.
    log (List[Dict]): For the card.
    """
    net = prepared.net
    heads = {n: p.detach().cpu().contiguous() for n, p in net.named_parameters()}
    heads = {n: p for n, p in heads.items() if not n.startswith("model.")}

    def write(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_encoder(net.model, folder, settings.training.save_dtype)
        prepared.tokenizer.save_pretrained(folder)
        save_file(heads, folder / "heads.safetensors")
        write_card(folder, prepared, settings, asdict(progress), log)

    replace_folder(output / MODEL_FOLDER, write)


def save_encoder(model: BertForMaskedLM, folder: Path, dtype: str) -> None:
    """Write weights in Hugging Face's form, rounded to a type, the network unchanged.

    model (BertForMaskedLM): The network.
    folder (Path): The folder, which exists.
    dtype (str): float32, float16 or bfloat16.
    """
    # Rounding would part the output weights from the embeddings that they are tied to.
    tied = set(model._tied_weights_keys or ())
    state = {n: v for n, v in model.state_dict().items() if n not in tied}
    rounded = {n: v.to(SAVE_DTYPES[dtype]) for n, v in state.items()}
    model.save_pretrained(folder, state_dict=rounded)
