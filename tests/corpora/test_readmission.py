import pytest

from clinbert_spacy.corpora.classes import Settings
from clinbert_spacy.corpora.documents import read_documents, take_documents
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.readmission import read_readmission, read_stays

from .toy_documents import write_mimic

SECRET = "Jane Doe of Elm Street"
SUMMARY, NURSING = "Discharge summary", "Nursing"


def stay(patient, name, begin, end, kind="EMERGENCY", death=""):
    return (patient, name, f"{begin} 14:30:00", f"{end} 10:00:00", death, kind)


def labels(path, task="discharge", **settings):
    found = read_readmission(path, Settings(task, **settings))
    return {text.id: text.classes[0] == "READMITTED" for text in found}


def mimic(folder, stays, **settings):
    """A summary for each stay."""
    notes = [(s[0], s[1], s[3][:10], SUMMARY, "", f"text {s[1]}") for s in stays]
    return write_mimic(folder, stays, notes, **settings)


def test_unplanned_admission_within_thirty_days(tmp_path):
    stays = [
        # out of order; 29 days later, and then nothing
        stay("1", "12", "2101-03-01", "2101-03-03"), stay("1", "11", "2101-01-20", "2101-01-31"),
        # 31 days later
        stay("2", "21", "2101-01-01", "2101-01-31"), stay("2", "22", "2101-03-03", "2101-03-04"),
        # the next one was planned, an unplanned one follows in time
        stay("3", "31", "2101-01-01", "2101-01-10"),
        stay("3", "32", "2101-01-15", "2101-01-16", "ELECTIVE"),
        stay("3", "33", "2101-02-01", "2101-02-02", "URGENT"),
        # planned alone
        stay("4", "41", "2101-01-01", "2101-01-10"),
        stay("4", "42", "2101-01-15", "2101-01-16", "ELECTIVE"),
        # another patient's next admission is nobody's readmission
        stay("5", "51", "2101-01-01", "2101-01-10"), stay("6", "61", "2101-01-12", "2101-01-13"),
    ]  # fmt: skip
    assert labels(mimic(tmp_path / "m", stays)) == {
        "11": True, "12": False, "21": False, "22": False, "31": True, "32": True, "33": False,
        "41": False, "42": False, "51": False, "61": False,
    }  # fmt: skip


def test_newborns_and_deaths_are_not_judged_but_follow_others(tmp_path):
    stays = [
        stay("1", "11", "2101-01-01", "2101-01-02", "NEWBORN"),
        stay("1", "12", "2101-01-10", "2101-01-12"),
        stay("1", "13", "2101-01-20", "2101-01-25", death="2101-01-25 01:00:00"),
    ]
    assert labels(mimic(tmp_path / "m", stays)) == {"12": True}


def test_discharge_summaries_and_early_notes(tmp_path):
    notes = [
        ("1", "11", "2101-01-09", SUMMARY, "", "addendum"),
        ("1", "11", "2101-01-08", SUMMARY, "", "first"),
        ("1", "11", "2101-01-03", NURSING, "", "day 3"),
        ("1", "11", "2101-01-01", "ECG", "", "day 1"),
        ("1", "11", "2101-01-04", NURSING, "", "day 4"),
        ("1", "11", "2101-01-01", NURSING, "1", "error"),
        ("1", "11", "2101-01-01", NURSING, "", " "),
        ("1", "11", "2101-01-02", SUMMARY, "", "early summary"),
        ("1", "", "2101-01-01", "ECG", "", "of no stay"),
        ("9", "99", "2101-01-01", SUMMARY, "", "of an unknown stay"),
    ]
    folder = write_mimic(tmp_path / "m", [stay("1", "11", "2101-01-01", "2101-01-09")], notes)
    (text,) = read_readmission(folder, Settings("discharge"))
    assert (text.id, text.group, text.text) == ("11", "1", "addendum")
    (text,) = read_readmission(folder, Settings("early"))
    assert text.text == "day 1\n\nday 3"


def test_of_two_summaries_of_a_day_the_later_row_counts(tmp_path):
    notes = [("1", "11", "2101-01-08", SUMMARY, "", name) for name in ("one", "two")]
    folder = write_mimic(tmp_path / "m", [stay("1", "11", "2101-01-01", "2101-01-09")], notes)
    assert [text.text for text in read_readmission(folder, Settings("discharge"))] == ["two"]


def test_compressed_files(tmp_path):
    dates = {"11": ("2101-01-01", "2101-01-09"), "12": ("2101-01-10", "2101-01-11")}
    stays = [stay("1", name, *ends) for name, ends in dates.items()]
    expected = {"11": True, "12": False}
    assert labels(mimic(tmp_path / "a", stays)) == expected
    assert labels(mimic(tmp_path / "b", stays, compress=True)) == expected


def test_a_patient_is_in_one_part_whatever_else_is_there(tmp_path):
    dates = [("2101-01-01", "2101-01-05"), ("2101-01-11", "2101-01-15")]
    stays = [stay(str(i // 2), str(100 + i), *dates[i % 2]) for i in range(60)]
    folder = mimic(tmp_path / "a", stays)
    parts = take_documents("readmission", folder, 1, 4)
    patients = {part: {text.group for text in found} for part, found in parts.items()}
    assert sum(map(len, patients.values())) == len(set().union(*patients.values())) == 30
    assert all(len(parts[part]) == 2 * len(patients[part]) > 0 for part in parts)
    # the same notes of other patients move nobody, and one part alone reads its patients alone
    fewer = take_documents("readmission", mimic(tmp_path / "b", stays[:30]), 1, 4, parts=("dev",))
    assert {text.group for text in fewer["dev"]} == {p for p in patients["dev"] if int(p) < 15}
    assert not fewer["train"] and not fewer["held_out"]


def test_equal_texts_of_two_patients_are_two_texts(tmp_path):
    stays = [stay(p, p + "1", "2101-01-01", "2101-01-09") for p in "12"]
    notes = [(p, p + "1", "2101-01-08", SUMMARY, "", "the same") for p in "12"]
    assert len(read_documents("readmission", write_mimic(tmp_path / "m", stays, notes))) == 2


def test_broken_admissions(tmp_path):
    folder = write_mimic(tmp_path / "m", [stay("1", "11", SECRET, "2101-01-09")], [])
    path = folder / "ADMISSIONS.csv"
    with pytest.raises(CorpusError, match=r"ADMISSIONS.csv:2: expected a date like") as error:
        read_stays(path, lambda patient: True)
    assert SECRET not in str(error.value) and error.value.__context__ is None
    assert read_stays(path, lambda patient: patient != "1") == {}


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        (("2", "11", "2101-01-08", SUMMARY, "", SECRET), "the patient of its admission"),
        (("1", "11", SECRET, SUMMARY, "", SECRET), "a date like"),
    ],
)
def test_broken_notes(tmp_path, note, expected):
    folder = write_mimic(tmp_path / "m", [stay("1", "11", "2101-01-01", "2101-01-09")], [note])
    with pytest.raises(CorpusError, match=f"NOTEEVENTS.csv:2: expected {expected}") as error:
        labels(folder)
    assert SECRET not in str(error.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(CorpusError, match="ADMISSIONS.csv or ADMISSIONS.csv.gz, found neither"):
        labels(tmp_path)
    (tmp_path / "ADMISSIONS.csv").write_text("SUBJECT_ID,HADM_ID\n")
    with pytest.raises(CorpusError, match="ADMISSIONS.csv:1: expected a header"):
        labels(tmp_path)
