"""What a component that may have no model needs, so that pipelines with it can be saved."""

from contextlib import nullcontext
from typing import Any, Iterable, Iterator

from spacy.pipeline import TrainablePipe


class OptionalModel(TrainablePipe):
    """A `TrainablePipe` whose model may be None: then there is nothing to save or to average."""

    def use_params(self, params: Any) -> Iterator[None]:
        """Swap in averaged weights until it goes on; without a model there are none.

        A generator, not a context manager: spaCy calls `next` on it.

        params (dict): The optimizer's averages.
        """
        with self.model.use_params(params) if self.model is not None else nullcontext():
            yield

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialise. RETURNS (bytes): The model's weights, if there is a model."""
        return super().to_bytes(exclude=exclude) if self.model is not None else b""

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "OptionalModel":
        """Restore what `to_bytes` gave. RETURNS (OptionalModel): The same component."""
        return super().from_bytes(data, exclude=exclude) if self.model is not None else self

    def to_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> None:
        """Write the model's weights, if there is a model. path (Path): A folder."""
        if self.model is not None:
            super().to_disk(path, exclude=exclude)

    def from_disk(self, path: Any, *, exclude: Iterable[str] = ()) -> "OptionalModel":
        """Read what `to_disk` wrote. RETURNS (OptionalModel): The same component."""
        return super().from_disk(path, exclude=exclude) if self.model is not None else self
