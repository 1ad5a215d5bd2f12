"""Speed and memory of a pipeline, beside the stock pipeline and the bare encoder."""

import platform
import resource
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import spacy
import torch
from spacy.language import Language

from .knowledge_off import knowing_models, without_knowledge

Runner = Callable[[], None]
TRANSFORMERS = ("clinbert_transformer", "transformer")
FINDERS = ("clinbert_ner", "ner")
MAX_PADDED = 4096
MASK = "[MASK]"


@dataclass(frozen=True)
class Encoder:
    """A bare encoder and the wordpieces it shall read.

    module (torch.nn.Module): called as a Hugging Face model, or with (ids, mask) if `plain`.
    pieces (Callable): texts -> ids of the wordpieces of each, without special ones.
    window (int): most wordpieces at once. cls, sep, pad (int): ids of special wordpieces.
    dtype (str): in what it computes. precision (Callable): context in which it runs.
    """

    module: torch.nn.Module
    pieces: Callable[[Sequence[str]], List[List[int]]]
    window: int
    cls: int
    sep: int
    pad: int
    dtype: str = "float32"
    precision: Callable[[], Any] = nullcontext


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
    RETURNS (Dict[str, Any]): counts, machine and peak_mb, and rows with name ("entities alone"
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
    encoder = encoder_of(nlp) or (encoder_from_folder(stock) if stock else None)
    runners = {"pipeline": run_pipeline}
    if beside_entities(nlp):
        runners["entities alone"] = _without(nlp, beside_entities(nlp), run_pipeline)
    if knowing_models(nlp):
        runners["without knowledge"] = without_knowledge(nlp, run_pipeline)
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
        "rows": speed_rows(times, n_words),
    }


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


def stock_pipeline(folder: Union[str, Path]) -> Language:
    """What a user builds today: spacy-transformers' strided spans and `ner`, untrained head.

    folder (Union[str, Path]): a Hugging Face checkpoint.
    """
    name = str(_check_folder(folder))
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": name,
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1"}
        | {"window": 128, "stride": 96},
        "tokenizer_config": {"use_fast": True},
    }
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "transformer",
    }
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": False,
        "tok2vec": listener,
    }
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": model})
    ner: Any = nlp.add_pipe("ner", config={"model": parser})
    for label in ("DISEASE", "DRUG"):
        ner.add_label(label)
    with _quiet_transformers():
        nlp.initialize()
    return nlp


def export_encoder(nlp: Language, folder: Union[str, Path]) -> None:
    """Write the encoder inside a pipeline with our transformer as a Hugging Face checkpoint.

    nlp (Language): the pipeline. folder (Union[str, Path]): where to write.
    RAISES (ValueError): the pipeline has no transformer of ours.
    """
    from transformers import PreTrainedTokenizerFast

    shim = _shim_of(nlp)
    if shim is None:
        raise ValueError(f"No encoder of ours among {nlp.pipe_names}: name a checkpoint instead.")
    backend, special = shim.pieces.backend, shim.pieces.special
    ids = {name: special[name] for name in ("unk", "cls", "sep", "pad")}
    names = {f"{name}_token": backend.id_to_token(i) for name, i in ids.items() if i >= 0}
    if backend.token_to_id(MASK) is not None:
        names["mask_token"] = MASK
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=special["max_length"], **names
    )
    tokenizer.save_pretrained(str(folder))
    shim._model.transformer.save_pretrained(str(folder))


def encoder_of(nlp: Language) -> Optional[Encoder]:
    """The encoder inside a pipeline with our transformer, reading the pipeline's wordpieces.

    RETURNS (Optional[Encoder]): None if the pipeline has no transformer of ours.
    """
    shim = _shim_of(nlp)
    if shim is None:
        return None
    special = shim.pieces.special

    def pieces(texts: Sequence[str]) -> List[List[int]]:
        docs = (nlp.make_doc(text) for text in texts)
        words = (shim.pieces.ids([token.text for token in doc]) for doc in docs)
        return [[i for word in note for i in word] for note in words]

    with shim.precision():
        half = torch.is_autocast_enabled(shim.device.type)
        dtype = str(torch.get_autocast_dtype(shim.device.type)) if half else "torch.float32"
    return Encoder(
        shim._model.transformer, pieces, special["max_length"] - 2, special["cls"],
        special["sep"], special["pad"], dtype.replace("torch.", ""), shim.precision,
    )  # fmt: skip


