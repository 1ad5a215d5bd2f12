"""What a pretraining needs before its first update: text, pieces, networks, batches."""

import hashlib
import itertools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertTokenizerFast,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from ..corpora.passages import Passage, read_corpora, read_texts
from ..models.checkpoint import CheckpointError, plain_backend, resolve_name
from ..models.lexicon import Lexicon
from ..nets.bert import fits
from .disease_groups import entry_groups
from .gold import GoldCorpus, read_gold
from .identifiers import make_remover
from .objectives import PretrainingNet
from .pretrain_data import N_TAGS, Stream, entry_tags
from .pretrain_settings import Settings, TextSettings
from .sequences import Pieces
from .text_cache import build_cache, open_cache
from .vocabulary import train_wordpieces, transplant

LEXICON_FILE = "lexicon.msgpack.gz"
OnPhase = Callable[[str, int], None]


@dataclass
class Prepared:
    """Everything before the first update.

    net (PretrainingNet): Encoder and heads.
    tokenizer (PreTrainedTokenizerBase): The pieces.
    stream (Stream): Batches of the text.
    held_out (Optional[Stream]): Batches of held-out text, if any was held out.
    record (Dict): What the text cache was made of, and its counts.
    groups (List[str]): Names of the passage classes.
    vocabulary (Dict[str, int]): How many embeddings were copied or composed; empty if all kept.
    """

    net: PretrainingNet
    tokenizer: PreTrainedTokenizerBase
    stream: Stream
    held_out: Optional[Stream]
    record: Dict[str, Any]
    groups: List[str] = field(default_factory=list)
    vocabulary: Dict[str, int] = field(default_factory=dict)


def prepare(settings: Settings, on_phase: OnPhase = lambda name, done: None) -> Prepared:
    """Read text, pieces and networks.

    settings (Settings): From `read_settings`.
    on_phase (Callable): Called with the name of a phase and the documents done.
    RETURNS (Prepared): What the loop needs.
    RAISES (ValueError): For files that are missing or broken, or networks that are not BERT.
    """
    tokenizer, model, counts = build_model(settings, on_phase)
    lexicon = _read_lexicon(settings)
    record = cache_text(settings, tokenizer, lexicon, on_phase)
    groups: List[str] = []
    classes: Optional[NDArray] = None
    if lexicon is not None and settings.objectives.passage_classes.weight:
        groups, classes = entry_groups(Path(str(settings.graph)), lexicon)
    on_phase("reading annotated corpora", 0)
    gold = _gold(settings, tokenizer)
    net = PretrainingNet(
        model,
        n_tags=N_TAGS if lexicon is not None else 0,
        n_classes=len(groups),
        gold={name: corpus.n_tags for name, corpus in gold.items()},
        weights=_weights(settings),
        outside=settings.objectives.silver_tags.outside,
    )
    stream = Stream(
        cache=open_cache(Path(settings.text.cache), "train"),
        weights=settings.text.weights,
        pieces=special_pieces(tokenizer),
        objectives=settings.objectives,
        training=settings.training,
        tags=None if lexicon is None else entry_tags(lexicon),
        classes=classes,
        gold=gold,
    )
    held_out = open_cache(Path(settings.text.cache), "held_out")
    quiet = replace(stream, cache=held_out, weights={}, gold={})
    has_text = len(held_out.ids) >= settings.training.length
    return Prepared(net, tokenizer, stream, quiet if has_text else None, record, groups, counts)


