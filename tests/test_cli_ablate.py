import json
import sys
from pathlib import Path

import pytest
import srsly
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_ablate import RESULTS, ablate, read_variables
from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.training import ablation_run

from .training.toy_text import PRETRAINING

ROOT = Path(__file__).parent.parent
# Scores by what the config holds; counts its trainings.
FAKE = """
import configparser, json, pathlib, sys
command, first, *rest = sys.argv[1:]
out = pathlib.Path(rest[rest.index("--output") + 1])
path = pathlib.Path(first if command != "evaluate" else first + "/config.cfg")
config = configparser.ConfigParser()
config.read(path)
if command == "pretrain":
    with open({count!r}, "a") as file_:
        assert rest[rest.index("--training.device") + 1] == "cpu"
        file_.write("pretrain" + json.loads(config["encoder"]["name"]) + "\\n")
    if config["encoder"]["name"] == '"broken"':
        sys.exit("Error: no such checkpoint.")
    (out / "model").mkdir(parents=True)
    (out / "model" / "config.json").write_text("")
    sys.exit()
encoder, seed = json.loads(config["paths"]["encoder"]), json.loads(config["system"]["seed"])
if command == "train":
    with open({count!r}, "a") as file_:
        file_.write(encoder + "\\n")
    if encoder == "broken":
        sys.exit("Error: no such encoder.")
    (out / "model-best").mkdir(parents=True)
    (out / "model-best" / "config.cfg").write_text(path.read_text())
else:
    f = 0.8 + seed / 100 + len(encoder) / 1000
    score = {{"value": f, "low": f - 0.1, "high": f + 0.1}}
    out.write_text(json.dumps({{"corpus": "x", "data_sha256": "y", "f": score}}))
"""
CONFIG = '[paths]\nencoder = "e"\n[system]\nseed = 0\n[training]\nmax_steps = 9\n'


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=settings)(ablate)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["ablate", *map(str, arguments)])


