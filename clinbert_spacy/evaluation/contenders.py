"""What a pipeline is timed against: the stock pipeline and the bare encoder."""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Union

import spacy
import torch
from spacy.language import Language

Runner = Callable[[], None]
TRANSFORMERS = ("clinbert_transformer", "transformer")
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

    shim = shim_of(nlp)
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
    shim = shim_of(nlp)
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
def _quiet_transformers() -> Iterator[None]:
    """Leave out the advice to train the pooling layer, which a tagger does not use."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def shim_of(nlp: Language) -> Any:
    """The encoder of ours in a pipeline. RETURNS (Any): its shim; None without one."""
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
