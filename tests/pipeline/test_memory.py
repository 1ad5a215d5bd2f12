"""What a stream of notes leaves behind: nothing but caches that end."""

import gc
import weakref

import pytest
import spacy
import torch
from spacy_transformers.layers import TransformerListener

from clinbert_spacy.models import checkpoint
from tests.pipeline.toy_streams import TEXTS, contents, streaming_pipeline


@pytest.fixture
def nlp(checkpoint):
    return streaming_pipeline(checkpoint)


def listeners(nlp):
    models = [
        pipe.model for _, pipe in nlp.pipeline if hasattr(getattr(pipe, "model", None), "walk")
    ]
    return [node for m in models for node in m.walk() if isinstance(node, TransformerListener)]


def n_tensors():
    gc.collect()
    kept = gc.get_objects()
    return sum(issubclass(type(one), torch.Tensor) for one in kept)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_note_dies_with_its_last_reader(nlp, batch_size):
    texts = [*TEXTS, "", *TEXTS]
    dead = [
        (weakref.ref(doc), weakref.ref(doc._.trf_data))
        for doc in nlp.pipe(texts, batch_size=batch_size)
    ]
    gc.collect()
    assert len(dead) == len(texts)
    assert all(doc() is None and data() is None for doc, data in dead)


def test_no_listener_and_no_cache_keeps_vectors(nlp):
    list(nlp.pipe(TEXTS))
    before = n_tensors()
    for _ in range(3):
        list(nlp.pipe([text + " again" for text in TEXTS]))
    assert n_tensors() == before
    found = listeners(nlp)
    assert found
    assert all(x._outputs is None and x._backprop is None and not x.sample for x in found)


def test_what_the_transformer_wrote_can_be_taken_off(nlp):
    nlp.add_pipe("doc_cleaner")
    try:
        docs = list(nlp.pipe(TEXTS))
    finally:
        nlp.remove_pipe("doc_cleaner")
    alone = list(nlp.pipe(TEXTS))
    assert all(doc._.trf_data is None for doc in docs)
    assert all(doc._.trf_data is not None for doc in alone)
    assert contents(docs) == contents(alone)
    assert max(len(doc.to_bytes()) for doc in docs) < min(len(doc.to_bytes()) for doc in alone)


def test_pieces_of_words_are_forgotten(nlp, monkeypatch):
    monkeypatch.setattr(checkpoint, "CACHED_WORDS", 50)
    pieces = nlp.get_pipe("clinbert_transformer").model.shims[0].pieces
    for number in range(30):
        texts = [f"fever{number} aspirin{number} rash{number} cough"]
        assert len(list(nlp.pipe(texts))) == 1
        assert len(pieces.cache) <= 50 + 4


def test_in_a_memory_zone(nlp):
    """Words of notes go; what components look up again stays."""
    expected = contents(nlp.pipe(TEXTS))
    n_strings = len(nlp.vocab.strings)
    for number in range(3):
        with nlp.memory_zone():
            fresh = [f"{text} zoned{number}" for text in TEXTS]
            assert len(contents(nlp.pipe(fresh))) == len(fresh)
            assert contents(nlp.pipe(TEXTS)) == expected
        assert f"zoned{number}" not in nlp.vocab.strings
    assert len(nlp.vocab.strings) == n_strings
    assert contents(nlp.pipe(TEXTS)) == expected


def test_cues_that_are_cut_within_a_memory_zone_stay():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "SYMPTOM", "pattern": "fever"}])
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    for _ in range(2):
        with nlp.memory_zone():
            (entity,) = nlp("No evidence of fever.").ents
            assert entity._.clinbert_assertion == "absent"
            assert entity._.clinbert_assertion_cue.text == "No evidence of"
