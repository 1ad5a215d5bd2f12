import gzip

import pytest

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.rows import read_rows

SECRET = "Jane Doe of Elm Street"


def write(path, text, encoding="utf8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_rows_know_their_lines(tmp_path):
    path = write(tmp_path / "a.csv", '\ufeffid,text\n1,"two\nlines"\n\n2,x\r\n3,"a ""b"""\n')
    assert list(read_rows(path, ["id", "text"])) == [
        (2, {"id": "1", "text": "two\nlines"}),
        (5, {"id": "2", "text": "x"}),
        (6, {"id": "3", "text": 'a "b"'}),
    ]


def test_compressed_files_and_encodings(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress("id\nä\n".encode("latin-1")))
    assert [row["id"] for _, row in read_rows(path, ["id"], "latin-1")] == ["ä"]


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("id\n1\n", "a.csv:1", r"a header with \['id', 'text'\]"),
        ("id,text,id\n1,2,3\n", "a.csv:1", "each once, found another header"),
        ("", "a.csv:1", "another header"),
        (f"id,text\n1,x\n2,{SECRET},{SECRET}\n", "a.csv:3", "2 cells as in the header, found 3"),
        (f'id,text\n1,x\n2,"{SECRET}\n3,y\n', "a.csv:3", "its quotes closed"),
        (f'id,text\n1,"a" {SECRET}\n', "a.csv:2", "its quotes closed"),
    ],
)
def test_broken_tables(tmp_path, text, place, expected):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(CorpusError, match=expected) as error:
        list(read_rows(path, ["id", "text"]))
    assert place in str(error.value) and SECRET not in str(error.value)
    assert error.value.__cause__ is None and error.value.__context__ is None


def test_broken_bytes(tmp_path):
    path = write(tmp_path / "a.csv", f"id\n{SECRET} ä\n", "latin-1")
    with pytest.raises(CorpusError, match="text of the encoding that was given") as error:
        list(read_rows(path, ["id"]))
    assert SECRET not in str(error.value) and error.value.__context__ is None
    cut = gzip.compress(("id\n" + "1\n" * 5000).encode())[:-12]
    (tmp_path / "b.csv.gz").write_bytes(cut)
    with pytest.raises(CorpusError, match=r"b\.csv\.gz:\d+: expected a whole file"):
        list(read_rows(tmp_path / "b.csv.gz", ["id"]))
    (tmp_path / "c.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(CorpusError, match="a whole file"):
        list(read_rows(tmp_path / "c.csv.gz", ["id"]))
    with pytest.raises(CorpusError, match="found no file"):
        list(read_rows(tmp_path / "none.csv", ["id"]))
