"""Long notes are taken after a reload too; entities that are there stay there."""

import pytest
import spacy
from spacy.lang.en import English
from spacy.tokens import Span
from spacy.util import registry

from clinbert_spacy.pipeline.callbacks import configure_keep_entities, configure_max_length

CONFIG = {"nlp": {"after_pipeline_creation": {"@callbacks": "clinbert.max_length.v1"}}}


def test_the_limit_survives_saving(tmp_path):
    nlp = English.from_config(CONFIG)
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).max_length == nlp.max_length == 10_000_000
    assert len(spacy.load(tmp_path).make_doc("fever\n" * 200_000).text) == 1_200_000


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="characters = 0"):
        configure_max_length(0)


def texts(doc):
    return [(entity.text, entity.label_) for entity in doc.ents]


def laid(nlp, example):
    """A note with an entity, read by a pipeline."""
    doc = nlp.make_doc(example.text)
    doc.set_ents([Span(doc, 2, 6, label="OLD")])
    return nlp(doc)


def test_entities_are_kept_in_training_alone(make_nlp, make_examples, tmp_path):
    nlp = make_nlp()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.005
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    found = texts(nlp(examples[0].text))
    assert len(found) == 3 and texts(laid(nlp, examples[0])) == found
    callback = {"@callbacks": "clinbert.keep_entities.v1"}
    assert registry.resolve({"call": callback})["call"](nlp) is nlp
    # the one that was there, and what was found beside it
    kept = texts(laid(nlp, examples[0]))
    assert [label for _, label in kept] == ["OLD", found[-1][1]] and kept[1] == found[-1]
    nlp.to_disk(tmp_path)
    saved = spacy.load(tmp_path)
    assert saved.config["components"]["clinbert_ner"]["ents_policy"] == "replace"
    assert texts(laid(saved, examples[0])) == found


def test_the_finder_has_another_name(make_nlp):
    nlp = make_nlp()
    nlp.rename_pipe("clinbert_ner", "finder")
    configure_keep_entities("finder")(nlp)
    assert nlp.get_pipe("finder").ents_policy == "keep"
    with pytest.raises(KeyError, match="clinbert_ner"):
        configure_keep_entities()(nlp)
