"""A lexicon fused into the encoder: harmless at first, learning, and safe to save."""

import copy
import json
import pickle
import shutil

import numpy
import pytest
import torch
from thinc.api import SGD, Adam
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
)

from clinbert_spacy.models.encoder_shim import plan_fusion, takes_embeddings
from clinbert_spacy.models.knowledge import KnowledgeFusion
from clinbert_spacy.models.layout import lay_out, pad_values, pad_windows, spread
from clinbert_spacy.models.mentions import describe
from clinbert_spacy.models.transformer import ClinicalTransformer
from clinbert_spacy.nets.encoder import ClinicalEncoder
from clinbert_spacy.nets.knowledge import Facts
from clinbert_spacy.nets.knowledge import KnowledgeFusion as FusionNet
from tests.models.toy_graph import SOURCES, make_docs, write_graph

BOTH = ["input", "output"]
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
TEXT = "the patient takes aspirin for chest pain and hypertension " * 4
PLACES = [["input"], ["output"], BOTH]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return write_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def build(checkpoint, graph):
    """Builds an initialised encoder, with knowledge unless `graph` is None."""

    def make(graph=graph, initialize=True, lr_scale=10.0, **settings):
        fusion = None
        if graph is not None:
            fusion = KnowledgeFusion(str(graph), dropout=0.0, lr_scale=lr_scale, **settings)
        model = ClinicalTransformer(
            str(checkpoint), window=20, context=4, precision="float32", knowledge=fusion,
            transformer_config=STILL,
        )  # fmt: skip
        if initialize:
            model.initialize()
        return model

    return make


def fusion_of(model):
    return model.shims[0]._model.knowledge


def scramble(model):
    """Let all that knowledge brings be anything but zero."""
    for weight in fusion_of(model).parameters():
        weight.data = 0.3 * torch.randn_like(weight)
    return model


def vectors_of(model, *texts):
    return [d.tensors[0][0] for d in model.predict(make_docs(*texts)).doc_data if d.model_output]


def learn(model, *texts, steps=1, optimizer=None):
    optimizer = optimizer or Adam(0.001)
    rng = numpy.random.default_rng(0)
    for _ in range(steps):
        batch, backprop = model.begin_update(make_docs(*texts))
        grads = [[rng.normal(size=d.tensors[0].shape).astype("f")] for d in batch.doc_data]
        backprop(batch.unsplit_by_doc(grads))
        model.finish_update(optimizer)
    return model


def test_facts_land_on_the_pieces_of_their_tokens_in_every_window(build):
    model = build()
    shim, pieces = model.layers[0].shims[0], model.shims[0].pieces
    # "stopped" and "hypertension" are words, "chest pain" falls into letters.
    texts = ("stopped chest pain " * 12, "", " \n ", "hypertension")
    docs = make_docs(*texts)
    layout = lay_out(docs, pieces, 20, 4)
    known = describe(shim.lexicon, None, docs)
    by_piece = spread(layout, known.rows)
    for start, align, rows in zip(layout.starts, layout.aligns, known.rows):
        of_token = numpy.repeat(numpy.arange(len(rows)), align.lengths)
        assert (by_piece[start : start + len(of_token)] == rows[of_token]).all()
    assert (align.lengths == 1).all() and (layout.aligns[0].lengths > 1).any()
    assert len(layout.windows) >= 12
    rows = numpy.random.permutation(len(layout.windows))
    ids, mask = pad_windows(layout, rows, pieces)
    index = pad_values(layout, rows, by_piece)
    assert index.shape == ids.shape and not index[~mask].any() and not index[:, 0].any()
    for row, (start, end, *_) in zip(range(len(rows)), layout.windows[rows]):
        assert (ids[row, 1 : end - start + 1] == layout.ids[start:end]).all()
        assert (index[row, 1 : end - start + 1] == by_piece[start:end]).all()
        assert ids[row, end - start + 1] == pieces.special["sep"]
        assert not index[row, end - start + 1 :].any()


