"""`clinbert_assertion`: rules, a learned head on a tiny BERT, and both."""

import pickle

import numpy
import pytest
import spacy
import torch
from spacy.tokens import DocBin, Span, SpanGroup
from spacy.training import Example

from clinbert_spacy.attributes import AXES
from clinbert_spacy.evaluation.assertion import score_assertion
from clinbert_spacy.models.assertion import split_axes
from clinbert_spacy.models.assertion_features import ask
from clinbert_spacy.models.headings import section_names
from clinbert_spacy.nets.assertion import attend, hide_rows, mean_inside, mean_of_others

NOTE = "no rash , has fever . mother cough . stopped aspirin"
GOLD = [
    ("rash", "SYMPTOM", {"presence": "absent", "experiencer": "patient", "time": "current"}),
    ("fever", "SYMPTOM", {"presence": "present", "experiencer": "patient", "time": "current"}),
    ("cough", "SYMPTOM", {"presence": "present", "experiencer": "family", "time": "historical"}),
    ("aspirin", "DRUG", {"drug_status": "stopped"}),
]
RULES = {"method": "rules", "model": None}


def place(nlp, text, gold):
    """An Example whose predicted Doc has the entities and whose reference has their values."""
    reference, predicted = nlp.make_doc(text), nlp.make_doc(text)
    rows, spans = [], []
    for words, label, values in gold:
        start = text.index(words)
        rows.append([start, start + len(words), label, values])
        spans.append(predicted.char_span(start, start + len(words), label=label))
    reference.spans["clinbert_ents"] = SpanGroup(
        reference, name="clinbert_ents", attrs={"asserted": rows, "covered": []}
    )
    predicted.set_ents(spans)
    return Example(predicted, reference)


@pytest.fixture
def make_reader(transformer_config):
    def build(config=None, **model):
        nlp = spacy.blank("en")
        nlp.add_pipe("clinbert_sentences")
        if (config or {}).get("method") != "rules":
            block = {"model": {**transformer_config, "owner": "clinbert_transformer"}}
            nlp.add_pipe("transformer", name="clinbert_transformer", config=block)
            listener = {
                "@architectures": "clinbert.TransformerListener.v1",
                "upstream": "clinbert_transformer",
                "pooling": {"@layers": "reduce_mean.v1"},
            }
            head = {"@architectures": "clinbert.AssertionClassifier.v1", "tok2vec": listener}
            small = {"hidden": 32, "heads": 2, "dropout": 0.0, "hide": 0.0, "doubt": 0.0}
            config = {"model": {**head, **small, **model}, **(config or {})}
        nlp.add_pipe("clinbert_assertion", config=config or {})
        return nlp

    return build


def ready(nlp, gold=GOLD):
    """Run the pipeline over the note with gold entities in place."""
    doc = place(nlp, NOTE, gold).predicted
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    return doc


def values(doc):
    return [
        {axis: v for axis in AXES if (v := getattr(e._, ATTRIBUTE[axis])) is not None}
        for e in doc.ents
    ]


ATTRIBUTE = {axis: f"clinbert_{axis}" for axis in AXES}


@pytest.fixture
def trained(make_reader):
    nlp = make_reader({"method": "both"})
    example = place(nlp, NOTE, GOLD)
    optimizer = nlp.initialize(lambda: [example])
    optimizer.learn_rate = 0.002
    for _ in range(40):
        nlp.update([place(nlp, NOTE, GOLD)], sgd=optimizer, annotates=["clinbert_sentences"])
    return nlp


def test_rules_need_no_model(make_reader):
    nlp = make_reader(RULES)
    doc = ready(nlp)
    assert values(doc)[0]["presence"] == "absent"
    assert doc.ents[0]._.clinbert_assertion == "absent"
    assert doc.ents[0]._.clinbert_assertion_cue.text == "no"
    assert doc.ents[0]._.clinbert_assertion_scores is None
    assert doc.ents[2]._.clinbert_assertion == "family"
    assert doc.ents[3]._.clinbert_drug_status == "stopped"
    assert doc.ents[3]._.clinbert_assertion is None
    assert doc[0:1]._.clinbert_presence is None


def test_learns_and_reloads(trained, tmp_path):
    doc = ready(trained)
    assert values(doc) == [gold for _, _, gold in GOLD]
    assert sum(doc.ents[0]._.clinbert_assertion_scores["presence"].values()) == pytest.approx(1)
    trained.to_disk(tmp_path)
    for copy in (spacy.load(tmp_path), pickle.loads(pickle.dumps(trained))):
        assert values(ready(copy)) == values(doc)


def test_both_sends_disagreements_to_review(trained):
    doc = ready(trained)
    group = doc.spans["clinbert_review"]
    assert [span.text for span in group] == ["cough"]
    assert group.attrs["axes"] == [[["time", "historical", "current"]]]


