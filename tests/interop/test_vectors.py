"""Note and sentence vectors from hand-made transformer output, and the files they go to."""

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from spacy.tokens import Doc
from spacy_transformers.data_classes import TransformerData, WordpieceBatch
from spacy_transformers.pipeline_component import install_extensions
from thinc.types import Ragged
from transformers.file_utils import ModelOutput

from clinbert_spacy.interop.vectors import (
    ROWS_PER_BATCH,
    note_rows,
    note_vector,
    sentence_rows,
    sentence_vectors,
    write_vectors,
)

VOCAB = spacy.blank("en").vocab
WIDTH = 3


@pytest.fixture(autouse=True)
def _extensions():
    install_extensions()


def annotated(words, lengths, sent_starts=None, pooler=True):
    """Make a note whose piece i has the vector (i, i, i) and whose [CLS] vector is (7, 8, 9)."""
    doc = Doc(VOCAB, words=words, sent_starts=sent_starts)
    n_pieces = sum(lengths)
    states = numpy.repeat(numpy.arange(n_pieces, dtype="f"), WIDTH).reshape(1, n_pieces, WIDTH)
    output = {"last_hidden_state": states}
    if pooler:
        output["pooler_output"] = numpy.array([[7, 8, 9]], dtype="f")
    align = Ragged(numpy.arange(n_pieces, dtype="i"), numpy.array(lengths, dtype="i"))
    doc._.trf_data = TransformerData(WordpieceBatch.empty(), ModelOutput(output), align)
    return doc


@pytest.fixture
def doc():
    # pieces 0 | 1 2 | (space: none) || 3 | 4 5 6
    words, starts = ["No", "fever", "\n", "Afebrile", "today"], [True, False, False, True, False]
    return annotated(words, [1, 2, 0, 1, 3], starts)


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [3, 3, 3]), ("max", [6, 6, 6]), ("cls", [7, 8, 9])]
)
def test_note_vector(doc, pooling, expected):
    vector = note_vector(doc, pooling)
    assert vector.dtype == numpy.float32
    assert vector.tolist() == expected


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [1, 4.5]), ("max", [2, 6])])
def test_sentence_vectors(doc, pooling, expected):
    vectors = sentence_vectors(doc, pooling)
    assert vectors.dtype == numpy.float32
    assert vectors.tolist() == [[value] * WIDTH for value in expected]


def test_empty_notes_and_white_space_get_zeros():
    assert note_vector(annotated([], [])).tolist() == [0] * WIDTH
    assert sentence_vectors(annotated([], [])).shape == (0, WIDTH)
    assert note_vector(annotated(["\n"], [0])).tolist() == [0] * WIDTH
    assert sentence_vectors(annotated(["\n"], [0], [True])).tolist() == [[0] * WIDTH]


def test_pieces_outside_the_alignment_and_shared_pieces():
    """A stock alignment leaves [CLS] and padding out, spreads over spans and shares pieces."""
    doc = annotated(["a", "b"], [1, 1])
    states = numpy.arange(2 * 3 * WIDTH, dtype="f").reshape(2, 3, WIDTH)
    doc._.trf_data.model_output["last_hidden_state"] = states
    doc._.trf_data.align = Ragged(numpy.array([1, 4, 4], dtype="i"), numpy.array([2, 1], dtype="i"))
    expected = (states[0, 1] + states[1, 1]) / 2
    assert note_vector(doc).tolist() == expected.tolist()


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_sentence_means_weighted_by_their_pieces_give_the_note_mean(lengths, data):
    starts = [True] + [data.draw(st.booleans()) for _ in lengths[1:]]
    doc = annotated(["x"] * len(lengths), lengths, starts)
    sizes = [sum(lengths[sent.start : sent.end]) for sent in doc.sents]
    total = sum(size * v for size, v in zip(sizes, sentence_vectors(doc), strict=True))
    assert numpy.allclose(total, note_vector(doc) * sum(sizes))


def test_missing_output_says_what_to_run(doc):
    doc._.trf_data = None
    for function in (note_vector, sentence_vectors):
        with pytest.raises(ValueError, match="'clinbert_transformer'.*'doc_cleaner'"):
            function(doc)
    doc._.trf_data = TransformerData.empty()
    with pytest.raises(ValueError, match="'clinbert_transformer'"):
        note_vector(doc, "cls")


def test_missing_pooler_sentences_and_unknown_pooling(doc):
    with pytest.raises(ValueError, match=r"shape \(1, 3\), found none.*pooling='mean'"):
        note_vector(annotated(["a"], [1], pooler=False), "cls")
    with pytest.raises(ValueError, match="'clinbert_sentences'"):
        sentence_vectors(annotated(["a", "b"], [1, 1]))
    with pytest.raises(ValueError, match="'sum': expected one of mean, max, cls"):
        note_vector(doc, "sum")
    with pytest.raises(ValueError, match="'cls': expected one of mean, max"):
        sentence_vectors(doc, "cls")


def test_tokens_merged_after_the_transformer(doc):
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    with pytest.raises(ValueError, match="read 5 tokens, but the note has 4 now"):
        note_vector(doc)


def read_back(path):
    """Read ids and vectors from any of the three formats, without pickle."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        return table["id"].to_pylist(), table["vector"].to_pylist()
    loaded = numpy.load(path)
    if path.suffix == ".npz":
        return loaded["ids"].tolist(), loaded["vectors"].tolist()
    return loaded["id"].tolist(), loaded["vector"].tolist()


SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])


@SUFFIXES
def test_files_keep_ids_and_vectors(tmp_path, doc, suffix):
    path = tmp_path / f"vectors{suffix}"
    assert write_vectors(note_rows([("note 1", doc), ("é", doc)], "cls"), path) == 2
    assert read_back(path) == (["note 1", "é"], [[7, 8, 9], [7, 8, 9]])
    assert write_vectors(sentence_rows([("n", doc)]), path) == 2
    assert read_back(path) == (["n:0-10", "n:11-25"], [[1] * WIDTH, [4.5] * WIDTH])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@SUFFIXES
def test_no_rows_make_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    assert write_vectors([], path) == 0
    assert read_back(path) == ([], [])


def test_parquet_is_written_in_batches(tmp_path):
    count = 2 * ROWS_PER_BATCH + 1
    rows = ((str(i), numpy.full(WIDTH, i, dtype="f")) for i in range(count))
    assert write_vectors(rows, tmp_path / "v.parquet") == count
    assert parquet.ParquetFile(tmp_path / "v.parquet").num_row_groups == 3
    assert read_back(tmp_path / "v.parquet")[1][-1] == [count - 1] * WIDTH


@SUFFIXES
def test_a_failure_midway_keeps_the_old_file(tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    write_vectors([("old", numpy.ones(WIDTH, dtype="f"))], path)
    rows = [("a", numpy.ones(WIDTH, dtype="f")), ("b", numpy.ones(WIDTH + 1, dtype="f"))]
    with pytest.raises(ValueError, match=r"'b' has the shape \(4,\).*first row \(3,\)"):
        write_vectors(rows, path)
    assert read_back(path)[0] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"'vectors.csv'.*\.npz, \.npy, \.parquet"):
        write_vectors([], tmp_path / "vectors.csv")
