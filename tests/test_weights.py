"""The shipped pipeline: loads without pickle, keeps its promises, reads the seed sentences."""

import pickle
import re
import zipfile
from pathlib import Path

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import DocBin

from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.schema import NEVER_SHIPS, PRODUCT_LABELS, may_ship
from clinbert_spacy.evaluation.scorers import (
    count_matches,
    merge_counts,
    micro,
    predictions_of,
    prf,
)

ROOT = Path(__file__).parent.parent
WHEELS = sorted((ROOT / "assets").glob("en_clinbert-*.whl"))
pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(not WHEELS, reason="no shipped pipeline under assets/"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's folder inside the wheel."""
    target = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(WHEELS[-1]) as wheel:
        wheel.extractall(target)
    return next(target.glob("en_clinbert/en_clinbert-*"))


@pytest.fixture(scope="module")
def nlp(folder: Path) -> Language:
    return spacy.load(folder)


def labelled(nlp, text):
    return {(e.text, e.label_) for e in nlp(text).ents}


def test_no_pickle_is_read(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert spacy.load(folder)("fever")._.clinbert_coverage["truncated"] == 0


def test_it_is_small_and_says_what_it_is(nlp):
    assert WHEELS[-1].stat().st_size <= 50 * 2**20
    assert nlp.meta["name"] == "clinbert" and nlp.meta["lang"] == "en"
    assert nlp.meta["sources"] and nlp.meta["performance"] and nlp.meta["intended_use"]
    assert set(nlp.get_pipe("clinbert_ner").labels) == set(PRODUCT_LABELS)


def test_no_forbidden_source(nlp):
    text = " ".join(f"{s['name']} {s.get('url', '')}" for s in nlp.meta["sources"]).lower()
    for banned in NEVER_SHIPS:
        assert banned.replace("_", " ") not in text and banned not in text
        assert not may_ship(banned)


def test_the_first_seed_sentence(nlp):
    found = labelled(nlp, "John Doe was admitted to the hospital with a severe headache and fever.")
    problems = {text for text, label in found if label in ("DISEASE", "SYMPTOM")}
    assert any("headache" in text for text in problems) and "fever" in problems
    assert "DRUG" not in {label for _, label in found}


def test_the_second_seed_sentence(nlp):
    found = labelled(nlp, "Jane Smith was diagnosed with diabetes and high blood pressure.")
    problems = {text for text, label in found if label in ("DISEASE", "SYMPTOM")}
    assert "diabetes" in problems and any("blood pressure" in text for text in problems)
    assert "DRUG" not in {label for _, label in found}


def test_what_is_said_of_entities(nlp):
    lines = ("PMH: hypertension", "FHx: mother had breast cancer", "No fever. Stopped enalapril.")
    doc = nlp("\n".join(lines))
    said = {e.text: e._.clinbert_assertion or e._.clinbert_drug_status for e in doc.ents}
    assert said["breast cancer"] == "family" and said["fever"] == "absent"
    assert said["enalapril"] == "stopped"
    assert len(list(doc.sents)) == 4 and len(doc.spans["clinbert_sections"]) >= 2
    scores = [e._.clinbert_assertion_scores["drug_status"] for e in doc.ents if e.label_ == "DRUG"]
    assert sum(scores[0].values()) == pytest.approx(1, abs=1e-3)


def test_every_label_is_found_in_the_test_notes(nlp):
    total = {}
    for note in read_corpus("notes", ROOT / "assets" / "notes" / "test"):
        marked = [m for m in note.mentions if m.label in PRODUCT_LABELS]
        gold = [(m.start, m.end, m.label) for m in marked]
        merge_counts(total, count_matches(gold, predictions_of(nlp(note.text))))
    assert all(total[label].tp > 0 for label in PRODUCT_LABELS)
    assert prf(micro(total))[2] > 0.6


def test_text_is_never_altered_and_nothing_is_dropped(nlp):
    text = "  Pt c/o SOB.\r\n\tHTN/DM2 \U0001f600 on metformin 500mg bid\n\n" * 300 + "x" * 20_000
    doc = nlp(text)
    assert doc.text == text
    assert doc._.clinbert_coverage["truncated"] == 0
    assert doc._.clinbert_coverage["windows"] > 20


def test_outputs_are_plain_and_survive(nlp):
    docs = list(nlp.pipe(["Aspirin 81 mg daily for chest pain.", "", " \n"]))
    copies = list(DocBin().from_bytes(DocBin(docs=docs).to_bytes()).get_docs(nlp.vocab))
    for doc, copy in zip(docs, copies):
        assert [(e.text, e.label_, e._.clinbert_score) for e in doc.ents] == [
            (e.text, e.label_, e._.clinbert_score) for e in copy.ents
        ]


def test_no_path_of_the_machine_that_trained_it(folder):
    text = (folder / "config.cfg").read_text() + (folder / "meta.json").read_text()
    assert not re.search(r'"/(?:work|tmp|root|home)/', text)
