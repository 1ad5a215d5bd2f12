import pytest
import spacy
from thinc.api import Config

from clinbert_spacy.training.checks import (
    check_listeners,
    check_sections,
    link_listeners,
    read_config,
)

from .toy_training import toy_config


@pytest.fixture(scope="module")
def nlp():
    pipeline = spacy.util.load_model_from_config(toy_config(), auto_fill=True)
    pipeline._link_components()
    return pipeline


def test_sound_settings_pass(nlp):
    check_listeners(nlp, [], [])
    check_listeners(nlp, ["tagger"], ["tok2vec", "tagger"])
    check_listeners(nlp, ["tok2vec", "ner"], [])


@pytest.mark.parametrize(
    "frozen, remedy",
    [(["ner"], "Move 'ner' before 'tagger'"), (["tagger", "ner"], "Give 'ner' its own copy")],
)
def test_frozen_last_listener(nlp, frozen, remedy):
    with pytest.raises(ValueError, match=f"'tok2vec' would not learn. {remedy}.*replace_listeners"):
        check_listeners(nlp, frozen, [])


def test_disabled_last_listener(nlp):
    with (
        nlp.select_pipes(disable=["ner"]),
        pytest.raises(ValueError, match="'ner' is frozen or disabled"),
    ):
        check_listeners(nlp, [], [])


def test_linking_leaves_frozen_heads_out():
    pipeline = spacy.util.load_model_from_config(toy_config(), auto_fill=True)
    encoder = pipeline.get_pipe("tok2vec")
    link_listeners(pipeline, ["ner"])
    assert encoder.listening_components == ["tagger"]
    check_listeners(pipeline, ["ner"], [])
    link_listeners(pipeline, ["ner", "tagger"])
    with pytest.raises(ValueError, match="'tok2vec' would not learn"):
        check_listeners(pipeline, ["ner", "tagger"], [])
    link_listeners(pipeline, [])
    assert encoder.listening_components == ["tagger", "ner"]


def test_own_copy_cures_it():
    pipeline = spacy.util.load_model_from_config(toy_config(), auto_fill=True)
    pipeline._link_components()
    pipeline.replace_listeners("tok2vec", "ner", ["model.tok2vec"])
    check_listeners(pipeline, ["ner"], [])


def test_annotating_without_the_encoder(nlp):
    with pytest.raises(ValueError, match="'ner'.*'tok2vec' is not: it would predict from zeros"):
        check_listeners(nlp, [], ["ner"])


@pytest.mark.parametrize("setting", ["frozen_components", "annotating_components"])
def test_unknown_component(nlp, setting):
    frozen, annotating = (["nre"], []) if setting == "frozen_components" else ([], ["nre"])
    with pytest.raises(ValueError, match=f"training.{setting} names nre.*tok2vec, tagger, ner"):
        check_listeners(nlp, frozen, annotating)


def test_transformer_listeners_are_seen():
    class Encoder:
        model = None
        listeners = ()
        listener_map = {}
        listening_components = ["ner"]

        def add_listener(self, listener, component_name): ...
        def remove_listener(self, listener, component_name): ...
        def find_listeners(self, component): ...

    class Pipeline:
        disabled = ()
        component_names = ("clinbert_transformer", "ner")
        pipeline = (("clinbert_transformer", Encoder()), ("ner", object()))

    with pytest.raises(ValueError, match="listens last to 'clinbert_transformer'"):
        check_listeners(Pipeline(), ["ner"], [])


@pytest.mark.parametrize("name, meant", [("trainnig", "training"), ("component", "components")])
def test_misspelt_section(name, meant):
    with pytest.raises(ValueError, match=rf"\[{name}\].*rename it to \[{meant}\]"):
        check_sections({"nlp": {}, name: {}})


@pytest.mark.parametrize(
    "section, key, meant",
    [
        ("training", "drpout", "dropout"),
        ("nlp", "piplines", "pipeline"),
        ("initialize", "vectrs", "vectors"),
    ],
)
def test_misspelt_key_that_spacy_drops(section, key, meant):
    with pytest.raises(ValueError, match=rf"\[{section}\] has no setting '{key}'.*of: {meant}"):
        check_sections({section: {key: 1}})


def test_own_sections_are_allowed():
    check_sections({"nlp": {}, "variables": {}, "experiment": {}, "pretraining": {}})


def test_config_from_file_and_object(tmp_path):
    file = tmp_path / "toy.cfg"
    toy_config().to_disk(file)
    for config in (file, str(file), toy_config()):
        read = read_config(config, {"training.max_steps": 3})
        assert isinstance(read, Config) and read["training"]["max_steps"] == 3
    assert toy_config()["training"]["max_steps"] == 20


def test_missing_config_file(tmp_path):
    with pytest.raises(ValueError, match="No config file at .*nothing.cfg"):
        read_config(tmp_path / "nothing.cfg", {})


def test_override_that_points_nowhere(tmp_path):
    file = tmp_path / "toy.cfg"
    toy_config().to_disk(file)
    with pytest.raises(ValueError, match="trainin"):
        read_config(file, {"trainin.max_steps": 3})
