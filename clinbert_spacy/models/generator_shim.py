"""A BERT2BERT (`transformers`' EncoderDecoderModel) with its pieces: built, saved, loaded."""

from pathlib import Path
from typing import Any, Dict, List, Set

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    EncoderDecoderConfig,
    EncoderDecoderModel,
)
from transformers.modeling_utils import no_init_weights
from transformers.utils import logging as hf_logging

from .checkpoint import CheckpointError, plain_backend, resolve_name
from .shims import SAVE_DTYPES, TorchShim

ABOUT_FILE = "abstractive.json"


class GeneratorShim(TorchShim):
    """An encoder with a decoder and their tokenizer, empty until loaded.

    backend (Optional[Tokenizer]): The pieces. hf_config (Dict): Configuration of the two networks.
    """

    backend: Any = None
    hf_config: Dict[str, Any]

    def take(self, network: EncoderDecoderModel, backend: Tokenizer) -> None:
        """Take a network and its pieces in.

        network (EncoderDecoderModel): The network; its unused pooling layer is taken off.
        backend (Tokenizer): Without truncation and padding.
        """
        drop_pooler(network)
        self.hf_config = network.config.to_dict()
        self.backend = backend
        self._model = network.to(self.device).eval()

    def _to_message(self) -> Dict[str, Any]:
        empty = {"cfg": self.cfg, "save_dtype": self.save_dtype, "state": b""}
        if self._model is None:
            return empty
        state = save_safetensors(untied_state(self._model, self.save_dtype))
        return {
            **empty, "state": state, "config": self.hf_config, "tokenizer": self.backend.to_str(),
        }  # fmt: skip

    def _from_message(self, message: Dict[str, Any]) -> None:
        self.cfg, self.save_dtype = message["cfg"], message["save_dtype"]
        if message["state"]:
            network = build_network(message["config"])
            load_untied(network, load_safetensors(message["state"]))
            self.take(network, Tokenizer.from_str(message["tokenizer"]))


def warm_start(folder: str, dropout: float) -> EncoderDecoderModel:
    """Make encoder and decoder out of one checkpoint; only the attention between them is new.

    folder (str): A BERT checkpoint. dropout (float): In both.
    RETURNS (EncoderDecoderModel): Weights in float32.
    """
    drops = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    both = {f"{side}_{name}": x for side in ("encoder", "decoder") for name, x in drops.items()}
    level = hf_logging.get_verbosity()
    # It warns of every new weight, and here they are meant.
    hf_logging.set_verbosity_error()
    network = EncoderDecoderModel.from_encoder_decoder_pretrained(
        folder, folder, encoder_torch_dtype=torch.float32, decoder_torch_dtype=torch.float32, **both
    )
    hf_logging.set_verbosity(level)
    drop_pooler(network)
    return network


def drop_pooler(network: EncoderDecoderModel) -> None:
    """Take the encoder's pooling layer off, which nothing reads. network: Changed in place."""
    if getattr(network.encoder, "pooler", None) is not None:
        network.encoder.pooler = None


def load_generator(name: str) -> "tuple[EncoderDecoderModel, Tokenizer]":
    """Load what `clinbert train-abstractive` wrote.

    name (str): The folder `model` of a run, or `python:package/folder`.
    RETURNS: Network and pieces.
    RAISES (CheckpointError): Nothing usable is there.
    """
    folder = Path(resolve_name(name))
    needed = ("config.json", "tokenizer.json", "model.safetensors", ABOUT_FILE)
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise CheckpointError(
            f"'{folder}' lacks {', '.join(missing)}: expected the folder `model` that "
            "`clinbert train-abstractive` writes."
        )
    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
        network = build_network(AutoConfig.from_pretrained(folder).to_dict())
        load_untied(network, load_safetensors((folder / "model.safetensors").read_bytes()))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"Cannot load the generator '{folder}': {type(error).__name__}. Train it again with "
            "`clinbert train-abstractive`."
        ) from None
    finally:
        hf_logging.set_verbosity(level)
    return network, plain_backend(tokenizer)


def build_network(config: Dict[str, Any]) -> EncoderDecoderModel:
    """Build the two networks from a configuration, their weights to be loaded next.

    config (Dict): What `EncoderDecoderConfig.to_dict` gives.
    RETURNS (EncoderDecoderModel): Without a pooling layer.
    """
    typed = EncoderDecoderConfig(**config)
    with no_init_weights():
        encoder = AutoModel.from_config(typed.encoder)
        decoder = AutoModelForCausalLM.from_config(typed.decoder)
    network = EncoderDecoderModel(encoder=encoder, decoder=decoder, config=typed)
    drop_pooler(network)
    network.tie_weights()
    network.decoder.tie_weights()
    return network


def untied_state(network: torch.nn.Module, dtype: str) -> Dict[str, torch.Tensor]:
    """Take the weights of a network, each once although names share it.

    network (torch.nn.Module): The network. dtype (str): Of floating-point weights.
    RETURNS (Dict[str, Tensor]): Copies, by the first name of each.
    """
    seen: Set[int] = set()
    state = {}
    for name, value in network.state_dict().items():
        if value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            cast = value.to("cpu", SAVE_DTYPES[dtype]) if value.is_floating_point() else value.cpu()
            state[name] = cast.detach().clone().contiguous()
    return state


def load_untied(network: torch.nn.Module, state: Dict[str, torch.Tensor]) -> None:
    """Read what `untied_state` took into a network of the same shape, as float32.

    network (torch.nn.Module): Changed in place. state (Dict[str, Tensor]): The weights.
    RAISES (KeyError): A weight is missing, or one is too many.
    """
    own = network.state_dict()
    wide = {n: v.float() if v.is_floating_point() else v for n, v in state.items()}
    covered = {own[name].data_ptr() for name in wide if name in own}
    missing: List[str] = [name for name, value in own.items() if value.data_ptr() not in covered]
    extra = sorted(set(wide) - set(own))
    if missing or extra:
        raise KeyError(f"weights missing: {missing[:3]}, too many: {extra[:3]}")
    network.load_state_dict(wide, strict=False)
