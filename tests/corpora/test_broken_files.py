"""A broken file: file, line, what was expected; never what it holds."""
import csv

import pytest

from clinbert_spacy.corpora.bioc import read_bioc
from clinbert_spacy.corpora.brat import read_brat
from clinbert_spacy.corpora.docbin import read_docbin
from clinbert_spacy.corpora.files import CorpusError, load_json, read_text
from clinbert_spacy.corpora.pubtator import read_pubtator
from clinbert_spacy.corpora.tables import read_ade, read_csv, read_psytar, read_spl_adr

CANARY = "canarypatient"
READERS = [
    (read_pubtator, "a.txt"), (read_bioc, "a.xml"), (read_ade, "DRUG-AE.rel"),
    (read_csv, "a.csv"), (read_spl_adr, "a.json"), (read_psytar, "a.xlsx"),
    (read_docbin, "a.spacy"),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "name"), READERS)
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff\x00binary", b"\xe9" + CANARY.encode()])
def test_missing_empty_binary_and_latin1_files(reader, name, content, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=name) as caught:
        list(reader(path))
    assert "expected" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_latin1_names_the_remedy_and_reads_with_it(tmp_path):
    (tmp_path / "a.txt").write_bytes("line\nfièvre".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"a\.txt:2: .*--encoding latin-1"):
        read_text(tmp_path / "a.txt")
    assert read_text(tmp_path / "a.txt", "latin-1") == "line\nfièvre"


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (f"no title {CANARY}", 1),
        (f"1|t|{CANARY}\n2|a|{CANARY}", 1),
        (f"1|t|{CANARY}\n1\t0\t6\tcanary", 2),
        (f"1|t|{CANARY}\n2\t0\t6\tcanary\tX\tC", 2),
        (f"1|t|{CANARY}\n1\t0\t99\tcanary\tX\tC", 2),
        (f"1|t|{CANARY}\n1\t7\t6\tcanary\tX\tC", 2),
        (f"1|t|{CANARY}\n1\t0\t6\tcanarx\tX\tC", 2),
        (f"1|t|{CANARY}\n1\t0\t6x\tcanary\tX", 2),
        (f"1|t|{CANARY}\n1\t0x\t6\tcanary\tX", 2),
        (f"1|t|{CANARY}\n1\t-1\t6\tcanary\tX\tC", 2),
        (f"1|t|{CANARY}\n1\tx\t6\tcanary\tX\tC", 2),
        (f"1|t|{CANARY}\n1\t0\t²\tcanary\tX\tC", 2),
    ],
)
def test_broken_pubtator(lines, number, tmp_path):
    (tmp_path / "a.txt").write_text(lines)
    with pytest.raises(CorpusError, match=rf"a\.txt:{number}: expected") as caught:
        list(read_pubtator(tmp_path / "a.txt"))
    assert "canar" not in str(caught.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "line",
    [
        "X1\tSign 0 6\tcanary",
        "T1 Sign 0 6 canary",
        "T1\tSign 0\tcanary",
        "T1\tSign 0 x\tcanary",
        "T1\tSign 0 99\tcanary",
        "T1\tSign 1 7\tcanary",
        "E1\tSign",
        "R1\tAT Arg1:T1",
        "R1\tAT Arg1:T8 Arg2:T9",
        "A1\tNegated",
        "N1\tReference T1",
    ],
)
def test_broken_brat(line, tmp_path):
    (tmp_path / "a.txt").write_text(CANARY)
    (tmp_path / "a.ann").write_text("#1\tNote T1\tfirst\n" + line + "\n")
    with pytest.raises(CorpusError, match=r"a\.ann:2: expected") as caught:
        list(read_brat(tmp_path / "a.ann"))
    assert "canary" not in str(caught.value).replace(str(tmp_path), "")


def test_brat_repeated_id_missing_partner_and_empty_folder(tmp_path):
    with pytest.raises(CorpusError, match="NAME.txt beside NAME.ann"):
        list(read_brat(tmp_path))
    (tmp_path / "a.txt").write_text("pain pain")
    with pytest.raises(CorpusError, match=r"a\.ann: expected the annotations"):
        list(read_brat(tmp_path / "a.txt"))
    (tmp_path / "a.ann").write_text("T1\tS 0 4\tpain\nT1\tS 5 9\tpain\n")
    with pytest.raises(CorpusError, match="a new id"):
        list(read_brat(tmp_path))


def test_brat_lenient_lists_mismatches(tmp_path):
    (tmp_path / "a.txt").write_text("pain here")
    (tmp_path / "a.ann").write_text("T1\tS 0 4\tpain\nT2\tS 0 4\there\nR1\tx Arg1:T1 Arg2:T2\n")
    (note,) = read_brat(tmp_path, strict=False)
    assert [m.id for m in note.mentions] == ["T1"]
    assert note.meta["mismatches"] == ["T2"]
    assert note.relations == ()


