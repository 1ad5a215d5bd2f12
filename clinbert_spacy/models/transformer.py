"""`clinbert.ClinicalTransformer.v1`: ClinicalBERT as the shared encoder of a spaCy pipeline."""

import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, cast

import torch
from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch, TransformerData
from spacy_transformers.layers import trfs2arrays
from thinc.api import Model, chain, torch2xp, xp2torch
from thinc.types import Floats2d, Ragged

from ..nets.knowledge import Facts, Made
from .batch import ClinicalBatch, make_batch
from .checkpoint import Checkpoint, CheckpointError, WordPieces, load_checkpoint
from .encoder_shim import EncoderShim, plan_fusion
from .knowledge import sizes
from .layout import (
    IntArray,
    Layout,
    lay_out,
    owned_counts,
    owned_pieces,
    pad_values,
    pad_windows,
    schedule,
    spread,
)
from .mentions import Knowledge
from .reading import CACHED_PIECES, Reader, Reading, available_precisions
from .tracing import Trace
from .windows import check_window

# Of a batch of windows: its output with graph, and where the pieces it owns lie.
Graph = Tuple[torch.Tensor, IntArray, IntArray]
# What is known of the pieces of a batch: flags and vectors by row, the row of each piece, and for
# reading what the network makes of the rows.
Known = Tuple[torch.Tensor, torch.Tensor, IntArray, Optional[Made]]


def ClinicalTransformer(
    name: str,
    window: int = 126,
    context: int = 24,
    batch_pieces: int = 4096,
    max_train_windows: int = 64,
    layers: str = "last",
    precision: str = "auto",
    frozen_layers: int = 0,
    tokenizer_config: Dict[str, Any] = {},  # noqa: B006 (spaCy configs need plain defaults)
    transformer_config: Dict[str, Any] = {},  # noqa: B006
    owner: str = "clinbert_transformer",
    knowledge: Optional[Model[List[Doc], Knowledge]] = None,
    unpadded: bool = False,
    compiled: bool = False,
) -> Model[List[Doc], FullTransformerBatch]:
    """Build the shared encoder. No file is opened before `initialize` or `from_bytes`.

    name (str): A checkpoint folder, a hub id, or `python:package/folder`.
    window, context, batch_pieces (int), precision (str), unpadded, compiled (bool): See `Reading`.
    max_train_windows (int): Windows of a batch that get a gradient, sampled if there are more.
    layers (str): `last`, or `mix` for a learned mix of all layers.
    frozen_layers (int): Parts that training leaves as they are, from below: 1 the embeddings, 2
        the first layer too, and so on; 0 trains everything.
    tokenizer_config (Dict): Arguments of `AutoTokenizer.from_pretrained`.
    transformer_config (Dict): Arguments of `AutoConfig.from_pretrained`.
    owner (str): Name of the component that holds this model; listeners check it.
    knowledge (Optional[Model]): A `clinbert.KnowledgeFusion.v1`; None reads the text alone.
    RETURNS (Model): Docs to a batch of `TransformerData`.
    RAISES (ValueError): A setting out of its range.
    """
    _check_choice("layers", layers, ("last", "mix"))
    attrs = {
        "name": name,
        "reading": Reading(window, context, batch_pieces, precision, unpadded, compiled),
        "max_train_windows": max_train_windows,
        "layers": layers,
        "tokenizer_config": dict(tokenizer_config),
        "transformer_config": dict(transformer_config),
        "owner": owner,
        "replace_listener": _replace_listener,
        "replace_listener_cfg": _replace_listener_cfg,
        "trace": trace,
        "precisions": precisions,
        "stopwatch": None,
    }
    return Model(
        "clinical_transformer",
        forward,
        init=init,
        layers=[] if knowledge is None else [knowledge],
        dims={"nO": None},
        attrs=attrs,
        shims=[_make_shim(frozen_layers, knowledge)],
    )


