"""The cells of an ablation: rows of changes times sets of data times seeds, each a whole config."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from .ablation_encoders import ENCODER_KEYS, Encoder, EncoderPlan, make_encoder
from .ablation_values import fill, hash_content, named_files, names_in, to_options
from .checks import read_config

KEYS = {"vars", "budget", "seeds", "sets", "rows", "weights", "encoders", "encoder_budget"}
# Options of evaluations that name what they write.
WRITTEN = {"--errors", "--output"}
SET_KEYS = {"config", "overrides", "budget", "evaluate", "metrics", "vars"}
ROW_KEYS = {"name", "overrides", "note", "sets"}
WEIGHTS = ("model-best", "model-last")
SEED = "system.seed"
WORK = Path("training/ablation")


@dataclass(frozen=True)
class DataSet:
    """What a row is trained and scored on.

    config (str): spaCy config to begin with. overrides (Mapping[str, Any]): settings by dotted
    name. evaluate (Mapping[str, Any]): options of `clinbert evaluate`, or of the command that its
    "command" names. metrics (Sequence[str]): scores to tabulate, the most important one first.
    variables (Mapping[str, Any]): what ${name} stands for on this set. budget (Mapping[str, Any]):
    what it needs other than the budget of all sets, e.g. more steps; the same for every row.
    """

    config: str
    overrides: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    metrics: Sequence[str] = ("f",)
    variables: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One change to every set.

    name (str): as the table shows it. overrides (Mapping[str, Any]): settings by dotted name.
    note (str): what a reader must know about it. sets (Sequence[str]): those it is run on; all
    if there are none.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    sets: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A table to fill: every row on every set with every seed, all under one budget.

    budget (Mapping[str, Any]): settings that no row may change. weights (str): which weights of a
    training are scored. variables (Mapping[str, Any]): what ${name} stands for. encoders
    (Mapping[str, EncoderPlan]): pretrainings, each known as ${name} to the rows; one is made for
    every set and seed where its settings differ. encoder_budget (Mapping[str, Any]): settings
    that no encoder may change.
    """

    rows: Sequence[Row]
    sets: Mapping[str, DataSet]
    seeds: Sequence[int]
    budget: Mapping[str, Any] = field(default_factory=dict)
    weights: str = WEIGHTS[0]
    variables: Mapping[str, Any] = field(default_factory=dict)
    encoders: Mapping[str, EncoderPlan] = field(default_factory=dict)
    encoder_budget: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    row (str), set (str), seed (int): its place in the table.
    key (str): hash of the config, the evaluation and the content of the files that they name.
    config (str): the whole config, interpolated. weights (str): "model-best" or "model-last".
    evaluate (Sequence[str]): command and options of the evaluation.
    encoders (Sequence[Encoder]): what must be pretrained before.
    """

    row: str
    set: str
    seed: int
    key: str
    config: str
    weights: str
    evaluate: Sequence[str]
    encoders: Sequence[Encoder] = ()

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.set} | {self.row} | seed {self.seed}"


def read_plan(source: Mapping[str, Any], variables: Mapping[str, Any]) -> Plan:
    """Check what an ablation file holds.

    source (Mapping[str, Any]): the file's content, see configs/ablation.yml.
    variables (Mapping[str, Any]): values that replace those of its `vars`.
    RETURNS (Plan): the plan.
    RAISES (ValueError): says which key is missing, unknown or against the others.
    """
    _check_keys("The ablation", source, KEYS, {"seeds", "sets", "rows"})
    defaults = source.get("vars") or {}
    if unknown := sorted(set(variables) - set(defaults)):
        raise ValueError(f"No variable {unknown} in `vars`; expected some of {sorted(defaults)}.")
    plan = Plan(
        rows=[_read_row(row) for row in source["rows"]],
        sets={name: _read_set(name, block) for name, block in source["sets"].items()},
        seeds=list(source["seeds"]),
        budget=source.get("budget") or {},
        weights=source.get("weights", WEIGHTS[0]),
        variables={**defaults, **variables},
        encoders={n: _read_encoder(n, x) for n, x in (source.get("encoders") or {}).items()},
        encoder_budget=source.get("encoder_budget") or {},
    )
    _check_plan(plan)
    return plan


def _read_row(block: Mapping[str, Any]) -> Row:
    _check_keys("A row", block, ROW_KEYS, {"name"})
    known = {key: value for key, value in block.items() if value is not None}
    return Row(**{**known, "overrides": known.get("overrides", {})})


def _read_set(name: str, block: Mapping[str, Any]) -> DataSet:
    _check_keys(f"Set {name!r}", block, SET_KEYS, {"config", "evaluate"})
    metrics = block.get("metrics") or ["f"]
    overrides, own = block.get("overrides") or {}, block.get("vars") or {}
    budget = block.get("budget") or {}
    return DataSet(block["config"], overrides, block["evaluate"], metrics, own, budget)


def _read_encoder(name: str, block: Mapping[str, Any]) -> EncoderPlan:
    _check_keys(f"Encoder {name!r}", block, ENCODER_KEYS, {"config"})
    return EncoderPlan(block["config"], block.get("overrides") or {})


def _check_keys(place: str, block: Any, known: set, needed: set) -> None:
    found = set(block) if isinstance(block, Mapping) else set()
    if not needed <= found <= known:
        raise ValueError(
            f"{place} has the keys {sorted(found)}; expected {sorted(needed)}, and of the others "
            f"only {sorted(known - needed)}."
        )


def _check_plan(plan: Plan) -> None:
    names = [row.name for row in plan.rows]
    for what, values in (("row", names), ("seed", plan.seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{what.title()}s are {list(values)}; expected some, each once.")
    if plan.weights not in WEIGHTS:
        raise ValueError(f"weights is {plan.weights!r}; expected one of {', '.join(WEIGHTS)}.")
    if both := sorted(set(plan.encoders) & set(plan.variables)):
        raise ValueError(f"{both} are variables and encoders: expected another name for one.")
    for name, encoder in plan.encoders.items():
        if taken := sorted(set(encoder.overrides) & set(plan.encoder_budget)):
            raise ValueError(
                f"Encoder {name!r} changes {', '.join(taken)}, which `encoder_budget` sets for "
                "every encoder: expected the same for all. Take it out of one of them."
            )
    for row in plan.rows:
        budgets = [plan.budget, *(data.budget for data in plan.sets.values())]
        if taken := sorted(set(row.overrides).intersection({SEED}.union(*budgets))):
            raise ValueError(
                f"Row {row.name!r} changes {', '.join(taken)}, which `budget` or `seeds` set for "
                "every row: expected the same for all. Take it out of one of them."
            )
        if unknown := sorted(set(row.sets) - set(plan.sets)):
            raise ValueError(
                f"Row {row.name!r} names the sets {unknown}; expected some of {list(plan.sets)}."
            )


def make_cells(plan: Plan, work: Path = WORK) -> List[Cell]:
    """Write the config of every cell.

    plan (Plan): the plan. work (Path): where its encoders are, or will be, pretrained.
    RETURNS (List[Cell]): the cells, seed by seed and set by set, so that whole columns of the
        table are there early.
    RAISES (ValueError): a config that is not there, a variable or setting that does not exist.
    """
    digests: Dict[str, str] = {}
    return [
        _make_cell(plan, row, name, seed, work, digests)
        for seed in plan.seeds
        for name in plan.sets
        for row in plan.rows
        if not row.sets or name in row.sets
    ]


def _make_cell(
    plan: Plan, row: Row, name: str, seed: int, work: Path, digests: Dict[str, str]
) -> Cell:
    data = plan.sets[name]
    variables = {**plan.variables, "seed": seed, "set": name}
    variables |= fill(data.variables, variables)
    encoders = {
        used: make_encoder(used, plan.encoders[used], plan.encoder_budget, variables, work, digests)
        for used in names_in(row.overrides)
        if used in plan.encoders
    }
    variables |= {used: str(encoder.model) for used, encoder in encoders.items()}
    given = {**data.overrides, **plan.budget, **data.budget}
    overrides = {**given, **row.overrides, SEED: seed}
    base, filled, block = (fill(x, variables) for x in (data.config, overrides, data.evaluate))
    config = read_config(base, filled).interpolate()
    evaluate, text = to_options(block), config.to_str()
    # An encoder made here is known by its folder, which has the hash of all that it comes from.
    made = {str(encoder.model) for encoder in encoders.values()}
    files = [*named_files(config), *read_by(evaluate)]
    key = hash_content([text, evaluate, plan.weights], (f for f in files if f not in made), digests)
    return Cell(row.name, name, seed, key, text, plan.weights, evaluate, tuple(encoders.values()))


def read_by(options: Sequence[str]) -> List[str]:
    """Paths that the options of an evaluation name, without those that it writes.

    options (Sequence[str]): command and options. RETURNS (List[str]): the paths.
    """
    pairs = zip(options, options[1:])
    return [value for name, value in pairs if "/" in value and name not in WRITTEN]