@pytest.mark.parametrize("places", PLACES)
def test_at_step_0_only_the_text_counts(build, places):
    plain, fused = (vectors_of(build(**c), TEXT, "") for c in ({"graph": None}, {"places": places}))
    assert numpy.allclose(plain[0], fused[0], atol=1e-6)


@pytest.mark.parametrize("places", PLACES)
def test_each_place_changes_something_after_an_update(build, places):
    model = build(places=places)
    before = {name: weight.clone() for name, weight in fusion_of(model).named_parameters()}
    learn(model, TEXT, steps=2)
    moved = {n for n, w in fusion_of(model).named_parameters() if not torch.equal(w, before[n])}
    assert moved == set(before)
    assert {name.partition(".")[0] for name in moved} == set(places)
    for weight in model.shims[0]._model.transformer.parameters():
        weight.requires_grad_(False)
    with_it = vectors_of(model, TEXT)[0]
    for weight in fusion_of(model).parameters():
        weight.data.zero_()
    assert numpy.abs(vectors_of(model, TEXT)[0] - with_it).max() > 1e-4


def test_output_alone_changes_mentions_alone(build):
    model = scramble(build(places=["output"]))
    plain, found = vectors_of(build(None), TEXT)[0], vectors_of(model, TEXT)[0]
    doc = make_docs(TEXT)[0]
    known = numpy.repeat(describe(model.layers[0].shims[0].lexicon, None, [doc]).rows[0] > 0,
                         model.predict([doc]).doc_data[0].align.lengths)  # fmt: skip
    changed = numpy.abs(plain - found).max(axis=1) > 1e-4
    assert (changed == known).all() and 0 < known.sum() < len(known)
    unknown = [vectors_of(one, "the patient")[0] for one in (model, build(None))]
    assert numpy.allclose(*unknown, atol=1e-6)


def test_gradient_matches_finite_differences(build):
    model = scramble(build())
    docs = make_docs(TEXT, "", "nausea", "the patient")
    rng = numpy.random.default_rng(0)
    batch, backprop = model.begin_update(docs)
    targets = [
        [rng.normal(size=d.tensors[0].shape).astype("f")] for d in batch.doc_data if d.model_output
    ]
    backprop(batch.unsplit_by_doc(targets))

    def value():
        data = [d for d in model.predict(docs).doc_data if d.model_output]
        return sum(float((d.tensors[0].astype("d") * t[0]).sum()) for d, t in zip(data, targets))

    for name, weight in fusion_of(model).named_parameters():
        direction = torch.from_numpy(rng.normal(size=tuple(weight.shape)).astype("f"))
        expected, step = float((weight.grad * direction).sum()), 1e-3
        weight.data += step * direction
        above = value()
        weight.data -= 2 * step * direction
        below = value()
        weight.data += step * direction
        assert (above - below) / (2 * step) == pytest.approx(expected, rel=3e-2), name


def test_the_rate_of_knowledge_is_its_own(build):
    steps = {}
    for scale in (1.0, 10.0):
        model = build(places=["input"], lr_scale=scale)
        other = model.shims[0]._model.transformer.encoder.layer[0].output.dense.weight
        before = other.detach().clone()
        learn(model, TEXT, optimizer=SGD(0.01, L2=0, grad_clip=0))
        flags = fusion_of(model).input.flags.weight.detach()
        steps[scale] = flags.clone(), (other - before).detach()
    assert torch.allclose(10 * steps[1.0][0], steps[10.0][0], atol=1e-6)
    assert torch.allclose(steps[1.0][1], steps[10.0][1], atol=1e-6)
    assert steps[1.0][0].abs().max() > 0 and steps[1.0][1].abs().max() > 0


