"""`clinbert_side_effects`: what it needs, what each key of its config changes, its calibration."""

import pickle

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span

from clinbert_spacy.models.relations import SAID, Judged
from clinbert_spacy.pipeline.calibration import Platt, calibrate
from clinbert_spacy.pipeline.callbacks import configure_keep_entities
from clinbert_spacy.pipeline.candidates import RELATIONS
from tests.toy_relations import (
    FOUND,
    NAME,
    NOTES,
    STOPPED,
    close,
    make_example,
    make_pipeline,
    ready,
    rows,
    said,
    train,
    with_sentences,
)  # fmt: skip

COMPONENT = f"components.{NAME}"


def ask(nlp, text, found):
    """Words of the pairs that a component proposes."""
    doc = with_sentences(nlp, text, found)
    spans = nlp.get_pipe(NAME).ask(doc, doc.ents), doc.spans
    return [tuple(spans[1]["clinbert_relations"][i].text for i in pair[:2]) for pair in spans[0]]


# What it needs


def test_needs_transformer_data(copied):
    doc = copied.get_pipe("clinbert_sentences")(make_example(copied, *STOPPED).predicted)
    with pytest.raises(ValueError, match="No transformer data.*'clinbert_transformer'"):
        copied.get_pipe(NAME)(doc)


def test_needs_sentences(copied):
    doc = copied.get_pipe("clinbert_transformer")(make_example(copied, *STOPPED).predicted)
    with pytest.raises(ValueError, match=f"'{NAME}' reads sentences.*clinbert_sentences"):
        copied.get_pipe(NAME)(doc)
    with pytest.raises(ValueError, match="clinbert_sentences"):
        copied.update([make_example(copied, *STOPPED)])


def test_needs_weights(copied, bare):
    doc = make_example(copied, *STOPPED).predicted
    for name in ("clinbert_sentences", "clinbert_transformer"):
        doc = copied.get_pipe(name)(doc)
    with pytest.raises(ValueError, match="RelationClassifier.v1 has no weights yet"):
        bare.get_pipe(NAME)(doc)


# The config


