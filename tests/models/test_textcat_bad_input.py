"""Notes that no one would wish for, through classifier and evidence, exclusive or not."""

from functools import cache

import numpy
import pytest
from spacy.language import Language

from clinbert_spacy.attributes import EVIDENCE_KEY
from tests.models.toy_textcat import (
    COMPONENTS,
    NOTES,
    make_notes,
    make_pipeline,
    train,
    trained_pipeline,
    watch_windows,
)

either = pytest.mark.parametrize("component", COMPONENTS)
N_WORDS = 50_000
SIZE = 128
PARAGRAPH = NOTES[0][0]

# The tiny vocabulary knows none of the foreign ones.
INPUTS = {
    "empty": "",
    "white space": " \n\t\n ",
    "one word": "aspirin",
    "one letter": "x",
    "one mark": "?",
    "German": "Der Patient nimmt täglich Aspirin und verneint Übelkeit, Müdigkeit und Fieber.",
    "Greek": "Ο ασθενής παίρνει ασπιρίνη κάθε μέρα και δεν έχει πυρετό.",
    "Japanese": "患者は毎日アスピリンを服用しており、発熱や発疹はありません。",
    "Arabic": "يتناول المريض الأسبرين يوميا ولا يعاني من الحمى.",
    "emoji": "🙂 🙃 🤒 👩‍⚕️ 💊",
    "identifiers": "Jane Roe, MRN 00123456, DOB 01/02/1950, 555-0100, jane.roe@example.org, "
    "12 Elm Street, seen 03/04/2020 by Dr. Doe. [**Name (NI) 1**] [**2020-3-4**] ___",
    "duplicated": "\n\n".join([PARAGRAPH] * 12),
    "table": "Na | 140 | mmol/L | 135-145\nK | 4.1 | mmol/L | 3.5-5.0\n---|---|---|---\n\t\t|||\n",
    "numbers": " ".join(map(str, range(60))),
    "long word": "a" * 5000,
    "controls": "rash \x00 \x07 \u200b \ufeff fever",
}


@cache
def pipeline(checkpoint, component: str, aggregator: str = "Attention") -> Language:
    """Learned two notes; explains itself."""
    nlp = make_pipeline(checkpoint, component, aggregator)
    train(nlp, steps=5)
    nlp.add_pipe("clinbert_evidence", config={"textcats": [component]})
    return nlp


def check(doc, component, text):
    """What holds of every note."""
    assert doc.text == text
    values = numpy.array(list(doc.cats.values()))
    assert set(doc.cats) == {"A", "B"} and numpy.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()
    if not len(doc):
        assert not values.any()
    elif component == "textcat":
        assert values.sum() == pytest.approx(1, abs=1e-4)
    group = doc.spans[EVIDENCE_KEY]
    decisions, rows = group.attrs["decisions"], group.attrs["rows"]
    assert set(decisions) == set(doc.cats) and set(decisions.values()) <= {"yes", "no"}
    # whatever is given is explained, and nothing else
    given = {name for name, said in decisions.items() if said == "yes"}
    assert {row["label"] for row in rows} == given
    assert all(numpy.isfinite(row["drop"]) and 0 <= row["span"] < len(group) for row in rows)
    assert all(0 <= span.start < span.end <= len(doc) for span in group)


@either
@pytest.mark.parametrize("name", INPUTS)
def test_any_note_is_classified_and_explained(checkpoint, component, name):
    text = INPUTS[name]
    check(pipeline(checkpoint, component)(text), component, text)


@either
def test_together_they_are_as_alone(checkpoint, component):
    nlp, texts = pipeline(checkpoint, component), list(INPUTS.values())
    alone = [list(nlp(text).cats.values()) for text in texts]
    docs = list(nlp.pipe(texts, batch_size=5))
    for doc, text in zip(docs, texts):
        check(doc, component, text)
    assert numpy.allclose([list(doc.cats.values()) for doc in docs], alone, atol=1e-5)


@either
def test_any_note_can_be_learned_from(checkpoint, component):
    nlp = make_pipeline(checkpoint, component)
    notes = [(text, NOTES[i % 2][1]) for i, text in enumerate(INPUTS.values())]
    optimizer = nlp.initialize(lambda: make_notes(nlp, notes))
    for _ in range(2):
        losses = nlp.update(make_notes(nlp, notes), sgd=optimizer)
        assert numpy.isfinite(losses[component]) and losses[component] > 0
    for parameter in nlp.get_pipe(component).model.shims[0]._model.parameters():
        assert numpy.isfinite(parameter.detach().numpy()).all()


@either
def test_a_note_of_50_000_words(checkpoint, component, monkeypatch):
    """No word is left out, and what is kept for the gradient does not grow with the note."""
    cut = {"@misc": "clinbert.Passages.v1", "size": SIZE}
    encoder = {"max_train_windows": 4, "window": 60, "context": 0}
    nlp = make_pipeline(checkpoint, component, encoder=encoder, cut=cut)
    nlp.initialize(lambda: make_notes(nlp))
    words = ["the", "patient", "takes", "aspirin", "daily"]
    text = " ".join(words[i % len(words)] for i in range(N_WORDS))
    kept, others = watch_windows(monkeypatch)
    losses = nlp.update(make_notes(nlp, [(text, NOTES[0][1])]), sgd=False)
    assert losses[component] > 0
    assert sum(map(len, kept)) == 4 and sum(others) >= N_WORDS / 60 - 4
    kept.clear()
    nlp.add_pipe("clinbert_evidence", config={"textcats": [component]})
    doc = nlp(text)
    check(doc, component, text)
    assert len(doc) == N_WORDS and not kept
    model = nlp.get_pipe(component).model
    (judged,) = model.attrs["judge"](model, [doc])
    assert len(judged.ranges) == -(-N_WORDS // SIZE) and judged.ranges[-1][1] == N_WORDS


@pytest.mark.parametrize("aggregator", ["Max", "NoisyOr", "Mean"])
def test_what_is_said_twelve_times_is_shown_though_none_is_missed(checkpoint, aggregator):
    """The first occurrence stands for all, as the others would take its place."""
    nlp = trained_pipeline(checkpoint, "textcat_multilabel", aggregator)
    model = nlp.get_pipe("textcat_multilabel").model
    doc = nlp(INPUTS["duplicated"])
    once = nlp(PARAGRAPH)
    assert doc.cats["A"] > 0.5 and once.cats["A"] > 0.5
    (judged,) = model.attrs["judge"](model, [doc])
    drops = judged.whole[0] - judged.without[:, 0]
    assert len(drops) > 12 and abs(drops).max() < 0.1
    explained = nlp.create_pipe("clinbert_evidence", config={"least": 0.1})
    group = explained(doc).spans[EVIDENCE_KEY]
    assert [row["label"] for row in group.attrs["rows"]] == ["A"] and len(group) == 1


@either
def test_a_class_without_an_example(checkpoint, component):
    """It is among the labels, and no note has it: it is not given, and does not spoil others."""
    notes = [(text, {**cats, "C": 0.0}) for text, cats in NOTES]
    nlp = make_pipeline(checkpoint, component)
    train(nlp, notes)
    nlp.add_pipe("clinbert_evidence", config={"textcats": [component]})
    for (_, cats), doc in zip(notes, nlp.pipe([text for text, _ in notes])):
        assert [doc.cats[name] > 0.5 for name in "ABC"] == [bool(cats[name]) for name in "ABC"]
        assert doc.spans[EVIDENCE_KEY].attrs["decisions"]["C"] == "no"
        assert all(row["label"] != "C" for row in doc.spans[EVIDENCE_KEY].attrs["rows"])


def test_a_class_of_which_nothing_is_known_learns_nothing(checkpoint):
    """Neither true nor false of any note, as of a corpus that does not annotate it."""
    nlp = make_pipeline(checkpoint)
    component = "textcat_multilabel"
    nlp.config["initialize"]["components"][component] = {"labels": ["A", "B", "C"]}
    nlp.initialize(lambda: make_notes(nlp))
    nlp.update(make_notes(nlp), sgd=False)
    grad = nlp.get_pipe(component).model.shims[0]._model.output.weight.grad
    assert abs(grad[:2]).max() > 0 and not grad[2].any()
