"""A BERT whose weights are laid out for reading on a CPU. Imports torch alone.

The arithmetic is that of `transformers.BertModel`. Weights lie as oneDNN wants them, in float32,
bfloat16 or int8 (`int8.py`); bias, GELU and the sum with what goes past a layer happen inside the
matrix products. Nothing here can be trained: the weights are copies.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bert import OUT_OF_REACH, embed

SAFE = 80.0  # a score whose exponential, summed over a window, is finite in bfloat16
SCORES = 1 << 21  # scores at once: what fits the caches
Watch = Callable[[int, str, Tensor], None]
Weights = Tuple[Tensor, Tensor]  # of a linear layer: (n_out, n_in) and (n_out,)


class Linear(NamedTuple):
    """A packed linear layer in float32 or bfloat16."""

    weight: Tensor
    bias: Tensor

    def plain(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Multiply `(rows, n_in)`. RETURNS (Tensor): in `dtype`."""
        return _linear()(x, self.weight, self.bias, "none", [], "").to(dtype)

    def gelu(self, x: Tensor) -> Tensor:
        """Multiply, then GELU."""
        return _linear()(x, self.weight, self.bias, "gelu", [], "none")

    def add(self, x: Tensor, other: Tensor) -> Tensor:
        """Multiply, then add `(rows, n_out)`."""
        return _linear().binary(x, other, self.weight, self.bias, "add")


class Layer(NamedTuple):
    """A layer: queries, keys and values at once; what comes of them; the feed-forward pair."""

    joint: Any
    output: Any
    inner: Any
    outer: Any
    norms: Tuple[Weights, Weights]


class PackedBert:
    """A BERT for reading.

    bert (nn.Module): A `transformers.BertModel` with absolute positions, for its embeddings.
    layers (List[Layer]): Its layers, packed.
    past (torch.dtype): Type of what goes past the layers and through the norms.
    scores (torch.dtype): Type that attention computes in.
    """

    def __init__(self, bert: Any, layers: List[Layer], past: torch.dtype, scores: torch.dtype):
        self.bert = bert
        self.layers = layers
        self.past = past
        self.scores = scores
        self.heads = int(bert.config.num_attention_heads)
        self.eps = float(bert.config.layer_norm_eps)

    def __call__(
        self,
        ids: Tensor,
        mask: Tensor,
        extra: Optional[Tensor] = None,
        watch: Optional[Watch] = None,
    ) -> Tensor:
        """Encode wordpieces.

        ids (Tensor): Shape (batch, length). mask (Tensor): 0 for padding. The same shape.
        extra (Optional[Tensor]): Added to the word embeddings. Shape (batch, length, width).
        watch (Optional[Watch]): Is shown what each linear layer reads, by layer and name.
        RETURNS (Tensor): float32. Shape (batch, length, width).
        """
        batch, length = ids.shape
        hidden = embed(self.bert.embeddings, ids, None, extra, self.bert.config)
        hidden = hidden.to(self.past).view(batch * length, -1)
        bias = _blocked(mask, self.scores)
        for number, layer in enumerate(self.layers):
            hidden = self._read(number, layer, hidden, bias, batch, watch or _look_away)
        return hidden.float().view(batch, length, -1)

    def _read(
        self,
        number: int,
        layer: Layer,
        hidden: Tensor,
        bias: Optional[Tensor],
        batch: int,
        watch: Watch,
    ) -> Tensor:
        watch(number, "joint", hidden)
        found = attend(layer.joint.plain(hidden, self.scores), bias, batch, self.heads)
        watch(number, "output", found)
        hidden = self._norm(layer.output.add(found.to(self.past), hidden), layer.norms[0])
        watch(number, "inner", hidden)
        inner = layer.inner.gelu(hidden)
        watch(number, "outer", inner)
        return self._norm(layer.outer.add(inner, hidden), layer.norms[1])

    def _norm(self, x: Tensor, norm: Weights) -> Tensor:
        return F.layer_norm(x, norm[0].shape, *norm, self.eps)


def pack(bert: Any, dtype: torch.dtype) -> PackedBert:
    """Pack a BERT in a floating-point type.

    bert (nn.Module): A `transformers.BertModel`.
    dtype (torch.dtype): float32 or bfloat16, for weights and activations.
    RETURNS (PackedBert): Reads as the network does now, whatever becomes of it.
    """
    layers = []
    for layer in bert.encoder.layer:
        weights = linear_weights(layer, bert.config)
        linears = [Linear(_reorder(w, dtype), b.to(dtype, copy=True)) for w, b in weights]
        layers.append(Layer(*linears, norm_weights(layer, dtype)))
    return PackedBert(bert, layers, dtype, dtype)


