import errno
import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import spacy

from clinbert_spacy.training import checkpoint, loop
from clinbert_spacy.training.loop import train
from clinbert_spacy.training.state import get_weights

from .toy_training import toy_config


class Killed(Exception):
    pass


def kill_at(step):
    def on_step(info):
        if info["step"] == step:
            raise Killed

    return on_step


def interrupt(output, step, config=None):
    with pytest.raises(Killed):
        train(config or toy_config(), output, on_step=kill_at(step))


def assert_same(weights, expected):
    assert weights.keys() == expected.keys()
    different = [name for name in weights if not numpy.array_equal(weights[name], expected[name])]
    assert different == []


def test_writes_what_spacy_writes(whole_run):
    assert {path.name for path in whole_run.output.iterdir()} == {
        "model-best",
        "model-last",
        "checkpoint",
    }
    nlp = spacy.load(whole_run.output / "model-best")
    assert nlp.meta["performance"]["tag_acc"] > 0.5
    assert nlp("aspirin for pain")[0].tag_


def test_learns_and_reports(whole_run):
    steps = [info["step"] for info in whole_run.infos]
    evaluated = [info["step"] for info in whole_run.infos if info["score"] is not None]
    assert steps == list(range(21)) and evaluated == [0, 5, 10, 15, 20]
    assert whole_run.infos[-1]["score"] > whole_run.infos[0]["score"]
    assert whole_run.infos[-1]["words"] > 0


def test_model_last_holds_the_weights_returned(whole_run):
    saved = get_weights(spacy.load(whole_run.output / "model-last"))
    for name, value in whole_run.weights.items():
        assert numpy.allclose(saved[name], value, atol=2e-3), name


def test_checkpoint_holds_no_pickle(whole_run):
    suffixes = {path.suffix for path in (whole_run.output / "checkpoint").iterdir()}
    assert suffixes == {".safetensors", ".json", ""}


@pytest.mark.parametrize("step", [3, 13])
def test_resumed_run_ends_the_same(tmp_path, whole_run, step):
    interrupt(tmp_path, step)
    steps, log = [], io.StringIO()
    nlp = train(
        toy_config(),
        tmp_path,
        resume=True,
        stdout=log,
        on_step=lambda info: steps.append(info["step"]),
    )
    # at most one interval of five steps is done again
    first = (step // 5) * 5 + 1
    assert steps == list(range(first, 21))
    assert f"Resuming after step {first - 1}" in log.getvalue()
    assert_same(get_weights(nlp), whole_run.weights)


SCRIPT = """
import os, signal, sys
from toy_training import toy_config
from clinbert_spacy.training.loop import train
kill = lambda info: info["step"] == 7 and os.kill(os.getpid(), signal.SIGKILL)
train(toy_config(), sys.argv[1], on_step=kill)
"""


def test_survives_sigkill_in_another_process(tmp_path, whole_run):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=Path(__file__).parent, timeout=300
    )
    assert done.returncode == -signal.SIGKILL
    nlp = train(toy_config(), tmp_path, resume=True)
    assert_same(get_weights(nlp), whole_run.weights)


def test_killed_while_writing_a_checkpoint(tmp_path, whole_run, monkeypatch):
    to_disk, calls = checkpoint.save_file, []

    def dies(*args, **kwargs):
        calls.append(args)
        if len(calls) == 10:  # in the middle of the third checkpoint
            raise Killed
        to_disk(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "save_file", dies)
    with pytest.raises(Killed):
        train(toy_config(), tmp_path)
    assert (tmp_path / "checkpoint.partial").exists()
    monkeypatch.undo()
    nlp = train(toy_config(), tmp_path, resume=True)
    assert_same(get_weights(nlp), whole_run.weights)
    assert not (tmp_path / "checkpoint.partial").exists()


def test_full_disk_keeps_the_last_checkpoint(tmp_path, whole_run, monkeypatch):
    save_file, full = checkpoint.save_file, []

    def fill_up(arrays, path):
        if full and "mom2" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(arrays, path)

    monkeypatch.setattr(checkpoint, "save_file", fill_up)
    with pytest.raises(checkpoint.WriteError, match="No space left on device.*intact.*--resume"):
        train(toy_config(), tmp_path, on_step=lambda info: full.append(1))
    monkeypatch.undo()
    assert checkpoint.read_record(tmp_path / "checkpoint")["progress"]["step"] == 0
    assert_same(get_weights(train(toy_config(), tmp_path, resume=True)), whole_run.weights)


