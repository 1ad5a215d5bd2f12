"""What a fully annotated note must hold: legal labels, every axis, linked attributes, layers."""
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from .files import sha256_of
from .layers import CHAPTERS, ENCOUNTERS, SECTIONS, NoteLayers
from .record import AnnotatedNote, Mention, Relation
from .schema import PRODUCT_LABELS

PROBLEMS = ("DISEASE", "SYMPTOM")
DRUG_ATTRIBUTES = ("STRENGTH", "DOSAGE", "FORM", "ROUTE", "FREQUENCY", "DURATION")
PHI_LABELS = (
    "PHI_NAME", "PHI_DATE", "PHI_AGE", "PHI_CONTACT", "PHI_ID", "PHI_LOCATION",
)  # fmt: skip
AXES: Mapping[str, Tuple[str, ...]] = {
    "Presence": ("present", "absent", "possible", "conditional", "hypothetical"),
    "Experiencer": ("patient", "family", "other"),
    "Time": ("current", "historical"),
}
STATUS = (
    "active", "started", "changed", "stopped", "held", "planned", "past", "not_taken", "allergy",
)  # fmt: skip
LINKS: Mapping[str, Tuple[str, ...]] = {
    "Causality": ("stated", "possible", "denied"),
    "Kind": ("reaction", "allergy", "intolerance", "withdrawal", "overdose"),
}
UNLINKED = ("unnamed", "nondrug")
# Relation: labels of its head, labels of its tail.
ARGUMENTS: Mapping[str, Tuple[Sequence[str], Sequence[str]]] = {
    "ADVERSE_EFFECT": (("DRUG",), (*PROBLEMS, "TEST")),
    "TREATS": (("DRUG",), PROBLEMS),
    "HAS_VALUE": (("TEST",), ("LAB_VALUE",)),
    **{f"HAS_{label}": (("DRUG",), (label,)) for label in DRUG_ATTRIBUTES},
}
LONGEST_SUMMARY = 0.2  # of the sentences


def find_faults(note: AnnotatedNote) -> List[str]:
    """List what is wrong with a note that should carry every layer of the guidelines.

    note (AnnotatedNote): a note; meta["layers"] holds its document layers.
    RETURNS (List[str]): a line a fault, by ids and offsets; empty: none.
    """
    tails = {(r.tail, r.label) for r in note.relations}
    faults = [fault for mention in note.mentions for fault in _mention_faults(mention, tails)]
    by_id = {mention.id: mention for mention in note.mentions}
    faults += [fault for relation in note.relations for fault in _relation_faults(relation, by_id)]
    faults += _overlaps(note.mentions)
    layers = note.meta.get("layers")
    if layers is None:
        return [*faults, "no document layers in notes.jsonl"]
    return [*faults, *_document_faults(note, layers)]


def is_present_reaction(relation: Relation, effect: Mention) -> bool:
    """Say whether an ADVERSE_EFFECT is a reaction that the patient has, not a hard negative.

    relation (Relation): an ADVERSE_EFFECT.
    effect (Mention): its tail.
    RETURNS (bool): by the rule of the guidelines.
    """
    listed = relation.attributes.get("Kind") in ("allergy", "intolerance")
    told = effect.attributes
    return (
        not listed
        and relation.attributes.get("Causality") != "denied"
        and told.get("Presence", "present") == "present"
        and told.get("Experiencer", "patient") == "patient"
    )


def expected_attributes(label: str) -> Mapping[str, Sequence[str]]:
    """Look up which attributes a mention or relation must have. RETURNS: values by name."""
    if label in PROBLEMS:
        return AXES
    if label == "DRUG":
        return {"Status": STATUS}
    return LINKS if label == "ADVERSE_EFFECT" else {}