def build_model(
    settings: Settings, on_phase: OnPhase = lambda name, done: None
) -> "tuple[PreTrainedTokenizerBase, BertForMaskedLM, Dict[str, int]]":
    """Load the checkpoint to begin with, or make a fresh network; fit it with its vocabulary.

    settings (Settings): Blocks [encoder], [vocabulary], [text].
    on_phase (Callable): See `prepare`.
    RETURNS: Tokenizer, network, and counts of `transplant`.
    RAISES (CheckpointError): No checkpoint there, or not a BERT.
    """
    source = resolve_name(settings.encoder.name)
    torch.manual_seed(settings.training.seed)
    tokenizer, config = _load_names(settings.encoder.name, source)
    drop = settings.training.dropout
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = drop, 0.0
    if settings.encoder.fresh:
        shape = {**config.to_dict(), **settings.encoder.fresh}
        model = BertForMaskedLM(BertConfig(**shape))
    else:
        model = load_masked_lm(source, config)
    if not fits(model.bert):
        raise CheckpointError(
            f"'{settings.encoder.name}': pretraining wants absolute positions and gelu, found "
            f"{config.position_embedding_type} and {config.hidden_act}."
        )
    if settings.training.length > config.max_position_embeddings:
        raise ValueError(
            f"[training] length = {settings.training.length}: '{settings.encoder.name}' has "
            f"{config.max_position_embeddings} positions."
        )
    if not settings.vocabulary.size:
        return tokenizer, model, {}
    pieces = train_vocabulary(settings, on_phase)
    counts = change_vocabulary(model, tokenizer, pieces)
    return pieces, model, counts


def load_masked_lm(source: str, config: Optional[BertConfig] = None) -> BertForMaskedLM:
    """Load a BERT with its masked-word head, a fresh one where the checkpoint has none.

    source (str): A folder or hub id.
    config (Optional[BertConfig]): Instead of the checkpoint's own.
    RETURNS (BertForMaskedLM): Weights in float32.
    """
    level = hf_logging.get_verbosity()
    # It warns of every fresh head, and here that is meant.
    hf_logging.set_verbosity_error()
    options: Dict[str, Any] = {} if config is None else {"config": config}
    model = BertForMaskedLM.from_pretrained(source, torch_dtype=torch.float32, **options)
    hf_logging.set_verbosity(level)
    return model


def train_vocabulary(settings: Settings, on_phase: OnPhase) -> PreTrainedTokenizerBase:
    """Train wordpieces on the text, once: they are kept beside the text cache.

    settings (Settings): Blocks [vocabulary] and [text].
    on_phase (Callable): See `prepare`.
    RETURNS (PreTrainedTokenizerBase): The pieces.
    """
    block = settings.vocabulary
    folder = Path(f"{settings.text.cache}.vocabulary")
    key = {**json.loads(block.model_dump_json()), "text": _text_key(settings.text)}
    record = folder / "key.json"
    if record.is_file() and json.loads(record.read_text("utf8")) == key:
        return BertTokenizerFast.from_pretrained(folder)
    on_phase("training a vocabulary", 0)
    texts = (passage.text for passage in read_passages(settings.text))
    pieces = train_wordpieces(texts, block.size, block.lowercase, block.min_frequency)
    pieces.save_pretrained(folder)
    record.write_text(json.dumps(key), "utf8")
    return pieces


def _load_names(name: str, source: str) -> "tuple[PreTrainedTokenizerBase, BertConfig]":
    if source.startswith((".", "/", "~")) and not Path(source).is_dir():
        raise CheckpointError(f"No checkpoint folder at '{source}'. Check [encoder] name.")
    try:
        config = AutoConfig.from_pretrained(source)
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"Cannot load '{name}' ({type(error).__name__}): expected a checkpoint folder, "
            "python:package/folder, or a hub id in the local cache. Check [encoder] name."
        ) from None
    if not isinstance(config, BertConfig):
        raise CheckpointError(f"'{name}' is of type {config.model_type}: expected a BERT.")
    return tokenizer, config


def change_vocabulary(
    model: BertForMaskedLM, old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase
) -> Dict[str, int]:
    """Give a network another vocabulary, its embeddings and output carried over.

    model (BertForMaskedLM): Changed in place.
    old (PreTrainedTokenizerBase): Its vocabulary.
    new (PreTrainedTokenizerBase): The one to have.
    RETURNS (Dict[str, int]): How many pieces were copied, composed, unknown.
    """
    words = model.get_input_embeddings().weight.data
    bias = model.cls.predictions.bias.data
    table, counts = transplant(words, old, new)
    offsets, _ = transplant(bias[:, None], old, new)
    model.resize_token_embeddings(len(new), mean_resizing=False)
    model.get_input_embeddings().weight.data.copy_(table)
    model.cls.predictions.bias.data.copy_(offsets[:, 0])
    model.tie_weights()
    model.config.pad_token_id = new.pad_token_id
    return counts