def test_broken_xml_opens_no_entity(tmp_path):
    (tmp_path / "secret").write_text(CANARY)
    (tmp_path / "a.xml").write_text(
        f'<!DOCTYPE c [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]><collection><document>'
        "<id>1</id><passage><offset>0</offset><text>&x;</text></passage></document></collection>"
    )
    assert all(CANARY not in note.text for note in read_bioc(tmp_path / "a.xml"))
    (tmp_path / "b.xml").write_text(f"<collection>\n<document>{CANARY}\n</collection>")
    with pytest.raises(CorpusError, match=r"b\.xml:3: expected well-formed XML"):
        list(read_bioc(tmp_path / "b.xml"))


def test_broken_json_and_ade_rows(tmp_path):
    (tmp_path / "a.json").write_text(f'[\n{{"{CANARY}": }}]')
    with pytest.raises(CorpusError, match=r"a\.json:2: expected JSON") as caught:
        load_json(tmp_path / "a.json")
    assert CANARY not in str(caught.value)
    (tmp_path / "DRUG-AE.rel").write_text(f"1|{CANARY}|x|0|1|y|2|3\n")
    with pytest.raises(CorpusError, match=r"DRUG-AE\.rel:1: expected a drug"):
        list(read_ade(tmp_path))
    (tmp_path / "DRUG-AE.rel").write_text("1|a|b\n")
    with pytest.raises(CorpusError, match="8 columns"):
        list(read_ade(tmp_path))


def test_csv_mentions(tmp_path):
    (tmp_path / "a.tsv").write_text(
        "id\ttext\tstart\tend\tlabel\tconcept\n1\tmild pain\t5\t9\tSIGN\tC1\n1\t\t0\t4\tGRADE\t\n"
        "2\tnothing\t\t\t\t\n"
    )
    first, second = read_csv(tmp_path / "a.tsv")
    assert [(m.label, m.start, m.end) for m in first.mentions] == [("SIGN", 5, 9), ("GRADE", 0, 4)]
    assert second.mentions == ()
    (tmp_path / "b.csv").write_text("id,text\n1,x\n")
    with pytest.raises(CorpusError, match=r"b\.csv:1: expected a header"):
        list(read_csv(tmp_path / "b.csv"))


def test_pubtator_relations_between_concepts_that_are_numbers(tmp_path):
    (tmp_path / "a.txt").write_text("1|t|x y\n1\tAssociation\t1234\t5678\tNovel\n")
    (note,) = read_pubtator(tmp_path / "a.txt")
    assert [(r.head, r.tail, r.attributes) for r in note.relations] == [
        ("1234", "5678", {"novel": "Novel"})
    ]


def test_csv_holds_long_notes_and_every_line_end(tmp_path):
    text = "one\u2028two\x0bthree\x85four\nfive\r\n" + "x" * 150_000 + " pain"
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "start", "end", "label"])
        writer.writerow(["1", text, len(text) - 4, len(text), "SIGN"])
    (note,) = read_csv(tmp_path / "a.csv")
    assert note.text == text and note.mentions[0].end == len(text)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"1,{CANARY},0,6", "5 cells as in the header, found 4"),
        (f"1,{CANARY},0,6,X,Y", "5 cells as in the header, found 6"),
        (f'1,"{CANARY},0,6,X', "with its quotes closed"),
        (f'1,"{CANARY}"x,0,6,X', "with its quotes closed"),
        (f"1,{CANARY},0,²,X", "whole numbers"),
    ],
)
def test_broken_csv_rows(row, expected, tmp_path):
    (tmp_path / "a.csv").write_text(f'id,text,start,end,label\n0,"a\nb",,,\n{row}\n')
    with pytest.raises(CorpusError, match=r"a\.csv:4: expected") as caught:
        list(read_csv(tmp_path / "a.csv"))
    assert expected in str(caught.value) and CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("header", ['"id', "id,text,start,end,label,id"])
def test_broken_csv_header(header, tmp_path):
    (tmp_path / "a.csv").write_text(header)
    with pytest.raises(CorpusError, match=r"a\.csv:1: expected"):
        list(read_csv(tmp_path / "a.csv"))


def test_brat_annotations_without_a_text(tmp_path):
    (tmp_path / "a.txt").write_text("pain")
    (tmp_path / "a.ann").write_text("")
    (tmp_path / "b.ann").write_text("T1\tS 0 4\tpain\n")
    with pytest.raises(CorpusError, match=r"b\.ann: expected b\.txt beside it"):
        list(read_brat(tmp_path))
    assert [note.id for note in read_brat(tmp_path, strict=False)] == ["a"]


def test_brat_reads_an_empty_note(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "a.ann").write_text("")
    (note,) = read_brat(tmp_path)
    assert (note.text, note.mentions) == ("", ())
    (tmp_path / "a.ann").write_text("T1\tS 0 4\tpain\n")
    with pytest.raises(CorpusError, match="offsets of the text shown"):
        list(read_brat(tmp_path))
