import pytest
import spacy
import torch

from clinbert_spacy.evaluation import benchmark as bench
from clinbert_spacy.evaluation import contenders


def test_contenders_take_turns():
    calls = []
    runners = {name: lambda name=name: calls.append(name) for name in "ab"}
    ticks = []
    times = bench.time_in_turns(runners, 2, ticks.append)
    assert calls == ["a", "b"] * 3 and len(ticks) == 6
    assert set(times) == {"a", "b"}
    rows = bench.speed_rows({"pipeline": 2.0, "stock": 3.0}, 60)
    assert rows[1] == {"name": "stock", "words_per_second": 20.0, "time_ratio": 1.5}


def test_blank_pipeline():
    speed = bench.benchmark(spacy.blank("en"), ["one two", "three"], n_rounds=1)
    assert (speed["n_words"], speed["n_notes"], speed["dtype"]) == (3, 2, "unknown")
    assert [row["name"] for row in speed["rows"]] == ["pipeline"]
    assert speed["peak_mb"] > 10 and speed["threads"] == torch.get_num_threads()


def test_nothing_to_time_and_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="without a word"):
        bench.benchmark(spacy.blank("en"), [" "])
    with pytest.raises(ValueError, match="found no config.json"):
        bench.benchmark(spacy.blank("en"), ["one"], stock=tmp_path)


def test_bare_encoder_reads_the_wordpieces_of_the_pipeline(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    text = "The patient takes aspirin daily. " * 20
    encoder = bench.encoder_of(nlp)
    assert sum(map(len, encoder.pieces([text]))) == sum(nlp(text)._.trf_data.wordpieces.lengths)
    assert encoder.window == 62 and encoder.dtype == "float32"
    bench.encoder_runner(encoder, [text, ""])()


def test_batches_hold_every_window_once():
    windows = [[1] * n for n in range(1, 300)]
    batches = contenders._batch(windows)
    assert [w for batch in batches for w in batch] == windows
    assert all(len(batch) * len(batch[-1]) <= contenders.MAX_PADDED for batch in batches)


def test_encoder_from_folder(checkpoint):
    encoder = bench.encoder_from_folder(checkpoint)
    assert encoder.window == 62
    bench.encoder_runner(encoder, ["aspirin " * 100])()


def test_stock_pipeline_has_the_weights_and_pieces_of_the_pipeline(
    make_nlp, make_examples, tmp_path, capfd
):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    bench.export_encoder(nlp, tmp_path)
    stock = bench.stock_pipeline(tmp_path)
    ours = bench.encoder_of(nlp).module.state_dict()
    theirs = stock.get_pipe("transformer").model.transformer.state_dict()
    assert {name.split(".")[0] for name in theirs.keys() - ours.keys()} <= {"pooler"}
    assert all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)
    text = "The patient takes aspirin daily."
    pieces = stock(text)._.trf_data.wordpieces.input_ids[0]
    encoder = bench.encoder_of(nlp)
    assert list(pieces) == [encoder.cls, *encoder.pieces([text])[0], encoder.sep]
    assert "pooler" not in capfd.readouterr().err


def test_nothing_to_export():
    with pytest.raises(ValueError, match="No encoder of ours"):
        bench.export_encoder(spacy.blank("en"), "nowhere")


def test_what_stands_beside_the_entities_is_timed(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    assert bench.beside_entities(nlp) == bench.beside_entities(spacy.blank("en")) == []
    seen = []

    @spacy.Language.component("toy_counter")
    def count(doc):
        seen.append(len(doc))
        return doc

    nlp.add_pipe("toy_counter")
    assert bench.beside_entities(nlp) == ["toy_counter"]
    speed = bench.benchmark(nlp, ["no aspirin"], n_rounds=1)
    names = [row["name"] for row in speed["rows"]]
    assert names[:2] == ["pipeline", "entities alone"]
    assert list(speed["components"]) == ["tokenizer", *nlp.pipe_names]
    assert all(seconds >= 0 for seconds in speed["components"].values())
    # twice before the contenders, then a warm-up and a round of the pipeline alone
    assert len(seen) == 4 and nlp.pipe_names[-1] == "toy_counter"
