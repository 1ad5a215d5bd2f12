"""`clinbert.LongTextCat.v1` in pipelines: `textcat` and `textcat_multilabel` on a tiny BERT."""

import math
import pickle

import numpy
import pytest
import spacy

from tests.conftest import make_example
from tests.models.toy_textcat import (
    AGGREGATORS,
    COMPONENTS,
    NOTES,
    add_textcat,
    encoder_weight,
    make_notes,
    make_pipeline,
    only,
    train,
    trained_pipeline,
    watch_windows,
)

every_aggregator = pytest.mark.parametrize("aggregator", AGGREGATORS)
either = pytest.mark.parametrize("component", COMPONENTS)
TEXTS = [text for text, _ in NOTES]


def rows(docs):
    return numpy.array([[doc.cats[name] for name in ("A", "B")] for doc in docs])


# Learning and saving


@every_aggregator
@either
def test_overfits(checkpoint, component, aggregator):
    nlp = trained_pipeline(checkpoint, component, aggregator)
    assert numpy.allclose(rows(map(nlp, TEXTS)), [[1, 0], [0, 1]], atol=0.2)


@pytest.mark.parametrize(
    ("component", "aggregator"), [("textcat", "MaxMean"), ("textcat_multilabel", "Attention")]
)
def test_reloads(checkpoint, tmp_path, component, aggregator):
    nlp = trained_pipeline(checkpoint, component, aggregator)
    found = rows(map(nlp, TEXTS))
    nlp.to_disk(tmp_path)
    fresh = make_pipeline("no/such/folder", component, aggregator).from_bytes(nlp.to_bytes())
    for copy in (spacy.load(tmp_path), fresh, pickle.loads(pickle.dumps(nlp))):
        assert numpy.allclose(rows(map(copy, TEXTS)), found, atol=1e-2)


@every_aggregator
@either
def test_pipe_equals_call_with_an_empty_note_in_between(checkpoint, component, aggregator):
    nlp = trained_pipeline(checkpoint, component, aggregator)
    texts = [TEXTS[0], "", TEXTS[1], " \n", "aspirin " * 100]
    alone = rows(map(nlp, texts))
    for size in (2, 5):
        assert numpy.allclose(rows(nlp.pipe(texts, batch_size=size)), alone, atol=1e-5)
    assert not alone[1].any()


@either
def test_empty_notes_alone(checkpoint, component):
    nlp = trained_pipeline(checkpoint, component, "Mean")
    assert rows(nlp.pipe(["", ""])).tolist() == [[0.0, 0.0]] * 2
    examples = make_notes(nlp, [("", {"A": 1.0, "B": 0.0})] * 2)
    assert nlp.update(examples, sgd=False)[component] == 0.0


@either
def test_learns_beside_empty_notes(checkpoint, component):
    """The first note sizes the network: it may be empty."""
    nlp = make_pipeline(checkpoint, component)
    notes = [("", NOTES[0][1]), NOTES[0], ("", NOTES[1][1]), NOTES[1]]
    train(nlp, notes)
    expected = [[0, 0], [1, 0], [0, 0], [0, 1]]
    assert numpy.allclose(rows(nlp.pipe(text for text, _ in notes)), expected, atol=0.2)


# How much a passage counted


@every_aggregator
@either
def test_the_whole_is_what_stands_on_the_doc(checkpoint, component, aggregator):
    nlp = trained_pipeline(checkpoint, component, aggregator)
    docs = list(nlp.pipe([*TEXTS, ""]))
    model = nlp.get_pipe(component).model
    judged = model.attrs["judge"](model, docs)
    assert numpy.allclose([found.whole for found in judged], rows(docs), atol=1e-5)
    assert [len(found.ranges) for found in judged] == [3, 2, 0]


def test_notes_that_nobody_read_are_not_judged(checkpoint):
    nlp = trained_pipeline(checkpoint, "textcat", "Mean")
    model = nlp.get_pipe("textcat").model
    with pytest.raises(ValueError, match="has not run before"):
        model.attrs["judge"](model, [nlp.make_doc(TEXTS[0])])


# Gradients into the encoder

EXACT = {"transformer_config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
LONG = [
    (TEXTS[0] * 3, {"A": 1.0, "B": 0.0}),
    ("", {"A": 0.0, "B": 0.0}),
    (TEXTS[1], {"A": 0.0, "B": 1.0}),
]


def cost(nlp, component, notes):
    """Cross-entropy, from what the pipeline writes on Docs."""
    total = 0.0
    for (_, truth), doc in zip(notes, nlp.pipe([text for text, _ in notes])):
        if len(doc) and component == "textcat":
            total -= sum(math.log(doc.cats[name]) for name, value in truth.items() if value)
        elif len(doc):
            total -= sum(
                math.log(doc.cats[name] if value else 1 - doc.cats[name])
                for name, value in truth.items()
            )
    return total / sum(bool(text) for text, _ in notes)


@pytest.mark.parametrize(
    ("component", "aggregator"), [("textcat", "MaxMean"), ("textcat_multilabel", "Attention")]
)
def test_gradients_of_encoder_and_head_against_finite_differences(
    checkpoint, component, aggregator
):
    nlp = make_pipeline(checkpoint, component, aggregator, EXACT)
    nlp.initialize(lambda: make_notes(nlp))
    notes = LONG
    if component == "textcat_multilabel":
        notes = [LONG[0], LONG[1], (LONG[2][0], {"B": 1.0})]  # of A nothing is known
    nlp.update(make_notes(nlp, notes), sgd=False)
    for weight in (encoder_weight(nlp), nlp.get_pipe(component).model.shims[0]._model.join.weight):
        direction = weight.grad / weight.grad.norm()
        expected = float(weight.grad.norm())
        assert expected > 1e-3
        step, values = 0.015, []
        for sign in (1, -2):
            weight.data += sign * step * direction
            values.append(cost(nlp, component, notes))
        weight.data += step * direction
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=2e-2)


