"""What each corpus says of relations."""

from dataclasses import replace

import spacy

from clinbert_spacy.corpora.harmonise import to_product
from clinbert_spacy.corpora.links import RULES, link_attrs, name_drug, related
from clinbert_spacy.corpora.readers import create_corpus
from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation, with_meta
from clinbert_spacy.corpora.segment import split_note
from clinbert_spacy.pipeline.candidates import RELATIONS
from tests.toy_relations import REVIEW, TEXT, TWICE, concept_note, make_note

NLP = spacy.blank("en")


def links(note):
    """Words of head and tail, label, causality and kind of each link."""
    return [
        (note.text[a:b], note.text[c:d], *rest) for a, b, c, d, *rest in link_attrs(note)["links"]
    ]


# The rules of each corpus


def test_our_own_notes_are_taken_as_written():
    said = {"Causality": "possible", "Kind": "withdrawal"}
    note = make_note(
        "notes", "on ramipril 5 mg, cough", [
            ("T1", "DRUG", "ramipril"), ("T2", "SYMPTOM", "cough"), ("T3", "STRENGTH", "5 mg"),
        ], [("ADVERSE_EFFECT", "T1", "T2", said), ("HAS_STRENGTH", "T1", "T3")],
    )  # fmt: skip
    assert links(note) == [
        ("ramipril", "cough", "ADVERSE_EFFECT", "possible", "withdrawal"),
        ("ramipril", "5 mg", "HAS_STRENGTH", "", ""),
    ]
    attrs = link_attrs(note)
    assert set(attrs["links_covered"]) == set(RELATIONS) and attrs["links_closed"] is True
    assert all(type(x) in (int, str) for row in attrs["links"] for x in row)


def test_snippets_with_pairs_mark_effects_and_treatments():
    note = make_note(
        "pairs", "ramipril, cough", [("T1", "DRUG", "ramipril"), ("T2", "SYMPTOM", "cough")],
        [("ADVERSE_EFFECT", "T1", "T2", {"Causality": "denied", "Kind": "reaction"})],
    )  # fmt: skip
    assert links(note) == [("ramipril", "cough", "ADVERSE_EFFECT", "denied", "reaction")]
    assert link_attrs(note)["links_covered"] == ["ADVERSE_EFFECT", "TREATS"]


def test_ade_doses_follow_their_pieces():
    note = make_note(
        "ade", "Zolax 60 mg twice daily gave rash, and Plexa 5 mg none.", [
            ("T1", "Drug", "Zolax"), ("T2", "Adverse-Effect", "rash"),
            ("T3", "Dose", "60 mg twice daily"), ("T4", "Drug", "Plexa"), ("T5", "Dose", "5 mg"),
        ], [("ADVERSE_EFFECT", "T1", "T2"), ("HAS_DOSAGE", "T1", "T3"),
            ("HAS_DOSAGE", "T4", "T5")],
    )  # fmt: skip
    assert links(to_product(note)) == [
        ("Zolax", "rash", "ADVERSE_EFFECT", "stated", ""),
        ("Zolax", "60 mg", "HAS_STRENGTH", "", ""),
        ("Zolax", "twice daily", "HAS_FREQUENCY", "", ""),
        ("Plexa", "5 mg", "HAS_STRENGTH", "", ""),
    ]
    assert link_attrs(note)["links_covered"] == ["ADVERSE_EFFECT"]


def test_ade_doses_that_nobody_can_cut():
    note = make_note(
        "ade", "Zolax in a toxic amount", [("T1", "Drug", "Zolax"), ("T2", "Dose", "toxic amount")],
        [("HAS_DOSAGE", "T1", "T2")],
    )  # fmt: skip
    assert links(to_product(note)) == []


def test_bc5cdr_pairs_in_one_sentence():
    text = "Zolax gave severe and lasting pain. Zolax and an ulcer."
    assert links(concept_note(text, TWICE)) == [
        ("Zolax", "pain", "ADVERSE_EFFECT", "", ""), ("Zolax", "pain", "", "", ""),
    ]  # fmt: skip
    # the other mention is nearer, in the next sentence
    rows = link_attrs(concept_note(text, TWICE))["links"]
    second = text.index("Zolax", 1)
    assert abs(rows[1][0] - rows[1][2]) < abs(rows[0][0] - rows[0][2])
    assert [(row[0], row[4]) for row in rows] == [(0, "ADVERSE_EFFECT"), (second, "")]


