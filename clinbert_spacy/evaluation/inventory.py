"""What a corpus of fully annotated notes holds: counts per layer and part."""

from collections import Counter
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ..corpora.checks import AXES, LINKS, PHI_LABELS, STATUS, is_present_reaction
from ..corpora.layers import CHAPTERS, ENCOUNTERS
from ..corpora.record import AnnotatedNote, Mention
from ..corpora.schema import PRODUCT_LABELS

LONG = 2000  # words
Counts = Dict[str, int]
RELATIONS = (
    "ADVERSE_EFFECT", "TREATS", "HAS_STRENGTH", "HAS_DOSAGE", "HAS_FORM", "HAS_ROUTE",
    "HAS_FREQUENCY", "HAS_DURATION", "HAS_VALUE",
)  # fmt: skip


def count_layers(notes: Sequence[AnnotatedNote]) -> Dict[str, Counts]:
    """Count what notes hold.

    notes (Sequence[AnnotatedNote]): notes with document layers.
    RETURNS (Dict[str, Counts]): counts by group ("size", "entities", "presence", ...) and value,
        zeros included.
    """
    mentions = [mention for note in notes for mention in note.mentions]
    groups = {
        "size": _sizes(notes),
        "entities": _count(PRODUCT_LABELS, (m.label for m in mentions)),
        "identifiers": _count(PHI_LABELS, (m.label for m in mentions)),
    }
    for name, values in {**AXES, "Status": STATUS}.items():
        groups[name.lower()] = _count(values, (m.attributes.get(name) for m in mentions))
    groups["relations"] = _count(RELATIONS, (r.label for note in notes for r in note.relations))
    for name, values in LINKS.items():
        found = (r.attributes.get(name) for note in notes for r in note.relations)
        groups[name.lower()] = _count(values, found)
    groups["adverse effects"] = _reactions(notes)
    layers = [note.meta["layers"] for note in notes]
    groups["encounter"] = _count(ENCOUNTERS, (x.encounter for x in layers))
    groups["chapters"] = _count(CHAPTERS, (c for x in layers for c in x.chapters))
    return groups


def _count(names: Iterable[str], found: Iterable[Any]) -> Counts:
    counted = Counter(found)
    return {name: counted[name] for name in names}


def _sizes(notes: Sequence[AnnotatedNote]) -> Counts:
    layers = [note.meta["layers"] for note in notes]
    words = [len(note.text.split()) for note in notes]
    return {
        "notes": len(notes),
        "words": sum(words),
        f"notes over {LONG} words": sum(n > LONG for n in words),
        "kinds of note": len({x.kind for x in layers}),
        "specialties": len({x.specialty for x in layers}),
        "sections": sum(len(x.sections) for x in layers),
        "sentences": sum(len(x.sentences) for x in layers),
        "summary sentences": sum(len(x.summary) for x in layers),
        "different drug names": len(names_of(notes, "DRUG")),
        "different effects": len(effects_of(notes)),
    }


def names_of(notes: Iterable[AnnotatedNote], label: str) -> set:
    """List the different strings of a label. RETURNS (set): lower-cased, white space joined."""
    return {_string(n, m) for n in notes for m in n.mentions if m.label == label}


def effects_of(notes: Iterable[AnnotatedNote]) -> set:
    """List the different strings at the tail of ADVERSE_EFFECT. RETURNS (set): as names_of."""
    found = set()
    for note in notes:
        tails = {r.tail for r in note.relations if r.label == "ADVERSE_EFFECT"}
        found |= {_string(note, m) for m in note.mentions if m.id in tails}
    return found


def _string(note: AnnotatedNote, mention: Mention) -> str:
    return " ".join(note.text[mention.start : mention.end].lower().split())


def _reactions(notes: Iterable[AnnotatedNote]) -> Counts:
    counts = {"present reactions": 0, "hard negatives": 0, "across sentences": 0}
    for note in notes:
        by_id = {m.id: m for m in note.mentions}
        ends = [end for _, end in note.meta["layers"].sentences]
        for r in note.relations:
            if r.label != "ADVERSE_EFFECT":
                continue
            present = is_present_reaction(r, by_id[r.tail])
            counts["present reactions" if present else "hard negatives"] += 1
            first, last = sorted((by_id[r.head].start, by_id[r.tail].start))
            counts["across sentences"] += any(first < end <= last for end in ends)
    return counts


def unseen_share(train: Sequence[AnnotatedNote], test: Sequence[AnnotatedNote]) -> float:
    """Share of different entity strings of one part that do not occur in another.

    train (Sequence[AnnotatedNote]): where they may have been seen.
    test (Sequence[AnnotatedNote]): the part in question.
    RETURNS (float): between 0 and 1; strings with their label, lower-cased.
    """
    seen, wanted = (
        {(label, name) for label in PRODUCT_LABELS for name in names_of(part, label)}
        for part in (train, test)
    )
    return len(wanted - seen) / len(wanted) if wanted else 0.0


def tabulate(parts: Mapping[str, Mapping[str, Counts]]) -> List[List[str]]:
    """Lay counts of several parts side by side.

    parts (Mapping[str, Mapping[str, Counts]]): what `count_layers` gave, by part.
    RETURNS (List[List[str]]): rows of group, value and a count a part.
    """
    first = next(iter(parts.values()))
    return [
        [group, name, *(str(counts[group][name]) for counts in parts.values())]
        for group, values in first.items()
        for name in values
    ]