def test_averages_hold_the_knowledge_too(build):
    model, optimizer = build(), Adam(0.001, use_averages=True)
    learn(model, TEXT, steps=3, optimizer=optimizer)
    own = fusion_of(model).input.flags.weight.detach().clone()
    with model.use_params(optimizer.averages):
        assert not torch.equal(fusion_of(model).input.flags.weight, own)
    assert torch.equal(fusion_of(model).input.flags.weight, own)


def test_frozen_embeddings_still_let_knowledge_learn(checkpoint, graph):
    model = ClinicalTransformer(
        str(checkpoint), window=20, context=4, precision="bfloat16", frozen_layers=2, layers="mix",
        knowledge=KnowledgeFusion(str(graph), dropout=0.0),
    )  # fmt: skip
    model.initialize()
    learn(model, TEXT)
    assert fusion_of(model).input.vectors.weight.abs().sum() > 0
    assert fusion_of(model).output.facts.vectors.weight.abs().sum() > 0
    assert vectors_of(model, TEXT)[0].dtype == numpy.float32


def test_empty_notes_and_notes_without_a_mention(build):
    model = scramble(build())
    assert [len(d.align.lengths) for d in model.predict(make_docs("", " ")).doc_data] == [0, 1]
    learn(model, "the patient denies")
    batch, backprop = model.begin_update(make_docs(""))
    assert backprop(batch.unsplit_by_doc([])) is not None


def test_windows_and_batches_do_not_change_what_is_known(build):
    model = scramble(build())
    together = vectors_of(model, TEXT, "aspirin", "no rash")
    for text, found in zip((TEXT, "aspirin", "no rash"), together):
        assert numpy.allclose(found, vectors_of(model, text)[0], atol=1e-5)


def test_mentions_are_hidden_in_training_alone(checkpoint, graph):
    fusion = KnowledgeFusion(str(graph), dropout=0.5)
    fusion.initialize()
    docs = make_docs("aspirin " * 400)
    shown = [float((fusion(docs, is_train)[0].rows[0] > 0).mean()) for is_train in (True, False)]
    assert 0.4 < shown[0] < 0.6 and shown[1] == 1.0


def test_the_lexicon_alone(build, graph, tmp_path):
    shutil.copytree(graph, tmp_path / "graph")
    (tmp_path / "graph" / "vectors.safetensors").unlink()
    model = learn(build(graph=tmp_path / "graph", vectors=False), TEXT)
    names = {name for name, _ in fusion_of(model).named_parameters()}
    assert names == {
        "input.flags.weight", "output.facts.flags.weight", "output.gate.weight", "output.gate.bias"
    }  # fmt: skip
    again = build(graph="elsewhere", initialize=False, vectors=False).from_bytes(model.to_bytes())
    assert numpy.allclose(vectors_of(again, TEXT)[0], vectors_of(model, TEXT)[0], atol=1e-5)


def test_round_trips(build, tmp_path):
    model = scramble(build())
    expected = vectors_of(model, TEXT)[0]
    model.to_disk(tmp_path / "model")
    empty = [build(graph="elsewhere", initialize=False) for _ in range(2)]
    copies = {
        "bytes": empty[0].from_bytes(model.to_bytes()),
        "disk": empty[1].from_disk(tmp_path / "model"),
        "pickle": pickle.loads(pickle.dumps(model)),
        "copy": model.copy(),
        "deepcopy": copy.deepcopy(model),
    }
    for name, again in copies.items():
        assert numpy.allclose(vectors_of(again, TEXT)[0], expected, atol=1e-5), name
        assert again.layers[0].attrs["sources"] == SOURCES
    assert empty[0].to_bytes() == model.to_bytes()
    shared = copies["copy"].layers[0].shims[0].lexicon
    assert shared is model.layers[0].shims[0].lexicon
    learn(copies["copy"], TEXT)
    assert numpy.array_equal(vectors_of(model, TEXT)[0], expected)


