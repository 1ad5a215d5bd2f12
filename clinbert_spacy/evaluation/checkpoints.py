"""The encoder of a pipeline as a Hugging Face checkpoint, as it is or of another shape."""

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple, Union

from spacy.language import Language
from thinc.api import Model

TRANSFORMERS = ("clinbert_transformer", "transformer")
MASK = "[MASK]"


@contextmanager
def checkpoint_of(
    nlp: Language, stock: Optional[Union[str, Path]] = None
) -> Iterator[Tuple[Optional[str], str]]:
    """Offer a checkpoint for the rivals of a pipeline, and what to call its weights.

    nlp (Language): the pipeline.
    stock (Optional[Union[str, Path]]): a checkpoint instead of the pipeline's own encoder.
    YIELDS (Tuple[Optional[str], str]): its folder, None without one, and the name.
    """
    if stock or shim_of(nlp) is None:
        yield (str(stock) if stock else None), (Path(stock).name if stock else "none")
        return
    with tempfile.TemporaryDirectory() as folder:
        export_encoder(nlp, folder)
        yield folder, "those of the pipeline, in float32"


def export_encoder(nlp: Language, folder: Union[str, Path]) -> None:
    """Write the encoder inside a pipeline with our transformer as a Hugging Face checkpoint.

    nlp (Language): the pipeline. folder (Union[str, Path]): where to write.
    RAISES (ValueError): the pipeline has no transformer of ours.
    """
    shim = export_tokenizer(nlp, folder)
    shim._model.transformer.save_pretrained(str(folder))


def export_tokenizer(nlp: Language, folder: Union[str, Path]) -> Any:
    """Write the wordpieces of a pipeline with our transformer as a fast tokenizer.

    nlp (Language): the pipeline. folder (Union[str, Path]): where to write.
    RETURNS (Any): the shim of the transformer.
    RAISES (ValueError): the pipeline has no transformer of ours.
    """
    from transformers import PreTrainedTokenizerFast

    shim = shim_of(nlp)
    if shim is None:
        raise ValueError(f"No encoder of ours among {nlp.pipe_names}: name a checkpoint instead.")
    backend, special = shim.pieces.backend, shim.pieces.special
    ids = {name: special[name] for name in ("unk", "cls", "sep", "pad")}
    names: Dict[str, Any] = {
        f"{name}_token": backend.id_to_token(i) for name, i in ids.items() if i >= 0
    }
    if backend.token_to_id(MASK) is not None:
        names["mask_token"] = MASK
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=special["max_length"], **names
    )
    tokenizer.save_pretrained(str(folder))
    return shim


def transformer_of(nlp: Language) -> Optional[Model]:
    """The model of our transformer in a pipeline.

    RETURNS (Optional[Model]): the node with `window` and `context`; None without one.
    """
    for name in TRANSFORMERS:
        if name in nlp.pipe_names:
            for node in nlp.get_pipe(name).model.walk():
                if any(getattr(shim, "pieces", None) is not None for shim in node.shims):
                    return node
    return None


def shim_of(nlp: Language) -> Any:
    """The encoder of ours in a pipeline. RETURNS (Any): its shim; None without one."""
    node = transformer_of(nlp)
    shims = node.shims if node else ()
    return next((shim for shim in shims if getattr(shim, "pieces", None) is not None), None)


def check_folder(folder: Union[str, Path]) -> Path:
    """Raise if a folder is not that of a Hugging Face checkpoint."""
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is not a folder of a Hugging Face checkpoint: found no config.json. "
            "Give a folder with config.json, weights and tokenizer files."
        )
    return folder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Leave out the advice to train layers that speed does not depend on."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
