"""The shared encoder: a pretrained transformer and what is read off it. Imports torch alone."""

from typing import Any, Callable, Optional

import torch
from torch import Tensor, nn

from .bert import encode_bert, fits
from .knowledge import Facts, KnowledgeFusion


class LayerMix(nn.Module):
    """A learned convex mix of an encoder's layers (Peters et al. 2018, eq. 1, without gamma)."""

    def __init__(self, n_layers: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers))

    def forward(self, layers: Tensor) -> Tensor:
        """Mix `(n_layers, batch, length, width)` to `(batch, length, width)`."""
        shares = torch.softmax(self.weights, dim=0)
        # A sum and not einsum, which autocast would run in half precision.
        return (shares.view(-1, 1, 1, 1) * layers.float()).sum(0)


class ClinicalEncoder(nn.Module):
    """A pretrained transformer that gives one vector per wordpiece.

    transformer (nn.Module): Takes `input_ids` and `attention_mask`, gives `last_hidden_state`.
    n_mixed (Optional[int]): Number of layers to mix (embeddings included); None takes the last.
    knowledge (Optional[KnowledgeFusion]): Brings facts about words in; None for text alone.
    """

    def __init__(
        self,
        transformer: nn.Module,
        n_mixed: Optional[int] = None,
        knowledge: Optional[KnowledgeFusion] = None,
    ):
        super().__init__()
        self.transformer = transformer
        self.mix = LayerMix(n_mixed) if n_mixed else None
        self.knowledge = knowledge

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        facts: Optional[Facts] = None,
        shift: Optional[Tensor] = None,
        reader: Optional[Callable[..., Tensor]] = None,
    ) -> Tensor:
        """Encode `(batch, length)` ids to `(batch, length, width)` float32 vectors.

        facts (Optional[Facts]): What is known of the pieces; None for text alone.
        shift (Optional[Tensor]): Added to the wordpiece embeddings, for explanations. Shape
            (batch, length, n_embedding).
        reader (Optional[Callable]): Reads instead of the transformer, without gradients.
        """
        read = reader or self._read
        if self.knowledge is None or facts is None:
            return read(input_ids, attention_mask, shift)
        extra = self.knowledge.before(facts)
        if shift is not None:
            extra = shift if extra is None else extra + shift
        return self.knowledge.after(read(input_ids, attention_mask, extra), facts)

    def _read(self, input_ids: Tensor, attention_mask: Tensor, extra: Optional[Tensor]) -> Tensor:
        if self._is_plain():
            return _encode(self.transformer, input_ids, attention_mask, extra)
        output = self._run(input_ids, attention_mask, extra)
        if self.mix is None:
            return output.last_hidden_state.float()
        return self.mix(torch.stack(output.hidden_states))

    def _is_plain(self) -> bool:
        """Tell whether the fast forward pass computes the same as the transformer's own."""
        if self.mix is not None or not fits(self.transformer):
            return False
        config: Any = self.transformer.config
        return not self.training or float(config.attention_probs_dropout_prob) == 0.0

    def _run(self, input_ids: Tensor, attention_mask: Tensor, extra: Optional[Tensor]) -> Any:
        """Call the transformer, the one place that does. `extra` is added to its embeddings."""
        pieces = {"input_ids": input_ids}
        if extra is not None:
            embed: Any = self.transformer.get_input_embeddings()
            pieces = {"inputs_embeds": embed(input_ids) + extra}
        return self.transformer(
            **pieces,
            attention_mask=attention_mask,
            output_hidden_states=self.mix is not None,
            return_dict=True,
        )


def _encode(bert: nn.Module, ids: Tensor, mask: Tensor, extra: Optional[Tensor]) -> Tensor:
    """Take the fast forward pass in the type that autocast would compute in."""
    device = ids.device.type
    half = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if half else torch.float32
    with torch.autocast(device, enabled=False):
        return encode_bert(bert, ids, mask, dtype=dtype, extra=extra).float()
