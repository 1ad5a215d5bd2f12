"""The smell test: short texts that a clinician would be angry to see read wrongly."""

from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import filter_spans

from ..attributes import ENTS_KEY
from .evaluate import describe_pipeline
from .smell_adapters import AUTO, choose_adapter
from .smell_items import CATEGORIES, KINDS, Item, ItemSet, Target, entities_of
from .smell_judging import ENTITY_KINDS, NOT_ANSWERED, PASSED, LabelMap, Reading, Verdict, judge

PROTOCOL = (
    "an item passes if all of its checks do; an entity is found if one with a right label overlaps "
    "its target; a check that the pipeline cannot answer is not passed; 'of answered' takes the "
    "answered checks alone, and the items with at least one of them"
)
TOTAL, SAFETY = "all", "safety"


@dataclass(frozen=True)
class Settings:
    """How the test is run.

    adapter (str): how Docs are read; "auto" or one of smell_adapters.ADAPTERS.
    gold_spans (bool): the entities are given, and only what is said of them is judged.
    kinds (Tuple[str, ...]): kinds of checks that count; items without any are left out.
    label_map (LabelMap): labels of the pipeline to ours; others stay as they are.
    disable (Tuple[str, ...]): components left out, besides those that find entities where these
        are given.
    """

    adapter: str = AUTO
    gold_spans: bool = False
    kinds: Tuple[str, ...] = KINDS
    label_map: LabelMap = field(default_factory=dict)
    disable: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """Counts of a category.

    passed, n_items (int): items. answered_passed, n_answered (int): the same "of answered".
    checks_passed, n_checks, not_answered (int): checks.
    """

    category: str
    safety: bool
    passed: int
    n_items: int
    answered_passed: int
    n_answered: int
    checks_passed: int
    n_checks: int
    not_answered: int

    @property
    def rate(self) -> float:
        """RETURNS (float): share of items passed, from 0 to 1."""
        return self.passed / self.n_items if self.n_items else 0.0


