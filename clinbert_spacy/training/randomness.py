"""Random number generators: their states as plain data, and a stream with states of its own."""

import random
from typing import Any, Dict, Iterable, Iterator, TypeVar

import numpy
import torch

Item = TypeVar("Item")


def get_random_state() -> Dict[str, Any]:
    """Read the states of the python, numpy and torch generators.

    The generator of cupy cannot be read back, so training on a GPU resumes correctly but not
    bit for bit.

    RETURNS (Dict[str, Any]): Lists and numbers only, fit for JSON.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        **_get_host_state(),
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in cuda],
    }


def set_random_state(state: Dict[str, Any]) -> None:
    """Put back what `get_random_state` read.

    state (Dict[str, Any]): The states. Those of GPUs that are not here are left out.
    """
    _set_host_state(state)
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        cuda = [torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]]
        torch.cuda.set_rng_state_all(cuda)


def private_random(items: Iterable[Item], seed: int) -> Iterator[Item]:
    """Draw items under random states that nothing else touches.

    Shuffles, augmenters and batchers draw from the global python and numpy generators, and so do
    components during an update. Apart from each other, the same items come again on a replay that
    makes no updates.

    items (Iterable): Items, produced lazily.
    seed (int): Where the private states start.
    YIELDS: The items.
    """
    iterator = iter(items)
    outside = _get_host_state()
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    inside = _get_host_state()
    _set_host_state(outside)
    while True:
        outside = _get_host_state()
        _set_host_state(inside)
        drawn = next(iterator, None)
        inside = _get_host_state()
        _set_host_state(outside)
        if drawn is None:
            return
        yield drawn


def _get_host_state() -> Dict[str, Any]:
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = numpy.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, keys.tolist(), int(position), int(has_gauss), float(cached)],
    }


def _set_host_state(state: Dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, numpy.array(keys, dtype="uint32"), position, has_gauss, cached))
