"""Speed and memory of a pipeline, beside the stock pipeline and the bare encoder."""

import platform
import resource
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import torch
from spacy.language import Language

from .contenders import (
    TRANSFORMERS,
    Runner,
    encoder_from_folder,
    encoder_of,
    encoder_runner,
    export_encoder,
    shim_of,
    stock_pipeline,
)
from .knowledge_off import knowing_models, without_knowledge

FINDERS = ("clinbert_ner", "ner")


@dataclass(frozen=True)
class SpeedRow:
    """Median speed of one contender; `time_ratio` is its time divided by the pipeline's."""

    name: str
    words_per_second: float
    time_ratio: float


def benchmark(
    nlp: Language,
    texts: Sequence[str],
    *,
    stock: Optional[Union[str, Path]] = None,
    n_rounds: int = 5,
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Time a pipeline, and beside it the stock pipeline and the bare encoder.

    The contenders take turns, so that a machine that slows down slows all of them. A word is
    what stands between white space. The stock pipeline has the same encoder weights, in single
    precision, and a `ner` that was never trained: its speed does not depend on what it finds.

    nlp (Language): the pipeline. texts (Sequence[str]): the notes.
    stock (Optional[Union[str, Path]]): folder of a Hugging Face checkpoint for "stock" instead of
        the pipeline's own encoder, and for "encoder" where the pipeline has no encoder of ours.
    n_rounds (int): timed rounds after one warm-up. batch_size (int): notes a batch.
    progress (Callable): called with 1 after each run.
    RETURNS (Dict[str, Any]): counts, machine and peak_mb, components (seconds of one pass by
        name), and rows with name ("entities alone"
        where other components stand beside, "without knowledge" where there is some),
        words_per_second and time_ratio.
    """
    n_words = sum(len(text.split()) for text in texts)
    if not n_words:
        raise ValueError(f"Nothing to time: found {len(texts)} notes without a word.")
    nlp.max_length = max(nlp.max_length, max(map(len, texts)) + 1)
    run_pipeline = _runner(nlp, texts, batch_size)
    run_pipeline()
    # before the contenders are loaded: afterwards the peak would be theirs as well
    peak_mb = peak_memory_mb()
    seconds = component_seconds(nlp, texts, batch_size)
    encoder = encoder_of(nlp) or (encoder_from_folder(stock) if stock else None)
    runners = _own_runners(nlp, run_pipeline)
    with _checkpoint_of(nlp, stock) as (folder, weights):
        if folder:
            runners["stock"] = _runner(stock_pipeline(folder), texts, batch_size)
    if encoder:
        runners["encoder"] = encoder_runner(encoder, texts)
    times = time_in_turns(runners, n_rounds, progress)
    return {
        "n_notes": len(texts),
        "n_words": n_words,
        "n_rounds": n_rounds,
        "threads": torch.get_num_threads(),
        "dtype": encoder.dtype if encoder else "unknown",
        "device": device_name(),
        "machine": machine_name(),
        "peak_mb": peak_mb,
        "stock_weights": weights,
        "components": seconds,
        "rows": speed_rows(times, n_words),
    }


def _own_runners(nlp: Language, run: Runner) -> Dict[str, Runner]:
    """The pipeline, and what of it is timed by itself."""
    runners = {"pipeline": run}
    if beside_entities(nlp):
        runners["entities alone"] = _without(nlp, beside_entities(nlp), run)
    if knowing_models(nlp):
        runners["without knowledge"] = without_knowledge(nlp, run)
    return runners


def component_seconds(nlp: Language, texts: Sequence[str], batch_size: int) -> Dict[str, float]:
    """Time the components one after another, each once over all notes.

    nlp (Language): the pipeline, warm. texts (Sequence[str]): the notes. batch_size (int): a batch.
    RETURNS (Dict[str, float]): seconds by name, "tokenizer" first.
    """
    start = time.perf_counter()
    docs = [nlp.make_doc(text) for text in texts]
    seconds = {"tokenizer": time.perf_counter() - start}
    for name, component in nlp.pipeline:
        start = time.perf_counter()
        if hasattr(component, "pipe"):
            docs = list(component.pipe(docs, batch_size=batch_size))
        else:
            docs = [component(doc) for doc in docs]
        seconds[name] = time.perf_counter() - start
    return seconds


def beside_entities(nlp: Language) -> List[str]:
    """Name the components that neither encode nor find entities.

    nlp (Language): a pipeline. RETURNS (List[str]): their names; none where it finds no entities.
    """
    finds = any(nlp.get_pipe_meta(name).factory in FINDERS for name in nlp.pipe_names)
    kept = (*FINDERS, *TRANSFORMERS)
    others = [n for n in nlp.pipe_names if nlp.get_pipe_meta(n).factory not in kept]
    return others if finds else []


def _without(nlp: Language, names: Sequence[str], run: Runner) -> Runner:
    def run_less() -> None:
        with nlp.select_pipes(disable=list(names)):
            run()

    return run_less


def time_in_turns(
    runners: Mapping[str, Runner], n_rounds: int, progress: Callable[[int], None]
) -> Dict[str, float]:
    """Median seconds of each runner over rounds in which every one runs once, after a warm-up."""
    times: Dict[str, List[float]] = {name: [] for name in runners}
    for number in range(n_rounds + 1):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
            progress(1)
    return {name: statistics.median(values) for name, values in times.items()}


def speed_rows(times: Mapping[str, float], n_words: int) -> List[Dict[str, Any]]:
    """Turn median times into rows; the first contender is the one compared with."""
    base = next(iter(times.values()))
    rows = [SpeedRow(name, n_words / value, value / base) for name, value in times.items()]
    return [vars(row) for row in rows]


def peak_memory_mb() -> int:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024))


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


@contextmanager
def _checkpoint_of(
    nlp: Language, stock: Optional[Union[str, Path]]
) -> Iterator[Tuple[Optional[str], str]]:
    """Offer the checkpoint for the stock pipeline, and what to call it."""
    if stock or shim_of(nlp) is None:
        yield (str(stock) if stock else None), (Path(stock).name if stock else "none")
        return
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(nlp, folder)
        yield folder, "those of the pipeline, in float32"


def _runner(nlp: Language, texts: Sequence[str], batch_size: int) -> Runner:
    def run() -> None:
        for _ in nlp.pipe(texts, batch_size=batch_size):
            pass

    return run
