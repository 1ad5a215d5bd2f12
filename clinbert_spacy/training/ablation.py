"""The cells of an ablation: rows of changes times sets of data times seeds, each a whole config."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from .checks import read_config

KEYS = {"vars", "budget", "seeds", "sets", "rows", "weights"}
SET_KEYS = {"config", "overrides", "evaluate", "metrics"}
ROW_KEYS = {"name", "overrides", "note", "sets"}
WEIGHTS = ("model-best", "model-last")
SEED = "system.seed"
# A name alone: those of spaCy's configs have a dot, as in ${system.seed}.
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class DataSet:
    """What a row is trained and scored on.

    config (str): spaCy config to begin with. overrides (Mapping[str, Any]): settings by dotted
    name. evaluate (Mapping[str, Any]): options of `clinbert evaluate`, or of the command that its
    "command" names. metrics (Sequence[str]): scores to tabulate, the most important one first.
    """

    config: str
    overrides: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    metrics: Sequence[str] = ("f",)


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
    training are scored. variables (Mapping[str, Any]): what ${name} stands for.
    """

    rows: Sequence[Row]
    sets: Mapping[str, DataSet]
    seeds: Sequence[int]
    budget: Mapping[str, Any] = field(default_factory=dict)
    weights: str = WEIGHTS[0]
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    row (str), set (str), seed (int): its place in the table.
    key (str): hash of the config, the evaluation and the content of the files that they name.
    config (str): the whole config, interpolated. weights (str): "model-best" or "model-last".
    evaluate (Sequence[str]): command and options of the evaluation.
    """

    row: str
    set: str
    seed: int
    key: str
    config: str
    weights: str
    evaluate: Sequence[str]

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
    return DataSet(block["config"], block.get("overrides") or {}, block["evaluate"], metrics)


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
    for row in plan.rows:
        if taken := sorted(set(row.overrides) & {*plan.budget, SEED}):
            raise ValueError(
                f"Row {row.name!r} changes {', '.join(taken)}, which `budget` or `seeds` set for "
                "every row: expected the same for all. Take it out of one of them."
            )
        if unknown := sorted(set(row.sets) - set(plan.sets)):
            raise ValueError(
                f"Row {row.name!r} names the sets {unknown}; expected some of {list(plan.sets)}."
            )


def make_cells(plan: Plan) -> List[Cell]:
    """Write the config of every cell.

    plan (Plan): the plan.
    RETURNS (List[Cell]): the cells, seed by seed and set by set, so that whole columns of the
        table are there early.
    RAISES (ValueError): a config that is not there, a variable or setting that does not exist.
    """
    digests: Dict[str, str] = {}
    return [
        _make_cell(plan, row, name, seed, digests)
        for seed in plan.seeds
        for name in plan.sets
        for row in plan.rows
        if not row.sets or name in row.sets
    ]


def _make_cell(plan: Plan, row: Row, name: str, seed: int, digests: Dict[str, str]) -> Cell:
    data = plan.sets[name]
    variables = {**plan.variables, "seed": seed, "set": name}
    overrides = {**data.overrides, **plan.budget, **row.overrides, SEED: seed}
    base, filled, block = (fill(x, variables) for x in (data.config, overrides, data.evaluate))
    config = read_config(base, filled).interpolate()
    evaluate, text = to_options(block), config.to_str()
    files = [*_named_files(config), *(x for x in evaluate if "/" in x)]
    for path in files:
        if path not in digests and Path(path).exists():
            digests[path] = digest(Path(path))
    known = {path: digests[path] for path in files if path in digests}
    content = json.dumps([text, evaluate, plan.weights, known], sort_keys=True)
    key = hashlib.sha256(content.encode("utf8")).hexdigest()[:16]
    return Cell(row.name, name, seed, key, text, plan.weights, evaluate)


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """Put variables in.

    value (Any): a string, or lists and mappings of strings; "${name}" alone becomes the
        variable's value, whatever its type.
    variables (Mapping[str, Any]): values by name; names with a dot are left to spaCy.
    RETURNS (Any): the same with the values in it.
    RAISES (ValueError): a variable without a value.
    """
    if isinstance(value, Mapping):
        return {key: fill(item, variables) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    if unknown := sorted(set(_VARIABLE.findall(value)) - set(variables)):
        raise ValueError(
            f"{value!r} names the variables {unknown}; expected some of {sorted(variables)}. Give "
            f"it a value under `vars`, or with --vars.{unknown[0]}."
        )
    whole = _VARIABLE.fullmatch(value)
    if whole:
        return variables[whole.group(1)]
    return _VARIABLE.sub(lambda match: str(variables[match.group(1)]), value)


def to_options(block: Mapping[str, Any]) -> List[str]:
    """Turn names and values into a command with options.

    block (Mapping[str, Any]): e.g. {"corpus": "ncbi", "part": ["dev"]}; "command" names another
        command than `evaluate`; True is a flag, a list an option for each.
    RETURNS (List[str]): e.g. ["evaluate", "--corpus", "ncbi", "--part", "dev"].
    """
    words = [str(block.get("command", "evaluate"))]
    for key, value in block.items():
        option = f"--{key.replace('_', '-')}"
        if key == "command" or value is None or value is False:
            continue
        if value is True:
            words.append(option)
            continue
        for item in value if isinstance(value, (list, tuple)) else [value]:
            words += [option, str(item)]
    return words


def _named_files(config: Mapping[str, Any]) -> Iterator[str]:
    """Strings of a config that may name a file: all of [paths], elsewhere those with a slash."""
    for section, value in config.items():
        for text in _strings(value):
            if text and (section == "paths" or "/" in text):
                yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else ():
        yield from _strings(item)
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from _strings(item)


def digest(path: Path) -> str:
    """Hash a file, or names and contents of all files below a folder.

    path (Path): it exists.
    RETURNS (str): SHA-256, hexadecimal.
    """
    files = sorted(x for x in path.rglob("*") if x.is_file()) if path.is_dir() else [path]
    rows: List[Tuple[str, str]] = []
    for file in files:
        found = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
        rows.append((file.relative_to(path).as_posix(), found.hexdigest()))
    return hashlib.sha256(json.dumps(rows).encode("utf8")).hexdigest()