def test_rules_may_decide_single_axes(trained):
    judge = trained.get_pipe("clinbert_assertion")
    learned = values(ready(trained))
    judge.by_rules = ("time",)
    doc = ready(trained)
    changed = [{**found, "time": "current"} if "time" in found else found for found in learned]
    assert values(doc) == changed != learned
    # what the model would have said is still to be reviewed, and its probability is kept
    (cough,) = doc.spans["clinbert_review"]
    assert doc.spans["clinbert_review"].attrs["axes"] == [[["time", "historical", "current"]]]
    assert cough._.clinbert_assertion_scores["time"]["historical"] > 0.5


def test_survives_docbin_and_bytes(trained):
    doc = ready(trained)
    (copy,) = DocBin(docs=[doc], store_user_data=False).get_docs(trained.vocab)
    other = spacy.tokens.Doc(trained.vocab).from_bytes(doc.to_bytes())
    assert values(copy) == values(other) == values(doc)


def test_notes_without_words_in_a_batch(trained):
    docs = [trained.make_doc(""), place(trained, NOTE, GOLD).predicted, trained.make_doc(" \n")]
    found = list(trained.pipe(docs, batch_size=3))
    assert [values(doc) for doc in found] == [[], values(ready(trained)), []]
    examples = [place(trained, "", []), place(trained, NOTE, GOLD)]
    losses = trained.update(examples, sgd=None, annotates=["clinbert_sentences"])
    assert losses["clinbert_assertion"] > 0


def test_pipe_equals_call(trained):
    judge = trained.get_pipe("clinbert_assertion")
    docs = [ready(trained), ready(trained, GOLD[:1]), ready(trained, [])]
    expected = [values(doc) for doc in docs]
    assert [values(doc) for doc in judge.pipe(docs, batch_size=2)] == expected
    assert len(judge(trained.make_doc(""))) == 0


def test_scores(trained):
    example = place(trained, NOTE, GOLD)
    example.predicted = ready(trained)
    scores = score_assertion([example])
    assert scores["assertion_macro_f"] == 1.0
    assert scores["assertion_per_axis"]["drug_status"]["per_value"]["stopped"]["n"] == 1
    assert score_assertion([Example(trained.make_doc("a"), trained.make_doc("a"))]) == {}


def test_unknown_values_are_not_learned(make_reader):
    nlp = make_reader()
    partial = [("rash", "SYMPTOM", {"presence": "absent"})]
    example = place(nlp, NOTE, partial)
    nlp.initialize(lambda: [example])
    head = nlp.get_pipe("clinbert_assertion")
    doc = nlp.get_pipe("clinbert_sentences")(example.predicted)
    head.ask(doc, doc.ents)
    (trf,) = [pipe for name, pipe in nlp.pipeline if name == "clinbert_transformer"]
    trf(doc)
    scores = head.model.predict([doc])
    _, gradient = head.get_loss([example], scores)
    parts = split_axes(gradient)
    assert numpy.abs(parts["presence"]).sum() > 0
    assert all(not numpy.abs(parts[axis]).any() for axis in AXES if axis != "presence")


def test_gradients_reach_the_tokens(make_reader):
    nlp = make_reader()
    example = place(nlp, NOTE, GOLD)
    nlp.initialize(lambda: [example])
    net = nlp.get_pipe("clinbert_assertion").model.shims[0]._model.double().eval()
    doc = nlp.get_pipe("clinbert_sentences")(example.predicted)
    nlp.get_pipe("clinbert_assertion").ask(doc, doc.ents)
    arrays = ask([doc], section_names(), 8).arrays
    asked = {
        k: torch.from_numpy(v).double() if v.dtype == numpy.float32 else torch.from_numpy(v)
        for k, v in arrays.items()
    }
    vectors = torch.randn(len(doc), 32, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: net(x, asked), (vectors,))


def test_attention_without_keys_equals_attention():
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    torch.nn.init.normal_(module.in_proj_bias)
    asks, rows = torch.randn(3, 8), torch.randn(3, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0]], dtype=torch.bool)
    expected, weights = module(asks.unsqueeze(1), rows, rows, key_padding_mask=~mask)
    found, shares = attend(module, asks, rows, mask)
    assert torch.allclose(found, expected.squeeze(1), atol=1e-6)
    assert torch.allclose(shares, weights.squeeze(1), atol=1e-6)


def test_others_of_the_same_words():
    rows = torch.arange(10.0).reshape(5, 2)
    found = mean_of_others(rows, torch.tensor([0, 1, 0, 2, 0]))
    assert found.tolist() == [[6.0, 7.0], [0.0, 0.0], [4.0, 5.0], [0.0, 0.0], [2.0, 3.0]]


