"""Weights and optimizer state of a pipeline under names that hold in every process.

Thinc keys a parameter by (id of its node or shim, name), and ids count objects made in this
process. Here a parameter is named by where it stands:

    component / position of the node in a breadth-first walk [/ shim n] # name
    "ner/4#W"    "clinbert_transformer/2/shim0#encoder.layer.0.output.dense.weight"
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Tuple

import numpy
import torch
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops, to_numpy
from thinc.shims.shim import Shim

Arrays = Dict[str, numpy.ndarray]
Key = Tuple[int, str]

MOMENTS = ("mom1", "mom2", "averages")
COUNTS = ("nr_update", "last_seen")


def get_weights(nlp: Language) -> Arrays:
    """Read all weights at full precision, frozen and disabled components included.

    nlp (Language): The pipeline.
    RETURNS (Dict[str, ndarray]): Array per stable name; may share memory with the pipeline.
    """
    nodes, shims = _walk(nlp)
    weights = {
        f"{place}#{name}": to_numpy(node.get_param(name))
        for place, node in nodes.items()
        for name in node.param_names
        if node.has_param(name)
    }
    for place, shim in shims.items():
        for name, tensor in _torch_state(shim).items():
            weights[f"{place}#{name}"] = _to_array(tensor)
    return weights


def set_weights(nlp: Language, weights: Mapping[str, numpy.ndarray]) -> None:
    """Put weights into a pipeline of the same shape. The arrays are copied.

    nlp (Language): The pipeline, changed in place.
    weights (Mapping[str, ndarray]): What `get_weights` read.
    RAISES (ValueError): If names or shapes differ from the pipeline's.
    """
    _check_shapes(get_weights(nlp), weights)
    nodes, shims = _walk(nlp)
    for place, node in nodes.items():
        for name in node.param_names:
            if node.has_param(name):
                node.set_param(name, node.ops.asarray(numpy.array(weights[f"{place}#{name}"])))
    for place, shim in shims.items():
        names = _torch_state(shim)
        if names:
            state = {name: torch.tensor(weights[f"{place}#{name}"]) for name in names}
            shim._model.load_state_dict(state, strict=False)


def get_fixed(nlp: Language) -> List[str]:
    """List the torch parameters that take no gradient: files of a pipeline do not say.

    nlp (Language): The pipeline.
    RETURNS (List[str]): Stable names.
    """
    return [name for name, parameter in _torch_parameters(nlp) if not parameter.requires_grad]


def set_fixed(nlp: Language, names: Iterable[str]) -> None:
    """Let the named torch parameters take no gradient, and all others take one.

    nlp (Language): The pipeline, changed in place.
    names (Iterable[str]): What `get_fixed` listed.
    """
    fixed = set(names)
    for name, parameter in _torch_parameters(nlp):
        parameter.requires_grad_(name not in fixed)


def bake_averages(nlp: Language, optimizer: Optimizer) -> None:
    """Make the optimizer's averaged weights the weights of the pipeline.

    nlp (Language): The pipeline, changed in place.
    optimizer (Optimizer): Holds averages, or none (nothing happens).
    """
    if not optimizer.averages:
        return
    with nlp.use_params(optimizer.averages):
        averaged = {name: array.copy() for name, array in get_weights(nlp).items()}
    set_weights(nlp, averaged)


def get_optimizer_state(
    nlp: Language, optimizer: Optimizer
) -> Tuple[Dict[str, Arrays], Dict[str, Dict[str, int]]]:
    """Read momentum, averages and update counts.

    nlp (Language): The pipeline that the optimizer trains.
    optimizer (Optimizer): The optimizer.
    RETURNS (Tuple): Arrays by kind ("mom1", "mom2", "averages") and stable name; counts by kind
        ("nr_update", "last_seen") and stable name.
    RAISES (ValueError): If the optimizer holds a parameter that is not in the pipeline.
    """
    name_of = _namer(nlp)
    arrays = {
        kind: {name_of(key): to_numpy(value) for key, value in getattr(optimizer, kind).items()}
        for kind in MOMENTS
        if getattr(optimizer, kind) is not None
    }
    counts = {
        kind: {name_of(key): int(value) for key, value in getattr(optimizer, kind).items()}
        for kind in COUNTS
    }
    return arrays, counts


def set_optimizer_state(
    nlp: Language,
    optimizer: Optimizer,
    arrays: Mapping[str, Mapping[str, numpy.ndarray]],
    counts: Mapping[str, Mapping[str, int]],
    steps: int,
) -> None:
    """Put optimizer state back, under this process' ids, and wind its schedules forward.

    nlp (Language): The pipeline, of the same shape as when the state was read.
    optimizer (Optimizer): A fresh optimizer, changed in place.
    arrays (Mapping): Arrays by kind and stable name. Copied.
    counts (Mapping): Counts by kind and stable name.
    steps (int): Updates made so far.
    RAISES (ValueError): If a name is not in the pipeline.
    """
    key_of = _finder(nlp)
    ops = get_current_ops()
    for kind, values in arrays.items():
        for name, value in values.items():
            getattr(optimizer, kind)[key_of(name)] = ops.asarray(numpy.array(value))
    for kind, numbers in counts.items():
        for name, number in numbers.items():
            getattr(optimizer, kind)[key_of(name)] = number
    for _ in range(steps):
        optimizer.step_schedules()


def _walk(nlp: Language) -> Tuple[Dict[str, Model], Dict[str, Shim]]:
    nodes: Dict[str, Model] = {}
    shims: Dict[str, Shim] = {}
    seen = set()
    for component, proc in nlp.components:
        model = getattr(proc, "model", None)
        for i, node in enumerate(model.walk() if isinstance(model, Model) else ()):
            if id(node) in seen:
                continue
            seen.add(id(node))
            nodes[f"{component}/{i}"] = node
            shims.update({f"{component}/{i}/shim{j}": s for j, s in enumerate(node.shims)})
    return nodes, shims


def _torch_parameters(nlp: Language) -> Iterator[Tuple[str, torch.nn.Parameter]]:
    for place, shim in _walk(nlp)[1].items():
        if isinstance(shim._model, torch.nn.Module):
            for name, parameter in shim._model.named_parameters():
                yield f"{place}#{name}", parameter


def _torch_state(shim: Shim) -> Dict[str, torch.Tensor]:
    if not isinstance(shim._model, torch.nn.Module):
        return {}
    state = shim._model.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _to_array(tensor: torch.Tensor) -> numpy.ndarray:
    # numpy has no bfloat16; float32 holds every bfloat16 value exactly
    half = tensor.dtype == torch.bfloat16
    return (tensor.float() if half else tensor).detach().cpu().numpy()


def _check_shapes(ours: Arrays, theirs: Mapping[str, numpy.ndarray]) -> None:
    lost = sorted(set(ours) ^ set(theirs))
    lost += [name for name in ours if name in theirs and ours[name].shape != theirs[name].shape]
    if lost:
        raise ValueError(
            f"{len(lost)} weights of the checkpoint do not match the pipeline, the first is "
            f"'{lost[0]}' (found {_shape(theirs, lost[0])}, expected {_shape(ours, lost[0])}). "
            f"The code of a component changed since the checkpoint: go back to the version that "
            f"wrote it, or start again with --overwrite."
        )


def _shape(weights: Mapping[str, numpy.ndarray], name: str) -> Any:
    return weights[name].shape if name in weights else "none"


def _namer(nlp: Language) -> Callable[[Key], str]:
    nodes, shims = _walk(nlp)
    # Nodes and shims count their ids apart, so (5, "W") may be either: nodes list their names.
    own = {
        (node.id, name): f"{place}#{name}"
        for place, node in nodes.items()
        for name in node.param_names
    }
    shim_places = {shim.id: place for place, shim in shims.items()}

    def name_of(key: Key) -> str:
        if key in own:
            return own[key]
        if key[0] not in shim_places:
            raise _unknown(key[1], shim_places.values())
        return f"{shim_places[key[0]]}#{key[1]}"

    return name_of


def _finder(nlp: Language) -> Callable[[str], Key]:
    nodes, shims = _walk(nlp)
    ids = {place: holder.id for place, holder in [*nodes.items(), *shims.items()]}

    def key_of(full_name: str) -> Key:
        place, _, name = full_name.partition("#")
        if place not in ids:
            raise _unknown(full_name, ids)
        return ids[place], name

    return key_of


def _unknown(name: str, places: Iterable[str]) -> ValueError:
    return ValueError(
        f"The optimizer holds a parameter '{name}' that no component of the pipeline owns "
        f"({len(list(places))} places searched). Components must keep trained models in `.model`."
    )
