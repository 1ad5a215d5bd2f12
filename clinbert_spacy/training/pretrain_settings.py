"""The settings of `clinbert pretrain`, checked before anything is read."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Type, TypeVar, Union

from pydantic import BaseModel, Field, ValidationError
from thinc.api import Config

Shape = TypeVar("Shape", bound=BaseModel)


class Block(BaseModel, extra="forbid"):
    """A block that refuses settings that it does not know."""


class EncoderSettings(Block):
    """What training begins with: a checkpoint, or a fresh network of the given shape."""

    name: str
    fresh: Dict[str, Any] = Field(default_factory=dict)


class VocabularySettings(Block):
    """`size` 0 keeps the checkpoint's pieces; otherwise they are trained on the text."""

    size: int = 0
    lowercase: bool = True
    min_frequency: int = 5


class IdentifierSettings(Block):
    """What takes identifiers off a text before anything else sees it."""

    patterns: bool = False
    pipeline: str = ""
    spans_key: str = ""
    labels: list = Field(default_factory=list)


class TextSettings(Block):
    """The text: files or folders by name, and how often each `source` in them is read.

    `corpora` adds the texts of annotated corpora, in blocks as of `clinbert.Corpus.v1`; `fold`
    instead of a part: the training folds of the ADE sentences.
    """

    files: Dict[str, str] = Field(default_factory=dict)
    corpora: Dict[str, Dict[str, Any]] = Field(default_factory=dict)
    weights: Dict[str, float] = Field(default_factory=dict)
    cache: str
    held_out: float = Field(0.01, ge=0.0, lt=0.5)
    encoding: str = "utf-8"
    limit: int = 0
    identifiers: IdentifierSettings = Field(default_factory=IdentifierSettings)


class MaskedWords(Block):
    """Guess hidden words."""

    weight: float = Field(1.0, ge=0.0)
    rate: float = Field(0.15, gt=0.0, lt=1.0)
    whole_words: bool = True
    whole_entities: bool = False


class Pair(Block):
    """Tell rows whose second half follows from a `share` of rows where it does not."""

    weight: float = Field(0.0, ge=0.0)
    share: float = Field(0.25, ge=0.0, le=0.5)


class PassageClasses(Block):
    """Tell which groups of diseases a passage names, by the graph's is-a relations."""

    weight: float = Field(0.0, ge=0.0)


class SilverTags(Block):
    """Tag names of the lexicon; `outside` weighs the words that it does not know."""

    weight: float = Field(0.0, ge=0.0)
    outside: float = Field(0.2, ge=0.0)


class GoldTags(Block):
    """Tag the mentions of annotated corpora, on a `share` of the rows of each batch."""

    weight: float = Field(0.0, ge=0.0)
    share: float = Field(0.1, ge=0.0, lt=1.0)
    sources: Dict[str, Dict[str, Any]] = Field(default_factory=dict)
    exclude: str = ""


class ObjectiveSettings(Block):
    """Objectives; weight 0 leaves one out."""

    masked_words: MaskedWords = Field(default_factory=MaskedWords)
    next_sentence: Pair = Field(default_factory=Pair)
    sentence_order: Pair = Field(default_factory=Pair)
    passage_classes: PassageClasses = Field(default_factory=PassageClasses)
    silver_tags: SilverTags = Field(default_factory=SilverTags)
    gold_tags: GoldTags = Field(default_factory=GoldTags)


class TrainingSettings(Block):
    """How long, how fast, on what."""

    seed: int = 0
    length: int = Field(128, ge=16, le=4096)
    batch_rows: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    max_steps: int = Field(0, ge=0)
    passes: float = Field(0.0, ge=0.0)
    learn_rate: float = Field(3e-4, gt=0.0)
    head_lr_scale: float = Field(1.0, gt=0.0)
    warmup: float = Field(0.05, ge=0.0, lt=1.0)
    weight_decay: float = Field(0.01, ge=0.0)
    grad_clip: float = Field(1.0, gt=0.0)
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    precision: str = Field("auto", pattern="^(auto|float32|bfloat16)$")
    save_dtype: str = Field("float32", pattern="^(float32|float16|bfloat16)$")
    device: str = "auto"
    save_every: int = Field(500, ge=1)
    evaluate_every: int = Field(500, ge=1)
    evaluate_rows: int = Field(512, ge=1)


