"""The clinical transformer on a tiny BERT: nothing lost, gradients right, weights safe."""

import io
import pickle
import zipfile

import numpy
import pytest
import spacy
import torch

from clinbert_spacy.models.checkpoint import CheckpointError, WordPieces, load_checkpoint
from clinbert_spacy.models.layout import lay_out, schedule
from clinbert_spacy.models.transformer import ClinicalTransformer
from tests.conftest import LETTERS, SPECIAL, make_checkpoint, toy_vocab


@pytest.fixture
def model(checkpoint):
    built = ClinicalTransformer(str(checkpoint), window=20, context=4, precision="float32")
    built.initialize()
    return built


def make_docs(*texts):
    nlp = spacy.blank("en")
    return [nlp.make_doc(text) for text in texts]


def test_constructing_opens_no_file():
    model = ClinicalTransformer("no/such/folder/anywhere")
    with pytest.raises(CheckpointError, match="no weights"):
        model.predict(make_docs("aspirin"))


def test_data_aligns_with_tokens(model):
    docs = make_docs("aspirin 10mg daily", "", "  \n ", "fever")
    data = model.predict(docs).doc_data
    for doc, part in zip(docs, data):
        assert len(part.align.lengths) == len(doc)
    assert data[0].tensors[0].shape == (1, len(data[0].wordpieces.strings[0]), 32)
    assert data[0].tensors[0].dtype == numpy.float32
    assert data[1].model_output == {}
    assert data[2].counts == {
        "tokens": 1, "wordpieces": 0, "windows": 1, "unknown": 0, "truncated": 0
    }


def test_one_window_equals_the_network_itself(model, checkpoint):
    doc = make_docs("aspirin daily for fever")[0]
    loaded = load_checkpoint(str(checkpoint), {}, {})
    special, inner = loaded.special, model.shims[0].pieces.ids([t.text for t in doc])
    ids = [special["cls"], *(i for word in inner for i in word), special["sep"]]
    with torch.no_grad():
        expected = loaded.transformer.eval()(input_ids=torch.tensor([ids])).last_hidden_state
    found = model.predict([doc]).doc_data[0]
    assert numpy.allclose(found.tensors[0][0], expected[0, 1:-1].numpy(), atol=1e-5)
    assert numpy.allclose(found.model_output["pooler_output"][0], expected[0, 0].numpy(), atol=1e-5)


def test_long_notes_keep_every_word(model):
    doc = make_docs("aspirin fever " * 400)[0]
    data = model.predict([doc]).doc_data[0]
    assert data.counts["truncated"] == 0
    assert data.counts["wordpieces"] == data.tensors[0].shape[1] == 800
    assert data.counts["windows"] > 30
    assert (numpy.abs(data.tensors[0][0]).sum(axis=1) > 0).all()


def test_a_word_of_20000_characters(model):
    data = model.predict(make_docs("fever " + "a" * 20_000))
    counts = data.doc_data[0].counts
    assert counts["truncated"] == 0 and counts["unknown"] == 0
    assert counts["wordpieces"] == 20_001


@pytest.mark.parametrize(
    "text", ["\U0001f600 fever", "e\u0301\u0323 fever", "\u200b\u0301", "\x07 fever"]
)
def test_odd_characters_are_counted_not_dropped(model, text):
    assert model.predict(make_docs(text)).doc_data[0].counts["truncated"] == 0


def test_batches_do_not_change_the_vectors(model):
    texts = ["aspirin", "fever and nausea after aspirin " * 8, "", "rash"]
    together = model.predict(make_docs(*texts)).doc_data
    for text, data in zip(texts, together):
        alone = model.predict(make_docs(text)).doc_data[0]
        if text:
            assert numpy.allclose(data.tensors[0], alone.tensors[0], atol=1e-5)


