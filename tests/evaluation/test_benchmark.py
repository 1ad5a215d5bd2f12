import pytest
import spacy
import torch

from clinbert_spacy.evaluation import bare_encoder, contenders
from clinbert_spacy.evaluation import benchmark as bench
from clinbert_spacy.evaluation.checkpoints import export_encoder, shim_of, transformer_of
from clinbert_spacy.evaluation.encoder_settings import settings_of
from clinbert_spacy.evaluation.shaped import read_shape, shaped_pipeline
from clinbert_spacy.evaluation.speed_sets import SpeedSet

NOTE = "The patient takes aspirin daily. No rash."


@pytest.fixture
def nlp(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def one_set(*texts):
    return [SpeedSet("ordinary", texts)]


def names_of(speed):
    return [row["name"] for row in speed["sets"][0]["rows"]]


def test_contenders_take_turns():
    calls = []
    runners = {name: lambda name=name: calls.append(name) for name in "ab"}
    ticks = []
    times = bench.time_in_turns(runners, 2, ticks.append)
    assert calls == ["a", "b"] * 3 and len(ticks) == 6
    assert set(times) == {"a", "b"}
    bench.time_in_turns(runners, 1, ticks.append, warm_up=False)
    assert len(ticks) == 8
    rows = bench.speed_rows({"pipeline": 2.0, "stock": 3.0}, 60, 90, {"stock": "so"})
    assert rows[1] == {
        "name": "stock", "words_per_second": 20.0, "wordpieces_per_second": 30.0,
        "time_ratio": 1.5, "detail": "so",
    }  # fmt: skip


def test_blank_pipeline():
    speed = bench.benchmark(spacy.blank("en"), one_set("one two", "three"), n_rounds=1)
    (found,) = speed["sets"]
    assert (found["n_words"], found["n_notes"], found["n_wordpieces"]) == (3, 2, None)
    assert names_of(speed) == ["pipeline"] and set(found["ratios"].values()) == {None}
    assert speed["dtype"] == "unknown" and speed["versions"]["torch"] == torch.__version__
    assert speed["peak_mb"] > 10 and speed["threads"] == torch.get_num_threads()


@pytest.fixture
def one_core(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0}, raising=False)


def test_a_process_a_core(nlp, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    chosen = ["pipeline", "processes"]
    before = list(nlp.component_names)
    speed = bench.benchmark(nlp, one_set(NOTE, "", NOTE), n_rounds=1, contenders=chosen)
    assert names_of(speed) == ["pipeline", "pipeline, a process a core"]
    assert nlp.component_names == before


def test_every_contender_has_a_row(nlp, one_core):
    speed = bench.benchmark(nlp, one_set(NOTE, " ", NOTE * 20), n_rounds=1, batch_size=2)
    (found,) = speed["sets"]
    assert names_of(speed) == [
        "pipeline", "stock", "encoder, float32", "encoder, bfloat16", "transformers pipeline",
    ]  # fmt: skip
    assert "windows of 20 wordpieces without overlap" in found["rows"][2]["detail"]
    assert "windows of 20 wordpieces, 8 of them overlap" in found["rows"][4]["detail"]
    speeds = {row["name"]: row["words_per_second"] for row in found["rows"]}
    bare = max(speeds["encoder, float32"], speeds["encoder, bfloat16"])
    assert found["ratios"] == {
        bench.TIMES_STOCK: pytest.approx(speeds["pipeline"] / speeds["stock"]),
        bench.ENCODER_SHARE: pytest.approx(speeds["pipeline"] / bare),
    }
    rates = [row["wordpieces_per_second"] / row["words_per_second"] for row in found["rows"]]
    assert rates == pytest.approx([found["n_wordpieces"] / found["n_words"]] * 5)
    assert speed["encoder_window"] == 20 and speed["dtype"] == "float32"


def test_the_type_is_that_of_packed_weights(nlp, monkeypatch):
    monkeypatch.setattr(shim_of(nlp), "reads_in", "int8")
    assert bench.dtype_of(nlp) == "int8"


def test_contenders_are_chosen(nlp):
    chosen = ["encoder-float32", "pipeline"]
    speed = bench.benchmark(nlp, one_set(NOTE), contenders=chosen, n_rounds=1)
    assert names_of(speed) == ["pipeline", "encoder, float32"]
    with pytest.raises(ValueError, match="Unknown contender: \\['rival'\\]"):
        bench.benchmark(nlp, one_set(NOTE), contenders=["rival"])
    with pytest.raises(ValueError, match="have no stock to be timed"):
        bench.benchmark(spacy.blank("en"), one_set(NOTE), contenders=["stock"])


@pytest.mark.parametrize("setting", ["n_rounds", "batch_size"])
def test_numbers_below_one(setting):
    with pytest.raises(ValueError, match="is 0; expected at least 1"):
        bench.benchmark(spacy.blank("en"), one_set(NOTE), **{setting: 0})
    with pytest.raises(ValueError, match="is 0; expected at least 1"), bench.use_threads(0):
        pass


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with bench.use_threads(2):
        assert torch.get_num_threads() == 2
    with bench.use_threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="found no config.json"):
        bench.benchmark(spacy.blank("en"), one_set("one"), stock=tmp_path)


