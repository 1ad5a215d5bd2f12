"""Batches for pretraining: number n is always the same one, wherever training was interrupted."""

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy
import torch
from numpy.typing import NDArray

from ..models.lexicon import Lexicon
from .gold import GoldCorpus, draw_gold
from .masking import Masked, find_units, mask_units
from .objectives import IGNORED
from .pretrain_settings import ObjectiveSettings, TrainingSettings
from .sequences import ELSEWHERE, NEXT, SWAPPED, Pieces, Rows, make_rows, plan_pass
from .text_cache import MENTION, WORD, TextCache

DISEASE, DRUG = 1, 3  # silver tags that begin a name; one more goes on
N_TAGS = 5
TAGGED_KINDS = {"disease": DISEASE, "symptom": DISEASE, "drug": DRUG}


def entry_tags(lexicon: Lexicon) -> NDArray:
    """Give each entry the silver tag that begins it, 0 for other and for doubtful ones.

    lexicon (Lexicon): Names.
    RETURNS (NDArray): Entry 0 stands for no entry. Shape (entries + 1,).
    """
    tags = numpy.zeros(len(lexicon) + 1, dtype="int64")
    bits = {1 << i: TAGGED_KINDS.get(kind, 0) for i, kind in enumerate(lexicon.kinds)}
    for entry in range(len(lexicon)):
        mask = lexicon.kinds_of(entry)
        found = {tag for bit, tag in bits.items() if mask & bit}
        tags[entry + 1] = found.pop() if len(found) == 1 else 0
    return tags


