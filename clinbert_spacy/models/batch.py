"""What the clinical transformer hands to the components that listen to it."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

import numpy
import srsly
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy_transformers.data_classes import (
    FullTransformerBatch,
    TransformerData,
    WordpieceBatch,
)
from thinc.api import Ops, get_array_module
from thinc.types import Floats2d, Ragged
from transformers.file_utils import ModelOutput

from .checkpoint import WordPieces
from .layout import Layout, count_pieces

DATA_KEY = "__clinbert_data__"


@dataclass
class ClinicalData(TransformerData):
    """`TransformerData` of one note, stitched from its windows and marked with its owner.

    owner (str): Name of the component that computed it.
    counts (Dict[str, int]): tokens, wordpieces, windows, unknown, truncated.
    pooled (Dict[str, Floats2d]): Token vectors by the name of the pooling layer, for the next
        component that wants the same; it does not travel with the Doc.
    """

    owner: str = ""
    counts: Dict[str, int] = field(default_factory=dict)
    pooled: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@srsly.msgpack_encoders("clinbert_data")
def encode_data(obj: Any, chain: Any = None) -> Any:
    """Let data travel with a Doc: spaCy's own way forgets owner and counts."""
    if isinstance(obj, ClinicalData):
        return {DATA_KEY: {**obj.to_dict(), "owner": obj.owner, "counts": obj.counts}}
    return obj if chain is None else chain(obj)


@srsly.msgpack_decoders("clinbert_data")
def decode_data(obj: Any, chain: Any = None) -> Any:
    """Restore what `encode_data` wrote."""
    if DATA_KEY in obj:
        found = obj[DATA_KEY]
        data = ClinicalData.empty().from_dict(found)
        data.owner, data.counts = found["owner"], found["counts"]
        # what came by bytes may not be written, and thinc reads nothing else
        for name, array in data.model_output.items():
            data.model_output[name] = numpy.array(array)
        data.align = Ragged(*map(numpy.array, found["align"]))
        return data
    return obj if chain is None else chain(obj)


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
        rows = [a[0].reshape((-1, a[0].shape[-1])) for a in arrays]
        gradient = get_array_module(rows[0]).concatenate(rows) if rows else None
        return ClinicalBatch(
            spans=self.spans,
            wordpieces=self.wordpieces,
            model_output=ModelOutput(),
            align=self.align,
            gradient=gradient,
        )


def join_rows(ops: Ops, vectors: Sequence[Floats2d]) -> Floats2d:
    """Join the token vectors of notes.

    ops (Ops): of the device. vectors (Sequence[Floats2d]): one array per note; that of a note
        without tokens may have no width.
    RETURNS (Floats2d): Shape (tokens of all notes, width).
    """
    rows = [vector for vector in vectors if len(vector)]
    if len(rows) == 1:
        return rows[0]  # the vectors of a long note are large: not twice
    return ops.xp.concatenate(rows) if rows else ops.alloc2f(0, 0)


def split_rows(ops: Ops, rows: Floats2d, vectors: Sequence[Floats2d]) -> List[Floats2d]:
    """Cut what belongs to `join_rows(ops, vectors)` into notes again.

    ops (Ops): of the device. rows (Floats2d): e.g. a gradient. vectors (Sequence[Floats2d]): the
        notes' arrays.
    RETURNS (List[Floats2d]): One per note, each of its array's shape.
    """
    edges = numpy.cumsum([len(vector) for vector in vectors])[:-1].tolist()
    parts = ops.xp.split(rows, edges)
    return [p if len(v) else ops.alloc2f(*v.shape) for p, v in zip(parts, vectors)]


def make_batch(
    docs: Sequence[Doc],
    layout: Layout,
    hidden: Floats2d,
    cls_sums: Floats2d,
    pieces: WordPieces,
    ops: Ops,
    owner: str,
) -> ClinicalBatch:
    """Split vectors over notes.

    docs (Sequence[Doc]): The notes.
    layout (Layout): Where their pieces lie.
    hidden (Floats2d): Vectors of all pieces, on the device. Shape (pieces, width).
    cls_sums (Floats2d): First vectors of a note's windows, weighted by the pieces that they own.
        Shape (notes, width).
    pieces (WordPieces): The tokenizer.
    ops (Ops): Where the arrays go.
    owner (str): Name of the transformer component.
    RETURNS (ClinicalBatch): Holds one `ClinicalData` a note.
    """
    data = []
    for i, counts in enumerate(count_pieces(layout, docs, pieces)):
        rows = slice(int(layout.starts[i]), int(layout.starts[i + 1]))
        ids = layout.ids[rows]
        if not len(ids):
            data.append(_empty_data(owner, counts))
            continue
        output = ModelOutput(
            last_hidden_state=ops.asarray(hidden[None, rows]),
            pooler_output=ops.asarray(cls_sums[None, i] / len(ids)),
        )
        wordpieces = _make_wordpieces(ids, pieces)
        data.append(ClinicalData(wordpieces, output, layout.aligns[i], owner, counts))
    return ClinicalBatch(
        spans=[[doc[:]] if len(doc) else [] for doc in docs],
        wordpieces=WordpieceBatch.empty(),
        model_output=ModelOutput(),
        align=Ragged(numpy.zeros((0,), dtype="i"), numpy.zeros((0,), dtype="i")),
        cached_doc_data=data,
    )


def _empty_data(owner: str, counts: Dict[str, int]) -> ClinicalData:
    empty = TransformerData.empty()
    return ClinicalData(empty.wordpieces, empty.model_output, empty.align, owner, counts)


def _make_wordpieces(ids: NDArray[numpy.int64], pieces: WordPieces) -> WordpieceBatch:
    return WordpieceBatch(
        strings=[pieces.strings(ids)],
        input_ids=ids[None].astype("int32"),
        attention_mask=numpy.ones((1, len(ids)), dtype="float32"),
        lengths=[len(ids)],
        token_type_ids=None,
    )
