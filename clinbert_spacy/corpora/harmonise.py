"""Other corpora's conventions brought to ours: what is one entity, and where it ends."""
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from .record import AnnotatedNote, Mention, Offsets

# A label for what was cut off: its text says nothing about any of our labels.
REST = "unresolved"
_PATTERNS = Path(__file__).parent.parent / "resources" / "en" / "dose_patterns.json"
_SIGNS = _PATTERNS.parent / "mesh_signs.json"
_PROBLEMS = {
    "Disease", "DiseaseOrPhenotypicFeature",
    "SpecificDisease", "Modifier", "DiseaseClass", "CompositeMention",
}  # fmt: skip
_SITE = "Biological_structure"
_SITE_HOSTS = {"Sign_symptom", "Disease_disorder", "Diagnostic_procedure", "Therapeutic_procedure"}
_TREATMENTS = {"Medication", "Therapeutic_procedure", "Dosage"}
_OF_TREATMENTS = {"Duration", "Frequency"}


@cache
def _patterns() -> Mapping[str, Tuple[re.Pattern, ...]]:
    table = json.loads(_PATTERNS.read_text(encoding="utf-8"))
    return {
        label: tuple(re.compile(rf"(?<![a-z0-9.]){p}", re.IGNORECASE) for p in patterns)
        for label, patterns in table.items()
    }


def dose_pieces(text: str) -> List[Tuple[int, int, str]]:
    """Cut a dose string into strength, amount and frequency.

    text (str): e.g. "60 mg twice daily".
    RETURNS (List[Tuple[int, int, str]]): start, end and product label; text order, no overlap.
    """
    pieces: List[Tuple[int, int, str]] = []
    for label in ("STRENGTH", "DOSAGE", "FREQUENCY"):
        for pattern in _patterns()[label]:
            for match in pattern.finditer(text):
                if all(match.end() <= a or b <= match.start() for a, b, _ in pieces):
                    pieces.append((match.start(), match.end(), label))
    return sorted(pieces)


def split_doses(note: AnnotatedNote, label: str) -> AnnotatedNote:
    """Replace dose strings by their pieces.

    note (AnnotatedNote): a note.
    label (str): own label of the dose strings.
    RETURNS (AnnotatedNote): the note; pieces have product labels, the rest is "unresolved".
    """
    mentions: List[Mention] = []
    for mention in note.mentions:
        split = mention.label == label and len(mention.spans) == 1
        mentions.extend(_pieces(note.text, mention) if split else [mention])
    return replace(note, mentions=tuple(mentions))


def _pieces(text: str, mention: Mention) -> Iterator[Mention]:
    # The first piece keeps the id, so that relations to the dose still have an end.
    found = dose_pieces(text[mention.start : mention.end])
    spans = [(mention.start + a, mention.start + b, label) for a, b, label in found]
    covered = sum(b - a for a, b, _ in spans)
    words = len("".join(text[mention.start : mention.end].split()))
    if not spans or covered < words:
        spans.append((mention.start, mention.end, REST))
    for i, (start, end, label) in enumerate(spans):
        name = mention.id if i == 0 else f"{mention.id}.{i}"
        yield replace(mention, id=name, label=label, spans=((start, end),))


def merge_sites(note: AnnotatedNote) -> AnnotatedNote:
    """Join a body site to the finding or test right after it: "abdominal" + "pain".

    note (AnnotatedNote): a note with MODIFY relations.
    RETURNS (AnnotatedNote): the note; the site's own mention is gone, relations follow.
    """
    by_id = {mention.id: mention for mention in note.mentions}
    longer: Dict[str, int] = {}
    merged: Dict[str, str] = {}
    for relation in note.relations:
        site, host = by_id[relation.head], by_id[relation.tail]
        if relation.label == "MODIFY" and _adjoins(note.text, site, host):
            longer[host.id] = min(site.start, longer.get(host.id, host.start))
            merged[site.id] = host.id
    mentions = [
        replace(m, spans=((longer[m.id], m.end),)) if m.id in longer else m
        for m in note.mentions
        if m.id not in merged
    ]
    relations = [
        replace(r, head=merged.get(r.head, r.head), tail=merged.get(r.tail, r.tail))
        for r in note.relations
        if merged.get(r.head, r.head) != merged.get(r.tail, r.tail)
    ]
    return replace(note, mentions=tuple(mentions), relations=tuple(relations))


