"""`clinbert_evidence`: on invented notes whose classes hang on one passage each."""

import pickle

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin

from clinbert_spacy.attributes import EVIDENCE_KEY
from clinbert_spacy.models.textcat import Passages
from clinbert_spacy.pipeline.evidence import Evidence
from tests.models.toy_textcat import make_pipeline, only, train
from tests.pipeline.toy_evidence import (
    BOTH,
    DRUG,
    FEVER,
    NOTES,
    OTHER,
    PAST,
    RASH,
    SHOWS,
    SINGLE,
    TEXTS,
    cats_of,
    double,
    learned,
    shown,
    two_classifiers,
    written,
)


@pytest.fixture
def nlp(checkpoint):
    return double(checkpoint)


@pytest.fixture
def copied(checkpoint):
    """A copy to change."""
    return pickle.loads(pickle.dumps(double(checkpoint)))


# What is found


by_one_passage = pytest.mark.parametrize(
    ("component", "aggregator", "alone"),
    [
        ("textcat_multilabel", "MaxMean", True),
        ("textcat_multilabel", "NoisyOr", True),
        ("textcat_multilabel", "NoisyOr", False),
        ("textcat_multilabel", "Attention", True),
        ("textcat", "Attention", True),
    ],
)


@by_one_passage
def test_the_passage_that_a_class_hangs_on(checkpoint, component, aggregator, alone):
    nlp = learned(checkpoint, component, aggregator, alone)
    for note in SINGLE:
        doc = nlp(" ".join(note))
        decisions = doc.spans[EVIDENCE_KEY].attrs["decisions"]
        assert decisions["rash"] == ("yes" if RASH in note else "no")
        if RASH in note:
            assert shown(doc)["rash"][0] == RASH
        else:
            assert "rash" not in shown(doc)


@by_one_passage
def test_deleting_it_from_the_text_lowers_the_score_most(checkpoint, component, aggregator, alone):
    """The encoder reads the shorter note anew: what was shown is what the model went by."""
    nlp = learned(checkpoint, component, aggregator, alone)
    for note in SINGLE[:2]:
        doc = nlp(" ".join(note))
        drops = {}
        for passage in note:
            rest = nlp(" ".join(other for other in note if other != passage))
            drops[passage] = doc.cats["rash"] - rest.cats["rash"]
        first = shown(doc)["rash"][0]
        assert all(drops[first] > drop + 0.3 for p, drop in drops.items() if p != first)
        if alone:  # no neighbour knows of it: deleting it from text or passages is the same
            row = doc.spans[EVIDENCE_KEY].attrs["rows"][0]
            assert row["drop"] == pytest.approx(drops[first], abs=1e-4)


def test_two_classifiers_at_once(nlp):
    for doc, note in zip(nlp.pipe(TEXTS), NOTES):
        assert shown(doc) == {name: [p] for name, p in SHOWS.items() if p in note}
        decisions = doc.spans[EVIDENCE_KEY].attrs["decisions"]
        assert decisions == {n: "yes" if p in note else "no" for n, p in SHOWS.items()}


def test_spans_in_the_order_of_the_note_and_drops_that_are_true(nlp):
    doc = nlp(TEXTS[2])
    group = doc.spans[EVIDENCE_KEY]
    assert [span.text for span in group] == [FEVER, RASH]
    found = [(row["label"], row["span"]) for row in group.attrs["rows"]]
    assert found == [("rash", 1), ("fever", 0)]
    for row in group.attrs["rows"]:
        model = nlp.get_pipe(f"{row['label']}_classifier").model
        span, cut = group[row["span"]], model.attrs["cut"]
        model.attrs["cut"] = only([r for r in cut(doc) if r != (span.start, span.end)])
        without = float(model.predict([doc])[0, 0])
        model.attrs["cut"] = cut
        assert row["drop"] == pytest.approx(doc.cats[row["label"]] - without, abs=1e-5)


def test_running_again_writes_the_same(nlp):
    doc = nlp(TEXTS[0])
    before = written(doc)
    assert written(nlp.get_pipe("clinbert_evidence")(doc)) == before


# Settings


def test_textcats_are_those_that_are_explained(nlp):
    doc = nlp(TEXTS[2])
    for name, passage in SHOWS.items():
        doc = Evidence(nlp, textcats=[f"{name}_classifier"])(doc)
        assert shown(doc) == {name: [passage]}
        assert doc.spans[EVIDENCE_KEY].attrs["decisions"] == {name: "yes"}
    doc = Evidence(nlp, textcats=[])(doc)
    assert written(doc) == ([], {"rows": [], "decisions": {}})


DROPS = [0.3, 0.02, 0.5, -0.1, 0.3]