def ClinicalTok2Vec(
    transformer: Model[List[Doc], FullTransformerBatch],
    pooling: Model[Ragged, Floats2d],
    grad_factor: float = 1.0,
) -> Model[List[Doc], List[Floats2d]]:
    """The encoder as a component's own tok2vec layer; `replace_listeners` writes this config.

    transformer (Model): A `clinbert.ClinicalTransformer.v1`.
    pooling (Model[Ragged, Floats2d]): From a token's pieces to its vector.
    grad_factor (float): Multiplies the gradient into the encoder.
    RETURNS (Model): Docs to one vector per token.
    """
    # Nested as replace_listeners leaves it, so that a saved pipeline finds the same nodes.
    return chain(_replace_listener(transformer), trfs2arrays(pooling, grad_factor))


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Load the checkpoint, unless weights are there already."""
    shim = cast(EncoderShim, model.shims[0])
    for knowledge in model.layers:
        knowledge.initialize(X=X)
    if shim._model is None:
        attrs = model.attrs
        loaded = load_checkpoint(
            attrs["name"], attrs["tokenizer_config"], attrs["transformer_config"]
        )
        n_mixed = _count_layers(loaded.config) if attrs["layers"] == "mix" else None
        shim.hf_config = loaded.config
        shim.pieces = WordPieces(loaded.tokenizer, loaded.special)
        shim.set_network(loaded.transformer, n_mixed, _plan_fusion(model, loaded))
    model.set_dim("nO", int(shim._model.transformer.config.hidden_size))


def forward(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[ClinicalBatch, Callable[[ClinicalBatch], List[Doc]]]:
    """Encode Docs; the gradient of every owned piece flows back to its window."""
    shim = cast(EncoderShim, model.shims[0])
    if shim._model is None or shim.pieces is None:
        raise CheckpointError(
            "The clinical transformer has no weights: call nlp.initialize() or load a pipeline."
        )
    reading = model.attrs["reading"]
    shim.autocast = "none" if reading.precision in ("float32", "int8") else reading.precision
    with _stage(model, "wordpieces"):
        layout = lay_out(docs, shim.pieces, *_window_size(reading, shim.pieces))
    with _stage(model, "knowledge"):
        known = _look_up(model, docs, layout, is_train)
    with _stage(model, "encode"):
        hidden, cls_sums, graphs = _read(model, layout, len(docs), known, is_train)
    with _stage(model, "align"):
        owner = model.attrs["owner"]
        batch = make_batch(docs, layout, hidden, cls_sums, shim.pieces, model.ops, owner)

    def backprop(d_batch: ClinicalBatch) -> List[Doc]:
        if d_batch.gradient is not None and graphs:
            _backpropagate(graphs, xp2torch(d_batch.gradient, device=shim.device))
        graphs.clear()
        return docs

    return batch, backprop


def precisions(model: Model) -> List[str]:
    """List what `precision` may be set to here.

    model (Model): A `clinbert.ClinicalTransformer.v1` with weights.
    RETURNS (List[str]): Without `auto`; float32 first.
    """
    shim = cast(EncoderShim, model.shims[0])
    return available_precisions(shim._model, shim.device)


def trace(model: Model, doc: Doc) -> Trace:
    """Open a note's way from wordpiece embeddings to vectors to gradients, for explanations.

    model (Model): A `clinbert.ClinicalTransformer.v1` with weights.
    doc (Doc): A note with tokens.
    RETURNS (Trace): Its windows, read once without gradients, in float32.
    RAISES (ValueError): The note is empty.
    """
    shim = cast(EncoderShim, model.shims[0])
    if not len(doc):
        raise ValueError("An empty note has no wordpieces to trace: leave it out.")
    pieces = cast(WordPieces, shim.pieces)
    reading = model.attrs["reading"]
    layout = lay_out([doc], pieces, *_window_size(reading, pieces))
    known = _look_up(model, [doc], layout, False)
    return Trace(shim, layout, known and known[:3], reading.batch_pieces)


def _window_size(reading: Reading, pieces: WordPieces) -> Tuple[int, int]:
    window = min(reading.window, pieces.special["max_length"] - 2)
    check_window(window, reading.context)
    return window, reading.context


def _make_shim(frozen_layers: int, knowledge: Optional[Model]) -> EncoderShim:
    shim = EncoderShim(None)
    shim.frozen_layers = frozen_layers
    if knowledge is not None:
        shim.knowledge_scale = knowledge.attrs["lr_scale"]
    return shim


def _plan_fusion(model: Model, loaded: Checkpoint) -> Optional[Dict[str, Any]]:
    if not model.layers:
        return None
    (knowledge,) = model.layers
    places = knowledge.attrs["places"]
    return plan_fusion(loaded.transformer, *sizes(knowledge), places, loaded.special)


def _look_up(model: Model, docs: List[Doc], layout: Layout, is_train: bool) -> Optional[Known]:
    """Bring what is known of tokens to their pieces; once, so that windows agree on it."""
    if not model.layers:
        return None
    found, _ = model.layers[0](docs, is_train)
    shim = cast(EncoderShim, model.shims[0])
    flags, vectors = (torch.from_numpy(array).to(shim.device) for array in found[:2])
    made = None
    if not is_train:
        with torch.inference_mode(), shim.precision():
            made = shim._model.knowledge.make(flags, vectors)
    return flags, vectors, spread(layout, found.rows), made


@contextmanager
def _stage(model: Model, name: str) -> Iterator[None]:
    """Tell a stopwatch, where one is set, what a stage took in seconds."""
    start = time.perf_counter()
    yield
    if model.attrs["stopwatch"] is not None:
        model.attrs["stopwatch"](name, time.perf_counter() - start)


def _read(
    model: Model, layout: Layout, n_docs: int, known: Optional[Known], is_train: bool
) -> Tuple[Any, Any, List[Graph]]:
    """Read all windows. RETURNS: vectors of pieces and sums of first vectors, on the device."""
    shim, reading = cast(EncoderShim, model.shims[0]), model.attrs["reading"]
    reader = None if is_train else shim.reader(reading)
    is_cached = reader is not None and shim.device.type == "cpu"
    size = min(reading.batch_pieces, CACHED_PIECES) if is_cached else reading.batch_pieces
    n_trained = min(model.attrs["max_train_windows"], len(layout.windows)) if is_train else 0
    hidden = torch.zeros(len(layout.ids), model.get_dim("nO"), device=shim.device)
    cls_sums = torch.zeros(n_docs, model.get_dim("nO"), device=shim.device)
    graphs: List[Graph] = []
    for rows, with_grad in schedule(layout, n_trained, size):
        output = _encode(shim, layout, rows, with_grad, known, reader)
        flat, positions = owned_pieces(layout, rows)
        _collect(hidden, cls_sums, output.detach(), layout, rows, flat, positions)
        if with_grad:
            graphs.append((output, flat, positions))
    return torch2xp(hidden), torch2xp(cls_sums), graphs


def _collect(
    hidden: torch.Tensor,
    cls_sums: torch.Tensor,
    output: torch.Tensor,
    layout: Layout,
    rows: IntArray,
    flat: IntArray,
    positions: IntArray,
) -> None:
    """Take what windows own out of their output, and add their first vectors to their notes'."""
    index = [torch.from_numpy(a).to(output.device) for a in (flat, positions)]
    notes = torch.from_numpy(layout.window_doc[rows]).to(output.device)
    owned = torch.from_numpy(owned_counts(layout, rows)).to(output.device)
    with torch.no_grad():
        own = output.reshape(-1, output.shape[-1]).index_select(0, index[0])
        hidden.index_copy_(0, index[1], own)
        cls_sums.index_add_(0, notes, output[:, 0] * owned[:, None])


