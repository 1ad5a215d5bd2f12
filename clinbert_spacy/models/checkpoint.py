"""Pretrained encoders: from a folder, a Python package or a hub cache, to weights and pieces."""

import importlib.util
import inspect
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from spacy.tokens import Doc
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig
from transformers.modeling_utils import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from .windows import gather_rows

PACKAGE_PREFIX = "python:"
LONGEST_WORD = 100  # WordPiece turns longer words into one unknown piece
CACHED_WORDS = 200_000


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the remedy."""


class Checkpoint(NamedTuple):
    """A pretrained encoder.

    config (Dict): The Hugging Face configuration.
    tokenizer (str): A `tokenizers` tokenizer as JSON.
    special (Dict[str, int]): Ids of `cls`, `sep`, `pad`, `unk`; `max_length` with specials.
    transformer (torch.nn.Module): The network.
    """

    config: Dict[str, Any]
    tokenizer: str
    special: Dict[str, int]
    transformer: torch.nn.Module


def resolve_name(name: str) -> str:
    """Turn `python:package/folder` into a path; leave paths and hub ids as they are.

    name (str): A folder, a hub id, or `python:` and a folder inside an installed package.
    RETURNS (str): A folder or a hub id.
    RAISES (CheckpointError): The package is not installed.
    """
    if not name.startswith(PACKAGE_PREFIX):
        return name
    package, _, folder = name[len(PACKAGE_PREFIX) :].partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CheckpointError(
            f"'{name}' needs the Python package '{package}', which is not installed. Install it "
            f"(pip install 'clinbert-spacy[train]' or pip install {package.replace('_', '-')})."
        )
    return str(Path(spec.origin).parent / folder)


def load_checkpoint(
    name: str, tokenizer_config: Dict[str, Any], transformer_config: Dict[str, Any]
) -> Checkpoint:
    """Load a pretrained encoder and its tokenizer.

    name (str): A folder, a hub id, or `python:package/folder`.
    tokenizer_config (Dict): Arguments of `AutoTokenizer.from_pretrained`.
    transformer_config (Dict): Arguments of `AutoConfig.from_pretrained`.
    RETURNS (Checkpoint): Weights, configuration and tokenizer.
    RAISES (CheckpointError): Nothing usable under that name.
    """
    source = resolve_name(name)
    if Path(source).is_dir():
        _check_folder(Path(source))
    elif source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise CheckpointError(f"No checkpoint folder at '{source}'. Check [model] name.")
    try:
        config = AutoConfig.from_pretrained(source, **transformer_config)
        tokenizer = AutoTokenizer.from_pretrained(source, **{"use_fast": True, **tokenizer_config})
        kwargs = _no_pooler(_network_class(config))
        transformer = AutoModel.from_pretrained(source, config=config, **kwargs)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(_remedy(name, source, error)) from error
    _check_case(tokenizer, name)
    limit = _max_length(tokenizer, config)
    special = {
        "cls": _first_id(tokenizer.cls_token_id, tokenizer.bos_token_id),
        "sep": _first_id(tokenizer.sep_token_id, tokenizer.eos_token_id),
        "pad": _first_id(tokenizer.pad_token_id, 0),
        "unk": _first_id(tokenizer.unk_token_id, -1),
        "max_length": limit,
    }
    backend = plain_backend(tokenizer)
    return Checkpoint(config.to_dict(), backend.to_str(), special, transformer)


def build_transformer(config: Dict[str, Any]) -> torch.nn.Module:
    """Build a network from a configuration, without reading or initialising weights.

    config (Dict): What `PretrainedConfig.to_dict` gives.
    RETURNS (torch.nn.Module): The network; its weights are to be loaded next.
    """
    typed = AutoConfig.for_model(**config)
    network = _network_class(typed)
    # Not AutoModel.from_config: it imports the configurations of all architectures to find one,
    # and builds in the type that the checkpoint was saved in, whereas weights here are float32.
    with no_init_weights():
        return network(typed, **_no_pooler(network))


class WordPieces:
    """Words to wordpiece ids, each distinct word tokenised once.

    A word is tokenised on its own, so that no piece crosses a border between spaCy tokens; words
    over 100 characters are cut first and so never become one unknown piece for their length.

    tokenizer (str): A `tokenizers` tokenizer as JSON.
    special (Dict[str, int]): See `Checkpoint`.
    """

    def __init__(self, tokenizer: str, special: Dict[str, int]):
        self.backend = Tokenizer.from_str(tokenizer)
        self.special = special
        self.cache: Dict[str, List[int]] = {}
        self.names: Optional[NDArray[numpy.object_]] = None

    def ids(self, words: Sequence[str]) -> List[List[int]]:
        """Tokenise words.

        words (Sequence[str]): Words of a note; those of white space alone get no piece.
        RETURNS (List[List[int]]): Ids of each word.
        """
        known = self.cache
        if len(known) > CACHED_WORDS:
            known = self.cache = {}
        fresh = [word for word in dict.fromkeys(words) if word not in known]
        known.update(zip(fresh, self._encode(fresh)))
        return [known[word] for word in words]

    def of_doc(self, doc: Doc) -> Tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
        """Tokenise the tokens of a Doc.

        doc (Doc): A note.
        RETURNS (Tuple[NDArray, NDArray]): Ids of all its pieces, in order, and how many each token
            has. Shapes (pieces,) and (tokens,).
        """
        orths, index = numpy.unique(doc.to_array("ORTH"), return_inverse=True)
        strings = doc.vocab.strings
        words = self.ids([strings[orth] for orth in orths.tolist()])
        lengths = numpy.fromiter(map(len, words), dtype="int32", count=len(words))
        flat = numpy.fromiter(chain.from_iterable(words), dtype="int64", count=int(lengths.sum()))
        ends = numpy.cumsum(lengths, dtype="int64")
        return flat[gather_rows((ends - lengths)[index], ends[index])], lengths[index]

    def strings(self, ids: NDArray[numpy.int64]) -> List[str]:
        """Name pieces. RETURNS (List[str]): One string per id."""
        if self.names is None:
            known = self.backend.get_vocab()
            self.names = numpy.full(max(known.values(), default=-1) + 1, "", dtype=object)
            self.names[list(known.values())] = list(known)
        return self.names[ids].tolist()

    def _encode(self, words: List[str]) -> List[List[int]]:
        unknown = [self.special["unk"]]
        pieces = [[i for part in _parts(word) for i in self._encode_part(part)] for word in words]
        return [p if p or w.isspace() or not w else unknown for p, w in zip(pieces, words)]

    def _encode_part(self, part: str) -> List[int]:
        # One by one is as fast as `encode_batch`, whose threads do not survive a fork.
        found = self.backend.encode([part], is_pretokenized=True, add_special_tokens=False)
        return list(found.ids)


def _parts(word: str) -> List[str]:
    return [word[i : i + LONGEST_WORD] for i in range(0, len(word), LONGEST_WORD)]


def _check_folder(folder: Path) -> None:
    present = {path.name for path in folder.iterdir()}
    if "config.json" not in present:
        raise CheckpointError(f"'{folder}' lacks config.json: no Hugging Face checkpoint folder.")
    if not any(n.endswith((".safetensors", ".bin")) for n in present):
        raise CheckpointError(f"'{folder}' lacks weights: expected model.safetensors.")
    if not present & {"tokenizer.json", "vocab.txt", "vocab.json", "spiece.model"}:
        raise CheckpointError(f"'{folder}' lacks a tokenizer: tokenizer.json or vocab.txt.")


def _remedy(name: str, source: str, error: Exception) -> str:
    if Path(source).is_dir():
        return f"Cannot load the checkpoint folder '{source}': {type(error).__name__}: {error}"
    return (
        f"Cannot load '{name}': it is no folder here, and it is neither in the local hub cache nor "
        f"can the hub be reached ({type(error).__name__}). On a machine with network access run "
        f"`huggingface-cli download {name} --local-dir FOLDER`, copy FOLDER here, and set "
        "[components.clinbert_transformer.model] name to it."
    )


def _network_class(config: PretrainedConfig) -> Callable[..., torch.nn.Module]:
    """Look up the network of a configuration, the one that it names where there are several."""
    found = MODEL_MAPPING[type(config)]
    networks = found if isinstance(found, (list, tuple)) else [found]
    named = [n for n in networks if n.__name__ in (config.architectures or ())]
    return (named or networks)[0]


def _no_pooler(network: Callable[..., torch.nn.Module]) -> Dict[str, bool]:
    """Leave out the pooling layer that token vectors do not need, where there is one."""
    has_pooler = "add_pooling_layer" in inspect.signature(network.__init__).parameters
    return {"add_pooling_layer": False} if has_pooler else {}


def _check_case(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that lower-cases although its vocabulary is cased."""
    cased = sum(piece != piece.lower() for piece in tokenizer.get_vocab() if piece[:1] != "[")
    share = cased / max(1, len(tokenizer))
    if share > 0.05 and tokenizer.tokenize("Aspirin") == tokenizer.tokenize("aspirin"):
        raise CheckpointError(
            f"The tokenizer of '{name}' lower-cases text, but {share:.0%} of its vocabulary has "
            'capitals. Set tokenizer_config = {"do_lower_case": false}.'
        )


def _max_length(tokenizer: Any, config: PretrainedConfig) -> int:
    """Take the tokenizer's limit, unless it is the placeholder 1e30, and the positions'."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    offset = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return int(min(tokenizer.model_max_length, positions - offset))


def _first_id(*candidates: Any) -> int:
    return next(int(c) for c in candidates if c is not None)


def plain_backend(tokenizer: Any) -> Tokenizer:
    """Copy what is under a fast tokenizer, without its truncation and padding.

    tokenizer (PreTrainedTokenizerBase): A tokenizer of `transformers`.
    RETURNS (Tokenizer): That of `tokenizers`.
    RAISES (CheckpointError): It has none.
    """
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"{type(tokenizer).__name__} has no fast counterpart; a tokenizer.json is needed."
        )
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend
