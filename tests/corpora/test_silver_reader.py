"""Summaries that people wrote, as sentences to learn from."""

import json

import pytest
import spacy

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.silver_reader import create_silver_summaries, take_summaries

FINDINGS = (
    "The heart is of normal size. There is a small left pleural effusion. Bones are intact.",
    "Lungs are clear. A nodule of 8 mm lies in the right upper lobe.",
    "Cardiomegaly with vascular congestion. No pneumothorax is seen. The aorta is tortuous.",
)
IMPRESSIONS = ("Small left pleural effusion.", "Right upper lobe nodule.", "Cardiomegaly.")


@pytest.fixture
def path(tmp_path):
    rows = [
        {"study_id": f"s{i}", "findings": f"{FINDINGS[i % 3]} Film {i}.",
         "impression": IMPRESSIONS[i % 3]}
        for i in range(30)
    ]  # fmt: skip
    file = tmp_path / "indiana.json"
    file.write_text(json.dumps(rows))
    return file


@pytest.fixture
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    return nlp


def test_the_sentence_that_says_it_is_gold(path, nlp):
    reader = create_silver_summaries("radiology", path, "train", budget="1")
    found = list(reader(nlp))
    assert found
    for example in found:
        (chosen,) = example.reference.spans["clinbert_summary"]
        expected = {"heart": "effusion", "Lungs": "nodule", "Cardiomegaly": "Cardiomegaly"}
        key = next(word for word in expected if word in example.reference.text)
        assert expected[key] in chosen.text
        assert "clinbert_summary" not in example.predicted.spans
        assert example.predicted.text == example.reference.text


def test_parts_share_no_text_and_are_all(path):
    parts = [take_summaries("radiology", path, part) for part in ("train", "dev", "held_out")]
    ids = [{item.id for item in part} for part in parts]
    assert sum(map(len, ids)) == len(set().union(*ids)) == 30
    assert len(parts[0]) > len(parts[1])


def test_a_limit_is_of_texts(path, nlp):
    assert len(list(create_silver_summaries("radiology", path, "train", limit=2)(nlp))) == 2


def test_a_pipeline_without_sentences_is_refused(path):
    with pytest.raises(CorpusError, match="'clinbert_sentences'"):
        list(create_silver_summaries("radiology", path, "train")(spacy.blank("en")))


@pytest.mark.parametrize(
    "part, fold, said", [("test", 0, "'test'"), ("train", 9, "Fold 9 of 5")]
)
def test_parts_that_are_not_there(path, part, fold, said):
    with pytest.raises(CorpusError, match=said):
        take_summaries("radiology", path, part, fold)


def test_a_part_without_texts_is_an_error(tmp_path):
    file = tmp_path / "indiana.json"
    row = {"study_id": "a", "findings": FINDINGS[0], "impression": IMPRESSIONS[0]}
    file.write_text(json.dumps([row]))
    empty = [p for p in ("train", "dev", "held_out") if not _has(file, p)]
    assert len(empty) == 2
    with pytest.raises(CorpusError, match="found none"):
        take_summaries("radiology", file, empty[0])


def _has(file, part):
    try:
        return bool(take_summaries("radiology", file, part))
    except CorpusError:
        return False


def test_a_budget_that_cannot_be_read_is_refused_at_once(path):
    with pytest.raises(CorpusError, match="many"):
        create_silver_summaries("radiology", path, "train", budget="many")
