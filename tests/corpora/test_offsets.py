import json

import pytest

from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.offsets import read_offsets, read_texts, write_offsets

from .toy_notes import TEXT, toy_note


@pytest.fixture
def offsets(tmp_path):
    path = tmp_path / "offsets.jsonl"
    assert write_offsets([toy_note("n1"), toy_note("n2")], path) == 2
    return path


def test_no_text_leaves_and_everything_comes_back(offsets):
    written = offsets.read_text("utf8")
    assert not [word for word in TEXT.split() if len(word) > 3 and word in written]
    assert read_offsets(offsets, ["another", TEXT]) == [toy_note("n1"), toy_note("n2")]


def test_an_altered_text_is_not_taken(offsets):
    with pytest.raises(CorpusError, match=r"texts of 2 of 2 notes .* the first is 'n1'"):
        read_offsets(offsets, [TEXT + " ", TEXT.lower()])


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "n1"}'])
def test_a_broken_line_is_named(offsets, line):
    offsets.write_text(offsets.read_text("utf8") + line + "\n")
    with pytest.raises(CorpusError, match=r"offsets\.jsonl:3: expected an object with"):
        read_offsets(offsets, [TEXT])


@pytest.mark.parametrize("mentions", [None, [["T1"]], [["T1", "DRUG", [["a", 2]], {}]]])
def test_offsets_of_another_shape_are_named(offsets, mentions):
    row = json.loads(offsets.read_text("utf8").splitlines()[0])
    offsets.write_text(json.dumps({**row, "mentions": mentions}) + "\n")
    with pytest.raises(CorpusError, match=r"offsets\.jsonl:1: expected mentions of 4 values"):
        read_offsets(offsets, [TEXT])


def test_texts_are_found_in_tables_and_folders(tmp_path):
    quoted = '"' + TEXT + '"'
    (tmp_path / "a.csv").write_text(f"id,text\n1,{quoted}\n2,short\n")
    (tmp_path / "a.tsv").write_text(f"text\tid\n{quoted}\t1\n")
    write_brat([toy_note()], tmp_path / "brat")
    assert list(read_texts([tmp_path / "a.csv"], "text")) == [TEXT, "short"]
    assert list(read_texts([tmp_path / "a.tsv", tmp_path / "brat"], "text")) == [TEXT, TEXT]
    with pytest.raises(CorpusError, match="a column 'note'"):
        list(read_texts([tmp_path / "a.csv"], "note"))


def test_texts_are_found_in_r_data(tmp_path):
    pyreadr = pytest.importorskip("pyreadr")
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "a.rda"
    pyreadr.write_rdata(str(path), pandas.DataFrame({"note": [TEXT, "short"]}), df_name="notes")
    assert list(read_texts([path], "note")) == [TEXT, "short"]
    with pytest.raises(CorpusError, match="a column 'text'"):
        list(read_texts([path], "text"))
    with pytest.raises(CorpusError, match="nothing at this path"):
        list(read_texts([tmp_path / "b.rda"], "text"))
