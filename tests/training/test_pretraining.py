"""Pretraining in miniature: resumed runs, objectives, vocabulary, what is written, bad settings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, BertForMaskedLM, pipeline

from clinbert_spacy.training.pretrain_settings import read_settings
from clinbert_spacy.training.pretrain_setup import prepare
from clinbert_spacy.training.pretraining import learn_rate, pretrain

from ..conftest import make_checkpoint, toy_vocab
from .toy_text import losses_of, make_config


class Killed(Exception):
    """Stands for a power cut."""


def run(tmp_path, checkpoint, name="out", stop_at=0, resume=False, **overrides):
    settings = read_settings(make_config(tmp_path, checkpoint, **overrides))

    def on_step(info):
        if info["step"] == stop_at:
            raise Killed

    return pretrain(settings, tmp_path / name, resume=resume, on_step=on_step)


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_killed_run_ends_as_one_that_was_not(tmp_path, checkpoint, stop_at):
    whole = run(tmp_path, checkpoint, "whole", training__dropout=0.1)
    with pytest.raises(Killed):
        run(tmp_path, checkpoint, "cut", stop_at=stop_at, training__dropout=0.1)
    cut = run(tmp_path, checkpoint, "cut", resume=True, training__dropout=0.1)
    expected, found = load_file(whole / "model.safetensors"), load_file(cut / "model.safetensors")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    assert losses_of(tmp_path / "whole" / "log.jsonl") == losses_of(tmp_path / "cut" / "log.jsonl")


def test_a_changed_config_is_not_resumed(tmp_path, checkpoint):
    with pytest.raises(Killed):
        run(tmp_path, checkpoint, stop_at=3)
    with pytest.raises(ValueError, match="differs from the one"):
        run(tmp_path, checkpoint, resume=True, training__learn_rate=1e-3)
    with pytest.raises(ValueError, match="--resume or --overwrite"):
        run(tmp_path, checkpoint)


def test_the_loss_falls_on_held_out_text_too(tmp_path, checkpoint):
    run(tmp_path, checkpoint, training__max_steps=60, training__evaluate_every=20)
    rows = losses_of(tmp_path / "out" / "log.jsonl")
    for part in ("train", "held_out"):
        assert rows[-1][part]["masked_words"] < rows[0][part]["masked_words"] - 0.3


def test_two_processes_do_what_one_does_with_twice_the_batches(tmp_path, checkpoint):
    config = make_config(tmp_path, checkpoint, training__accumulate=2)
    one = pretrain(read_settings(config), tmp_path / "one")
    config["training"]["accumulate"] = 1
    config.to_disk(tmp_path / "two.cfg")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "29531", "-m", "clinbert_spacy", "pretrain"]
    command += [str(tmp_path / "two.cfg"), "--output", str(tmp_path / "two"), "--no-plot"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    expected = load_file(one / "model.safetensors")
    found = load_file(tmp_path / "two" / "model" / "model.safetensors")
    for key, value in expected.items():
        torch.testing.assert_close(value, found[key], rtol=1e-3, atol=1e-4)
    start = load_file(checkpoint / "model.safetensors")
    moved = expected["bert.encoder.layer.0.output.dense.weight"]
    assert not torch.allclose(moved, start["encoder.layer.0.output.dense.weight"], atol=1e-3)


def test_what_is_written_is_a_hugging_face_checkpoint(tmp_path, checkpoint):
    folder = run(tmp_path, checkpoint, training__save_dtype="float16")
    tensors = load_file(folder / "model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    assert AutoModel.from_pretrained(folder).config.hidden_size == 32
    tokenizer = AutoTokenizer.from_pretrained(folder)
    guess = pipeline(
        "fill-mask", model=BertForMaskedLM.from_pretrained(folder), tokenizer=tokenizer
    )
    assert len(guess("the patient takes [MASK] daily")) == 5
    card = (folder / "README.md").read_text("utf8")
    facts = json.loads((folder / "pretraining.json").read_text("utf8"))
    assert (
        "neither" in card and "may remember" in card and f"{facts['progress']['pieces']:,}" in card
    )
    assert facts["progress"]["step"] == 6 and set(facts["sources"]) == {"notes", "papers"}


def test_the_encoder_serves_the_pipeline(tmp_path, checkpoint, transformer_config):
    folder = run(tmp_path, checkpoint)
    nlp = spacy.blank("en")
    config = {"model": {**transformer_config, "name": str(folder)}}
    nlp.add_pipe("transformer", "clinbert_transformer", config=config)
    nlp.initialize()
    doc = nlp("the patient takes aspirin")
    words = load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    network = nlp.get_pipe("clinbert_transformer").model.shims[0]._model.transformer
    assert torch.equal(network.embeddings.word_embeddings.weight.detach(), words)
    assert doc._.trf_data.model_output.last_hidden_state.shape == (1, 4, 32)


def test_a_vocabulary_of_ones_own(tmp_path, checkpoint):
    settings = read_settings(
        make_config(
            tmp_path,
            checkpoint,
            vocabulary={"size": 300, "min_frequency": 1},
            training__max_steps=2,
        )
    )
    prepared = prepare(settings)
    words = prepared.net.model.get_input_embeddings().weight
    assert len(prepared.tokenizer) == words.shape[0] <= 300
    assert prepared.net.model.cls.predictions.decoder.weight is words
    assert prepared.tokenizer.tokenize("lisinopril") == ["lisinopril"]
    assert prepared.vocabulary["copied"] > 20 and prepared.vocabulary["parts"] > 0
    again = prepare(settings)
    assert again.tokenizer.get_vocab() == prepared.tokenizer.get_vocab()
    folder = pretrain(settings, tmp_path / "out")
    assert AutoTokenizer.from_pretrained(folder).tokenize("lisinopril") == ["lisinopril"]


def test_a_fresh_network_of_another_shape(tmp_path, checkpoint):
    config = make_config(tmp_path, checkpoint, encoder__fresh={"num_hidden_layers": 3})
    model = prepare(read_settings(config)).net.model
    assert len(model.bert.encoder.layer) == 3
    old = load_file(checkpoint / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert not torch.allclose(model.get_input_embeddings().weight, old)


def test_weight_zero_leaves_an_objective_out(tmp_path, checkpoint):
    run(tmp_path, checkpoint, objectives={"masked_words": {"weight": 1.0}})
    rows = losses_of(tmp_path / "out" / "log.jsonl")
    assert set(rows[-1]["train"]) == {"masked_words", "loss", "piece_accuracy"}


def test_learn_rate_rises_and_falls(tmp_path, checkpoint):
    training = read_settings(make_config(tmp_path, checkpoint, training__warmup=0.1)).training
    rates = [learn_rate(step, 100, training) for step in range(100)]
    assert rates.index(max(rates)) in (9, 10) and max(rates) == pytest.approx(3e-3)
    assert rates[0] == pytest.approx(3e-4) and 0 < rates[-1] < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training__max_steps": 0}, "exactly one"),
        ({"training__passes": 1.0}, "exactly one"),
        ({"training__lenght": 3}, r"\[training\] lenght: Extra inputs"),
        ({"objectives__masked_words__rate": 1.5}, r"\[objectives.masked_words\] rate"),
        ({"objectives__silver_tags": {"weight": 1.0}}, "needs a graph"),
        ({"objectives__gold_tags": {"weight": 1.0}}, "expected sources"),
        ({"training__precision": "int8"}, r"\[training\] precision"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, checkpoint, change, message):
    with pytest.raises(ValueError, match=message):
        read_settings(make_config(tmp_path, checkpoint, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training__length": 128}, "64 positions"),
        ({"text__weights": {"note": 2.0}}, "no such source"),
        ({"text__weights": {"notes": -1.0}}, "from 0 to 1000"),
        ({"encoder__name": "./nowhere"}, "No checkpoint folder"),
        ({"text__files": {"x": "nowhere.jsonl"}}, "nothing at this path"),
        ({"text__files": {}}, "found neither"),
        ({"vocabulary": {"size": 20}}, "at least 300"),
        ({"training__device": "cuda"}, "finds no GPU"),
        ({"text__identifiers": {"pipeline": "no_such_pipeline"}}, "no such folder or package"),
        ({"text__identifiers": {"labels": ["X"]}}, "expected a pipeline"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, checkpoint, change, message):
    if "training__device" in change and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ValueError, match=message):
        run(tmp_path, checkpoint, **change)


def test_networks_other_than_bert_are_refused(tmp_path):
    other = make_checkpoint(tmp_path / "relative", toy_vocab(), hidden_act="relu")
    with pytest.raises(ValueError, match="gelu, found absolute and relu"):
        run(tmp_path, other)


def test_a_broken_state_says_how_to_go_on(tmp_path, checkpoint):
    with pytest.raises(Killed):
        run(tmp_path, checkpoint, stop_at=3)
    (tmp_path / "out" / "state" / "state.json").unlink()
    with pytest.raises(ValueError, match="--overwrite"):
        run(tmp_path, checkpoint, resume=True)


def test_the_config_that_ships_is_valid():
    root = Path(__file__).parents[2]
    settings = read_settings(root / "configs" / "pretrain_cpu.cfg")
    assert settings.vocabulary.size == 16384 and settings.training.passes == 1.0


def test_the_card_names_corpora_but_no_folder(tmp_path, checkpoint):
    notes = Path(__file__).parents[2] / "assets" / "notes" / "dev"
    gold = {"weight": 1.0, "share": 0.25, "sources": {"notes": {"path": str(notes)}}}
    folder = run(tmp_path, checkpoint, objectives__gold_tags=gold)
    card = (folder / "README.md").read_text("utf8")
    facts = (folder / "pretraining.json").read_text("utf8")
    assert "notes (" in card and '"DRUG"' in facts
    assert str(notes) not in facts + card and str(tmp_path) not in facts
    rows = losses_of(tmp_path / "out" / "log.jsonl")
    assert rows[-1]["train"]["gold_tags"] > 0


def test_passes_are_counted_as_they_were_asked_for(tmp_path, checkpoint):
    folder = run(tmp_path, checkpoint, training__max_steps=0, training__passes=2.0)
    assert json.loads((folder / "pretraining.json").read_text("utf8"))["passes"] == 2.0


def test_text_that_holds_too_little_is_named(tmp_path, checkpoint):
    short = tmp_path / "short.txt"
    short.write_text("no rash")
    with pytest.raises(ValueError, match="no document of at least 8 wordpieces"):
        run(tmp_path, checkpoint, text__files={"a": str(short)}, text__held_out=0.0)
    with pytest.raises(ValueError, match="'notes': expected a 'path'"):
        run(tmp_path, checkpoint, text__files={}, text__corpora={"notes": {"split": "train"}})