@pytest.fixture
def judged(copied):
    """A note of five passages whose drops are known."""
    doc = copied(" ".join([DRUG, OTHER, RASH, PAST, FEVER]))
    whole = numpy.array([0.6], dtype="float32")
    ranges = [(i, i + 4) for i in range(0, 20, 4)]
    without = whole - numpy.array([DROPS], dtype="float32").T
    alone = numpy.array([[5, 1, 2, 0, 1]], dtype="float32").T
    given = Passages(ranges, alone, without, whole)
    copied.get_pipe("rash_classifier").model.attrs["judge"] = lambda model, docs: [given]
    doc.cats["rash"] = 0.6
    return copied, doc


def drops_of(nlp, doc, **config):
    group = Evidence(nlp, textcats=["rash_classifier"], **config)(doc).spans[EVIDENCE_KEY]
    return [(group[row["span"]].start // 4, round(row["drop"], 3)) for row in group.attrs["rows"]]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [2, 0, 4]),
        ({"most": 1}, [2]),
        ({"most": 2}, [2, 0]),  # of equal ones the first
        ({"most": 9}, [2, 0, 4, 1]),
        ({"most": 9, "least": 0.1}, [2, 0, 4]),
        ({"least": 0.4}, [2]),
        ({"least": 0.9}, [0]),  # nothing is missed by itself: what says it best alone
        ({"most": 9, "least": 0.0}, [2, 0, 4, 1]),  # what speaks against is no evidence
    ],
)
def test_most_and_least(judged, config, expected):
    assert drops_of(*judged, **config) == [(i, DROPS[i]) for i in expected]


@pytest.mark.parametrize("config", [{"most": 0}, {"least": -0.1}, {"least": 1.0}])
def test_settings_that_cannot_be(nlp, config):
    with pytest.raises(ValueError, match="most = .*least = .*expected at least 1"):
        Evidence(nlp, **config)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [([0.5, 0.55], "yes"), ([0.5, 0.7], "unsure"), ([0.65, 0.7], "no"), (None, "yes")],
)
def test_limits_decide_and_what_is_decided_no_has_no_rows(judged, limits, expected):
    nlp, doc = judged
    nlp.get_pipe("rash_classifier").model.attrs["limits"] = [limits]
    assert bool(drops_of(nlp, doc)) == (expected != "no")
    assert doc.spans[EVIDENCE_KEY].attrs["decisions"] == {"rash": expected}


@pytest.mark.parametrize(("threshold", "expected"), [(0.61, "no"), (0.59, "yes"), (None, "yes")])
def test_the_threshold_of_the_classifier_decides_without_limits(judged, threshold, expected):
    nlp, doc = judged
    nlp.get_pipe("rash_classifier").cfg["threshold"] = threshold
    drops_of(nlp, doc)
    assert doc.spans[EVIDENCE_KEY].attrs["decisions"] == {"rash": expected}


def test_calibration_counts(copied):
    rule = {"method": "temperature", "temperature": 1.0, "shift": -30.0}
    copied.get_pipe("rash_classifier").model.attrs["rules"] = [rule]
    doc = copied(TEXTS[2])
    assert doc.spans[EVIDENCE_KEY].attrs["decisions"] == {"rash": "no", "fever": "yes"}
    assert shown(doc) == {"fever": [FEVER]}


# Notes with nothing in them


def test_an_empty_note(nlp):
    nothing = ([], {"rows": [], "decisions": {"rash": "no", "fever": "no"}})
    assert written(nlp("")) == nothing
    docs = list(nlp.pipe(["", TEXTS[1], ""]))
    assert written(docs[0]) == written(docs[2]) == nothing and shown(docs[1]) == {"rash": [RASH]}


def test_a_note_without_passages(copied):
    for name in SHOWS:
        copied.get_pipe(f"{name}_classifier").model.attrs["cut"] = only([])
    for doc in (copied(TEXTS[0]), *copied.pipe(TEXTS)):
        assert written(doc) == ([], {"rows": [], "decisions": {"rash": "no", "fever": "no"}})


def test_a_note_of_a_single_passage_hangs_on_it(nlp):
    doc = nlp(RASH)
    assert shown(doc) == {"rash": [RASH]}
    drop = doc.spans[EVIDENCE_KEY].attrs["rows"][0]["drop"]
    assert drop == pytest.approx(doc.cats["rash"], abs=1e-5)


# Errors name the remedy


def fails(nlp, message, text=TEXTS[0]):
    with pytest.raises(ValueError, match=message) as found:
        nlp(text)
    assert "fever and" not in str(found.value)


def test_an_unknown_component(copied):
    copied.get_pipe("clinbert_evidence").textcats = ["textcat"]
    fails(copied, "'textcat', and the pipeline has none among .*rash_classifier.*set `textcats`")


def test_the_default_is_spacys_name(checkpoint):
    nlp = make_pipeline(checkpoint)
    assert nlp.add_pipe("clinbert_evidence").textcats == ["textcat_multilabel"]