class Bench:
    """An ablation in a folder, and what has been trained so far."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "ablation.yml"
        self.count = folder / "count"
        block = {"config": str(folder / "base.cfg"), "evaluate": {"data": "d"}}
        self.plan = {
            "vars": {"long": "four"},
            "seeds": [0, 1],
            "budget": {"training.max_steps": 5},
            "sets": {"ncbi": block, "ade": {**block, "overrides": {"training.dropout": 0.1}}},
            "rows": [
                {"name": "start"},
                {"name": "+ more", "overrides": {"paths.encoder": "${long}"}, "note": "a note"},
                {"name": "same", "sets": ["ade"]},
            ],
        }
        (folder / "base.cfg").write_text(CONFIG)

    def __call__(self, *arguments):
        srsly.write_yaml(self.file, self.plan)
        places = ["--output", self.folder / "out", "--work", self.folder / "work"]
        return run(self.file, *places, *arguments)

    @property
    def trained(self):
        return self.count.read_text().split() if self.count.exists() else []

    @property
    def records(self):
        lines = (self.folder / "out" / RESULTS).read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    script = tmp_path / "fake.py"
    script.write_text(FAKE.format(count=str(tmp_path / "count")))
    monkeypatch.setattr(ablation_run, "LAUNCHER", (sys.executable, str(script)))
    return Bench(tmp_path)


def test_table_is_filled_once(bench):
    done = bench("--parallel", 2, "--plot", bench.folder / "changes.svg")
    assert done.exit_code == 0, done.output
    assert "ncbi | + more | seed 1: F1 81.4" in done.stderr
    # the row that changes nothing is not trained a second time
    assert sorted(bench.trained) == ["e"] * 4 + ["four"] * 4
    table = json.loads((bench.folder / "out" / "table.json").read_text())
    lines = {(x["set"], x["row"]): x for x in table["lines"]}
    assert set(lines) == {("ncbi", "start"), ("ncbi", "+ more"), ("ade", "start"),
                          ("ade", "+ more"), ("ade", "same")}  # fmt: skip
    assert lines["ncbi", "+ more"]["delta"] == pytest.approx(0.003)
    assert lines["ade", "same"]["delta"] == 0 and lines["ncbi", "start"]["mean"] > 0.8
    assert "a note" in (bench.folder / "out" / "table.md").read_text()
    assert "a note" in done.stdout and (bench.folder / "changes.svg").stat().st_size > 1000
    assert not list((bench.folder / "work").iterdir())
    again = bench()
    assert again.exit_code == 0 and len(bench.trained) == 8 and "a note" in again.stdout


def test_goes_on_where_it_was_killed(bench):
    assert bench("--seeds", 0).exit_code == 0
    path = bench.folder / "out" / RESULTS
    assert [(x["set"], x["row"], x["seed"]) for x in bench.records] == [
        ("ncbi", "start", 0), ("ncbi", "+ more", 0), ("ade", "start", 0), ("ade", "+ more", 0),
    ]  # fmt: skip
    # a kill while the last line was written
    path.write_bytes(path.read_bytes()[:-30])
    assert bench("--seeds", 0).exit_code == 0
    assert bench.trained == ["e", "four"] * 2 + ["four"] and len(bench.records) == 4
    # another budget is another table
    bench.plan["budget"] = {"training.max_steps": 6}
    assert bench("--seeds", 0).exit_code == 0 and len(bench.trained) == 9


def test_parts_of_the_table(bench):
    chosen = ["--rows", "+ more", "--sets", "ade", "--seeds", 1]
    done = bench(*chosen, "--keep", "--vars.long", "seven7")
    assert done.exit_code == 0 and bench.trained == ["seven7"]
    (record,) = bench.records
    assert (bench.folder / "work" / record["key"] / "model" / "model-best").is_dir()
    assert 'encoder = "seven7"' in record["config"]
    for option, value in (("--rows", "more"), ("--sets", "chia"), ("--seeds", 2)):
        done = bench(option, value)
        assert done.exit_code == 1 and f"{option} is '{value}'; expected one of" in done.stderr


def test_dry_run_lists_the_cells(bench):
    assert bench("--rows", "start", "--seeds", 0).exit_code == 0
    before = bench.trained
    done = bench("--dry-run")
    assert done.exit_code == 0 and bench.trained == before
    states = [line.split()[-1] for line in done.stdout.splitlines() if "start" in line]
    assert states.count("done") == 2 and "as start" in done.stdout
    assert "10 cells, 6 trainings and 0 encoders to do." in done.stdout


def test_failed_cells_are_named_and_tried_again(bench):
    bench.plan["vars"]["long"] = "broken"
    done = bench("--sets", "ncbi")
    assert done.exit_code == 1
    assert "2 trainings failed. The first: ncbi | + more | seed" in done.stderr
    assert "no such encoder" in done.stderr and "Traceback" not in done.output
    assert len(bench.records) == 2 and "start" in done.stdout
    assert bench("--sets", "ncbi").exit_code == 1
    assert bench.trained.count("broken") == 4 and bench.trained.count("e") == 2


def test_encoders_are_made_once_before_the_cells(bench):
    (bench.folder / "text.cfg").write_text(PRETRAINING)
    for name in ("good", "broken"):
        block = {"config": str(bench.folder / "text.cfg"), "overrides": {"encoder.name": name}}
        bench.plan.setdefault("encoders", {})[name] = block
        row = {"name": name, "overrides": {"paths.encoder": f"${{{name}}}"}}
        bench.plan["rows"].append(row)
    dry = bench("--dry-run", "--rows", "good")
    assert dry.stdout.count("encoder good to make") == 1 and not bench.trained
    done = bench("--rows", "good", "--rows", "start")
    assert done.exit_code == 0, done.output
    models = list((bench.folder / "work" / "encoders").glob("*/model"))
    assert bench.trained[0] == "pretraingood" and len(models) == 1
    assert bench.trained.count(str(models[0])) == 4 and bench.trained.count("e") == 4
    # the cells of an encoder that cannot be made are not tried
    done = bench("--rows", "good", "--rows", "broken")
    assert done.exit_code == 1 and "1 trainings failed. The first: encoder broken" in done.stderr
    assert bench.trained[9:] == ["pretrainbroken"]


@pytest.mark.parametrize("words", [["--var.a", "1"], ["--vars.a"], ["x"]])
def test_other_options_are_refused(bench, words):
    done = bench(*words)
    assert done.exit_code == 1 and "expected --vars.NAME VALUE" in done.stderr


def test_variables():
    words = ["--vars.a", "1", "--vars.b=x=y", "--vars.c", "--d"]
    assert read_variables(words) == {"a": "1", "b": "x=y", "c": "--d"}


def test_a_plot_without_matplotlib_is_refused_before_training(bench, monkeypatch):
    monkeypatch.setattr("clinbert_spacy.cli_ablate.find_spec", lambda name: None)
    done = bench("--plot", "x.svg")
    assert done.exit_code == 1 and "extra `plot`" in done.stderr and not bench.trained


def test_a_real_cell(checkpoint, tmp_path):
    notes = str(ROOT / "assets" / "notes" / "dev")
    prefix = "components.clinbert_transformer.model"
    plan = {
        "seeds": [3],
        "budget": {"training.max_steps": 2, "training.eval_frequency": 2},
        "sets": {
            "notes": {
                "config": str(ROOT / "configs" / "bench_cpu.cfg"),
                "overrides": {
                    "paths.encoder": str(checkpoint),
                    "paths.corpus": notes,
                    "corpora.train.sources.main.corpus": "notes",
                    "corpora.train.sources.main.parts": None,
                    "corpora.train.sources.main.limit": 4,
                    "corpora.dev.sources.main.parts": None,
                    "corpora.dev.sources.main.limit": 2,
                    "training.batcher.size": 200,
                    "training.optimizer.learn_rate.warmup_steps": 1,
                    f"{prefix}.window": 20,
                    f"{prefix}.context": 4,
                    f"{prefix}.precision": "float32",
                },
                "evaluate": {"corpus": "notes", "data": notes, "limit": 3},
                "metrics": ["f", "macro_f"],
            }
        },
        "rows": [{"name": "start"}],
    }
    srsly.write_yaml(tmp_path / "plan.yml", plan)
    out = tmp_path / "out"
    done = run(tmp_path / "plan.yml", "--output", out, "--work", tmp_path / "work")
    assert done.exit_code == 0, done.output
    (record,) = [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]
    assert record["result"]["n_notes"] == 3 and record["result"]["corpus"] == "notes"
    assert record["result"]["pipeline"]["components"] == "clinbert_transformer clinbert_ner"
    assert "seed = 3" in record["config"] and not list((tmp_path / "work").iterdir())
    assert [x["metric"] for x in json.loads((out / "table.json").read_text())["lines"]] == [
        "f", "macro_f",
    ]  # fmt: skip
