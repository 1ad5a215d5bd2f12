import json
import zipfile

import pytest
import spacy
import torch

from clinbert_spacy.training import packaging
from clinbert_spacy.training.packaging import build_package, install_package, strip_paths

from .test_card import GIVEN
from .toy_training import torch_tagger  # noqa: F401


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "DRUG", "pattern": "aspirin"}])
    nlp.config["paths"]["train"] = "/somewhere/secret/train"
    nlp.config["corpora"]["train"]["path"] = "/somewhere/secret/train"
    path = tmp_path_factory.mktemp("model") / "model-best"
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="module")
def wheel(model_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return build_package(model_dir, out, name="en_toy_drugs", version="0.3.0", meta=GIVEN)


def read(wheel, suffix):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(suffix))
        return archive.read(name).decode("utf8")


def test_wheel_says_what_it_is(wheel):
    assert wheel.name == "en_toy_drugs-0.3.0-py3-none-any.whl"
    meta = json.loads(read(wheel, "en_toy_drugs/meta.json"))
    assert meta["performance"] == {"ents_f": 0.84}
    assert [source["origin"] for source in meta["sources"]] == ["human", "machine"]
    assert meta["intended_use"] and meta["limits"]
    assert "machine-made" in read(wheel, "README.md")
    assert "public domain mark" in read(wheel, "LICENSES_SOURCES")
    assert "Requires-Dist: clinbert-spacy>=" in read(wheel, "METADATA")


def test_wheel_holds_no_path_of_this_machine(wheel, model_dir):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert b"/somewhere" not in archive.read(name)
            assert str(model_dir.parent).encode() not in archive.read(name)


def test_installed_package_loads(wheel, tmp_path, monkeypatch):
    (tmp_path / "en_toy_drugs").mkdir()
    (tmp_path / "en_toy_drugs" / "meta.json").write_text("left by an older version")
    assert install_package(wheel, target=tmp_path) == "en_toy_drugs"
    monkeypatch.syspath_prepend(tmp_path)
    nlp = spacy.load("en_toy_drugs")
    assert [ent.label_ for ent in nlp("She took aspirin.").ents] == ["DRUG"]
    assert nlp.meta["version"] == "0.3.0"


def test_too_large_wheel_is_not_kept(model_dir, tmp_path):
    with pytest.raises(ValueError, match=r"allowed are 0.001. Largest: en_big/"):
        build_package(
            model_dir, tmp_path, name="en_big", version="1.0", meta=GIVEN, max_megabytes=0.001
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "en-toy"}, "Package name 'en-toy'"),
        ({"version": "first"}, "Version 'first'"),
        ({"model_dir": "nowhere"}, "No pipeline at 'nowhere'"),
        ({"meta": {}}, "lacks description, license, sources"),
    ],
)
def test_wrong_input(model_dir, tmp_path, change, message):
    arguments = {"model_dir": model_dir, "name": "en_toy", "version": "1.0", "meta": GIVEN}
    with pytest.raises(ValueError, match=message):
        build_package(out_dir=tmp_path, **{**arguments, **change})


def test_path_in_another_file_is_an_error(model_dir, tmp_path):
    nlp = spacy.load(model_dir)
    nlp.add_pipe("sentencizer")
    nlp.meta["description"] = "x"
    given = {**GIVEN, "description": "made in /somewhere/secret/train"}
    with pytest.raises(ValueError, match="absolute path of this machine"):
        build_package(model_dir, tmp_path, name="en_toy", version="1.0", meta=given)


def test_no_wheel_to_install(tmp_path):
    with pytest.raises(ValueError, match="No wheel at"):
        install_package(tmp_path / "a.whl")


def test_broken_wheel(tmp_path):
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="installing the wheel"):
        install_package(tmp_path / "broken-1.0-py3-none-any.whl", target=tmp_path / "t")


def test_half_precision_shrinks_torch_weights():
    nlp = spacy.blank("en")
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 96, "depth": 1}
    sizes = {"embed_size": 10, "window_size": 1, "maxout_pieces": 1, "subword_features": False}
    model = {
        "@architectures": "toy.TorchTagger.v1",
        "width": 96,
        "tok2vec": {**tok2vec, **sizes, "pretrained_vectors": None},
    }
    tagger = nlp.add_pipe("tagger", config={"model": model})
    tagger.add_label("A")
    nlp.initialize()
    shim = next(shim for node in tagger.model.walk() for shim in node.shims)
    shim.save_dtype = "float32"
    before = len(shim.to_bytes())
    packaging.halve(nlp)
    assert len(shim.to_bytes()) < 0.6 * before
    assert shim._model.weight.dtype == torch.float32


def test_strip_paths():
    config = {"a": "/home/me/encoder", "b": ["C:\\data\\x", "rel/y", 3], "c": {"d": None}}
    clean, found = strip_paths(config)
    assert clean == {"a": "encoder", "b": ["x", "rel/y", 3], "c": {"d": None}}
    assert found == ["/home/me/encoder", "C:\\data\\x"]
