import json

import pytest

from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.layers import LAYERS_FILE, read_notes, write_layers
from clinbert_spacy.corpora.readers import read_corpus
from clinbert_spacy.corpora.segment import split_note

from .toy_notes import TEXT, toy_note


@pytest.fixture
def folder(tmp_path):
    notes = [toy_note("n1"), toy_note("n2", encounter="other", summary=(2,))]
    write_brat(notes, tmp_path)
    assert write_layers(notes, tmp_path) == 2
    return tmp_path


def test_layers_and_relation_attributes_round_trip(folder):
    first, second = read_notes(folder)
    assert first == toy_note("n1")
    assert second.meta["layers"].encounter == "other"
    assert second.meta["layers"].sentences == toy_note().meta["layers"].sentences


def test_brat_shows_no_attribute_of_a_relation(folder):
    lines = (folder / "n1.ann").read_text("utf8").splitlines()
    assert not [line for line in lines if line.startswith("A") and " R" in line]
    assert [line for line in lines if line.startswith("#1\tRelationAttributes R2\t{")]


def test_the_corpus_reader_brings_layers_along_and_pieces_lose_them(folder, nlp_blank):
    note = next(read_corpus("notes", folder))
    assert note.meta["layers"].chapters == ("XII",) and note.meta["corpus"] == "notes"
    pieces = list(split_note(note, nlp_blank.make_doc, 4))
    assert len(pieces) > 1 and not any("layers" in piece.meta for piece in pieces)


@pytest.fixture
def nlp_blank():
    import spacy

    return spacy.blank("en")


def test_a_folder_without_layers_is_read_as_before(folder):
    (folder / LAYERS_FILE).unlink()
    assert [note.meta for note in read_notes(folder)] == [{}, {}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: {**row, "sections": [[0, 4]]}, "sections as rows of 3"),
        (lambda row: {**row, "sentences": "all"}, "sentences as rows of 2"),
        (lambda row: {**row, "summary": [True]}, "summary as a list"),
        (lambda row: {**row, "chapters": None}, "chapters as a list of strings"),
        (lambda row: {**row, "encounter": 3}, "chapters as a list of strings"),
        (lambda row: {**row, "weather": "fine"}, "an object with"),
        (lambda row: {**row, "text_sha256": "0" * 64}, "another text"),
        (lambda row: {**row, "id": "n9"}, r"others: \['n9'\]"),
        (lambda row: {**row, "id": "n2"}, "'n2' for the second time"),
        (lambda row: "{", "a JSON object"),
    ],
)
def test_broken_layers_are_named(folder, change, message):
    file = folder / LAYERS_FILE
    first, *rest = file.read_text("utf8").splitlines()
    changed = change(json.loads(first))
    line = changed if isinstance(changed, str) else json.dumps(changed)
    file.write_text("\n".join([line, *rest]) + "\n")
    with pytest.raises(CorpusError, match=message) as caught:
        list(read_notes(folder))
    assert TEXT[5:20] not in str(caught.value)


def test_broken_relation_attributes_are_named(folder):
    with (folder / "n1.ann").open("a") as file:
        file.write("#9\tRelationAttributes R1\tnot JSON\n")
    with pytest.raises(CorpusError, match=r"n1\.ann:\d+: expected RelationAttributes"):
        list(read_notes(folder))
