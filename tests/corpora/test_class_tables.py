import pytest

from clinbert_spacy.corpora.class_tables import (
    DISEASES,
    read_medical_abstracts,
    read_specialties,
    specialty_classes,
    specialty_table,
)
from clinbert_spacy.corpora.classes import Settings
from clinbert_spacy.corpora.documents import read_documents
from clinbert_spacy.corpora.files import CorpusError

from .toy_documents import prose, write_abstracts, write_samples

SECRET = "Jane Doe of Elm Street"


def test_abstracts_have_one_disease_group(tmp_path):
    rows = [(1, prose(1)), (5, prose(2)), (4, f"{prose(3)} Ä,\n x")]
    folder = write_abstracts(tmp_path / "a", rows)
    found = list(read_medical_abstracts(folder, Settings()))
    assert [text.classes for text in found] == [
        ("NEOPLASMS",), ("GENERAL_PATHOLOGICAL",), ("CARDIOVASCULAR",),
    ]  # fmt: skip
    assert [text.text for text in found] == [text for _, text in rows]
    assert len({text.id for text in found}) == 3 and all(t.id == t.group for t in found)
    assert list(read_medical_abstracts(folder / "medical_tc_test.csv", Settings())) == found
    (folder / "medical_tc_train.csv").write_text(f"condition_label,medical_abstract\n2,{prose(4)}")
    assert len(list(read_medical_abstracts(folder, Settings()))) == 4


def test_abstracts_of_two_groups_and_repeated_ones(tmp_path):
    rows = [(1, prose(1)), (5, prose(1)), (2, prose(2)), (2, prose(2).upper()), (3, prose(3))]
    rows += [(4, f"{prose(5)} {prose(6)}"), (4, f"{prose(5)} {prose(7, 8)}")]
    found = read_documents("medical_abstracts", write_abstracts(tmp_path / "a", rows))
    assert [text.text for text in found] == [rows[2][1], rows[4][1], rows[5][1]]


@pytest.mark.parametrize("row", [("6", SECRET), ("", SECRET), ("1", " "), (SECRET, "x")])
def test_broken_abstracts(tmp_path, row):
    folder = write_abstracts(tmp_path / "a", [(1, "fine"), row])
    with pytest.raises(CorpusError, match=r"medical_tc_test.csv:3: expected a label from 1") as e:
        list(read_medical_abstracts(folder, Settings()))
    assert SECRET not in str(e.value)


def test_abstracts_that_are_not_there(tmp_path):
    with pytest.raises(CorpusError, match="expected files medical_tc"):
        list(read_medical_abstracts(tmp_path, Settings()))
    with pytest.raises(CorpusError, match="found no file"):
        list(read_medical_abstracts(tmp_path / "none.csv", Settings()))


def test_a_transcription_has_the_specialties_of_all_its_rows(tmp_path):
    rows = [
        ("Surgery", prose(1)), (" Urology ", prose(1)), ("Nephrology", prose(1)),
        ("Cosmetic / Plastic Surgery", prose(2)), ("Dermatology", prose(2)),
        ("Discharge Summary", prose(3)), ("Sleep Medicine", prose(4)), ("Neurology", " "),
        ("Podiatry", f"{prose(5)} a"), ("Orthopedic", f"{prose(5)} b"),
    ]  # fmt: skip
    path = write_samples(tmp_path / "mtsamples.csv", rows)
    found = read_documents("mtsamples", path)
    assert [(text.id, text.classes) for text in found] == [
        ("1", ("NEPHROLOGY", "UROLOGY")),
        ("4", ("DERMATOLOGY_PLASTIC_SURGERY",)),
        ("9", ("ORTHOPEDIC", "PODIATRY")),
    ]
    assert read_documents("mtsamples", tmp_path) == found


def test_the_table_of_specialties_is_whole():
    table = specialty_table()
    assert len(table) == 40 and set(table.values()) == {*specialty_classes(), ""}
    assert list(specialty_classes()) == sorted(specialty_classes())
    for kind in ("Surgery", "Consult - History and Phy.", "SOAP / Chart / Progress Notes"):
        assert table[kind] == ""
    assert len(DISEASES) == 5


def test_broken_samples(tmp_path):
    path = write_samples(tmp_path / "mtsamples.csv", [("Urology", "x"), (SECRET, "y")])
    with pytest.raises(CorpusError, match="mtsamples.csv:3: expected a specialty that") as error:
        list(read_specialties(path, Settings()))
    assert SECRET not in str(error.value)
    path.write_text("note_id,transcription\n1,x\n")
    with pytest.raises(CorpusError, match="mtsamples.csv:1: expected a header with"):
        list(read_specialties(path, Settings()))
    with pytest.raises(CorpusError, match=r"expected files \*\.csv, found none"):
        list(read_specialties((tmp_path / "empty").mkdir() or tmp_path / "empty", Settings()))
