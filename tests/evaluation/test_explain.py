"""Why a pipeline decided so, on toy pipelines in which one word decides."""

import numpy
import pytest
import spacy
import torch
from spacy.tokens import SpanGroup

from clinbert_spacy.evaluation import explain as module
from clinbert_spacy.evaluation.explain import (
    Explainer,
    Explanation,
    Settings,
    choose_windows,
)
from clinbert_spacy.evaluation.explain_items import find_sources, list_items
from tests import toy_relations
from tests.evaluation.toy_explain import (
    WITH,
    WITHOUT,
    classifier,
    explained,
    logit,
    tagger,
    total,
)
from tests.models.toy_graph import write_graph
from tests.models.toy_textcat import COMPONENTS, make_pipeline, only

either = pytest.mark.parametrize("component", COMPONENTS)


@pytest.fixture
def ner(make_nlp, make_examples, checkpoint):
    return _ner(make_nlp, make_examples, checkpoint)


TAGGERS = {}


def _ner(make_nlp, make_examples, checkpoint):
    if checkpoint not in TAGGERS:
        TAGGERS[checkpoint] = tagger(make_nlp, make_examples)
    return TAGGERS[checkpoint]


def assert_complete(found):
    difference = found.score - found.baseline
    assert total(found) - difference == pytest.approx(found.delta, abs=1e-3)
    assert abs(found.delta) < 0.02 * max(1.0, abs(difference)) and not found.is_rough


# Classes


@either
def test_what_words_add_to_a_class_is_all_of_the_difference(checkpoint, component):
    nlp = classifier(checkpoint, component)
    for text in WITH:
        doc = nlp(text)
        (found,) = explained(nlp, doc)
        assert (found.kind, found.label, found.component) == ("classes", "rash", component)
        assert found.probability == pytest.approx(doc.cats["rash"])
        assert found.score == pytest.approx(logit(doc.cats["rash"]), abs=1e-2)
        assert abs(found.score - found.baseline) > 1.0
        assert_complete(found)


@either
def test_the_score_falls_most_without_the_word_that_decides(checkpoint, component):
    nlp = classifier(checkpoint, component)
    for text in WITH:
        doc = nlp(text)
        (found,) = explained(nlp, doc)
        falls = []
        for i in range(len(doc)):
            shorter = nlp(" ".join(token.text for token in doc if token.i != i))
            falls.append(found.score - logit(shorter.cats["rash"]))
        best = int(numpy.argmax([word.value for word in found.words]))
        assert doc[best].text == "rash"
        assert falls[best] > 1.0 + numpy.mean(falls[:best] + falls[best + 1 :])


@either
def test_classes_decided_no_are_explained_if_somebody_asks(checkpoint, component):
    nlp = classifier(checkpoint, component)
    doc = nlp(WITHOUT[0])
    assert [found.label for found in explained(nlp, doc)] == ["none"]
    (found,) = explained(nlp, doc, labels=["rash"])
    assert found.label == "rash" and found.score < 0
    (found,) = explained(nlp, nlp(WITH[0]), labels=["none"])
    assert min(found.words, key=lambda word: word.value).start == WITH[0].index("rash")


def test_classes_by_a_fitted_limit(checkpoint, monkeypatch):
    nlp = classifier(checkpoint, "textcat_multilabel")
    doc = nlp(WITH[0])
    (source,) = find_sources(nlp)
    number = source.labels.index("rash")
    assert [item.label for item in list_items(source, doc)] == ["rash"]
    limits = [[0.5, 0.5]] * len(source.labels)
    limits[number] = [0.5, 1.1]  # unsure up to there
    monkeypatch.setitem(source.pipe.model.attrs, "limits", limits)
    assert [item.label for item in list_items(source, doc)] == []


def test_of_a_long_note_only_some_windows_are_read(checkpoint):
    nlp = classifier(checkpoint, "textcat_multilabel")
    doc = nlp(" ".join([WITHOUT[0]] * 5 + [WITH[0]] + [WITHOUT[2]] * 5))
    settings = {n: Settings(steps=96, max_windows=n) for n in (2, 99)}
    some, whole = (explained(nlp, doc, settings[n], labels=["rash"])[0] for n in sorted(settings))
    for found in (some, whole):
        assert_complete(found)
    assert len(some.windows) == 2 < some.n_windows == len(whole.windows)
    assert some.score == whole.score and some.baseline != whole.baseline
    inside = [any(a <= w.start < w.end <= b for a, b in some.windows) for w in some.words]
    assert all(inside) and len(some.words) < len(whole.words) == len(doc)
    assert doc.text[slice(*whole.windows[0])].startswith(doc[0].text)