def test_longer_training_goes_on(tmp_path, whole_run):
    train(toy_config(training__max_steps=10), tmp_path)
    nlp = train(toy_config(), tmp_path, resume=True)
    assert_same(get_weights(nlp), whole_run.weights)


def test_finished_training_stays_finished(tmp_path):
    config, steps = toy_config(training__max_steps=5), []
    train(config, tmp_path)
    train(config, tmp_path, resume=True, on_step=steps.append)
    assert steps == []


def test_patience_ends_training(tmp_path):
    infos = []
    config = toy_config(training__patience=5, training__max_steps=0)
    config["training"]["optimizer"]["learn_rate"] = 0.0
    train(config, tmp_path, on_step=infos.append)
    scores = {info["step"]: info["score"] for info in infos if info["score"] is not None}
    assert infos[-1]["step"] - max(scores, key=scores.get) == 5


def test_resume_with_nothing_there_begins(tmp_path):
    steps = []
    config = toy_config(training__max_steps=1)
    train(config, tmp_path / "new", resume=True, on_step=lambda info: steps.append(info["step"]))
    assert steps == [0, 1]


def test_taken_output_is_refused_before_any_work(whole_run, monkeypatch):
    monkeypatch.setattr(loop, "init_nlp", None)
    with pytest.raises(ValueError, match="--resume.*--overwrite"):
        train(toy_config(), whole_run.output)


def test_other_config_is_refused(tmp_path):
    interrupt(tmp_path, 1)
    with pytest.raises(ValueError, match="training.dropout: 0.2 -> 0.5"):
        train(toy_config(), tmp_path, resume=True, overrides={"training.dropout": 0.5})


def test_changed_data_is_refused(tmp_path, monkeypatch):
    interrupt(tmp_path, 1)
    read_record = loop.read_record

    def other_words(path):
        record = read_record(path)
        record["progress"]["words"] += 1
        return record

    monkeypatch.setattr(loop, "read_record", other_words)
    with pytest.raises(ValueError, match="training data changed"):
        train(toy_config(), tmp_path, resume=True)


def frozen_config(tmp_path, whole_run, frozen):
    config = toy_config(training__max_steps=7)
    config["training"]["frozen_components"] = frozen
    for name in ("tok2vec", "tagger", "ner"):
        config["components"][name] = {"source": str(whole_run.output / "model-last")}
    return config


def test_frozen_last_listener_does_not_stop_the_encoder(tmp_path, whole_run):
    config = frozen_config(tmp_path, whole_run, ["ner"])
    before = get_weights(spacy.load(whole_run.output / "model-last"))
    after = get_weights(train(config, tmp_path / "whole"))
    learned = {name.split("/")[0] for name in after if (after[name] != before[name]).any()}
    assert learned == {"tok2vec", "tagger"}
    interrupt(tmp_path / "cut", 6, config)
    assert_same(get_weights(train(config, tmp_path / "cut", resume=True)), after)


def test_encoder_whose_heads_are_all_frozen_is_refused(tmp_path, whole_run):
    config = frozen_config(tmp_path, whole_run, ["tagger", "ner"])
    with pytest.raises(ValueError, match="'tok2vec' would not learn"):
        train(config, tmp_path)


def test_streamed_corpus_resumes(tmp_path):
    config = toy_config(training__max_epochs=-1, training__max_steps=6)
    config["initialize"] = {"components": {"tagger": {"labels": ["DRUG", "SYMPTOM", "O"]}}}
    expected = get_weights(train(config, tmp_path / "whole"))
    interrupt(tmp_path / "cut", 5, config)
    nlp = train(config, tmp_path / "cut", resume=True)
    assert_same(get_weights(nlp), expected)


@pytest.mark.parametrize(
    "block, key",
    [
        ("components.tok2vec.model", "widht"),
        ("components.ner", "update_with_orcale_cut_size"),
        ("corpora.train", "n_dosc"),
        ("training", "drpout"),
        ("training.optimizer", "learning_rate"),
    ],
)
def test_misspelt_key_is_named(tmp_path, block, key):
    config = toy_config()
    target = config
    for part in block.split("."):
        target = target[part]
    target[key] = 1
    with pytest.raises(ValueError, match=key):
        train(config, tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_misspelt_key_in_a_block_of_ours(tmp_path):
    pytest.importorskip("clinbert_spacy.pipeline.ner")
    config = toy_config()
    config["nlp"]["pipeline"] = ["clinbert_ner"]
    config["components"] = {"clinbert_ner": {"factory": "clinbert_ner", "ents_polciy": "keep"}}
    with pytest.raises(ValueError, match="ents_polciy"):
        train(config, tmp_path)
