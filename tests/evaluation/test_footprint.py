import json

import pytest

from clinbert_spacy.evaluation import footprint, footprint_child

from ..toy_cli import CANARY, make_pipeline

NOTES = ["No rash.", "", "aspirin"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return make_pipeline(tmp_path_factory.mktemp("pipeline") / "toy")


def test_every_figure_is_there(pipeline, monkeypatch):
    asked, ticks = [], []

    def here(task):
        asked.append(json.loads(json.dumps(task)))
        return footprint_child.TASKS[task["task"]](task)

    monkeypatch.setattr(footprint, "run_task", here)
    found = footprint.measure_footprint(
        pipeline, NOTES, memory_notes=25, long_bytes=300, threads=1, progress=ticks.append
    )
    assert list(found) == ["cold start", "ordinary", "long note", "stream"] and len(ticks) == 4
    start = found["cold start"]
    assert list(start["seconds"]) == [
        "import spacy", "import spacy_transformers", "import clinbert_spacy", "load", "first note",
        "second note",
    ]  # fmt: skip
    assert start["total"] == pytest.approx(sum(start["seconds"].values()))
    for name in ("ordinary", "long note"):
        assert found[name]["peak_mb"] >= found[name]["loaded_mb"] > 10
    assert found["long note"]["bytes"] == 300
    points = found["stream"]["points"]
    assert [point["notes"] for point in points] == [2, 5, 7, 10, 12, 15, 17, 20, 22, 25]
    growth = points[-1]["resident_mb"] - points[1]["resident_mb"]
    assert found["stream"]["growth_mb"] == pytest.approx(growth)
    assert asked[0]["texts"] == ["No rash.", "aspirin"] and len(asked[1]["texts"]) == 3


def test_a_fresh_process_measures(pipeline):
    task = {"task": "peak", "pipeline": pipeline, "texts": NOTES, "batch_size": 2}
    assert footprint.run_task(task)["peak_mb"] > 10


def test_a_process_that_fails_shows_no_note(tmp_path):
    task = {"task": "peak", "pipeline": str(tmp_path), "texts": [CANARY], "batch_size": 1}
    with pytest.raises(ValueError, match="ended with code 1 \\(OSError\\)") as caught:
        footprint.run_task(task)
    assert CANARY not in str(caught.value)
    stderr = f"Traceback\n  File x\na.b.ValueError: {CANARY}\n{CANARY}Error\nand: more\n"
    assert footprint.error_kind(stderr) == "a.b.ValueError"
    assert footprint.error_kind("") == "no error named"


@pytest.mark.parametrize(
    ("texts", "n_notes", "message"), [([" "], 1, "without a word"), (["a"], 0, "is 0; expected")]
)
def test_what_cannot_be_measured(texts, n_notes, message):
    with pytest.raises(ValueError, match=message):
        footprint.measure_footprint("none", texts, memory_notes=n_notes)


def test_few_notes_have_few_points(pipeline):
    task = {"pipeline": pipeline, "texts": NOTES, "batch_size": 1, "n_notes": 1}
    found = footprint_child.stream(task)
    assert [point["notes"] for point in found["points"]] == [1] and found["growth_mb"] == 0
