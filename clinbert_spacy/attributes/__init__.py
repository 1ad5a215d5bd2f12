"""Every custom attribute of the package in one table; `install` sets them."""

from typing import Any, Callable, NamedTuple, Type, Union

from spacy.tokens import Doc, Span

from .abstract import Abstract, Flag, abstract
from .entities import (
    Abbreviation,
    abbreviations,
    assertion,
    assertion_cue,
    assertion_of,
    assertion_scores,
    concepts,
    coverage,
    deciding_axis,
    drug_status,
    entity_score,
    experiencer,
    in_one_word,
    long_form,
    presence,
    section_name,
    section_names_of,
    summary,
    time,
)
from .names import (
    ABBREVIATIONS_KEY,
    ABSTRACT_KEY,
    ASSERTION_KEY,
    AXES,
    CAUSALITIES,
    CONCEPTS_KEY,
    COVERAGE_KEY,
    DRUG_AXES,
    ENTS_KEY,
    EVIDENCE_KEY,
    FLAG_REASONS,
    FOUND,
    KINDS,
    LISTED,
    NO_DRUG,
    NONE_FOUND,
    NOT_RUN,
    PRIORITY,
    PROBLEM_AXES,
    RELATIONS_KEY,
    REVIEW_KEY,
    SECTIONS_KEY,
    SUMMARY_KEY,
)
from .relations import Relation, SideEffect, relations, side_effects, side_effects_status

__all__ = [
    "ABBREVIATIONS_KEY",
    "ABSTRACT_KEY",
    "ASSERTION_KEY",
    "ATTRIBUTES",
    "AXES",
    "Abbreviation",
    "Abstract",
    "Attribute",
    "CAUSALITIES",
    "CONCEPTS_KEY",
    "COVERAGE_KEY",
    "DRUG_AXES",
    "ENTS_KEY",
    "EVIDENCE_KEY",
    "FLAG_REASONS",
    "FOUND",
    "Flag",
    "KINDS",
    "LISTED",
    "NONE_FOUND",
    "NOT_RUN",
    "NO_DRUG",
    "PRIORITY",
    "PROBLEM_AXES",
    "RELATIONS_KEY",
    "REVIEW_KEY",
    "Relation",
    "SECTIONS_KEY",
    "SUMMARY_KEY",
    "SideEffect",
    "abbreviations",
    "abstract",
    "assertion",
    "assertion_cue",
    "assertion_of",
    "assertion_scores",
    "concepts",
    "coverage",
    "deciding_axis",
    "entity_score",
    "in_one_word",
    "install",
    "long_form",
    "relations",
    "section_name",
    "section_names_of",
    "side_effects",
    "side_effects_status",
    "summary",
]


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


ATTRIBUTES = (
    Attribute(Span, "clinbert_section", section_name, "name of the section it begins in"),
    Attribute(Span, "clinbert_presence", presence, "problem: present, absent, ..."),
    Attribute(Span, "clinbert_experiencer", experiencer, "patient, family, other"),
    Attribute(Span, "clinbert_time", time, "current or historical"),
    Attribute(Span, "clinbert_drug_status", drug_status, "drug: active, stopped, ..."),
    Attribute(Span, "clinbert_assertion", assertion, "the three axes in one word, by PRIORITY"),
    Attribute(Span, "clinbert_assertion_scores", assertion_scores, "probabilities by axis"),
    Attribute(Span, "clinbert_assertion_cue", assertion_cue, "the words that decided, if any"),
    Attribute(Doc, "clinbert_relations", relations, "pairs of entities with a label and a score"),
    Attribute(Doc, "clinbert_side_effects", side_effects, "what drugs did, and what is said of it"),
    Attribute(
        Doc,
        "clinbert_side_effects_status",
        side_effects_status,
        "why there are none: never silence",
    ),
    Attribute(Span, "clinbert_score", entity_score, "probability of the entity"),
    Attribute(Doc, "clinbert_coverage", coverage, "what the transformer read of the note"),
    Attribute(Doc, "clinbert_abbreviations", abbreviations, "short forms and what they stand for"),
    Attribute(Span, "clinbert_long_form", long_form, "what a short form stands for"),
    Attribute(Doc, "clinbert_summary", summary, "the sentences of the summary, word for word"),
    Attribute(
        Doc, "clinbert_abstract", abstract, "a generated summary, and what the note lacks of it"
    ),
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
