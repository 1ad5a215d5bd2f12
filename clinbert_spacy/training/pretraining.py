"""Pretrain a BERT on one's own text: `clinbert pretrain`.

Batch n depends on the config alone, so that a run that was killed goes on as if it had not been.
Several processes (torchrun) take turns with the micro-batches of a step.
"""

import math
import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from timeit import default_timer
from typing import Any, Callable, Dict, Iterator, List, Mapping

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..models.shims import autocast_dtype
from . import pretrain_state as state
from .objectives import PretrainingNet
from .pretrain_data import Stream
from .pretrain_settings import Settings, TrainingSettings
from .pretrain_setup import Prepared, prepare

OnStep = Callable[[Dict[str, Any]], None]
OnPhase = Callable[[str, int], None]
HELD_OUT_SEED = 10_007  # keeps batches of the held-out text apart from those trained on


@dataclass
class Run:
    """A pretraining under way.

    settings (Settings): All settings.
    prepared (Prepared): Networks, tokenizer and batches.
    net (nn.Module): The network, wrapped where several processes share it.
    optimizer (torch.optim.Optimizer): AdamW.
    device (torch.device): Where it runs.
    dtype (torch.dtype): What the encoder computes in.
    output (Path): The folder.
    n_steps (int): Updates in all.
    progress (state.Progress): How far it is.
    log (List[Dict]): One row per evaluation.
    """

    settings: Settings
    prepared: Prepared
    net: nn.Module
    optimizer: torch.optim.Optimizer
    device: torch.device
    dtype: torch.dtype
    output: Path
    n_steps: int
    progress: state.Progress = field(default_factory=state.Progress)
    log: List[Dict[str, Any]] = field(default_factory=list)

    @property
    def training(self) -> TrainingSettings:
        """The block [training]. RETURNS (TrainingSettings): Out of the settings."""
        return self.settings.training


def pretrain(
    settings: Settings,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_step: OnStep = lambda info: None,
    on_phase: OnPhase = lambda name, done: None,
) -> Path:
    """Pretrain, and write a checkpoint folder of Hugging Face's form.

    settings (Settings): From `read_settings`.
    output (Path): Gets `model/` (weights, tokenizer, card), `state/`, `log.jsonl`, `loss.png`.
    resume (bool): Go on from `state/`; begin where there is none.
    overwrite (bool): Begin again.
    on_step (Callable): Called after each update with step, steps, loss, losses, pieces per second.
    on_phase (Callable): Called while text is read: name of the phase and documents done.
    RETURNS (Path): The checkpoint folder.
    RAISES (ValueError): For a taken output, a changed config, files that cannot be read.
    """
    going_on = state.prepare_output(output, resume=resume, overwrite=overwrite)
    record = state.read_state(output, settings) if going_on else None
    run = begin(settings, output, on_phase)
    if record is not None:
        state.restore(record, run.prepared.net, run.optimizer)
        run.progress, run.log = record.progress, record.log
    for info in _steps(run):
        if _is_first():
            on_step(info)
    if _is_first():
        _save(run)
        state.write_model(output, run.prepared, settings, run.progress, run.log)
    return output / state.MODEL_FOLDER


def begin(settings: Settings, output: Path, on_phase: OnPhase = lambda name, done: None) -> Run:
    """Build everything up to the first update.

    settings (Settings): All settings.
    output (Path): The folder.
    on_phase (Callable): See `pretrain`.
    RETURNS (Run): Nothing done yet.
    """
    training = settings.training
    torch.manual_seed(training.seed)
    device = _device(training.device)
    prepared = prepare(settings, on_phase)
    net = prepared.net.to(device).train()
    wrapped: nn.Module = net
    if _join_processes(device):
        wrapped = DistributedDataParallel(net, find_unused_parameters=True)
    steps = training.max_steps or round(training.passes * _steps_per_pass(prepared.stream))
    return Run(
        settings=settings,
        prepared=prepared,
        net=wrapped,
        optimizer=_optimizer(net, training),
        device=device,
        dtype=_dtype(training.precision, device),
        output=output,
        n_steps=max(1, steps),
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"[training] device = {name}: torch finds no GPU here. Set it to cpu.")
    rank = int(os.environ.get("LOCAL_RANK", 0))
    return torch.device(f"cuda:{rank}" if name == "cuda" else name)


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    dtype = autocast_dtype(device)
    # float16 would need its loss scaled
    return torch.float32 if dtype == torch.float16 else dtype


def _join_processes(device: torch.device) -> bool:
    """Meet the other processes that torchrun started. RETURNS (bool): There are any."""
    if _world() == 1:
        return False
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return True


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def _is_first() -> bool:
    return int(os.environ.get("RANK", 0)) == 0


def _steps_per_pass(stream: Stream) -> float:
    return stream.batches_per_pass() / stream.training.accumulate


