"""What was said of the patient, and the words of plans: for summaries and structured views."""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any, Dict, List, Mapping, Set, Tuple

from spacy.tokens import Doc, Span

from .names import ASSERTION_KEY, LISTED
from .relations import SideEffect

RESOURCE = "resources/en/summary.json"
# What is not said of the patient, however it is listed.
NOT_LISTED = ("family", "absent", "hypothetical")


@lru_cache(maxsize=1)
def load_cues() -> Dict[str, Any]:
    """Read the cues. RETURNS (Dict[str, Any]): a pattern for `pending`, `follow_up`, `critical` and
    `turning`, and names of `follow_up_sections`."""
    found = json.loads(files("clinbert_spacy").joinpath(RESOURCE).read_text("utf8"))
    sections = found.pop("follow_up_sections")
    cues: Dict[str, Any] = {
        name: re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)", re.I)
        for name, words in found.items()
    }
    return {**cues, "follow_up_sections": frozenset(sections)}


def judged(doc: Doc) -> List[Tuple[Span, Dict[str, str], Dict[str, Any]]]:
    """List entities with values and cues of each by axis.

    doc (Doc): A note. RETURNS (List[Tuple]): In its order; empty where nobody judged them.
    """
    group = doc.spans.get(ASSERTION_KEY)
    if group is None:
        return []
    values = group.attrs.get("values", [])
    return list(zip(group, values, group.attrs.get("cues") or [{}] * len(values)))


def is_patient(values: Mapping[str, str]) -> bool:
    """Say whether an entity is the patient's.

    values (Mapping[str, str]): Of the entity, by axis. RETURNS (bool): No family, no donor.
    """
    return values.get("experiencer", "patient") == "patient"


def of_others(doc: Doc) -> Set[Tuple[int, int]]:
    """Find problems of other people; in one word, what a donor has is "present" too.

    doc (Doc): A note. RETURNS (Set[Tuple[int, int]]): Their tokens.
    """
    group = doc.spans.get(ASSERTION_KEY)
    values = group.attrs.get("values", []) if group is not None else []
    spans = [group[i] for i, row in enumerate(values) if not is_patient(row)]
    return {(span.start, span.end) for span in spans}


def is_listed(effect: SideEffect) -> bool:
    """Say whether a side effect stands for what the patient is to avoid, not for what happened.

    effect (SideEffect): Of a note. RETURNS (bool): For an allergy or an intolerance.
    """
    return effect.kind in LISTED or effect.drug_status == "allergy"


def words_of(span: Span) -> str:
    """Write a span as one line in small letters. RETURNS (str): Equal for what is said twice."""
    return " ".join(span.text.lower().split())
