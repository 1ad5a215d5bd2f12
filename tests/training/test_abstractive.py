"""Training of a generator: the loss falls on copies, runs go on, and what may not ship is said."""

import json

import pytest
import spacy
import torch
from thinc.api import Config

from clinbert_spacy.models.abstractive import TextGenerator
from clinbert_spacy.models.generator_shim import load_generator
from clinbert_spacy.training import abstractive
from clinbert_spacy.training.abstractive import train_abstractive
from clinbert_spacy.training.abstractive_settings import read_abstractive
from clinbert_spacy.training.abstractive_start import make_ready, pad_rows, start_folder
from clinbert_spacy.training.card import GRAPH_NEEDED, check_sources
from tests.toy_abstractive import toy_settings, write_copies

ROOT = abstractive.__file__.partition("clinbert_spacy")[0]


def weights(folder):
    return load_generator(str(folder))[0].state_dict()


def losses(output):
    rows = [json.loads(line) for line in (output / "log.jsonl").read_text("utf8").splitlines()]
    return [row["eval_loss"] for row in rows if "eval_loss" in row]


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return write_copies(tmp_path_factory.mktemp("copies"))


@pytest.fixture(scope="module")
def learned(tmp_path_factory, checkpoint, copies):
    output = tmp_path_factory.mktemp("learned") / "run"
    steps = []
    settings = toy_settings(checkpoint, copies, max_steps=100, evaluate_every=25)
    train_abstractive(settings, output, on_step=steps.append)
    assert [info["step"] for info in steps] == list(range(1, 101))
    return output


def test_the_loss_falls_and_it_writes_what_it_learned(learned):
    found = losses(learned)
    assert found[-1] < 0.8 * found[0] and found[-1] < 1.0
    model = TextGenerator()
    model.attrs["load"](model, learned / "model")
    words = ["aspirin", "rash", "cough"]
    texts = [f"{word} and diabetes and nausea after 4 mg" for word in words]
    summaries = model.attrs["generate"](model, texts, beams=1, longest=12, repeat=0)
    assert all(one.text.startswith("the patient has ") for one in summaries)


def test_the_folder_says_what_it_is(learned):
    about = json.loads((learned / "model" / "abstractive.json").read_text("utf8"))
    assert about["ships"] is False and about["updates"] == 100
    assert about["sources"] == [{"name": "mediqa2021_rrs", "licence": "not stated"}]
    assert about["pairs"]["train"]["used"] > about["pairs"]["dev"]["used"] > 0
    assert about["dev_loss"] == min(losses(learned))
    assert "/" not in about["start"]


def test_packaging_refuses_what_it_was_trained_on(learned):
    model = TextGenerator()
    model.attrs["load"](model, learned / "model")
    with pytest.raises(ValueError, match="mediqa2021_rrs .* is not allowed in weights that ship"):
        check_sources(model.attrs["sources"], GRAPH_NEEDED)


def test_transformers_reads_the_folder_too(learned):
    from transformers import EncoderDecoderModel

    theirs = EncoderDecoderModel.from_pretrained(learned / "model").eval()
    ours = load_generator(str(learned / "model"))[0].eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.inference_mode():
        logits = [net(input_ids=ids, decoder_input_ids=ids).logits for net in (theirs, ours)]
    assert torch.allclose(*logits, atol=1e-4)


