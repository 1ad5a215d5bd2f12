"""`clinbert_ner` from gold to entities, on a tiny BERT."""

import multiprocessing
import pickle

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from clinbert_spacy.pipeline.ner import allowed_tags, merge_entities
from tests.conftest import LABELS, MARKED, make_example, parse_marked


@pytest.fixture
def trained(make_nlp, make_examples):
    """A pipeline that has learned its four notes by heart, and those notes."""
    nlp = make_nlp()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.005
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return nlp, examples


def ents(doc):
    return [(e.text, e.label_) for e in doc.ents]


def gold(text):
    plain, spans = parse_marked(text)
    return [(plain[a:b], label) for a, b, label in spans]


def test_learns_its_notes_and_reloads(trained, tmp_path):
    nlp, examples = trained
    assert nlp.evaluate(examples)["ents_f"] == 1.0
    nlp.to_disk(tmp_path / "nlp")
    reloaded = spacy.load(tmp_path / "nlp")
    text = examples[0].text
    for copy in (reloaded, pickle.loads(pickle.dumps(nlp))):
        doc = copy(text)
        assert ents(doc) == gold(MARKED[0][0])
        assert [e._.clinbert_score for e in doc.ents] == pytest.approx(
            [e._.clinbert_score for e in nlp(text).ents], abs=1e-5
        )


def test_pipe_equals_call(trained):
    nlp, examples = trained
    texts = [*(e.text for e in examples), "", " \n ", "aspirin \U0001f600"]
    for text, doc in zip(texts, nlp.pipe(texts, batch_size=3)):
        alone = nlp(text)
        assert ents(doc) == ents(alone)
        assert [e._.clinbert_score for e in doc.ents] == pytest.approx(
            [e._.clinbert_score for e in alone.ents], abs=1e-4
        )


def test_outputs_survive_docbin_and_bytes(trained):
    nlp, examples = trained
    doc = nlp(examples[1].text)
    through_bin = list(DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab))[0]
    doc._.trf_data = None
    through_bytes = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    for copy in (through_bin, through_bytes):
        assert ents(copy) == ents(doc) != []
        assert [e._.clinbert_score for e in copy.ents] == [e._.clinbert_score for e in doc.ents]


def test_scores_are_plain_probabilities(trained):
    nlp, examples = trained
    group = nlp(examples[0].text).spans["clinbert_ents"]
    assert all(type(score) is float and 0 <= score <= 1 for score in group.attrs["scores"])
    assert len(group.attrs["scores"]) == len(group)


def test_a_foreign_entity_has_no_score(trained):
    nlp, examples = trained
    doc = nlp(examples[0].text)
    assert Span(doc, 0, 1, label="OTHER")._.clinbert_score is None
    assert spacy.blank("en")("aspirin")[0:1]._.clinbert_score is None


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="the hang is one of fork"
)
def test_two_processes_after_a_forward_pass(trained):
    nlp, examples = trained
    texts = [e.text for e in examples] * 3
    alone = [ents(nlp(text)) for text in texts]
    assert [ents(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=2)] == alone


def test_policies(make_nlp, trained):
    nlp, examples = trained
    component = nlp.get_pipe("clinbert_ner")
    text = examples[0].text
    for policy, kept in (("replace", False), ("keep", True), ("longest", True)):
        component.ents_policy = policy
        doc = nlp.make_doc(text)
        doc.set_ents([Span(doc, 2, 6, label="OLD")])
        for _, pipe in nlp.pipeline:
            doc = pipe(doc)
        assert ("OLD" in {e.label_ for e in doc.ents}) is kept
        assert len(doc.spans["clinbert_ents"]) == 3
    with pytest.raises(ValueError, match="ents_policy = 'merge'"):
        make_nlp(ner={"ents_policy": "merge"})


def test_merge_entities_never_touches_what_is_there():
    doc = spacy.blank("en")("a b c d e")
    old, inside, free = doc[1:3], doc[0:2], doc[3:5]
    spans = [Span(doc, s.start, s.end, label="X") for s in (old, inside, free)]
    assert [(s.start, s.end) for s in merge_entities(spans[:1], spans[1:], "keep")] == [
        (1, 3), (3, 5)
    ]


