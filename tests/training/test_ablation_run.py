import json
import sys
import threading
import time

import pytest

from clinbert_spacy.training import ablation_run
from clinbert_spacy.training.ablation import Cell
from clinbert_spacy.training.ablation_run import Runner, append_result, read_results

# What `python -m clinbert_spacy` is to the runner: trains by copying the config.
FAKE = """
import json, os, pathlib, sys, time
command, first, *rest = sys.argv[1:]
out = pathlib.Path(rest[rest.index("--output") + 1])
if command == "train":
    config = pathlib.Path(first).read_text()
    print(config)
    if "slow" in config:
        (out / "started").mkdir(parents=True)
        time.sleep(60)
    if "broken" in config:
        sys.exit("Error: no such encoder.")
    (out / "model-best").mkdir(parents=True, exist_ok=True)
    (out / "model-best" / "text").write_text(config)
else:
    text = (pathlib.Path(first) / "text").read_text()
    threads = os.environ["OMP_NUM_THREADS"]
    found = {"text": text, "command": command, "rest": rest, "threads": threads}
    out.write_text(json.dumps({"f": {"value": 0.5}, **found}))
"""


@pytest.fixture(autouse=True)
def _fake(tmp_path, monkeypatch):
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    monkeypatch.setattr(ablation_run, "LAUNCHER", (sys.executable, str(script)))


def make_cell(config, key=""):
    return Cell("row", "set", 0, key or config, config, "model-best", ["judge", "--data", "d"])


def test_a_cell_is_trained_and_scored(tmp_path):
    runner = Runner(tmp_path / "work", threads=3)
    record = runner.run(make_cell("one"))
    assert (record["key"], record["row"], record["set"], record["seed"]) == ("one", "row", "set", 0)
    assert record["config"] == "one" and record["evaluate"] == ["judge", "--data", "d"]
    result = record["result"]
    assert (result["text"], result["command"], result["threads"]) == ("one", "judge", "3")
    assert result["rest"][:4] == ["--data", "d", "--gpu-id", "-1"]
    cell = make_cell("one")
    assert (runner.folder(cell) / "model" / "model-best").is_dir()
    runner.clean(cell)
    assert not runner.folder(cell).exists()


def test_settings_of_the_environment_do_not_reach_a_cell(monkeypatch):
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--training.max_steps 1")
    monkeypatch.setenv("KEPT", "1")
    found = ablation_run.make_environment(2)
    assert "SPACY_CONFIG_OVERRIDES" not in found
    assert (found["KEPT"], found["MKL_NUM_THREADS"]) == ("1", "2")


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    runner = Runner(tmp_path / "work")
    cells = [make_cell(x) for x in ("one", "broken", "two", "three")]
    found = {cell.key: (record, error) for cell, record, error in runner.run_all(cells, 2)}
    assert set(found) == {"one", "broken", "two", "three"}
    record, error = found.pop("broken")
    assert record is None and "set | row | seed 0: `clinbert train` ended with code 1" in error
    assert "Error: no such encoder." in error and "log.txt" in error
    assert all(record and not error for record, error in found.values())


def test_processes_end_with_the_runner(tmp_path):
    runner = Runner(tmp_path / "work")
    outcomes = runner.run_all([make_cell("slow"), make_cell("slow 2"), make_cell("one")], 2)
    begin, errors = time.monotonic(), []
    reader = threading.Thread(target=lambda: errors.extend(error for _, _, error in outcomes))
    reader.start()
    while not all((tmp_path / "work" / x / "model").is_dir() for x in ("slow", "slow 2")):
        assert time.monotonic() - begin < 30
        time.sleep(0.05)
    runner.stop()
    reader.join(30)
    assert time.monotonic() - begin < 50 and len(errors) == 3
    assert sum("stopped before `train`" in error for error in errors) == 1
    with pytest.raises(ValueError, match="Run again to go on"):
        runner.run(make_cell("two"))


def test_leaving_the_loop_ends_the_processes(tmp_path):
    runner = Runner(tmp_path / "work")
    begin = time.monotonic()
    for _ in runner.run_all([make_cell("one"), make_cell("slow")], 2):
        break
    assert time.monotonic() - begin < 50
    with pytest.raises(ValueError, match="stopped"):
        runner.run(make_cell("two"))


def test_results_are_kept_and_found_again(tmp_path):
    path = tmp_path / "deep" / "cells.jsonl"
    assert read_results(path) == {}
    append_result(path, {"key": "a", "result": {"name": "ß"}})
    append_result(path, {"key": "b", "result": 1})
    assert read_results(path)["a"]["result"] == {"name": "ß"}
    whole = path.read_text("utf8")
    for cut in ('{"key": "c", "res', '{"key": "c", "result": 1}'):
        # a kill while a line was written
        path.write_text(whole + cut, "utf8")
        assert set(read_results(path)) == {"a", "b"}
        append_result(path, {"key": "d", "result": 2})
        assert set(read_results(path)) == {"a", "b", "d"}
        assert path.read_text("utf8").startswith(whole + '{"key": "d"')


@pytest.mark.parametrize("line", ["{broken", "[1]", json.dumps({"key": "a"})])
def test_other_files_are_no_results(tmp_path, line):
    path = tmp_path / "cells.jsonl"
    path.write_text(f'{{"key": "a", "result": 1}}\n{line}\n')
    with pytest.raises(ValueError, match="cells.jsonl:2: expected a result"):
        read_results(path)