@dataclass(frozen=True)
class SmellResult:
    """What the smell test found.

    rows (Tuple[Row, ...]): a row a category, then "safety" and "all".
    verdicts (Mapping[str, Tuple[Verdict, ...]]): of each item, by id.
    """

    file: str
    sha256: str
    pipeline: Mapping[str, str]
    adapter: str
    settings: Settings
    rows: Tuple[Row, ...]
    verdicts: Mapping[str, Tuple[Verdict, ...]]

    @property
    def failed(self) -> List[str]:
        """RETURNS (List[str]): ids of items that did not pass, in order."""
        return [name for name, found in self.verdicts.items() if not all(v.passed for v in found)]

    def row(self, category: str) -> Row:
        """Look a row up.

        category (str): of CATEGORIES, or "safety" or "all".
        RETURNS (Row): its counts.
        """
        return next(row for row in self.rows if row.category == category)

    def to_dict(self) -> Dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers; no text."""
        rows = [{**asdict(row), "rate": row.rate} for row in self.rows]
        failed = {
            name: [{**asdict(v.check), "outcome": v.outcome, "found": v.found}
                   for v in self.verdicts[name] if not v.passed]
            for name in self.failed
        }  # fmt: skip
        return {
            "file": self.file,
            "sha256": self.sha256,
            "protocol": PROTOCOL,
            "pipeline": dict(self.pipeline),
            **asdict(self.settings),
            "adapter": self.adapter,
            "rows": rows,
            "failed": failed,
        }


def run_smell_test(
    nlp: Language,
    items: ItemSet,
    settings: Settings = Settings(),
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda n: None,
) -> SmellResult:
    """Run a pipeline over the items and judge what it says.

    nlp (Language): any spaCy pipeline. items (ItemSet): what to judge it by.
    settings (Settings): how to read it. batch_size (int): items a batch.
    progress (Callable): called with 1 after each item.
    RETURNS (SmellResult): counts by category and a verdict a check.
    RAISES (ValueError): no check is left, or a component drops entities that were placed.
    """
    adapter = choose_adapter(settings.adapter)
    asked = list(select_checks(items.items, settings))
    if not asked:
        raise ValueError(
            f"No check of the kinds {', '.join(settings.kinds)} in {items.name}; expected some of "
            f"{', '.join(KINDS)}" + " other than entities." * settings.gold_spans
        )
    pairs = [(doc, item) for doc, item in _stream(nlp, asked, settings, batch_size, progress)]
    finds = any(_entities(doc) for doc, _ in pairs)
    verdicts = {
        item.id: tuple(judge(check, item, reading) for check in item.checks)
        for doc, item in pairs
        for reading in [Reading(doc, _entities(doc), adapter, settings.label_map, finds)]
    }
    return SmellResult(
        file=items.name,
        sha256=items.sha256,
        pipeline=describe_pipeline(nlp),
        adapter=adapter.name,
        settings=settings,
        rows=tuple(_count(asked, verdicts)),
        verdicts=verdicts,
    )


def select_checks(items: Sequence[Item], settings: Settings) -> Iterator[Item]:
    """Keep the checks that count.

    items (Sequence[Item]): items. settings (Settings): which kinds count; given entities do not.
    YIELDS (Item): items with at least one check left.
    """
    given = ENTITY_KINDS if settings.gold_spans else ()
    for item in items:
        checks = tuple(c for c in item.checks if c.kind in settings.kinds and c.kind not in given)
        if checks:
            yield Item(item.id, item.category, item.text, item.targets, checks)


def place_entities(doc: Doc, item: Item, label_map: LabelMap) -> Doc:
    """Write an item's entities on a Doc as an entity recogniser would.

    Where tokens are coarser than two targets, the first of them is written.

    doc (Doc): its tokens. item (Item): its targets.
    label_map (LabelMap): labels of the pipeline to ours; entities get the pipeline's.
    RETURNS (Doc): the same, with `doc.ents` and `doc.spans["clinbert_ents"]`.
    """
    theirs = {ours: name for name, mapped in label_map.items() for ours in mapped}
    spans = [_span(doc, target, theirs) for target in entities_of(item)]
    placed = filter_spans(spans)
    scores = [1.0] * len(placed)
    doc.spans[ENTS_KEY] = SpanGroup(doc, name=ENTS_KEY, attrs={"scores": scores}, spans=placed)
    doc.set_ents(placed)
    return doc


def _span(doc: Doc, target: Target, theirs: Mapping[str, str]) -> Span:
    label = theirs.get(target.labels[0], target.labels[0])
    return doc.char_span(target.start, target.end, label=label, alignment_mode="expand")


def _stream(
    nlp: Language,
    items: Sequence[Item],
    settings: Settings,
    batch_size: int,
    progress: Callable[[int], None],
) -> Iterator[Tuple[Doc, Item]]:
    finders = [
        name for name in nlp.pipe_names
        if settings.gold_spans and "doc.ents" in nlp.get_pipe_meta(name).assigns
    ]  # fmt: skip
    with nlp.select_pipes(disable=[*finders, *settings.disable]):
        docs = [(nlp.make_doc(item.text), item) for item in items]
        if settings.gold_spans:
            docs = [(place_entities(doc, i, settings.label_map), i) for doc, i in docs]
        before = [_boundaries(doc) for doc, _ in docs]
        stream = nlp.pipe(docs, as_tuples=True, batch_size=batch_size)
        for placed, (doc, item) in zip(before, stream, strict=True):
            _check_kept(placed, doc, item)
            progress(1)
            yield doc, item


def _entities(doc: Doc) -> List[Span]:
    return list(doc.spans.get(ENTS_KEY, doc.ents))


def _boundaries(doc: Doc) -> set:
    return {(span.start_char, span.end_char) for span in doc.ents}


def _check_kept(placed: set, doc: Doc, item: Item) -> None:
    lost = sorted(placed - _boundaries(doc))
    if lost:
        raise ValueError(
            f"Item {item.id}: the entities placed at {lost} are gone from doc.ents; expected them "
            "kept. Name the component that replaces entities with --disable."
        )


def _count(items: Sequence[Item], verdicts: Mapping[str, Sequence[Verdict]]) -> Iterator[Row]:
    groups = {name: [i for i in items if i.category == name] for name in CATEGORIES}
    for name, members in groups.items():
        yield _row(name, CATEGORIES[name], [verdicts[item.id] for item in members])
    safe = [verdicts[item.id] for item in items if CATEGORIES[item.category]]
    yield _row(SAFETY, True, safe)
    yield _row(TOTAL, False, list(verdicts.values()))


def _row(category: str, safety: bool, found: Sequence[Sequence[Verdict]]) -> Row:
    answered = [[v for v in item if v.outcome != NOT_ANSWERED] for item in found]
    answered = [item for item in answered if item]
    checks = [verdict for item in found for verdict in item]
    return Row(
        category,
        safety,
        passed=_n_passed(found),
        n_items=len(found),
        answered_passed=_n_passed(answered),
        n_answered=len(answered),
        checks_passed=sum(v.outcome == PASSED for v in checks),
        n_checks=len(checks),
        not_answered=sum(v.outcome == NOT_ANSWERED for v in checks),
    )


def _n_passed(found: Sequence[Sequence[Verdict]]) -> int:
    return sum(all(verdict.passed for verdict in item) for item in found)