def encoder_from_folder(folder: Union[str, Path]) -> Encoder:
    """A Hugging Face checkpoint as a bare encoder, in float32 and with its own tokenizer."""
    from transformers import AutoModel, AutoTokenizer

    name = str(_check_folder(folder))
    tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
    module = AutoModel.from_pretrained(name, local_files_only=True).eval()

    def pieces(texts: Sequence[str]) -> List[List[int]]:
        return tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    window = min(tokenizer.model_max_length, module.config.max_position_embeddings) - 2
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return Encoder(module, pieces, window, *(int(i or 0) for i in special))


def encoder_runner(encoder: Encoder, texts: Sequence[str]) -> Runner:
    """A function that encodes every wordpiece once: windows without overlap, sorted by length.

    The wordpieces are cut beforehand, so that only the network is timed.
    """
    parameter = next(encoder.module.parameters())
    windows: List[List[int]] = []
    for ids in encoder.pieces(texts):
        cuts = range(0, len(ids), encoder.window)
        windows += [[encoder.cls, *ids[i : i + encoder.window], encoder.sep] for i in cuts]
    batches = [_pad(batch, encoder.pad) for batch in _batch(sorted(windows, key=len))]

    def run() -> None:
        encoder.module.eval()
        with torch.inference_mode(), encoder.precision():
            for ids, mask in batches:
                encoder.module(
                    input_ids=ids.to(parameter.device), attention_mask=mask.to(parameter.device)
                )
        if parameter.device.type == "cuda":
            torch.cuda.synchronize(parameter.device)

    return run


@contextmanager
def _checkpoint_of(
    nlp: Language, stock: Optional[Union[str, Path]]
) -> Iterator[Tuple[Optional[str], str]]:
    """Offer the checkpoint for the stock pipeline, and what to call it."""
    if stock or _shim_of(nlp) is None:
        yield (str(stock) if stock else None), (Path(stock).name if stock else "none")
        return
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(nlp, folder)
        yield folder, "those of the pipeline, in float32"


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Leave out the advice to train the pooling layer, which a tagger does not use."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _runner(nlp: Language, texts: Sequence[str], batch_size: int) -> Runner:
    def run() -> None:
        for _ in nlp.pipe(texts, batch_size=batch_size):
            pass

    return run


def _shim_of(nlp: Language) -> Any:
    for name in TRANSFORMERS:
        if name in nlp.pipe_names:
            for node in nlp.get_pipe(name).model.walk():
                for shim in node.shims:
                    if getattr(shim, "pieces", None) is not None:
                        return shim
    return None


def _batch(windows: Sequence[List[int]]) -> List[List[List[int]]]:
    """Group windows, shortest first, so that a padded batch holds at most 4096 wordpieces."""
    batches: List[List[List[int]]] = []
    for window in windows:
        if not batches or (len(batches[-1]) + 1) * len(window) > MAX_PADDED:
            batches.append([])
        batches[-1].append(window)
    return batches


def _pad(windows: Sequence[List[int]], pad: int) -> Tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, windows))
    ids = torch.tensor([w + [pad] * (longest - len(w)) for w in windows])
    mask = torch.tensor([[1] * len(w) + [0] * (longest - len(w)) for w in windows])
    return ids, mask


def _check_folder(folder: Union[str, Path]) -> Path:
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is not a folder of a Hugging Face checkpoint: found no config.json. "
            "Give a folder with config.json, weights and tokenizer files."
        )
    return folder
