import pytest
import spacy

from clinbert_spacy.evaluation import stages
from clinbert_spacy.evaluation.checkpoints import transformer_of

TEXTS = ["The patient takes aspirin daily.", "", "No rash."]


@pytest.fixture
def nlp(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.add_pipe("sentencizer")
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def check_sums(found):
    for part in ("stages", "components"):
        assert sum(found[part].values()) == pytest.approx(found["total"])
        assert all(seconds >= 0 for seconds in found[part].values())


def untouched(nlp):
    return not any(
        method in getattr(component, "__dict__", {})
        for _, component in nlp.pipeline for method in stages.METHODS
    )  # fmt: skip


def test_stages_without_a_stopwatch(nlp, monkeypatch):
    monkeypatch.setattr(stages, "STOPWATCH", "none of that name")
    found = stages.stage_seconds(nlp, TEXTS, 2)
    check_sums(found)
    assert list(found["stages"]) == list(stages.STAGES)
    assert list(found["components"]) == ["tokenizer", *nlp.pipe_names]
    assert found["stages"]["encode"] == found["components"]["clinbert_transformer"]
    assert found["stages"]["tokenise"] == found["components"]["tokenizer"]
    assert found["stages"]["heads"] > 0 and found["stages"]["write-back"] > 0
    assert untouched(nlp)


def test_stages_with_a_stopwatch(nlp, monkeypatch):
    node = transformer_of(nlp)
    node.attrs["stopwatch"] = None
    forward, told = node._func, ("wordpieces", "align", "knowledge", "encode")

    def tell(model, docs, is_train):
        watch, model.attrs["stopwatch"] = model.attrs["stopwatch"], None
        for stage in told:
            watch(stage, 1e-9)
        found = forward(model, docs, is_train)
        model.attrs["stopwatch"] = watch
        return found

    monkeypatch.setattr(node, "_func", tell)
    found = stages.stage_seconds(nlp, TEXTS, 2)
    check_sums(found)
    assert [found["stages"][name] for name in told].count(2e-9) >= 3
    assert found["stages"]["rest"] > 0
    assert node.attrs["stopwatch"] is None and untouched(nlp)


def test_everything_is_put_back_after_an_error(nlp, monkeypatch):
    node = transformer_of(nlp)
    node.attrs["stopwatch"] = None

    def fail(model, docs, is_train):
        raise ValueError("broken")

    monkeypatch.setattr(node, "_func", fail)
    with pytest.raises(ValueError, match="broken"):
        stages.stage_seconds(nlp, TEXTS, 2)
    assert node.attrs["stopwatch"] is None and untouched(nlp)


def test_components_that_are_compiled_or_have_no_predict():
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("DRUG")
    nlp.add_pipe("entity_ruler")
    nlp.initialize()
    found = stages.stage_seconds(nlp, TEXTS, 2)
    check_sums(found)
    assert found["stages"]["heads"] > 0 and found["stages"]["encode"] == 0
    assert found["stages"]["write-back"] >= found["components"]["entity_ruler"]
