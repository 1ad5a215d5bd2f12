"""`clinbert.TextGenerator.v1`: texts to summaries in words of the network's own."""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple, Union, cast

import torch
from thinc.api import Model

from .checkpoint import CheckpointError, resolve_name
from .detokenize import join_pieces, split_words
from .generator_shim import ABOUT_FILE, GeneratorShim, load_generator

NO_MODEL = (
    "There is no generator: train one with `clinbert train-abstractive` and give its folder "
    "`model` to nlp.get_pipe('clinbert_abstractive').load(...), or to `path` in "
    "[initialize.components.clinbert_abstractive]."
)


class Limits(NamedTuple):
    """How a summary is searched for. beams (int): candidates kept. shortest (int), longest (int):
    in wordpieces. penalty (float): above 0 favours long ones. repeat (int): no row of so many
    pieces twice; 0: any."""

    beams: int = 4
    shortest: int = 1
    longest: int = 128
    penalty: float = 1.0
    repeat: int = 3


class Generated(NamedTuple):
    """A summary. text (str): the summary. read (int): characters of the source that the encoder
    read. truncated (bool): whether it did not read all."""

    text: str
    read: int
    truncated: bool


def TextGenerator(batch_texts: int = 8) -> Model[List[str], List[Generated]]:
    """Build the model of `clinbert_abstractive`, empty until loaded.

    `attrs` hold `load`, which takes a folder in; `generate`, which writes; `loaded`; `sources`,
    what it was trained on, by which `clinbert package` refuses what may not ship.

    batch_texts (int): texts at a time.
    RETURNS (Model): Texts to `Generated`.
    """
    attrs = {
        "load": load, "generate": generate, "loaded": loaded, "sources": [], "lengths": {},
        "batch_texts": batch_texts,
    }  # fmt: skip
    return Model("text_generator", forward, attrs=attrs, shims=[GeneratorShim(None)])


def forward(
    model: Model, texts: List[str], is_train: bool
) -> Tuple[List[Generated], Callable[[Any], List[str]]]:
    """Summarise texts; nothing is learned here, see training/abstractive.py."""
    return generate(model, texts), lambda _: texts


def loaded(model: Model) -> bool:
    """Tell whether there is a network. RETURNS (bool): There is."""
    return model.shims[0]._model is not None


def load(model: Model, path: Union[str, Path]) -> None:
    """Take in what `clinbert train-abstractive` wrote.

    model (Model): a `clinbert.TextGenerator.v1`.
    path (Union[str, Path]): the folder `model`, or `python:package/folder`.
    RAISES (CheckpointError): nothing usable is there.
    """
    network, backend = load_generator(str(path))
    about = _read_about(Path(resolve_name(str(path))) / ABOUT_FILE)
    shim = cast(GeneratorShim, model.shims[0])
    # as on disk: weights that were rounded once are not made larger
    shim.save_dtype = str(about["training"]["save_dtype"])
    shim.take(network, backend)
    model.attrs["sources"] = about["sources"]
    model.attrs["lengths"] = about["lengths"]


def _read_about(path: Path) -> Dict[str, Any]:
    found = json.loads(path.read_text("utf8"))
    if not isinstance(found, dict) or not {"sources", "lengths", "training"} <= set(found):
        raise CheckpointError(
            f"{path}: expected sources, lengths and training, as `clinbert train-abstractive` "
            "writes them. Train it again."
        )
    return found


def generate(model: Model, texts: Sequence[str], **limits: Any) -> List[Generated]:
    """Summarise texts by beam search.

    model (Model): a `clinbert.TextGenerator.v1` with a network. texts (Sequence[str]): none empty.
    limits (Any): how to search, by the names of `Limits`.
    RETURNS (List[Generated]): one a text, in order.
    RAISES (CheckpointError): there is no network.
    """
    shim = cast(GeneratorShim, model.shims[0])
    if shim._model is None:
        raise CheckpointError(NO_MODEL)
    found: List[Generated] = []
    size = int(model.attrs["batch_texts"])
    for start in range(0, len(texts), size):
        found += _generate(shim, texts[start : start + size], Limits(**limits), _longest(model))
    return found


def _longest(model: Model) -> int:
    positions = int(model.shims[0].hf_config["encoder"]["max_position_embeddings"])
    return min(int(model.attrs["lengths"].get("source", positions)), positions)


def _generate(
    shim: GeneratorShim, texts: Sequence[str], limits: Limits, longest: int
) -> List[Generated]:
    config = shim._model.config
    encoded = [shim.backend.encode(text) for text in texts]
    last = config.eos_token_id
    rows = [e.ids if len(e.ids) <= longest else [*e.ids[: longest - 1], last] for e in encoded]
    width = max(map(len, rows))
    filled = [row + [config.pad_token_id] * (width - len(row)) for row in rows]
    ids = torch.tensor(filled, device=shim.device)
    lengths = torch.tensor([len(row) for row in rows], device=shim.device)
    mask = (torch.arange(width, device=shim.device)[None] < lengths[:, None]).long()
    found = _search(shim, ids, mask, limits).tolist()
    summaries = []
    for number, one in enumerate(encoded):
        written = [shim.backend.id_to_token(i) for i in found[number]]
        words = split_words(texts[number], one.tokens, one.offsets)
        cut = len(one.ids) > longest
        read = one.offsets[longest - 2][1] if cut else len(texts[number])
        summaries.append(Generated(join_pieces(written, words), read, cut))
    return summaries


def _search(
    shim: GeneratorShim, ids: torch.Tensor, mask: torch.Tensor, limits: Limits
) -> torch.Tensor:
    """Pieces of the best candidate of each row. RETURNS (Tensor): Shape (rows, longest found)."""
    network = shim._model
    positions = int(network.config.decoder.max_position_embeddings)
    unknown = shim.backend.token_to_id("[UNK]")
    network.eval()
    with torch.inference_mode():
        return network.generate(
            input_ids=ids,
            attention_mask=mask,
            num_beams=limits.beams,
            do_sample=False,
            min_length=min(limits.shortest, positions),
            max_length=min(limits.longest, positions),
            length_penalty=limits.penalty if limits.beams > 1 else None,
            no_repeat_ngram_size=limits.repeat,
            early_stopping=limits.beams > 1,
            bad_words_ids=None if unknown is None else [[unknown]],
            decoder_start_token_id=network.config.decoder_start_token_id,
            eos_token_id=network.config.eos_token_id,
            pad_token_id=network.config.pad_token_id,
        )
