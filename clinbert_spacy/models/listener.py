"""`clinbert.TransformerListener.v1`: a listener that refuses missing or foreign features."""

from typing import Any, Callable, List, Optional, Tuple, cast

from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData
from spacy_transformers.layers import TransformerListener, trfs2arrays
from spacy_transformers.layers.listener import forward as stock_forward
from spacy_transformers.layers.trfs2arrays import forward as stock_pool
from thinc.api import Model, chain
from thinc.types import Floats2d, Ragged

from .batch import ClinicalData

MOST_SHARED = 100_000  # tokens of a batch whose vectors are kept for the next component


class OwnedListener(TransformerListener):
    """A `TransformerListener` that takes data of the component it names, and no other."""

    name = "clinical-listener"

    def __init__(self, upstream_name: str):
        super().__init__(upstream_name)
        self._func = forward
        self.init = init
        self.sample: List[Doc] = []


def OwnedTransformerListener(
    pooling: Model[Ragged, Floats2d],
    grad_factor: float = 1.0,
    upstream: str = "clinbert_transformer",
) -> Model[List[Doc], List[Floats2d]]:
    """Connect a component to a clinical transformer earlier in the pipeline.

    pooling (Model[Ragged, Floats2d]): From a token's pieces to its vector.
    grad_factor (float): Multiplies the gradient into the encoder; 0 detaches it.
    upstream (str): Name of the transformer component. The wildcard `*` is refused: it would bind
        to any transformer of the same width.
    RETURNS (Model): Docs to one vector per token.
    RAISES (ValueError): `upstream` is the wildcard.
    """
    if upstream == "*":
        raise ValueError(
            "upstream = '*' may bind to a foreign transformer: name the component, "
            "as in upstream = 'clinbert_transformer'."
        )
    listener = OwnedListener(upstream)
    pool = trfs2arrays(pooling, grad_factor)
    # not a layer of its own: saved weights know the layers by their number
    pool._func = pool_tokens
    model: Model = chain(listener, pool)
    model.set_ref("listener", listener)
    return model


def init(model: OwnedListener, X: Optional[List[Doc]] = None, Y: Any = None) -> None:
    """Remember the sample: layers behind are sized by zeros for these Docs, and these alone."""
    model.sample = list(X or [])


def forward(
    model: OwnedListener, docs: List[Doc], is_train: bool
) -> Tuple[List[TransformerData], Callable[[Any], Any]]:
    """Hand on the upstream component's data, after a look at whose it is."""
    if is_train:
        model.sample = []
    if not is_train or model._batch_id is None:
        for doc in docs:
            if len(doc) and not any(doc is known for known in model.sample):
                _check_owner(doc, model.upstream_name)
    return stock_forward(model, docs, is_train)


def pool_tokens(
    model: Model, found: List[TransformerData], is_train: bool
) -> Tuple[List[Floats2d], Callable[[Any], Any]]:
    """Pool pieces into tokens, once for all components that pool alike.

    The stock layer, which does it, fails where no note of a batch has any pieces.
    """
    pieces = [data.model_output.get("last_hidden_state") for data in found]
    if not any(one is not None and one.size for one in pieces):
        return [model.ops.alloc2f(0, 0) for _ in found], lambda _: []
    if is_train or not all(isinstance(data, ClinicalData) for data in found):
        return stock_pool(model, found, is_train)
    ours = cast(List[ClinicalData], found)
    key = _shared_name(model.layers[0])
    known = [data.pooled.get(key) for data in ours]
    if all(vectors is not None for vectors in known):
        return cast(List[Floats2d], known), lambda _: []
    pooled = [_pool_note(model, data) for data in ours]
    if key and sum(map(len, pooled)) <= MOST_SHARED:
        for data, vectors in zip(ours, pooled):
            data.pooled[key] = vectors
    return pooled, lambda _: []


def _pool_note(model: Model, data: ClinicalData) -> Floats2d:
    """Pool a note as it lies: its pieces are in the order of its tokens, so none is copied."""
    lengths = data.align.lengths
    pieces = data.model_output.get("last_hidden_state")
    n_pieces = int(lengths.sum())
    if pieces is None or not n_pieces:  # white space has a stand-in that is no token's
        return model.ops.alloc2f(len(lengths), 0 if pieces is None else pieces.shape[-1])
    rows = pieces.reshape(-1, pieces.shape[-1])[:n_pieces]
    return model.layers[0].predict(Ragged(rows, model.ops.asarray1i(lengths)))


def _shared_name(pooling: Model) -> str:
    """Name a pooling that has nothing of its own. RETURNS: "" for others."""
    plain = not (pooling.layers or pooling.shims or pooling.param_names or pooling.attrs)
    return pooling.name if plain else ""


def _check_owner(doc: Doc, upstream: str) -> None:
    data = doc._.trf_data if Doc.has_extension("trf_data") else None
    if data is None:
        raise ValueError(
            f"No transformer data on the Doc: '{upstream}' has not run before this component. Add "
            "it earlier in the pipeline (and to annotating_components when it is frozen in "
            "training), and remove it from `disable` or `exclude`."
        )
    owner = data.owner if isinstance(data, ClinicalData) else type(data).__name__
    if owner != upstream:
        raise ValueError(
            f"The transformer data on the Doc belongs to '{owner}', but this component was trained "
            f"on '{upstream}'. A second transformer ran in between and overwrote it: move "
            f"'{upstream}' behind it, right before the components that listen to it."
        )