def test_initializing_again_keeps_what_was_loaded(build):
    model = scramble(build())
    again = build(graph="elsewhere", initialize=False).from_bytes(model.to_bytes())
    again.initialize()
    assert numpy.allclose(vectors_of(again, TEXT)[0], vectors_of(model, TEXT)[0], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_half_precision(build, dtype):
    model = scramble(build())
    model.shims[0].save_dtype = dtype
    again = build(graph="x", initialize=False).from_bytes(model.to_bytes())
    assert numpy.allclose(vectors_of(again, TEXT)[0], vectors_of(model, TEXT)[0], atol=2e-2)


SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SPECIAL = {"cls": 5, "sep": 6, "pad": 1, "unk": 7}


@pytest.mark.parametrize(
    "network",
    [
        BertModel(BertConfig(**SIZES, intermediate_size=32)),
        RobertaModel(RobertaConfig(**SIZES, intermediate_size=32, pad_token_id=1)),
        DistilBertModel(DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=2)),
        ElectraModel(ElectraConfig(**SIZES, intermediate_size=32, embedding_size=8)),
    ],
    ids=lambda network: type(network).__name__,
)
def test_other_networks_take_knowledge_at_their_input(network):
    assert takes_embeddings(network, SPECIAL)
    plan = plan_fusion(network, 4, 3, BOTH, SPECIAL)
    json.dumps(plan)
    encoder = ClinicalEncoder(network, None, FusionNet(**plan)).eval()
    ids, mask = torch.tensor([[5, 8, 9, 6], [5, 8, 6, 1]]), torch.tensor([[1] * 4, [1, 1, 1, 0]])
    facts = Facts(torch.eye(2, 4).roll(1, 0) * torch.tensor([[0.0], [1.0]]), torch.zeros(2, 3),
                  torch.tensor([[0, 1, 0, 0], [0, 0, 0, 0]]))  # fmt: skip
    plain, fused = encoder(ids, mask), encoder(ids, mask, facts)
    assert torch.allclose(plain[mask > 0], fused[mask > 0], atol=1e-5)
    torch.nn.init.normal_(encoder.knowledge.input.flags.weight)
    moved = (encoder(ids, mask, facts) - plain)[mask > 0].abs().amax(dim=1) > 1e-4
    assert moved.tolist() == [True] * 4 + [False] * 3


class Closed(BertModel):
    def forward(self, input_ids, attention_mask, **kwargs):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class Scaling(BertModel):
    def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None, **kwargs):
        if inputs_embeds is not None:
            inputs_embeds = 2 * inputs_embeds
        return super().forward(input_ids, attention_mask, inputs_embeds=inputs_embeds, **kwargs)


@pytest.mark.parametrize("kind", [Closed, Scaling])
def test_a_network_that_takes_nothing_at_its_input(kind):
    network = kind(BertConfig(**SIZES, intermediate_size=32))
    with pytest.raises(ValueError, match=r'does not compute the same.*places = \["output"\]'):
        plan_fusion(network, 4, 3, BOTH, SPECIAL)
    assert plan_fusion(network, 4, 3, ["output"], SPECIAL)["places"] == ["output"]


def test_distilbert_through_and_through(tmp_path, checkpoint, graph):
    folder = shutil.copytree(checkpoint, tmp_path / "distil")
    config = DistilBertConfig(
        vocab_size=len((folder / "vocab.txt").read_text("utf8").split()), dim=32, n_layers=2,
        n_heads=2, hidden_dim=64, max_position_embeddings=64,
    )  # fmt: skip
    DistilBertModel(config).save_pretrained(folder)
    model = ClinicalTransformer(str(folder), knowledge=KnowledgeFusion(str(graph)))
    model.initialize()
    assert learn(model, TEXT).get_dim("nO") == 32
    again = ClinicalTransformer("x", knowledge=KnowledgeFusion("x")).from_bytes(model.to_bytes())
    assert numpy.allclose(vectors_of(again, TEXT)[0], vectors_of(model, TEXT)[0], atol=1e-5)
