"""The plot of a pretraining: a panel a loss, none for the sum."""

import json

import pytest

from clinbert_spacy.evaluation.curves import draw_losses

pytest.importorskip("matplotlib")


def test_a_panel_for_each_loss(tmp_path):
    rows = [
        {"pieces": 1000 * n, "train": {"loss": 3.0, "masked_words": 2.0 / n, "gold_tags": 1.0 / n}}
        for n in (1, 2, 3)
    ]
    rows[2]["held_out"] = {"masked_words": 1.0}
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = draw_losses(log, tmp_path / "loss.svg").read_text()
    assert drawn.count("<!-- masked words -->") == drawn.count("<!-- gold tags -->") == 1
    assert "<!-- held out -->" in drawn and "<!-- loss -->" not in drawn


def test_no_log(tmp_path):
    with pytest.raises(FileNotFoundError):
        draw_losses(tmp_path / "log.jsonl", tmp_path / "loss.png")