def test_bc5cdr_or_else_the_nearest_pair():
    text = "Zolax was given. Then came pain. Much later, and again, Zolax was given; an ulcer."
    rows = link_attrs(concept_note(text, TWICE))["links"]
    second = text.index("Zolax", 1)
    assert [(row[0], row[4]) for row in rows] == [(0, "ADVERSE_EFFECT"), (second, "")]


def test_bc5cdr_says_nothing_of_concepts_without_mentions():
    text = "Zolax gave pain. Zolax and an ulcer."
    note = concept_note(text, TWICE, [("C1", "D9"), ("C9", "D1")])
    assert links(note) == []
    attrs = link_attrs(note)
    assert (attrs["links_covered"], attrs["links_closed"]) == (["ADVERSE_EFFECT"], True)
    # each concept that a mention has
    both = [("T1", "Chemical", "Zolax", "C1", "C2"), ("T2", "Disease", "pain", "D1")]
    found = links(concept_note(text, both, [("C2", "D1")]))
    assert found == [("Zolax", "pain", "ADVERSE_EFFECT", "", "")]


def test_maccrobat_modifiers():
    text = "aspirin 100 mg orally daily for severe pain; hemoglobin 9 g/dl"
    note = make_note(
        "maccrobat", text, [
            ("T1", "Medication", "aspirin"), ("T2", "Dosage", "100 mg"),
            ("T3", "Administration", "orally"), ("T4", "Frequency", "daily"),
            ("T5", "Severity", "severe"), ("T6", "Sign_symptom", "pain"),
            ("T7", "Diagnostic_procedure", "hemoglobin"), ("T8", "Lab_value", "9 g/dl"),
            ("T9", "Duration", "for severe"),
        ],
        [("MODIFY", "T2", "T1"), ("MODIFY", "T3", "T1"), ("MODIFY", "T4", "T1"),
         ("MODIFY", "T5", "T6"), ("MODIFY", "T8", "T7"), ("CAUSE", "T1", "T6"),
         ("MODIFY", "T5", "T1"), ("MODIFY", "T8", "T6")],
    )  # fmt: skip
    assert links(to_product(note)) == [
        ("aspirin", "100 mg", "HAS_STRENGTH", "", ""),
        ("aspirin", "orally", "HAS_ROUTE", "", ""),
        ("aspirin", "daily", "HAS_FREQUENCY", "", ""),
        ("hemoglobin", "9 g/dl", "HAS_VALUE", "", ""),
    ]
    covered = link_attrs(note)["links_covered"]
    assert set(covered) == set(RELATIONS) - {"ADVERSE_EFFECT", "TREATS"}


def test_lct_triggers_stand_for_their_names():
    text = "neutropenia or anemia caused by cisplatin; insulin or metformin for diabetes"
    note = make_note(
        "lct", text, [
            ("T1", "Condition", "neutropenia or anemia"), ("T2", "Condition-Name", "neutropenia"),
            ("T3", "Condition-Name", "anemia"), ("T4", "Drug", "cisplatin"),
            ("T5", "Drug-Name", "cisplatin"), ("T6", "Drug", "insulin or metformin"),
            ("T7", "Drug-Name", "insulin"), ("T8", "Drug-Name", "metformin"),
            ("T9", "Condition", "diabetes"), ("T10", "Condition-Name", "diabetes"),
            ("T11", "Procedure", "for"), ("T12", "Procedure-Name", "for"),
        ],
        [("Name", "T1", "T2"), ("Name", "T1", "T3"), ("Name", "T4", "T5"), ("Name", "T6", "T7"),
         ("Name", "T6", "T8"), ("Name", "T9", "T10"), ("Name", "T11", "T12"),
         ("Caused-By", "T1", "T4"), ("Treatment-For", "T6", "T9"),
         ("Treatment-For", "T11", "T9"), ("Caused-By", "T1", "T11"), ("Or", "T2", "T3")],
    )  # fmt: skip
    assert links(note) == [
        ("cisplatin", "neutropenia", "ADVERSE_EFFECT", "", ""),
        ("cisplatin", "anemia", "ADVERSE_EFFECT", "", ""),
        ("insulin", "diabetes", "TREATS", "", ""),
        ("metformin", "diabetes", "TREATS", "", ""),
    ]


# The drug that a text is about

