"""The plain Trainer that pretraining is timed beside does the same work on the same rows."""

import pytest
import torch

from clinbert_spacy.training.lm_speed import compare_speed, make_trainer
from clinbert_spacy.training.pretrain_settings import read_settings
from clinbert_spacy.training.pretraining import begin

from .toy_text import make_config

pytest.importorskip("accelerate")


def test_both_are_timed_in_turns(tmp_path, checkpoint):
    rounds = []
    found = compare_speed(
        read_settings(make_config(tmp_path, checkpoint)),
        steps=2,
        rounds=2,
        on_step=lambda: rounds.append(1),
    )
    assert len(rounds) == 3 and found["ours"] > 0 and found["trainer"] > 0
    assert found["ratio"] == found["ours"] / found["trainer"]
    assert (found["rows"], found["length"], found["dtype"]) == (4, 24, "float32")


def test_the_trainer_learns_from_whole_rows_of_the_text(tmp_path, checkpoint):
    run = begin(read_settings(make_config(tmp_path, checkpoint)), tmp_path / "out")
    trainer = make_trainer(run, tmp_path, steps=3)
    assert len(trainer.train_dataset) == 12
    assert all(len(row["input_ids"]) == 24 for row in trainer.train_dataset)
    ours = run.prepared.net.model.state_dict()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert all(torch.equal(ours[name], value) for name, value in before.items())
    trainer.train()
    after = trainer.model.state_dict()
    weight = "bert.encoder.layer.0.output.dense.weight"
    assert not torch.equal(before[weight], after[weight])
    assert torch.equal(ours[weight], before[weight])
