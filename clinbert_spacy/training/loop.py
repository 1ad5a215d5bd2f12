"""Train a pipeline from a spaCy config, and go on after an interruption.

spaCy's own pieces do the work (batches, evaluation, meta data, loggers). What is ours: the loop can
start in the middle, and each evaluation leaves a checkpoint. Batches are drawn under random states
of their own, so a replay without updates finds the place in the data again.
"""

import io
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from timeit import default_timer
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    create_before_to_disk_callback,
    create_evaluation_callback,
    create_train_batches,
    subdivide_batch,
    update_meta,
)
from spacy.util import registry, resolve_dot_names
from thinc.api import (
    Config,
    Model,
    Optimizer,
    constant,
    fix_random_seed,
    require_gpu,
    set_gpu_allocator,
)

from .checkpoint import (
    DIR_CHECKPOINT,
    FREE_SETTINGS,
    Progress,
    check_same_config,
    load_pipeline,
    prepare_output,
    read_record,
    replace_folder,
    restore_optimizer,
    save_checkpoint,
)
from .checks import check_listeners, link_listeners, read_config
from .randomness import private_random, set_random_state
from .state import bake_averages

OnStep = Callable[[Dict[str, Any]], None]


@dataclass
class Run:
    """One training run.

    nlp (Language): The pipeline.
    settings (Dict[str, Any]): The resolved block [training].
    config (Dict[str, Any]): The config as given, interpolated.
    progress (Progress): How far it is.
    batches (Iterator): (epoch, examples), from the first one not yet trained on.
    dropouts (Iterator[float]): A rate per step, likewise.
    evaluate (Callable): Scores the development data.
    output (Path): Where everything is written.
    """

    nlp: Language
    settings: Dict[str, Any]
    config: Dict[str, Any]
    progress: Progress
    batches: Iterator[Tuple[int, List[Any]]]
    dropouts: Iterator[float]
    evaluate: Callable[[], Tuple[float, Dict[str, float]]]
    output: Path

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer. RETURNS (Optimizer): Out of the settings."""
        return self.settings["optimizer"]


def train(
    config: Union[str, Path, Config],
    output: Union[str, Path],
    *,
    resume: bool = False,
    overwrite: bool = False,
    overrides: Optional[Mapping[str, Any]] = None,
    use_gpu: int = -1,
    stdout: Optional[IO] = None,
    stderr: Optional[IO] = None,
    on_step: Optional[OnStep] = None,
) -> Language:
    """Train as `spacy train` does, leaving a checkpoint at every evaluation.

    config (Union[str, Path, Config]): Config or its file.
    output (Union[str, Path]): Folder for model-best, model-last and checkpoint.
    resume (bool): Go on from the checkpoint in `output`; with an empty `output`, begin.
    overwrite (bool): Begin again, deleting what training left in `output`.
    overrides (Mapping[str, Any]): Settings by dotted name, as in "training.max_steps".
    use_gpu (int): Number of the GPU, -1 for the CPU.
    stdout (IO): Where the config's logger writes its table; None for nowhere.
    stderr (IO): Where the config's logger writes its progress bar; None for nowhere.
    on_step (Callable): Called after each step with spaCy's info dict (epoch, step, score, ...).
    RETURNS (Language): The pipeline with its final (averaged, if so configured) weights.
    RAISES (ValueError): For a wrong config, an output that is taken, a full disk (`WriteError`).
    """
    output, stdout, stderr = Path(output), stdout or io.StringIO(), stderr or io.StringIO()
    config = read_config(config, overrides or {})
    resuming = prepare_output(output, resume=resume, overwrite=overwrite)
    if use_gpu >= 0:
        require_gpu(use_gpu)
    run = _resume(config, output, use_gpu) if resuming else _begin(config, output, use_gpu)
    _log_start(run, stdout)
    with run.nlp.select_pipes(disable=run.settings["frozen_components"]):
        log_step, finalize_logger = run.settings["logger"](run.nlp, stdout, stderr)
    try:
        for info, is_best in _steps(run):
            if is_best is not None:
                _save(run, info, is_best)
            log_step(info if is_best is not None else None)
            if on_step is not None:
                on_step(info)
    finally:
        finalize_logger()
    _save_model(run, DIR_MODEL_LAST)
    bake_averages(run.nlp, run.optimizer)
    run.nlp._link_components()
    return run.nlp


def _begin(config: Config, output: Path, use_gpu: int) -> Run:
    nlp = init_nlp(config, use_gpu=use_gpu)
    settings = _resolve_training(nlp)
    seed = nlp.config.interpolate()["training"]["seed"]
    if seed is not None:
        fix_random_seed(seed)
    progress = Progress(seed=random.getrandbits(32) if seed is None else seed)
    return _assemble(nlp, settings, config, progress, output)


def _resume(config: Config, output: Path, use_gpu: int) -> Run:
    folder = output / DIR_CHECKPOINT
    record = read_record(folder)
    given = config.interpolate()
    check_same_config(record, given)
    if use_gpu >= 0 and given["training"]["gpu_allocator"]:
        set_gpu_allocator(given["training"]["gpu_allocator"])
    nlp = load_pipeline(folder, record)
    free = {key: given["training"][key] for key in FREE_SETTINGS if key in given["training"]}
    nlp.config["training"].update(free)
    settings = _resolve_training(nlp)
    progress = restore_optimizer(folder, record, nlp, settings["optimizer"])
    run = _assemble(nlp, settings, config, progress, output)
    _replay(run)
    # last of all: loading drew random numbers too
    set_random_state(record["random"])
    return run


def _resolve_training(nlp: Language) -> Dict[str, Any]:
    block = nlp.config.interpolate()["training"]
    settings = registry.resolve(block, schema=ConfigSchemaTraining)
    link_listeners(nlp, settings["frozen_components"])
    check_listeners(nlp, settings["frozen_components"], settings["annotating_components"])
    return settings


def _assemble(
    nlp: Language, settings: Dict[str, Any], config: Config, progress: Progress, output: Path
) -> Run:
    names = [settings["train_corpus"], settings["dev_corpus"]]
    train_corpus, dev_corpus = resolve_dot_names(nlp.config.interpolate(), names)
    batches = create_train_batches(nlp, train_corpus, settings["batcher"], settings["max_epochs"])
    dropout = settings["dropout"]
    return Run(
        nlp=nlp,
        settings=settings,
        config=dict(config.interpolate()),
        progress=progress,
        batches=private_random(batches, progress.seed),
        dropouts=iter(constant(dropout) if isinstance(dropout, float) else dropout),
        evaluate=create_evaluation_callback(nlp, dev_corpus, settings["score_weights"]),
        output=output,
    )


def _replay(run: Run) -> None:
    words = 0
    for done in range(run.progress.step + 1):
        next(run.dropouts)
        epoch_batch = next(run.batches, None)
        if epoch_batch is None:
            raise _changed_data(run, f"only {done} batches")
        words += sum(len(example) for example in epoch_batch[1])
    if words != run.progress.words:
        raise _changed_data(run, f"{words} words")


def _changed_data(run: Run, found: str) -> ValueError:
    return ValueError(
        f"The training data changed since the checkpoint: {found} in the first "
        f"{run.progress.step + 1} batches, expected {run.progress.words} words. Restore the data, "
        f"or start again with --overwrite."
    )


def _log_start(run: Run, stdout: IO) -> None:
    stdout.write(f"Pipeline: {run.nlp.pipe_names}\n")
    if run.progress.step >= 0:
        stdout.write(f"Resuming after step {run.progress.step}\n")
    for setting in ("frozen_components", "annotating_components"):
        if run.settings[setting]:
            stdout.write(f"{setting}: {run.settings[setting]}\n")
    stdout.write(f"Learn rate: {run.optimizer.learn_rate}\n")


def _steps(run: Run) -> Iterator[Tuple[Dict[str, Any], Optional[bool]]]:
    """Mirrors `spacy.training.loop.train_while_improving`, which can only start at step 0."""
    progress, losses = run.progress, {}
    start = default_timer() - progress.seconds
    while not _is_finished(run):
        epoch_batch = next(run.batches, None)
        if epoch_batch is None:
            return
        progress.epoch, batch = epoch_batch
        progress.step += 1
        _update(run, batch, losses)
        progress.words += sum(len(example) for example in batch)
        score, other_scores, is_best = None, None, None
        if progress.step % run.settings["eval_frequency"] == 0:
            with run.nlp.use_params(run.optimizer.averages or {}):
                score, other_scores = run.evaluate()
            progress.results.append((score, progress.step))
            is_best = score == max(progress.results)[0]
        progress.seconds = default_timer() - start
        yield _info(progress, score, other_scores, losses), is_best
        if is_best is not None:
            losses = {}


def _update(run: Run, batch: List[Any], losses: Dict[str, float]) -> None:
    settings, nlp = run.settings, run.nlp
    if settings["before_update"]:
        settings["before_update"](nlp, {"step": run.progress.step, "epoch": run.progress.epoch})
    dropout = next(run.dropouts)
    for part in subdivide_batch(batch, settings["accumulate_gradient"]):
        nlp.update(
            part,
            drop=dropout,
            losses=losses,
            sgd=False,
            exclude=settings["frozen_components"],
            annotates=settings["annotating_components"],
        )
    for name, proc in nlp.pipeline:
        trainable = getattr(proc, "is_trainable", False) and isinstance(proc.model, Model)
        if name not in settings["frozen_components"] and trainable:
            proc.finish_update(run.optimizer)
    run.optimizer.step_schedules()


def _info(
    progress: Progress, score: Optional[float], other_scores: Any, losses: Dict[str, float]
) -> Dict[str, Any]:
    return {
        "epoch": progress.epoch,
        "step": progress.step,
        "score": score,
        "other_scores": other_scores,
        "losses": losses,
        "checkpoints": progress.results,
        "seconds": int(progress.seconds),
        "words": progress.words,
    }


def _is_finished(run: Run) -> bool:
    step, results = run.progress.step, run.progress.results
    patience, max_steps = run.settings["patience"], run.settings["max_steps"]
    if not results:
        return False
    # the earliest of equal scores counts as the best
    _, negative_step = max((score, -at) for score, at in results)
    return bool(
        (patience and step + negative_step >= patience) or (max_steps and step >= max_steps)
    )


def _save(run: Run, info: Dict[str, Any], is_best: bool) -> None:
    with run.nlp.select_pipes(disable=run.settings["frozen_components"]):
        update_meta(run.settings, run.nlp, info)
    _save_model(run, DIR_MODEL_LAST)
    if is_best:
        last = run.output / DIR_MODEL_LAST
        replace_folder(
            run.output / DIR_MODEL_BEST,
            lambda path: shutil.copytree(last, path, dirs_exist_ok=True),
        )
    info["output_path"] = str(run.output / DIR_MODEL_LAST)
    folder = run.output / DIR_CHECKPOINT
    save_checkpoint(folder, run.nlp, run.optimizer, run.progress, run.config)


def _save_model(run: Run, name: str) -> None:
    before_to_disk = create_before_to_disk_callback(run.settings["before_to_disk"])
    with run.nlp.use_params(run.optimizer.averages or {}):
        replace_folder(run.output / name, lambda path: before_to_disk(run.nlp).to_disk(path))