def read_passages(text: TextSettings) -> Iterator[Passage]:
    """Read the text of a config, identifiers taken off if it says so.

    text (TextSettings): The block [text].
    YIELDS (Passage): Documents; at most `limit` of each file, if that is set.
    """
    remove = make_remover(text.identifiers)
    for name, path in text.files.items():
        passages = read_texts(path, text.encoding)
        for passage in itertools.islice(passages, text.limit or None):
            source = passage.source if path.endswith((".xz", ".gz", ".jsonl")) else name
            yield Passage(source, passage.id, remove(passage.text))
    for passage in read_corpora(text.corpora):
        yield passage._replace(text=remove(passage.text))


def cache_text(
    settings: Settings,
    tokenizer: PreTrainedTokenizerBase,
    lexicon: Optional[Lexicon],
    on_phase: OnPhase,
) -> Dict[str, Any]:
    """Tokenise the text, unless that was done before. RETURNS (Dict): The cache's record."""
    text = settings.text
    key = {
        "text": _text_key(text),
        "pieces": _digest(json.dumps(sorted(tokenizer.get_vocab().items()))),
        "lexicon": "" if lexicon is None else _digest(lexicon.to_bytes()),
    }
    folder = Path(text.cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    on_phase("tokenising", 0)
    return build_cache(
        folder,
        read_passages(text),
        tokenizer,
        lexicon,
        held_out=text.held_out,
        key=key,
        on_document=lambda n: on_phase("tokenising", n),
    )


def _text_key(text: TextSettings) -> Dict[str, Any]:
    """What a tokenised text depends on; not where it lies."""
    places = {"weights", "cache", "files", "corpora"}
    key: Dict[str, Any] = {
        "files": {name: _stamp(Path(path)) for name, path in text.files.items()},
        "settings": json.loads(text.model_dump_json(exclude=places)),
    }
    if text.corpora:
        key["corpora"] = {
            name: [{**block, "path": ""}, _stamp(Path(block["path"])) if block.get("path") else []]
            for name, block in text.corpora.items()
        }
    return key


def _stamp(path: Path) -> List[Any]:
    """Name and size of each file: enough to see a change, without reading it twice."""
    if path.is_dir():
        return [[f.name, f.stat().st_size] for f in sorted(path.rglob("*")) if f.is_file()]
    if path.is_file():
        return [[path.name, path.stat().st_size]]
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else []
    return [[f.name, f.stat().st_size] for f in found]


def _digest(value: Any) -> str:
    data = value if isinstance(value, bytes) else str(value).encode("utf8")
    return hashlib.sha256(data).hexdigest()


def _read_lexicon(settings: Settings) -> Optional[Lexicon]:
    if not settings.graph:
        return None
    path = Path(settings.graph) / LEXICON_FILE
    if not path.is_file():
        raise ValueError(
            f"[knowledge] graph = '{settings.graph}': no {LEXICON_FILE} there. Make it with "
            "`clinbert build-graph`."
        )
    return Lexicon.from_disk(path)


def _gold(settings: Settings, tokenizer: PreTrainedTokenizerBase) -> Dict[str, GoldCorpus]:
    block = settings.objectives.gold_tags
    if not block.weight:
        return {}
    body = settings.training.length - 2
    gold = read_gold(block.sources, plain_backend(tokenizer), body, block.exclude)
    empty = [name for name, corpus in gold.items() if not corpus.ids]
    if empty:
        raise ValueError(f"[objectives.gold_tags.sources] {empty}: no note is left of them.")
    return gold


def _weights(settings: Settings) -> Dict[str, float]:
    blocks = settings.objectives.model_dump()
    return {name: float(block["weight"]) for name, block in blocks.items()}


def special_pieces(tokenizer: PreTrainedTokenizerBase) -> Pieces:
    """Read the ids of special pieces.

    tokenizer (PreTrainedTokenizerBase): A BERT tokenizer.
    RETURNS (Pieces): Its ids and size.
    RAISES (CheckpointError): It lacks one of them.
    """
    names = ("cls", "sep", "pad", "mask")
    ids = [getattr(tokenizer, f"{name}_token_id") for name in names]
    missing = [name for name, i in zip(names, ids) if i is None]
    if missing:
        raise CheckpointError(f"The tokenizer lacks the special pieces {missing}.")
    return Pieces(*ids, size=len(tokenizer))
