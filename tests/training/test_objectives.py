import torch
from transformers import BertConfig, BertForMaskedLM

from clinbert_spacy.training.objectives import PretrainingNet

TINY = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
)


def test_a_batch_without_anything_to_learn_costs_nothing():
    net = PretrainingNet(
        BertForMaskedLM(TINY),
        n_tags=0,
        n_classes=0,
        gold={"one": 3},
        weights={"gold_tags": 1.0},
        outside=1.0,
    )
    empty = torch.zeros(0, dtype=torch.long)
    ids = torch.ones(2, 5, dtype=torch.long)
    batch = {"ids": ids, "mask": None, "segments": torch.zeros_like(ids), "positions": empty,
             "labels": empty}  # fmt: skip
    losses = net(batch, torch.float32)
    assert float(losses["loss"].detach()) == 0.0
    losses["loss"].backward()
    where, labels = torch.tensor([1, 2]), torch.tensor([0, 2])
    again = net({**batch, "gold": {"one": (where, labels)}}, torch.float32)
    assert float(again["loss"].detach()) > 0.0
