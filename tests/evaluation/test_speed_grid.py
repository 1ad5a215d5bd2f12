import pytest
import spacy

from clinbert_spacy.evaluation import speed_grid as grid
from clinbert_spacy.evaluation.checkpoints import transformer_of

TEXTS = ["The patient takes aspirin daily.", "No rash."]


@pytest.fixture
def nlp(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


@pytest.fixture
def choosy(nlp):
    """A pipeline whose transformer has precisions to choose from."""
    attrs = transformer_of(nlp).attrs
    attrs["precision"] = "auto"
    attrs["precisions"] = lambda: ["float32", "int8"]
    return nlp


def test_cells_are_every_combination_after_the_exact_one(choosy):
    first = {"precision": "float32", "window": 20, "context": 4}
    cells = grid.plan_cells(choosy, ["all"], [], [0, 4])
    int8 = {**first, "precision": "int8"}
    rest = [{**first, "context": 0}, {**int8, "context": 0}, int8]
    assert sorted(map(str, cells[1:])) == sorted(map(str, rest))
    assert cells[0] == first
    assert grid.plan_cells(choosy) == [first, {**first, "precision": "auto"}]


def test_a_transformer_without_precisions(nlp):
    attrs = transformer_of(nlp).attrs
    attrs.pop("precision", None)
    attrs.pop("precisions", None)
    own = {"window": 20, "context": 4}
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
def test_settings_that_cannot_be_tried(choosy, tried, message):
    with pytest.raises(ValueError, match=message):
        grid.plan_cells(choosy, *tried)


def test_cells_are_scored_timed_and_put_back(choosy):
    attrs = transformer_of(choosy).attrs
    before, seen, ticks = dict(attrs), [], []
    scores = iter([0.75, 0.5])

    def judge():
        seen.append((attrs["precision"], attrs["context"]))
        return next(scores)

    cells = grid.plan_cells(choosy, ["int8"], [], [0])
    rows = grid.try_settings(choosy, judge, TEXTS, cells, n_rounds=1, progress=ticks.append)
    assert seen == [("float32", 4), ("int8", 0)] and len(ticks) == 2
    assert [(row["f"], row["difference"]) for row in rows] == [(0.75, 0.0), (0.5, -0.25)]
    assert all(row["words_per_second"] > 0 for row in rows)
    assert dict(attrs) == before


def test_settings_are_put_back_after_an_error(choosy):
    attrs = transformer_of(choosy).attrs
    before = dict(attrs)
    cells = grid.plan_cells(choosy, ["int8"], [], [0])
    with pytest.raises(ZeroDivisionError):
        grid.try_settings(choosy, lambda: 1 / 0, TEXTS, cells)
    assert dict(attrs) == before


def test_nothing_to_try(nlp):
    with pytest.raises(ValueError, match="No transformer of ours"):
        grid.plan_cells(spacy.blank("en"))
    with pytest.raises(ValueError, match="words of the corpus is 0"):
        grid.try_settings(nlp, float, [" "], [])
