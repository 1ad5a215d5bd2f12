"""What goes wrong with relations, with the words around."""

from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Set

from spacy.training import Example

from ..attributes import RELATIONS_KEY
from .relations import (
    Found,
    Offsets,
    covered_of,
    doubtful_pairs,
    found_relations,
    gold_attrs,
    gold_relations,
)

AROUND = 60
Labels = Dict[Offsets, Set[str]]


class Error(NamedTuple):
    """An error. type (str): what went wrong. note (str): its id. text (str): the words around."""

    type: str
    note: str
    text: str


def errors_of(example: Example) -> Iterator[Error]:
    """List the errors of a note.

    example (Example): found beside gold.
    YIELDS (Error): missed relations by why, then wrong ones by why; `text` holds note content.
    """
    covered = set(covered_of(example))
    gold = {one for one in gold_relations(example) if one.label in covered}
    found = {one for one in found_relations(example) if one.label in covered}
    doubt = doubtful_pairs(example)
    present, marked = _labels_found(example), _labels_marked(example)
    for one in sorted(gold - found):
        yield _error(example, f"missed: {_state(one[:2], present, marked)}", one)
    for one in sorted(_plain(one) for one in found - gold if one[:2] not in doubt):
        yield _error(example, f"wrong: {_state(one[:2], marked, present)}", one)


def _labels_found(example: Example) -> Labels:
    group = example.predicted.spans.get(RELATIONS_KEY)
    labels: Labels = {}
    for span, label in zip(group, group.attrs["types"]) if group is not None else ():
        labels.setdefault((span.start_char, span.end_char), set()).add(str(label))
    return labels


def _labels_marked(example: Example) -> Labels:
    labels: Labels = {}
    for start, end, label in gold_attrs(example.reference).get("gold", []):
        labels.setdefault((start, end), set()).update(str(label).split("|"))
    return labels


def _plain(one: Found) -> Found:
    """Undo the mark of an end whose label is wrong."""
    ends = [(-a - 1, -b - 1) if a < 0 else (a, b) for a, b in (one.head, one.tail)]
    return Found(ends[0], ends[1], one.label)


def _state(ends: Sequence[Offsets], known: Labels, own: Labels) -> str:
    """How the two ends stand to the entities of the other side."""
    states: List[str] = []
    for name, end in zip(("head", "tail"), ends):
        if end not in known:
            near = any(start < end[1] and end[0] < stop for start, stop in known)
            states.append(f"{name} with other bounds" if near else f"{name} on one side alone")
        elif known[end].isdisjoint(own.get(end, known[end])):
            states.append(f"{name} with another label")
    return ", ".join(states) or "both ends right, the link is not"


def _error(example: Example, kind: str, one: Found) -> Error:
    text: Any = example.reference.text
    ends = {one.head: "**", one.tail: "__"}
    first, last = min(one.head[0], one.tail[0]), max(one.head[1], one.tail[1])
    shown, at = "", max(0, first - AROUND)
    for (start, end), mark in sorted(ends.items()):
        shown += text[at : max(at, start)] + mark + text[max(at, start) : end] + mark
        at = max(at, end)
    shown += text[at : last + AROUND]
    note = str(gold_attrs(example.reference).get("id", ""))
    return Error(kind, note, " ".join(shown.replace("|", "/").split()))
