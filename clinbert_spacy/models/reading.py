"""How an encoder reads: its windows, and the type of numbers that suits the processor."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Callable, List, Optional

import torch
from torch import Tensor

from ..nets.bert import encode_bert, fits
from ..nets.encoder import ClinicalEncoder
from ..nets.int8 import can_pack_int8, measure_ranges, pack_int8
from ..nets.packed import PackedBert, can_pack, pack
from ..nets.unpadded import UnpaddedBert
from .checkpoint import WordPieces
from .shims import autocast_dtype
from .windows import check_window

PRECISIONS = ("auto", "float32", "bfloat16", "int8")
SAMPLE_LENGTH, SAMPLE_ROWS = 128, 8
# Most pieces of a batch on a CPU: what passes between two layers stays in its cache.
CACHED_PIECES = 2048
Reader = Callable[[Tensor, Tensor, Optional[Tensor]], Tensor]


@dataclass
class Reading:
    """How an encoder reads. It may be changed at any time and is not saved with the weights, so
    that the config has the last word.

    window (int): Longest window in wordpieces, without the two special pieces.
    context (int): Wordpieces of context on either side of what a window owns.
    batch_pieces (int): Most wordpieces in one padded batch; a CPU reads 2,048 at most at once, as
        fits its caches.
    precision (str): `float32`; `bfloat16`; `int8` for reading on CPUs with AVX512-VNNI; `auto` for
        what the device is quickest in: half precision on a GPU and on CPUs with AMX, `int8` with
        AVX512-VNNI, `float32` elsewhere. Training takes half precision where there is AMX or a
        GPU, and float32 elsewhere. Vectors are float32 always.
    unpadded (bool): Leave padding out, in attention too: for GPUs.
    compiled (bool): Read through `torch.compile`: the first notes take long, and a CPU needs a C++
        compiler. Both are for loaded BERTs and change nothing in training.
    """

    window: int
    context: int
    batch_pieces: int
    precision: str
    unpadded: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        check_window(self.window, self.context)
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision = '{self.precision}' is not one of {', '.join(PRECISIONS)}."
            )
        if self.unpadded + self.compiled + (self.precision == "int8") > 1:
            raise ValueError(
                f"unpadded = {self.unpadded}, compiled = {self.compiled} and precision = "
                f"'{self.precision}' are different ways to read: choose one of unpadded, compiled "
                "and int8."
            )

    @property
    def is_packed(self) -> bool:
        """Whether weights are packed on a CPU. RETURNS (bool): They are."""
        return not (self.unpadded or self.compiled)


def choose_precision(reading: Reading, encoder: ClinicalEncoder, device: torch.device) -> str:
    """Decide what to compute in.

    reading (Reading): What is wanted. encoder (ClinicalEncoder): The network.
    device (torch.device): Where it runs.
    RETURNS (str): What is wanted; for `auto` bfloat16 on CPUs with tiles (AMX), int8 on CPUs with
        AVX512-VNNI, float32 on others, and half precision on a GPU.
    RAISES (ValueError): It cannot be had here.
    """
    possible = available_precisions(encoder, device)
    wanted = reading.precision
    if wanted == "auto":
        return _choose(possible if reading.is_packed else possible[:2], device)
    if wanted not in possible:
        raise ValueError(
            f"precision = '{wanted}' of clinbert.ClinicalTransformer.v1 cannot be had here, with "
            f"{_name(encoder)} on {device.type}: {_why_not(encoder, device)}. Set it to "
            f"one of auto, {', '.join(possible)}."
        )
    return wanted


def available_precisions(encoder: ClinicalEncoder, device: torch.device) -> List[str]:
    """List the precisions that a network can be read in.

    encoder (ClinicalEncoder): The network. device (torch.device): Where it runs.
    RETURNS (List[str]): float32 first.
    """
    eight = can_read_packed(encoder, device) and can_pack_int8() and has_vnni()
    return ["float32", "bfloat16", *(["int8"] if eight else [])]


def cpu_precision() -> str:
    """Tell what `auto` is for a BERT on this CPU. RETURNS (str): One of `PRECISIONS`."""
    if has_amx():
        return "bfloat16"
    return "int8" if can_pack() and can_pack_int8() and has_vnni() else "float32"


def has_vnni() -> bool:
    """Tell whether the processor multiplies bytes. RETURNS (bool): It has AVX512-VNNI."""
    return _asks("_is_vnni_supported") and _asks("_is_avx512_supported")


def has_amx() -> bool:
    """Tell whether the processor has tiles. RETURNS (bool): It has AMX."""
    return _asks("_is_amx_tile_supported")


def has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16. RETURNS (bool): It has AVX512-BF16 or AMX."""
    return has_amx() or _asks("_is_avx512_bf16_supported")