@dataclass
class Stream:
    """Makes batches from text and annotated corpora.

    cache (TextCache): Text.
    weights (Mapping[str, float]): How often each source is read in a pass.
    pieces (Pieces): Special pieces.
    objectives (ObjectiveSettings): What is asked.
    training (TrainingSettings): Length, rows, seed.
    tags (Optional[NDArray]): From `entry_tags`.
    classes (Optional[NDArray]): Classes of each entry plus one. Shape (entries + 1, classes).
    gold (Dict[str, GoldCorpus]): Annotated corpora.
    """

    cache: TextCache
    weights: Mapping[str, float]
    pieces: Pieces
    objectives: ObjectiveSettings
    training: TrainingSettings
    tags: Optional[NDArray] = None
    classes: Optional[NDArray] = None
    gold: Dict[str, GoldCorpus] = field(default_factory=dict)
    _plan: Tuple[int, Optional[NDArray]] = (-1, None)

    @property
    def text_rows(self) -> int:
        """Rows of text in a batch. RETURNS (int): The others are annotated."""
        return self.training.batch_rows - self.gold_rows

    @property
    def gold_rows(self) -> int:
        """Annotated rows in a batch. RETURNS (int): 0 without annotated corpora."""
        if not self.gold or not self.objectives.gold_tags.weight:
            return 0
        wanted = round(self.objectives.gold_tags.share * self.training.batch_rows)
        return min(max(1, wanted), self.training.batch_rows - 1)

    def batches_per_pass(self) -> int:
        """Count batches of one pass. RETURNS (int): At least 1."""
        return max(1, len(self._stretches(0)) // self.text_rows)

    def batch(self, number: int) -> Dict[str, Any]:
        """Make one batch.

        number (int): Its number, from 0.
        RETURNS (Dict[str, Any]): Tensors, as `PretrainingNet.forward` takes them, and `pieces`.
        """
        rng = numpy.random.default_rng([self.training.seed, 1, number])
        wanted = self._pick(number)
        rows = make_rows(
            self.cache, wanted, self.training.length, self.pieces, rng, self._pair_shares()
        )
        masked = self._mask(rows, rng)
        batch = self._labels(rows, masked)
        if self.gold_rows:
            _append_gold(batch, draw_gold(self.gold, self.gold_rows, self.pieces, rng), self.pieces)
        batch.pop("shape", None)
        batch["pieces"] = int(batch["mask"].sum())
        batch["mask"] = None if batch["mask"].all() else batch["mask"]
        return {name: _to_torch(value) for name, value in batch.items()}

    def _pick(self, number: int) -> NDArray:
        """Choose the stretches of a batch; one that begins in a pass may end in the next."""
        size = self.batches_per_pass() * self.text_rows
        first = number * self.text_rows
        return self._stretches(first // size)[first % size : first % size + self.text_rows]

    def _stretches(self, number: int) -> NDArray:
        if self._plan[0] != number or self._plan[1] is None:
            body = self.training.length - (3 if sum(self._pair_shares()) else 2)
            seed = self.training.seed
            plan = plan_pass(self.cache, self.weights, body, seed, number)
            if not len(plan):
                raise ValueError("The text holds no document of at least 8 wordpieces.")
            self._plan = (number, plan)
        plan = self._plan[1]
        # Every pass has as many batches as the first, give or take chance: fill up by wrapping.
        first = getattr(self, "_first_size", None)
        if first is None:
            first = self._first_size = len(plan)
        return numpy.resize(plan, (first, 3)) if len(plan) < first else plan

    def _pair_shares(self) -> Tuple[float, float]:
        following, order = self.objectives.next_sentence, self.objectives.sentence_order
        return (
            following.share if following.weight else 0.0,
            order.share if order.weight else 0.0,
        )

    def _mask(self, rows: Rows, rng: numpy.random.Generator) -> Masked:
        masked = self.objectives.masked_words
        if not masked.weight:
            nothing = numpy.zeros(0, dtype="int64")
            return Masked(rows.ids, nothing, nothing)
        units = find_units(
            rows.flags,
            rows.entries,
            rows.inner,
            whole_words=masked.whole_words,
            whole_entities=masked.whole_entities,
        )
        return mask_units(
            rows.ids,
            units,
            rows.inner,
            rng,
            rate=masked.rate,
            mask_id=self.pieces.mask,
            pieces=(0, self.pieces.size),
        )

    def _labels(self, rows: Rows, masked: Masked) -> Dict[str, Any]:
        kinds = rows.kinds
        batch: Dict[str, Any] = {
            "ids": masked.ids,
            "mask": rows.mask,
            "segments": rows.segments,
            "positions": masked.positions,
            "labels": masked.labels,
            "shape": masked.ids.shape,
        }
        if self.objectives.next_sentence.weight:
            batch["next"] = _choose(kinds, NEXT, ELSEWHERE)
        if self.objectives.sentence_order.weight:
            batch["order"] = _choose(kinds, NEXT, SWAPPED)
        if self.tags is not None and self.objectives.silver_tags.weight:
            batch["tags"] = _silver(rows, self.tags)
        if self.classes is not None and self.objectives.passage_classes.weight:
            batch["classes"] = self.classes[rows.entries].max(1).astype("float32")
        return batch


def _choose(kinds: NDArray, yes: int, no: int) -> NDArray:
    return numpy.where(kinds == yes, 1, numpy.where(kinds == no, 0, IGNORED)).astype("int64")


def _silver(rows: Rows, tags: NDArray) -> NDArray:
    found = tags[rows.entries]
    found = numpy.where((found > 0) & (rows.flags & MENTION == 0), found + 1, found)
    counts = rows.inner & (rows.flags & WORD > 0)
    return numpy.where(counts, found, IGNORED)


def _append_gold(batch: Dict[str, Any], drawn: Tuple, pieces: Pieces) -> None:
    """Put annotated rows below those of text, all as long as the longest."""
    ids, mask, tags, owners = drawn
    n_rows, old = batch.pop("shape")
    length = max(old, ids.shape[1])
    batch["positions"] = batch["positions"] // old * length + batch["positions"] % old
    batch["ids"] = _stack(batch["ids"], ids, length, pieces.pad)
    batch["mask"] = _stack(batch["mask"], mask, length, False)
    batch["segments"] = _stack(batch["segments"], numpy.zeros_like(ids), length, 0)
    if "tags" in batch:
        batch["tags"] = _stack(batch["tags"], numpy.full_like(ids, IGNORED), length, IGNORED)
    for name in ("next", "order"):
        if name in batch:
            batch[name] = numpy.append(batch[name], numpy.full(len(ids), IGNORED))
    batch["gold"] = {}
    for name, where in owners.items():
        known = numpy.argwhere(tags[where] != IGNORED)
        places = (n_rows + where[known[:, 0]]) * length + known[:, 1]
        batch["gold"][name] = (places, tags[where][known[:, 0], known[:, 1]])


def _stack(above: NDArray, below: NDArray, length: int, fill: Any) -> NDArray:
    parts = [
        numpy.pad(a, ((0, 0), (0, length - a.shape[1])), constant_values=fill)
        for a in (above, below)
    ]
    return numpy.concatenate(parts)


def _to_torch(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_torch(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_to_torch(inner) for inner in value)
    if isinstance(value, numpy.ndarray):
        value = value.astype("int64") if value.dtype.kind == "i" else value
        return torch.from_numpy(numpy.ascontiguousarray(value))
    return value