def test_windows_are_chosen_by_weight_and_read_in_order():
    weights = numpy.array([0.0, 3.0, 1.0, 9.0])
    assert choose_windows(weights, 2) == [1, 3]
    assert choose_windows(weights, 9) == [1, 2, 3]
    assert choose_windows(numpy.zeros(3), 2) == [0]


# Entities


def test_what_words_add_to_entities_is_all_of_the_difference(ner):
    nlp, texts = ner
    for text in texts:
        doc = nlp(text)
        found = explained(nlp, doc)
        expected = [(e.start_char, e.end_char, e.label_) for e in doc.ents]
        assert [(*one.places[0], one.label) for one in found] == expected and expected
        for one in found:
            assert_complete(one)
            assert one.score > 0


def test_the_score_of_an_entity_is_the_log_odds_of_its_tags(ner):
    nlp, texts = ner
    doc = nlp(texts[0])
    pipe = nlp.get_pipe("clinbert_ner")
    tagging = pipe.model.predict([doc])
    shares = torch.from_numpy(tagging.scores[0]).double().softmax(1).numpy()
    for found, entity in zip(explained(nlp, doc), doc.ents):
        first = 1 + 4 * pipe.labels.index(entity.label_)
        rows = [tagging.tokens[0].tolist().index(token.i) for token in entity]
        own = shares[rows, first : first + 4].sum(1)
        assert found.score == pytest.approx(sum(map(logit, own.tolist())), rel=1e-2)


def test_labels_choose_entities(ner):
    nlp, texts = ner
    doc = nlp(texts[0])
    found = explained(nlp, doc, labels=["STRENGTH"])
    assert [doc.text[slice(*one.places[0])] for one in found] == ["10 mg"]


def test_an_entity_reads_the_window_that_owns_it(ner):
    nlp, texts = ner
    doc = nlp(" ".join(texts * 4))
    assert doc._.clinbert_coverage["windows"] > 3
    for one in explained(nlp, doc, Settings(steps=4)):
        assert 1 <= len(one.windows) <= 2 < one.n_windows
        assert any(a <= one.places[0][0] < b for a, b in one.windows)


def test_memory_that_holds_one_window_gives_the_same(ner, monkeypatch):
    nlp, texts = ner
    doc = nlp(" ".join(texts * 2))
    model = nlp.get_pipe("clinbert_transformer").model
    found = {}
    for size in (4096, 1):
        monkeypatch.setitem(model.attrs, "batch_pieces", size)
        found[size] = explained(nlp, doc, Settings(steps=8))
    for one, other in zip(found[1], found[4096]):
        values = [[word.value for word in x.words] for x in (one, other)]
        assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_an_encoder_of_its_own_explains_the_same(ner):
    nlp, texts = ner
    expected = explained(nlp, nlp(texts[0]), Settings(steps=8))
    alone = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    alone.replace_listeners("clinbert_transformer", "clinbert_ner", ["model.tok2vec"])
    alone.remove_pipe("clinbert_transformer")
    found = explained(alone, alone(texts[0]), Settings(steps=8))
    for one, other in zip(found, expected, strict=True):
        values = [[word.value for word in x.words] for x in (one, other)]
        assert values[0] == pytest.approx(values[1], abs=1e-3)


def test_nothing_is_changed(ner):
    nlp, texts = ner
    doc = nlp(texts[0])
    networks = [pipe.model.shims[0]._model for _, pipe in nlp.pipeline]
    for network in networks:
        network.zero_grad()
    before, weights = doc.to_bytes(exclude=["user_data"]), nlp.to_bytes()
    explained(nlp, doc, Settings(steps=4))
    assert doc.to_bytes(exclude=["user_data"]) == before and nlp.to_bytes() == weights
    assert all(w.grad is None for network in networks for w in network.parameters())


def test_what_the_lexicon_adds_is_part_of_the_difference(make_nlp, make_examples, tmp_path):
    graph = write_graph(tmp_path / "graph")
    block = {"@architectures": "clinbert.KnowledgeFusion.v1", "graph": str(graph)}
    nlp = make_nlp(knowledge=block)
    nlp.initialize(lambda: make_examples(nlp))
    for weight in nlp.get_pipe("clinbert_transformer").model.shims[0]._model.knowledge.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # zeros would hide what is told
    doc = nlp("denies fever , takes aspirin")
    spans = [spacy.tokens.Span(doc, 4, 5, label="DRUG")]
    doc.spans["clinbert_ents"] = SpanGroup(doc, attrs={"scores": [0.5]}, spans=spans)
    (found,) = explained(nlp, doc)
    assert_complete(found)
    lexicon = [word.lexicon for word in found.words]
    assert lexicon[:4] == [0.0] * 4 and abs(lexicon[4]) > 1e-3
    assert found.words[4].value != lexicon[4]


# Relations


