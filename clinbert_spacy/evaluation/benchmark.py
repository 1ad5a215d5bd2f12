"""Speed of a pipeline, beside the stock pipeline and the bare encoder."""

import platform
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import torch
from spacy.language import Language

from .checkpoints import checkpoint_of, shim_of, transformer_of
from .contenders import (
    CONTENDERS,
    Maker,
    PipeRun,
    Runner,
    beside_entities,
    check_contenders,
    finds_entities,
    own_contenders,
    reference_encoder,
    rival_contenders,
)
from .encoder_settings import settings_of
from .footprint_child import peak_mb
from .speed_sets import SpeedSet, check_positive
from .stages import stage_seconds

Progress = Callable[[int], None]
TIMES_STOCK = "times the stock pipeline"
ENCODER_SHARE = "share of the bare encoder"


@dataclass(frozen=True)
class SpeedRow:
    """Median speed of one contender; `time_ratio` is its time divided by that of the first.

    wordpieces_per_second (Optional[float]): None where there is no encoder to count them with.
    detail (str): batch and windows, where the contender chose them.
    """

    name: str
    words_per_second: float
    wordpieces_per_second: Optional[float]
    time_ratio: float
    detail: str = ""


def benchmark(
    nlp: Language,
    sets: Sequence[SpeedSet],
    *,
    stock: Optional[Union[str, Path]] = None,
    contenders: Sequence[str] = (),
    n_rounds: int = 5,
    batch_size: int = 32,
    progress: Progress = lambda n: None,
) -> Dict[str, Any]:
    """Time a pipeline on sets of notes, and beside it the stock pipeline and the bare encoder.

    The contenders take turns, so that a machine that slows down slows all of them. A word is
    what stands between white space. The stock pipeline has the same encoder weights, in single
    precision, and a `ner` that was never trained: its speed does not depend on what it finds.

    nlp (Language): the pipeline. sets (Sequence[SpeedSet]): see `make_sets`.
    stock (Optional[Union[str, Path]]): folder of a Hugging Face checkpoint for "stock" and
        "transformers" instead of the pipeline's own encoder, and for the bare encoder where the
        pipeline has none of ours.
    contenders (Sequence[str]): keys of `CONTENDERS`; none: all that can be had.
    n_rounds (int): timed rounds after one warm-up. batch_size (int): notes a batch.
    progress (Callable): called with 1 after each run.
    RETURNS (Dict[str, Any]): machine and versions, peak_mb of the process before the rivals are
        loaded, and per set counts, rows (see `SpeedRow`), ratios, stages and components.
    RAISES (ValueError): an unknown contender, or one that cannot be had; a number below 1.
    """
    check_contenders(contenders)
    check_positive("rounds", n_rounds)
    check_positive("notes a batch", batch_size)
    allow_length(nlp, sets)
    for one in sets:
        PipeRun(nlp, one.texts, batch_size)()
    record = {**environment(nlp), "n_rounds": n_rounds, "batch_size": batch_size}
    # before the rivals are loaded: afterwards the peak would be theirs as well
    record["peak_mb"] = peak_mb()
    stages = [stage_seconds(nlp, one.texts, batch_size) for one in sets]
    with checkpoint_of(nlp, stock) as (folder, weights):
        makers = own_contenders(nlp, batch_size)
        makers |= rival_contenders(nlp, folder, contenders, batch_size)
        makers = _choose(makers, contenders)
        encoder = reference_encoder(nlp, folder)
        pieces = [_count_pieces(encoder, one) for one in sets]
        turns = [_time_set(makers, one, n_rounds, progress) for one in sets]
    record |= {"stock_weights": weights, "encoder_window": encoder.window if encoder else None}
    record["sets"] = [_set_record(nlp, *parts) for parts in zip(sets, pieces, turns, stages)]
    return record


def environment(nlp: Language) -> Dict[str, Any]:
    """Machine, threads, versions, and in what a pipeline's encoder computes."""
    import spacy
    import transformers

    node = transformer_of(nlp)
    nlp("One note.")  # what the encoder computes in is settled when it first reads
    return {
        "threads": torch.get_num_threads(),
        "dtype": dtype_of(nlp),
        "precision": settings_of(node).get("precision", "") if node else "",
        "device": device_name(),
        "machine": machine_name(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "spacy": spacy.__version__,
            "transformers": transformers.__version__,
        },
    }


def dtype_of(nlp: Language) -> str:
    """The type that the encoder of a pipeline computes in; "unknown" if it is not ours."""
    shim = shim_of(nlp)
    if shim is None:
        return "unknown"
    if getattr(shim, "reads_in", ""):
        return shim.reads_in
    with shim.precision():
        half = torch.is_autocast_enabled(shim.device.type)
        dtype = str(torch.get_autocast_dtype(shim.device.type)) if half else "torch.float32"
    return dtype.replace("torch.", "")


