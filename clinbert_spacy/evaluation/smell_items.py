"""Items of the smell test: short texts with what a pipeline must say of them.

`resources/en/smell_test.jsonl` holds ours: invented, for testing and never for training, under
CC BY 4.0; values and spans follow `assets/notes/GUIDELINES.md`. An item is a line of JSON:

    {"id": "negated-04", "category": "negated_enumerations", "text": "No fever but cough.",
     "targets": [[3, 8, "fever", ["SYMPTOM", "DISEASE"]], [13, 18, "cough", ["SYMPTOM"]]],
     "checks": [{"kind": "presence", "target": 0, "allowed": ["absent"]}, ...]}

`targets` are [start, end, words, labels]: characters of the text, the words that stand there, and
the labels that are right for them, the best first. `checks` name targets by number:

| kind | keys | passes if |
|---|---|---|
| entity | target | an entity with one of the labels overlaps the target |
| no_entity | target | no entity with one of its labels does; without labels: no entity at all |
| presence, experiencer, time, drug_status | target, allowed | the entity has an allowed value |
| relation | label, head, tail, expected | the relation is there, or is not |
| causality | head, tail, allowed | the effect has an allowed one; "none": it is not reported |
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..corpora.checks import ARGUMENTS, AXES, LINKS, STATUS
from ..corpora.schema import PRODUCT_LABELS

ITEMS_FILE = "smell_test.jsonl"
NO_EFFECT = "none"
# Category to whether an error in it could hurt somebody.
CATEGORIES: Mapping[str, bool] = {
    "negated_enumerations": True,
    "family": True,
    "hypothetical": True,
    "allergy_list": True,
    "stopped_drug": True,
    "denied_effect": True,
    "historical": False,
    "dosage_shorthand": False,
    "abbreviations": False,
    "all_caps": False,
    "misspelling": False,
    "indication_vs_effect": False,
}
# Kinds that ask for a value of an entity or effect, and the values there are.
VALUES: Mapping[str, Tuple[str, ...]] = {
    "presence": AXES["Presence"],
    "experiencer": AXES["Experiencer"],
    "time": AXES["Time"],
    "drug_status": STATUS,
    "causality": (*LINKS["Causality"], NO_EFFECT),
}
PAIRS = ("relation", "causality")
FIELDS: Mapping[str, Tuple[str, ...]] = {
    "entity": ("target",),
    "no_entity": ("target",),
    **dict.fromkeys(("presence", "experiencer", "time", "drug_status"), ("target", "allowed")),
    "relation": ("label", "head", "tail", "expected"),
    "causality": ("head", "tail", "allowed"),
}
KINDS = tuple(FIELDS)


class Target(NamedTuple):
    """Characters of a text, the words there, and the labels that are right, the best first."""

    start: int
    end: int
    words: str
    labels: Tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """One expectation; see the table above.

    kind (str): one of KINDS. target (int): number of the target, or of the head.
    tail (int): number of the tail, -1 without. allowed (Tuple[str, ...]): right values.
    label (str): of a relation. expected (bool): whether the relation must be there.
    """

    kind: str
    target: int
    tail: int = -1
    allowed: Tuple[str, ...] = ()
    label: str = ""
    expected: bool = True


@dataclass(frozen=True)
class Item:
    """A text of one or two lines with its targets and checks."""

    id: str
    category: str
    text: str
    targets: Tuple[Target, ...]
    checks: Tuple[Check, ...]

    def asks_for(self, check: Check) -> List[Target]:
        """Look up the targets of a check. RETURNS: one, or head and tail."""
        return [self.targets[i] for i in (check.target, check.tail) if i >= 0]


class ItemSet(NamedTuple):
    """What a file holds. name (str): of the file. sha256 (str): of its bytes."""

    name: str
    sha256: str
    items: Tuple[Item, ...]


def read_items(path: Optional[Union[str, Path]] = None) -> ItemSet:
    """Read a file of items.

    path (Optional[Union[str, Path]]): the file; None for the one that ships.
    RETURNS (ItemSet): its items in order, and its hash.
    RAISES (ValueError): no item, or one that is not as the module says; names line and id.
    """
    file = Path(path) if path else files("clinbert_spacy.resources") / "en" / ITEMS_FILE
    if not file.is_file():
        raise ValueError(f"No file {file}; expected JSON lines like those of {ITEMS_FILE}.")
    raw, found = file.read_bytes(), {}
    for number, line in enumerate(raw.decode("utf8", "replace").split("\n"), 1):
        if line.strip():
            item = parse_item(_object(line), f"{file.name}:{number}")
            if item.id in found:
                raise _broken(f"{file.name}:{number}", item.id, "a new id", "one that is taken")
            found[item.id] = item
    if not found:
        raise ValueError(f"{file.name} holds no item; expected at least one line of JSON.")
    return ItemSet(file.name, hashlib.sha256(raw).hexdigest(), tuple(found.values()))


def parse_item(record: Any, place: str) -> Item:
    """Make an item out of plain data.

    record (Any): a line of the file, decoded. place (str): file and line, for errors.
    RETURNS (Item): the item.
    RAISES (ValueError): a missing or unknown field, offsets that do not fit, unknown values.
    """
    name = record.get("id", "") if isinstance(record, dict) else ""
    if not isinstance(record, dict) or set(record) != set(Item.__dataclass_fields__):
        raise _broken(place, name, f"fields {sorted(Item.__dataclass_fields__)}", "others")
    texts = [record[key] for key in ("id", "category", "text")]
    lists = [record[key] for key in ("targets", "checks")]
    if not all(isinstance(x, str) and x for x in texts) or not all(map(_is_list, lists)):
        raise _broken(place, name, "id, category, text as strings; two lists", "other values")
    if record["category"] not in list(CATEGORIES):
        raise _broken(place, name, f"a category of {sorted(CATEGORIES)}", "another")
    targets = tuple(
        _parse_target(row, record["text"], f"{place} targets[{i}]", name)
        for i, row in enumerate(record["targets"])
    )
    checks = tuple(
        _parse_check(row, targets, f"{place} checks[{i}]", name)
        for i, row in enumerate(record["checks"])
    )
    item = Item(*texts, targets, checks)
    _check_targets(item, place)
    return item


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # said by parse_item, with the place
        return None


def _broken(place: str, name: Any, expected: str, found: str) -> ValueError:
    who = f" (item {name})" if isinstance(name, str) and name else ""
    return ValueError(f"{place}{who}: expected {expected}, found {found}. Mend that line.")


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _parse_target(row: Any, text: str, place: str, name: str) -> Target:
    shape = (int, int, str, list)
    if not isinstance(row, list) or tuple(map(type, row)) != shape:
        raise _broken(place, name, "[start, end, words, labels]", "another shape")
    start, end, words, labels = row
    if not 0 <= start < end <= len(text) or text[start:end] != words:
        raise _broken(place, name, "offsets of the words beside them", f"[{start}, {end}]")
    if not set(map(str, labels)) <= set(PRODUCT_LABELS):
        raise _broken(place, name, f"labels of {list(PRODUCT_LABELS)}", "others")
    return Target(start, end, words, tuple(labels))


def _parse_check(row: Any, targets: Sequence[Target], place: str, name: str) -> Check:
    kind = row.get("kind") if isinstance(row, dict) else None
    if kind not in KINDS or set(row) != {"kind", *FIELDS[kind]}:
        raise _broken(place, name, f"a kind of {list(KINDS)} with its keys", "another check")
    numbers = [row[key] for key in ("target", "head", "tail") if key in row]
    if not all(type(i) is int and 0 <= i < len(targets) for i in numbers):
        raise _broken(place, name, f"numbers of targets, 0 to {len(targets) - 1}", "others")
    allowed = row.get("allowed", [])
    if "allowed" in row and not (_is_list(allowed) and all(x in VALUES[kind] for x in allowed)):
        raise _broken(place, name, f"allowed values of {list(VALUES[kind])}", "others")
    if kind != "no_entity" and not all(targets[i].labels for i in numbers):
        raise _broken(place, name, "targets with labels", "one without")
    if kind == "relation":
        _check_relation(row, [targets[i].labels for i in numbers], place, name)
    tail = numbers[1] if kind in PAIRS else -1
    label, expected = row.get("label", ""), row.get("expected", True)
    return Check(kind, numbers[0], tail, tuple(allowed), label, expected)


def _check_relation(
    row: Dict[str, Any], labels: Sequence[Sequence[str]], place: str, name: str
) -> None:
    if row["label"] not in list(ARGUMENTS) or type(row["expected"]) is not bool:
        raise _broken(place, name, f"a label of {list(ARGUMENTS)}; true or false", "others")
    for found, wanted in zip(labels, ARGUMENTS[row["label"]]):
        if row["expected"] and not set(found) <= set(wanted):
            raise _broken(place, name, f"arguments labelled {list(wanted)}", f"{list(found)}")


def _check_targets(item: Item, place: str) -> None:
    """Raise if entities that are asked for overlap, or a target is not asked for."""
    asked = {i for check in item.checks for i in (check.target, check.tail) if i >= 0}
    if asked != set(range(len(item.targets))):
        raise _broken(place, item.id, "a check for each target", "a target without")
    ordered = sorted(entities_of(item))
    if any(right.start < left.end for left, right in zip(ordered, ordered[1:])):
        raise _broken(place, item.id, "entities apart from each other", "two that overlap")


def entities_of(item: Item) -> List[Target]:
    """List the targets that are entities: all but those where none must be.

    item (Item): an item.
    RETURNS (List[Target]): without repeats, in order of number.
    """
    numbers = [i for c in item.checks if c.kind != "no_entity" for i in (c.target, c.tail)]
    return [target for i, target in enumerate(item.targets) if i in numbers]
