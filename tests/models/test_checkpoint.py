"""A saved encoder is built again at once, in float32, and computes what it computed."""

import json

import numpy
import pytest
import spacy
import torch
from transformers import AutoModel, FunnelConfig
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from clinbert_spacy.models.checkpoint import build_transformer
from clinbert_spacy.models.transformer import ClinicalTransformer
from tests.conftest import make_checkpoint, toy_vocab

FUNNEL = {"block_sizes": [1], "d_model": 8, "n_head": 1, "d_head": 8, "d_inner": 8, "vocab_size": 9}


def make_model(name):
    return ClinicalTransformer(str(name), window=20, context=4, precision="float32")


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_what_was_saved_is_built_in_float32(tmp_path, stored):
    folder = make_checkpoint(tmp_path / "bert", toy_vocab())
    config = json.loads((folder / "config.json").read_text("utf8"))
    (folder / "config.json").write_text(json.dumps({**config, "torch_dtype": stored}))
    model = make_model(folder)
    model.initialize()
    again = make_model("elsewhere").from_bytes(model.to_bytes())
    types = {weight.dtype for weight in again.shims[0]._model.parameters()}
    assert types == {torch.float32}
    docs = [spacy.blank("en")("aspirin for fever")]
    before, after = (m.predict(docs).doc_data[0].tensors[0] for m in (model, again))
    assert numpy.allclose(before, after, atol=1e-6)


def test_building_imports_no_other_architecture(model_config, monkeypatch):
    def refuse(*_):
        raise AssertionError("all architectures were looked at")

    monkeypatch.setattr(type(MODEL_MAPPING), "keys", refuse)
    network = build_transformer(model_config)
    assert type(network).__name__ == "BertModel"
    assert network.pooler is None


def test_of_several_networks_the_one_named_is_built():
    for name in ("FunnelModel", "FunnelBaseModel"):
        config = FunnelConfig(**FUNNEL, architectures=[name]).to_dict()
        assert type(build_transformer(config)).__name__ == name
    assert type(build_transformer(FunnelConfig(**FUNNEL).to_dict())).__name__ == "FunnelModel"


@pytest.fixture
def model_config(checkpoint):
    return AutoModel.from_pretrained(checkpoint).config.to_dict()