@pytest.mark.parametrize("component", ["textcat", "textcat_multilabel"])
def test_another_architecture(component):
    nlp = spacy.blank("en")
    bow = {"@architectures": "spacy.TextCatBOW.v3", "ngram_size": 1, "no_output_layer": False}
    nlp.add_pipe(component, config={"model": {**bow, "exclusive_classes": component == "textcat"}})
    nlp.add_pipe("clinbert_evidence", config={"textcats": [component]})
    train(nlp, [(text, cats_of(note)) for text, note in zip(TEXTS[:2], NOTES)], steps=1)
    fails(nlp, f"clinbert.LongTextCat.v1, and '{component}' has another model.*`textcats`")


def test_a_component_without_a_model(copied):
    copied.add_pipe("sentencizer")
    copied.get_pipe("clinbert_evidence").textcats = ["sentencizer"]
    fails(copied, "'sentencizer' has another model")


def test_classes_that_nobody_gave_yet(copied):
    copied.disable_pipe("fever_classifier")
    fails(copied, "explains 'fever_classifier', and doc.cats is not.*let it run after")
    copied.enable_pipe("fever_classifier")
    copied.remove_pipe("clinbert_evidence")
    copied.add_pipe("clinbert_evidence", before="rash_classifier", config=BOTH)
    fails(copied, "explains 'rash_classifier', and doc.cats is not")


# Travelling


def test_pipe_equals_call(nlp):
    texts = [*TEXTS, "", " \n", RASH, "aspirin " * 50]
    alone = [written(nlp(text)) for text in texts]
    for size in (1, 2, 7):
        assert [written(doc) for doc in nlp.pipe(texts, batch_size=size)] == alone


def test_in_processes(nlp):
    texts = [*TEXTS, ""]
    alone = [written(nlp(text)) for text in texts]
    assert [written(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=2)] == alone


@pytest.mark.parametrize("user_data", [False, True])
def test_documents_on_disk_keep_it(nlp, tmp_path, user_data):
    docs = list(nlp.pipe([*TEXTS, ""]))
    DocBin(docs=docs, store_user_data=user_data).to_disk(tmp_path / "notes.spacy")
    copies = list(DocBin().from_disk(tmp_path / "notes.spacy").get_docs(spacy.blank("en").vocab))
    assert [written(doc) for doc in copies] == [written(doc) for doc in docs]
    assert [shown(doc) for doc in copies] == [shown(doc) for doc in docs]
    copy = Doc(spacy.blank("en").vocab).from_bytes(docs[0].to_bytes(exclude=["user_data"]))
    assert written(copy) == written(docs[0])


def test_pipelines_on_disk_and_pickled(nlp, copied, tmp_path):
    nlp.to_disk(tmp_path)
    fresh = two_classifiers("no/such/folder")
    fresh.add_pipe("clinbert_evidence", config=BOTH)
    expected = [shown(nlp(text)) for text in TEXTS]
    for other in (copied, spacy.load(tmp_path), fresh.from_disk(tmp_path)):
        evidence = other.get_pipe("clinbert_evidence")
        assert evidence.nlp is other and (evidence.most, evidence.least) == (3, 0.01)
        assert [shown(doc) for doc in other.pipe(TEXTS)] == expected


def test_settings_travel(copied, tmp_path):
    config = {"textcats": ["rash_classifier"], "most": 1, "least": 0.4}
    copied.remove_pipe("clinbert_evidence")
    copied.add_pipe("clinbert_evidence", name="why", config=config)
    copied.to_disk(tmp_path)
    evidence = spacy.load(tmp_path).get_pipe("why")
    assert {name: getattr(evidence, name) for name in config} == config


def test_sourced_with_all_that_it_needs(nlp, copied, tmp_path):
    target = spacy.blank("en")
    target.add_pipe("sentencizer")
    for name in copied.pipe_names:
        target.add_pipe(name, source=copied)
    expected = [shown(nlp(text)) for text in TEXTS]
    assert [shown(doc) for doc in target.pipe(TEXTS)] == expected
    target.to_disk(tmp_path)
    assert [shown(doc) for doc in spacy.load(tmp_path).pipe(TEXTS)] == expected


def test_sourced_beside_other_classifiers_it_does_not_explain_the_old_ones(checkpoint, copied):
    target = two_classifiers(checkpoint)
    train(target, [(text, {"rash": 0.0, "fever": 0.0}) for text in TEXTS], steps=1)
    target.add_pipe("clinbert_evidence", source=copied)
    fails(target, r"add it by add_pipe\('clinbert_evidence'\)")
    target.remove_pipe("clinbert_evidence")
    target.add_pipe("clinbert_evidence", config=BOTH)
    nothing = {"rows": [], "decisions": {"rash": "no", "fever": "no"}}
    assert written(target(TEXTS[0])) == ([], nothing)