def test_threshold_drops_the_unsure(trained, make_nlp):
    nlp, examples = trained
    component = nlp.get_pipe("clinbert_ner")
    component.threshold = 1.0
    assert all(s == 1.0 for s in nlp(examples[0].text).spans["clinbert_ents"].attrs["scores"])
    with pytest.raises(ValueError, match="threshold = 1.5"):
        make_nlp(ner={"threshold": 1.5})


def test_allowed_tags_of_coarse_and_unknown_labels():
    found = allowed_tags(4, [(0, 1, [0, 1]), (1, 4, [0])], [1], 2)
    tags = [set(numpy.flatnonzero(row)) for row in found]
    assert tags == [{4, 8}, {1}, {2}, {3}]
    free = allowed_tags(1, [], [1], 2)
    assert set(numpy.flatnonzero(free[0])) == {0, 5, 6, 7, 8}


def test_an_uncovered_label_is_not_trained_as_outside(make_nlp):
    """Notes of one corpus mark drugs alone; the other's symptoms must survive them."""
    nlp = make_nlp()
    full = [make_example(nlp, text, LABELS) for (text,) in MARKED]
    partial = [
        make_example(nlp, "Patient denies fever and nausea. {aspirin|DRUG} was given.", ["DRUG"])
    ] * 4
    optimizer = nlp.initialize(lambda: full + partial)
    optimizer.learn_rate = 0.005
    for _ in range(40):
        nlp.update(full + partial, sgd=optimizer)
    assert ("fever", "SYMPTOM") in ents(nlp("Patient denies fever and nausea."))


def test_a_coarse_label_lets_the_head_choose(make_nlp):
    nlp = make_nlp()
    fine = [make_example(nlp, "{rash|SYMPTOM} and {diabetes|DISEASE}.", LABELS)]
    coarse = [make_example(nlp, "{rash|DISEASE|SYMPTOM} after {diabetes|DISEASE|SYMPTOM}.", LABELS)]
    optimizer = nlp.initialize(lambda: fine + coarse)
    optimizer.learn_rate = 0.005
    for _ in range(40):
        nlp.update(fine + coarse, sgd=optimizer)
    assert ents(nlp("rash after diabetes.")) == [("rash", "SYMPTOM"), ("diabetes", "DISEASE")]


def test_unknown_text_is_not_trained_as_outside(make_nlp):
    nlp = make_nlp()
    example = make_example(nlp, "the rash after {aspirin|DRUG}.", LABELS)
    group = example.reference.spans["clinbert_ents"]
    group.attrs["unknown"] = [[4, 8]]
    nlp.initialize(lambda: [example])
    allowed = nlp.get_pipe("clinbert_ner")._allowed(example, numpy.arange(5))
    assert allowed[1].all() and not allowed[0].all() and not allowed[3].all()


def test_missing_partial_labels_raise(make_nlp):
    nlp = make_nlp()
    reference = nlp.make_doc("aspirin for fever")
    reference.ents = [Span(reference, 0, 1, label="DRUG")]
    example = Example(nlp.make_doc(reference.text), reference)
    with pytest.raises(ValueError, match="partial_labels"):
        nlp.initialize(lambda: [example])
    plain = make_nlp(ner={"partial_labels": False})
    plain.initialize(lambda: [example])
    assert plain.get_pipe("clinbert_ner").labels == ("DRUG",)


def test_no_label_anywhere(make_nlp):
    nlp = make_nlp(ner={"partial_labels": False})
    with pytest.raises(ValueError, match="no entity label"):
        nlp.initialize(lambda: [Example(nlp.make_doc("a"), nlp.make_doc("a"))])


def test_labels_are_fixed_once_built(trained):
    component = trained[0].get_pipe("clinbert_ner")
    assert component.add_label("DRUG") == 0
    with pytest.raises(ValueError, match="cannot take 'ORGANISM'"):
        component.add_label("ORGANISM")


def test_without_its_transformer_the_head_refuses(trained):
    nlp, examples = trained
    refused = pytest.raises(ValueError, match="'clinbert_transformer' has not run")
    with nlp.select_pipes(disable=["clinbert_transformer"]), refused:
        nlp(examples[0].text)


