"""Resuming the components that ship, on a random two-layer BERT."""

import zipfile

import numpy
import pytest
import spacy
from spacy.util import registry

from clinbert_spacy.training.loop import train
from clinbert_spacy.training.packaging import build_package
from clinbert_spacy.training.state import get_fixed, get_weights

from .test_card import GIVEN
from .toy_training import toy_config


class Killed(Exception):
    pass


def kill(info):
    if info["step"] == 8:
        raise Killed


@pytest.fixture
def config(transformer_config, make_examples):
    registry.readers("toy.Marked.v1", func=lambda: make_examples)
    listener = {
        "@architectures": "clinbert.TransformerListener.v1",
        "upstream": "clinbert_transformer",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    tagger = {"@architectures": "clinbert.TokenTagger.v1", "tok2vec": listener}
    encoder = {**transformer_config, "layers": "mix", "frozen_layers": 1, "max_train_windows": 2}
    config = toy_config(training__max_steps=12)
    config["nlp"]["pipeline"] = ["clinbert_transformer", "clinbert_ner"]
    config["components"] = {
        "clinbert_transformer": {"factory": "transformer", "model": encoder},
        "clinbert_ner": {"factory": "clinbert_ner", "model": {**tagger, "lr_scale": 3.0}},
    }
    for corpus in ("train", "dev"):
        config["corpora"][corpus] = {"@readers": "toy.Marked.v1"}
    return config


def test_clinical_pipeline_resumes_exactly(config, tmp_path):
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "cut", on_step=kill)
    resumed = train(config, tmp_path / "cut", resume=True)
    expected, weights = get_weights(whole), get_weights(resumed)
    assert weights.keys() == expected.keys()
    assert [k for k in weights if not numpy.array_equal(weights[k], expected[k])] == []
    assert any("embeddings" in name for name in get_fixed(resumed))
    assert_ships_no_path(tmp_path, config["components"]["clinbert_transformer"]["model"]["name"])


def assert_ships_no_path(folder, encoder):
    wheel = build_package(
        folder / "cut" / "model-best", folder, name="en_tiny", version="1.0.0", meta=GIVEN
    )
    with zipfile.ZipFile(wheel) as archive:
        assert not any(encoder.encode() in archive.read(name) for name in archive.namelist())
        archive.extractall(folder / "wheel")
    nlp = spacy.load(folder / "wheel" / "en_tiny" / "en_tiny-1.0.0")
    assert nlp("aspirin for cough").spans["clinbert_ents"].attrs.keys() == {"scores"}


def test_misspelt_key_of_ours_is_named(config, tmp_path):
    config["components"]["clinbert_transformer"]["model"]["windw"] = 3
    with pytest.raises(ValueError, match="windw"):
        train(config, tmp_path)