def test_bare_encoder_reads_the_wordpieces_of_the_pipeline(nlp):
    text = "The patient takes aspirin daily. " * 20
    encoder = bare_encoder.encoder_of(nlp)
    assert sum(map(len, encoder.pieces([text]))) == sum(nlp(text)._.trf_data.wordpieces.lengths)
    assert encoder.window == settings_of(transformer_of(nlp))["window"] == 20
    for dtype in bare_encoder.dtypes_on(encoder.device):
        run = bare_encoder.EncoderRun(encoder, [text, ""], dtype, (64, 128))
        assert run.batch_pieces in (64, 128)
        run()


def test_bare_encoder_computes_in_its_type(nlp):
    encoder = bare_encoder.encoder_of(nlp)
    seen = []
    hook = encoder.module.register_forward_hook(
        lambda *_: seen.append(torch.is_autocast_enabled("cpu"))
    )
    for dtype in ("float32", "bfloat16"):
        bare_encoder.EncoderRun(encoder, [NOTE], dtype, (64,))()
    hook.remove()
    assert seen == [False, True]


def test_batches_hold_every_window_once():
    windows = [[1] * n for n in range(1, 300)]
    batches = bare_encoder.batch_sorted(windows, 4096)
    assert [w for batch in batches for w in batch] == windows
    assert all(len(batch) * len(batch[-1]) <= 4096 for batch in batches)


def test_encoder_from_folder(checkpoint):
    encoder = bare_encoder.encoder_from_folder(checkpoint)
    assert encoder.window == 62
    bare_encoder.EncoderRun(encoder, ["aspirin " * 100])()


def test_rivals_of_a_pipeline_that_is_not_ours(checkpoint):
    speed = bench.benchmark(spacy.blank("en"), one_set(NOTE), stock=checkpoint, n_rounds=1)
    assert names_of(speed)[1:3] == ["stock", "encoder, float32"]
    assert speed["stock_weights"] == checkpoint.name and speed["sets"][0]["n_wordpieces"]


def test_stock_pipeline_has_the_weights_and_pieces_of_the_pipeline(nlp, tmp_path, capfd):
    export_encoder(nlp, tmp_path)
    stock = contenders.stock_pipeline(tmp_path)
    tagger = contenders.token_classifier(tmp_path, 20, 8, 2)
    ours = shim_of(nlp)._model.transformer.state_dict()
    theirs = stock.get_pipe("transformer").model.transformer.state_dict()
    assert {name.split(".")[0] for name in theirs.keys() - ours.keys()} <= {"pooler"}
    assert all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)
    theirs = tagger.model.bert.state_dict()
    assert all(torch.equal(ours[name], theirs[name].cpu()) for name in ours)
    text = "The patient takes aspirin daily."
    pieces = stock(text)._.trf_data.wordpieces.input_ids[0]
    encoder = bare_encoder.encoder_of(nlp)
    ids = [encoder.cls, *encoder.pieces([text])[0], encoder.sep]
    assert list(pieces) == tagger.tokenizer(text)["input_ids"] == ids
    contenders.TaggerRun(tagger, [text * 20, ""])()
    assert not {"pooler", "classifier"} & set(capfd.readouterr().err.split("'"))


def test_nothing_to_export():
    with pytest.raises(ValueError, match="No encoder of ours"):
        export_encoder(spacy.blank("en"), "nowhere")


def test_what_stands_beside_the_entities_is_timed(nlp):
    assert contenders.beside_entities(nlp) == []
    assert contenders.beside_entities(spacy.blank("en")) == []
    seen = []

    @spacy.Language.component("toy_counter")
    def count(doc):
        seen.append(len(doc))
        return doc

    nlp.add_pipe("toy_counter")
    assert contenders.beside_entities(nlp) == ["toy_counter"]
    speed = bench.benchmark(
        nlp, one_set("no aspirin"), n_rounds=1, contenders=["pipeline", "entities"]
    )
    assert names_of(speed) == ["pipeline", "entities alone"]
    # twice before the contenders, then a warm-up and a round of the pipeline alone
    assert seen.count(2) == 4 and nlp.pipe_names[-1] == "toy_counter"


def test_another_shape_has_random_weights_and_the_wordpieces(nlp, one_core):
    with shaped_pipeline(nlp, 1, 128) as other:
        assert other.pipe_names == ["clinbert_transformer", "clinbert_ner"]
        config = shim_of(other)._model.transformer.config
        assert (config.num_hidden_layers, config.hidden_size) == (1, 128)
        assert settings_of(transformer_of(other))["window"] == 20
        assert shim_of(other).settled
        encoders = [bare_encoder.encoder_of(x) for x in (nlp, other)]
        assert encoders[0].pieces([NOTE]) == encoders[1].pieces([NOTE])
        speed = bench.benchmark(other, one_set(NOTE), n_rounds=1)
    assert len(names_of(speed)) == 5
    assert read_shape("12x768") == (12, 768)


@pytest.mark.parametrize("text", ["", "12", "12x", "0x64", "12x768x1", "-1x64"])
def test_no_shape(text):
    with pytest.raises(ValueError, match="expected LAYERSxWIDTH"):
        read_shape(text)
