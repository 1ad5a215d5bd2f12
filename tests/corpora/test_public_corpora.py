"""The public corpora themselves: counts as published, every offset verified."""
import os
from collections import Counter
from pathlib import Path

import pytest

from clinbert_spacy.corpora.bioc import read_bioc
from clinbert_spacy.corpora.convert import clinical_make_doc, convert
from clinbert_spacy.corpora.dedupe import drop_overlaps, overlaps
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.schema import get_schema

FOLDER = Path(os.environ.get("CLINBERT_CORPORA", "."))
pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif("CLINBERT_CORPORA" not in os.environ, reason="CLINBERT_CORPORA is not set"),
]
FOLDERS = {"ncbi": "ncbi_disease", "maccrobat": "maccrobat2020", "ade": "ade_corpus_v2"}


def read(name, *parts):
    return list(read_corpus(name, FOLDER / FOLDERS.get(name, name), list(parts) or None))


def labels(notes):
    return Counter(mention.label for note in notes for mention in note.mentions)


@pytest.mark.parametrize(
    ("part", "counts", "relations"),
    [
        ("train", {"Chemical": 5203, "Disease": 4182}, 1038),
        ("dev", {"Chemical": 5347, "Disease": 4244}, 1012),
    ],
)
def test_bc5cdr(part, counts, relations):
    notes = read("bc5cdr", part)
    assert len(notes) == 500
    assert labels(notes) == counts
    assert sum(len(note.relations) for note in notes) == relations
    assert not any(note.meta.get("mismatches") for note in notes)


def test_bc5cdr_bioc():
    notes = list(read_bioc(FOLDER / "bc5cdr" / "CDR_TrainingSet.BioC.xml", strict=False))
    assert labels(notes) == {"Chemical": 5207, "Disease": 4363}
    assert sum(len(note.relations) for note in notes) == 1038


def test_ncbi():
    notes = read("ncbi", "train")
    assert len(notes) == 592  # one of the 593 is there twice
    assert sum(labels(read("ncbi", "dev")).values()) == 787
    assert not any(note.meta.get("mismatches") for note in notes)


@pytest.mark.parametrize("name", ["maccrobat", "chia", "lct", "biored"])
def test_every_label_stands_in_the_table(name):
    notes = read(name)
    assert set(labels(notes)) <= set(get_schema(name).rules)
    assert sum(len(note.meta.get("mismatches", ())) for note in notes) <= 2


def test_ade_strings_stand_in_their_sentences():
    notes = read("ade")
    assert len({note.text for note in notes}) == len(notes)
    pairs = Counter(relation.label for note in notes for relation in note.relations)
    assert pairs["ADVERSE_EFFECT"] > 5600
    assert not any(len(m.spans) > 1 for note in notes for m in note.mentions)


@pytest.mark.parametrize("name", ["bc5cdr", "ncbi"])
def test_the_tokenizer_expresses_the_gold(name):
    folder = FOLDER / FOLDERS.get(name, name)
    report = convert(folder, name, to="brat", parts=["dev"], make_doc=clinical_make_doc())
    assert report["unexpressible"] / report["mentions"] < 0.005


def test_training_notes_of_other_corpora_leave_the_scored_parts():
    held_out = [*read("bc5cdr", "dev"), *read("ncbi", "dev")]
    candidates = [*read("biored"), *read("maccrobat"), *read("ncbi", "train")]
    kept = drop_overlaps(candidates, held_out)
    assert len(kept) < len(candidates)
    assert not overlaps(kept, held_out)