def time_in_turns(
    runners: Mapping[str, Runner], n_rounds: int, progress: Progress, warm_up: bool = True
) -> Dict[str, float]:
    """Median seconds of each runner over rounds in which every one runs once, after a warm-up."""
    times: Dict[str, List[float]] = {name: [] for name in runners}
    for number in range(n_rounds + warm_up):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            if number >= warm_up:
                times[name].append(time.perf_counter() - start)
            progress(1)
    return {name: statistics.median(values) for name, values in times.items()}


def speed_rows(
    times: Mapping[str, float],
    n_words: int,
    n_pieces: Optional[int] = None,
    details: Mapping[str, str] = {},  # noqa: B006 (read only)
) -> List[Dict[str, Any]]:
    """Turn median times into rows; the first contender is the one compared with."""
    base = next(iter(times.values()))
    return [
        vars(
            SpeedRow(
                CONTENDERS.get(name, name), n_words / value, n_pieces / value if n_pieces else None,
                value / base, details.get(name, ""),
            )
        )
        for name, value in times.items()
    ]  # fmt: skip


def speed_ratios(nlp: Language, times: Mapping[str, float]) -> Dict[str, Optional[float]]:
    """The two ratios that speed is judged by.

    nlp (Language): the pipeline. times (Mapping[str, float]): seconds by contender.
    RETURNS (Dict[str, Optional[float]]): speed of the whole pipeline over the stock pipeline's,
        and of transformer and entities over the faster bare encoder's; None where a row is missing.
    """
    alone = "entities" if beside_entities(nlp) else "pipeline" if finds_entities(nlp) else ""
    bare = [value for name, value in times.items() if name.startswith("encoder-")]
    both = {"stock", "pipeline"} <= set(times)
    return {
        TIMES_STOCK: times["stock"] / times["pipeline"] if both else None,
        ENCODER_SHARE: min(bare) / times[alone] if bare and alone in times else None,
    }


def allow_length(nlp: Language, sets: Sequence[SpeedSet]) -> None:
    """Let a pipeline read the longest of the notes."""
    lengths = [len(text) for one in sets for text in one.texts]
    nlp.max_length = max([nlp.max_length, *(n + 1 for n in lengths)])


@contextmanager
def use_threads(n_threads: Optional[int]) -> Iterator[None]:
    """Compute with so many threads in a block; None leaves them.

    RAISES (ValueError): a number below 1.
    """
    if n_threads is not None:
        check_positive("threads", n_threads)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine_name() -> str:
    """System, processor and number of cores, without the host's name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x for x in info.read_text("utf8").splitlines() if x.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return f"{platform.system()}, {cpu}, {len(names) if info.is_file() else '?'} logical cores"


def device_name() -> str:
    """Name of the device that thinc's current ops use."""
    from thinc.api import get_torch_default_device

    device = get_torch_default_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _choose(makers: Dict[str, Maker], names: Sequence[str]) -> Dict[str, Maker]:
    missing = [name for name in names if name not in makers]
    if missing:
        raise ValueError(
            f"This pipeline and device have no {', '.join(missing)} to be timed; "
            f"expected some of {list(makers)}. A pipeline without an encoder of ours needs --stock."
        )
    kept = names or list(makers)
    return {name: makers[name] for name in CONTENDERS if name in makers and name in kept}


def _time_set(
    makers: Mapping[str, Maker], one: SpeedSet, n_rounds: int, progress: Progress
) -> Dict[str, Any]:
    runners = {name: make(one.texts) for name, make in makers.items()}
    details = {name: getattr(run, "detail", "") for name, run in runners.items()}
    return {"times": time_in_turns(runners, n_rounds, progress), "details": details}


def _count_pieces(encoder: Any, one: SpeedSet) -> Optional[int]:
    return sum(map(len, encoder.pieces(one.texts))) if encoder else None


def _set_record(
    nlp: Language,
    one: SpeedSet,
    n_pieces: Optional[int],
    turns: Mapping[str, Any],
    stages: Mapping[str, Any],
) -> Dict[str, Any]:
    times, details = turns["times"], turns["details"]
    return {
        "name": one.name,
        "n_notes": len(one.texts),
        "n_words": one.n_words,
        "n_wordpieces": n_pieces,
        "times_used": one.times_used,
        "rows": speed_rows(times, one.n_words, n_pieces, details),
        "ratios": speed_ratios(nlp, times),
        **stages,
    }
