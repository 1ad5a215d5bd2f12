"""Weights of a component taken over from a trained pipeline, under new settings of learning."""

from pathlib import Path
from typing import Union

from spacy.pipeline import TrainablePipe
from spacy.util import load_model


def take_weights(component: TrainablePipe, start: Union[str, Path]) -> None:
    """Begin where another pipeline's component of this name ended.

    `source` in a config takes a component with its settings, so with its learning rate and the
    gradient that it lets through; this takes its weights alone.

    component (TrainablePipe): its network in the first shim of its model; changed in place.
    start (Union[str, Path]): package or folder of the trained pipeline.
    RAISES (ValueError): it has no such component, or one that was trained for other names.
    """
    donor = load_model(start, enable=[component.name])
    if component.name not in donor.pipe_names:
        raise ValueError(
            f"start = '{start}' has no component '{component.name}' among "
            f"{donor.component_names}: name another pipeline, or leave `start` out."
        )
    trained = donor.get_pipe(component.name).model
    for name, wanted in component.model.attrs.items():
        if isinstance(wanted, list) and trained.attrs.get(name) != wanted:
            raise ValueError(
                f"'{component.name}' of start = '{start}' was trained for the {name} "
                f"{trained.attrs.get(name)}, not for {wanted}."
            )
    component.model.shims[0].from_bytes(trained.shims[0].to_bytes())
