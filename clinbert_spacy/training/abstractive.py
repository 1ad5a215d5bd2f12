"""Train a generator of summaries: `clinbert train-abstractive`.

A BERT2BERT (Rothe et al. 2020) out of one encoder, by `transformers`' Seq2SeqTrainer. It is not
part of any pipeline that ships: it invents, and what it writes has no place in the note.
"""

import hashlib
import json
import shutil
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import torch
from safetensors.torch import save_file
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging as hf_logging

from ..corpora.files import write_text
from ..corpora.pairs import describe, find_pairs
from ..models.generator_shim import ABOUT_FILE, untied_state
from ..models.shims import autocast_dtype
from .abstractive_settings import AbstractiveSettings
from .abstractive_start import Ready, make_ready, pad_rows
from .checkpoint import replace_folder

MODEL_FOLDER, STATE_FOLDER, RECORD_FILE, LOG_FILE = "model", "state", "record.json", "log.jsonl"
ABOUT = (
    "Writes summaries in words of its own. It invents: every entity and number in its text has to "
    "be checked against the note. Research and human-reviewed chart abstraction; not a medical "
    "device, not for treatment decisions."
)
OnStep = Callable[[Dict[str, Any]], None]


def train_abstractive(
    settings: AbstractiveSettings,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_step: OnStep = lambda info: None,
) -> Path:
    """Train, and write a folder that `clinbert_abstractive` loads.

    settings (AbstractiveSettings): From `read_abstractive`.
    output (Path): Gets `model/`, `state/` (the last two checkpoints) and `log.jsonl`.
    resume (bool): Go on from `state/`; begin where there is none. overwrite (bool): Begin again.
    on_step (Callable): Called after each update with step, steps and the last row of the log.
    RETURNS (Path): The folder `model`: the weights with the least loss on the dev part, or the
        last ones without such a part.
    RAISES (ValueError): accelerate is missing, the output is taken, the config changed, or
        something in it cannot be used.
    """
    if find_spec("accelerate") is None:
        raise ValueError(
            "Training a generator needs the package accelerate: install the extra `trainer`, for "
            "instance with pip install -e '.[trainer]'."
        )
    going_on = prepare_output(output, settings, resume=resume, overwrite=overwrite)
    ready = make_ready(settings)
    trainer = make_trainer(settings, ready, output, on_step)
    state = get_last_checkpoint(str(output / STATE_FOLDER)) if going_on else None
    with quiet():
        trainer.train(resume_from_checkpoint=state)
    log = list(trainer.state.log_history)
    write_text(output / LOG_FILE, "".join(json.dumps(row) + "\n" for row in log))
    write_model(output / MODEL_FOLDER, settings, ready, log, trainer.state.global_step)
    return output / MODEL_FOLDER


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what `transformers` says of its own code, and of weights that are tied."""
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(transformers|torch|accelerate)\b")
            yield
    finally:
        hf_logging.set_verbosity(level)


def prepare_output(
    output: Path, settings: AbstractiveSettings, *, resume: bool, overwrite: bool
) -> bool:
    """Make the output folder.

    output (Path): The folder. settings (AbstractiveSettings): Recorded, to be compared on resuming.
    resume (bool), overwrite (bool): What was asked for.
    RETURNS (bool): There is a state to go on from.
    RAISES (ValueError): The folder is taken and neither was asked for, or both were, or the state
        was made with other settings.
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: choose one.")
    ours = [output / name for name in (MODEL_FOLDER, STATE_FOLDER, RECORD_FILE, LOG_FILE)]
    taken = [path.name for path in ours if path.exists()]
    if taken and not (resume or overwrite):
        raise ValueError(f"{output} holds {taken} of an earlier run: use --resume or --overwrite.")
    for path in ours if overwrite else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    record, digest = output / RECORD_FILE, settings_hash(settings)
    if record.is_file() and json.loads(record.read_text("utf8")).get("settings") != digest:
        raise ValueError(
            f"The config differs from the one that {output} was made with: put it back as it was, "
            "or begin again with --overwrite."
        )
    write_text(record, json.dumps({"settings": digest}) + "\n")
    return resume and (output / STATE_FOLDER).is_dir()


