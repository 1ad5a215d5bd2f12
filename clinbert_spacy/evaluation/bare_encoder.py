"""The encoder alone, as strong an opponent as can be: no overlap, little padding, best batch."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import torch
from spacy.language import Language

from .checkpoints import check_folder, shim_of, transformer_of
from .encoder_settings import settings_of

# wordpieces of a padded batch that are tried in the warm-up, the larger ones on a GPU only
BATCH_PIECES = (256, 512, 1024, 2048, 4096, 8192, 16384)
GPU_BATCH_PIECES = (32768, 65536)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Encoder:
    """A bare encoder and the wordpieces it shall read.

    module (torch.nn.Module): called as a Hugging Face model.
    pieces (Callable): texts -> ids of the wordpieces of each, without special ones.
    window (int): most wordpieces at once. cls, sep, pad (int): ids of special wordpieces.
    """

    module: torch.nn.Module
    pieces: Callable[[Sequence[str]], List[List[int]]]
    window: int
    cls: int
    sep: int
    pad: int

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.module.parameters()).device


class EncoderRun:
    """A function that encodes every wordpiece once: windows without overlap, sorted by length.

    The wordpieces are cut beforehand, so that only the network is timed.

    encoder (Encoder): what runs. texts (Sequence[str]): what it reads.
    dtype (str): "float32", or "bfloat16" by autocast.
    batch_pieces (Sequence[int]): wordpieces of a padded batch to try; the fastest is kept.
    """

    def __init__(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        dtype: str = "float32",
        batch_pieces: Sequence[int] = (),
    ):
        self.encoder = encoder
        self.dtype = dtype
        self.windows = sorted(_windows(encoder, texts), key=len)
        more = GPU_BATCH_PIECES if encoder.device.type == "cuda" else ()
        self.batch_pieces = self._choose(batch_pieces or (*BATCH_PIECES, *more))
        self.batches = self._batches(self.batch_pieces)

    @property
    def detail(self) -> str:
        """What a reader of the figure must know."""
        return (
            f"windows of {self.encoder.window} wordpieces without overlap, "
            f"{self.batch_pieces} wordpieces a padded batch"
        )

    def __call__(self) -> None:
        """Encode everything."""
        self._run(self.batches)

    def _choose(self, sizes: Sequence[int]) -> int:
        if len(sizes) == 1 or not self.windows:
            return sizes[0]
        self._run(self._batches(sizes[0]))
        seconds = {}
        for size in sizes:
            batches = self._batches(size)
            start = time.perf_counter()
            self._run(batches)
            seconds[size] = time.perf_counter() - start
        return min(seconds, key=lambda size: seconds[size])

    def _batches(self, size: int) -> List[Tuple[torch.Tensor, torch.Tensor]]:
        return [_pad(batch, self.encoder.pad) for batch in batch_sorted(self.windows, size)]

    def _run(self, batches: List[Tuple[torch.Tensor, torch.Tensor]]) -> None:
        module, device = self.encoder.module, self.encoder.device
        half = self.dtype != "float32"
        cast = torch.autocast(device.type, dtype=DTYPES["bfloat16"], enabled=half)
        module.eval()
        with torch.inference_mode(), cast:
            for ids, mask in batches:
                module(input_ids=ids.to(device), attention_mask=mask.to(device))
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def dtypes_on(device: torch.device) -> List[str]:
    """In what a bare encoder can compute on a device; bfloat16 also where it does not pay."""
    able = device.type == "cpu" or (device.type == "cuda" and torch.cuda.is_bf16_supported())
    return [*DTYPES] if able else ["float32"]


def encoder_of(nlp: Language) -> Optional[Encoder]:
    """The encoder inside a pipeline with our transformer: its wordpieces, its length of windows.

    RETURNS (Optional[Encoder]): None if the pipeline has no transformer of ours.
    """
    node, shim = transformer_of(nlp), shim_of(nlp)
    if node is None:
        return None
    special = shim.pieces.special
    window = min(settings_of(node)["window"], special["max_length"] - 2)
    names = ("cls", "sep", "pad")
    module = shim._model.transformer
    return Encoder(module, partial(_pieces, nlp, shim.pieces), window, *(special[n] for n in names))


def encoder_from_folder(folder: Union[str, Path]) -> Encoder:
    """A Hugging Face checkpoint as a bare encoder, with its own tokenizer and longest window."""
    from transformers import AutoModel, AutoTokenizer

    name = str(check_folder(folder))
    tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
    module = AutoModel.from_pretrained(name, local_files_only=True).eval()

    def pieces(texts: Sequence[str]) -> List[List[int]]:
        return tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    window = min(tokenizer.model_max_length, module.config.max_position_embeddings) - 2
    special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return Encoder(module, pieces, window, *(int(i or 0) for i in special))


def batch_sorted(windows: Sequence[List[int]], size: int) -> List[List[List[int]]]:
    """Group windows, shortest first, so that a padded batch holds at most `size` wordpieces."""
    batches: List[List[List[int]]] = []
    for window in windows:
        if not batches or (len(batches[-1]) + 1) * len(window) > size:
            batches.append([])
        batches[-1].append(window)
    return batches


def _pieces(nlp: Language, pieces: Any, texts: Sequence[str]) -> List[List[int]]:
    docs = (nlp.make_doc(text) for text in texts)
    words = (pieces.ids([token.text for token in doc]) for doc in docs)
    return [[int(i) for word in note for i in word] for note in words]


def _windows(encoder: Encoder, texts: Sequence[str]) -> List[List[int]]:
    found: List[List[int]] = []
    for ids in encoder.pieces(texts):
        cuts = range(0, len(ids), encoder.window)
        found += [[encoder.cls, *ids[i : i + encoder.window], encoder.sep] for i in cuts]
    return found


def _pad(windows: Sequence[List[int]], pad: int) -> Tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, windows))
    ids = torch.tensor([w + [pad] * (longest - len(w)) for w in windows])
    mask = torch.tensor([[1] * len(w) + [0] * (longest - len(w)) for w in windows])
    return ids, mask