def _adjoins(text: str, site: Mention, host: Mention) -> bool:
    single = len(site.spans) == len(host.spans) == 1
    known = site.label == _SITE and host.label in _SITE_HOSTS
    return single and known and site.end < host.start and text[site.end : host.start] == " "


def _treatments_only(note: AnnotatedNote) -> AnnotatedNote:
    """Durations and frequencies of symptoms are no entities of ours."""
    label_of = {mention.id: mention.label for mention in note.mentions}
    kept = {
        r.head for r in note.relations if r.label == "MODIFY" and label_of[r.tail] in _TREATMENTS
    }
    mentions = [
        _with_for(note.text, m)
        for m in note.mentions
        if m.label not in _OF_TREATMENTS or m.id in kept
    ]
    ids = {mention.id for mention in mentions}
    relations = tuple(r for r in note.relations if {r.head, r.tail} <= ids)
    return replace(note, mentions=tuple(mentions), relations=relations)


def _with_for(text: str, mention: Mention) -> Mention:
    if mention.label != "Duration" or len(mention.spans) > 1:
        return mention
    before = re.search(r"\bfor $", text[max(0, mention.start - 5) : mention.start])
    span: Offsets = (mention.start - (4 if before else 0), mention.end)
    return replace(mention, spans=(span,))


def _forms(note: AnnotatedNote) -> AnnotatedNote:
    """Split Administration into forms (tablets) and routes (oral)."""
    form = _patterns()["FORM"][0]
    mentions = [
        replace(m, label="FORM" if form.search(note.text[m.start : m.end]) else "ROUTE")
        if m.label == "Administration"
        else m
        for m in note.mentions
    ]
    return replace(note, mentions=tuple(mentions))


def _maccrobat(note: AnnotatedNote) -> AnnotatedNote:
    return split_doses(_forms(merge_sites(_treatments_only(note))), "Dosage")


def _ade(note: AnnotatedNote) -> AnnotatedNote:
    return split_doses(note, "Dose")


@cache
def _signs() -> Mapping[str, frozenset]:
    table = json.loads(_SIGNS.read_text(encoding="utf-8"))
    return {key: frozenset(table[key]) for key in ("signs", "either")}


def resolve_problem(concepts: Sequence[str]) -> str:
    """Tell a disease from a sign or symptom by its concepts.

    concepts (Sequence[str]): MeSH or OMIM ids, "MESH:" before them or not.
    RETURNS (str): "SYMPTOM", "DISEASE", or "" where MeSH has it both ways or there is no id.
    """
    ids = {part.removeprefix("MESH:") for concept in concepts for part in concept.split("+")}
    signs, either = _signs()["signs"], _signs()["either"]
    if not ids or ids & either or (ids & signs and ids - signs):
        return ""
    return "SYMPTOM" if ids <= signs else "DISEASE"


def _by_concept(note: AnnotatedNote) -> AnnotatedNote:
    """Give problems that the corpus does not tell apart their label where their concept does."""
    mentions = [
        replace(m, label=resolve_problem(m.concepts) or m.label) if m.label in _PROBLEMS else m
        for m in note.mentions
    ]
    return replace(note, mentions=tuple(mentions))


_ADAPTERS: Mapping[str, Callable[[AnnotatedNote], AnnotatedNote]] = {
    "maccrobat": _maccrobat,
    "ade": _ade,
    "bc5cdr": _by_concept,
    "ncbi": _by_concept,
    "biored": _by_concept,
}


def to_product(note: AnnotatedNote) -> AnnotatedNote:
    """Bring a note's entities to the product's conventions, before its labels are mapped.

    note (AnnotatedNote): a note with meta "corpus".
    RETURNS (AnnotatedNote): the note, changed for the corpora that need it.
    """
    adapter = _ADAPTERS.get(str(note.meta.get("corpus", "")))
    return adapter(note) if adapter else note
