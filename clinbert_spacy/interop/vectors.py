"""Note and sentence vectors out of the transformer's output, as numpy or Parquet."""

import os
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Tuple, Union

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc, Span
from spacy_transformers.data_classes import TransformerData
from thinc.util import to_numpy

Vector = NDArray[numpy.float32]
Row = Tuple[str, Vector]

ROWS_PER_BATCH = 1024
WHOLE_NOTE = "cls"


def _mean(pieces: Vector) -> Vector:
    return pieces.mean(axis=0, dtype=numpy.float32)


def _max(pieces: Vector) -> Vector:
    return pieces.max(axis=0)


POOLINGS: Dict[str, Callable[[Vector], Vector]] = {"mean": _mean, "max": _max}


def note_vector(doc: Doc, pooling: str = "mean") -> Vector:
    """Make one vector of a note.

    doc (Doc): A note that the transformer has read.
    pooling (str): "mean" or "max" over the wordpieces, or "cls": the mean of the windows' [CLS]
        vectors, weighted by the windows' lengths.
    RETURNS (Vector): Zeros for a note without wordpieces. Shape (width,), float32.
    RAISES (ValueError): The transformer's output is missing, or the pooling is unknown.
    """
    if pooling == WHOLE_NOTE:
        return _cls_vector(_trf_data(doc))
    _check_pooling(pooling, [*POOLINGS, WHOLE_NOTE])
    states, first, pieces = _aligned(doc)
    return _pool(states, pieces[first[0] : first[-1]], pooling)


def sentence_vectors(doc: Doc, pooling: str = "mean") -> Vector:
    """Make one vector of each sentence of a note.

    doc (Doc): A note that the transformer has read, with sentences.
    pooling (str): "mean" or "max" over the sentence's wordpieces.
    RETURNS (Vector): Zeros for sentences without wordpieces. Shape (sentences, width), float32.
    RAISES (ValueError): The transformer's output or the sentences are missing, or the pooling is
        unknown.
    """
    _check_pooling(pooling, list(POOLINGS))
    states, first, pieces = _aligned(doc)
    vectors = numpy.zeros((len(sents := _sentences(doc)), states.shape[1]), dtype=numpy.float32)
    for i, sent in enumerate(sents):
        vectors[i] = _pool(states, pieces[first[sent.start] : first[sent.end]], pooling)
    return vectors


def note_rows(notes: Iterable[Tuple[str, Doc]], pooling: str = "mean") -> Iterator[Row]:
    """Turn notes into rows for `write_vectors`.

    notes (Iterable[Tuple[str, Doc]]): Note ids and notes.
    pooling (str): As for `note_vector`.
    YIELDS (Row): The note's id and vector.
    """
    for note_id, doc in notes:
        yield note_id, note_vector(doc, pooling)


def sentence_rows(notes: Iterable[Tuple[str, Doc]], pooling: str = "mean") -> Iterator[Row]:
    """Turn the sentences of notes into rows for `write_vectors`.

    notes (Iterable[Tuple[str, Doc]]): Note ids and notes.
    pooling (str): As for `sentence_vectors`.
    YIELDS (Row): "ID:START-END", with character offsets in the note, and the sentence's vector.
    """
    for note_id, doc in notes:
        for sent, vector in zip(_sentences(doc), sentence_vectors(doc, pooling), strict=True):
            yield f"{note_id}:{sent.start_char}-{sent.end_char}", vector


