import json

import pytest

from clinbert_spacy.corpora.classes import Settings
from clinbert_spacy.corpora.documents import read_documents
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.radiology import is_abnormal, read_radiology

from .toy_documents import prose, write_reports

SECRET = "Jane Doe of Elm Street"

NORMAL = [
    "No acute cardiopulmonary abnormality.",
    "1. No acute findings. 2. Clear lungs.",
    "Negative for acute disease. .",
    "Unremarkable two-view chest radiograph",
    "Heart size within normal limits, lungs are clear",
    "Without focal consolidation, effusion, or pneumothorax.",
    "Low lung volumes, otherwise no acute process.",
    "No change. No active disease.",
    "Chest x-____ negative. No acute bony injury is seen. END OF REPORT.",
    "No mass 2. No fracture",
]
ABNORMAL = [
    "Right lower lobe pneumonia.",
    "No acute disease. Stable cardiomegaly.",
    "Mild cardiomegaly without acute findings.",
    "No acute abnormality, small hiatal hernia.",
    "No effusion but bibasilar atelectasis",
    "No acute process with old granulomatous disease",
    "No acute findings other than a 1.5 cm nodule",
    "Clear lungs; emphysema",
    "1. No pneumothorax. 2. Unchanged pacemaker.",
    "No change in the left basilar opacity.",
    "Pneumonia cannot be excluded.",
    "No acute abnormality. A small nodule could not be excluded",
    "NO ACUTE DISEASE. EFFUSION.",
]
UNSAID = ["", "No significant interval change.", "Stable chest.", "____", "Chest, two views."]


@pytest.mark.parametrize(
    ("impression", "expected"),
    [*((x, False) for x in NORMAL), *((x, True) for x in ABNORMAL), *((x, None) for x in UNSAID)],
)
def test_label_of_an_impression(impression, expected):
    assert is_abnormal(impression) is expected


def test_the_text_is_the_findings_alone(tmp_path):
    rows = [(prose(1), "No acute disease."), (prose(2), "Pneumonia."), (prose(3), "No change."),
            (" ", "Pneumonia.")]  # fmt: skip
    path = write_reports(tmp_path / "indiana.json", rows)
    found = read_documents("radiology", path)
    assert [(t.text, t.classes) for t in found] == [(prose(1), ("NORMAL",)),
                                                    (prose(2), ("ABNORMAL",))]  # fmt: skip
    assert read_documents("radiology", tmp_path) == found


def test_equal_findings_are_one_report_or_none(tmp_path):
    rows = [(prose(1), "No acute disease."), (f"{prose(1)}.".upper(), "Clear lungs."),
            (prose(2), "Pneumonia."), (prose(2), "No acute disease."),
            (f"{prose(1)} Scar.", "Scar.")]  # fmt: skip
    found = read_documents("radiology", write_reports(tmp_path / "indiana.json", rows))
    assert [(t.id, t.classes, t.group) for t in found] == [("1", ("NORMAL",), "1"),
                                                           ("5", ("ABNORMAL",), "1")]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": SECRET}, "expected a list of reports"),
        ([{"study_id": "1", "findings": SECRET}], "in report 1, found another shape"),
        ([{"study_id": 1, "findings": SECRET, "impression": SECRET}], "in report 1"),
        ([SECRET], "in report 1"),
    ],
)
def test_broken_reports(tmp_path, value, expected):
    path = tmp_path / "indiana.json"
    path.write_text(json.dumps(value))
    with pytest.raises(CorpusError, match=expected) as error:
        list(read_radiology(path, Settings()))
    assert str(path) in str(error.value) and SECRET not in str(error.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(CorpusError, match=r"one file indiana\*\.json, found 0"):
        list(read_radiology(tmp_path, Settings()))
    (tmp_path / "indiana.json").write_text(f'[{{"study_id": "{SECRET}"')
    with pytest.raises(CorpusError, match="indiana.json:1: expected JSON") as error:
        list(read_radiology(tmp_path, Settings()))
    assert SECRET not in str(error.value)
