"""From wordpiece embeddings to token vectors and back, on a tiny BERT."""

import numpy
import pytest
import torch

from clinbert_spacy.models.tracing import BASELINES
from tests.models.toy_graph import write_graph

TEXT = "The patient takes aspirin 10 mg daily for hypertension. She denies fever and nausea. "


@pytest.fixture
def make(make_nlp, make_examples):
    """Builds a pipeline, and traces a note of several windows in it."""

    def build(text=TEXT * 3, ner=None, **model):
        nlp = make_nlp(ner, **model)
        nlp.initialize(lambda: make_examples(nlp))
        encoder = nlp.get_pipe("clinbert_transformer").model
        fusion = encoder.shims[0]._model.knowledge
        for weight in fusion.parameters() if fusion is not None else ():
            torch.nn.init.normal_(weight, std=0.3)  # zeros would hide what is told
        doc = nlp(text)
        tok2vec = nlp.get_pipe("clinbert_ner").model.get_ref("tok2vec")
        pooling = next(node for node in tok2vec.walk() if node.name == "trfs2arrays").layers[0]
        return doc, encoder.attrs["trace"](encoder, doc), tok2vec, pooling

    return build


def block(tmp_path, **settings):
    graph = write_graph(tmp_path / "graph")
    return {"@architectures": "clinbert.KnowledgeFusion.v1", "graph": str(graph), **settings}


def max_pooled():
    listener = {
        "@architectures": "clinbert.TransformerListener.v1",
        "upstream": "clinbert_transformer",
        "grad_factor": 0.0,
        "pooling": {"@layers": "reduce_max.v1"},
    }
    return {"model": {"@architectures": "clinbert.TokenTagger.v1", "tok2vec": listener}}


@pytest.mark.parametrize("batch_pieces", [4096, 25])
@pytest.mark.parametrize("variant", ["last", "mix", "max", "knowledge", "output"])
def test_an_open_note_that_nobody_changed_reads_as_ever(make, tmp_path, variant, batch_pieces):
    told = {"knowledge": {}, "output": {"places": ["output"]}}
    settings = {"layers": "mix"} if variant == "mix" else {}
    if variant in told:
        settings = {"knowledge": block(tmp_path, **told[variant])}
    ner = max_pooled() if variant == "max" else None
    doc, trace, tok2vec, pooling = make(ner=ner, batch_pieces=batch_pieces, **settings)
    assert trace.n_windows > 3
    expected = tok2vec.predict([doc])[0]
    opened = trace.open(range(trace.n_windows), "pad")
    assert len(opened.inputs) == (2 if variant in told else 1)
    with torch.no_grad():
        twice = [part.repeat(2, 1, 1, 1) for part in opened.inputs]
        found = [trace.pool(trace.hidden, pooling), *trace.vectors(opened, twice, pooling)]
        changed = trace.vectors(opened, opened.baselines, pooling)[0]
    for vectors in found:
        assert numpy.allclose(vectors.numpy(), expected, atol=1e-5)
    assert not numpy.allclose(changed.numpy(), expected, atol=0.1)


def test_a_change_reaches_the_tokens_that_the_window_owns_alone(make):
    doc, trace, _, pooling = make()
    opened = trace.open([1], "mask")
    with torch.no_grad():
        before = trace.pool(trace.hidden, pooling)
        after = trace.vectors(opened, opened.baselines, pooling)[0]
    changed = numpy.flatnonzero((before - after).abs().sum(1).numpy())
    owned = trace.layout.windows[1, 2:]
    expected = sorted(set(trace.token_of[owned[0] : owned[1]].tolist()))
    assert changed.tolist() == expected
    start, end = trace.tokens_of(1)
    assert start <= expected[0] and expected[-1] < end < len(doc)


@pytest.mark.parametrize("batch_pieces", [4096, 25])
def test_gradients_against_finite_differences(make, tmp_path, batch_pieces):
    """Also where windows are computed anew for their gradients."""
    doc, trace, _, pooling = make(batch_pieces=batch_pieces, knowledge=block(tmp_path))
    opened = trace.open(range(trace.n_windows), "pad")
    weights = torch.randn(len(doc), trace.hidden.shape[1])

    def score(*inputs):
        return (trace.vectors(opened, inputs, pooling)[0] * weights).sum()

    inputs = [part.detach().clone().requires_grad_() for part in opened.inputs]
    gradients = torch.autograd.grad(score(*inputs), inputs)
    step = 1e-2
    for i, gradient in enumerate(gradients):
        norm = gradient.norm()
        assert norm > 1e-3
        ends = []
        for sign in (1, -1):
            moved = [part.detach().clone() for part in inputs]
            moved[i] += sign * step * gradient / norm
            with torch.no_grad():
                ends.append(score(*moved))
        assert float((ends[0] - ends[1]) / (2 * step)) == pytest.approx(float(norm), rel=3e-2)


@pytest.mark.parametrize("name", BASELINES)
def test_a_text_that_says_nothing_keeps_its_frame(make, name):
    _, trace, _, _ = make()
    opened = trace.open([0, 2], name)
    given, empty = opened.inputs[0][0], opened.baselines[0][0]
    filler = trace.pieces.backend.token_to_id(BASELINES[name])
    embed = trace.shim._model.transformer.get_input_embeddings()
    length = int(trace.layout.windows[0, 1] - trace.layout.windows[0, 0])
    assert torch.equal(empty[:, 1 : length + 1], embed(torch.full((2, length), filler)))
    for column in (0, length + 1):  # [CLS] and [SEP]
        assert torch.equal(empty[:, column], given[:, column])


def test_shares_of_pieces_add_up_and_overlaps_count_twice(make):
    doc, trace, _, _ = make()
    rows = range(trace.n_windows)
    opened = trace.open(rows, "pad")
    ones = torch.zeros_like(opened.inputs[0])
    ones[..., 0] = 1.0
    found = trace.shares(opened, ones)
    inside = [(a, b) for a, b, *_ in trace.layout.windows]
    assert found.sum() == sum(b - a for a, b in inside)
    counts = numpy.zeros(len(doc))
    for a, b in inside:
        numpy.add.at(counts, trace.token_of[a:b], 1)
    assert found.tolist() == counts.tolist() and counts.max() > 1


def test_weights_of_windows_are_of_what_they_own(make):
    _, trace, _, _ = make()
    gradient = torch.zeros_like(trace.hidden)
    gradient[trace.layout.windows[2, 2]] = 1.0
    assert numpy.flatnonzero(trace.weigh(gradient)).tolist() == [2]


def test_an_empty_note_is_refused(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    encoder = nlp.get_pipe("clinbert_transformer").model
    with pytest.raises(ValueError, match="An empty note has no wordpieces"):
        encoder.attrs["trace"](encoder, nlp.make_doc(""))


def test_a_vocabulary_without_the_piece_is_refused(make, monkeypatch):
    _, trace, _, _ = make()
    monkeypatch.setitem(BASELINES, "mask", "[NONE]")
    with pytest.raises(ValueError, match=r"no piece \[NONE\]: take another baseline"):
        trace.open([0], "mask")
