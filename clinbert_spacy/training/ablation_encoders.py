"""Encoders that an ablation pretrains before its cells, all under one budget."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from thinc.api import Config

from .ablation_values import fill, hash_content, named_files
from .pretrain_settings import read_settings

ENCODER_KEYS = {"config", "overrides"}
FOLDER = "encoders"


@dataclass(frozen=True)
class EncoderPlan:
    """A pretraining.

    config (str): config of `clinbert pretrain` to begin with. overrides (Mapping[str, Any]):
    settings or whole blocks by dotted name; None takes a block out.
    """

    config: str
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Encoder:
    """A pretraining with its settings filled in.

    name (str): as the plan calls it. key (str): hash of its config and of the content of the
    files that it names. config (str): the whole config. folder (Path): where it is made.
    """

    name: str
    key: str
    config: str
    folder: Path

    @property
    def model(self) -> Path:
        """The checkpoint. RETURNS (Path): its folder, once it is made."""
        return self.folder / "model"


def make_encoder(
    name: str,
    plan: EncoderPlan,
    budget: Mapping[str, Any],
    variables: Mapping[str, Any],
    work: Path,
    digests: Dict[str, str],
) -> Encoder:
    """Write the config of an encoder.

    name (str): its name. plan (EncoderPlan): its settings. budget (Mapping[str, Any]): settings
    that all encoders share. variables (Mapping[str, Any]): what ${name} stands for. work (Path):
    folder of the ablation. digests (Dict[str, str]): see hash_content.
    RETURNS (Encoder): the encoder, not yet made.
    RAISES (ValueError): a config that is not there, a setting that does not exist.
    """
    path = Path(fill(plan.config, variables))
    if not path.is_file():
        raise ValueError(f"Encoder {name!r}: no config at {path}.")
    config = Config().from_disk(path, interpolate=False)
    for key, value in fill({**plan.overrides, **budget}, variables).items():
        set_value(config, key.split("."), value, f"Encoder {name!r}")
    config.setdefault("text", {}).pop("cache", None)
    config = Config().from_str(config.to_str())
    key = hash_content(config.to_str(), named_files(config), digests)
    folder = Path(work) / FOLDER
    # Encoders of the same text in the same pieces read one cache.
    config["text"]["cache"] = str(folder / f"text-{_text_key(config)}")
    text = config.to_str()
    read_settings(Config().from_str(text))
    return Encoder(name, key, text, folder / key)


def set_value(config: Dict[str, Any], path: Sequence[str], value: Any, place: str) -> None:
    """Set a setting or a whole block.

    config (Dict[str, Any]): changed in place. path (Sequence[str]): names down to it; all but the
    last must be there. value (Any): None takes it out. place (str): for messages.
    RAISES (ValueError): there is no such block.
    """
    block: Any = config
    for step, name in enumerate(path[:-1], 1):
        if not isinstance(block.get(name), dict):
            raise ValueError(f"{place}: its config has no block [{'.'.join(path[:step])}].")
        block = block[name]
    if value is None:
        block.pop(path[-1], None)
    else:
        block[path[-1]] = value


def _text_key(config: Mapping[str, Any]) -> str:
    parts = [config.get(name) for name in ("encoder", "vocabulary", "knowledge", "text")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf8")).hexdigest()[:16]


def find_needed(cells: Sequence[Any]) -> List[Encoder]:
    """Encoders that cells need and that are not there yet.

    cells (Sequence[Cell]): the cells.
    RETURNS (List[Encoder]): each once.
    """
    found = {encoder.key: encoder for cell in cells for encoder in cell.encoders}
    return [encoder for encoder in found.values() if not (encoder.model / "config.json").is_file()]