def _encode(
    shim: EncoderShim,
    layout: Layout,
    rows: IntArray,
    with_grad: bool,
    known: Optional[Known],
    reader: Optional[Reader] = None,
) -> torch.Tensor:
    """Run windows through the network. RETURNS: (rows, length + 2, width), float32."""
    ids, mask = pad_windows(layout, rows, cast(WordPieces, shim.pieces))
    facts = None
    if known is not None:
        index = torch.from_numpy(pad_values(layout, rows, known[2]))
        facts = Facts(known[0], known[1], index.to(shim.device), known[3])
    shim._model.train(with_grad)
    grad_mode = torch.enable_grad() if with_grad else torch.inference_mode()
    with grad_mode, shim.precision(training=with_grad):
        return shim._model(
            torch.from_numpy(ids).to(shim.device),
            torch.from_numpy(mask).to(shim.device).long(),
            facts,
            reader=reader,
        )


def _backpropagate(graphs: List[Graph], gradient: torch.Tensor) -> None:
    """Send the gradient of each owned piece into the window that owns it."""
    outputs, grads = [], []
    for output, flat, positions in graphs:
        grad = torch.zeros_like(output)
        places = torch.from_numpy(flat).to(output.device)
        source = torch.from_numpy(positions).to(output.device)
        grad.view(-1, output.shape[-1])[places] = gradient[source].to(output.dtype)
        outputs.append(output)
        grads.append(grad)
    torch.autograd.backward(outputs, grads)


def _forward_split(
    model: Model, batch: ClinicalBatch, is_train: bool
) -> Tuple[List[TransformerData], Callable]:
    def backprop(d_data: List[TransformerData]) -> ClinicalBatch:
        return batch.unsplit_by_doc([list(d.tensors) for d in d_data])

    return batch.doc_data, backprop


def _replace_listener(model: Model) -> Model:
    return chain(model, Model("split_clinical_batch", _forward_split))


def _replace_listener_cfg(transformer: Dict[str, Any], listener: Dict[str, Any]) -> Dict[str, Any]:
    """Rewrite a listener's config into that of the twin that owns its encoder."""
    return {
        "@architectures": "clinbert.ClinicalTok2Vec.v1",
        "transformer": dict(transformer),
        "pooling": dict(listener["pooling"]),
        "grad_factor": listener.get("grad_factor", 1.0),
    }


def _count_layers(config: Dict[str, Any]) -> int:
    return int(config.get("num_hidden_layers", config.get("n_layers", 0))) + 1


def _check_choice(key: str, value: str, choices: Tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{key} = '{value}' is not one of {', '.join(choices)}.")