def write_vectors(rows: Iterable[Row], path: Union[str, Path]) -> int:
    """Write vectors with their ids; the file appears only once it is complete.

    rows (Iterable[Row]): Ids and vectors of one width; read in batches for Parquet.
    path (Union[str, Path]): `.npz` with the arrays `ids` and `vectors`; `.npy` with one record
        array of the fields `id` and `vector`; `.parquet` with the columns `id` and `vector`.
    RETURNS (int): How many rows were written.
    RAISES (ValueError): The suffix is unknown or a vector has another width than those before.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(
            f"Cannot write vectors to '{path.name}': expected a name that ends in one of "
            f"{', '.join(WRITERS)}. Rename the output file."
        )
    with _replacing(path) as unfinished:
        return WRITERS[path.suffix](_same_width(rows), unfinished)


def _trf_data(doc: Doc) -> TransformerData:
    data = doc._.trf_data if Doc.has_extension("trf_data") else None
    if data is None or "last_hidden_state" not in data.model_output:
        raise ValueError(
            "doc._.trf_data holds no transformer output, expected last_hidden_state. Run the "
            "component 'clinbert_transformer' on the note, with no 'doc_cleaner' behind it (it "
            "removes trf_data); DocBin and to_bytes do not keep it either."
        )
    return data


def _cls_vector(data: TransformerData) -> Vector:
    pooled = data.model_output.get("pooler_output")
    if pooled is None or pooled.shape != (1, data.width):
        found = "none" if pooled is None else f"shape {tuple(pooled.shape)}"
        raise ValueError(
            f"pooling='{WHOLE_NOTE}' needs a pooler_output of shape (1, {data.width}), found "
            f"{found}: the output is not that of clinbert.ClinicalTransformer.v1. Use "
            "pooling='mean', or that architecture in 'clinbert_transformer'."
        )
    return to_numpy(pooled)[0].astype(numpy.float32)


def _check_pooling(pooling: str, known: List[str]) -> None:
    if pooling not in known:
        raise ValueError(f"Unknown pooling '{pooling}': expected one of {', '.join(known)}.")


def _aligned(doc: Doc) -> Tuple[Vector, NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Give piece vectors, where each token's pieces begin in the third array, and that array."""
    data = _trf_data(doc)
    states = to_numpy(data.model_output["last_hidden_state"])
    lengths = to_numpy(data.align.lengths)
    if len(lengths) != len(doc):
        raise ValueError(
            f"The transformer read {len(lengths)} tokens, but the note has {len(doc)} now. Put "
            "components that merge or split tokens before 'clinbert_transformer'."
        )
    first = numpy.concatenate(([0], numpy.cumsum(lengths))).astype(numpy.int64)
    pieces = to_numpy(data.align.dataXd).reshape(-1).astype(numpy.int64)
    return states.reshape(-1, states.shape[-1]), first, pieces


def _pool(states: Vector, pieces: NDArray[numpy.int64], pooling: str) -> Vector:
    if not len(pieces):
        return numpy.zeros(states.shape[1], dtype=numpy.float32)
    # two tokens may share a piece in a foreign alignment; it counts once
    return POOLINGS[pooling](states[numpy.unique(pieces)])


def _sentences(doc: Doc) -> List[Span]:
    if len(doc) and not doc.has_annotation("SENT_START"):
        raise ValueError(
            "The note has no sentences. Add a component that sets them, such as "
            "'clinbert_sentences' or spaCy's 'sentencizer'."
        )
    return list(doc.sents) if len(doc) else []


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Offer a neighbouring name to write to; what was at `path` stays until all is written."""
    # numpy appends its suffix to names that lack it
    unfinished = path.with_name(f"{path.stem}.unfinished{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _same_width(rows: Iterable[Row]) -> Iterator[Row]:
    width = None
    for row_id, vector in rows:
        width = vector.shape if width is None else width
        if vector.ndim != 1 or vector.shape != width:
            raise ValueError(
                f"The vector of '{row_id}' has the shape {vector.shape}, expected one axis, as "
                f"long as in the first row {width}. Write vectors of one pipeline to one file."
            )
        yield row_id, vector


def _stacked(rows: Iterable[Row]) -> Tuple[List[str], Vector]:
    pairs = list(rows)
    vectors = [vector for _, vector in pairs]
    stacked = numpy.stack(vectors) if vectors else numpy.zeros((0, 0))
    return [row_id for row_id, _ in pairs], stacked.astype(numpy.float32)


def _write_npz(rows: Iterable[Row], path: Path) -> int:
    ids, vectors = _stacked(rows)
    numpy.savez(path, ids=numpy.array(ids, dtype=numpy.str_), vectors=vectors)
    return len(ids)


def _write_npy(rows: Iterable[Row], path: Path) -> int:
    ids, vectors = _stacked(rows)
    longest = max(map(len, ids), default=1) or 1
    kinds = [("id", f"U{longest}"), ("vector", "f4", (vectors.shape[1],))]
    records = numpy.zeros(len(ids), dtype=kinds)
    records["id"], records["vector"] = ids, vectors
    numpy.save(path, records)
    return len(ids)


def _write_parquet(rows: Iterable[Row], path: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [("id", pyarrow.string()), ("vector", pyarrow.list_(pyarrow.float32()))]
    )
    remaining, written = iter(rows), 0
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(remaining, ROWS_PER_BATCH)):
            columns = {"id": [row[0] for row in batch], "vector": [row[1] for row in batch]}
            writer.write_table(pyarrow.table(columns, schema=schema))
            written += len(batch)
    return written


WRITERS: Dict[str, Callable[[Iterable[Row], Path], int]] = {
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".parquet": _write_parquet,
}
