"""Scores of sections: exact characters and name, and the names of every character beside."""

from typing import Any, Callable, Dict, Iterable, List, Tuple

from spacy.tokens import Doc
from spacy.training import Example

from ..attributes import SECTIONS_KEY
from .scorers import Counts, prf

Section = Tuple[int, int, str]
Scorer = Callable[..., Dict[str, Any]]


def make_sections_scorer() -> Scorer:
    """Registered as clinbert.sections_scorer.v1. RETURNS (Callable): Scores Examples."""
    return score_sections


def score_sections(examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
    """Score the sections of Examples.

    examples (Iterable[Example]): Gold in `reference.spans["clinbert_sections"]`; Examples without
        it are left out.
    RETURNS (Dict[str, Any]): sections_p, sections_r, sections_f (exact span and name),
        sections_per_type, sections_starts_f (where one begins), sections_characters (share of the
        characters of gold sections under the right name); None where nothing could be scored.
    """
    by_name: Dict[str, Counts] = {}
    starts, right, total = Counts(), 0, 0
    for example in examples:
        if SECTIONS_KEY not in example.reference.spans:
            continue
        gold, found = sections_of(example.reference), sections_of(example.predicted)
        _count(by_name, gold, found)
        starts.add(_matches({s for s, _, _ in gold}, {s for s, _, _ in found}))
        right += sum(_overlap(g, f) for g in gold for f in found)
        total += sum(end - start for start, end, _ in gold)
    if not by_name:
        return {}
    whole = Counts()
    for counts in by_name.values():
        whole.add(counts)
    p, r, f = prf(whole)
    return {
        "sections_p": p,
        "sections_r": r,
        "sections_f": f,
        "sections_per_type": {n: dict(zip("prf", prf(c))) for n, c in sorted(by_name.items())},
        "sections_starts_f": prf(starts)[2],
        "sections_characters": right / total if total else None,
    }


def sections_of(doc: Doc) -> List[Section]:
    """List the sections of a note. RETURNS (List[Section]): First character, end, name."""
    group = doc.spans.get(SECTIONS_KEY)
    return [(s.start_char, s.end_char, s.label_) for s in group or ()]


def _count(by_name: Dict[str, Counts], gold: List[Section], found: List[Section]) -> None:
    for name in {name for _, _, name in (*gold, *found)}:
        own = ({s for s in gold if s[2] == name}, {s for s in found if s[2] == name})
        by_name.setdefault(name, Counts()).add(_matches(*own))


def _matches(gold: set, found: set) -> Counts:
    return Counts(len(gold & found), len(found - gold), len(gold - found))


def _overlap(gold: Section, found: Section) -> int:
    same = found[2] in gold[2].split("|")
    return max(0, min(gold[1], found[1]) - max(gold[0], found[0])) if same else 0
