"""How an encoder reads: precisions are chosen by the device, packed once, and never out of date."""

import copy

import numpy
import pytest
import spacy
import torch

from clinbert_spacy.models import reading
from clinbert_spacy.models.reading import (
    Reading,
    available_precisions,
    choose_precision,
    sample_pieces,
)
from clinbert_spacy.models.transformer import ClinicalTransformer
from clinbert_spacy.nets.packed import can_pack

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FEATURES = ("_is_amx_tile_supported", "_is_vnni_supported", "_is_avx512_supported")
AUTO, READING, INT8 = (Reading(20, 4, 4096, name) for name in ("auto", "float32", "int8"))
TEXT = "aspirin daily for fever " * 12


@pytest.fixture
def processor(monkeypatch):
    """Pretend to have features of a processor, and no others."""

    def pretend(*features):
        for name in (*FEATURES, "_is_avx512_bf16_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda name=name: name in features, raising=False)

    return pretend


@pytest.fixture
def build(checkpoint):
    """A transformer as it comes from a folder: its weights are settled."""

    def made(**settings):
        built = ClinicalTransformer(str(checkpoint), window=20, context=4, **settings)
        built.initialize()
        loaded = ClinicalTransformer("elsewhere", window=20, context=4, **settings)
        return loaded.from_bytes(built.to_bytes())

    return made


def read(model, text=TEXT):
    return model.predict([spacy.blank("en").make_doc(text)]).doc_data[0].tensors[0][0]


@pytest.mark.parametrize(
    "features, chosen",
    [
        (FEATURES, "bfloat16"),
        (FEATURES[1:], "int8"),
        (FEATURES[1:2], "float32"),
        ((), "float32"),
    ],
)
def test_the_processor_decides(build, processor, features, chosen):
    encoder = build().shims[0]._model
    processor(*features)
    assert choose_precision(AUTO, encoder, CPU) == chosen
    assert choose_precision(AUTO, encoder, GPU) == "bfloat16"
    assert choose_precision(READING, encoder, CPU) == "float32"


@pytest.mark.parametrize("settings, why", [({"layers": "mix"}, "last layer"), ({}, "AVX512-VNNI")])
def test_int8_that_cannot_be_had_is_refused_by_name(build, processor, settings, why):
    encoder = build(**settings).shims[0]._model
    processor(*(FEATURES if settings else ()))
    assert "int8" not in available_precisions(encoder, CPU)
    with pytest.raises(ValueError, match=f"'int8'.*{why}.*auto, float32, bfloat16"):
        choose_precision(INT8, encoder, CPU)
    with pytest.raises(ValueError, match="int8 is for CPUs"):
        choose_precision(INT8, encoder, GPU)


@pytest.mark.parametrize("key, value", [("precision", "float16"), ("window", 4), ("context", -1)])
def test_bad_settings(key, value):
    settings = {"window": 20, "context": 4, "batch_pieces": 100, "precision": "auto", key: value}
    with pytest.raises(ValueError, match=str(value)):
        Reading(**settings)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_precisions_agree(build, precision):
    exact = build(precision="float32")
    model = build(precision=precision)
    if precision not in model.attrs["precisions"](model):
        pytest.skip(f"no {precision} here")
    model.from_bytes(exact.to_bytes())
    gap = numpy.linalg.norm(read(model) - read(exact)) / numpy.linalg.norm(read(exact))
    assert gap < 0.15
    assert (gap > 0) == (precision != "float32")


def test_the_config_has_the_last_word_on_how_to_read(build):
    saved = build(precision="bfloat16").to_bytes()
    other = ClinicalTransformer("elsewhere", window=14, context=2, precision="float32")
    other.from_bytes(saved)
    assert other.attrs["reading"] == Reading(14, 2, 4096, "float32")
    data = other.predict([spacy.blank("en").make_doc(TEXT)]).doc_data[0]
    assert data.counts["windows"] > build().predict(
        [spacy.blank("en").make_doc(TEXT)]
    ).doc_data[0].counts["windows"]


@pytest.mark.skipif(not can_pack(), reason="this build of torch does not pack")
class TestPacking:
    def test_once_for_loaded_weights(self, build):
        shim = build(precision="float32").shims[0]
        assert shim.reader(READING) is shim.reader(READING)

    def test_not_for_weights_in_training(self, checkpoint):
        model = ClinicalTransformer(str(checkpoint), precision="float32")
        model.initialize()
        assert model.shims[0].reader(READING) is None

    def test_anew_for_weights_changed_from_outside(self, build):
        model = build(precision="float32")
        before = read(model)
        with torch.no_grad():
            for weight in model.shims[0]._model.transformer.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.1)
        after = read(model)
        model.shims[0].settled = False
        assert not numpy.allclose(after, before, atol=1e-3)
        assert numpy.allclose(after, read(model), atol=1e-5)

    def test_no_more_after_an_update(self, build):
        from thinc.api import Adam

        model = build(precision="float32")
        batch, backprop = model.begin_update([spacy.blank("en").make_doc(TEXT)])
        gradient = [[numpy.ones_like(data.tensors[0])] for data in batch.doc_data]
        backprop(batch.unsplit_by_doc(gradient))
        assert model.shims[0].reader(READING) is not None
        model.finish_update(Adam(0.01))
        assert model.shims[0].reader(READING) is None

    def test_averages_are_read_unpacked(self, build):
        model = build(precision="float32")
        shim = model.shims[0]
        before = read(model)
        named = dict(shim._model.named_parameters())
        averages = {(shim.id, name): 0 * w.detach().numpy() for name, w in named.items()}
        with shim.use_params(averages):
            assert shim.reader(READING) is None
            assert not numpy.allclose(read(model), before, atol=1e-3)
        assert numpy.array_equal(read(model), before)
        with shim.use_params({(shim.id + 1000, "other"): numpy.zeros(1)}):
            assert shim.reader(READING) is not None

    def test_copies_pack_for_themselves(self, build):
        model = build(precision="float32")
        before = read(model)
        copied = copy.deepcopy(model.shims[0])
        assert copied._prepared is None and model.shims[0]._prepared is not None
        assert numpy.array_equal(read(model.copy()), before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_without_padding(build, precision):
    exact, model = build(precision="float32"), build(precision=precision, unpadded=True)
    model.from_bytes(exact.to_bytes())
    docs = [spacy.blank("en").make_doc(text) for text in (TEXT, "fever", "", "aspirin daily")]
    for found, expected in zip(model.predict(docs).doc_data, exact.predict(docs).doc_data):
        if expected.tensors:
            atol = 1e-5 if precision == "float32" else 0.1
            assert numpy.allclose(found.tensors[0], expected.tensors[0], atol=atol)


def test_compiled_network_is_called(build, monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda f, dynamic: calls.append(dynamic) or f)
    model, exact = build(precision="float32", compiled=True), build(precision="float32")
    model.from_bytes(exact.to_bytes())
    assert numpy.allclose(read(model), read(exact), atol=1e-5)
    read(model)
    assert calls == [True]


@pytest.mark.parametrize(
    "settings", [{"unpadded": True, "compiled": True}, {"unpadded": True, "precision": "int8"}]
)
def test_one_way_at_a_time(build, settings):
    with pytest.raises(ValueError, match="choose one of unpadded, compiled"):
        build(**settings)


@pytest.mark.parametrize("setting", ["unpadded", "compiled"])
def test_mixed_layers_have_no_other_way(build, setting):
    model = build(layers="mix", **{setting: True})
    with pytest.raises(ValueError, match=f"{setting} = true.*mixed layers"):
        read(model)


def test_the_sample_is_the_same_each_time(build):
    shim = build().shims[0]
    config = shim._model.transformer.config
    first, second = (sample_pieces(shim.pieces, config) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape[1] <= min(reading.SAMPLE_LENGTH, config.max_position_embeddings)
    assert (first[:, 0] == shim.pieces.special["cls"]).all()
    assert (first[:, -1] == shim.pieces.special["sep"]).all()
    assert int(first.max()) < config.vocab_size


@pytest.mark.parametrize("precision, half", [("bfloat16", True), ("float32", False)])
def test_facts_are_made_in_the_same_type_from_the_first_note_on(build, precision, half):
    model, seen = build(precision=precision), []
    model.attrs["stopwatch"] = lambda stage, _: seen.append((stage, model.shims[0].autocast))
    read(model)
    assert seen[0] == ("wordpieces", precision if half else "none")


def test_a_stopwatch_hears_of_each_stage(build):
    model, heard = build(), {}
    model.attrs["stopwatch"] = lambda stage, seconds: heard.update({stage: seconds})
    read(model)
    assert set(heard) == {"wordpieces", "knowledge", "encode", "align"}
    assert all(seconds >= 0 for seconds in heard.values())