def test_many_entities_in_one_sentence(copied):
    words = [word for i in range(150) for word in (f"a{i}", f"b{i}")]
    doc = Doc(copied.vocab, words=words, sent_starts=[i == 0 for i in range(300)])
    doc.set_ents([
        Span(doc, i, i + 1, label="DRUG" if i % 2 else ("SYMPTOM", "DISEASE", "TEST")[i // 2 % 3])
        for i in range(300)
    ])  # fmt: skip
    component = copied.get_pipe(NAME)
    pairs = component.ask(doc, doc.ents)
    assert len(pairs) == 150 * 3 * component.most  # and not 150 * 150
    assert {pair.head for pair in pairs} == {i for i in range(300) if i % 2}
    component.threshold, component.most = 0.0, 3
    doc = component(copied.get_pipe("clinbert_transformer")(doc))
    assert len(doc._.clinbert_relations) == 150 * 3 * 3


def test_window_and_most(saved):
    found = [("aspirin", "DRUG"), ("cough", "SYMPTOM"), ("rash", "SYMPTOM")]
    text = "aspirin daily . the patient has cough . denies rash ."

    def asked(**over):
        config = {f"{COMPONENT}.{key}": value for key, value in over.items()}
        return ask(spacy.load(saved, config=config), text, found)

    near, far = ("aspirin", "cough"), ("aspirin", "rash")
    assert asked() == [near, far]
    assert asked(window=1) == [near]
    assert asked(window=0) == []
    assert asked(most=1) == [near]


def test_thresholds(saved):
    def found(**over):
        config = {f"{COMPONENT}.{key}": value for key, value in over.items()}
        return rows(ready(spacy.load(saved, config=config)))

    everything = found(threshold=0.0)
    assert len(everything) == 6 > len(FOUND[0])  # each drug with both symptoms and the strength
    assert found(threshold=1.0) == []
    assert found(thresholds={"TREATS": 1.0}) == FOUND[0][:2]
    assert found(threshold=1.0, thresholds={"TREATS": 0.5}) == FOUND[0][2:]


def test_label_map_and_scorer_of_the_config(saved):
    config = {f"{COMPONENT}.label_map": {"CHEMICAL": "DRUG"}, f"{COMPONENT}.scorer": None}
    nlp = spacy.load(saved, config=config)
    found = [("lisinopril", "CHEMICAL"), ("cough", "SYMPTOM")]
    assert rows(ready(nlp, found=found)) == FOUND[0][:1]
    assert "relations_f" not in nlp.evaluate([make_example(nlp, *STOPPED)])
    assert rows(ready(spacy.load(saved), found=found)) == []


def test_keys_of_the_model(checkpoint):
    def network(**model):
        nlp = make_pipeline(checkpoint, model=model)
        nlp.initialize(lambda: [make_example(nlp, *STOPPED)])
        model = nlp.get_pipe(NAME).model
        return model, model.shims[0]

    model, shim = network()
    assert shim._model.output.in_features == 64 and shim._model.attention.num_heads == 2
    assert shim.lr_scale == 10.0 and model.attrs["said_weight"] == 0.3
    assert model.attrs["rare"] == 0.25
    model, shim = network(hidden=48, heads=4, dropout=0.5, lr_scale=3.0, said_weight=0.0, rare=0.0)
    assert model.attrs["rare"] == 0.0
    assert shim._model.output.in_features == 96 and shim._model.attention.num_heads == 4
    assert shim._model.dropout.p == 0.5 and shim.lr_scale == 3.0
    assert model.attrs["said_weight"] == 0.0


def without_treats(notes):
    return [(text, [link for link in links if link[2] != "TREATS"]) for text, links in notes]


@pytest.fixture(scope="module")
def untreated(checkpoint, tmp_path_factory):
    spacy.util.fix_random_seed(0)
    table = {label: ends for label, ends in RELATIONS.items() if label != "TREATS"}
    nlp = make_pipeline(checkpoint, relations=table)
    train(nlp, without_treats(NOTES), steps=15)
    folder = tmp_path_factory.mktemp("untreated")
    nlp.to_disk(folder)
    return folder


def test_a_relation_that_was_not_trained_is_never_given(untreated):
    nlp = spacy.load(untreated)
    component = nlp.get_pipe(NAME)
    assert "TREATS" not in component.labels and len(component.labels) == len(RELATIONS) - 1
    component.threshold = 0.0
    found = {x[2] for note in NOTES for x in rows(ready(nlp, note))}
    assert found == {"ADVERSE_EFFECT", "HAS_STRENGTH"}


@pytest.mark.parametrize("table", ["more", "turned", "renamed", "other ends"])
def test_weights_of_other_relations_are_refused(untreated, table):
    """Names, and their order: the columns of the weights have no other meaning."""
    config = spacy.util.load_config(untreated / "config.cfg")
    trained = config["components"][NAME]["relations"]
    renamed = {("CAUSES" if k == "ADVERSE_EFFECT" else k): v for k, v in trained.items()}
    config["components"][NAME]["relations"] = {
        "more": RELATIONS,
        "turned": dict(reversed(trained.items())),
        "renamed": renamed,
        "other ends": {**trained, "HAS_FORM": [["DRUG"], ["SHAPE"]]},
    }[table]
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.from_disk(untreated)
    with pytest.raises(ValueError, match="weights of 'clinbert_side_effects' know.*train again"):
        ready(nlp)
    with pytest.raises(ValueError, match="train again"):
        nlp.update([make_example(nlp, *STOPPED)], annotates=["clinbert_sentences"])


@pytest.mark.parametrize(
    "config, match",
    [
        ({"thresholds": {"CAUSES": 0.5}}, r"thresholds for \['CAUSES'\]"),
        ({"relations": {}}, "an empty table"),
        ({"relations": {"CAUSES": [["DRUG"]]}}, "wrong at .*CAUSES"),
        ({"relations": {"CAUSES": [["DRUG"], []]}}, "wrong at .*CAUSES"),
    ],
)
def test_wrong_settings(config, match):
    with pytest.raises(ValueError, match=match):
        spacy.blank("en").add_pipe(NAME, config=config)


def test_other_relations(checkpoint):
    table = {"CAUSES": [["CHEM"], ["PROBLEM"]]}
    nlp = make_pipeline(checkpoint, relations=table)
    assert nlp.get_pipe(NAME).labels == ("CAUSES",)
    found = [("lisinopril", "CHEM"), ("cough", "PROBLEM"), ("fever", "SYMPTOM")]
    assert ask(nlp, "lisinopril gave cough and fever", found) == [("lisinopril", "cough")]


# Calibration


def test_calibration_moves_scores_and_survives(copied, tmp_path):
    before = ready(copied)
    component = copied.get_pipe(NAME)
    assert component.fitted == {}
    # numbers as a fit leaves them, which JSON does not take
    row = Platt(numpy.float32(0.25), numpy.float32(-0.5), numpy.float32(0.625))
    component.fitted = {"ADVERSE_EFFECT": row}
    doc = ready(copied)
    raw, fitted = (x._.clinbert_relations[0].score for x in (before, doc))
    expected = 1 / (1 + numpy.exp(-(0.25 * numpy.log(raw / (1 - raw)) - 0.5)))
    assert fitted == pytest.approx(expected, abs=1e-3) and abs(fitted - raw) > 0.01
    assert close(said(doc)[1:3], said(before)[1:3])  # of other relations
    copied.to_disk(tmp_path)
    other = pickle.loads(pickle.dumps(copied))
    for nlp in (spacy.load(tmp_path), other):
        assert nlp.get_pipe(NAME).fitted == {"ADVERSE_EFFECT": Platt(0.25, -0.5, 0.625)}
        assert close(said(ready(nlp)), said(doc), atol=1e-3)


def test_fitted_thresholds(copied):
    """A relation's own threshold of the config, then the fitted one, then the one for all."""
    component = copied.get_pipe(NAME)
    component.fitted = {"TREATS": Platt(1.0, 0.0, 1.0)}
    assert rows(ready(copied)) == FOUND[0][:2]
    component.threshold = 0.0
    assert ("aspirin", "fever", "TREATS") not in rows(ready(copied))
    component.threshold, component.thresholds = 0.5, {"TREATS": 0.5}
    assert rows(ready(copied)) == FOUND[0]


def test_what_types_forbid_stays_at_zero(bare):
    """Also where a calibration would lift a zero."""
    component = bare.get_pipe(NAME)
    component.fitted = {label: Platt(0.0, 5.0, 0.5) for label in RELATIONS}
    doc = with_sentences(bare, "aspirin 10 mg", [("aspirin", "DRUG"), ("10 mg", "STRENGTH")])
    component.ask(doc, doc.ents)
    scores = numpy.zeros((1, len(RELATIONS)), dtype="float32")
    scores[0, component.labels.index("HAS_STRENGTH")] = 0.2
    said = [numpy.zeros((1, len(names))) for names in SAID]
    judged = Judged(scores, *said, numpy.array([-1]))
    found = component.probabilities(judged)
    assert (found > 0).tolist() == (scores > 0).tolist()
    component.set_annotations([doc], [judged])
    assert rows(doc) == [("aspirin", "10 mg", "HAS_STRENGTH")]


def test_calibration_of_certainties_is_finite():
    found = calibrate(numpy.array([0.0, 0.5, 1.0]), Platt(2.0, 0.5, 0.5))
    assert numpy.isfinite(found).all() and (numpy.diff(found) > 0).all()
    assert found[1] == pytest.approx(1 / (1 + numpy.exp(-0.5)))
    same = numpy.array([0.1, 0.4, 0.9])
    assert calibrate(same, Platt(1.0, 0.0, 0.5)) == pytest.approx(same, abs=1e-6)


def test_keep_entities(make_nlp):
    nlp = make_nlp()
    assert nlp.get_pipe("clinbert_ner").ents_policy != "keep"
    policy = nlp.config["components"]["clinbert_ner"]["ents_policy"]
    assert configure_keep_entities()(nlp) is nlp
    assert nlp.get_pipe("clinbert_ner").ents_policy == "keep"
    assert nlp.config["components"]["clinbert_ner"]["ents_policy"] == policy
    with pytest.raises(KeyError):
        configure_keep_entities("another")(nlp)
