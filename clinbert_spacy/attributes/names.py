"""Names of span groups, and the values that are written in them."""

from typing import Dict, Tuple

ENTS_KEY = "clinbert_ents"
COVERAGE_KEY = "clinbert_coverage"
ABBREVIATIONS_KEY = "clinbert_abbreviations"
CONCEPTS_KEY = "clinbert_concepts"
SECTIONS_KEY = "clinbert_sections"
ASSERTION_KEY = "clinbert_assertion"
REVIEW_KEY = "clinbert_review"
RELATIONS_KEY = "clinbert_relations"
SUMMARY_KEY = "clinbert_summary"
EVIDENCE_KEY = "clinbert_evidence"
ABSTRACT_KEY = "clinbert_abstract"

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
# What a note says of the link between a drug and an effect, and what kind of effect it is.
CAUSALITIES = ("stated", "possible", "denied")
KINDS = ("reaction", "allergy", "intolerance", "withdrawal", "overdose")
# Kinds that say what the patient is to avoid, not what the patient has.
LISTED = ("allergy", "intolerance")
# Why there are no side effects: an empty list is never silence.
FOUND, NONE_FOUND, NO_DRUG, NOT_RUN = "found", "none_above_threshold", "no_drug", "not_run"
# One word for the three axes of a problem: the first of these that holds.
PRIORITY = ("family", "absent", "hypothetical", "conditional", "possible", "historical", "present")
# What a flag of a generated summary says, by its reason.
FLAG_REASONS: Dict[str, str] = {
    "not_in_note": "the note does not have these words",
    "number": "the note has no such number",
    "unit": "the note has this number with another unit, or without one",
    "date": "the note has no such date",
    "negation": "the note says the opposite: present here, absent there, or the reverse",
    "certainty": "the note calls it possible, conditional or feared, the summary present",
    "experiencer": "the note says it of another person",
    "drug_status": "the drug is taken here and not there, or the reverse",
    "pairing": "the note gives this to something else, or something else to this",
}
