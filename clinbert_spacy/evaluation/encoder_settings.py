"""How the encoder of a pipeline reads, looked up and changed while it is loaded."""

import inspect
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping

from thinc.api import Model

KEYS = ("precision", "window", "context", "batch_pieces")
READING = "reading"


def settings_of(model: Model) -> Dict[str, Any]:
    """Read the settings of our transformer, be they on the model or on its `reading`.

    model (Model): a clinical transformer.
    RETURNS (Dict[str, Any]): those of `KEYS` that it has.
    """
    reading = model.attrs.get(READING)
    held = model.attrs if reading is None else vars(reading)
    return {key: held[key] for key in KEYS if key in held}


@contextmanager
def with_settings(model: Model, values: Mapping[str, Any]) -> Iterator[None]:
    """Change settings of our transformer for the length of a block.

    model (Model): a clinical transformer. values (Mapping[str, Any]): some of `settings_of`.
    """
    own = settings_of(model)
    before = {key: own[key] for key in values}
    try:
        _set(model, values)
        yield
    finally:
        _set(model, before)


def offered_precisions(model: Model) -> List[str]:
    """The precisions that a transformer has on this machine; none where it has no choice."""
    offer = model.attrs.get("precisions")
    if offer is None:
        return []
    return list(offer(model) if inspect.signature(offer).parameters else offer())


def _set(model: Model, values: Mapping[str, Any]) -> None:
    reading = model.attrs.get(READING)
    for key, value in values.items():
        if reading is None:
            model.attrs[key] = value
        else:
            setattr(reading, key, value)