def test_encoder_and_decoder_begin_with_the_checkpoint(checkpoint, copies):
    network = make_ready(toy_settings(checkpoint, copies)).network
    encoder, decoder = network.encoder.state_dict(), network.decoder.bert.state_dict()
    assert getattr(network.encoder, "pooler", None) is None
    assert all(torch.equal(value, decoder[name]) for name, value in encoder.items())
    assert any("crossattention" in name for name in decoder)


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, checkpoint, copies):
    whole = train_abstractive(toy_settings(checkpoint, copies), tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(info):
        if info["step"] == 3:
            raise Stop

    settings = toy_settings(checkpoint, copies)
    with pytest.raises(Stop):
        train_abstractive(settings, tmp_path / "cut", on_step=stop)
    steps = []
    cut = train_abstractive(settings, tmp_path / "cut", resume=True, on_step=steps.append)
    assert [info["step"] for info in steps] == [3, 4]
    one, other = weights(whole), weights(cut)
    assert all(torch.allclose(one[name], other[name], atol=1e-3) for name in one)


def test_a_taken_output_and_a_changed_config(tmp_path, checkpoint, copies):
    settings = toy_settings(checkpoint, copies, max_steps=1)
    train_abstractive(settings, tmp_path)
    with pytest.raises(ValueError, match="use --resume or --overwrite"):
        train_abstractive(settings, tmp_path)
    with pytest.raises(ValueError, match="exclude each other"):
        train_abstractive(settings, tmp_path, resume=True, overwrite=True)
    other = toy_settings(checkpoint, copies, max_steps=1, learn_rate=1e-3)
    with pytest.raises(ValueError, match="The config differs"):
        train_abstractive(other, tmp_path, resume=True)
    assert train_abstractive(other, tmp_path, overwrite=True).is_dir()


def test_begins_with_the_encoder_of_a_pipeline(tmp_path, make_nlp, make_examples, copies):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "pipeline")
    with start_folder(str(tmp_path / "pipeline")) as folder:
        from transformers import AutoModel, AutoTokenizer

        mine = AutoModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
        assert AutoTokenizer.from_pretrained(folder).tokenize("Aspirin") == ["aspirin"]
    theirs = nlp.get_pipe("clinbert_transformer").model.shims[0]._model.transformer.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    settings = toy_settings(tmp_path / "pipeline", copies, max_steps=1)
    assert train_abstractive(settings, tmp_path / "run").is_dir()


def test_a_pipeline_without_an_encoder(tmp_path):
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(ValueError, match="without a trained"), start_folder(str(tmp_path)):
        pass


def test_pairs_that_do_not_fit_are_left_out(checkpoint, copies):
    settings = toy_settings(checkpoint, copies)
    settings.lengths.summary = 5
    with pytest.raises(ValueError, match=r"No pair to learn from: \d+ read, \d+ longer"):
        make_ready(settings)
    ready = make_ready(toy_settings(checkpoint, copies))
    assert ready.train.too_long == 0 and len(ready.train.rows) == ready.train.read
    row, cls = ready.train.rows[0], ready.tokenizer.cls_token_id
    assert row["input_ids"][0] == cls != row["labels"][0]
    assert row["input_ids"][-1] == row["labels"][-1] == ready.tokenizer.sep_token_id


def test_rows_are_padded():
    rows = [{"input_ids": [5, 6, 7], "labels": [8]}, {"input_ids": [5], "labels": [8, 9]}]
    found = pad_rows(rows, 1)
    assert found["input_ids"].tolist() == [[5, 6, 7], [5, 1, 1]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert found["labels"].tolist() == [[8, -100], [8, 9]]


def test_without_accelerate_the_extra_is_named(monkeypatch, tmp_path, checkpoint, copies):
    monkeypatch.setattr(abstractive, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"accelerate.*\[trainer\]"):
        train_abstractive(toy_settings(checkpoint, copies), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training.max_steps": 0}, "set exactly one of them"),
        ({"training.lerning": 1}, "lerning"),
        ({"training.precision": "half"}, "precision"),
        ({"lengths.source": 2}, "source"),
        ({"card.ships": True}, r"\['radiology'\] may not train weights that ship"),
        ({"pairs.mimic.path": "x"}, "Unknown corpus of pairs 'mimic'"),
        ({"start.name": "nowhere/at/all"}, "cannot be loaded"),
        ({"lengths.source": 65}, "has 64 positions"),
        ({"pairs.radiology.path": "none.json"}, "none.json"),
        ({"training.fold": 9}, "Fold 9 of 5"),
    ],
)
def test_settings_that_cannot_be_used(checkpoint, copies, change, message):
    base = json.loads(toy_settings(checkpoint, copies).model_dump_json())
    for name, value in change.items():
        *path, last = name.split(".")
        block = base
        for part in path:
            block = block.setdefault(part, {})
        block[last] = value
    with pytest.raises(ValueError, match=message):
        make_ready(read_abstractive(Config(base)))


@pytest.mark.parametrize(("name", "ships"), [("abstractive_cpu", True),
                                             ("bench_abstractive_cpu", False)])  # fmt: skip
def test_the_configs_of_this_project(name, ships):
    settings = read_abstractive(f"{ROOT}configs/{name}.cfg")
    assert settings.card.ships is ships


def test_no_config_at_a_path(tmp_path):
    with pytest.raises(ValueError, match="No config at"):
        read_abstractive(tmp_path / "none.cfg")
