"""`clinbert.ClinicalTransformer.v1`: ClinicalBERT as the shared encoder of a spaCy pipeline."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    TransformerData,
    WordpieceBatch,
)
from spacy_transformers.layers import trfs2arrays
from thinc.api import Model, chain, get_current_ops, torch2xp
from thinc.types import Floats2d, Ragged
from transformers.file_utils import ModelOutput

from ..nets import ClinicalEncoder
from .checkpoint import CheckpointError, WordPieces, build_transformer, load_checkpoint
from .shims import TorchShim
from .windows import (
    END,
    OWN_END,
    OWN_START,
    START,
    batch_windows,
    check_window,
    gather_rows,
    plan_windows,
)

IntArray = NDArray[numpy.int64]


class EncoderShim(TorchShim):
    """A `ClinicalEncoder` with its tokenizer, both empty until initialised or loaded."""

    pieces: Optional[WordPieces] = None
    hf_config: Dict[str, Any]
    frozen_layers: int = 0

    def set_network(self, transformer: torch.nn.Module, n_mixed: Optional[int]) -> None:
        """Take a network in, its lower parts out of training."""
        freeze_layers(transformer, self.frozen_layers)
        self._model = ClinicalEncoder(transformer, n_mixed).to(self.device)

    def _to_message(self) -> Dict[str, Any]:
        message = super()._to_message()
        if self._model is None or self.pieces is None:
            return message
        return {
            **message,
            "config": self.hf_config,
            "tokenizer": self.pieces.backend.to_str(),
            "special": self.pieces.special,
            "n_mixed": self.n_mixed,
        }

    def _from_message(self, message: Dict[str, Any]) -> None:
        if "config" in message:
            self.hf_config = message["config"]
            self.pieces = WordPieces(message["tokenizer"], message["special"])
            self.set_network(build_transformer(self.hf_config), message["n_mixed"])
        super()._from_message(message)

    @property
    def n_mixed(self) -> Optional[int]:
        """Number of layers mixed, None for the last layer alone."""
        return None if self._model.mix is None else len(self._model.mix.weights)


@dataclass
class ClinicalData(TransformerData):
    """`TransformerData` of one note, stitched from its windows and marked with its owner.

    owner (str): Name of the component that computed it.
    counts (Dict[str, int]): tokens, wordpieces, windows, unknown, truncated.
    """

    owner: str = ""
    counts: Dict[str, int] = field(default_factory=dict)


@dataclass
class ClinicalBatch(FullTransformerBatch):
    """The outputs of a batch; gradients come back as one array over all pieces.

    gradient (Optional[Floats2d]): Set on what `unsplit_by_doc` returns. Shape (pieces, width).
    """

    gradient: Optional[Any] = None

    def unsplit_by_doc(self, arrays: List[List[Any]]) -> "ClinicalBatch":
        """Join the gradients of the notes that have pieces, in order.

        arrays (List[List[Floats3d]]): One `[(1, pieces, width)]` per note with tokens.
        RETURNS (ClinicalBatch): Holds `gradient`.
        """
        xp = get_current_ops().xp
        rows = [xp.reshape(a[0], (-1, a[0].shape[-1])) for a in arrays]
        return ClinicalBatch(
            spans=self.spans,
            wordpieces=self.wordpieces,
            model_output=ModelOutput(),
            align=self.align,
            gradient=xp.concatenate(rows) if rows else None,
        )


@dataclass
class Layout:
    """Where the pieces of a batch of notes lie.

    ids (IntArray): Piece ids of all notes. Shape (pieces,).
    starts (IntArray): First piece of each note, and the end. Shape (notes + 1,).
    aligns (List[Ragged]): Token to piece, per note, counted from the note's first piece.
    windows (IntArray): Rows as in `plan_windows`, counted over the batch. Shape (windows, 4).
    window_doc (IntArray): Note of each window. Shape (windows,).
    """

    ids: IntArray
    starts: IntArray
    aligns: List[Ragged]
    windows: IntArray
    window_doc: IntArray


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
) -> Model[List[Doc], FullTransformerBatch]:
    """Build the shared encoder. No file is opened before `initialize` or `from_bytes`.

    name (str): A checkpoint folder, a hub id, or `python:package/folder`.
    window (int): Longest window in wordpieces, without the two special pieces.
    context (int): Wordpieces of context on either side of what a window owns.
    batch_pieces (int): Most wordpieces in one padded batch.
    max_train_windows (int): Windows of a batch that get a gradient, sampled if there are more.
    layers (str): `last`, or `mix` for a learned mix of all layers.
    precision (str): `float32`; `bfloat16`; `auto` for half precision where the device computes
        it natively. Outputs are float32 always.
    frozen_layers (int): Parts that training leaves as they are, from below: 1 the embeddings, 2
        the first layer too, and so on; 0 trains everything.
    tokenizer_config (Dict): Arguments of `AutoTokenizer.from_pretrained`.
    transformer_config (Dict): Arguments of `AutoConfig.from_pretrained`.
    owner (str): Name of the component that holds this model; listeners check it.
    RETURNS (Model): Docs to a batch of `TransformerData`.
    RAISES (ValueError): A setting out of its range.
    """
    check_window(window, context)
    _check_choice("layers", layers, ("last", "mix"))
    _check_choice("precision", precision, ("auto", "float32", "bfloat16"))
    shim = EncoderShim(None)
    shim.autocast = "none" if precision == "float32" else precision
    shim.frozen_layers = frozen_layers
    attrs = {
        "name": name,
        "window": window,
        "context": context,
        "batch_pieces": batch_pieces,
        "max_train_windows": max_train_windows,
        "layers": layers,
        "tokenizer_config": dict(tokenizer_config),
        "transformer_config": dict(transformer_config),
        "owner": owner,
        "replace_listener": _replace_listener,
        "replace_listener_cfg": _replace_listener_cfg,
    }
    return Model(
        "clinical_transformer", forward, init=init, dims={"nO": None}, attrs=attrs, shims=[shim]
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
    if shim._model is None:
        attrs = model.attrs
        loaded = load_checkpoint(
            attrs["name"], attrs["tokenizer_config"], attrs["transformer_config"]
        )
        n_mixed = _count_layers(loaded.config) if attrs["layers"] == "mix" else None
        shim.hf_config = loaded.config
        shim.pieces = WordPieces(loaded.tokenizer, loaded.special)
        shim.set_network(loaded.transformer, n_mixed)
    model.set_dim("nO", int(shim.hf_config["hidden_size"]))


def freeze_layers(transformer: torch.nn.Module, n_frozen: int) -> None:
    """Take the lower parts of a network out of training.

    transformer (torch.nn.Module): A BERT-like network with `embeddings` and `encoder.layer`.
    n_frozen (int): 0 none, 1 the embeddings, 2 the first layer too, and so on.
    RAISES (ValueError): The network has fewer parts, or is built otherwise.
    """
    if n_frozen == 0:
        return
    layers = getattr(getattr(transformer, "encoder", None), "layer", None)
    if layers is None or not hasattr(transformer, "embeddings"):
        raise ValueError(f"frozen_layers = {n_frozen}: {type(transformer).__name__} is not BERT-like.")
    parts = [transformer.embeddings, *layers]
    if not 0 < n_frozen <= len(parts):
        raise ValueError(f"frozen_layers = {n_frozen} is not between 0 and {len(parts)}.")
    for part in parts[:n_frozen]:
        part.requires_grad_(False)


def forward(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[ClinicalBatch, Callable[[ClinicalBatch], List[Doc]]]:
    """Encode Docs; the gradient of every owned piece flows back to its window."""
    shim = cast(EncoderShim, model.shims[0])
    if shim._model is None or shim.pieces is None:
        raise CheckpointError(
            "The clinical transformer has no weights: call nlp.initialize() or load a pipeline."
        )
    layout = lay_out(docs, shim.pieces, *_window_size(model, shim.pieces))
    width = model.get_dim("nO")
    hidden = numpy.zeros((len(layout.ids), width), dtype="float32")
    cls_sums = numpy.zeros((len(docs), width), dtype="float32")
    graphs = []
    for rows, with_grad in _schedule(model, layout, is_train):
        output = _encode(shim, layout, rows, with_grad)
        flat, positions = _owned(layout, rows)
        values = output.detach().cpu().numpy()
        hidden[positions] = values.reshape(-1, width)[flat]
        _add_cls(cls_sums, values[:, 0], layout, rows)
        if with_grad:
            graphs.append((output, flat, positions))
    batch = _make_batch(model, docs, layout, hidden, cls_sums, shim.pieces)

    def backprop(d_batch: ClinicalBatch) -> List[Doc]:
        if d_batch.gradient is not None:
            _backpropagate(graphs, d_batch.gradient, shim)
        graphs.clear()
        return docs

    return batch, backprop


def lay_out(docs: Sequence[Doc], pieces: WordPieces, window: int, context: int) -> Layout:
    """Tokenise notes into pieces and plan their windows.

    docs (Sequence[Doc]): Notes. One with tokens but no piece (white space) gets a single `unk`.
    pieces (WordPieces): The tokenizer.
    window, context (int): See `plan_windows`.
    RETURNS (Layout): Ids, alignment and windows over the batch.
    """
    ids: List[int] = []
    starts, aligns, windows, owners = [0], [], [], []
    for number, doc in enumerate(docs):
        words = pieces.ids([token.text for token in doc])
        lengths = numpy.fromiter(map(len, words), dtype="int32", count=len(words))
        found = [i for word in words for i in word]
        aligns.append(Ragged(numpy.arange(len(found), dtype="int32"), lengths))
        ids.extend(found or [pieces.special["unk"]] * bool(len(doc)))
        starts.append(len(ids))
        if len(ids) > starts[-2]:
            plan = plan_windows(len(ids) - starts[-2], window, context) + starts[-2]
            windows.append(plan)
            owners.extend([number] * len(plan))
    return Layout(
        numpy.array(ids, dtype="int64"),
        numpy.array(starts, dtype="int64"),
        aligns,
        numpy.concatenate(windows) if windows else numpy.zeros((0, 4), dtype="int64"),
        numpy.array(owners, dtype="int64"),
    )


def _window_size(model: Model, pieces: WordPieces) -> Tuple[int, int]:
    window = min(model.attrs["window"], pieces.special["max_length"] - 2)
    check_window(window, model.attrs["context"])
    return window, model.attrs["context"]


def _schedule(model: Model, layout: Layout, is_train: bool) -> List[Tuple[IntArray, bool]]:
    """List batches of windows, and whether each is part of the gradient."""
    n_windows = len(layout.windows)
    n_trained = min(model.attrs["max_train_windows"], n_windows) if is_train else 0
    order = numpy.random.permutation(n_windows) if n_trained < n_windows else numpy.arange(n_windows)
    parts = [(order[:n_trained], True), (order[n_trained:], False)]
    lengths = layout.windows[:, END] - layout.windows[:, START] + 2
    return [
        (part[rows], with_grad)
        for part, with_grad in parts
        for rows in batch_windows(lengths[part], model.attrs["batch_pieces"])
    ]


def _encode(shim: EncoderShim, layout: Layout, rows: IntArray, with_grad: bool) -> torch.Tensor:
    """Run windows through the network. RETURNS: (rows, length + 2, width), float32."""
    assert_pieces = cast(WordPieces, shim.pieces)
    windows = layout.windows[rows]
    lengths = windows[:, END] - windows[:, START]
    ids = numpy.full((len(rows), int(lengths.max()) + 2), assert_pieces.special["pad"])
    mask = numpy.arange(ids.shape[1])[None, :] < (lengths + 2)[:, None]
    inner = mask.copy()
    inner[:, 0] = False
    inner[numpy.arange(len(rows)), lengths + 1] = False
    ids[:, 0] = assert_pieces.special["cls"]
    ids[numpy.arange(len(rows)), lengths + 1] = assert_pieces.special["sep"]
    ids[inner] = layout.ids[gather_rows(windows[:, START], windows[:, END])]
    arguments = (torch.from_numpy(ids).to(shim.device), torch.from_numpy(mask).to(shim.device).long())
    shim._model.train(with_grad)
    grad_mode = torch.enable_grad() if with_grad else torch.inference_mode()
    with grad_mode, shim.precision(training=with_grad):
        return shim._model(*arguments)


def _owned(layout: Layout, rows: IntArray) -> Tuple[IntArray, IntArray]:
    """Index the owned pieces: in the flattened padded batch, and among all pieces."""
    windows = layout.windows[rows]
    length = int((windows[:, END] - windows[:, START]).max()) + 2
    shift = numpy.arange(len(rows)) * length + 1 - windows[:, START]
    flat = gather_rows(windows[:, OWN_START] + shift, windows[:, OWN_END] + shift)
    return flat, gather_rows(windows[:, OWN_START], windows[:, OWN_END])


def _add_cls(sums: NDArray, cls: NDArray, layout: Layout, rows: IntArray) -> None:
    windows = layout.windows[rows]
    owned = (windows[:, OWN_END] - windows[:, OWN_START]).astype("float32")
    numpy.add.at(sums, layout.window_doc[rows], cls * owned[:, None])


def _backpropagate(graphs: List[Tuple], gradient: Any, shim: EncoderShim) -> None:
    outputs, grads = [], []
    d_pieces = torch.from_numpy(numpy.asarray(get_current_ops().to_numpy(gradient)))
    for output, flat, positions in graphs:
        d_output = torch.zeros(output.shape, dtype=output.dtype)
        d_output.view(-1, output.shape[-1])[torch.from_numpy(flat)] = d_pieces[
            torch.from_numpy(positions)
        ].to(output.dtype)
        outputs.append(output)
        grads.append(d_output.to(shim.device))
    if outputs:
        torch.autograd.backward(outputs, grads)


def _make_batch(
    model: Model,
    docs: Sequence[Doc],
    layout: Layout,
    hidden: NDArray,
    cls_sums: NDArray,
    pieces: WordPieces,
) -> ClinicalBatch:
    n_windows = numpy.bincount(layout.window_doc, minlength=len(docs))
    data = []
    for i, doc in enumerate(docs):
        rows = slice(int(layout.starts[i]), int(layout.starts[i + 1]))
        ids = layout.ids[rows]
        counts = _count(doc, ids, int(n_windows[i]), layout.aligns[i], pieces)
        cls = cls_sums[i] / max(1, len(ids))
        data.append(_make_data(model, ids, hidden[rows], cls, layout.aligns[i], pieces, counts))
    return ClinicalBatch(
        spans=[[doc[:]] if len(doc) else [] for doc in docs],
        wordpieces=WordpieceBatch.empty(),
        model_output=ModelOutput(),
        align=Ragged(numpy.zeros((0,), dtype="i"), numpy.zeros((0,), dtype="i")),
        cached_doc_data=data,
    )


def _make_data(
    model: Model,
    ids: IntArray,
    hidden: NDArray,
    cls: NDArray,
    align: Ragged,
    pieces: WordPieces,
    counts: Dict[str, int],
) -> ClinicalData:
    empty = TransformerData.empty()
    if not len(ids):
        return ClinicalData(
            empty.wordpieces, empty.model_output, empty.align, model.attrs["owner"], counts
        )
    asarray = model.ops.asarray
    output = ModelOutput(
        last_hidden_state=asarray(hidden[None]), pooler_output=asarray(cls[None])
    )
    wordpieces = WordpieceBatch(
        strings=[pieces.strings(ids)],
        input_ids=ids[None].astype("int32"),
        attention_mask=numpy.ones((1, len(ids)), dtype="float32"),
        lengths=[len(ids)],
        token_type_ids=None,
    )
    return ClinicalData(wordpieces, output, align, model.attrs["owner"], counts)


def _count(
    doc: Doc, ids: IntArray, n_windows: int, align: Ragged, pieces: WordPieces
) -> Dict[str, int]:
    """Count what was read; `truncated` counts the words that got no piece."""
    words = numpy.array([not token.is_space for token in doc], dtype=bool)
    return {
        "tokens": len(doc),
        "wordpieces": int(align.lengths.sum()),
        "windows": n_windows,
        "unknown": int((ids[: int(align.lengths.sum())] == pieces.special["unk"]).sum()),
        "truncated": int((words & (align.lengths == 0)).sum()),
    }


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
