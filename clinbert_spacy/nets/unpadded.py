"""A BERT for reading without padding, as GPUs like it. Imports torch alone.

Pieces of all windows lie one behind the other; attention takes windows of their own lengths
(torch's jagged nested tensors, which are variable-length flash attention on a GPU). Weights are
copies in the type that is computed in.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .bert import embed_at
from .packed import Weights, linear_weights, norm_weights

Layer = Tuple[List[Weights], Tuple[Weights, Weights]]


class UnpaddedBert:
    """A BERT for reading.

    bert (nn.Module): A `transformers.BertModel` with absolute positions.
    dtype (torch.dtype): What layers compute in. The embeddings are float32.
    """

    def __init__(self, bert: Any, dtype: torch.dtype):
        self.bert = bert
        self.dtype = dtype
        self.heads = int(bert.config.num_attention_heads)
        self.eps = float(bert.config.layer_norm_eps)
        self.layers: List[Layer] = []
        for layer in bert.encoder.layer:
            weights = linear_weights(layer, bert.config)
            copies = [(w.to(dtype, copy=True), b.to(dtype, copy=True)) for w, b in weights]
            self.layers.append((copies, norm_weights(layer, dtype)))

    def __call__(self, ids: Tensor, mask: Tensor, extra: Optional[Tensor] = None) -> Tensor:
        """Encode wordpieces.

        ids (Tensor): Shape (batch, length). mask (Tensor): 0 for padding, which comes last.
        extra (Optional[Tensor]): Added to the word embeddings. Shape (batch, length, width).
        RETURNS (Tensor): float32, zeros for padding. Shape (batch, length, width).
        """
        kept = mask > 0
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)[kept]
        added = None if extra is None else extra[kept]
        hidden = embed_at(self.bert.embeddings, ids[kept], places, added, self.bert.config)
        hidden = hidden.to(self.dtype)
        borders = F.pad(mask.sum(1).cumsum(0), (1, 0))
        for layer in self.layers:
            hidden = self._read(layer, hidden, borders)
        found = hidden.new_zeros(*ids.shape, hidden.shape[1], dtype=torch.float32)
        found[kept] = hidden.float()
        return found

    def _read(self, layer: Layer, hidden: Tensor, borders: Tensor) -> Tensor:
        (joint, output, inner, outer), norms = layer
        attended = self._attend(F.linear(hidden, *joint), borders)
        hidden = self._norm(hidden + F.linear(attended, *output), norms[0])
        return self._norm(hidden + F.linear(F.gelu(F.linear(hidden, *inner)), *outer), norms[1])

    def _attend(self, joint: Tensor, borders: Tensor) -> Tensor:
        width = joint.shape[1] // 3
        parts = joint.view(len(joint), 3, self.heads, width // self.heads).transpose(0, 1)
        query, key, value = (
            torch.nested.nested_tensor_from_jagged(part, borders).transpose(1, 2)
            for part in parts.contiguous()
        )
        found = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return found.transpose(1, 2).values().reshape(-1, width)

    def _norm(self, x: Tensor, norm: Weights) -> Tensor:
        return F.layer_norm(x, norm[0].shape, *norm, self.eps)
