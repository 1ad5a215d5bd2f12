"""Every custom attribute of the package in one table, and the getters behind them."""

from functools import cache
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from spacy.tokens import Doc, Span

ENTS_KEY = "clinbert_ents"
COVERAGE_KEY = "clinbert_coverage"
ABBREVIATIONS_KEY = "clinbert_abbreviations"
CONCEPTS_KEY = "clinbert_concepts"
SECTIONS_KEY = "clinbert_sections"
ASSERTION_KEY = "clinbert_assertion"
REVIEW_KEY = "clinbert_review"

# What is said of an entity: the axes and their values, the first of each the default.
AXES: Dict[str, Tuple[str, ...]] = {
    "presence": ("present", "absent", "possible", "conditional", "hypothetical"),
    "experiencer": ("patient", "family", "other"),
    "time": ("current", "historical"),
    "drug_status": (
        "active", "started", "changed", "stopped", "held", "planned", "past", "not_taken",
        "allergy",
    ),
}  # fmt: skip
# What is asked of problems at each mention, and of drugs once in a note.
PROBLEM_AXES = ("presence", "experiencer", "time")
DRUG_AXES = ("drug_status",)
# One word for the three axes of a problem: the first of these that holds.
PRIORITY = ("family", "absent", "hypothetical", "conditional", "possible", "historical", "present")


class Attribute(NamedTuple):
    """A getter on a Doc or Span.

    holder (type): `Doc` or `Span`.
    name (str): Name behind `._`.
    getter (Callable): Computes the value from span groups and their attrs.
    meaning (str): One sentence for the documentation.
    """

    holder: Union[Type[Doc], Type[Span]]
    name: str
    getter: Callable[[Any], Any]
    meaning: str


def entity_score(span: Span) -> Optional[float]:
    """Look up the probability that `clinbert_ner` gave an entity.

    span (Span): An entity of `doc.ents` or `doc.spans["clinbert_ents"]`.
    RETURNS (Optional[float]): Probability in [0, 1], None for spans of other components.
    """
    group = span.doc.spans.get(ENTS_KEY)
    scores: List[float] = group.attrs.get("scores", []) if group is not None else []
    if not scores:
        return None
    wanted = (span.start, span.end, span.label)
    for other, score in zip(group, scores):
        if (other.start, other.end, other.label) == wanted:
            return score
    return None


def coverage(doc: Doc) -> Optional[Dict[str, int]]:
    """Count what the transformer read of a note.

    doc (Doc): An annotated note.
    RETURNS (Optional[Dict[str, int]]): tokens, wordpieces, windows, unknown (pieces without an
        entry in the vocabulary), truncated (always 0); None if the transformer did not run.
    """
    group = doc.spans.get(COVERAGE_KEY)
    return dict(group.attrs) if group is not None else None


class Abbreviation(NamedTuple):
    """A short form and what it stands for.

    span (Span): The short form. long_form (str): Written out.
    source (str): `note` if the note defines it, `inventory` if its context decided.
    score (float): Probability in [0, 1], 1 for what the note defines.
    """

    span: Span
    long_form: str
    source: str
    score: float


def abbreviations(doc: Doc) -> List[Abbreviation]:
    """List the short forms of a note that `clinbert_abbreviations` could expand.

    doc (Doc): An annotated note.
    RETURNS (List[Abbreviation]): In the order of the note.
    """
    group = doc.spans.get(ABBREVIATIONS_KEY)
    if group is None:
        return []
    columns = (group.attrs[key] for key in ("long_forms", "sources", "scores"))
    return [Abbreviation(*row) for row in zip(group, *columns)]


def long_form(span: Span) -> Optional[str]:
    """Look up what a short form stands for.

    span (Span): A span with the boundaries of one in `doc.spans["clinbert_abbreviations"]`.
    RETURNS (Optional[str]): The long form, None for any other span.
    """
    wanted = (span.start, span.end)
    found = (x.long_form for x in abbreviations(span.doc) if (x.span.start, x.span.end) == wanted)
    return next(found, None)


def concepts(span: Span) -> List[Dict[str, Any]]:
    """Look up the concepts that `clinbert_linker` proposes for an entity.

    span (Span): An entity of `doc.ents` or `doc.spans["clinbert_ents"]`.
    RETURNS (List[Dict[str, Any]]): Dicts of id, name and score in [0, 1], the likeliest first.
    """
    group = span.doc.spans.get(CONCEPTS_KEY)
    rows: List[List[Dict[str, Any]]] = group.attrs["concepts"] if group is not None else []
    wanted = (span.start, span.end, span.label)
    for other, row in zip(group or (), rows):
        if (other.start, other.end, other.label) == wanted:
            return [dict(concept) for concept in row]
    return []


def assertion_of(span: Span, kind: str, axis: str) -> Any:
    """Look up what `clinbert_assertion` said of an entity.

    span (Span): An entity. kind (str): `values`, `scores`, `cues`. axis (str): One of AXES.
    RETURNS (Any): None for an entity that was not judged on this axis.
    """
    group = span.doc.spans.get(ASSERTION_KEY)
    if group is None or kind not in group.attrs:
        return None
    for other, found in zip(group, group.attrs[kind]):
        if (other.start, other.end) == (span.start, span.end):
            return found.get(axis)
    return None


