"""`clinbert_summary` without anything learned: budgets, offsets, odd notes, rules before it."""

import pickle
import sys

import pytest
import spacy
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, DocBin

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.pipeline.summary import (
    Summary,
)
from tests.toy_told import (
    CENTRAL,
    NAME,
    make_central,
    make_example,
    numbers,
    shown,
    split,
)

NOTE = """Admitted with cough and fever.
Cough since Monday, fever since Tuesday.
  Chest is clear.

Stopped naproxen.\tRash since naproxen.
Home on Friday.
"""
LINES = ["Admitted with cough and fever.", "Cough since Monday, fever since Tuesday.",
         "Chest is clear.", "Stopped naproxen.", "Rash since naproxen.",
         "Home on Friday."]  # fmt: skip


def texts(doc):
    return [span.text for span in doc._.clinbert_summary]


# Sentences, word for word


def test_builds_from_its_default_config():
    component = spacy.blank("en").add_pipe(NAME)
    assert isinstance(component, Summary) and isinstance(component, TrainablePipe)
    assert {"__call__", "pipe"}.isdisjoint(vars(Summary))
    assert component.is_trainable and component.labels == () and component.scorer is not None
    assert (component.method, component.budget, component.redundancy) == ("model", "20%", 0.3)
    listener = component.model.get_ref("tok2vec").get_ref("listener")
    assert listener.upstream_name == "clinbert_transformer"


@pytest.mark.parametrize("budget", ["1", "3", "50%", "8w", "6"])
def test_word_for_word_in_the_order_of_the_note(budget):
    doc = make_central(budget)(NOTE)
    spans = doc._.clinbert_summary
    assert [doc.text[s.start_char : s.end_char] for s in spans] == texts(doc)
    assert set(texts(doc)) <= set(LINES)
    assert [s.start for s in spans] == sorted({s.start for s in spans})
    group = doc.spans[SUMMARY_KEY]
    assert group.attrs["budget"] == budget and len(group.attrs["scores"]) == len(spans) > 0
    assert all(type(score) is float and 0 <= score <= 1 for score in group.attrs["scores"])
    assert doc.text == NOTE


def test_scores_are_those_of_the_chosen_sentences():
    everything = make_central("100%")(NOTE).spans[SUMMARY_KEY].attrs["scores"]
    assert max(everything) == 1 and len(everything) == 6
    doc = make_central("2")(NOTE)
    assert doc.spans[SUMMARY_KEY].attrs["scores"] == [everything[i] for i in numbers(doc)]


def test_nothing_chosen_yet():
    assert make_central() and split("Cough.")._.clinbert_summary == []


# Settings


def test_every_setting_counts():
    twice = "Cough and fever.\nCough and fever now.\nCough and a fever.\nSister has gout."
    found = {n: texts(make_central("2", redundancy=n)(twice)) for n in (0.0, 1.0)}
    assert "Sister has gout." in found[1.0] and "Sister has gout." not in found[0.0]
    assert spacy.blank("en").add_pipe(NAME, config={**CENTRAL, "scorer": None}).scorer is None


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({**CENTRAL, "method": "guess"}, "method = 'guess' is not one of model, central"),
        ({"model": None}, "needs a model; 'central' goes without one"),
        ({**CENTRAL, "redundancy": 1.5}, "redundancy = 1.5: expected a number from 0 to 1"),
        ({**CENTRAL, "redundancy": -0.1}, "redundancy = -0.1"),
    ],
)
def test_wrong_settings(config, match):
    with pytest.raises(ValueError, match=match):
        spacy.blank("en").add_pipe(NAME, config=config)


def test_needs_sentences():
    nlp = spacy.blank("en")
    nlp.add_pipe(NAME, config=CENTRAL)
    with pytest.raises(ValueError, match="put 'clinbert_sentences'"):
        nlp("Cough.")
    assert texts(nlp("")) == []


def test_a_component_without_a_model_cannot_learn_but_may_stand_in_a_training():
    nlp = make_central()
    nlp.add_pipe("textcat")
    examples = [make_example(nlp, NOTE, LINES[:1])]
    examples[0].reference.cats = {"a": 1.0, "b": 0.0}
    optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer, annotates=["clinbert_sentences"])
    assert NAME not in losses
    with nlp.use_params({}):
        assert texts(nlp(NOTE))
    assert not nlp.get_pipe(NAME).is_trainable
    with pytest.raises(ValueError, match="has no model to train: method = 'central'"):
        nlp.get_pipe(NAME).get_loss(examples, None)
    # spaCy keeps what nobody learned of the score beside what others learned
    assert nlp.evaluate([make_example(nlp, NOTE, LINES[:1])])["summary_p"] in (0.0, 1.0)


# Survival


def test_survives_disk_bytes_pickle_and_a_docbin(tmp_path):
    nlp = make_central("3")
    expected = shown(nlp(NOTE))
    nlp.to_disk(tmp_path)
    again = [spacy.load(tmp_path), make_central("3").from_bytes(nlp.to_bytes()),
             pickle.loads(pickle.dumps(nlp))]  # fmt: skip
    assert [shown(copy(NOTE)) for copy in again] == [expected] * 3
    (read,) = DocBin(docs=[nlp(NOTE)]).get_docs(nlp.vocab)
    assert shown(read) == shown(Doc(nlp.vocab).from_bytes(nlp(NOTE).to_bytes())) == expected


NOTES = [NOTE, "", "Cough.", " \n", NOTE * 2]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pipe_equals_call(size):
    nlp = make_central("2")
    alone = [shown(nlp(text)) for text in NOTES]
    assert [shown(doc) for doc in nlp.pipe(NOTES, batch_size=size)] == alone


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes():
    nlp = make_central("2")
    found = [shown(doc) for doc in nlp.pipe(NOTES, n_process=2, batch_size=2)]
    assert found == [shown(nlp(text)) for text in NOTES]


def test_run_twice_it_says_the_same():
    nlp = make_central("2")
    doc = nlp(NOTE)
    first = shown(doc)
    assert shown(nlp.get_pipe(NAME)(doc)) == first


# Odd notes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []), (" \n\n\t ", []), ("Cough", ["Cough"]), ("...", ["..."]),
        ("\n\nCough.\n", ["Cough."]),
        ("Na 140 | K 4.1\nCr 88 | Hb 120", ["Na 140 | K 4.1", "Cr 88 | Hb 120"]),
        ("咳嗽三天。发热。", ["咳嗽三天。发热。"]),
        ("Der Patient hustet.\nKein Fieber.", ["Der Patient hustet.", "Kein Fieber."]),
        ("😀\n\u200b", ["😀", "\u200b"]), ("---\n---\n===", ["---", "---", "==="]),
    ],
)  # fmt: skip
def test_odd_notes(text, expected):
    assert texts(make_central("100%")(text)) == expected
    assert texts(make_central("0")(text)) == []


def test_another_language_and_sentences_of_another_component():
    nlp = spacy.blank("de")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe(NAME, config={**CENTRAL, "budget": "2"})
    assert len(texts(nlp("Husten und Fieber. Kein Fieber. Husten seit Montag."))) == 2