def test_a_note_of_3000_tokens_lets_gradient_into_the_windows_of_training_alone(
    checkpoint, monkeypatch
):
    nlp = make_pipeline(checkpoint, encoder={"max_train_windows": 4})
    nlp.initialize(lambda: make_notes(nlp))
    kept, others = watch_windows(monkeypatch)
    examples = make_notes(nlp, [("aspirin rash fever " * 1000, {"A": 1.0, "B": 0.0})])
    assert len(examples[0].predicted) == 3000
    nlp.update(examples, sgd=False)
    assert sum(map(len, kept)) == 4 and sum(others) > 200
    reached = sum(int((output.grad.abs().sum((1, 2)) > 0).sum()) for output in kept)
    assert reached == 4
    assert encoder_weight(nlp).grad.abs().sum() > 0


@either
def test_the_encoder_learns_from_the_last_listener_with_classes_missing(
    make_nlp, make_examples, component
):
    """Another component listens before it, and has nothing to learn from these notes."""
    nlp = make_nlp()
    add_textcat(nlp, component, "Attention")
    examples = make_examples(nlp)
    for example, (_, cats) in zip(examples, NOTES * 2):
        example.reference.cats = dict(cats)
    optimizer = nlp.initialize(lambda: examples)

    def unmarked():
        made = [make_example(nlp, text, covered=[]) for text in ("has a rash", "", "no fever")]
        for example, cats in zip(made, ({"A": 1.0}, {}, {"B": 0.0})):
            example.reference.cats = cats
        return made

    losses = nlp.update(unmarked(), sgd=False)
    assert losses["clinbert_ner"] == 0.0 and losses[component] > 0
    assert encoder_weight(nlp).grad.abs().max() > 1e-6
    before = encoder_weight(nlp).detach().clone()
    nlp.update(unmarked(), sgd=optimizer)
    # spaCy takes the encoder's step at the next update, weight decay is far smaller
    assert (encoder_weight(nlp) - before).abs().max() > 1e-4


def test_the_encoder_learns_from_others_where_no_note_has_passages(make_nlp, make_examples):
    nlp = make_nlp()
    add_textcat(nlp)
    examples = make_examples(nlp)
    for example in examples:
        example.reference.cats = {"A": 1.0}
    nlp.initialize(lambda: examples)
    nlp.get_pipe("textcat_multilabel").model.attrs["cut"] = only([])
    nlp.update(examples, sgd=False)
    assert encoder_weight(nlp).grad.abs().max() > 1e-6


# Problems of the patient


@pytest.fixture
def problems(checkpoint):
    """A pipeline whose notes are the problems that the patient has."""
    nlp = make_pipeline(checkpoint, cut={"@misc": "clinbert.PatientProblems.v1"})
    first = {"first": True}
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None}, **first)
    nlp.add_pipe("entity_ruler", **first)
    nlp.add_pipe("clinbert_sentences", **first)
    patterns = [{"label": "SYMPTOM", "pattern": word} for word in ("rash", "cough")]
    nlp.config["initialize"]["components"]["entity_ruler"] = {"patterns": patterns}
    return nlp


def test_what_is_denied_is_no_part_of_a_note_of_problems(problems):
    notes = [("has rash", {"A": 1.0, "B": 0.0}), ("has cough , no rash", {"A": 0.0, "B": 1.0})]
    annotates = ["clinbert_sentences", "entity_ruler", "clinbert_assertion"]
    optimizer = problems.initialize(lambda: make_notes(problems, notes))
    optimizer.learn_rate = 0.005
    for _ in range(10):
        problems.update(make_notes(problems, notes), sgd=optimizer, annotates=annotates)
    texts = ["has rash", "has cough , no rash", "no rash", "mother has rash", "takes aspirin"]
    found = rows(problems.pipe(texts))
    assert numpy.allclose(found[:2], [[1, 0], [0, 1]], atol=0.2)
    assert not found[2:].any()


def test_training_on_problems_that_nobody_judged_names_the_remedy(problems):
    optimizer = problems.initialize(lambda: make_notes(problems))
    with pytest.raises(ValueError, match="annotating_components"):
        problems.update(make_notes(problems), sgd=optimizer)
