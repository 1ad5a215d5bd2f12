"""Wordpieces per second in pretraining, beside a plain `transformers` Trainer."""

import copy
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from timeit import default_timer
from typing import Any, Callable, Dict, List

import numpy
import torch
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from .pretrain_settings import MaskedWords, ObjectiveSettings, Settings
from .pretraining import Run, begin, update
from .sequences import make_rows, plan_pass


def compare_speed(
    settings: Settings,
    *,
    steps: int,
    rounds: int,
    on_step: Callable[[], None] = lambda: None,
) -> Dict[str, Any]:
    """Time masked-word training in both, taking turns, on rows of the same text and shape.

    settings (Settings): As for `pretrain`; the other objectives are left out.
    steps (int): Updates of each in a round.
    rounds (int): Rounds; the median counts. One more before them warms up.
    on_step (Callable): Called after each round.
    RETURNS (Dict[str, Any]): Pieces per second of `ours` and `trainer`, `ratio`, threads, type.
    RAISES (ImportError): The Trainer needs the package accelerate.
    """
    alone = ObjectiveSettings(masked_words=MaskedWords(whole_entities=False))
    settings = settings.model_copy(update={"objectives": alone, "graph": None})
    with TemporaryDirectory() as folder:
        run = begin(settings, Path(folder))
        trainer = make_trainer(run, Path(folder), steps)
        found: Dict[str, List[float]] = {"ours": [], "trainer": []}
        for number in range(rounds + 1):
            for name, rate in (("ours", _ours(run, steps)), ("trainer", _theirs(trainer, run))):
                if number:
                    found[name].append(rate)
            on_step()
    rates = {name: median(values) for name, values in found.items()}
    return {
        **rates,
        "ratio": rates["ours"] / rates["trainer"],
        "threads": torch.get_num_threads(),
        "dtype": str(run.dtype).removeprefix("torch."),
        "rows": settings.training.batch_rows,
        "length": settings.training.length,
        "rounds": rounds,
        "steps": steps,
    }


def _ours(run: Run, steps: int) -> float:
    start, before = default_timer(), run.progress.pieces
    for _ in range(steps):
        update(run)
        run.progress.step += 1
    return (run.progress.pieces - before) / (default_timer() - start)


def make_trainer(run: Run, folder: Path, steps: int) -> Any:
    """Build a plain Trainer: its own loop, collator, autocast and attention.

    run (Run): Where network, text and shape come from.
    folder (Path): For its files.
    steps (int): Updates.
    RETURNS (transformers.Trainer): Ready to train a copy of the network.
    """
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    training = run.training
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=training.batch_rows,
        learning_rate=training.learn_rate,
        weight_decay=training.weight_decay,
        bf16=run.dtype == torch.bfloat16,
        use_cpu=run.device.type == "cpu",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    model = BertForMaskedLM(copy.deepcopy(run.prepared.net.model.config))
    model.load_state_dict(run.prepared.net.model.state_dict())
    tokenizer: PreTrainedTokenizerBase = run.prepared.tokenizer
    rate = run.settings.objectives.masked_words.rate
    return Trainer(
        model=model,
        args=arguments,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=rate),
        train_dataset=_rows(run, steps * training.batch_rows),
    )


def _rows(run: Run, count: int) -> List[Dict[str, Any]]:
    stream, length = run.prepared.stream, run.training.length
    stretches = plan_pass(stream.cache, stream.weights, length - 2, 0, 0)
    chosen = numpy.resize(stretches, (count, 3))
    rng = numpy.random.default_rng(0)
    rows = make_rows(stream.cache, chosen, length, stream.pieces, rng, (0.0, 0.0))
    return [
        {"input_ids": ids, "attention_mask": mask.astype("int64")}
        for ids, mask in zip(rows.ids, rows.mask)
    ]


def _theirs(trainer: Any, run: Run) -> float:
    pieces = sum(int(row["attention_mask"].sum()) for row in trainer.train_dataset)
    start = default_timer()
    trainer.train()
    return pieces / (default_timer() - start)
