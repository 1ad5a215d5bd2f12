"""Guessing hidden words: the same words for every vocabulary, whole words, characters, pairs."""

import math

import numpy
import pytest
import torch
from transformers import AutoTokenizer

from clinbert_spacy.corpora.passages import Passage, read_texts
from clinbert_spacy.models.checkpoint import plain_backend
from clinbert_spacy.training.lm_compare import compare, read_texts_to_score
from clinbert_spacy.training.lm_score import guess, hide_words, load_guesser, train_head
from clinbert_spacy.training.pair_score import score_pairs
from clinbert_spacy.training.pretrain_settings import read_settings
from clinbert_spacy.training.pretraining import pretrain
from clinbert_spacy.training.text_cache import open_cache
from clinbert_spacy.training.vocabulary import train_wordpieces

from .toy_text import make_config, write_text

PASSAGES = [
    Passage("a", str(i), "The patient takes aspirin 10 mg daily; no rash, no coughing. " * 8)
    for i in range(6)
]


def hidden_words(windows, text):
    found = []
    for window in windows:
        n = len(window.hidden)
        found.append((n, window.hidden.tolist(), window.characters[window.hidden].tolist()))
    return found


def test_the_same_words_are_hidden_whatever_the_pieces(checkpoint):
    old = plain_backend(AutoTokenizer.from_pretrained(checkpoint))
    new = plain_backend(train_wordpieces([p.text for p in PASSAGES], 300, min_frequency=1))
    one, two = (list(hide_words(PASSAGES, backend, 5)) for backend in (old, new))
    assert hidden_words(one, 0) == hidden_words(two, 0)
    assert sum(len(w.ids) for w in one) > sum(len(w.ids) for w in two)
    other = hidden_words(hide_words(PASSAGES, old, 6), 0)
    assert other != hidden_words(one, 0)
    share = numpy.mean(numpy.concatenate([w.hidden for w in one]))
    assert 0.1 < share < 0.2


def test_a_word_counts_only_if_all_its_pieces_are_right(checkpoint, monkeypatch):
    guesser = load_guesser(str(checkpoint), fresh_head=True)
    wrong_last = iter(range(10**6))

    def perfect_but_for_one_piece(guesser, windows):
        labels = torch.tensor(
            [i for w in windows for i in w.ids[w.hidden[w.words]].tolist()], dtype=torch.long
        )
        scores = torch.nn.functional.one_hot(labels, 400).float() * 50
        if next(wrong_last) == 0:
            scores[0] = scores[0].roll(1)
        return scores, labels

    monkeypatch.setattr("clinbert_spacy.training.lm_score._score", perfect_but_for_one_piece)
    found = guess(guesser, PASSAGES, [0])
    assert found["word_accuracy"] == pytest.approx(1 - 1 / found["words"])
    assert found["bits_per_character"] == pytest.approx(
        50 / math.log(2) / found["characters"], rel=0.01
    )


def test_a_trained_head_guesses_better_and_leaves_the_encoder_alone(checkpoint):
    guesser = load_guesser(str(checkpoint), fresh_head=True)
    before = {n: p.detach().clone() for n, p in guesser.model.bert.named_parameters()}
    first = guess(guesser, PASSAGES, [1])
    train_head(guesser, PASSAGES, 60, learn_rate=1e-2)
    second = guess(guesser, PASSAGES, [1])
    assert second["bits_per_character"] < 0.9 * first["bits_per_character"]
    assert second["words"] == first["words"]
    for name, parameter in guesser.model.bert.named_parameters():
        assert torch.equal(parameter, before[name])


def test_encoders_side_by_side(tmp_path, checkpoint):
    text = write_text(tmp_path, 40)
    texts, training = read_texts_to_score([text], text, 0.2, ["notes"], 100)
    assert {len(v) for v in texts.values()} != {40} and len(texts) == 2
    held = texts[f"held out of {text.name}"]
    assert held and all(p.source == "notes" for p in held)
    assert not {p.text for p in held} & {p.text for p in training}
    rows = compare([str(checkpoint)], texts, training, steps=2, seeds=[0], own_head=True)
    assert [(row["head"], row["text"]) for row in rows] == [
        (head, name) for head in ("fresh", "own") for name in texts
    ]


def test_pairs_beside_bags_of_words(tmp_path, checkpoint):
    write_text(tmp_path, 60, n_sentences=40)
    settings = read_settings(make_config(tmp_path, checkpoint, training__max_steps=1))
    folder = pretrain(settings, tmp_path / "out")
    guesser = load_guesser(str(folder), fresh_head=False)
    caches = [open_cache(tmp_path / "cache", split) for split in ("train", "held_out")]
    found = score_pairs(guesser, folder, *caches, [], count=64)
    assert set(found) == {"encoder", "bag_of_words", "always_next", "pairs"}
    assert 0 < found["pairs"] <= 64 and 0.2 < found["always_next"] < 1.0
    with pytest.raises(ValueError, match="No source"):
        score_pairs(guesser, folder, *caches, ["letters"], count=8)


def test_nothing_to_score_is_said(tmp_path):
    text = write_text(tmp_path)
    with pytest.raises(ValueError, match="nothing to score"):
        read_texts_to_score([], text, 0.0, [], 10)
    assert len(list(read_texts(text))) == 12
