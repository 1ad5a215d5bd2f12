"""`clinbert pretrain`, `lm-score`, `pair-score`: a language model of one's own text."""

import json
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from .cli_args import command_line
from .cli_show import LONG_COLUMNS, print_table, progress_bar


def pretrain(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config, as configs/pretrain_cpu.cfg.")],
    output: Annotated[Path, typer.Option(help="Folder for model, state, log and plot.")],
    resume: Annotated[bool, typer.Option(help="Go on after an interruption.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Delete an earlier run first.")] = False,
    plot: Annotated[bool, typer.Option(help="Draw loss.png (needs the extra plot).")] = True,
) -> None:
    """Pretrain a BERT on text; settings of the config can be given as --training.seed 1."""
    from spacy.cli._util import parse_config_overrides

    from .training.pretrain_settings import read_settings
    from .training.pretraining import pretrain as run

    settings = read_settings(config, parse_config_overrides(list(context.args)))
    with Progress(*LONG_COLUMNS, console=Console(stderr=True)) as bars:
        watch = _Watch(bars)
        folder = run(
            settings,
            output,
            resume=resume,
            overwrite=overwrite,
            on_step=watch.step,
            on_phase=watch.phase,
        )
    if plot:
        draw(output)
    typer.echo(f"Checkpoint: {folder}")


class _Watch:
    """Bars for the phases before training, then one for the updates."""

    def __init__(self, bars: Progress):
        self.bars = bars
        self.tasks: Dict[str, TaskID] = {}

    def phase(self, name: str, done: int) -> None:
        """Show how many documents a phase has done."""
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=None)
        self.bars.update(self.tasks[name], completed=done)

    def step(self, info: Dict[str, Any]) -> None:
        """Show an update; print a row of the log where there is a new one."""
        if "updates" not in self.tasks:
            for task in self.tasks.values():
                self.bars.remove_task(task)
            self.tasks = {"updates": self.bars.add_task("", total=info["steps"])}
        text = f"loss {info['losses']['loss']:.3f}, {info['rate']:,.0f} wordpieces/s"
        self.bars.update(self.tasks["updates"], completed=info["step"], description=text)
        if info["row"] is not None:
            self.bars.console.print(_row(info["row"]))


def _row(row: Dict[str, Any]) -> str:
    parts = [f"step {row['step']:,}", f"{row['pieces']:,} pieces", f"{row['seconds']:.0f} s"]
    for name in ("train", "held_out"):
        values = ", ".join(f"{key} {value:.3f}" for key, value in row.get(name, {}).items())
        parts += [f"{name}: {values}"] if values else []
    return " | ".join(parts)


def draw(output: Path) -> None:
    """Draw the losses of a run into loss.png, or say what is missing for it."""
    from .evaluation.curves import draw_losses

    try:
        draw_losses(output / "log.jsonl", output / "loss.png")
    except ImportError:
        typer.echo("No plot: pip install 'clinbert-spacy[plot]' draws loss.png.")


def lm_score(
    encoders: Annotated[List[str], typer.Argument(help="Checkpoints to compare.")],
    texts: Annotated[
        List[Path], typer.Option(help="Notes that no encoder saw; a pattern is fine.")
    ],
    train: Annotated[Path, typer.Option(help="Text to train fresh heads on.")],
    steps: Annotated[int, typer.Option(min=0, help="Updates of each fresh head.")] = 300,
    held_out: Annotated[
        float, typer.Option(help="Share that pretraining held out of --train: scored as well.")
    ] = 0.0,
    source: Annotated[
        Optional[List[str]], typer.Option(help="Sources of --train to score on.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most held-out documents.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Choices of hidden words.")] = 3,
    own_head: Annotated[bool, typer.Option(help="Score with the encoder's own head too.")] = False,
    output: Annotated[Optional[Path], typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Bits per character and whole words guessed, fresh heads trained alike on frozen encoders."""
    from .training.lm_compare import compare, read_texts_to_score

    notes, training = read_texts_to_score(texts, train, held_out, source or [], limit)
    with progress_bar("heads", steps * len(encoders)) as advance:
        rows = compare(
            encoders,
            notes,
            training,
            steps=steps,
            seeds=range(seeds),
            own_head=own_head,
            on_step=lambda: advance(1),
        )
    print_table(
        ["encoder", "head", "text", "bits/character", "whole words %", "pieces/word", "words"],
        [_lm_cells(row) for row in rows],
    )
    if output:
        from .evaluation.output import write_text

        write_text(output, json.dumps({"command": command_line(), "rows": rows}, indent=1) + "\n")


def _lm_cells(row: Dict[str, Any]) -> Tuple[str, ...]:
    return (
        row["encoder"],
        row["head"],
        row["text"],
        f"{row['bits_per_character']:.3f}",
        f"{100 * row['word_accuracy']:.1f}",
        f"{row['pieces_per_word']:.3f}",
        f"{row['words']:,}",
    )


def pair_score(
    encoder: Annotated[Path, typer.Argument(help="Checkpoint folder with heads.safetensors.")],
    cache: Annotated[Path, typer.Option(help="Text cache of its pretraining.")],
    source: Annotated[Optional[List[str]], typer.Option(help="Sources to score on.")] = None,
    count: Annotated[int, typer.Option(min=10, help="Pairs to score.")] = 2000,
    output: Annotated[Optional[Path], typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Next sentence or another of the same note, on held-out text, beside bags of words."""
    from .training.lm_score import load_guesser
    from .training.pair_score import score_pairs
    from .training.text_cache import open_cache

    guesser = load_guesser(str(encoder), fresh_head=False)
    caches = [open_cache(cache, split) for split in ("train", "held_out")]
    found = score_pairs(guesser, encoder, *caches, source or [], count)
    print_table(["", "accuracy %"], [(n, f"{100 * found[n]:.1f}") for n in found if n != "pairs"])
    typer.echo(f"{found['pairs']} pairs.")
    if output:
        from .evaluation.output import write_text

        write_text(output, json.dumps({"command": command_line(), **found}, indent=1) + "\n")


def lm_speed(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config, as for pretrain.")],
    steps: Annotated[int, typer.Option(min=1, help="Updates a round.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 3,
    output: Annotated[Optional[Path], typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Wordpieces per second of pretraining beside a plain transformers Trainer (extra trainer)."""
    from spacy.cli._util import parse_config_overrides

    from .training.lm_speed import compare_speed
    from .training.pretrain_settings import read_settings

    settings = read_settings(config, parse_config_overrides(list(context.args)))
    with progress_bar("rounds", rounds + 1) as advance:
        found = compare_speed(settings, steps=steps, rounds=rounds, on_step=lambda: advance(1))
    rows = [(name, f"{found[name]:,.0f}") for name in ("ours", "trainer")]
    print_table(["", "wordpieces/s"], [*rows, ("ratio", f"{found['ratio']:.2f}")])
    if output:
        from .evaluation.output import write_text

        write_text(output, json.dumps({"command": command_line(), **found}, indent=1) + "\n")
