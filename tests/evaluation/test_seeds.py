import copy
import json

import pytest
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_project import exclude, seeds
from clinbert_spacy.evaluation.seeds import MICRO, spread, summarise


def result(f, **changes):
    score = {"value": f, "low": f - 0.01, "high": f + 0.01}
    row = {"label": "Disease", "n": 7, "precision": f, "recall": f, "f": f}
    base = {
        "corpus": "bc5cdr", "scheme": "own", "protocol": "strict", "data_sha256": "ab" * 32,
        "n_notes": 3, "n_mentions": 7, "precision": score, "recall": score, "f": score,
        "macro_f": score, "labels": [row],
    }  # fmt: skip
    return {**base, **changes}


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(seeds)
    app.command()(exclude)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_mean_and_sample_deviation():
    summary = summarise([result(0.82), result(0.84), result(0.86)])
    assert (summary.n_seeds, summary.n_notes, summary.corpus) == (3, 3, "bc5cdr")
    assert [row.label for row in summary.rows] == [MICRO, "Disease"]
    for row in summary.rows:
        assert row.n == 7
        assert row.f.mean == pytest.approx(0.84) and row.f.sd == pytest.approx(0.02)
    assert summary.macro_f.sd == pytest.approx(0.02)
    plain = json.loads(json.dumps(summary.to_dict()))
    assert plain["rows"][0]["f"]["mean"] == summary.rows[0].f.mean


def test_equal_values_do_not_spread():
    assert spread([0.5, 0.5]).sd == 0.0


@pytest.mark.parametrize(
    "change", [{"corpus": "ncbi"}, {"scheme": "product"}, {"data_sha256": "cd"}, {"protocol": "x"}]
)
def test_what_differs_is_named(change):
    with pytest.raises(ValueError, match=f"differ in {next(iter(change))}"):
        summarise([result(0.8), result(0.8, **change)])


def test_one_evaluation_has_no_deviation():
    with pytest.raises(ValueError, match="at least two"):
        summarise([result(0.8)])


def test_command(run, tmp_path):
    files = []
    for number, f in enumerate((0.82, 0.86)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(result(f)))
    done = run("seeds", *files, "--output", tmp_path / "all.json")
    assert done.exit_code == 0, done.output
    assert "84.0" in done.output and "2 seeds" in done.output
    assert json.loads((tmp_path / "all.json").read_text())["n_seeds"] == 2


def test_command_refuses_other_files(run, tmp_path):
    broken = copy.deepcopy(result(0.8))
    del broken["labels"]
    (tmp_path / "a.json").write_text(json.dumps(broken))
    done = run("seeds", tmp_path / "a.json")
    assert done.exit_code and "holds no scores" in str(done.exception)