class Settings(Block):
    """Everything that a pretraining is told."""

    paths: Dict[str, Any] = Field(default_factory=dict)
    encoder: EncoderSettings
    vocabulary: VocabularySettings = Field(default_factory=VocabularySettings)
    text: TextSettings
    graph: Optional[str] = None
    objectives: ObjectiveSettings = Field(default_factory=ObjectiveSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    card: Dict[str, Any] = Field(default_factory=dict)


def read_settings(
    config: Union[str, Path, Config], overrides: Optional[Mapping[str, Any]] = None
) -> Settings:
    """Read and check a config.

    config (Union[str, Path, Config]): A file in thinc's config format, or what is in one.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name.
    RETURNS (Settings): With every default filled in.
    RAISES (ValueError): For a missing file, an unknown setting, a value out of range; it names
        the setting and what was expected.
    """
    blocks = read_blocks(config, overrides)
    # `graph` is a setting of [encoder]'s neighbourhood: thinc has no settings outside of blocks.
    knowledge = blocks.pop("knowledge", {})
    settings = check_blocks(Settings, {**blocks, "graph": knowledge.get("graph")})
    _check(settings)
    return settings


def read_blocks(
    config: Union[str, Path, Config], overrides: Optional[Mapping[str, Any]] = None
) -> Dict[str, Any]:
    """Read a config. RETURNS (Dict[str, Any]): Its blocks, variables filled in. Raises ValueError
    for a missing file; config, overrides: see read_settings."""
    if not isinstance(config, Config):
        path = Path(config)
        if not path.is_file():
            raise ValueError(f"No config at {path}.")
        config = Config().from_disk(path, interpolate=False)
    return dict(Config(config).from_str(config.to_str(), overrides=dict(overrides or {})))


def check_blocks(shape: Type[Shape], blocks: Mapping[str, Any]) -> Shape:
    """Check blocks of a config.

    shape (Type[BaseModel]): What they should be. blocks (Mapping[str, Any]): As read_blocks gives.
    RETURNS (BaseModel): With every default filled in.
    RAISES (ValueError): For an unknown setting or a value out of range; it names all of them.
    """
    try:
        return shape(**blocks)
    except ValidationError as error:
        problems = [
            f"[{'.'.join(str(part) for part in item['loc'][:-1])}] {item['loc'][-1]}: {item['msg']}"
            for item in error.errors()
        ]
        raise ValueError("The config cannot be used. " + "; ".join(problems) + ".") from None


def check_length(max_steps: int, passes: float) -> None:
    """Raise ValueError unless exactly one of two ways to say how long a training is, is set."""
    if bool(max_steps) == bool(passes):
        raise ValueError(
            f"[training] max_steps = {max_steps} and passes = {passes}: set exactly one of them."
        )


def _check(settings: Settings) -> None:
    objectives, training = settings.objectives, settings.training
    check_length(training.max_steps, training.passes)
    if not settings.text.files and not settings.text.corpora:
        raise ValueError("[text] expected files or corpora to read, found neither.")
    if objectives.next_sentence.share + objectives.sentence_order.share > 0.9:
        raise ValueError("[objectives] shares of pairs: at most 0.9 together, some must follow.")
    wants = [
        name
        for name, used in (
            ("silver_tags", objectives.silver_tags.weight),
            ("passage_classes", objectives.passage_classes.weight),
            ("masked_words.whole_entities", objectives.masked_words.whole_entities),
        )
        if used
    ]
    if wants and not settings.graph:
        raise ValueError(
            f"[objectives] {', '.join(wants)}: needs a graph. Set [knowledge] graph to a folder "
            "that `clinbert build-graph` wrote."
        )
    if objectives.gold_tags.weight and not objectives.gold_tags.sources:
        raise ValueError("[objectives.gold_tags] weight > 0: expected sources, found none.")
