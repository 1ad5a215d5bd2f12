from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from clinbert_spacy.corpora.bioc import read_bioc, write_bioc
from clinbert_spacy.corpora.brat import read_brat, write_brat
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.pubtator import read_pubtator, write_pubtator
from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation

from .strategies import ALL, LINES, PLAIN, notes

SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(read, written):
    assert (read.id, read.text) == (written.id, written.text)
    assert read.mentions == written.mentions
    assert read.relations == written.relations


@SLOW
@given(note=notes(PLAIN, pieces=1, attributes=False, relations="concept"))
def test_pubtator_round_trip(note, tmp_path):
    write_pubtator([note], tmp_path / "a.txt")
    (read,) = read_pubtator(tmp_path / "a.txt")
    same(read, note)


@SLOW
@given(note=notes(LINES))
def test_brat_round_trip(note, tmp_path):
    folder = tmp_path / "brat"
    write_brat([note], folder)
    (read,) = read_brat(folder / f"{note.id}.ann")
    same(read, note)


@SLOW
@given(note=notes(ALL))
def test_bioc_round_trip(note, tmp_path):
    write_bioc([note], tmp_path / "a.xml")
    (read,) = read_bioc(tmp_path / "a.xml")
    same(read, note)
    assert read.group == note.group


@SLOW
@given(note=notes(ALL, relations="concept", attributes=False))
def test_bioc_holds_concept_relations(note, tmp_path):
    write_bioc([note], tmp_path / "a.xml")
    (read,) = read_bioc(tmp_path / "a.xml")
    same(read, note)
    assert read.meta.get("relations") == note.meta.get("relations")


def test_pubtator_keeps_title_abstract_composites_and_novelty(tmp_path):
    note = AnnotatedNote(
        "77",
        "Zolax harms.\nLiver and renal failure.",
        (
            Mention("T1", "Chemical", ((0, 5),), ("C1",)),
            Mention("T2", "Disease", ((13, 36),), ("D1", "D2"), {"names": "liver x|renal x"}),
        ),
        (Relation("R1", "CID", "C1", "D2", {"novel": "Novel"}),),
        meta={"relations": "concept"},
    )
    write_pubtator([note, replace(note, id="78", group="78")], tmp_path / "a.txt")
    first, second = read_pubtator(tmp_path / "a.txt")
    same(first, note)
    assert second.group == "78"


@pytest.mark.parametrize(
    "change",
    [
        {"text": "a\nb\nc d e f"},
        {"text": "a\rb c d e f"},
        {"id": "a|b"},
        {"mentions": (Mention("T1", "X", ((0, 1), (4, 5))),)},
        {"mentions": (Mention("T1", "X", ((0, 1),), (), {"negated": True}),)},
        {
            "mentions": (Mention("T1", "X", ((0, 1),)),),
            "relations": (Relation("R1", "r", "T1", "T1"),),
        },
        {"mentions": (Mention("T1", "X", ((0, 1),), ("-1",)),)},
        {"mentions": (Mention("T1", "X", ((0, 1),), ("a|b",)),)},
        {"relations": (Relation("R1", "7", "8", "9"),), "meta": {"relations": "concept"}},
        {"relations": (Relation("R1", "-7x", "8", "9"),), "meta": {"relations": "concept"}},
        {"relations": (Relation("R1", "r", "8", "9\n"),), "meta": {"relations": "concept"}},
    ],
)
def test_pubtator_refuses_what_it_cannot_hold(change, tmp_path):
    note = replace(AnnotatedNote("1", "canarytext is here"), **change)
    with pytest.raises(CorpusError, match="PubTator holds") as caught:
        write_pubtator([note], tmp_path / "a.txt")
    assert "canary" not in str(caught.value)
    assert not (tmp_path / "a.txt").exists()


def test_bioc_refuses_control_characters(tmp_path):
    with pytest.raises(CorpusError, match="control character at 1"):
        write_bioc([AnnotatedNote("1", "a\x0bb")], tmp_path / "a.xml")


def test_brat_reads_events_equivalences_notes_and_normalisations(tmp_path):
    (tmp_path / "a.txt").write_text("mild pain in left arm\n")
    (tmp_path / "a.ann").write_text(
        "T1\tSeverity 0 4\tmild\nT2\tSign 5 9\tpain\nT3\tSite 13 21\tleft arm\n"
        "E1\tSign:T2 Grade:T1\nR1\tAT Arg1:E1 Arg2:T3\t\nA1\tNegated E1\nM2\tTime E1 past\n"
        "*\tOR T1 T2\n#1\tAnnotatorNotes E1\tsee there\nN1\tReference T2 X:12\tPain\n"
    )
    (note,) = read_brat(tmp_path)
    assert [(r.label, r.head, r.tail) for r in note.relations] == [
        ("Grade", "T2", "T1"),
        ("AT", "T2", "T3"),
    ]
    assert note.mentions[1].attributes == {"Negated": True, "Time": "past"}
    assert note.mentions[1].concepts == ("X:12",)
    assert note.meta["equivalences"] == [["OR", "T1", "T2"]]
    assert note.meta["notes"] == [["AnnotatorNotes", "E1", "see there"]]


@pytest.mark.parametrize("counted", ["\r\n", "\n"])
def test_brat_crlf_files_whichever_way_they_were_counted(counted, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo pains\r\n")
    start = len("one" + counted + "two ")
    (tmp_path / "a.ann").write_bytes(f"T1\tSign {start} {start + 5}\tpains\r\n".encode())
    (note,) = read_brat(tmp_path)
    assert note.text[note.mentions[0].start : note.mentions[0].end] == "pains"


def test_brat_byte_order_mark_is_not_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone pain".encode())
    (tmp_path / "a.ann").write_text("T1\tSign 4 8\tpain\n")
    (note,) = read_brat(tmp_path)
    assert note.text == "one pain"


def test_pubtator_crlf_and_byte_order_mark(tmp_path):
    text = "\ufeff9|t|One pain.\r\n9|a|Two.\r\n9\t4\t8\tpain\tDisease\tD1\r\n\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (note,) = read_pubtator(tmp_path / "a.txt")
    assert note.text == "One pain.\nTwo."
    assert note.mentions[0].concepts == ("D1",)


def test_bioc_passages_stand_at_their_offsets(tmp_path):
    (tmp_path / "a.xml").write_text(
        "<collection><document><id>5</id><passage><offset>0</offset><text>Title.</text></passage>"
        "<passage><offset>8</offset><text>Pain.</text><annotation id='0'><infon key='type'>D"
        "</infon><infon key='MESH'>D1|D2</infon><location offset='8' length='4'/><text>Pain</text>"
        "</annotation></passage><relation id='R0'><infon key='relation'>CID</infon>"
        "<infon key='Chemical'>C1</infon><infon key='Disease'>D1</infon></relation></document>"
        "</collection>"
    )
    (note,) = read_bioc(tmp_path / "a.xml")
    assert note.text == "Title.\n\nPain."
    assert note.mentions[0].concepts == ("D1", "D2")
    assert (note.relations[0].head, note.relations[0].tail) == ("C1", "D1")