def test_psytar_says_all_of_the_named_drug():
    note = name_drug(make_note("psytar", TEXT, REVIEW, drug="ZOLOFT"))
    assert note.text == f"Zoloft: {TEXT}"
    assert links(note) == [
        ("Zoloft", "sick", "ADVERSE_EFFECT", "stated", "reaction"),
        ("Zoloft", "zaps", "ADVERSE_EFFECT", "stated", "withdrawal"),
        ("Zoloft", "sadness", "TREATS", "", ""),
    ]
    attrs = link_attrs(note)
    assert (attrs["links_covered"], attrs["links_closed"]) == (["ADVERSE_EFFECT"], False)


def test_labels_say_all_of_the_named_drug():
    note = make_note("spl_adr", "Nausea was seen.", [("T1", "AdverseReaction", "Nausea")],
                     drug="adcetris")  # fmt: skip
    assert links(name_drug(note)) == [
        ("Adcetris", "Nausea", "ADVERSE_EFFECT", "stated", "reaction")
    ]
    assert links(note) == []  # nobody named a drug
    assert link_attrs(name_drug(note))["links_closed"] is False


def test_a_drug_is_named_once_and_words_stay_where_they_are():
    note = make_note("psytar", TEXT, REVIEW, drug="zoloft")
    two = replace(note.mentions[0], spans=((3, 7), (11, 15)))
    named = name_drug(replace(note, mentions=(two, *note.mentions[1:])))
    assert name_drug(named) is named
    shown = [[named.text[a:b] for a, b in m.spans] for m in named.mentions]
    assert shown == [["Zoloft"], ["made", "sick"], ["zaps"], ["sadness"], ["tired"]]
    for meta in ({}, {"drug": ""}, {"drug": "  "}):
        nameless = make_note("psytar", TEXT, REVIEW, **meta)
        assert name_drug(nameless) is nameless


def test_reader_names_the_drug(tmp_path):
    """Through `clinbert.Corpus.v1`: the text, and the gold of an Example."""
    path = tmp_path / "spl.json"
    path.write_text(
        '[{"label_id": "adcetris", "section_name": "adverse reactions", "section_text": '
        '"Nausea was seen.", "adverse_events": [["Nausea", 0, 0, 0, 0, "0", "6"]]}]'
    )
    source = {"spl_adr": {"path": str(path), "name_drug": True}}
    (example,) = create_corpus(source)(NLP)
    assert example.predicted.text == "Adcetris: Nausea was seen."
    attrs = example.reference.spans["clinbert_ents"].attrs
    assert attrs["links"] == [[0, 8, 10, 16, "ADVERSE_EFFECT", "stated", "reaction"]]
    assert [entity.label_ for entity in example.reference.ents] == ["DRUG", "DISEASE"]
    (bare,) = create_corpus({"spl_adr": {"path": str(path)}})(NLP)
    assert bare.reference.spans["clinbert_ents"].attrs["links"] == []


def test_corpora_without_relations_say_nothing():
    note = make_note("ncbi", "pain", [("T1", "SpecificDisease", "pain")])
    assert link_attrs(note) == {} == link_attrs(replace(note, meta={}))
    covered = {name for rules in RULES.values() for name in rules.covered}
    assert covered == set(RELATIONS)


def test_links_follow_the_pieces_of_a_note():
    text = "Zolax gave pain. Plexa gave rash."
    note = make_note(
        "notes", text, [
            ("T1", "DRUG", "Zolax"), ("T2", "SYMPTOM", "pain"), ("T3", "DRUG", "Plexa"),
            ("T4", "SYMPTOM", "rash"),
        ], [("ADVERSE_EFFECT", "T1", "T2"), ("ADVERSE_EFFECT", "T3", "T4"),
            ("TREATS", "T3", "T2")],
    )  # fmt: skip
    first, last = split_note(note, NLP.make_doc, 4)
    assert [row[:2] for row in links(first)] == [("Zolax", "pain")]
    assert [row[:2] for row in links(last)] == [("Plexa", "rash")]


def test_a_note_in_which_nobody_marked_relations_says_nothing():
    note = AnnotatedNote("1", "aspirin rash", (Mention("T1", "DRUG", ((0, 7),)),
                                               Mention("T2", "SYMPTOM", ((8, 12),))))  # fmt: skip
    link = Relation("R1", "ADVERSE_EFFECT", "T1", "T2")
    for relations, covered in (((), False), ((link,), True)):
        whole = replace(note, relations=relations)
        marked = with_meta(whole, corpus="notes", **related("notes", whole))
        assert bool(link_attrs(marked)) == covered
        # a piece of a note that has some elsewhere has none, and that is known
        assert bool(link_attrs(replace(marked, relations=()))) == covered
    assert related("pairs", note) == {}
