"""The folder of a knowledge graph: what is read, and what is refused."""

import numpy
import pytest

from clinbert_spacy.models.knowledge import KnowledgeFusion, read_graph
from tests.models.toy_graph import make_docs, toy_vectors, write_graph


def build(graph, initialize=True, **settings):
    model = KnowledgeFusion(str(graph), **settings)
    if initialize:
        model.initialize()
    return model


def test_the_graph_is_opened_by_initialize_alone():
    model = build(graph="no/such/folder", initialize=False)
    with pytest.raises(ValueError, match="no lexicon: call nlp.initialize"):
        model.predict(make_docs("aspirin"))
    with pytest.raises(ValueError, match="No knowledge graph at 'no/such/folder'.*build-graph"):
        model.initialize()


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (toy_vectors()[:-1], r"shape \(9, 6\), expected one row for each of the 10 concepts"),
        (toy_vectors().ravel(), r"shape \(60,\), expected one row"),
        (numpy.full((10, 2), numpy.nan, dtype="float16"), "not finite"),
    ],
)
def test_vectors_that_do_not_fit(tmp_path, vectors, message):
    with pytest.raises(ValueError, match=message):
        build(graph=write_graph(tmp_path / "graph", vectors))


def test_vectors_are_kept_as_directions(tmp_path):
    given = numpy.random.default_rng(0).normal(size=(10, 64)).astype("float16")
    given[3] = 0
    kept = read_graph(str(write_graph(tmp_path / "graph", given)), True).vectors
    assert kept.dtype == numpy.int8 and not kept[3].any()
    pairs = [(a.astype("f"), b.astype("f")) for a, b in zip(given, kept) if b.any()]
    cosines = [a @ b / numpy.linalg.norm(a) / numpy.linalg.norm(b) for a, b in pairs]
    assert len(pairs) == 9 and min(cosines) > 0.9998


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("lexicon.msgpack.gz", "No lexicon at"),
        ("vectors.safetensors", "No vectors at.*vectors = false"),
        ("metrics.json", "does not state the sources"),
    ],
)
def test_a_graph_with_a_file_missing(tmp_path, file, message):
    folder = write_graph(tmp_path / "graph")
    (folder / file).unlink()
    with pytest.raises(ValueError, match=message):
        build(graph=folder)


def test_sources_without_a_licence(tmp_path):
    folder = write_graph(tmp_path / "graph", metrics={"sources": {"x": {"title": "X"}}})
    with pytest.raises(ValueError, match="title and licence of each"):
        build(graph=folder)


@pytest.mark.parametrize("places", [[], ["middle"], ["input", "input"]])
def test_places_out_of_range(places):
    with pytest.raises(ValueError, match="places = .*expected some of"):
        KnowledgeFusion("x", places=places)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_out_of_range(dropout):
    with pytest.raises(ValueError, match="dropout = .* is no share"):
        KnowledgeFusion("x", dropout=dropout)