def test_gradient_matches_finite_differences(checkpoint):
    model = ClinicalTransformer(
        str(checkpoint),
        window=20,
        context=4,
        precision="float32",
        transformer_config={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    )
    model.initialize()
    docs = make_docs("aspirin fever " * 20, "", "nausea")
    weight = model.shims[0]._model.transformer.encoder.layer[0].output.dense.weight
    rng = numpy.random.default_rng(0)
    batch, backprop = model.begin_update(docs)
    targets = [
        [rng.normal(size=d.tensors[0].shape).astype("f")] for d in batch.doc_data if d.model_output
    ]
    backprop(batch.unsplit_by_doc(targets))
    direction = torch.from_numpy(rng.normal(size=tuple(weight.shape)).astype("f"))
    expected = float((weight.grad * direction).sum())

    def value():
        data = [d for d in model.predict(docs).doc_data if d.model_output]
        return sum(float((d.tensors[0].astype("d") * t[0]).sum()) for d, t in zip(data, targets))

    step = 1e-3
    weight.data += step * direction
    above = value()
    weight.data -= 2 * step * direction
    below = value()
    assert (above - below) / (2 * step) == pytest.approx(expected, rel=2e-2)


def test_training_samples_windows(checkpoint):
    model = ClinicalTransformer(
        str(checkpoint), window=20, context=4, max_train_windows=2, precision="float32"
    )
    model.initialize()
    docs = make_docs("aspirin fever " * 100)
    batch, backprop = model.begin_update(docs)
    hidden = batch.doc_data[0].tensors[0]
    d_hidden = numpy.random.normal(size=hidden.shape).astype("f")
    backprop(batch.unsplit_by_doc([[d_hidden]]))
    # Each window owns at most 20 pieces; the positions beside [CLS] tell which got a gradient.
    positions = model.shims[0]._model.transformer.embeddings.position_embeddings.weight.grad
    assert positions.abs().sum() > 0
    assert batch.doc_data[0].counts["windows"] > 2
    assert (numpy.abs(hidden[0]).sum(axis=1) > 0).all()


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_the_schedule_trains_at_most_so_many_windows(model, limit):
    layout = lay_out(make_docs("aspirin fever " * 100), model.shims[0].pieces, 20, 4)
    n_windows = len(layout.windows)
    batches = schedule(layout, min(limit, n_windows), 4096)
    assert sum(len(rows) for rows, trained in batches if trained) == min(limit, n_windows)
    assert sorted(i for rows, _ in batches for i in rows) == list(range(n_windows))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layer_mix_learns_and_reloads(checkpoint, precision):
    model = ClinicalTransformer(
        str(checkpoint), window=20, context=4, layers="mix", precision=precision
    )
    model.initialize()
    batch, backprop = model.begin_update(make_docs("aspirin fever"))
    backprop(batch.unsplit_by_doc([[numpy.ones_like(batch.doc_data[0].tensors[0])]]))
    mix = model.shims[0]._model.mix.weights
    assert mix.grad.abs().sum() > 0
    mix.data += torch.tensor([1.0, 0.0, 2.0])
    copy = ClinicalTransformer("elsewhere", window=20, context=4, layers="mix")
    copy.from_bytes(model.to_bytes())
    assert torch.equal(copy.shims[0]._model.mix.weights, mix)


@pytest.mark.parametrize("reloaded", [False, True])
def test_frozen_layers_get_no_gradient(checkpoint, reloaded):
    model = ClinicalTransformer(str(checkpoint), window=20, context=4, frozen_layers=2)
    model.initialize()
    if reloaded:
        model = ClinicalTransformer("x", window=20, context=4, frozen_layers=2).from_bytes(
            model.to_bytes()
        )
    batch, backprop = model.begin_update(make_docs("aspirin fever"))
    # Not all ones: a layer norm's outputs sum to a constant.
    d_hidden = numpy.random.normal(size=batch.doc_data[0].tensors[0].shape).astype("f")
    backprop(batch.unsplit_by_doc([[d_hidden]]))
    network = model.shims[0]._model.transformer
    assert network.embeddings.word_embeddings.weight.grad is None
    assert network.encoder.layer[0].output.dense.weight.grad is None
    assert network.encoder.layer[1].output.dense.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype, places", [("float32", 1e-6), ("float16", 1e-2)])
def test_weights_travel_without_pickle(model, dtype, places, monkeypatch):
    docs = make_docs("aspirin for fever")
    before = model.predict(docs).doc_data[0].tensors[0]
    weight = model.shims[0]._model.transformer.embeddings.word_embeddings.weight
    model.shims[0].save_dtype = dtype
    data = model.to_bytes()
    assert weight.dtype == torch.float32

    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    copy = ClinicalTransformer("elsewhere", window=20, context=4, precision="float32")
    copy.from_bytes(data)
    after = copy.predict(docs).doc_data[0].tensors[0]
    assert numpy.abs(after - before).max() <= places
    assert not zipfile.is_zipfile(io.BytesIO(data))  # what torch.save writes


def test_bfloat16_gives_float32_outputs(model):
    exact = model.predict(make_docs("aspirin for fever")).doc_data[0].tensors[0]
    model.attrs["reading"].precision = "bfloat16"
    rough = model.predict(make_docs("aspirin for fever")).doc_data[0].tensors[0]
    assert rough.dtype == numpy.float32
    assert 0 < numpy.abs(rough - exact).max() < 0.1


def test_a_hub_id_without_network_names_the_remedy(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.utils.hub._is_offline_mode", True)
    with pytest.raises(CheckpointError, match="huggingface-cli download some-body/some-bert"):
        load_checkpoint("some-body/some-bert", {}, {})


@pytest.mark.parametrize(
    "missing, message",
    [
        ("config.json", "lacks config.json"),
        ("model.safetensors", "lacks weights"),
        ("vocab.txt", "lacks a tokenizer"),
    ],
)
def test_a_checkpoint_with_a_file_missing(tmp_path, missing, message):
    folder = make_checkpoint(tmp_path / "bert", toy_vocab())
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(str(folder), {}, {})


def test_cut_off_weights(tmp_path):
    folder = make_checkpoint(tmp_path / "bert", toy_vocab())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="Cannot load the checkpoint folder"):
        load_checkpoint(str(folder), {}, {})


def test_weights_that_do_not_fit_half_precision(model):
    model.shims[0]._model.transformer.embeddings.LayerNorm.bias.data[0] = 1e6
    model.shims[0].save_dtype = "float16"
    with pytest.raises(ValueError, match="LayerNorm.bias' is not finite in float16"):
        model.to_bytes()


def test_a_wrong_path_and_a_missing_package():
    with pytest.raises(CheckpointError, match="No checkpoint folder at"):
        load_checkpoint("/no/such/folder", {}, {})
    with pytest.raises(CheckpointError, match="not installed"):
        load_checkpoint("python:no_such_package_here/model", {}, {})


CASED = [*SPECIAL, *(w for w in ("Aspirin", "Fever", "fever")), *LETTERS, *map(str.upper, "abcdef")]


def test_a_cased_vocabulary_is_not_lower_cased(tmp_path):
    """The shape of Bio_ClinicalBERT: cased, 512 positions, no limit in its tokenizer."""
    folder = make_checkpoint(tmp_path / "bert", CASED, max_position_embeddings=512)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(CheckpointError, match="do_lower_case"):
        load_checkpoint(str(folder), {"do_lower_case": True}, {})
    settings = {"use_fast": True, "do_lower_case": False, "model_max_length": 512}
    loaded = load_checkpoint(str(folder), settings, {})
    pieces = WordPieces(loaded.tokenizer, loaded.special)
    assert pieces.strings(numpy.array(pieces.ids(["Fever"])[0])) == ["Fever"]
    assert loaded.special["max_length"] == 512


def test_without_a_stated_limit_the_positions_count(tmp_path):
    folder = make_checkpoint(tmp_path / "bert", toy_vocab(), max_position_embeddings=128)
    (folder / "tokenizer_config.json").unlink()
    assert load_checkpoint(str(folder), {}, {}).special["max_length"] == 128


def test_windows_never_exceed_the_positions(tmp_path):
    folder = make_checkpoint(tmp_path / "bert", toy_vocab(), max_position_embeddings=32)
    model = ClinicalTransformer(str(folder), window=500, context=4)
    model.initialize()
    counts = model.predict(make_docs("fever " * 300)).doc_data[0].counts
    assert counts["windows"] > 10 and counts["truncated"] == 0


def test_layout_counts_over_the_batch(model):
    docs = make_docs("fever", "", "aspirin rash")
    layout = lay_out(docs, model.shims[0].pieces, 20, 4)
    assert layout.starts.tolist() == [0, 1, 1, 3]
    assert layout.window_doc.tolist() == [0, 2]


@pytest.mark.parametrize("key, value", [("layers", "first"), ("precision", "half")])
def test_settings_out_of_range(key, value):
    with pytest.raises(ValueError, match=f"{key} = '{value}'"):
        ClinicalTransformer("x", **{key: value})


def test_unknown_keys_are_refused(make_nlp):
    with pytest.raises(Exception, match="windw"):
        make_nlp(windw=3)


