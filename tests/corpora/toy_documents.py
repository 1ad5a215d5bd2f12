"""Invented corpora of classified documents, in the forms that the readers know."""

import csv
import gzip
import json
import random

from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.files import sha256_of
from clinbert_spacy.corpora.layers import NoteLayers, write_layers
from clinbert_spacy.corpora.record import AnnotatedNote

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "knoll"]
ADMISSIONS = ["SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "DEATHTIME", "ADMISSION_TYPE"]
EVENTS = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CATEGORY", "ISERROR", "TEXT"]


def prose(seed, n=30):
    """Words by chance: no two seeds share a run of twelve."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) + str(rng.randrange(50)) for _ in range(n))


def write_csv(path, header, rows, opener=open):
    with opener(path, "wt", encoding="utf8", newline="") as file_:
        writer = csv.writer(file_)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_abstracts(folder, rows):
    """Rows of (label, text); the table of labels beside, as in the corpus."""
    folder.mkdir(exist_ok=True)
    write_csv(folder / "medical_tc_labels.csv", ["condition_label", "condition_name"], [[1, "x"]])
    write_csv(folder / "medical_tc_test.csv", ["condition_label", "medical_abstract"], rows)
    return folder


def toy_abstracts(folder, n=60, labels=(1, 2, 3)):
    """Abstracts whose class is told by one word."""
    k = len(labels)
    rows = [(labels[i % k], f"{prose(i, 14)}{f' disease{i % k}' * 4}") for i in range(n)]
    return write_abstracts(folder, rows)


def write_samples(path, rows):
    """Rows of (specialty, transcription)."""
    header = ["note_id", "description", "medical_specialty", "transcription"]
    return write_csv(path, header, [(i, "d", *row) for i, row in enumerate(rows, 1)])


def write_reports(path, rows):
    """Rows of (findings, impression)."""
    keys = ("study_id", "findings", "impression", "background", "subject_id")
    reports = [dict(zip(keys, (str(i), *row, "", ""))) for i, row in enumerate(rows, 1)]
    path.write_text(json.dumps(reports), "utf8")
    return path


def write_notes(folder, notes):
    """Notes as (name, header, body, encounter, chapters)."""
    found = []
    for name, header, body, encounter, chapters in notes:
        text = f"{header}\n{body}"
        sections = ((0, len(header), "header"), (len(header) + 1, len(text), "plan"))
        layers = NoteLayers(
            name, sha256_of(text), "clinic", "x", encounter, tuple(chapters), sections,
            ((0, len(text)),), (0,),
        )  # fmt: skip
        found.append(AnnotatedNote(name, text, meta={"layers": layers}))
    folder.mkdir(exist_ok=True)
    write_brat(found, folder)
    write_layers(found, folder)
    return folder


def write_mimic(folder, stays, notes, compress=False):
    """Stays as ADMISSIONS; notes as (patient, stay, date, category, error, text)."""
    folder.mkdir(exist_ok=True)
    end, opener = (".gz", gzip.open) if compress else ("", open)
    write_csv(folder / f"ADMISSIONS.csv{end}", ADMISSIONS, stays, opener)
    rows = [(i, *note) for i, note in enumerate(notes, 1)]
    write_csv(folder / f"NOTEEVENTS.csv{end}", EVENTS, rows, opener)
    return folder
