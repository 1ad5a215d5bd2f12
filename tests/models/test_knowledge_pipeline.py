"""A pipeline with a lexicon in its encoder: trained, resumed, saved, packaged."""

import json
import pickle
import shutil

import numpy
import pytest
import spacy
from spacy.util import registry

from clinbert_spacy.evaluation.benchmark import benchmark
from clinbert_spacy.evaluation.knowledge_off import knowing_models, without_knowledge
from clinbert_spacy.evaluation.speed_sets import SpeedSet
from clinbert_spacy.training.loop import train
from clinbert_spacy.training.packaging import build_package
from clinbert_spacy.training.state import get_weights
from tests.models.toy_graph import write_graph
from tests.training.test_card import GIVEN
from tests.training.toy_training import toy_config


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return write_graph(tmp_path_factory.mktemp("graph"))


def block_of(graph, **settings):
    return {"@architectures": "clinbert.KnowledgeFusion.v1", "graph": str(graph), **settings}


@pytest.fixture
def pipeline(make_nlp, make_examples, graph, tmp_path):
    """A pipeline with knowledge that has learned two notes by heart, its graph gone."""
    folder = shutil.copytree(graph, tmp_path / "graph")
    nlp = make_nlp(knowledge=block_of(folder))
    examples = make_examples(nlp)[:2]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.003
    for _ in range(40):
        nlp.update(examples, sgd=False)
        for _, proc in nlp.pipeline:
            proc.finish_update(optimizer)
    shutil.rmtree(folder)
    return nlp, examples


def ents(doc):
    return [(ent.text, ent.label_) for ent in doc.ents]


def test_a_pipeline_learns_two_notes_saves_and_loads(pipeline, tmp_path):
    nlp, examples = pipeline
    texts = [example.text for example in examples]
    expected = [ents(example.reference) for example in examples]
    assert [ents(nlp(text)) for text in texts] == expected
    assert [ents(doc) for doc in nlp.pipe(texts)] == expected
    assert [ents(doc) for doc in nlp.pipe([*texts, ""], n_process=2)] == [*expected, []]
    assert [ents(pickle.loads(pickle.dumps(nlp))(text)) for text in texts] == expected
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved")
    assert [ents(loaded(text)) for text in texts] == expected
    again = spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert [ents(again(text)) for text in texts] == expected


def test_replaced_listeners_keep_the_knowledge(pipeline, tmp_path):
    nlp, examples = pipeline
    expected = ents(nlp(examples[0].text))
    nlp.replace_listeners("clinbert_transformer", "clinbert_ner", ["model.tok2vec"])
    nlp.remove_pipe("clinbert_transformer")
    assert ents(nlp(examples[0].text)) == expected
    nlp.to_disk(tmp_path / "alone")
    alone = spacy.load(tmp_path / "alone")
    assert ents(alone(examples[0].text)) == expected
    names = {node.name for node in alone.get_pipe("clinbert_ner").model.walk()}
    assert "knowledge_fusion" in names


def test_the_card_names_the_sources_of_the_graph(pipeline, tmp_path):
    nlp, _ = pipeline
    nlp.to_disk(tmp_path / "model")
    wheel = build_package(tmp_path / "model", tmp_path, name="en_k", version="1.0", meta=GIVEN)
    shutil.unpack_archive(wheel, tmp_path / "wheel", "zip")
    (saved,) = (tmp_path / "wheel" / "en_k").glob("en_k-*")
    meta = json.loads((saved / "meta.json").read_text("utf8"))
    assert [source["name"] for source in meta["sources"]][-1] == "Toy Ontology 2026"
    assert meta["sources"][-1]["license"] == "CC0 1.0"
    assert "| Toy Ontology 2026 | CC0 1.0 | written" in (saved / "README.md").read_text("utf8")
    assert "Toy Ontology 2026\n  CC0 1.0" in (saved / "LICENSES_SOURCES").read_text("utf8")
    assert str(tmp_path) not in (saved / "config.cfg").read_text("utf8")
    assert ents(spacy.load(saved)("no rash")) == ents(nlp("no rash"))


def test_knowledge_can_be_switched_off_to_be_timed(pipeline):
    nlp, examples = pipeline
    expected = ents(nlp(examples[0].text))
    lexicon = nlp.get_pipe("clinbert_transformer").model.layers[0].shims[0].lexicon
    looked_up = []
    find, lexicon.find = lexicon.find, lambda words: looked_up.append(1) or find(words)
    run = without_knowledge(nlp, lambda: nlp(examples[0].text))
    run()
    assert not looked_up and knowing_models(nlp)
    assert ents(nlp(examples[0].text)) == expected and looked_up
    notes = SpeedSet("ordinary", ["takes aspirin for hypertension"])
    chosen = ["pipeline", "text-alone"]
    (found,) = benchmark(nlp, [notes], n_rounds=1, contenders=chosen)["sets"]
    assert [row["name"] for row in found["rows"]] == ["pipeline", "without knowledge"]


def test_a_config_without_knowledge_is_filled_with_none(make_nlp):
    nlp = make_nlp()
    assert nlp.config["components"]["clinbert_transformer"]["model"].get("knowledge") is None
    assert not nlp.get_pipe("clinbert_transformer").model.layers


def test_a_graph_that_may_not_be_passed_on_does_not_ship(pipeline, tmp_path):
    nlp, _ = pipeline
    fusion = nlp.get_pipe("clinbert_transformer").model.layers[0]
    closed = {"name": "Closed", "licence": "by contract", "redistributable": False}
    fusion.attrs["sources"] = [closed]
    nlp.to_disk(tmp_path / "model")
    with pytest.raises(ValueError, match="Source Closed .* not allowed in weights that ship"):
        build_package(tmp_path / "model", tmp_path, name="en_k", version="1.0", meta=GIVEN)


class Killed(Exception):
    pass


def kill(info):
    if info["step"] == 5:
        raise Killed


def test_training_resumes_exactly(transformer_config, make_examples, graph, tmp_path):
    registry.readers("toy.Known.v1", func=lambda: make_examples)
    encoder = {**transformer_config, "knowledge": block_of(graph, dropout=0.5)}
    config = toy_config(training__max_steps=8)
    config["nlp"]["pipeline"] = ["clinbert_transformer", "clinbert_ner"]
    config["components"] = {
        "clinbert_transformer": {"factory": "transformer", "model": encoder},
        "clinbert_ner": {"factory": "clinbert_ner"},
    }
    for corpus in ("train", "dev"):
        config["corpora"][corpus] = {"@readers": "toy.Known.v1"}
    expected = get_weights(train(config, tmp_path / "whole"))
    with pytest.raises(Killed):
        train(config, tmp_path / "cut", on_step=kill)
    found = get_weights(train(config, tmp_path / "cut", resume=True))
    assert [name for name in expected if not numpy.array_equal(found[name], expected[name])] == []
    assert sum(".knowledge." in f".{name.partition('#')[2]}" for name in expected) == 6
