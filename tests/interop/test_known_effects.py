import pytest
import spacy
from spacy.tokens import Span, SpanGroup

from clinbert_spacy.interop.known_effects import (
    Entry,
    KnownEffects,
    mark_pairs,
    normalise,
    not_mentioned_rows,
    read_known_effects,
)

TEXT = "Rashes after Coumadin. No bleeding gums. INR was 9."
NOTE = "Zebulon Quaxley, seen on Monday"


def write_group(doc, pairs, types, concepts=()):
    """Fill the groups as components do: `pairs` are numbers of `types` (start, end, label)."""
    rows = [
        {"head": head, "tail": tail, "label": label, "score": 0.9, "causality": "stated",
         "kind": "reaction", "evidence": [], "cue": []}
        for head, tail, label in pairs
    ]  # fmt: skip
    spans = [Span(doc, start, end, label) for start, end, label in types]
    attrs = {"types": [x[2] for x in types], "relations": rows, "status": "found"}
    doc.spans["clinbert_relations"] = SpanGroup(doc, attrs=attrs, spans=spans)
    found = [[{"id": x, "name": "", "score": 1.0}] if x else [] for x in concepts]
    doc.spans["clinbert_concepts"] = SpanGroup(
        doc, attrs={"concepts": found}, spans=spans[: len(found)]
    )
    return doc


@pytest.fixture
def make_doc():
    """Rashes (0) after Coumadin (1) ... INR (2) was 9 (3), with concepts of the first two."""
    types = [(0, 1, "SYMPTOM"), (2, 3, "DRUG"), (8, 9, "TEST"), (10, 11, "LAB_VALUE")]
    pairs = [(1, 0, "ADVERSE_EFFECT"), (1, 2, "ADVERSE_EFFECT"), (2, 3, "HAS_VALUE")]
    return lambda *concepts: write_group(spacy.blank("en")(TEXT), pairs, types, concepts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rash", "rashes"), ("headache", " Headaches"), ("allergy", "ALLERGIES"),
        ("QT  prolongation", "QT-prolongation"), ("abscess", "abscesses"), ("virus", "viruses"),
        ("diagnosis", "diagnoses"), ("hive", "hives"), ("fi\ufb01", "fifi"), ("+", " + "),
    ],
)  # fmt: skip
def test_names_that_are_the_same(one, other):
    assert normalise(one) == normalise(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("rash", "rush"), ("ma", "mas"), ("nausea", "nauseous"), ("a b", "ab")]
)
def test_names_that_are_not(one, other):
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize(
    ("entries", "concepts", "marks"),
    [
        ([("coumadin", "rash"), ("COUMADIN", "inr 9")], (), ["known", "known"]),
        ([("Coumadin", "INR")], (), ["unexpected", "known"]),
        ([("aspirin", "rash")], (), ["drug_not_listed"] * 2),
        # the table's own ids join its names for one thing
        ([("warfarin", "rash", "D1"), ("coumadin", "nausea", "D1")], (), ["known", "unexpected"]),
        ([("warfarin", "exanthema", "D1", "E1")], ("E1", "D1"), ["known", "unexpected"]),
        ([("warfarin", "exanthema", "D1", "E1")], (), ["drug_not_listed"] * 2),
        ([("warfarin", "exanthema", "D1", "")], ("E1", "D1"), ["unexpected"] * 2),
        # known of another drug is not known of this one
        ([("aspirin", "rash"), ("coumadin", "nausea")], (), ["unexpected"] * 2),
    ],
)
def test_marks(make_doc, entries, concepts, marks):
    known = KnownEffects([Entry(*entry) for entry in entries])
    assert mark_pairs(known, make_doc(*concepts)) == marks


def test_effects_that_the_note_does_not_mention(make_doc):
    entries = [
        Entry("Coumadin", "rash"),
        Entry("Coumadin", "Bleeding gum"),  # no entity, but in the text
        Entry("Coumadin", "Skin necrosis"),
        Entry("coumadin", "skin necrosis"),
        Entry("aspirin", "Tinnitus"),
    ]
    rows = not_mentioned_rows("n\ud800", KnownEffects(entries), make_doc())
    assert rows == [{"note_id": "n?", "drug": "Coumadin", "effect": "Skin necrosis"}]
    assert not not_mentioned_rows("n", KnownEffects(entries), spacy.blank("en")("Coumadin"))


def test_a_synonym_counts_as_mentioned(make_doc):
    entries = [Entry("Coumadin", "Exanthema", "", "E1"), Entry("aspirin", "Rash", "", "E1")]
    assert not not_mentioned_rows("n", KnownEffects(entries), make_doc())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.csv", "\ufeffDrug, effect\nwarfarin,  skin\u00a0 necrosis \n\n"),
        ("k.tsv", "effect\tdrug\r\nskin necrosis\twarfarin\r\n"),
        ("k.CSV", "drug,effect,drug_id,effect_id\nwarfarin,skin necrosis,,\n"),
    ],
)
def test_reading(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    assert read_known_effects(tmp_path / name).entries == [Entry("warfarin", "skin necrosis")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("k.txt", b"", "in a .csv or .tsv file"),
        ("k.csv", None, "no such file"),
        ("k.csv", b"", "is empty; expected the columns drug, effect"),
        ("k.csv", b"drug,effect\n", "no line below its columns"),
        ("k.csv", b"drug;effect\nx;y\n", "has 1 columns, 'drug;effect'; expected .* with commas"),
        ("k.tsv", b"drug,effect\nx,y\n", "has 1 columns, .* with tabs"),
        ("k.csv", b"drug,reaction\nx,y\n", "2 columns, 'drug', 'reaction'; expected the columns"),
        ("k.csv", b"drug,effect,drug\nx,y,x\n", "each once"),
        ("k.csv", b"drug,effect,source\nx,y,x\n", "'source'.* remove the others"),
        ("k.csv", b"drug,effect\nx,y\nx,\n", "line 3: no effect"),
        ("k.csv", b"drug,effect\nx,y,z\n", "line 2: 3 cells; expected 2"),
        ("k.csv", b"drug,effect\nx,\xe9\n", "not UTF-8 at byte 14"),
        ("k.csv", b'drug,effect\nx,"y\n', "broken table"),
        ("k.csv", f'"{NOTE}"\n'.encode(), r"\(no name\)"),
    ],
)
def test_what_is_no_such_table(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_known_effects(tmp_path / name)
    assert name in str(caught.value) and NOTE not in str(caught.value)