def test_what_words_add_to_relations_is_all_of_the_difference(checkpoint):
    nlp = toy_relations.trained_pipeline(checkpoint)
    doc = toy_relations.ready(nlp)
    found = explained(nlp, doc)
    assert [(one.label, *one.places) for one in found] == [
        (x.label, (x.head.start_char, x.head.end_char), (x.tail.start_char, x.tail.end_char))
        for x in doc._.clinbert_relations
    ]
    assert len(found) == 3
    for one, relation in zip(found, doc._.clinbert_relations):
        assert one.score == pytest.approx(logit(relation.score), abs=2e-2)
        assert_complete(one)


def test_relations_leave_the_answers_on_the_note(checkpoint):
    nlp = toy_relations.trained_pipeline(checkpoint)
    doc = toy_relations.ready(nlp)
    before = toy_relations.said(doc)
    explained(nlp, doc, Settings(steps=2))
    assert toy_relations.said(doc) == before
    assert "pairs" not in doc.spans["clinbert_relations"].attrs


def test_relations_of_entities_that_are_gone_are_refused(checkpoint):
    nlp = toy_relations.trained_pipeline(checkpoint)
    doc = toy_relations.ready(nlp)
    doc.set_ents(list(doc.ents)[1:])
    (source,) = find_sources(nlp)
    with pytest.raises(ValueError, match="entities were changed after it") as error:
        list_items(source, doc)
    assert "lisinopril" not in str(error.value)


# What cannot be explained


def test_notes_without_anything_have_no_items(ner, checkpoint):
    nlp = ner[0]
    for text in ("", " \n ", "the"):
        assert explained(nlp, nlp(text)) == []
    nlp = classifier(checkpoint, "textcat")
    for text in ("", " "):
        assert explained(nlp, nlp(text), labels=["rash"]) == []


def test_notes_without_passages_have_no_classes(checkpoint):
    nlp = make_pipeline(checkpoint)
    for label in ("A", "B"):
        nlp.get_pipe("textcat_multilabel").add_label(label)
    nlp.initialize()
    model = nlp.get_pipe("textcat_multilabel").model
    model.attrs["cut"] = only([])
    doc = nlp("no rash")
    assert explained(nlp, doc, labels=["A"]) == []
    with pytest.raises(ValueError, match="has no passage that is classified"):
        model.attrs["explain"](model, doc, 0)


def test_unknown_labels_are_named_with_the_known_ones(ner):
    with pytest.raises(ValueError, match="No label 'FOO' among .*DISEASE, DRUG, STRENGTH"):
        find_sources(ner[0], labels=["DRUG", "FOO"])


@pytest.mark.parametrize(
    ("kinds", "message"), [(["classes"], "decides on classes"), (["x"], "Cannot explain x")]
)
def test_kinds_that_are_not_there(ner, kinds, message):
    with pytest.raises(ValueError, match=message):
        find_sources(ner[0], kinds)


def test_a_pipeline_that_decides_nothing():
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("textcat")  # spaCy's own model
    with pytest.raises(ValueError, match=r"decides on anything .*runs: sentencizer, textcat"):
        find_sources(nlp)


def test_a_component_on_another_encoder(make_nlp, make_examples):
    config = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 8,
              "depth": 1, "embed_size": 50, "window_size": 1, "maxout_pieces": 2,
              "subword_features": True}  # fmt: skip
    tagger_block = {"@architectures": "clinbert.TokenTagger.v1", "tok2vec": config}
    nlp = make_nlp({"model": tagger_block})
    nlp.initialize(lambda: make_examples(nlp))
    doc = nlp("has rash")
    doc.spans["clinbert_ents"] = SpanGroup(
        doc, attrs={"scores": [0.5]}, spans=[spacy.tokens.Span(doc, 1, 2, label="DRUG")]
    )
    with pytest.raises(ValueError, match="'clinbert_ner' does not read a clinbert.Clinical"):
        explained(nlp, doc)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(steps=1), "steps = 1"),
        (Settings(max_windows=0), "max_windows = 0"),
        (Settings(baseline="zero"), "'zero' is not one of pad, mask"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Explainer(spacy.blank("en"), None, settings)


def test_without_captum_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install the extra `explain`.*clinbert-spacy\[explain\]"):
        Settings().check()


def test_rough_is_what_misses_much_of_the_difference():
    rest = ((), ((0, 4),), 1, ())
    for score, baseline, delta, rough in (
        (2.0, 0.0, 0.09, False), (2.0, 0.0, -0.11, True), (0.0, 0.0, 0.009, False),
        (0.0, 0.0, 0.011, True),
    ):  # fmt: skip
        found = Explanation("x", "x", "x", 0.5, rest[0], score, baseline, delta, *rest[1:])
        assert found.is_rough is rough
