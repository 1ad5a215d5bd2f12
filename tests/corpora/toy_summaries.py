"""Invented answers, reports and notes with summaries, and what writes them."""

import io
import json
import zipfile
from pathlib import Path

import openpyxl

from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.layers import write_layers
from clinbert_spacy.corpora.summaries import STRICT

from .toy_notes import toy_note

HEADER = ("QuestionID", "AnswerID", "Answer")
ANSWERS = [
    (7, "7_Answer2", "Rest the knee. Ice helps.\nSurgery is rarely needed."),
    (7, "7_Answer1", "A brace may help. See a doctor if it locks."),
    ("9", "9_Answer1", "Drink water."),
]
REFERENCES = "7||Rest the knee. A brace may help.\n9||Drink water.\n"
REPORTS = [
    ("a", "Heart is normal. No effusion. Left rib fracture.", "Rib fracture."),
    ("b", "heart is  normal. No effusion. Left rib fracture.", "Another impression."),
    ("c", "Lungs are clear.", "Clear lungs."),
    ("d", "Lungs are blurred.", " "),
    ("e", " ", "Nothing."),
]


def write_mas(folder: Path, rows=ANSWERS, references=REFERENCES, strict=True) -> Path:
    """The two files that count, and the two that do not."""
    folder.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for row in (HEADER, *rows):
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    name = folder / "Set_Answers.xlsx"
    name.write_bytes(make_strict(content.getvalue()) if strict else content.getvalue())
    (folder / "Set_MultiExtractiveSummaries.txt").write_text(references, "utf8")
    (folder / "Set_MultiAbstrativeSummaries.txt").write_text("7||Other words.\n", "utf8")
    (folder / "Set_ShortQuestions.txt").write_text("7||What of my knee?\n", "utf8")
    return folder


def make_strict(content: bytes) -> bytes:
    """A workbook under the names of the strict kind."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            for strict, usual in STRICT.items():
                part = part.replace(usual, strict)
            new.writestr(name, part)
    return made.getvalue()


def write_reports(path: Path, reports=REPORTS) -> Path:
    """A list of reports, as JSON."""
    names = ("study_id", "findings", "impression")
    path.write_text(json.dumps([dict(zip(names, row)) for row in reports]), "utf8")
    return path


def write_notes(folder: Path, **layers) -> Path:
    """Two notes, the first with other layers where asked; the second has an empty summary."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = [toy_note("n1", **layers), toy_note("n2", summary=())]
    write_brat(notes, folder)
    write_layers(notes, folder)
    return folder
