"""One small note with every layer, and a way to alter it."""

from dataclasses import replace

from clinbert_spacy.corpora.files import sha256_of
from clinbert_spacy.corpora.layers import NoteLayers
from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation

TEXT = "Plan\nStopped naproxen 500 mg because of\nhives. No cough. INR 3.1"
AXES = {"Presence": "present", "Experiencer": "patient", "Time": "current"}
PIECES = {
    "T1": ("DRUG", "naproxen", {"Status": "stopped"}),
    "T2": ("STRENGTH", "500 mg", {}),
    "T3": ("SYMPTOM", "hives", AXES),
    "T4": ("SYMPTOM", "cough", {**AXES, "Presence": "absent"}),
    "T5": ("TEST", "INR", {}),
    "T6": ("LAB_VALUE", "3.1", {}),
}
LINKS = {"Causality": "stated", "Kind": "reaction"}
RELATIONS = (
    Relation("R1", "HAS_STRENGTH", "T1", "T2"),
    Relation("R2", "ADVERSE_EFFECT", "T1", "T3", LINKS),
    Relation("R3", "HAS_VALUE", "T5", "T6"),
)


def toy_note(name="n1", **layers):
    """The note, its layers changed where asked."""
    mentions = tuple(
        Mention(key, label, ((TEXT.index(word), TEXT.index(word) + len(word)),), (), attributes)
        for key, (label, word, attributes) in PIECES.items()
    )
    fields = {
        "kind": "clinic",
        "specialty": "allergy",
        "encounter": "visit",
        "chapters": ("XII",),
        "sections": ((0, len(TEXT), "plan"),),
        "sentences": ((0, 4), (5, 46), (47, 56), (57, 64)),
        "summary": (1,),
        **layers,
    }
    meta = {"layers": NoteLayers(name, sha256_of(TEXT), **fields)}
    return AnnotatedNote(name, TEXT, mentions, RELATIONS, meta=meta)


def with_attributes(note, name, **attributes):
    """A copy with other attributes on one mention or relation; None takes one away."""

    def change(item):
        if item.id != name:
            return item
        changed = {**item.attributes, **attributes}
        return replace(item, attributes={k: v for k, v in changed.items() if v is not None})

    return replace(
        note,
        mentions=tuple(map(change, note.mentions)),
        relations=tuple(map(change, note.relations)),
    )


def without(note, name):
    """A copy without one relation."""
    return replace(note, relations=tuple(r for r in note.relations if r.id != name))
