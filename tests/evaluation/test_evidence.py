"""The deletion test: by hand on a classifier of words, and on pipelines that learned."""

import json
from types import SimpleNamespace

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import SpanGroup

from clinbert_spacy.attributes import EVIDENCE_KEY
from clinbert_spacy.evaluation.documents import Documents, Task
from clinbert_spacy.evaluation.evidence import (
    MEASURES,
    evaluate_evidence,
    find_units,
    plan_trials,
    summarise,
)
from tests.pipeline.toy_evidence import SINGLE, learned

TASK = Task("toy", "signs", ("A", "B"), exclusive=False)
WEIGHTS = {"rash": 0.5, "cough": 0.3}


class Words:
    """Class A by words, class B never; passages are sentences, or the words themselves."""

    labels = ("A", "B")

    def __init__(self, by_words):
        cut = self.words if by_words else self.sentences
        self.model = SimpleNamespace(attrs={"cut": cut})

    def __call__(self, doc):
        doc.cats = {"A": 0.1 + sum(w for x, w in WEIGHTS.items() if x in doc.text), "B": 0.0}
        return doc

    def sentences(self, doc):
        return [(sent.start, sent.end) for sent in doc.sents]

    def words(self, doc):
        return [(token.i, token.i + 1) for token in doc if token.text in WEIGHTS]


class Shown:
    """Shows what holds some words, in their order."""

    def __init__(self, nlp, words):
        self.nlp, self.words, self.textcats = nlp, words, ["words"]

    def __call__(self, doc):
        ranges = self.nlp.get_pipe("words").model.attrs["cut"](doc)
        found = [doc[a:b] for word in self.words for a, b in ranges if word in doc[a:b].text]
        rows = [{"span": i, "label": "A", "drop": 0.25} for i in range(len(found))]
        decisions = {"A": "yes" if doc.cats["A"] >= 0.5 else "no", "B": "no"}
        attrs = {"rows": rows, "decisions": decisions}
        doc.spans[EVIDENCE_KEY] = SpanGroup(doc, attrs=attrs, spans=found)
        return doc


@Language.factory("evidence_test_words")
def make_words(nlp, name, by_words: bool):
    return Words(by_words)


@Language.factory("evidence_test_shown")
def make_shown(nlp, name, words: list):
    return Shown(nlp, words)


def pipeline(words=("rash", "cough"), by_words=False, sentences=True):
    nlp = spacy.blank("en", meta={"name": "toy", "version": "1.2.3"})
    if sentences:
        nlp.add_pipe("sentencizer")
    nlp.add_pipe("evidence_test_words", name="words", config={"by_words": by_words})
    nlp.add_pipe("evidence_test_shown", config={"words": list(words)})
    return nlp


def documents(*texts, groups=None):
    truth = numpy.array([["rash" in text, False] for text in texts])
    return Documents(texts, truth, groups or [f"g{i}" for i in range(len(texts))])


def score(nlp, *texts, groups=None, **config):
    given = documents(*texts, groups=groups)
    return evaluate_evidence(nlp, TASK, given, component="words", **config)


def values(found):
    return {name: found[name]["value"] for name in MEASURES}


NOTE = "Has rash. Has cough. Takes aspirin."


@pytest.mark.parametrize("by_words", [False, True])
def test_by_hand(by_words):
    """Where the passages are words, the sentences that hold them are deleted: the same."""
    found = score(pipeline(by_words=by_words), NOTE, "Takes aspirin.")
    expected = {
        "top": 0.5, "random": 0.15, "difference": 0.35, "above_random": 1.0, "head": 0.25,
        "comprehensiveness": 0.8, "sufficiency": 0.0,
    }  # fmt: skip
    assert values(found) == pytest.approx(expected)
    assert found["labels"] == [{"label": "A", "n": 1, **found["labels"][0]}]
    assert found["labels"][0]["top"] == pytest.approx(0.5)
    counts = ("n_notes", "n_pairs", "n_single", "n_sentences")
    assert [found[name] for name in counts] == [2, 1, 0, int(by_words)]


def test_what_does_not_matter_is_found_out():
    found = values(score(pipeline(["aspirin", "rash"]), NOTE))
    assert found["top"] == 0 and found["random"] == pytest.approx(0.4)
    assert found["difference"] == pytest.approx(-0.4) and found["above_random"] == 0
    # the cough alone was neither shown nor kept
    assert found["comprehensiveness"] == pytest.approx(0.5)
    assert found["sufficiency"] == pytest.approx(0.3)


def test_a_reason_that_stands_twice_is_not_missed_once():
    found = values(score(pipeline(["rash"]), f"{NOTE} The rash itches."))
    assert found["top"] == 0 and found["random"] == pytest.approx(0.1)
    assert found["comprehensiveness"] == pytest.approx(0.5)  # both were shown


def test_several_problems_in_a_sentence_are_deleted_together():
    text = "Has rash and cough. Takes aspirin. Sleeps well."
    found = values(score(pipeline(by_words=True), text))
    assert found["top"] == found["comprehensiveness"] == pytest.approx(0.8)
    assert found["random"] == 0


def test_documents_that_cannot_spare_a_passage_are_left_out():
    found = score(pipeline(), "Has rash.", NOTE, " \n")
    assert (found["n_single"], found["n_pairs"]) == (1, 1)
    with pytest.raises(ValueError, match="decides `yes` of no class") as raised:
        score(pipeline(), "Has rash.", "Takes aspirin.", "")
    assert "rash" not in str(raised.value)


def test_sentences_must_be_known_where_problems_are_deleted():
    nlp = pipeline(by_words=True, sentences=False)
    with pytest.raises(ValueError, match="add 'clinbert_sentences' earlier") as raised:
        score(nlp, NOTE)
    assert "rash" not in str(raised.value)


def test_nobody_explains():
    nlp = pipeline()
    nlp.remove_pipe("evidence_test_shown")
    with pytest.raises(ValueError, match="No clinbert_evidence explains 'words'"):
        score(nlp, NOTE)


def plan(text, draws=5, seed=0, words=("rash",)):
    doc = pipeline(words)(text)
    units = find_units(doc, [(sent.start, sent.end) for sent in doc.sents])
    rng = numpy.random.default_rng(seed)
    (trial,) = plan_trials(doc, ("A", "B"), units, draws, rng)
    return trial


def test_others_are_of_a_similar_length_and_never_drawn_twice():
    long = "Sleeps well and eats well and walks a mile each day now."
    trial = plan(f"Has a rash. {long} Takes aspirin. Is well. {long}")
    assert set(trial.others) == {
        f"Has a rash. {long} Is well. {long}", f"Has a rash. {long} Takes aspirin. {long}"
    }  # fmt: skip
    # there is none half to twice as long
    trial = plan(f"Has a rash. {long} {long} Walks a mile a day and eats well.")
    assert trial.others == [f"Has a rash. {long} {long} "]


def test_the_seed_decides_on_the_draws():
    text = "Has rash. " + " ".join(f"Takes drug{i}." for i in range(20))
    first = plan(text, draws=3)
    assert len(set(first.others)) == 3 and plan(text, draws=3).others == first.others
    assert any(plan(text, draws=3, seed=i).others != first.others for i in (1, 2))
    assert len(plan(text, draws=50).others) == 20
    assert all("rash" in other for other in first.others) and "rash" not in first.top
    assert first.kept == "Has rash. " and first.without == first.top


def test_intervals_are_those_of_groups_whose_pairs_stay_together():
    rng = numpy.random.default_rng(0)
    rows = rng.random((60, len(MEASURES)))
    rows[:, 2] = rows[:, 0] - rows[:, 1]
    apart = summarise(rows, [("A", f"g{i}") for i in range(60)])
    for name in MEASURES:
        assert apart[name]["low"] < apart[name]["value"] < apart[name]["high"]
    # paired: narrower than if the two were drawn apart
    rows[:, 1] = rows[:, 0] - 0.1
    rows[:, 2] = 0.1
    paired = summarise(rows, [("A", f"g{i}") for i in range(60)])["difference"]
    assert paired == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})
    # ten times the same says no more
    copied = summarise(numpy.tile(rows, (10, 1)), [("A", f"g{i}") for i in range(60)] * 10)
    alone = summarise(rows, [("A", f"g{i}") for i in range(60)])
    assert copied["top"] == pytest.approx(alone["top"], abs=1e-4)


def test_the_record_is_plain_and_without_text():
    nlp = pipeline()
    found = score(nlp, NOTE, seed=3, draws=2)
    text = json.dumps(found)
    assert not any(word in text for word in ("rash", "cough", "aspirin"))
    assert found["pipeline"]["version"] == "1.2.3" and found["component"] == "words"
    assert (found["seed"], found["draws"], len(found["data_sha256"])) == (3, 2, 64)
    assert found["data_sha256"] != score(nlp, NOTE, NOTE)["data_sha256"]
    assert nlp.pipe_names[-1] == "evidence_test_shown" and nlp.disabled == []


def test_each_document_is_told():
    told = []
    score(pipeline(), NOTE, "", "Is well.", progress=told.append)
    assert told == [1, 1, 1]


@pytest.mark.parametrize(
    ("component", "aggregator"), [("textcat_multilabel", "NoisyOr"), ("textcat", "Attention")]
)
def test_a_pipeline_that_learned_what_a_class_hangs_on(checkpoint, component, aggregator):
    """Each passage is encoded by itself: deleting it from text or passages is the same."""
    nlp = learned(checkpoint, component, aggregator, True)
    texts = [" ".join(note) for note in SINGLE[:2]]
    classes = tuple(nlp.get_pipe(component).labels)
    task = Task("toy", "rash", classes, exclusive=component == "textcat")
    truth = numpy.array([[name == "rash" for name in classes]] * 2)
    given = Documents(texts, truth, ["a", "b"])
    found = evaluate_evidence(nlp, task, given, component=component)
    assert found["n_pairs"] == 2 and [row["label"] for row in found["labels"]] == ["rash"]
    assert found["above_random"]["value"] == 1 and found["difference"]["low"] > 0.3
    assert found["head"]["value"] == pytest.approx(found["top"]["value"], abs=1e-4)
    assert found["comprehensiveness"]["value"] > 0.5 > 0.1 > abs(found["sufficiency"]["value"])
