import json
import sys

import pytest

from clinbert_spacy.evaluation.ablation import (
    cells_of,
    changes_of,
    percent,
    plot_changes,
    tabulate,
    to_markdown,
)

ROWS = ["start", "+ more", "+ most"]
METRICS = {"ncbi": ["f"], "ade": ["f", "average_precision"]}


def result(f, data="ab", **more):
    score = {"value": f, "low": f - 0.02, "high": f + 0.01}
    base = {"corpus": "x", "scheme": "own", "protocol": "p", "data_sha256": data}
    return {**base, "f": score, **more}


@pytest.fixture
def results():
    found = {}
    for number, row in enumerate(ROWS):
        for seed, f in enumerate((0.80, 0.84, 0.88)):
            # the second row gains 1, 2, 3 points on ncbi
            gain = (seed + 1) / 100 if number == 1 else 0.04 * number
            found[row, "ncbi", seed] = result(f + gain)
            scores = {"average_precision": {"value": f / 2}}
            beside = {"SVM": {"f": {"value": 0.6 + seed / 100}}}
            ade = result(f - 0.01 * number, str(seed), beside=beside, **scores)
            found[row, "ade", seed] = ade
    return found


def test_means_and_paired_changes(results):
    table = tabulate(results, ROWS, METRICS)
    line = table.line("ncbi", "f", "+ more")
    assert (line.mean, line.sd) == (pytest.approx(0.86), pytest.approx(0.05))
    assert (line.low, line.high) == (pytest.approx(0.84), pytest.approx(0.87))
    # differences seed by seed: far less spread than the scores
    assert (line.delta, line.delta_sd) == (pytest.approx(0.02), pytest.approx(0.01))
    assert list(line.deltas.values()) == pytest.approx([0.01, 0.02, 0.03])
    first = table.line("ncbi", "f", "start")
    assert (first.delta, first.delta_sd) == (0.0, 0.0)
    assert table.mean_delta("+ more") == pytest.approx((0.02 - 0.01) / 2)
    assert table.mean_delta("start") == 0.0


def test_what_stands_beside_gets_a_row_of_its_own(results):
    table = tabulate(results, ROWS, METRICS)
    line = table.line("ade", "f", "SVM")
    assert line.mean == pytest.approx(0.61) and line.delta is None
    assert table.line("ade", "average_precision", "SVM") is None
    assert table.line("ncbi", "f", "SVM") is None


def test_cells_that_are_missing(results):
    del results["+ more", "ncbi", 0], results["start", "ncbi", 1]
    for seed in range(3):
        del results["+ most", "ade", seed]
    table = tabulate(results, ROWS, METRICS)
    line = table.line("ncbi", "f", "+ more")
    assert list(line.values) == [1, 2] and list(line.deltas) == [2]
    assert line.delta == pytest.approx(0.03) and line.delta_sd is None
    assert table.line("ade", "f", "+ most") is None and table.mean_delta("+ most") is None
    assert changes_of(table)[1][1][2:] == ("", "")
    without = {key: x for key, x in results.items() if key[0] != "start"}
    line = tabulate(without, ROWS, METRICS).line("ncbi", "f", "+ most")
    assert line.delta is None and line.mean == pytest.approx(0.92)
    assert not tabulate({}, ROWS, METRICS).lines


@pytest.mark.parametrize("key", ["corpus", "scheme", "protocol", "data_sha256"])
def test_rows_on_other_data_are_refused(results, key):
    results["+ most", "ncbi", 1] = {**results["+ most", "ncbi", 1], key: "other"}
    with pytest.raises(ValueError, match=f"'\\+ most' of ncbi, seed 1, differ in {key}"):
        tabulate(results, ROWS, METRICS)


def test_a_score_that_is_not_there(results):
    with pytest.raises(ValueError, match=r"ncbi \| start \| seed 0 has no score 'g'.*\['f'\]"):
        tabulate(results, ROWS, {"ncbi": ["g"]})


def test_tables_for_people(results):
    notes = {"+ more": "seen before", "start": ""}
    table = tabulate(results, ROWS, METRICS, notes, {"training.max_steps": 8})
    header, rows = cells_of(table)
    assert [len(row) for row in rows] == [len(header)] * len(rows)
    assert rows[1] == ("ncbi", "+ more", "3", "F1", "86.0", "5.0", "84.0 - 87.0", "+2.0", "1.0")
    assert rows[0][-2:] == ("", "")
    assert changes_of(table) == (
        ["row", "ncbi", "ade", "mean"],
        [("+ more", "+2.0 (1.0)", "-1.0 (0.0)", "+0.5"),
         ("+ most", "+8.0 (0.0)", "-2.0 (0.0)", "+3.0")],
    )  # fmt: skip
    text = to_markdown(table, "clinbert ablate x")
    assert "| ncbi | + more | 3 | F1 | 86.0 |" in text and "- **+ more**: seen before" in text
    assert "training.max_steps = 8" in text and "`clinbert ablate x`" in text
    assert "start**" not in text and "as configured" in to_markdown(tabulate({}, ROWS, METRICS))


def test_record_is_plain(results):
    plain = json.loads(json.dumps(tabulate(results, ROWS, METRICS).to_dict()))
    assert plain["rows"] == ROWS and plain["mean_deltas"]["+ most"] == pytest.approx(0.03)
    assert plain["lines"][1]["deltas"]["2"] == pytest.approx(0.03)


def test_percent():
    assert [percent(x, "+") for x in (None, 0.1234, -0.001)] == ["", "+12.3", "-0.1"]
    assert percent(0.5) == "50.0"


def test_picture(results, tmp_path):
    pytest.importorskip("matplotlib")
    table = tabulate(results, ROWS, METRICS)
    plot_changes(table, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text("utf8")
    assert "<svg" in text and "ncbi, F1" in text.replace("<!-- ", "").replace(" -->", "")
    # rows without results leave their line empty
    some = {key: x for key, x in results.items() if key[0] != "+ more"}
    plot_changes(tabulate(some, ROWS, METRICS), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"


def test_importing_does_not_import_matplotlib(monkeypatch, results, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    table = tabulate(results, ROWS, METRICS)
    with pytest.raises(ImportError):
        plot_changes(table, tmp_path / "a.svg")
