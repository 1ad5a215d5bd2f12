"""What an abstractive training begins with: an encoder twice, and pairs as wordpieces."""

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

import spacy
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    EncoderDecoderModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from ..corpora.pairs import Pair, part_pairs, read_pairs
from ..models.checkpoint import CheckpointError, resolve_name
from ..models.encoder_shim import EncoderShim
from ..models.generator_shim import warm_start
from .abstractive_settings import AbstractiveSettings

ENCODER = "clinbert_transformer"
IGNORED = -100  # a label that torch's cross-entropy passes over
Row = Dict[str, List[int]]


class Rows(NamedTuple):
    """Pairs as wordpieces. rows (List[Row]): those that fit. read (int): how many there were.
    too_long (int): how many did not fit."""

    rows: List[Row]
    read: int
    too_long: int


@dataclass
class Ready:
    """Everything before the first update.

    network (EncoderDecoderModel): Encoder and decoder.
    tokenizer (PreTrainedTokenizerBase): Their pieces.
    train (Rows), dev (Rows): Pairs to learn from, and to choose weights by.
    """

    network: EncoderDecoderModel
    tokenizer: PreTrainedTokenizerBase
    train: Rows
    dev: Rows


def make_ready(settings: AbstractiveSettings) -> Ready:
    """Read the pairs and load the encoder.

    settings (AbstractiveSettings): From `read_abstractive`.
    RETURNS (Ready): What the loop needs.
    RAISES (ValueError): Broken files, an encoder that is no BERT, lengths beyond its positions,
        no pair that fits.
    """
    torch.manual_seed(settings.training.seed)
    with start_folder(settings.start.name) as folder:
        tokenizer, config = _check_start(folder, settings)
        network = warm_start(folder, settings.training.dropout)
    set_ends(network, tokenizer)
    parts = _read_parts(settings)
    train, dev = (make_rows(parts[name], tokenizer, settings) for name in ("train", "dev"))
    if not train.rows:
        raise ValueError(
            f"[pairs] No pair to learn from: {train.read} read, {train.too_long} longer than "
            f"[lengths] source = {settings.lengths.source}, summary = {settings.lengths.summary}."
        )
    return Ready(network, tokenizer, train, dev)


@contextmanager
def start_folder(name: str) -> Iterator[str]:
    """Find a checkpoint folder, or write one out of a trained pipeline.

    name (str): A checkpoint folder, `python:package/folder`, a pipeline's folder or package.
    YIELDS (str): The folder; gone afterwards where it was written for this.
    RAISES (CheckpointError): Nothing usable under that name.
    """
    is_pipeline = (Path(name) / "meta.json").is_file() or spacy.util.is_package(name)
    if not is_pipeline:
        yield resolve_name(name)
        return
    nlp = spacy.load(name, enable=[ENCODER])
    shim = nlp.get_pipe(ENCODER).model.shims[0] if ENCODER in nlp.pipe_names else None
    if not isinstance(shim, EncoderShim) or shim.pieces is None:
        raise CheckpointError(
            f"[start] name = '{name}': a pipeline without a trained '{ENCODER}'. Name another one, "
            "or a checkpoint folder."
        )
    with tempfile.TemporaryDirectory() as folder:
        _export(shim, Path(folder))
        yield folder


def _export(shim: EncoderShim, folder: Path) -> None:
    shim._model.transformer.save_pretrained(folder)
    backend = Tokenizer.from_str(shim.pieces.backend.to_str())  # type: ignore[union-attr]
    names = {key: f"[{key.upper().removesuffix('_TOKEN')}]" for key in
             ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")}  # fmt: skip
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)


def _check_start(
    folder: str, settings: AbstractiveSettings
) -> "tuple[PreTrainedTokenizerBase, BertConfig]":
    name = settings.start.name
    try:
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"[start] name = '{name}': cannot be loaded ({type(error).__name__}). Expected a BERT "
            "checkpoint folder, python:package/folder, or a trained pipeline."
        ) from None
    if not isinstance(config, BertConfig):
        raise CheckpointError(f"[start] name = '{name}' is of type {config.model_type}, not BERT.")
    longest = max(settings.lengths.source, settings.lengths.summary)
    if longest > config.max_position_embeddings:
        raise ValueError(
            f"[lengths] {longest}: '{name}' has {config.max_position_embeddings} positions."
        )
    return tokenizer, config


def set_ends(network: EncoderDecoderModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tell a network which pieces begin, end and fill. network: Changed in place."""
    for config in (network.config, network.generation_config):
        config.decoder_start_token_id = tokenizer.cls_token_id
        config.eos_token_id = tokenizer.sep_token_id
        config.pad_token_id = tokenizer.pad_token_id
    network.config.vocab_size = network.config.decoder.vocab_size


def _read_parts(settings: AbstractiveSettings) -> Dict[str, List[Pair]]:
    training = settings.training
    found: Dict[str, List[Pair]] = {"train": [], "dev": []}
    for corpus, block in settings.pairs.items():
        pairs = read_pairs(corpus, block.path, block.encoding)
        parts = part_pairs(list(islice(pairs, block.limit or None)), training.fold, training.folds)
        for name, taken in found.items():
            taken.extend(parts[name])
    return found


def make_rows(
    pairs: Sequence[Pair], tokenizer: Any, settings: AbstractiveSettings
) -> Rows:
    """Turn pairs into wordpieces; none is cut.

    pairs (Sequence[Pair]): The pairs. tokenizer (PreTrainedTokenizerBase): The pieces.
    settings (AbstractiveSettings): Block [lengths].
    RETURNS (Rows): Sources with both special pieces, summaries with the closing one alone, since
        the decoder is given the opening one.
    """
    rows = []
    for pair in pairs:
        ids, labels = (tokenizer(text, verbose=False)["input_ids"] for text in pair[1:3])
        if len(ids) <= settings.lengths.source and len(labels) <= settings.lengths.summary:
            rows.append({"input_ids": ids, "labels": labels[1:]})
    return Rows(rows, len(pairs), len(pairs) - len(rows))


def pad_rows(rows: Sequence[Row], pad: int) -> Dict[str, torch.Tensor]:
    """Lay rows out as one batch.

    rows (Sequence[Row]): The rows. pad (int): The piece that fills.
    RETURNS (Dict[str, Tensor]): input_ids, attention_mask, labels. Shape (rows, longest).
    """

    def lay(name: str, fill: int) -> torch.Tensor:
        values = [torch.tensor(row[name]) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=fill)

    masks = [torch.ones(len(row["input_ids"]), dtype=torch.long) for row in rows]
    return {
        "input_ids": lay("input_ids", pad),
        "attention_mask": torch.nn.utils.rnn.pad_sequence(masks, batch_first=True),
        "labels": lay("labels", IGNORED),
    }