def make_reader(
    reading: Reading, encoder: ClinicalEncoder, pieces: WordPieces, device: torch.device
) -> Optional[Reader]:
    """Prepare a network for reading.

    reading (Reading): How. encoder (ClinicalEncoder): The network, with the weights it shall have.
    pieces (WordPieces): Its tokenizer. device (torch.device): Where it runs.
    RETURNS (Optional[Reader]): From ids, mask and what is added to the embeddings to vectors. None
        where the network reads best by itself: on a GPU, unless settings ask for more.
    RAISES (ValueError): A setting cannot be had here.
    """
    network = encoder.transformer
    precision = choose_precision(reading, encoder, device)
    if not reading.is_packed:
        _check_plain(reading, encoder)
        dtype = _half(device) if precision == "bfloat16" else torch.float32
        with torch.inference_mode():
            return UnpaddedBert(network, dtype) if reading.unpadded else _compile(network, dtype)
    return _pack(network, pieces, precision) if can_read_packed(encoder, device) else None


def _pack(network: Any, pieces: WordPieces, precision: str) -> PackedBert:
    if precision != "int8":
        with torch.inference_mode():
            return pack(network, getattr(torch, precision))
    scores = torch.bfloat16 if has_bfloat16() else torch.float32
    ranges = measure_ranges(network, sample_pieces(pieces, network.config))
    return pack_int8(network, ranges, scores)


def can_read_packed(encoder: ClinicalEncoder, device: torch.device) -> bool:
    """Tell whether `make_reader` takes the transformer of a network.

    encoder (ClinicalEncoder): The network. device (torch.device): Where it runs.
    RETURNS (bool): It does: a plain BERT whose last layer counts, on a CPU that torch packs for.
    """
    plain = encoder.mix is None and fits(encoder.transformer)
    return device.type == "cpu" and plain and can_pack()


def sample_pieces(pieces: WordPieces, config: Any) -> Tensor:
    """Make what the ranges of int8 are measured on: clinical text, and pieces at random.

    The same for the same vocabulary. The random half makes up for a vocabulary of another
    language, or for a model that finds the text unremarkable.

    pieces (WordPieces): The tokenizer. config (PretrainedConfig): Of the network.
    RETURNS (Tensor): Ids with special pieces. Shape (rows, length).
    """
    length = min(SAMPLE_LENGTH, int(config.max_position_embeddings)) - 2
    text = (files("clinbert_spacy.resources") / "en" / "calibration.txt").read_text("utf8")
    read = torch.tensor([i for word in pieces.ids(text.split()) for i in word])
    whole = read.repeat(-(-SAMPLE_ROWS * length // len(read)))[: SAMPLE_ROWS * length]
    draw = torch.Generator().manual_seed(0)
    drawn = torch.randint(int(config.vocab_size), (SAMPLE_ROWS * length,), generator=draw)
    rows = torch.cat([whole, drawn]).view(-1, length)
    ends = torch.tensor([[pieces.special["cls"], pieces.special["sep"]]]).repeat(len(rows), 1)
    return torch.cat([ends[:, :1], rows, ends[:, 1:]], 1)


def _compile(network: Any, dtype: torch.dtype) -> Reader:
    compiled = torch.compile(encode_bert, dynamic=True)

    def read(ids: Tensor, mask: Tensor, extra: Optional[Tensor] = None) -> Tensor:
        return compiled(network, ids, mask, dtype=dtype, extra=extra).float()

    return read


def _half(device: torch.device) -> torch.dtype:
    # GPUs before Ampere compute in float16, and only emulate bfloat16
    dtype = autocast_dtype(device)
    return torch.bfloat16 if dtype == torch.float32 else dtype


def _check_plain(reading: Reading, encoder: ClinicalEncoder) -> None:
    if encoder.mix is not None or not fits(encoder.transformer):
        setting = "unpadded" if reading.unpadded else "compiled"
        raise ValueError(
            f"{setting} = true of clinbert.ClinicalTransformer.v1 is for the last layer of a BERT "
            f"with GELU and absolute positions, not for {_name(encoder)}: set it to false."
        )


def _choose(possible: List[str], device: torch.device) -> str:
    if device.type != "cpu":
        return "bfloat16"
    return cpu_precision() if cpu_precision() in possible else "float32"


def _name(encoder: ClinicalEncoder) -> str:
    return type(encoder.transformer).__name__ + (" and mixed layers" if encoder.mix else "")


def _why_not(encoder: ClinicalEncoder, device: torch.device) -> str:
    if device.type != "cpu":
        return "int8 is for CPUs"
    if encoder.mix is not None or not fits(encoder.transformer):
        return "int8 is for the last layer of a BERT with GELU and absolute positions"
    return "int8 needs a CPU with AVX512-VNNI and a build of torch with oneDNN"


def _asks(name: str) -> bool:
    # private in torch, so it may be gone: then the processor counts as a plain one
    return bool(getattr(torch.cpu, name, lambda: False)())
