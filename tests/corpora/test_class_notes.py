import pytest

from clinbert_spacy.corpora.class_notes import NOTE_TASKS, drop_titles, read_note_classes
from clinbert_spacy.corpora.classes import Settings
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.layers import LAYERS_FILE

from .toy_documents import write_notes

BODY = "Asthma, better.\nDISCHARGE MEDICATIONS:\nsalbutamol\nMeds on discharge: salbutamol\nSleeps."


@pytest.fixture
def folder(tmp_path):
    notes = [("a", "DISCHARGE SUMMARY\nWard 3", BODY, "discharge", ["X", "IX"]),
             ("b", "Clinic letter", "Well.", "visit", [])]  # fmt: skip
    return write_notes(tmp_path / "notes", notes)


def classes(folder, task, **settings):
    return [text.classes for text in read_note_classes(folder, Settings(task, **settings))]


def test_tasks(folder):
    assert classes(folder, "encounter") == [("ENCOUNTER_discharge",), ("ENCOUNTER_visit",)]
    assert classes(folder, "chapters") == [("ICD10_X", "ICD10_IX"), ()]
    assert classes(folder, "both") == [
        ("ENCOUNTER_discharge", "ICD10_X", "ICD10_IX"), ("ENCOUNTER_visit",),
    ]  # fmt: skip
    assert len(NOTE_TASKS["chapters"]) == 19 and len(NOTE_TASKS["encounter"]) == 5


def test_titles_stay_or_go(folder):
    with_titles, without = (
        [text.text for text in read_note_classes(folder, Settings("encounter", titles))]
        for titles in (True, False)
    )
    assert with_titles[0] == f"DISCHARGE SUMMARY\nWard 3\n{BODY}"
    assert without == ["Asthma, better.\n\nsalbutamol\nsalbutamol\nSleeps.", "Well."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plan\nHome.", "Plan\nHome."),
        ("ED COURSE: fluids.", "fluids."),
        ("Plan: seen in clinic.", "Plan: seen in clinic."),
        ("  Operative report\nBP 120/80", "BP 120/80"),
        ("Seen in clinic and sent home.", "Seen in clinic and sent home."),
        ("Edema: none", "Edema: none"),
        ("H&P\r\nCough.\r\nADMISSION EXAM\r\nClear.", "Cough.\r\n\nClear."),
        ("a long line about a patient whose discharge was put off for so many reasons",
         "a long line about a patient whose discharge was put off for so many reasons"),
        ("", ""),
    ],
)  # fmt: skip
def test_lines_that_name_a_kind(text, expected):
    assert drop_titles(text, ((0, len(text), "plan"),)) == expected


def test_every_header_goes():
    text = "REPORT 1\nMild gastritis.\nDr X, pathology\nEnd."
    at = text.index("Dr X")
    sections = ((0, 8, "header"), (9, at - 1, "findings"), (at, at + 15, "header"))
    assert drop_titles(text, sections) == "Mild gastritis.\n\nEnd."


def test_broken_layers(folder):
    file = folder / LAYERS_FILE
    lines = file.read_text("utf8")
    for old, new in (('"visit"', '"party"'), ('"IX"', '"XXX"')):
        file.write_text(lines.replace(old, new))
        with pytest.raises(CorpusError, match="expected an encounter of .* found another") as error:
            classes(folder, "both")
        assert str(file) in str(error.value) and "party" not in str(error.value)
    file.write_text(lines.splitlines()[0] + "\n")
    with pytest.raises(CorpusError, match="a line for note 'b', found none"):
        classes(folder, "both")
