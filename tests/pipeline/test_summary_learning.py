"""`clinbert_summary` on a tiny BERT: learns two notes by heart, and what reaches the encoder."""

import math
import pickle
import sys
from functools import cache

import pytest
import spacy
import torch

from clinbert_spacy.attributes import SUMMARY_KEY
from tests.models.toy_textcat import encoder_weight
from tests.toy_told import NAME, make_example, numbers, shown, split

# Each note and the sentences that a summary of it has.
ONE = ("The patient takes aspirin.\nLisinopril stopped due to cough.\nNo rash.\nDenies fever.",
       ["Lisinopril stopped due to cough.", "No rash."])  # fmt: skip
OTHER = (
    "Has diabetes.\nDenies nausea.\nAspirin was given for fever.\nHas hypertension.\nNo cough.",
    ["Aspirin was given for fever."],
)
NOTES = [ONE, OTHER]
EXACT = {"transformer_config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}


def make_pipeline(checkpoint, grad_factor=0.0, encoder=None, hide=0.0, **config):
    """Sentences, a tiny transformer and summaries, without weights."""
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    block = {"@architectures": "clinbert.ClinicalTransformer.v1", "name": str(checkpoint),
             "window": 20, "context": 4, "precision": "float32", **(encoder or {})}  # fmt: skip
    nlp.add_pipe("transformer", name="clinbert_transformer", config={"model": block})
    model = {"hidden": 16, "dropout": 0.0, "hide": hide, "tok2vec": {"grad_factor": grad_factor}}
    nlp.add_pipe(NAME, config={"model": model, "budget": "100%", **config})
    return nlp


def examples(nlp, notes=NOTES):
    return [make_example(nlp, *note) for note in notes]


def update(nlp, notes=NOTES, sgd=False):
    """One step; losses."""
    return nlp.update(examples(nlp, notes), sgd=sgd, annotates=["clinbert_sentences"])


@cache
def trained_pipeline(checkpoint):
    """Overfitted once for all tests, which leave it as it is."""
    spacy.util.fix_random_seed(0)
    nlp = make_pipeline(checkpoint)
    optimizer = nlp.initialize(lambda: examples(nlp))
    optimizer.learn_rate = 0.002
    for _ in range(40):
        update(nlp, sgd=optimizer)
    return nlp


@pytest.fixture
def trained(checkpoint):
    return trained_pipeline(checkpoint)


@pytest.fixture
def copied(trained):
    """A copy to change."""
    return pickle.loads(pickle.dumps(trained))


@pytest.fixture
def fresh(checkpoint):
    nlp = make_pipeline(checkpoint, grad_factor=1.0, encoder=EXACT)
    nlp.initialize(lambda: examples(nlp))
    return nlp


def head(nlp):
    return nlp.get_pipe(NAME).model.shims[0]._model


def scores(doc):
    return doc.spans[SUMMARY_KEY].attrs["scores"]


def rounded(docs):
    """What is shown of notes; weights travel in half precision."""
    return [(places, pytest.approx(values, abs=5e-3)) for places, values, _ in map(shown, docs)]


# Learning


def test_learns_two_notes_by_heart(trained, copied):
    for text, gold in NOTES:
        found = scores(trained(text))
        sentences = [sentence.text.strip() for sentence in split(text).sents]
        assert [score > 0.9 for score in found] == [words in gold for words in sentences]
        assert [score < 0.1 for score in found] == [words not in gold for words in sentences]
    component = copied.get_pipe(NAME)
    assert copied.evaluate(examples(copied))["summary_r"] == 1.0
    component.budget = "1"
    found = copied.evaluate(examples(copied))
    assert found["summary_p"] == 1.0 and 0.5 < found["summary_r"] < 1
    component.budget = "2"
    assert copied.evaluate(examples(copied, [ONE]))["summary_f"] == 1.0
    component.budget = "1"
    assert copied.evaluate(examples(copied, [OTHER]))["summary_f"] == 1.0


def test_facts_of_a_note_help(checkpoint):
    """Two sentences of the same words: only what others wrote tells them apart."""
    spacy.util.fix_random_seed(0)
    nlp = make_pipeline(checkpoint)
    nlp.add_pipe("clinbert_sections", before=NAME)
    note = "Plan:\nHas fever.\n\nFamily history:\nHas fever."
    made = lambda: [make_example(nlp, note, ["Plan:\nHas fever."])]  # noqa: E731
    optimizer = nlp.initialize(made)
    optimizer.learn_rate = 0.002
    for _ in range(40):
        nlp.update(made(), sgd=optimizer, annotates=["clinbert_sentences", "clinbert_sections"])
    found = scores(nlp(note))
    assert min(found[:2]) > 0.9 and max(found[2:]) < 0.1


def test_survives_disk_bytes_and_pickle(trained, checkpoint, tmp_path):
    expected = rounded(trained.pipe(text for text, _ in NOTES))
    trained.to_disk(tmp_path)
    bare = make_pipeline(checkpoint).from_bytes(trained.to_bytes())
    for nlp in (spacy.load(tmp_path), bare, pickle.loads(pickle.dumps(trained))):
        found = [shown(nlp(text))[:2] for text, _ in NOTES]
        assert [tuple(row) for row in found] == expected


TEXTS = [ONE[0], "", OTHER[0], " \n", "Aspirin.", OTHER[0] * 5]


def test_pipe_equals_call_with_empty_notes_in_between(trained):
    expected = rounded(trained(text) for text in TEXTS)
    for size in (2, 6):
        found = [shown(doc)[:2] for doc in trained.pipe(TEXTS, batch_size=size)]
        assert [tuple(row) for row in found] == expected
    assert [len(places) for places, _ in expected] == [4, 0, 5, 0, 1, 25 - 4]


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes_after_a_forward_pass(trained):
    expected = rounded(trained(text) for text in TEXTS)
    found = [shown(doc)[:2] for doc in trained.pipe(TEXTS, n_process=2, batch_size=2)]
    assert [tuple(row) for row in found] == expected


def test_notes_that_nobody_read_name_the_remedy(copied):
    doc = copied.get_pipe("clinbert_sentences")(copied.make_doc(ONE[0]))
    with pytest.raises(ValueError, match="'clinbert_transformer' has not run before"):
        copied.get_pipe(NAME)(doc)
    with pytest.raises(ValueError, match="put 'clinbert_sentences'"):
        copied.update(examples(copied), sgd=False)


def test_settings_of_a_trained_component(copied):
    component = copied.get_pipe(NAME)
    learned = scores(copied(ONE[0]))
    component.method = "central"
    assert scores(copied(ONE[0])) != learned and max(scores(copied(ONE[0]))) == 1
    component.method, component.budget = "model", "2"
    twice = ONE[0] + "\n\n" + ONE[0]
    # what is said a second time comes last, however much it counts
    assert len({span.text for span in copied(twice)._.clinbert_summary}) == 2
    found = []
    for component.redundancy in (0.0, 1.0):
        for component.budget in ("2", "3"):
            found.append(numbers(copied(OTHER[0])))
    assert found[:2] != found[2:]


def test_averages_stand_in_for_weights(trained):
    shim = trained.get_pipe(NAME).model.shims[0]
    bias = dict(shim._model.named_parameters())["output.bias"]
    before = scores(trained(ONE[0]))
    with trained.use_params({(shim.id, "output.bias"): bias.detach().numpy() - 30}):
        assert max(scores(trained(ONE[0]))) < 1e-4
    assert scores(trained(ONE[0])) == pytest.approx(before)


# Gradients


def slope(weight):
    return 0.0 if weight.grad is None else float(weight.grad.abs().sum())


def test_notes_without_gold_teach_nothing(fresh):
    losses = update(fresh, [(text, None) for text, _ in NOTES])
    assert losses[NAME] == 0.0
    assert slope(encoder_weight(fresh)) == 0.0
    assert not any(slope(weight) for weight in head(fresh).parameters())


def test_vectors_are_hidden_in_training_alone(checkpoint):
    nlp = make_pipeline(checkpoint, encoder=EXACT, hide=0.5)
    nlp.initialize(lambda: examples(nlp))
    losses = [update(nlp)[NAME] for _ in range(2)]
    assert losses[0] != losses[1]
    assert scores(nlp(ONE[0])) == scores(nlp(ONE[0]))


def test_a_note_without_gold_changes_nothing_for_the_others(fresh):
    alone = update(fresh, [ONE])[NAME]
    expected = [slope(weight) for weight in head(fresh).parameters()]
    for weight in head(fresh).parameters():
        weight.grad = None
    beside = update(fresh, [("", None), ONE, (OTHER[0], None), (" \n", None)])[NAME]
    assert beside == pytest.approx(alone, rel=1e-4)
    found = [slope(weight) for weight in head(fresh).parameters()]
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_an_empty_summary_teaches_that_nothing_belongs(fresh):
    assert update(fresh, [(ONE[0], [])])[NAME] > 0
    assert slope(head(fresh).output.weight) > 0


@pytest.mark.parametrize("notes", [[("", None)], [("", []), ("", [])]])
def test_empty_notes_alone(fresh, notes):
    assert update(fresh, notes)[NAME] == 0.0
    assert [shown(doc)[0] for doc in fresh.pipe(["", ""])] == [[], []]


def test_what_is_frozen_stays_as_it_is(checkpoint):
    nlp = make_pipeline(checkpoint, grad_factor=0.0)
    optimizer = nlp.initialize(lambda: examples(nlp))
    before = encoder_weight(nlp).detach().clone()
    losses = nlp.update(
        examples(nlp), sgd=optimizer, exclude=["clinbert_transformer"],
        annotates=["clinbert_sentences", "clinbert_transformer"],
    )  # fmt: skip
    assert losses[NAME] > 0 and torch.equal(encoder_weight(nlp), before)
    update(nlp)
    assert slope(encoder_weight(nlp)) == 0.0 and slope(head(nlp).words.weight) > 0


def cost(nlp):
    """Cross-entropy from what the pipeline writes on Docs, over the sentences that belong."""
    total = 0.0
    for text, gold in NOTES:
        doc = nlp(text)
        for span, score in zip(doc._.clinbert_summary, scores(doc)):
            total -= math.log(score if span.text in gold else 1 - score)
    return total / max(sum(len(gold) for _, gold in NOTES), 4)


def test_gradients_of_encoder_and_head_against_finite_differences(fresh):
    losses = update(fresh)
    assert losses[NAME] == pytest.approx(cost(fresh), rel=1e-4)
    net = head(fresh)
    layers = (net.words, net.known, net.straight, net.section, net.output)
    for weight in (encoder_weight(fresh), *(layer.weight for layer in layers)):
        direction = weight.grad / weight.grad.norm()
        expected = float(weight.grad.norm())
        assert expected > 1e-3
        step, values = 0.005, []
        for sign in (1, -2):
            weight.data += sign * step * direction
            values.append(cost(fresh))
        weight.data += step * direction
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=3e-2)


def test_half_the_gradient(checkpoint):
    found = []
    for factor in (1.0, 0.5):
        spacy.util.fix_random_seed(0)
        nlp = make_pipeline(checkpoint, grad_factor=factor, encoder=EXACT)
        nlp.initialize(lambda nlp=nlp: examples(nlp))
        update(nlp)
        found.append(slope(encoder_weight(nlp)))
    assert found[1] == pytest.approx(found[0] / 2, rel=1e-4)


def test_a_long_note_is_learned_from_and_read(fresh):
    text = "Aspirin was given.\n" * 400
    assert update(fresh, [(text, ["Aspirin was given."])])[NAME] > 0
    fresh.get_pipe(NAME).budget = "3"
    assert len(fresh(text)._.clinbert_summary) == 3
