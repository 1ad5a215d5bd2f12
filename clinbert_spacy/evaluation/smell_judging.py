"""One check of the smell test against one annotated Doc."""

from typing import List, Mapping, NamedTuple, Optional, Sequence

from spacy.tokens import Doc, Span

from .smell_adapters import Adapter, Link, Offsets
from .smell_items import NO_EFFECT, PAIRS, Check, Item, Target

PASSED, FAILED, MISSED, NOT_ANSWERED = "passed", "failed", "missed", "not_answered"
ENTITY_KINDS = ("entity", "no_entity")
LabelMap = Mapping[str, Sequence[str]]


class Reading(NamedTuple):
    """An annotated Doc and how to read it.

    entities (Sequence[Span]): what the pipeline found. label_map (LabelMap): its labels to ours.
    finds (bool): whether the pipeline found an entity in any text; if not, it has no recogniser,
        and the absence of an entity says nothing.
    """

    doc: Doc
    entities: Sequence[Span]
    adapter: Adapter
    label_map: LabelMap
    finds: bool


class Verdict(NamedTuple):
    """How a check went.

    outcome (str): "passed", "failed", "missed" (an entity it is about was not found) or
        "not_answered". found (str): the value that was read, if any.
    """

    check: Check
    outcome: str
    found: str = ""

    @property
    def passed(self) -> bool:
        """RETURNS (bool): whether it passed."""
        return self.outcome == PASSED


def judge(check: Check, item: Item, reading: Reading) -> Verdict:
    """Hold a check against what a pipeline says.

    check (Check): the check. item (Item): whose it is. reading (Reading): its Doc.
    RETURNS (Verdict): how it went.
    """
    if not reading.finds:
        return Verdict(check, NOT_ANSWERED)
    targets = item.asks_for(check)
    if check.kind in PAIRS:
        return _judge_pair(check, targets, reading)
    span = find_entity(reading, targets[0])
    if check.kind == "no_entity":
        return Verdict(check, FAILED, span.label_) if span else Verdict(check, PASSED)
    if check.kind == "entity":
        return Verdict(check, PASSED if span else MISSED)
    return _judge_value(check, span, reading)


def find_entity(reading: Reading, target: Target) -> Optional[Span]:
    """Find the entity that shares most characters with a target and has one of its labels.

    reading (Reading): the Doc. target (Target): without labels, any label does.
    RETURNS (Optional[Span]): the entity, None if there is none.
    """
    wanted = (target.start, target.end)
    spans = [
        span for span in reading.entities
        if _shared(_offsets(span), wanted) and _fits(span.label_, target, reading.label_map)
    ]  # fmt: skip
    return max(spans, key=lambda span: _shared(_offsets(span), wanted), default=None)


def _judge_value(check: Check, span: Optional[Span], reading: Reading) -> Verdict:
    read = reading.adapter.axes.get(check.kind)
    if read is None:
        return Verdict(check, NOT_ANSWERED)
    if span is None:
        return Verdict(check, MISSED)
    value = read(span)
    if value is None:
        return Verdict(check, NOT_ANSWERED)
    return Verdict(check, PASSED if value in check.allowed else FAILED, value)


def _judge_pair(check: Check, targets: Sequence[Target], reading: Reading) -> Verdict:
    causal = check.kind == "causality"
    read = reading.adapter.effects if causal else reading.adapter.relations
    links = read(reading.doc) if read else None
    if links is None:
        return Verdict(check, NOT_ANSWERED)
    joined = [link for link in links if _joins(link, targets)]
    if causal:
        values = sorted({link.causality for link in joined}) or [NO_EFFECT]
        passed = all(value in check.allowed for value in values)
        return Verdict(check, PASSED if passed else FAILED, " ".join(values))
    found = check.label in {link.label for link in joined}
    if found == check.expected:
        return Verdict(check, PASSED)
    lost = check.expected and not all(find_entity(reading, target) for target in targets)
    return Verdict(check, MISSED if lost else FAILED)


def _joins(link: Link, targets: Sequence[Target]) -> bool:
    head, tail = ((target.start, target.end) for target in targets)
    return _shared(link.head, head) > 0 and _shared(link.tail, tail) > 0


def _fits(label: str, target: Target, label_map: LabelMap) -> bool:
    ours: List[str] = list(label_map.get(label, [label]))
    return not target.labels or bool(set(ours) & set(target.labels))


def _offsets(span: Span) -> Offsets:
    return span.start_char, span.end_char


def _shared(one: Offsets, other: Offsets) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))
