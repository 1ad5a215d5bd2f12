"""The encoder's network and its tokenizer in a thinc model: built, saved, loaded, trained."""

import contextlib
import inspect
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, cast

import numpy
import torch
from thinc.api import Optimizer, torch2xp, xp2torch
from thinc.types import FloatsXd

from ..nets.encoder import ClinicalEncoder
from ..nets.knowledge import KnowledgeFusion
from .checkpoint import WordPieces, build_transformer
from .reading import Reader, Reading, choose_precision, make_reader
from .shims import TorchShim

KNOWLEDGE = "knowledge"  # the part of the network whose weights have a rate of their own


class EncoderShim(TorchShim):
    """A `ClinicalEncoder` with its tokenizer, both empty until initialised or loaded.

    fusion (Optional[Dict]): Arguments of its `KnowledgeFusion`, None for text alone.
    knowledge_scale (float): Learning rate of the knowledge's weights over the encoder's.
    settled (bool): Whether the weights are as they were loaded. Those in training change too often
        to be prepared for each reading.
    """

    pieces: Optional[WordPieces] = None
    hf_config: Dict[str, Any]
    frozen_layers: int = 0
    fusion: Optional[Dict[str, Any]] = None
    knowledge_scale: float = 1.0
    settled: bool = False
    reads_in: str = ""  # what the prepared transformer computes in, "" without one
    _prepared: Optional[Tuple[Any, Dict[Any, Optional[Reader]]]] = None

    def set_network(
        self,
        transformer: torch.nn.Module,
        n_mixed: Optional[int],
        fusion: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Take a network in, its lower parts out of training.

        transformer (torch.nn.Module): The network.
        n_mixed (Optional[int]): Number of layers mixed, None for the last alone.
        fusion (Optional[Dict]): Arguments of a `KnowledgeFusion`, None for text alone.
        """
        freeze_layers(transformer, self.frozen_layers)
        self.fusion = fusion
        self.settled = False
        knowledge = KnowledgeFusion(**fusion) if fusion else None
        self._model = ClinicalEncoder(transformer, n_mixed, knowledge).to(self.device)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Take the optimizer's step, that of the knowledge's weights at their own rate."""
        fusion = self._model.knowledge
        for name, weight in fusion.named_parameters(KNOWLEDGE) if fusion is not None else ():
            if weight.grad is not None:
                value = cast(FloatsXd, torch2xp(weight.data))
                gradient = cast(FloatsXd, torch2xp(weight.grad))
                scale = self.lr_scale * self.knowledge_scale
                value, _ = optimizer((self.id, name), value, gradient, lr_scale=scale)
                weight.data = xp2torch(value, device=weight.device)
                weight.grad = None  # so that it does not step again with the others
        super().finish_update(optimizer)
        self.settled, self._prepared, self.reads_in = False, None, ""

    @contextlib.contextmanager
    def use_params(self, params: Mapping[Any, Any]) -> Iterator[None]:
        """Swap in averaged weights for the length of a block; they are read as in training."""
        settled = self.settled
        self.settled = settled and all(key[0] != self.id for key in params)
        try:
            with super().use_params(params):
                yield
        finally:
            self.settled = settled

    def reader(self, reading: Reading) -> Optional[Reader]:
        """Hand out the transformer as it is prepared for reading, preparing it the first time.

        reading (Reading): How to read.
        RETURNS (Optional[Reader]): None where the network reads by itself, see `make_reader`; and
            while it is in training.
        RAISES (ValueError): A setting cannot be had here.
        """
        if not self.settled:
            return None
        weights = self._model.transformer.parameters()
        mark = [(weight.data_ptr(), weight._version) for weight in weights]
        if self._prepared is None or self._prepared[0] != mark:
            self._prepared = (mark, {})
        ways = (reading.precision, reading.unpadded, reading.compiled)
        readers = self._prepared[1]
        if ways not in readers:
            pieces = cast(WordPieces, self.pieces)
            readers[ways] = make_reader(reading, self._model, pieces, self.device)
        reader = readers[ways]
        chosen = choose_precision(reading, self._model, self.device)
        self.reads_in = chosen if reader else ""
        return reader

    def __getstate__(self) -> Dict[str, Any]:
        # copies and other processes prepare for themselves
        return {**self.__dict__, "_prepared": None}

    def _to_message(self) -> Dict[str, Any]:
        message = super()._to_message()
        if self._model is None or self.pieces is None:
            return message
        return {
            **message,
            "config": self.hf_config,
            "tokenizer": self.pieces.backend.to_str(),
            "special": self.pieces.special,
            "n_mixed": self.n_mixed,
            **({"fusion": self.fusion} if self.fusion else {}),
        }

    def _from_message(self, message: Dict[str, Any]) -> None:
        if "config" in message:
            self.hf_config = message["config"]
            self.pieces = WordPieces(message["tokenizer"], message["special"])
            transformer = build_transformer(self.hf_config)
            self.set_network(transformer, message["n_mixed"], message.get("fusion"))
        super()._from_message(message)
        self.settled = bool(message["state"])

    @property
    def n_mixed(self) -> Optional[int]:
        """Number of layers mixed, None for the last layer alone."""
        return None if self._model.mix is None else len(self._model.mix.weights)


def freeze_layers(transformer: torch.nn.Module, n_frozen: int) -> None:
    """Take the lower parts of a network out of training.

    transformer (torch.nn.Module): A BERT-like network with `embeddings` and `encoder.layer`.
    n_frozen (int): 0 none, 1 the embeddings, 2 the first layer too, and so on.
    RAISES (ValueError): The network has fewer parts, or is built otherwise.
    """
    if n_frozen == 0:
        return
    layers = getattr(getattr(transformer, "encoder", None), "layer", None)
    if layers is None or not hasattr(transformer, "embeddings"):
        kind = type(transformer).__name__
        raise ValueError(f"frozen_layers = {n_frozen}: {kind} is not BERT-like.")
    parts = [transformer.embeddings, *layers]
    if not 0 < n_frozen <= len(parts):
        raise ValueError(f"frozen_layers = {n_frozen} is not between 0 and {len(parts)}.")
    for part in parts[:n_frozen]:
        part.requires_grad_(False)


def plan_fusion(
    transformer: Any, n_flags: int, n_vector: int, places: List[str], special: Mapping[str, int]
) -> Dict[str, Any]:
    """Size a `KnowledgeFusion` for a network.

    transformer (torch.nn.Module): The network.
    n_flags, n_vector (int): See `KnowledgeFusion`.
    places (List[str]): `input`, `output` or both.
    special (Mapping[str, int]): Ids of special pieces, see `Checkpoint`.
    RETURNS (Dict[str, Any]): Arguments of the `KnowledgeFusion`, plain data.
    RAISES (ValueError): Nothing can be added to the network's embeddings, and `input` is wanted.
    """
    if "input" in places and not takes_embeddings(transformer, special):
        raise ValueError(
            f"places = {places} of clinbert.KnowledgeFusion.v1: {type(transformer).__name__} does "
            'not compute the same from embeddings as from ids. Set places = ["output"].'
        )
    return {
        "n_flags": n_flags,
        "n_vector": n_vector,
        "n_embedding": int(transformer.get_input_embeddings().weight.shape[1]),
        "n_hidden": int(transformer.config.hidden_size),
        "places": list(places),
    }


def takes_embeddings(transformer: Any, special: Mapping[str, int]) -> bool:
    """Tell whether a network computes the same from looked-up embeddings as from ids.

    transformer (torch.nn.Module): The network.
    special (Mapping[str, int]): Ids of `cls`, `sep`, `pad`, `unk`.
    RETURNS (bool): Whether it does, tried on a row with padding and one without.
    """
    if "inputs_embeds" not in inspect.signature(transformer.forward).parameters:
        return False
    cls, sep, pad, unk = (special[name] for name in ("cls", "sep", "pad", "unk"))
    ids = torch.tensor([[cls, unk, sep, pad], [cls, unk, unk, sep]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    embed = transformer.get_input_embeddings()
    transformer.eval()
    with torch.inference_mode():
        pair = [
            transformer(**pieces, attention_mask=mask, return_dict=True).last_hidden_state[mask > 0]
            for pieces in ({"input_ids": ids}, {"inputs_embeds": embed(ids)})
        ]
    return bool(numpy.allclose(*(hidden.float().numpy() for hidden in pair), atol=1e-4))
