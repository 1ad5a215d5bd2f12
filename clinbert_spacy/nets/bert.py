"""A BERT forward pass without what training and reading do not need. Imports torch alone.

The weights are those of `transformers.BertModel`; the arithmetic is the same. What is saved: one
matrix product for query, key and value, activations in half precision throughout (not only inside
matrix products, as autocast does), and an attention whose backward pass is four batched products.
Attention is then not dropped out.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUT_OF_REACH = -1e4  # a score that softmax turns into nothing, in half precision too


class Attention(torch.autograd.Function):
    """Softmax attention on (batch * heads, length, size); queries come scaled."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Optional[Tensor]
    ) -> Tensor:
        """Attend; `bias`, of shape (batch * heads, 1, length), is added to the scores."""
        scores = torch.bmm(query, key.transpose(1, 2))
        if bias is not None:
            scores = scores + bias
        weights = torch.softmax(scores, -1)
        ctx.save_for_backward(query, key, value, weights)
        return torch.bmm(weights, value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Differentiate. RETURNS: Gradients of query, key and value."""
        query, key, value, weights = ctx.saved_tensors
        d_value = torch.bmm(weights.transpose(1, 2), grad)
        d_weights = torch.bmm(grad, value.transpose(1, 2))
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
        d_query = torch.bmm(d_scores, key)
        return d_query, torch.bmm(d_scores.transpose(1, 2), query), d_value, None


def encode_bert(
    bert: nn.Module,
    input_ids: Tensor,
    attention_mask: Optional[Tensor] = None,
    token_type_ids: Optional[Tensor] = None,
    *,
    dtype: torch.dtype = torch.float32,
    extra: Optional[Tensor] = None,
) -> Tensor:
    """Encode wordpieces.

    bert (nn.Module): A `transformers.BertModel` with absolute positions.
    input_ids (Tensor): Shape (batch, length).
    attention_mask (Optional[Tensor]): 0 for padding; None where there is none.
    token_type_ids (Optional[Tensor]): 0 or 1; None for 0.
    dtype (torch.dtype): What layers compute in. The embeddings are always float32.
    extra (Optional[Tensor]): Added to the word embeddings. Shape (batch, length, width).
    RETURNS (Tensor): Vectors in `dtype`. Shape (batch, length, width).
    """
    config: Any = bert.config
    batch, length = input_ids.shape
    drop = float(config.hidden_dropout_prob) if bert.training else 0.0
    hidden = embed(bert.embeddings, input_ids, token_type_ids, extra, config)
    hidden = F.dropout(hidden, drop).to(dtype).view(batch * length, -1)
    bias = None
    if attention_mask is not None and not bool(attention_mask.all()):
        blocked = (1.0 - attention_mask.to(dtype)) * OUT_OF_REACH
        heads = int(config.num_attention_heads)
        bias = blocked.repeat_interleave(heads, 0).unsqueeze(1)
    for layer in bert.encoder.layer:  # type: ignore[union-attr]
        hidden = _layer(layer, hidden, bias, (batch, length), config, drop)
    return hidden.view(batch, length, -1)


def fits(network: nn.Module) -> bool:
    """Tell whether `encode_bert` computes what a network does. RETURNS (bool): It does."""
    config: Any = getattr(network, "config", None)
    return (
        getattr(config, "model_type", "") == "bert"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and getattr(config, "hidden_act", "") == "gelu"
        and not getattr(config, "is_decoder", False)
    )


def embed(
    table: Any, ids: Tensor, types: Optional[Tensor], extra: Optional[Tensor], config: Any
) -> Tensor:
    """Look wordpieces up.

    table (nn.Module): `BertEmbeddings`. ids (Tensor): Shape (batch, length).
    types, extra (Optional[Tensor]): See `encode_bert`. config (PretrainedConfig): Of the network.
    RETURNS (Tensor): float32. Shape (batch, length, width).
    """
    places = table.position_embeddings.weight[: ids.shape[1]]
    return _embed(table, ids, places, types, extra, config)


def embed_at(
    table: Any, ids: Tensor, places: Tensor, extra: Optional[Tensor], config: Any
) -> Tensor:
    """Look wordpieces up that do not lie in rows.

    table (nn.Module): `BertEmbeddings`. ids, places (Tensor): Pieces, and where each stands in
        its window. Shape (pieces,).
    extra (Optional[Tensor]): Shape (pieces, width). config (PretrainedConfig): Of the network.
    RETURNS (Tensor): float32. Shape (pieces, width).
    """
    at = F.embedding(places, table.position_embeddings.weight)
    return _embed(table, ids, at, None, extra, config)


def _embed(
    table: Any,
    ids: Tensor,
    places: Tensor,
    types: Optional[Tensor],
    extra: Optional[Tensor],
    config: Any,
) -> Tensor:
    if types is None:
        types_added = table.token_type_embeddings.weight[0]
    else:
        types_added = F.embedding(types, table.token_type_embeddings.weight)
    hidden = F.embedding(ids, table.word_embeddings.weight) + (places + types_added)
    if extra is not None:
        hidden = hidden + extra
    return layer_norm(table.LayerNorm, hidden, config)


def _layer(
    layer: Any,
    hidden: Tensor,
    bias: Optional[Tensor],
    shape: Tuple[int, int],
    config: Any,
    drop: float,
) -> Tensor:
    attended = _attend(layer.attention.self, hidden, bias, shape, config)
    attended = F.dropout(_linear(layer.attention.output.dense, attended), drop)
    hidden = layer_norm(layer.attention.output.LayerNorm, hidden + attended, config)
    inner = F.gelu(_linear(layer.intermediate.dense, hidden))
    inner = F.dropout(_linear(layer.output.dense, inner), drop)
    return layer_norm(layer.output.LayerNorm, hidden + inner, config)


def _attend(
    layer: Any, hidden: Tensor, bias: Optional[Tensor], shape: Tuple[int, int], config: Any
) -> Tensor:
    batch, length = shape
    heads = int(config.num_attention_heads)
    size = hidden.shape[1] // heads
    scale = size**-0.5
    weight = torch.cat([layer.query.weight * scale, layer.key.weight, layer.value.weight])
    offset = torch.cat([layer.query.bias * scale, layer.key.bias, layer.value.bias])
    joint = F.linear(hidden, weight.to(hidden.dtype), offset.to(hidden.dtype))
    joint = joint.view(batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
    if hidden.is_cuda:
        mask = None if bias is None else bias.view(batch, heads, 1, length)
        found = F.scaled_dot_product_attention(*joint.unbind(0), attn_mask=mask, scale=1.0)
    else:
        query, key, value = joint.reshape(3, batch * heads, length, size).unbind(0)
        found = Attention.apply(query, key, value, bias).view(batch, heads, length, size)
    return found.transpose(1, 2).reshape(batch * length, -1)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


def layer_norm(layer: nn.LayerNorm, x: Tensor, config: Any) -> Tensor:
    """Normalise in the type of `x`. RETURNS (Tensor): Shaped as x."""
    weight, bias = layer.weight.to(x.dtype), layer.bias.to(x.dtype)
    return F.layer_norm(x, layer.normalized_shape, weight, bias, float(config.layer_norm_eps))