def _mention_faults(mention: Mention, tails: set) -> Iterator[str]:
    place = f"{mention.id} {mention.label} {mention.start}-{mention.end}"
    if mention.label not in (*PRODUCT_LABELS, *PHI_LABELS):
        yield f"{place}: unknown label"
    expected = dict(expected_attributes(mention.label))
    given = dict(mention.attributes)
    if mention.label in (*DRUG_ATTRIBUTES, "LAB_VALUE"):
        head = "HAS_VALUE" if mention.label == "LAB_VALUE" else f"HAS_{mention.label}"
        linked, excuse = (mention.id, head) in tails, given.pop("Unlinked", None)
        if linked == (excuse is not None) or (excuse is not None and excuse not in UNLINKED):
            yield f"{place}: expected {head} or else Unlinked as one of {UNLINKED}"
    yield from _attribute_faults(place, expected, given)


def _attribute_faults(
    place: str, expected: Mapping[str, Sequence[str]], given: Mapping[str, object]
) -> Iterator[str]:
    for name, values in expected.items():
        if given.get(name) not in values:
            yield f"{place}: expected {name} as one of {tuple(values)}"
    extra = sorted(set(given) - set(expected))
    if extra:
        yield f"{place}: attributes {extra} do not belong there"


def _relation_faults(relation: Relation, by_id: Mapping[str, Mention]) -> Iterator[str]:
    place = f"{relation.id} {relation.label}"
    if relation.label not in ARGUMENTS:
        yield f"{place}: unknown relation"
        return
    heads, tails = ARGUMENTS[relation.label]
    found = by_id[relation.head].label, by_id[relation.tail].label
    if found[0] not in heads or found[1] not in tails:
        yield f"{place}: expected {tuple(heads)} -> {tuple(tails)}, found {found[0]} -> {found[1]}"
    yield from _attribute_faults(place, expected_attributes(relation.label), relation.attributes)


def _overlaps(mentions: Sequence[Mention]) -> Iterator[str]:
    ordered = sorted(mentions, key=lambda m: (m.start, m.end))
    for left, right in zip(ordered, ordered[1:]):
        if right.start < left.end:
            yield f"{left.id} and {right.id} overlap at {right.start}"


def _document_faults(note: AnnotatedNote, layers: NoteLayers) -> Iterator[str]:
    if layers.text_sha256 != sha256_of(note.text):
        yield "layers of another text"
    if layers.encounter not in ENCOUNTERS:
        yield f"encounter {layers.encounter!r} is not one of {ENCOUNTERS}"
    known: Dict[str, Sequence[str]] = {"chapters": CHAPTERS, "sections": SECTIONS}
    names = {"chapters": layers.chapters, "sections": [name for _, _, name in layers.sections]}
    for layer, allowed in known.items():
        strange = sorted(set(names[layer]) - set(allowed))
        if strange:
            yield f"{layer} {strange} are unknown"
    yield from _cover_faults(note, "section", [row[:2] for row in layers.sections])
    yield from _cover_faults(note, "sentence", layers.sentences)
    yield from _crossings(note, layers)
    most = max(1, int(LONGEST_SUMMARY * len(layers.sentences)))
    if not 0 < len(set(layers.summary)) <= most or not _are_indices(layers):
        yield f"summary: expected 1 to {most} of {len(layers.sentences)} sentences"


def _are_indices(layers: NoteLayers) -> bool:
    return all(0 <= i < len(layers.sentences) for i in layers.summary)


def _cover_faults(
    note: AnnotatedNote, what: str, spans: Sequence[Tuple[int, int]]
) -> Iterator[str]:
    """Spans in order, not empty, with nothing but white space before, between and after them."""
    end = 0
    for start, stop in [*spans, (len(note.text), len(note.text))]:
        if start < end or stop < start or note.text[end:start].strip():
            yield f"{what} at {start}: out of order, or text before it belongs to none"
        end = stop


def _crossings(note: AnnotatedNote, layers: NoteLayers) -> Iterator[str]:
    starts = {start for start, _ in layers.sentences}
    for mention in note.mentions:
        if any(i in starts for i in range(mention.start + 1, mention.end)):
            yield f"{mention.id} {mention.start}-{mention.end} crosses a sentence end"
