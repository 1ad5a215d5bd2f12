from types import SimpleNamespace

import pytest
import spacy
from thinc.api import Model

from clinbert_spacy.evaluation import speed_grid as grid
from clinbert_spacy.evaluation.encoder_settings import (
    offered_precisions,
    settings_of,
    with_settings,
)

TEXTS = ["The patient takes aspirin daily.", "No rash."]
OWN = {"precision": "auto", "window": 20, "context": 4}
EXACT = {**OWN, "precision": "float32"}


def pipeline_with(node, monkeypatch):
    """A pipeline that passes for one with this transformer."""
    shim = SimpleNamespace(pieces=SimpleNamespace(special={"max_length": 64}))
    monkeypatch.setattr(grid, "transformer_of", lambda nlp: node)
    monkeypatch.setattr(grid, "shim_of", lambda nlp: shim)
    return spacy.blank("en")


@pytest.fixture(params=["on the model", "on its reading"])
def node(request):
    """A transformer that has precisions to choose from."""
    if request.param == "on the model":
        attrs = {**OWN, "precisions": lambda: ["float32", "int8"]}
    else:
        attrs = {"reading": SimpleNamespace(**OWN), "precisions": lambda model: ["float32", "int8"]}
    return Model("clinical_transformer", lambda *args: None, attrs=attrs)


@pytest.fixture
def nlp(node, monkeypatch):
    return pipeline_with(node, monkeypatch)


def test_settings_are_found_changed_and_put_back(node):
    assert settings_of(node) == OWN and offered_precisions(node) == ["float32", "int8"]
    with pytest.raises(ZeroDivisionError), with_settings(node, {"context": 0}):
        assert settings_of(node) == {**OWN, "context": 0}
        raise ZeroDivisionError
    assert settings_of(node) == OWN


def test_a_real_transformer_reads_by_its_settings(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    model = grid.require_transformer(nlp)
    assert settings_of(model)["window"] == 20

    def count_windows():
        return nlp("aspirin " * 40)._.clinbert_coverage["windows"]

    before = count_windows()
    with with_settings(model, {"window": 50, "context": 0}):
        assert count_windows() == 1
    assert count_windows() == before > 1


def test_cells_are_every_combination_after_the_exact_one(nlp):
    cells = grid.plan_cells(nlp, ["all"], [], [0, 4])
    int8 = {**OWN, "precision": "int8"}
    rest = [{**EXACT, "context": 0}, {**int8, "context": 0}, int8]
    assert cells[0] == EXACT and sorted(map(str, cells[1:])) == sorted(map(str, rest))
    assert grid.plan_cells(nlp) == [EXACT, OWN]


def test_a_transformer_without_precisions(monkeypatch):
    own = {"window": 20, "context": 4}
    node = Model("clinical_transformer", lambda *args: None, attrs=own)
    nlp = pipeline_with(node, monkeypatch)
    assert grid.plan_cells(nlp, ["all"]) == [own]
    assert grid.plan_cells(nlp, [], [30]) == [own, {"window": 30, "context": 4}]
    with pytest.raises(ValueError, match="has none to choose"):
        grid.plan_cells(nlp, ["int8"])


@pytest.mark.parametrize(
    ("tried", "message"),
    [
        ((["int4"],), "No precision \\['int4'\\] on this machine; expected some of"),
        (([], [8], [4]), "window 8 with context 4 cannot be tried"),
        (([], [63]), "window <= 62"),
        (([], [], [-1]), "context >= 0"),
    ],
)
def test_settings_that_cannot_be_tried(nlp, tried, message):
    with pytest.raises(ValueError, match=message):
        grid.plan_cells(nlp, *tried)


def test_cells_are_scored_timed_and_put_back(nlp, node):
    seen, ticks = [], []
    scores = iter([0.75, 0.5])

    def judge():
        seen.append(settings_of(node))
        return next(scores)

    cells = grid.plan_cells(nlp, ["int8"], [], [0])
    rows = grid.try_settings(nlp, judge, TEXTS, cells, n_rounds=1, progress=ticks.append)
    assert seen == [EXACT, {**OWN, "precision": "int8", "context": 0}] and len(ticks) == 2
    assert [(row["f"], row["difference"]) for row in rows] == [(0.75, 0.0), (0.5, -0.25)]
    assert all(row["words_per_second"] > 0 for row in rows)
    assert settings_of(node) == OWN


def test_settings_are_put_back_after_an_error(nlp, node):
    cells = grid.plan_cells(nlp, ["int8"], [], [0])
    with pytest.raises(ZeroDivisionError):
        grid.try_settings(nlp, lambda: 1 / 0, TEXTS, cells)
    assert settings_of(node) == OWN


def test_nothing_to_try(nlp, monkeypatch):
    with pytest.raises(ValueError, match="words of the corpus is 0"):
        grid.try_settings(nlp, float, [" "], [])
    monkeypatch.undo()
    with pytest.raises(ValueError, match="No transformer of ours"):
        grid.plan_cells(spacy.blank("en"))
