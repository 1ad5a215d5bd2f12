"""What pretraining has to tell: hidden words, pairs, classes, names of diseases and drugs."""

from typing import Any, Dict, Mapping, Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertForMaskedLM

from ..nets.bert import encode_bert

IGNORED = -100
STEP = 64


class PretrainingNet(nn.Module):
    """A BERT with a head for each objective.

    model (BertForMaskedLM): The encoder and its masked-word head.
    n_tags (int): Silver tags, `O` included; 0 for none.
    n_classes (int): Classes of a passage; 0 for none.
    gold (Mapping[str, int]): Tags of each annotated corpus, `O` included.
    weights (Mapping[str, float]): Of the objectives in the loss.
    outside (float): Weight of silver `O`, since a lexicon misses names.
    """

    def __init__(
        self,
        model: BertForMaskedLM,
        *,
        n_tags: int,
        n_classes: int,
        gold: Mapping[str, int],
        weights: Mapping[str, float],
        outside: float,
    ):
        super().__init__()
        width = int(model.config.hidden_size)
        self.model = model
        self.weights = dict(weights)
        self.pool = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.pairs = nn.ModuleDict({name: nn.Linear(width, 2) for name in ("next", "order")})
        self.classes = nn.Linear(width, n_classes) if n_classes else None
        self.tags = nn.Linear(width, n_tags) if n_tags else None
        self.gold = nn.ModuleDict({name: nn.Linear(width, n) for name, n in gold.items()})
        balance = torch.ones(max(1, n_tags))
        balance[0] = outside
        self.register_buffer("balance", balance, persistent=False)

    def forward(self, batch: Mapping[str, Any], dtype: torch.dtype) -> Dict[str, Tensor]:
        """Compute each objective's mean loss, and the weighted sum as `loss`.

        batch (Mapping[str, Any]): `ids`, `mask` (None without padding), `segments`; and of what
            there is: `positions` and `labels` (hidden pieces), `next`, `order` (1 or 0 a row, -100
            for rows that do not count), `classes` (rows, n), `tags` (a label a piece) and
            `gold` (corpus to positions and labels).
        dtype (torch.dtype): What the encoder computes in.
        RETURNS (Dict[str, Tensor]): Losses by name; `hits` and `hidden` count guessed pieces.
        """
        hidden = encode_bert(
            self.model.bert, batch["ids"], batch["mask"], batch["segments"], dtype=dtype
        )
        found = self._masked(hidden, batch)
        found.update(self._passage(hidden[:, 0], batch))
        found.update(self._tagging(hidden.reshape(-1, hidden.shape[-1]), batch))
        parts = [self.weights[name] * loss for name, loss in found.items() if name in self.weights]
        # Heads that had nothing to do in this batch still take part, as other processes expect.
        idle = sum(p.sum() * 0.0 for n, p in self.named_parameters() if not n.startswith("model."))
        # a batch may have nothing that is learned, as held-out text without gold mentions
        return {**found, "loss": sum(parts, idle)}

    def _masked(self, hidden: Tensor, batch: Mapping[str, Any]) -> Dict[str, Tensor]:
        count = len(batch["positions"])
        if not count:
            return {}
        # Few different shapes: oneDNN builds and keeps a kernel for each.
        places, labels = _fill(batch["positions"], 0), _fill(batch["labels"], IGNORED)
        scores = score_pieces(self.model, hidden.reshape(-1, hidden.shape[-1])[places])
        guessed = scores.detach().argmax(1) == labels
        counts = {"hits": guessed.sum(), "hidden": torch.tensor(count)}
        return {"masked_words": F.cross_entropy(scores, labels, ignore_index=IGNORED), **counts}

    def _passage(self, first: Tensor, batch: Mapping[str, Any]) -> Dict[str, Tensor]:
        pooled = self.pool(first.float())
        found: Dict[str, Tensor] = {}
        for name, objective in (("next", "next_sentence"), ("order", "sentence_order")):
            labels: Optional[Tensor] = batch.get(name)
            if labels is not None and bool((labels >= 0).any()):
                found[objective] = F.cross_entropy(self.pairs[name](pooled), labels)
        if self.classes is not None and batch.get("classes") is not None:
            wanted = batch["classes"]
            scores = self.classes(pooled[: len(wanted)])
            found["passage_classes"] = F.binary_cross_entropy_with_logits(scores, wanted)
        return found

    def _tagging(self, flat: Tensor, batch: Mapping[str, Any]) -> Dict[str, Tensor]:
        found: Dict[str, Tensor] = {}
        tags = batch.get("tags")
        if self.tags is not None and tags is not None:
            tags = tags.reshape(-1)
            known = torch.nonzero(tags >= 0).squeeze(1)
            scores = self.tags(flat[known].float())
            found["silver_tags"] = F.cross_entropy(scores, tags[known], self.balance)
        losses = [
            F.cross_entropy(self.gold[name](flat[where].float()), labels, reduction="sum")
            for name, (where, labels) in batch.get("gold", {}).items()
        ]
        if losses:
            count = sum(len(labels) for _, labels in batch["gold"].values())
            found["gold_tags"] = torch.stack(losses).sum() / max(1, count)
        return found


def _fill(values: Tensor, filler: int) -> Tensor:
    return F.pad(values, (0, -len(values) % STEP), value=filler)


def score_pieces(model: BertForMaskedLM, hidden: Tensor) -> Tensor:
    """Score every piece of the vocabulary at hidden places.

    model (BertForMaskedLM): With embeddings and output tied.
    hidden (Tensor): Encoded places. Shape (places, width).
    RETURNS (Tensor): float32. Shape (places, vocabulary).
    """
    head: Any = model.cls.predictions
    dense, norm = head.transform.dense, head.transform.LayerNorm
    dtype = hidden.dtype
    hidden = F.gelu(F.linear(hidden, dense.weight.to(dtype), dense.bias.to(dtype)))
    weight, bias = norm.weight.to(dtype), norm.bias.to(dtype)
    hidden = F.layer_norm(hidden, norm.normalized_shape, weight, bias, norm.eps)
    return F.linear(hidden, head.decoder.weight.to(dtype)).float() + head.decoder.bias