def settings_hash(settings: AbstractiveSettings) -> str:
    """Hash the settings that decide what an update does. RETURNS (str): In hexadecimal."""
    values = json.loads(settings.model_dump_json(exclude={"card", "paths"}))
    for free in ("device", "save_dtype"):
        del values["training"][free]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def make_trainer(
    settings: AbstractiveSettings, ready: Ready, output: Path, on_step: OnStep = lambda info: None
) -> Seq2SeqTrainer:
    """Build the Trainer.

    settings (AbstractiveSettings): How long and how fast. ready (Ready): Network and pairs.
    output (Path): Where its state goes. on_step (Callable): See `train_abstractive`.
    RETURNS (Seq2SeqTrainer): Ready to train the network in place.
    """
    pad = int(ready.tokenizer.pad_token_id)
    trainer = Seq2SeqTrainer(
        model=ready.network,
        args=_arguments(settings, output, bool(ready.dev.rows)),
        data_collator=lambda rows: pad_rows(rows, pad),
        train_dataset=ready.train.rows,
        eval_dataset=ready.dev.rows or None,
        callbacks=[_Watch(on_step)],
    )
    for other in ("PrinterCallback", "ProgressCallback"):
        for callback in list(trainer.callback_handler.callbacks):
            if type(callback).__name__ == other:
                trainer.remove_callback(callback)
    return trainer


def _arguments(
    settings: AbstractiveSettings, output: Path, has_dev: bool
) -> Seq2SeqTrainingArguments:
    training = settings.training
    cpu = training.device == "cpu" or not torch.cuda.is_available()
    every = training.evaluate_every
    half = training.precision == "bfloat16" or (
        training.precision == "auto"
        and autocast_dtype(torch.device("cpu" if cpu else "cuda")) == torch.bfloat16
    )
    return Seq2SeqTrainingArguments(
        output_dir=str(output / STATE_FOLDER),
        max_steps=training.max_steps or -1,
        num_train_epochs=training.passes or 1,
        per_device_train_batch_size=training.batch_rows,
        per_device_eval_batch_size=training.batch_rows,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=training.learn_rate,
        warmup_ratio=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.grad_clip,
        seed=training.seed,
        bf16=half,
        use_cpu=cpu,
        eval_strategy="steps" if has_dev else "no",
        save_strategy="steps",
        eval_steps=every,
        save_steps=every,
        logging_steps=every,
        save_total_limit=2,
        load_best_model_at_end=has_dev,
        metric_for_best_model="loss" if has_dev else None,
        greater_is_better=False if has_dev else None,
        report_to=[],
        disable_tqdm=True,
        # rows of a batch are padded to the longest one
        group_by_length=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


class _Watch(TrainerCallback):
    """Passes progress on."""

    def __init__(self, on_step: OnStep):
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer after each update."""
        row = state.log_history[-1] if state.log_history else {}
        self.on_step({"step": state.global_step, "steps": state.max_steps, "row": dict(row)})


def write_model(
    folder: Path, settings: AbstractiveSettings, ready: Ready, log: List[Dict[str, Any]], step: int
) -> None:
    """Write weights, pieces, and what the model says of itself; whole or not at all.

    folder (Path): The folder to be. settings (AbstractiveSettings): What was asked for.
    ready (Ready): The network, trained. log (List[Dict]): Rows of the Trainer. step (int): Updates.
    """
    about = describe_model(settings, ready, log, step)
    state = untied_state(ready.network, settings.training.save_dtype)

    def write(target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        ready.network.config.save_pretrained(target)
        ready.tokenizer.save_pretrained(target)
        save_file(state, target / "model.safetensors", metadata={"format": "pt"})
        (target / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", "utf8")

    replace_folder(folder, write)


def describe_model(
    settings: AbstractiveSettings, ready: Ready, log: List[Dict[str, Any]], step: int
) -> Dict[str, Any]:
    """Gather what the model says of itself.

    RETURNS (Dict[str, Any]): Plain data; `sources` with their licences, `ships`, `lengths`.
    """
    losses = [row["eval_loss"] for row in log if "eval_loss" in row]
    return {
        "title": settings.card.title,
        "about": ABOUT,
        "sources": describe(list(settings.pairs)),
        "ships": settings.card.ships and all(find_pairs(name).ships for name in settings.pairs),
        "start": Path(settings.start.name).name,
        "lengths": json.loads(settings.lengths.model_dump_json()),
        "training": json.loads(settings.training.model_dump_json()),
        "pairs": {
            name: {"read": rows.read, "used": len(rows.rows), "too_long": rows.too_long}
            for name, rows in (("train", ready.train), ("dev", ready.dev))
        },
        "updates": step,
        "dev_loss": min(losses, default=None),
    }
