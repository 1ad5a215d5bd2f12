"""What was written of relations, read back: pairs, and side effects as a clinician asks."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from spacy.tokens import Doc, Span

from .entities import in_one_word
from .names import ASSERTION_KEY, LISTED, NOT_RUN, PROBLEM_AXES, RELATIONS_KEY


class Relation(NamedTuple):
    """A directed pair of entities. head (Span), tail (Span), label (str), score (float)."""

    head: Span
    tail: Span
    label: str
    score: float


class SideEffect(NamedTuple):
    """What a note says that a drug did, may have done, might do or did not do.

    drug (Span): The drug. effect (Span): A problem, or the test whose value is the effect.
    score (float): Probability of the relation. value (Optional[Span]): The test's value.
    assertion (Optional[str]): Of the effect, see PRIORITY; None where nobody judged it.
    drug_status (Optional[str]): Of the drug. causality (str): One of CAUSALITIES.
    kind (str): One of KINDS. evidence (List[Span]): The sentences that carry it.
    cue (Optional[Span]): The words between or beside the two that weighed most.
    """

    drug: Span
    effect: Span
    score: float
    value: Optional[Span]
    assertion: Optional[str]
    drug_status: Optional[str]
    causality: str
    kind: str
    evidence: List[Span]
    cue: Optional[Span]

    @property
    def is_current_reaction(self) -> bool:
        """Whether the patient has it, or had it in this illness: no allergy, nothing denied."""
        listed = self.kind in LISTED or self.drug_status == "allergy"
        present = self.assertion in (None, "present")
        return present and not listed and self.causality != "denied"


def relations(doc: Doc) -> List[Relation]:
    """List the relations of a note.

    doc (Doc): An annotated note.
    RETURNS (List[Relation]): In the order of the heads; empty if nobody looked for any.
    """
    group, rows = _relation_rows(doc)
    return [
        Relation(group[row["head"]], group[row["tail"]], row["label"], row["score"]) for row in rows
    ]


def _relation_rows(doc: Doc) -> Tuple[Any, List[Dict[str, Any]]]:
    group = doc.spans.get(RELATIONS_KEY)
    return group, (list(group.attrs.get("relations", [])) if group is not None else [])


def side_effects(doc: Doc) -> List[SideEffect]:
    """List the side effects of a note, with what is said of them.

    doc (Doc): An annotated note.
    RETURNS (List[SideEffect]): Also absent, possible and feared ones, and listed allergies: look at
        `is_current_reaction`. Empty: see `clinbert_side_effects_status`.
    """
    group, rows = _relation_rows(doc)
    values = {r["head"]: r["tail"] for r in rows if r["label"] == "HAS_VALUE"}
    said = _said(doc)
    return [
        _side_effect(group, row, values, said) for row in rows if row["label"] == "ADVERSE_EFFECT"
    ]


def _said(doc: Doc) -> Dict[Tuple[int, int], Mapping[str, str]]:
    """Values of all judged entities by place: one pass, where each getter of a span is one."""
    group = doc.spans.get(ASSERTION_KEY)
    said: Dict[Tuple[int, int], Mapping[str, str]] = {}
    for span, values in zip(group or (), group.attrs.get("values", ()) if group else ()):
        said.setdefault((span.start, span.end), values)
    return said


def _side_effect(
    group: Any,
    row: Mapping[str, Any],
    values: Mapping[int, int],
    said: Mapping[Tuple[int, int], Mapping[str, str]],
) -> SideEffect:
    drug, effect = group[row["head"]], group[row["tail"]]
    value = group[values[row["tail"]]] if row["tail"] in values else None
    cue = Span(group.doc, *row["cue"], label="CUE") if row.get("cue") else None
    return SideEffect(
        drug,
        effect,
        row["score"],
        value,
        _effect_assertion(said.get((effect.start, effect.end), {}), row),
        said.get((drug.start, drug.end), {}).get("drug_status"),
        row["causality"],
        row["kind"],
        [group.doc[start:end] for start, end in row["evidence"]],
        cue,
    )


def _effect_assertion(said: Mapping[str, str], row: Mapping[str, Any]) -> Optional[str]:
    """What this pair says of the effect, or else what was said of it; a test has a value."""
    return row.get("assertion") or in_one_word({axis: said.get(axis) for axis in PROBLEM_AXES})


def side_effects_status(doc: Doc) -> str:
    """Say why a list of side effects is empty.

    doc (Doc): A note.
    RETURNS (str): `found`, `none_above_threshold`, `no_drug`, or `not_run`.
    """
    group = doc.spans.get(RELATIONS_KEY)
    return str(group.attrs.get("status", NOT_RUN)) if group is not None else NOT_RUN
