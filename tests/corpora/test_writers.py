"""What is written is whole: beside first, then in place; an old file outlives a full disk."""
import errno
import os
from pathlib import Path

import pytest
import spacy

from clinbert_spacy.corpora.bioc import write_bioc
from clinbert_spacy.corpora.brat import read_brat, write_brat
from clinbert_spacy.corpora.docbin import write_docs
from clinbert_spacy.corpora.files import CorpusError, replacing
from clinbert_spacy.corpora.pubtator import write_pubtator
from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation, to_doc
from clinbert_spacy.corpora.splits import make_splits, write_excluded, write_splits

CANARY = "canarypatient"
NOTES = [AnnotatedNote("n1", f"{CANARY} has pain", (Mention("T1", "SIGN", ((18, 22),)),))]


def write_docbin(notes, path):
    make_doc = spacy.blank("en").make_doc
    write_docs([to_doc(note, make_doc) for note in notes], path)


WRITERS = [
    write_pubtator, write_bioc, write_docbin,
    lambda notes, path: write_splits(make_splits(notes), path),
    lambda notes, path: write_excluded([("x", "y")], path),
]  # fmt: skip


def full_disk(monkeypatch, after=0):
    """The disk takes so many files, then half of one."""
    write, left = Path.write_bytes, iter(range(after))

    def fail(path, data):
        if next(left, None) is None:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_the_old_file_whole(write, tmp_path, monkeypatch):
    path = tmp_path / "out"
    write(NOTES, path)
    before = path.read_bytes()
    full_disk(monkeypatch)
    with pytest.raises(CorpusError, match="disk is full; free some space") as caught:
        write(NOTES * 1, path)
    assert str(path) in str(caught.value) and CANARY not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("after", [0, 1])
def test_a_full_disk_leaves_a_brat_pair_whole(after, tmp_path, monkeypatch):
    write_brat([AnnotatedNote("n1", "old pain", (Mention("T1", "S", ((4, 8),)),))], tmp_path)
    full_disk(monkeypatch, after)
    with pytest.raises(CorpusError, match="What was there is kept"):
        write_brat(NOTES, tmp_path)
    (note,) = read_brat(tmp_path)
    assert note.text == "old pain" and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("write", WRITERS)
def test_places_that_take_no_file(write, tmp_path):
    with pytest.raises(CorpusError, match="its folder does not exist"):
        write(NOTES, tmp_path / "none" / "out")
    with pytest.raises(CorpusError, match="expected a file, found a folder"):
        write(NOTES, tmp_path)
    with pytest.raises(CorpusError, match="expected a file"):
        write(NOTES, os.devnull)
    assert not os.path.isfile(os.devnull)


def test_brat_wants_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="expected a folder"):
        write_brat(NOTES, tmp_path / "file")


def test_other_errors_pass_and_leave_nothing(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "a") as new:
        new.write_text("half")
        raise KeyError("x")
    assert not os.listdir(tmp_path)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_pubtator(NOTES, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and CANARY in (tmp_path / "real").read_text()


@pytest.mark.parametrize("ids", [("a", "a"), ("a", "A"), ("\u00e9", "e\u0301")])
def test_brat_ids_that_come_to_one_file(ids, tmp_path):
    with pytest.raises(CorpusError, match="name two files"):
        write_brat([AnnotatedNote(name, f"text {i}") for i, name in enumerate(ids)], tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "x" * 300])
def test_brat_ids_that_name_no_file(name, tmp_path):
    with pytest.raises(CorpusError, match="can name a file"):
        write_brat([AnnotatedNote("good", "x"), AnnotatedNote(name, "x")], tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("value", ["", "two  spaces", " outer", "line\nend", False, 7])
def test_brat_attribute_values_that_would_change(value, tmp_path):
    mention = Mention("T1", "S", ((0, 1),), (), {"Certainty": value})
    with pytest.raises(CorpusError, match="attribute value"):
        write_brat([AnnotatedNote("n", "x", (mention,))], tmp_path)
    related = Relation("R1", "r", "T1", "T1", {"Certainty": value})
    note = AnnotatedNote("n", "x", (Mention("T1", "S", ((0, 1),)),), (related,))
    with pytest.raises(CorpusError, match="attribute value"):
        write_brat([note], tmp_path)


def test_brat_keeps_values_of_several_words_and_an_empty_note(tmp_path):
    mention = Mention("T1", "S", ((0, 1),), (), {"Certainty": "not so sure"})
    notes = [AnnotatedNote("a", ""), AnnotatedNote("b", "x", (mention,))]
    write_brat(notes, tmp_path)
    assert list(read_brat(tmp_path)) == notes


def test_brat_comments_of_one_line(tmp_path):
    meta = {"notes": [["AnnotatorNotes", "T1", "two\nlines"]]}
    with pytest.raises(CorpusError, match="is one line"):
        write_brat([AnnotatedNote("n", "x", (Mention("T1", "S", ((0, 1),)),), meta=meta)], tmp_path)


def test_lone_surrogates_are_named_by_their_place(tmp_path):
    with pytest.raises(CorpusError, match="lone surrogate at 6") as caught:
        write_brat([AnnotatedNote("n", "canary\ud800")], tmp_path)
    assert "canary" not in str(caught.value) and caught.value.__context__ is None
