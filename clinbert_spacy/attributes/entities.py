"""What was written of entities and notes, read back: the getters behind `._`."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from spacy.tokens import Doc, Span

from .names import (
    ABBREVIATIONS_KEY,
    ASSERTION_KEY,
    AXES,
    CONCEPTS_KEY,
    COVERAGE_KEY,
    ENTS_KEY,
    PRIORITY,
    PROBLEM_AXES,
    SECTIONS_KEY,
    SUMMARY_KEY,
)


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


# Functions with names, one an axis: workers that are spawned get the getters pickled.
def presence(span: Span) -> Optional[str]:
    """Say whether a problem is present. RETURNS (Optional[str]): None if it was not judged."""
    return assertion_of(span, "values", "presence")


def experiencer(span: Span) -> Optional[str]:
    """Say whose problem it is. RETURNS (Optional[str]): None if it was not judged."""
    return assertion_of(span, "values", "experiencer")


def time(span: Span) -> Optional[str]:
    """Say when a problem is. RETURNS (Optional[str]): None if it was not judged."""
    return assertion_of(span, "values", "time")


def drug_status(span: Span) -> Optional[str]:
    """Say what becomes of a drug. RETURNS (Optional[str]): None if it was not judged."""
    return assertion_of(span, "values", "drug_status")


def assertion(span: Span) -> Optional[str]:
    """Sum the three axes of a problem up in one word.

    span (Span): An entity.
    RETURNS (Optional[str]): The first of PRIORITY that holds; None if it was not judged.
    """
    return in_one_word({axis: assertion_of(span, "values", axis) for axis in PROBLEM_AXES})


def in_one_word(values: Mapping[str, Any]) -> Optional[str]:
    """Choose the word that says most.

    values (Mapping[str, Any]): Values by axis.
    RETURNS (Optional[str]): The first of PRIORITY that is among them.
    """
    return next((value for value in PRIORITY if value in values.values()), None)


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


def summary(doc: Doc) -> List[Span]:
    """List the sentences of a note's summary.

    doc (Doc): An annotated note.
    RETURNS (List[Span]): In the order of the note; empty if nobody wrote one.
    """
    return list(doc.spans.get(SUMMARY_KEY) or ())


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
