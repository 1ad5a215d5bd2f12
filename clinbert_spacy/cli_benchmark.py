"""`clinbert benchmark`: speed, where it goes, memory, and what precision costs."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List, Mapping, Optional, Sequence

import typer

from .cli_args import check_encoding, command_line, load_pipeline
from .cli_evaluate import Selection
from .cli_show import Skips, progress_bar
from .cli_show_speed import print_speed

CURVE_ROUNDS = 3
Advance = Callable[[int], None]

Sets = Annotated[
    Optional[List[str]], typer.Option("--set", help="short, ordinary, 'very long'; all if none.")
]
Contenders = Annotated[
    Optional[List[str]],
    typer.Option(
        "--contender",
        help="pipeline, processes, entities, text-alone, stock, encoder-float32, encoder-bfloat16, "
        "transformers; all if none.",
    ),
]
Words = Annotated[int, typer.Option(help="Words of a set.")]
LongWords = Annotated[int, typer.Option(help="Words of a very long note.")]
Stock = Annotated[Optional[Path], typer.Option(help="Other weights for the rivals: a folder.")]
Rounds = Annotated[int, typer.Option(help="Timed rounds.")]
BatchSize = Annotated[int, typer.Option(help="Notes a batch.")]
Threads = Annotated[Optional[int], typer.Option(help="Threads of torch; as they are if none.")]
Footprint = Annotated[bool, typer.Option("--footprint", help="Start and memory as well.")]
MemoryNotes = Annotated[
    Optional[int], typer.Option(help="Stream so many notes and look at the memory (footprint).")
]
Accuracy = Annotated[Optional[str], typer.Option(help="Corpus to score precisions on as well.")]
Data = Annotated[Optional[Path], typer.Option(help="File or folder of that corpus.")]
Parts = Annotated[Optional[List[str]], typer.Option(help="Its official part, e.g. dev.")]
Limit = Annotated[int, typer.Option(min=0, help="Its first so many notes; 0: all.")]
TryPrecision = Annotated[
    Optional[List[str]], typer.Option(help="Precision to score: a name, or all.")
]
TryWindow = Annotated[Optional[List[int]], typer.Option(help="Window to score, in wordpieces.")]
TryContext = Annotated[Optional[List[int]], typer.Option(help="Context to score, in wordpieces.")]
Shape = Annotated[
    Optional[str], typer.Option(help="Time random weights of this shape too, e.g. 12x768.")
]
Plots = Annotated[Optional[Path], typer.Option(help="Draw curves of speed into this folder.")]
Encoding = Annotated[str, typer.Option(help="Encoding of the input files.")]
GpuId = Annotated[int, typer.Option(min=-1, help="Number of the GPU, -1 for the CPU.")]
Output = Annotated[Optional[Path], typer.Option(help="Write the result as JSON.")]
Html = Annotated[Optional[Path], typer.Option(help="Write an HTML report here as well.")]


@dataclass(frozen=True)
class Timing:
    """How the contenders are timed."""

    contenders: Sequence[str]
    stock: Optional[Path]
    n_rounds: int
    batch_size: int
    n_words: int

    def check(self) -> None:
        """Raise before a pipeline is loaded."""
        from .evaluation.contenders import check_contenders
        from .evaluation.speed_sets import check_positive

        check_contenders(self.contenders)
        check_positive("rounds", self.n_rounds)
        check_positive("notes a batch", self.batch_size)

    def times(self, nlp: Any, sets: Sequence[Any], advance: Advance) -> Dict[str, Any]:
        """Time a pipeline and its rivals on sets of notes."""
        from .evaluation.benchmark import benchmark as time_pipeline

        return time_pipeline(
            nlp, sets, stock=self.stock, contenders=self.contenders, n_rounds=self.n_rounds,
            batch_size=self.batch_size, progress=advance,
        )  # fmt: skip

    def shaped(self, nlp: Any, shape: str, sets: Sequence[Any], advance: Advance) -> Dict[str, Any]:
        """Time an encoder of another shape and random weights."""
        from .evaluation.shaped import RANDOM, read_shape, shaped_pipeline

        with shaped_pipeline(nlp, *read_shape(shape)) as other:
            found = self.times(other, sets, advance)
        return {"shape": shape, "weights": RANDOM, "stock_weights": RANDOM, "sets": found["sets"]}

    def curves(self, nlp: Any, texts: Sequence[str], advance: Advance) -> Dict[str, Any]:
        """Time lengths of notes and sizes of batches."""
        from .evaluation.speed_plots import speed_curves

        return speed_curves(
            nlp, texts, stock=self.stock, n_words=self.n_words, batch_size=self.batch_size,
            n_rounds=min(CURVE_ROUNDS, self.n_rounds), progress=advance,
        )  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """Settings of the encoder to be scored on a corpus; all precisions if none is named."""

    selection: Selection
    precisions: Sequence[str] = ()
    windows: Sequence[int] = ()
    contexts: Sequence[int] = ()

    def run(self, nlp: Any, notes: Sequence[Any], batch_size: int, advance: Advance) -> Any:
        """Score and time every setting. RETURNS: cells, corpus and what was chosen of it."""
        from .corpora.harmonise import to_product
        from .corpora.schema import get_schema
        from .evaluation import evaluate as judge
        from .evaluation.labels import labels_of, plan_labels
        from .evaluation.speed_grid import plan_cells, try_settings

        corpus = self.selection.corpus
        plan = plan_labels(get_schema(corpus), labels_of(nlp), "auto")
        gold = [to_product(note) for note in notes] if plan.scheme == "product" else notes
        found: List[Any] = []

        def score() -> float:
            found.append(judge.evaluate(nlp, gold, corpus, plan, batch_size=batch_size))
            advance(1)
            return found[-1].f.value

        chosen = (self.precisions, self.windows, self.contexts)
        cells = plan_cells(nlp, *(chosen if any(chosen) else (["all"], (), ())))
        texts = [note.text for note in notes]
        rows = try_settings(nlp, score, texts, cells, batch_size=batch_size, progress=advance)
        first = found[0]
        about = {"corpus": corpus, "n_notes": first.n_notes, "data_sha256": first.data_sha256,
                 "scheme": first.scheme, "protocol": first.protocol}  # fmt: skip
        return {**self.selection.record(), **about, "cells": rows}


def benchmark(
    pipeline: Annotated[str, typer.Argument(help="Installed pipeline or folder.")],
    notes: Annotated[Optional[Path], typer.Option(help="Folder (or file) of notes.")] = None,
    set_: Sets = None,
    contender: Contenders = None,
    words: Words = 8_000,
    long_words: LongWords = 20_000,
    stock: Stock = None,
    rounds: Rounds = 5,
    batch_size: BatchSize = 32,
    threads: Threads = None,
    footprint: Footprint = False,
    memory_notes: MemoryNotes = None,
    accuracy: Accuracy = None,
    data: Data = None,
    part: Parts = None,
    limit: Limit = 0,
    try_precision: TryPrecision = None,
    try_window: TryWindow = None,
    try_context: TryContext = None,
    shape: Shape = None,
    plots: Plots = None,
    encoding: Encoding = "utf-8",
    gpu_id: GpuId = -1,
    output: Output = None,
    html: Html = None,
) -> None:
    """Time a pipeline beside the stock pipeline with the same weights and the bare encoder."""
    from .cli_html import write_page
    from .evaluation.benchmark import environment, use_threads
    from .evaluation.output import write_text

    timing = Timing(contender or (), stock, rounds, batch_size, words)
    timing.check()
    tries = (try_precision or (), try_window or (), try_context or ())
    trial = _plan_trial(accuracy, data, part, limit, check_encoding(encoding), tries)
    needed = {"--footprint": footprint, "--memory-notes": memory_notes, "--shape": shape}
    _check_extras({**needed, "--plots": plots}, notes, trial)
    texts = _read_texts(notes, encoding)
    sets = _make_sets(texts, set_, words, long_words) if notes else []
    gold = list(trial.selection.notes()) if trial else []
    with use_threads(threads), progress_bar("benchmark") as advance:
        nlp = load_pipeline(pipeline, gpu_id)
        record = timing.times(nlp, sets, advance) if sets else environment(nlp)
        if trial:
            record["accuracy"] = trial.run(nlp, gold, batch_size, advance)
        if shape:
            record["shape"] = timing.shaped(nlp, shape, sets, advance)
        if footprint or memory_notes is not None:
            machine = {"gpu_id": gpu_id, "threads": threads, "batch_size": batch_size}
            record["footprint"] = _measure(pipeline, texts, words, memory_notes, machine, advance)
        if plots:
            record["curves"] = timing.curves(nlp, texts, advance)
    _draw(record, plots)
    record = {"command": command_line(), "pipeline": pipeline, **record}
    print_speed(record)
    if output:
        write_text(output, json.dumps(record, indent=2) + "\n")
    if html:
        write_page(html, nlp, [], speed=record)


def _plan_trial(
    corpus: Optional[str],
    data: Optional[Path],
    parts: Optional[List[str]],
    limit: int,
    encoding: str,
    tries: Sequence[Any],
) -> Optional[Trial]:
    if corpus is None:
        if data or parts or any(tries):
            raise ValueError("--data, --part and --try-... belong to --accuracy: name its corpus.")
        return None
    if data is None:
        raise ValueError(f"--accuracy {corpus} has no --data: give the file or folder of it.")
    selection = Selection(corpus, data, parts, "", limit, encoding)
    selection.check()
    return Trial(selection, *tries)


def _check_extras(extras: Mapping[str, Any], notes: Optional[Path], trial: Optional[Trial]) -> None:
    """Raise before anything is read or loaded."""
    from .evaluation.shaped import read_shape
    from .evaluation.speed_sets import check_positive

    wanted = [name for name, value in extras.items() if value not in (None, False)]
    if notes is None and (wanted or trial is None):
        asked = f" for {', '.join(wanted)}" if wanted else ""
        raise ValueError(f"No notes{asked}: give --notes, or only --accuracy with --data.")
    if extras["--shape"] is not None:
        read_shape(extras["--shape"])
    if extras["--memory-notes"] is not None:
        check_positive("notes of the stream", extras["--memory-notes"])
    if extras["--plots"] and find_spec("matplotlib") is None:
        raise ValueError("--plots needs matplotlib: install the extra `plot`, or leave it out.")


def _read_texts(notes: Optional[Path], encoding: str) -> List[str]:
    from .cli_notes import all_texts

    skips = Skips()
    with skips.printed():
        return all_texts([notes], encoding, skips.add) if notes else []


def _make_sets(
    texts: Sequence[str], names: Optional[List[str]], words: int, long_words: int
) -> List[Any]:
    from .evaluation.speed_sets import make_sets

    return make_sets(texts, names or (), words, long_words)


def _measure(
    pipeline: str,
    texts: Sequence[str],
    words: int,
    memory_notes: Optional[int],
    machine: Mapping[str, Any],
    advance: Advance,
) -> Dict[str, Any]:
    from .evaluation.footprint import measure_footprint
    from .evaluation.speed_sets import take_words

    ordinary = take_words(texts, words)
    return measure_footprint(
        pipeline, ordinary, memory_notes=memory_notes, progress=advance, **machine
    )


def _draw(record: Dict[str, Any], plots: Optional[Path]) -> None:
    from .evaluation.speed_plots import draw_curves

    if plots:
        record["plots"] = [path.name for path in draw_curves(record["curves"], plots)]