def test_hidden_rows():
    torch.manual_seed(0)
    rows = torch.ones(1000, 2)
    kept = hide_rows(rows, 0.5)
    assert 400 < kept[:, 0].sum() < 600 and (kept[:, 0] == kept[:, 1]).all()
    assert hide_rows(rows, 0.0) is rows


def test_the_rules_are_doubted_in_training_alone(make_reader):
    nlp = make_reader(doubt=1.0)
    example = place(nlp, NOTE, GOLD)
    nlp.initialize(lambda: [example])
    net = nlp.get_pipe("clinbert_assertion").model.shims[0]._model
    doc = nlp.get_pipe("clinbert_sentences")(example.predicted)
    nlp.get_pipe("clinbert_assertion").ask(doc, doc.ents)
    arrays = ask([doc], section_names(), 8).arrays
    asked = {name: torch.from_numpy(array) for name, array in arrays.items()}
    without = {**asked, "rule": torch.zeros_like(asked["rule"])}
    vectors = torch.randn(len(doc), 32)
    with torch.no_grad():
        for training, same in ((True, True), (False, False)):
            net.train(training)
            assert torch.equal(net(vectors, asked), net(vectors, without)) == same


def test_contexts_a_part_at_a_time(trained, monkeypatch):
    doc = ready(trained)
    expected = doc.spans["clinbert_assertion"].attrs["scores"]
    monkeypatch.setattr("clinbert_spacy.nets.assertion.AT_ONCE", 1)
    found = ready(trained).spans["clinbert_assertion"].attrs["scores"]
    for one, other in zip(expected, found):
        assert {axis: pytest.approx(row, abs=1e-5) for axis, row in one.items()} == other


def test_rules_stand_beside_what_is_trained(make_reader):
    nlp = make_reader({"method": "model"})
    nlp.add_pipe("clinbert_assertion", name="rules", config=RULES)
    example = place(nlp, NOTE, GOLD)
    optimizer = nlp.initialize(lambda: [example])
    nlp.update([example], sgd=optimizer, annotates=["clinbert_sentences"])
    with nlp.use_params({(0, "no such node"): None}):
        assert ready(nlp).spans["clinbert_assertion"].attrs["values"][0]["presence"] == "absent"


@pytest.mark.parametrize(
    "config, match",
    [
        ({"method": "guess"}, "method = 'guess'"),
        ({"method": "both", "model": None}, "needs a model"),
        ({"by_rules": ["tense"]}, "axes are presence"),
    ],
)
def test_wrong_settings(make_reader, config, match):
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match=match):
        nlp.add_pipe("clinbert_assertion", config=config)


def test_needs_sentences():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_assertion", config=RULES)
    doc = nlp.make_doc("no rash")
    doc.set_ents([Span(doc, 1, 2, label="SYMPTOM")])
    with pytest.raises(ValueError, match="clinbert_sentences"):
        nlp.get_pipe("clinbert_assertion")(doc)


def test_medspacy_names(make_reader):
    nlp = make_reader({**RULES, "medspacy_names": True})
    doc = ready(nlp)
    assert [e._.is_negated for e in doc.ents] == [True, False, False, False]
    assert [e._.is_family for e in doc.ents] == [False, False, True, False]
    for name in ("is_negated", "is_uncertain", "is_hypothetical", "is_family", "is_historical"):
        Span.remove_extension(name)


def test_chronic_diseases():
    for current, expected in ((True, "current"), (False, "historical")):
        nlp = spacy.blank("en")
        nlp.add_pipe("clinbert_sentences")
        nlp.add_pipe("clinbert_assertion", config={**RULES, "chronic_is_current": current})
        doc = nlp.make_doc("history of asthma")
        doc.set_ents([Span(doc, 2, 3, label="DISEASE")])
        for _, pipe in nlp.pipeline:
            doc = pipe(doc)
        assert doc.ents[0]._.clinbert_time == expected


def test_other_labels():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_assertion", config={**RULES, "problems": ["PROBLEM"], "drugs": []})
    doc = nlp.make_doc("no rash on aspirin")
    doc.set_ents([Span(doc, 1, 2, label="PROBLEM"), Span(doc, 3, 4, label="DRUG")])
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    assert doc.ents[0]._.clinbert_presence == "absent"
    assert doc.ents[1]._.clinbert_drug_status is None


def test_means_read_the_words_of_entities_alone():
    rows, window = torch.randn(20, 6), torch.randint(0, 20, (5, 7))
    inside = torch.rand(5, 7) > 0.5
    inside[2] = False
    marked = inside.unsqueeze(-1)
    expected = (rows[window] * marked).sum(1) / marked.sum(1).clamp(min=1)
    assert torch.allclose(mean_inside(rows, window, inside), expected, atol=1e-6)
