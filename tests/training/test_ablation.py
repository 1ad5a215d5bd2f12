from pathlib import Path

import pytest
import srsly
from thinc.api import Config

from clinbert_spacy.training.ablation import make_cells, read_by, read_plan
from clinbert_spacy.training.ablation_values import digest, fill, to_options

from .toy_text import PRETRAINING

ROOT = Path(__file__).parent.parent.parent
CONFIG = """
[paths]
corpus = null
encoder = "none"
[system]
seed = 9
[training]
seed = ${system.seed}
max_steps = 100
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "base.cfg").write_text(CONFIG)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("one")
    block = {
        "config": str(tmp_path / "base.cfg"),
        "overrides": {"paths.corpus": "${data}"},
        "evaluate": {"corpus": "ncbi", "data": "${data}", "part": "dev"},
    }
    return {
        "vars": {"data": str(tmp_path / "data")},
        "seeds": [0, 1],
        "budget": {"training.max_steps": 7},
        "sets": {"one": block, "two": {**block, "metrics": ["f", "macro_f"]}},
        "rows": [
            {"name": "start"},
            {"name": "more", "overrides": {"paths.encoder": "e-${set}-${seed}"}, "note": "why"},
            {"name": "some", "overrides": {"paths.encoder": "x"}, "sets": ["two"]},
        ],
    }


def cells_of(source, **variables):
    return {(c.row, c.set, c.seed): c for c in make_cells(read_plan(source, variables))}


def test_a_cell_a_row_set_and_seed(source):
    plan = read_plan(source, {})
    cells = make_cells(plan)
    assert [(c.seed, c.set, c.row) for c in cells] == [
        (seed, name, row)
        for seed in (0, 1)
        for name, rows in (("one", ["start", "more"]), ("two", ["start", "more", "some"]))
        for row in rows
    ]
    assert plan.sets["one"].metrics == ["f"] and plan.rows[1].note == "why"
    assert cells[0].name == "one | start | seed 0"


def test_config_of_a_cell_is_whole(source, tmp_path):
    cells = cells_of(source)
    config = Config().from_str(cells["more", "two", 1].config)
    assert config["paths"] == {"corpus": str(tmp_path / "data"), "encoder": "e-two-1"}
    assert config["system"]["seed"] == config["training"]["seed"] == 1
    assert config["training"]["max_steps"] == 7
    assert "${" not in cells["more", "two", 1].config
    expected = ["evaluate", "--corpus", "ncbi", "--data", str(tmp_path / "data"), "--part", "dev"]
    assert cells["start", "one", 0].evaluate == expected


def test_a_set_may_have_a_budget_of_its_own(source):
    source["sets"]["two"] = {**source["sets"]["two"], "budget": {"training.max_steps": 9}}
    steps = {
        key: Config().from_str(cell.config)["training"]["max_steps"]
        for key, cell in cells_of(source).items()
    }
    assert {(name, n) for (_, name, _), n in steps.items()} == {("one", 7), ("two", 9)}
    source["sets"]["two"]["budget"] = {"paths.encoder": "y"}
    with pytest.raises(ValueError, match="'more' changes paths.encoder"):
        read_plan(source, {})


def test_keys_stand_for_everything_that_is_run(source, tmp_path):
    before = cells_of(source)
    # the two sets differ by their metrics alone, which no training sees
    assert before["start", "one", 0].key == before["start", "two", 0].key
    keys = {cell.key for cell in before.values()}
    assert len(keys) == 8 and cells_of(source) == before
    changed = [
        {"weights": "model-last"},
        {"budget": {"training.max_steps": 8}},
        {"sets": {n: {**b, "evaluate": {"part": "test"}} for n, b in source["sets"].items()}},
    ]
    for change in changed:
        assert not keys & {cell.key for cell in cells_of({**source, **change}).values()}
    renamed = [{**row, "name": row["name"] + "!"} for row in source["rows"]]
    assert {cell.key for cell in cells_of({**source, "rows": renamed}).values()} == keys
    (tmp_path / "data" / "a.txt").write_text("two")
    assert not keys & {cell.key for cell in cells_of(source).values()}


def test_files_below_other_settings_count_too(source, tmp_path):
    graph = tmp_path / "graph"
    graph.write_text("one")
    knowledge = {"@architectures": "x.v1", "graphs": [str(graph)]}
    source["rows"][1]["overrides"] = {"system.knowledge": knowledge}
    before = cells_of(source)
    config = Config().from_str(before["more", "one", 0].config)
    assert config["system"]["knowledge"] == knowledge
    graph.write_text("two")
    after = cells_of(source)
    assert before["more", "one", 0].key != after["more", "one", 0].key
    assert before["start", "one", 0] == after["start", "one", 0]


def test_variables_of_the_command_line_win(source, tmp_path):
    cells = cells_of(source, data="elsewhere/data")
    assert "elsewhere/data" in cells["start", "one", 0].config
    with pytest.raises(ValueError, match=r"No variable \['dat'\]"):
        read_plan(source, {"dat": "x"})


def test_fill():
    values = {"seed": 3, "set": "ncbi"}
    block = {"a": ["${seed}", "x-${seed}-${set}"], "b": {"c": "${paths.x}"}, "d": None}
    assert fill(block, values) == {"a": [3, "x-3-ncbi"], "b": {"c": "${paths.x}"}, "d": None}
    with pytest.raises(ValueError, match=r"variables \['sed'\].*--vars.sed"):
        fill("${sed}", values)


def test_options():
    block = {"command": "other", "a_b": 1, "part": ["x", "y"], "on": True, "off": False, "no": None}
    assert to_options(block) == ["other", "--a-b", "1", "--part", "x", "--part", "y", "--on"]
    assert to_options({}) == ["evaluate"]


def test_digest_is_of_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    found = {digest(tmp_path / "a"), digest(tmp_path / "a" / "x")}
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    found.add(digest(tmp_path / "a"))
    (tmp_path / "a" / "y").write_text("2")
    found.add(digest(tmp_path / "a"))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoders": {"data": {"config": "x"}}}, "variables and encoders"),
        ({"encoders": {"a": {"overrides": {}}}}, "Encoder 'a' has the keys"),
        (
            {
                "encoders": {"a": {"config": "x", "overrides": {"b.c": 1}}},
                "encoder_budget": {"b.c": 2},
            },
            "Encoder 'a' changes b.c",
        ),
        ({"row": []}, "has the keys"),
        ({"seeds": []}, "Seeds are"),
        ({"seeds": [1, 1]}, "each once"),
        ({"rows": [{"name": "a"}, {"name": "a"}]}, "Rows are"),
        ({"rows": [{"overrides": {}}]}, "A row has the keys"),
        ({"rows": [{"name": "a", "overrides": {"training.max_steps": 9}}]}, "changes training.max"),
        ({"rows": [{"name": "a", "overrides": {"system.seed": 9}}]}, "changes system.seed"),
        ({"rows": [{"name": "a", "sets": ["three"]}]}, r"names the sets \['three'\]"),
        ({"sets": {"one": {"config": "x"}}}, "Set 'one' has the keys"),
        ({"weights": "best"}, "expected one of model-best"),
    ],
)
def test_what_a_plan_cannot_be(source, change, message):
    with pytest.raises(ValueError, match=message):
        read_plan({**source, **change}, {})


def with_encoders(source, folder, **overrides):
    (folder / "text.cfg").write_text(PRETRAINING)
    block = {"config": str(folder / "text.cfg"), "overrides": overrides}
    rows = [
        {"name": "start"},
        {"name": "all", "overrides": {"paths.encoder": "${made}"}},
        {"name": "two", "overrides": {"paths.encoder": "${made}", "training.max_steps": 3}},
    ]
    return {
        **source,
        "budget": {},
        "encoders": {"made": block},
        "encoder_budget": {"training.max_steps": 7},
        "rows": rows,
    }


def test_an_encoder_is_shared_where_its_settings_are_the_same(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = with_encoders(source, tmp_path)
    cells = cells_of(plan)
    assert not cells["start", "one", 0].encoders
    (encoder,) = {e for c in cells.values() for e in c.encoders}
    assert str(encoder.model) in cells["two", "one", 1].config
    config = Config().from_str(encoder.config)
    assert config["training"]["max_steps"] == 7 and config["text"]["cache"]
    # its content is known before it is made, so making it changes no key
    encoder.model.mkdir(parents=True)
    (encoder.model / "config.json").write_text("{}")
    assert cells_of(plan) == cells
    plan["encoder_budget"] = {"training.max_steps": 8}
    longer = cells_of(plan)
    assert longer["all", "one", 0].key != cells["all", "one", 0].key
    assert longer["start", "one", 0] == cells["start", "one", 0]
    (other,) = {e for c in longer.values() for e in c.encoders}
    assert Config().from_str(other.config)["text"]["cache"] == config["text"]["cache"]


def test_an_encoder_for_each_set_and_seed(source, tmp_path):
    block = {"text.files": "${texts}", "training.seed": "${seed}"}
    plan = with_encoders(source, tmp_path, **block)
    for name, data in plan["sets"].items():
        plan["sets"][name] = {**data, "vars": {"texts": {"a": "${data}/" + name}}}
    cells = cells_of(plan)
    assert len({e.key for c in cells.values() for e in c.encoders}) == 4
    config = Config().from_str(cells["all", "two", 1].encoders[0].config)
    assert config["text"]["files"] == {"a": f"{tmp_path}/data/two"}
    assert config["training"]["seed"] == 1


def test_blocks_of_an_encoder_are_taken_out_or_refused(source, tmp_path):
    cells = cells_of(with_encoders(source, tmp_path, **{"objectives.masked_words": None}))
    config = Config().from_str(cells["all", "one", 0].encoders[0].config)
    assert config["objectives"] == {}
    with pytest.raises(ValueError, match=r"Encoder 'made': its config has no block \[vocab\]"):
        cells_of(with_encoders(source, tmp_path, **{"vocab.size": 3}))
    with pytest.raises(ValueError, match="rates"):
        cells_of(with_encoders(source, tmp_path, **{"objectives.masked_words.rates": 3}))


def test_a_config_that_is_not_there(source):
    source["sets"]["one"]["config"] = "nowhere.cfg"
    with pytest.raises(ValueError, match="No config file at 'nowhere.cfg'"):
        cells_of(source)


def test_the_shipped_plan_writes_configs_that_differ_where_they_should(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = read_plan(srsly.read_yaml("configs/ablation.yml"), {"corpora": str(tmp_path)})
    cells = make_cells(plan)
    assert len(cells) == len({cell.key for cell in cells})
    first = {cell.set: cell for cell in cells if cell.row == "start" and cell.seed == 1}
    assert list(first) == list(plan.sets)
    for cell in cells:
        config = Config().from_str(cell.config)
        assert config["training"]["seed"] == cell.seed
        for key, value in {**plan.budget, **plan.sets[cell.set].budget}.items():
            found = config
            for part in key.split("."):
                found = found[part]
            assert found == value
    encoders = {e.key: e for cell in cells for e in cell.encoders}.values()
    assert len(encoders) == 12
    for encoder in encoders:
        config = Config().from_str(encoder.config)
        assert config["encoder"]["name"] == plan.variables["start"]
        for key, value in plan.encoder_budget.items():
            assert config["training"][key.split(".")[1]] == value
    (other,) = {c.encoders for c in cells if (c.row, c.set) == ("intermediate training", "ncbi")}
    assert "ncbi" not in Config().from_str(other[0].config)["objectives"]["gold_tags"]["sources"]
    ade = Config().from_str(first["ade"].config)
    assert ade["corpora"]["train"]["fold"] == ade["corpora"]["dev"]["fold"] == 1
    assert first["ade"].evaluate[-2:] == ["--fold", "1"]
    source = Config().from_str(first["maccrobat"].config)["corpora"]["dev"]["sources"]["main"]
    assert (source["corpus"], source["parts"], source["split"]) == ("maccrobat", None, "dev")


def test_the_shipped_folds(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = read_plan(srsly.read_yaml("configs/bench_ade.yml"), {"corpora": str(tmp_path)})
    folds = [Config().from_str(c.config)["corpora"]["dev"]["fold"] for c in make_cells(plan)]
    assert folds == list(range(10))


def test_what_an_evaluation_writes_is_not_read():
    options = ["relation-score", "--data", "a/b", "--corpus", "ade", "--errors", "out/e.md", "--on",
               "--output", "out/r.json", "--base", "kb/x"]  # fmt: skip
    assert read_by(options) == ["a/b", "kb/x"]
    assert read_by(["evaluate"]) == read_by([]) == []


@pytest.mark.parametrize("name", ["errors", "output"])
def test_files_that_a_cell_wrote_change_no_key(source, tmp_path, name):
    page = tmp_path / "out" / "e.md"
    block = source["sets"]["one"]
    source["sets"] = {"two": {**block, "evaluate": {**block["evaluate"], name: str(page)}}}
    before = cells_of(source)
    page.parent.mkdir()
    for text in ("one", "two"):
        page.write_text(text)
        assert cells_of(source) == before
    # what it reads does
    (tmp_path / "data" / "a.txt").write_text("two")
    after = cells_of(source)
    assert before.keys() == after.keys()
    assert not {cell.key for cell in before.values()} & {cell.key for cell in after.values()}
