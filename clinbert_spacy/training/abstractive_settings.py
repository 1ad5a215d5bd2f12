"""The settings of `clinbert train-abstractive`, checked before anything is read."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from pydantic import Field
from thinc.api import Config

from ..corpora.pairs import find_pairs
from .pretrain_settings import Block, check_blocks, check_length, read_blocks


class StartSettings(Block):
    """What encoder and decoder begin with: a checkpoint, or a trained pipeline."""

    name: str


class PairSettings(Block):
    """A corpus of pairs; `limit` 0 takes all of it."""

    path: str
    limit: int = Field(0, ge=0)
    encoding: str = "utf-8"


class LengthSettings(Block):
    """Longest source and summary, in wordpieces with the special ones.

    A longer pair is left out: a summary of what was not read teaches to invent.
    """

    source: int = Field(512, ge=8)
    summary: int = Field(128, ge=4)


class AbstractiveTraining(Block):
    """How long, how fast, on what."""

    seed: int = 0
    fold: int = Field(0, ge=0)
    folds: int = Field(10, ge=3)
    batch_rows: int = Field(16, ge=1)
    accumulate: int = Field(1, ge=1)
    max_steps: int = Field(0, ge=0)
    passes: float = Field(0.0, ge=0.0)
    learn_rate: float = Field(3e-4, gt=0.0)
    warmup: float = Field(0.1, ge=0.0, lt=1.0)
    weight_decay: float = Field(0.01, ge=0.0)
    grad_clip: float = Field(1.0, gt=0.0)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    precision: str = Field("auto", pattern="^(auto|float32|bfloat16)$")
    save_dtype: str = Field("float16", pattern="^(float32|float16|bfloat16)$")
    device: str = Field("auto", pattern="^(auto|cpu)$")
    evaluate_every: int = Field(200, ge=1)


class CardSettings(Block):
    """What the model says of itself. `ships` refuses corpora that weights to be shared may not
    have seen."""

    title: str = ""
    ships: bool = False


class AbstractiveSettings(Block):
    """Everything that a training is told."""

    paths: Dict[str, Any] = Field(default_factory=dict)
    start: StartSettings
    pairs: Dict[str, PairSettings]
    lengths: LengthSettings = Field(default_factory=LengthSettings)
    training: AbstractiveTraining = Field(default_factory=AbstractiveTraining)
    card: CardSettings = Field(default_factory=CardSettings)


def read_abstractive(
    config: Union[str, Path, Config], overrides: Optional[Mapping[str, Any]] = None
) -> AbstractiveSettings:
    """Read and check a config.

    config (Union[str, Path, Config]): A file in thinc's config format, or what is in one.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name.
    RETURNS (AbstractiveSettings): With every default filled in.
    RAISES (ValueError): For a missing file, an unknown setting, a value out of range, a corpus
        that is not known or may not ship; it names the setting and what was expected.
    """
    settings = check_blocks(AbstractiveSettings, read_blocks(config, overrides))
    _check(settings)
    return settings


def _check(settings: AbstractiveSettings) -> None:
    training = settings.training
    check_length(training.max_steps, training.passes)
    if not settings.pairs:
        raise ValueError("[pairs] expected corpora to learn from, found none.")
    banned = sorted(name for name in settings.pairs if not find_pairs(name).ships)
    if settings.card.ships and banned:
        raise ValueError(
            f"[card] ships = true, and [pairs] {banned} may not train weights that ship: take them "
            "out, or set ships = false and keep the model to yourself."
        )
