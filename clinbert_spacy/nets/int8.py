"""A BERT in eight-bit integers, for reading on a CPU. Imports torch alone.

A weight has a scale an output channel, an activation one fixed scale, so that a note's vectors do
not depend on what stands beside it in the batch. Two things keep the rounding small:

- Channels with large values are shrunk before rounding and their weights grown (SmoothQuant, Xiao
  et al. 2023, eq. 4, with the activations' share alone).
- Feed-forward neurons that sometimes fire far above the others are split into several: one gives
  `GELU(x)` up to a reach, the next `GELU(x - reach)`, and so on; their outputs add up, as in
  outlier channel splitting (Zhao et al. 2019). Without it a few values of 20 to 40 cost all the
  others their precision.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .packed import Layer, PackedBert, Weights, linear_weights, norm_weights, pack

SMOOTHING = 0.85  # share of a channel's excess, as an exponent, that moves into its weights
EXTRA = 32  # neurons a feed-forward layer gets for splitting
MARGIN = 1.2  # how far beyond what was seen a neuron may fire
LEAST = -0.17  # the least value of GELU
LEVELS, ZERO = 127, 128
ORDER = ["other", "bias"]
Ranges = List[Dict[str, Tensor]]


class IntLinear(NamedTuple):
    """A packed linear layer in int8.

    weight, weight_scale, weight_zero, bias (Tensor): Of the packed layer.
    shrink (Optional[Tensor]): Brings input channels to integers; None reads bytes. Shape (n_in,).
    scale, zero (float, int): What one step of the input is worth, and the byte that is nothing.
    out_scale, out_zero (float, int): The same of what `gelu` gives.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero: Tensor
    bias: Tensor
    shrink: Optional[Tensor]
    scale: float
    zero: int
    out_scale: float = 1.0
    out_zero: int = 0

    def plain(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Multiply `(rows, n_in)`. RETURNS (Tensor): in `dtype`."""
        return _linear()(*self._head(x), self.bias, 1.0, 0, dtype, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """Multiply, then GELU. RETURNS (Tensor): bytes."""
        out = (self.out_scale, self.out_zero, torch.uint8)
        return _linear()(*self._head(x), self.bias, *out, "gelu", [], "none")

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """Multiply, then add `(rows, n_out)`. RETURNS (Tensor): as `other`."""
        out = (1.0, 0, other.dtype, 1.0, 0)
        return _linear().binary(
            *self._head(x), other, self.bias, *out, "add", 1.0, "none", [], ""
        )

    def _head(self, x: Tensor) -> Tuple[Any, ...]:
        x = x if self.shrink is None else to_bytes(x * self.shrink)
        return x, self.scale, self.zero, self.weight, self.weight_scale, self.weight_zero


def to_bytes(x: Tensor) -> Tensor:
    """Round floats between -128 and 127 to bytes around 128; x is changed.

    By way of int8, which torch converts to eight times as fast as to uint8; the products want bytes
    without a sign, as oneDNN has no fast ones with it where there are no tiles.
    """
    rounded = x.round_().clamp_(-LEVELS - 1, LEVELS).to(torch.int8)
    return rounded.view(torch.uint8).bitwise_xor_(ZERO)


@torch.inference_mode()
def measure_ranges(bert: Any, ids: Tensor) -> Ranges:
    """Find how large activations get.

    bert (nn.Module): A `transformers.BertModel`.
    ids (Tensor): Wordpieces of a sample, without padding. Shape (batch, length).
    RETURNS (Ranges): Of each layer, the largest absolute value of each input channel of its linear
        layers (of `outer`: the largest value).
    """
    found: Ranges = [{} for _ in bert.encoder.layer]

    def watch(number: int, name: str, x: Tensor) -> None:
        found[number][name] = (x if name == "outer" else x.abs()).amax(0)

    pack(bert, torch.float32)(ids, torch.ones_like(ids), watch=watch)
    return found


@torch.inference_mode()
def pack_int8(bert: Any, ranges: Ranges, scores: torch.dtype) -> PackedBert:
    """Pack a BERT in eight bits.

    bert (nn.Module): A `transformers.BertModel`.
    ranges (Ranges): From `measure_ranges`.
    scores (torch.dtype): Type that attention computes in: bfloat16 where the processor has it.
    RETURNS (PackedBert): Reads nearly as the network does now, whatever becomes of it.
    """
    layers = [
        _pack_layer(layer, bert.config, seen) for layer, seen in zip(bert.encoder.layer, ranges)
    ]
    return PackedBert(bert, layers, torch.float32, scores)


def can_pack_int8() -> bool:
    """Tell whether this build of torch multiplies packed integers. RETURNS (bool): It does."""
    binary = getattr(getattr(torch.ops.onednn, "qlinear_pointwise", None), "binary", None)
    # the operators are torch's own affair: older versions give them in another order
    return binary is not None and [a.name for a in binary._schema.arguments[6:8]] == ORDER


def _pack_layer(layer: Any, config: Any, seen: Dict[str, Tensor]) -> Layer:
    joint, output, inner, outer = linear_weights(layer, config)
    reach, parts = split_neurons(seen["outer"])
    inner, outer = _split(inner, outer, reach, parts)
    step = (reach - LEAST) / 255
    zero = round(-LEAST / step)
    return Layer(
        _shrunk(joint, seen["joint"]),
        _shrunk(output, seen["output"]),
        _shrunk(inner, seen["inner"])._replace(out_scale=step, out_zero=zero),
        _round_weights(outer, None, step, zero),
        norm_weights(layer, torch.float32),
    )


def split_neurons(highest: Tensor) -> Tuple[float, Tensor]:
    """Decide into how many parts to split each neuron, `EXTRA` parts more than neurons in all.

    highest (Tensor): The largest output of each neuron. Shape (neurons,).
    RETURNS (Tuple[float, Tensor]): The largest output of a part, and how many parts each neuron
        has. Shape (neurons,).
    """
    high = (highest * MARGIN).clamp(min=1e-3)
    reach = float(high.median())
    parts = torch.ceil(high / reach)
    while int(parts.sum()) - len(parts) > EXTRA:
        reach *= 1.05
        parts = torch.ceil(high / reach)
    parts[0] += EXTRA - (int(parts.sum()) - len(parts))  # never reached; keeps the width round
    return reach, parts.long()


def _split(inner: Weights, outer: Weights, reach: float, parts: Tensor) -> Tuple[Weights, Weights]:
    index = torch.repeat_interleave(torch.arange(len(parts)), parts)
    number = torch.arange(len(index)) - (torch.cumsum(parts, 0) - parts)[index]
    lower = inner[0][index], inner[1][index] - number * reach
    return lower, (outer[0][:, index], outer[1])


def _shrunk(weights: Weights, highest: Tensor) -> IntLinear:
    high = highest.clamp(min=1e-3)
    smooth = (high / high.median()).pow(SMOOTHING).clamp_(min=1.0)
    scale = float((high / smooth).max()) / LEVELS
    return _round_weights((weights[0] * smooth, weights[1]), 1 / (smooth * scale), scale, ZERO)


def _round_weights(
    weights: Weights, shrink: Optional[Tensor], scale: float, zero: int
) -> IntLinear:
    weight, bias = weights
    steps = (weight.abs().amax(1) / LEVELS).clamp_(min=1e-12)
    rounded = torch.round(weight / steps[:, None]).to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(rounded, None)
    nothing = torch.zeros(len(steps), dtype=torch.int64)
    return IntLinear(packed, steps, nothing, bias.float().clone(), shrink, scale, zero)


def _linear() -> Any:
    # looked up late: a build of torch without oneDNN has no such operators
    return torch.ops.onednn.qlinear_pointwise