def _optimizer(net: PretrainingNet, training: TrainingSettings) -> torch.optim.Optimizer:
    groups: Dict[tuple, List[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        decays = parameter.dim() > 1 and "LayerNorm" not in name
        scale = 1.0 if name.startswith("model.") else training.head_lr_scale
        groups.setdefault((decays, scale), []).append(parameter)
    blocks = [
        {
            "params": parameters,
            "weight_decay": training.weight_decay if decays else 0.0,
            "scale": scale,
        }
        for (decays, scale), parameters in groups.items()
    ]
    return torch.optim.AdamW(blocks, lr=training.learn_rate, fused=True)


def learn_rate(step: int, n_steps: int, training: TrainingSettings) -> float:
    """Rise over the warm-up, then fall to nothing at the end.

    step (int): Number of the update, from 0.
    n_steps (int): Updates in all.
    training (TrainingSettings): Rate and warm-up.
    RETURNS (float): The rate of this update.
    """
    warm = max(1, round(training.warmup * n_steps))
    if step < warm:
        return training.learn_rate * (step + 1) / warm
    return training.learn_rate * max(0.0, (n_steps - step) / max(1, n_steps - warm))


def _steps(run: Run) -> Iterator[Dict[str, Any]]:
    start = default_timer() - run.progress.seconds
    began_at, began_pieces = default_timer(), run.progress.pieces
    while run.progress.step < run.n_steps:
        losses = update(run)
        progress = run.progress
        progress.step += 1
        progress.seconds = default_timer() - start
        for name, value in losses.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        elapsed = default_timer() - began_at
        last = progress.step == run.n_steps
        if progress.step % run.training.evaluate_every == 0 or last:
            _log(run)
        yield {
            "step": progress.step,
            "steps": run.n_steps,
            "losses": losses,
            "pieces": progress.pieces,
            "rate": (progress.pieces - began_pieces) / max(elapsed, 1e-9),
            "row": run.log[-1] if run.log and run.log[-1]["step"] == progress.step else None,
        }
        if progress.step % run.training.save_every == 0 and not last and _is_first():
            _save(run)


def update(run: Run) -> Dict[str, float]:
    """Make one update of the weights.

    run (Run): Changed: weights, optimizer, pieces seen; not the step.
    RETURNS (Dict[str, float]): Losses by name, means over micro-batches; counts summed.
    """
    training, world = run.training, _world()
    rank = int(os.environ.get("RANK", 0))
    for group in run.optimizer.param_groups:
        group["lr"] = learn_rate(run.progress.step, run.n_steps, training) * group["scale"]
    found: Dict[str, List[float]] = {}
    for part in range(training.accumulate):
        number = (run.progress.step * training.accumulate + part) * world + rank
        batch = _to_device(run.prepared.stream.batch(number), run.device)
        last = part == training.accumulate - 1
        waits = isinstance(run.net, DistributedDataParallel) and not last
        with run.net.no_sync() if waits else nullcontext():  # type: ignore[operator]
            losses = run.net(batch, run.dtype)
            (losses["loss"] / training.accumulate).backward()
        run.progress.pieces += int(batch["pieces"]) * world
        for name, value in losses.items():
            found.setdefault(name, []).append(float(value.detach()))
    nn.utils.clip_grad_norm_(run.prepared.net.parameters(), training.grad_clip)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    counts = {"hits", "hidden"}
    return {n: sum(v) if n in counts else sum(v) / len(v) for n, v in found.items()}


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _to_device(inner, device) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_to_device(inner, device) for inner in value)
    return value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value


def _log(run: Run) -> None:
    """Append a row: means since the last one, and the losses on held-out text."""
    sums, since = run.progress.sums, run.progress.step - run.progress.logged_at
    row: Dict[str, Any] = {
        "step": run.progress.step,
        "pieces": run.progress.pieces,
        "seconds": round(run.progress.seconds, 1),
        "train": _means(sums, max(1, since)),
    }
    if run.prepared.held_out is not None:
        row["held_out"] = held_out_losses(run.prepared, run.device, run.dtype)
    run.progress.sums, run.progress.logged_at = {}, run.progress.step
    run.log.append(row)
    if _is_first():
        state.write_log(run.output, run.log)


def _means(sums: Mapping[str, float], count: int) -> Dict[str, float]:
    means = {n: v / count for n, v in sums.items() if n not in ("hits", "hidden")}
    if sums.get("hidden"):
        means["piece_accuracy"] = sums["hits"] / sums["hidden"]
    return {name: round(value, 5) for name, value in means.items()}


@torch.no_grad()
def held_out_losses(
    prepared: Prepared, device: torch.device, dtype: torch.dtype
) -> Dict[str, float]:
    """Score the objectives on a fixed sample of the held-out text.

    prepared (Prepared): Network and held-out batches.
    device (torch.device): Where.
    dtype (torch.dtype): What the encoder computes in.
    RETURNS (Dict[str, float]): Mean losses and `piece_accuracy`.
    """
    stream = prepared.held_out
    if stream is None:
        return {}
    count = math.ceil(stream.training.evaluate_rows / stream.training.batch_rows)
    prepared.net.eval()
    sums: Dict[str, float] = {}
    for number in range(min(count, stream.batches_per_pass())):
        losses = prepared.net(_to_device(stream.batch(number), device), dtype)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    prepared.net.train()
    return _means(sums, max(1, min(count, stream.batches_per_pass())))


def _save(run: Run) -> None:
    state.save(run.output, run.settings, run.prepared.net, run.optimizer, run.progress, run.log)