def can_pack() -> bool:
    """Tell whether this build of torch packs weights. RETURNS (bool): It does."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear_weights(layer: Any, config: Any) -> List[Weights]:
    """Take the weights of a layer: joint, output, inner, outer. Queries come scaled.

    layer (nn.Module): A `BertLayer`. config (PretrainedConfig): Of the network.
    RETURNS (List[Weights]): Without gradients.
    """
    own = layer.attention.self
    scale = (own.query.weight.shape[0] // int(config.num_attention_heads)) ** -0.5
    weight = torch.cat([own.query.weight * scale, own.key.weight, own.value.weight])
    bias = torch.cat([own.query.bias * scale, own.key.bias, own.value.bias])
    others = (layer.attention.output.dense, layer.intermediate.dense, layer.output.dense)
    pairs = [(weight, bias), *((other.weight, other.bias) for other in others)]
    return [(weight.detach(), bias.detach()) for weight, bias in pairs]


def norm_weights(layer: Any, dtype: torch.dtype) -> Tuple[Weights, Weights]:
    """Copy weight and bias of the norms of a layer. RETURNS: behind attention, and at the end."""

    def copied(norm: nn.LayerNorm) -> Weights:
        return norm.weight.detach().to(dtype, copy=True), norm.bias.detach().to(dtype, copy=True)

    return copied(layer.attention.output.LayerNorm), copied(layer.output.LayerNorm)


def attend(joint: Tensor, bias: Optional[Tensor], batch: int, heads: int) -> Tensor:
    """Attend within windows.

    joint (Tensor): Queries, keys and values. Shape (batch * length, 3 * width).
    bias (Optional[Tensor]): Added to the scores. Shape (batch, 1, 1, length).
    RETURNS (Tensor): In the type of `joint`. Shape (batch * length, width).
    """
    length, width = joint.shape[0] // batch, joint.shape[1] // 3
    parts = joint.view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    if joint.dtype == torch.float32:
        found = F.scaled_dot_product_attention(*parts.unbind(0), attn_mask=bias, scale=1.0)
    else:
        found = _attend_half(parts, bias)
    return found.transpose(1, 2).reshape(batch * length, width)


def _attend_half(parts: Tensor, bias: Optional[Tensor]) -> Tensor:
    """Attend by batched products, which torch's fused attention does not reach in bfloat16.

    Keys are centred, which softmax does not notice, and then no score is so large that its
    exponential could not be taken as it is: a pass over the scores less.
    """
    _, batch, heads, length, size = parts.shape
    query, key, value = parts.reshape(3, batch * heads, length, size).unbind(0)
    key = key - key.mean(1, keepdim=True)
    # no score of a head is larger than its longest query times its longest key
    plain = float((_longest(query) * _longest(key)).amax()) < SAFE
    found = torch.empty_like(query)
    at_once = min(batch, max(1, SCORES // (heads * length * length)))
    scores = query.new_empty(at_once * heads, length, length)
    for start in range(0, batch, at_once):
        rows = slice(start * heads, min(start + at_once, batch) * heads)
        part = scores[: rows.stop - rows.start]
        torch.bmm(query[rows], key[rows].transpose(1, 2), out=part)
        if bias is not None:
            part.view(-1, heads, length, length).add_(bias[start : start + at_once])
        part = part.exp_() if plain else torch.softmax(part, -1)
        torch.bmm(part, value[rows], out=found[rows])
        found[rows].div_(part.sum(-1, keepdim=True))
    return found.view(batch, heads, length, size)


def _longest(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1).amax(-1)


def _blocked(mask: Tensor, dtype: torch.dtype) -> Optional[Tensor]:
    """What is added to the scores of padding. RETURNS (Optional[Tensor]): None without padding."""
    if bool(mask.all()):
        return None
    return ((1.0 - mask.to(dtype)) * OUT_OF_REACH)[:, None, None, :]


def _reorder(weight: Tensor, dtype: torch.dtype) -> Tensor:
    # copied first: where the order is right already, the memory would be shared
    return torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype, copy=True))


def _linear() -> Any:
    # looked up late: a build of torch without oneDNN has no such operators
    return torch.ops.mkldnn._linear_pointwise


def _look_away(number: int, name: str, x: Tensor) -> None:
    pass
