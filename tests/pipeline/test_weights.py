"""Weights taken over from a trained pipeline, under settings of one's own."""

import numpy
import pytest
import spacy

from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.weights import take_weights
from tests.toy_relations import NAME, NOTES, make_example, make_pipeline


def weights(nlp):
    network = nlp.get_pipe(NAME).model.shims[0]._model
    return {name: value.detach().numpy().copy() for name, value in network.named_parameters()}


def begin(nlp, start):
    nlp.config["initialize"]["components"] = {NAME: {"start": str(start)}}
    return nlp.initialize(lambda: [make_example(nlp, *note) for note in NOTES])


def test_training_begins_where_the_other_ended(checkpoint, trained, saved, tmp_path):
    nlp = make_pipeline(checkpoint, {"lr_scale": 3.0})
    optimizer = begin(nlp, saved)
    found, wanted = weights(nlp), weights(trained)
    assert len(wanted) > 5
    for name, value in wanted.items():
        numpy.testing.assert_allclose(found[name], value, atol=2e-3)
    # its own settings stand, in memory and in the config that is saved
    assert nlp.get_pipe(NAME).model.shims[0].lr_scale == 3.0
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).config["components"][NAME]["model"]["lr_scale"] == 3.0
    nlp.update([make_example(nlp, *NOTES[0])], sgd=optimizer, annotates=["clinbert_sentences"])
    assert any((weights(nlp)[name] != value).any() for name, value in found.items())


def test_without_a_start_it_begins_anew(checkpoint, trained):
    nlp = make_pipeline(checkpoint)
    nlp.initialize(lambda: [make_example(nlp, *note) for note in NOTES])
    found, wanted = weights(nlp), weights(trained)
    assert max(numpy.abs(found[name] - value).max() for name, value in wanted.items()) > 0.05


def test_a_pipeline_without_the_component_is_named(bare, tmp_path):
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(ValueError, match=f"no component '{NAME}' among .*another pipeline"):
        begin(bare, tmp_path)


def test_other_relations_are_named(checkpoint, saved):
    table = {label: ends for label, ends in RELATIONS.items() if label != "TREATS"}
    nlp = make_pipeline(checkpoint, relations=table)
    with pytest.raises(ValueError, match="was trained for the relations"):
        take_weights(nlp.get_pipe(NAME), saved)


def test_what_is_no_pipeline_is_spacys_error(bare, tmp_path):
    with pytest.raises(OSError, match="no_such_pipeline"):
        begin(bare, "no_such_pipeline")
