"""The tagger model: gradients against finite differences, segments, odd notes."""

import numpy
import pytest
import spacy
import torch
from thinc.api import Model

from clinbert_spacy.models import ner
from clinbert_spacy.models.ner import TokenTagger, cut_segments
from clinbert_spacy.nets.tagger import TokenTagger as TaggerNet
from clinbert_spacy.pipeline.ner import allowed_tags

WIDTH, N_LABELS = 6, 2


def lookup():
    """A tok2vec whose vectors depend on the word alone, and which records its gradient."""

    def forward(model, docs, is_train):
        vectors = [
            numpy.array([[(t.orth >> k) % 13 / 13 for k in range(WIDTH)] for t in doc], dtype="f")
            .reshape(len(doc), WIDTH)
            for doc in docs
        ]

        def backprop(gradient):
            model.attrs["gradient"] = gradient
            return docs

        return vectors, backprop

    return Model("lookup", forward, dims={"nO": WIDTH}, attrs={"gradient": None})


@pytest.fixture
def make_tagger():
    def build(**settings):
        model = TokenTagger(lookup(), **{"dropout": 0.0, "char_filters": 4, **settings})
        model.set_dim("nO", N_LABELS)
        model.initialize(X=make_docs("a b"))
        return model

    return build


def make_docs(*texts):
    nlp = spacy.blank("en")
    return [nlp.make_doc(text) for text in texts]


def loss_of(model, docs, allowed):
    return model.attrs["loss"](model, model.predict(docs), allowed)[0]


@pytest.mark.parametrize("settings", [{}, {"hidden": 5}, {"shapes": False, "char_filters": 0}])
def test_gradients_match_finite_differences(make_tagger, settings):
    model = make_tagger(**settings)
    docs = make_docs("rash after aspirin", "", "no  fever")
    rows = [3, 0, 2]
    spans = [[(0, 1, [0]), (2, 3, [0, 1])], [], [(1, 2, [1])]]
    allowed = [allowed_tags(n, s, [], N_LABELS) for n, s in zip(rows, spans)]
    scores, backprop = model.begin_update(docs)
    _, d_scores = model.attrs["loss"](model, scores, allowed)
    backprop(d_scores)
    parameters = dict(model.shims[0]._model.named_parameters())
    # Copied first: the loss leaves the gradient of the transitions in the network.
    grads = {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
    assert len(grads) == len(parameters)
    for name, grad in grads.items():
        direction = grad / grad.norm()
        expected = float((grad * direction).sum())
        step = 1e-2
        parameters[name].data += step * direction
        above = loss_of(model, docs, allowed)
        parameters[name].data -= 2 * step * direction
        below = loss_of(model, docs, allowed)
        parameters[name].data += step * direction
        assert (above - below) / (2 * step) == pytest.approx(expected, rel=0.05, abs=2e-3), name


def test_the_vectors_get_their_gradient(make_tagger):
    model = make_tagger()
    docs = make_docs("rash \n fever", "")
    scores, backprop = model.begin_update(docs)
    backprop([numpy.ones_like(s) for s in scores.scores])
    gradient = model.get_ref("tok2vec").attrs["gradient"]
    assert [g.shape for g in gradient] == [(len(doc), WIDTH) for doc in docs]
    spaces = numpy.array([token.is_space for token in docs[0]])
    assert (gradient[0][spaces] == 0).all() and (numpy.abs(gradient[0][~spaces]).sum(1) > 0).all()


def test_no_gold_is_no_gradient(make_tagger):
    model = make_tagger()
    docs = make_docs("rash fever")
    scores, _ = model.begin_update(docs)
    loss, grads = model.attrs["loss"](model, scores, [numpy.ones((2, 9), dtype=bool)])
    assert loss == 0.0 and (grads[0] == 0).all()


def test_long_notes_are_cut_where_nothing_is():
    rng = numpy.random.default_rng(0)
    scores = rng.normal(size=(1000, 9)).astype("f")
    scores[::50, 0] += 50
    segments = cut_segments(scores)
    assert segments[0][0] == 0 and segments[-1][1] == 1000
    assert all(a[1] == b[0] for a, b in zip(segments, segments[1:]))
    assert all(end - start <= ner.LONGEST_SEGMENT for start, end in segments)
    assert all((end - 1) % 50 == 0 for _, end in segments[:-1])


def test_segments_do_not_change_the_entities(make_tagger, monkeypatch):
    model = make_tagger()
    with torch.no_grad():
        model.shims[0]._model.output.weight *= 20
        model.shims[0]._model.output.bias[0] += 8
    docs = make_docs("rash fever no aspirin " * 60)
    whole = model.attrs["decode"](model, model.predict(docs))[0][0]
    monkeypatch.setattr(ner, "LONGEST_SEGMENT", 1000)
    assert whole == model.attrs["decode"](model, model.predict(docs))[0][0]


def test_weights_and_settings_reload(make_tagger):
    model = make_tagger(hidden=5)
    docs = make_docs("rash fever")
    copy = TokenTagger(lookup(), dropout=0.0, char_filters=4, hidden=5)
    copy.from_bytes(model.to_bytes())
    assert numpy.allclose(copy.predict(docs).scores[0], model.predict(docs).scores[0])


def test_the_head_learns_faster_by_lr_scale(make_tagger):
    from thinc.api import SGD

    docs = make_docs("rash fever")
    moved = []
    for scale in (1.0, 10.0):
        torch.manual_seed(0)
        model = make_tagger(lr_scale=scale)
        scores, backprop = model.begin_update(docs)
        before = model.shims[0]._model.output.bias.detach().clone()
        backprop([numpy.ones_like(s) for s in scores.scores])
        model.finish_update(SGD(0.01, L2=0, grad_clip=0))
        moved.append(model.shims[0]._model.output.bias.detach() - before)
    assert torch.allclose(moved[1], 10 * moved[0], rtol=1e-3)
    assert moved[0].abs().sum() > 0


def test_decoders(make_tagger):
    assert not make_tagger(decoder="legal").shims[0]._model.crf.transitions.requires_grad
    assert make_tagger(decoder="crf").shims[0]._model.crf.transitions.requires_grad
    with pytest.raises(ValueError, match="decoder = 'viterbi'"):
        TokenTagger(lookup(), decoder="viterbi")


@pytest.mark.parametrize("longest", [5, 12])
@pytest.mark.parametrize("shapes, filters", [((8, 4), 4), ((), 4), ((3,), 0)])
def test_what_words_share_is_weighed_once(longest, shapes, filters):
    sizes = {"n_hidden": 0, "n_shapes": shapes, "char_filters": filters, "n_chars": 9}
    net = TaggerNet(WIDTH, N_LABELS, **sizes, dropout=0.0, learn_transitions=True)
    lengths = torch.randint(1, longest + 1, (600, 1))
    chars = torch.randint(1, 9, (600, longest)) * (torch.arange(longest) < lengths)
    columns = [torch.randint(0, size, (900,)) for size in shapes]
    ids = torch.stack(columns, 1) if columns else torch.zeros(900, 0, dtype=torch.long)
    asked = (torch.randn(900, WIDTH), ids, chars, torch.randint(0, 600, (900,)))
    with torch.no_grad():
        # in training the parts are joined, and all words spelt at once
        assert torch.allclose(net.train()(*asked), net.eval()(*asked), atol=1e-5)