def test_data_of_a_foreign_transformer_is_refused(trained):
    from spacy_transformers.data_classes import TransformerData

    nlp, examples = trained
    doc = nlp.make_doc(examples[0].text)
    doc._.trf_data = TransformerData.zeros(len(doc), 32)
    with pytest.raises(ValueError, match="belongs to 'TransformerData'"):
        nlp.get_pipe("clinbert_ner")(doc)


def test_the_wildcard_upstream_is_refused(make_nlp):
    listener = {
        "@architectures": "clinbert.TransformerListener.v1",
        "upstream": "*",
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    model = {"@architectures": "clinbert.TokenTagger.v1", "tok2vec": listener}
    with pytest.raises(ValueError, match="name the component"):
        make_nlp(ner={"model": model})


def test_the_encoder_learns_through_the_listener(make_nlp, make_examples):
    nlp = make_nlp()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    weight = nlp.get_pipe("clinbert_transformer").model.shims[0]._model.transformer.encoder.layer[0]
    before = weight.output.dense.weight.detach().clone()
    empty = Example(nlp.make_doc(""), nlp.make_doc(""))
    empty.reference.spans["clinbert_ents"] = []
    empty.reference.spans["clinbert_ents"].attrs["covered"] = LABELS
    # As the training loop does: nlp.update(sgd=...) would step the encoder before its gradient.
    nlp.update([examples[0], empty, examples[1]], sgd=False)
    nlp.get_pipe("clinbert_transformer").finish_update(optimizer)
    assert not torch.equal(before, weight.output.dense.weight)


def test_averaged_weights_are_used_and_given_back(trained):
    nlp, examples = trained
    shim = nlp.get_pipe("clinbert_ner").model.shims[0]
    bias = shim._model.output.bias
    own = bias.detach().clone()
    averages = {(shim.id, "output.bias"): numpy.full(bias.shape, 3.0, dtype="f")}
    with nlp.get_pipe("clinbert_ner").model.use_params(averages):
        assert (shim._model.output.bias == 3.0).all()
    assert torch.equal(shim._model.output.bias, own)


def test_replaced_listeners_predict_the_same_and_reload(trained, tmp_path):
    nlp, examples = trained
    expected = ents(nlp(examples[0].text))
    nlp.replace_listeners("clinbert_transformer", "clinbert_ner", ["model.tok2vec"])
    nlp.remove_pipe("clinbert_transformer")
    assert ents(nlp(examples[0].text)) == expected
    nlp.to_disk(tmp_path / "alone")
    assert ents(spacy.load(tmp_path / "alone")(examples[0].text)) == expected


def test_stock_ner_and_spancat_feed_on_the_transformer(transformer_config):
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", name="clinbert_transformer", config={"model": transformer_config})
    tok2vec = {
        "@architectures": "clinbert.TransformerListener.v1",
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner",
        "extra_state_tokens": False, "hidden_width": 16, "maxout_pieces": 2, "use_upper": False,
        "tok2vec": tok2vec,
    }  # fmt: skip
    nlp.add_pipe("ner", config={"model": parser})
    spancat = {
        "@architectures": "spacy.SpanCategorizer.v1", "tok2vec": tok2vec,
        "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 16},
        "scorer": {"@layers": "spacy.LinearLogistic.v1"},
    }  # fmt: skip
    nlp.add_pipe("spancat", config={"model": spancat})
    examples = [make_example(nlp, text, LABELS) for (text,) in MARKED]
    for example in examples:
        example.reference.spans["sc"] = list(example.reference.ents)
    optimizer = nlp.initialize(lambda: examples)
    losses = {}
    nlp.update(examples, sgd=optimizer, losses=losses)
    assert losses["ner"] > 0 and losses["spancat"] > 0 and losses["clinbert_transformer"] > 0
    assert nlp(examples[0].text).has_annotation("ENT_IOB")


SEED_SENTENCES = (
    "John Doe was admitted to the hospital with a severe headache and fever.",
    "Jane Smith was diagnosed with diabetes and high blood pressure.",
)