@cache
def assertion_getter(axis: str) -> Callable[[Span], Optional[str]]:
    """Make the getter of an axis. RETURNS (Callable): From a span to its value, or None."""
    return lambda span: assertion_of(span, "values", axis)


def assertion(span: Span) -> Optional[str]:
    """Sum the three axes of a problem up in one word.

    span (Span): An entity.
    RETURNS (Optional[str]): The first of PRIORITY that holds; None if it was not judged.
    """
    values = {assertion_of(span, "values", axis) for axis in PROBLEM_AXES}
    return next((value for value in PRIORITY if value in values), None)


def assertion_scores(span: Span) -> Optional[Dict[str, Dict[str, float]]]:
    """Look up the probabilities of an entity's values.

    span (Span): An entity.
    RETURNS (Optional[Dict]): Probability by value, by axis; None if no model judged it.
    """
    found = {axis: assertion_of(span, "scores", axis) for axis in AXES}
    return {axis: dict(value) for axis, value in found.items() if value} or None


def assertion_cue(span: Span) -> Optional[Span]:
    """Find the words that decided.

    span (Span): An entity.
    RETURNS (Optional[Span]): The cue of the axis that `clinbert_assertion` names, or of the drug's
        status, labelled with the axis; None without one.
    """
    cues = {axis: assertion_of(span, "cues", axis) for axis in AXES}
    values = {axis: assertion_of(span, "values", axis) for axis in AXES}
    axis = deciding_axis(values, cues)
    return None if axis is None else Span(span.doc, *cues[axis], label=axis)


def deciding_axis(values: Mapping[str, Any], cues: Mapping[str, Any]) -> Optional[str]:
    """Choose the axis whose cue is shown for an entity.

    values (Mapping[str, Any]): Values by axis. cues (Mapping[str, Any]): Token ranges by axis.
    RETURNS (Optional[str]): The axis that `assertion` names, or the drug's; None without a cue.
    """
    ranks = {value: rank for rank, value in enumerate(PRIORITY)}
    named = (axis for axis in AXES if cues.get(axis))
    return min(named, key=lambda axis: ranks.get(values.get(axis), -1), default=None)


def section_name(span: Span) -> Optional[str]:
    """Look up the section that a span begins in.

    span (Span): Any span.
    RETURNS (Optional[str]): Its normalised name; None without sections.
    """
    return section_names_of(span.doc, [span])[0]


def section_names_of(doc: Doc, spans: Sequence[Span]) -> List[Optional[str]]:
    """Look up the sections that spans begin in, in one pass.

    doc (Doc): An annotated note. spans (Sequence[Span]): In order of their starts.
    RETURNS (List[Optional[str]]): Normalised names; None outside of any section.
    """
    sections = iter(doc.spans.get(SECTIONS_KEY) or ())
    current = next(sections, None)
    names = []
    for span in spans:
        while current is not None and current.end <= span.start:
            current = next(sections, None)
        inside = current is not None and current.start <= span.start
        names.append(str(current.label_) if inside else None)
    return names


ATTRIBUTES = (
    Attribute(Span, "clinbert_section", section_name, "name of the section it begins in"),
    Attribute(
        Span, "clinbert_presence", assertion_getter("presence"), "problem: present, absent, ..."
    ),
    Attribute(
        Span, "clinbert_experiencer", assertion_getter("experiencer"), "patient, family, other"
    ),
    Attribute(Span, "clinbert_time", assertion_getter("time"), "current or historical"),
    Attribute(
        Span, "clinbert_drug_status", assertion_getter("drug_status"), "drug: active, stopped, ..."
    ),
    Attribute(Span, "clinbert_assertion", assertion, "the three axes in one word, by PRIORITY"),
    Attribute(Span, "clinbert_assertion_scores", assertion_scores, "probabilities by axis"),
    Attribute(Span, "clinbert_assertion_cue", assertion_cue, "the words that decided, if any"),
    Attribute(Span, "clinbert_score", entity_score, "probability of the entity"),
    Attribute(Doc, "clinbert_coverage", coverage, "what the transformer read of the note"),
    Attribute(Doc, "clinbert_abbreviations", abbreviations, "short forms and what they stand for"),
    Attribute(Span, "clinbert_long_form", long_form, "what a short form stands for"),
    Attribute(Span, "clinbert_concepts", concepts, "concepts the entity may be linked to"),
)


def install() -> None:
    """Register every attribute that is not there yet.

    RAISES (ValueError): Another package holds one of the names.
    """
    for holder, name, getter, _ in ATTRIBUTES:
        if not holder.has_extension(name):
            holder.set_extension(name, getter=getter)
        elif holder.get_extension(name)[2] is not getter:
            raise ValueError(
                f"{holder.__name__}._.{name} is already defined by another package. Remove that "
                "extension before loading clinbert components."
            )
