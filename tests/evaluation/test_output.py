import errno
import os

import pytest

from clinbert_spacy.evaluation.output import OutputError, atomic_writer, write_text


def test_writes_whole_files(tmp_path):
    path = tmp_path / "out.jsonl"
    write_text(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    assert os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("stop")])
def test_error_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    expected = OutputError if isinstance(error, OSError) else RuntimeError
    with pytest.raises(expected) as caught, atomic_writer(path) as file_:
        file_.write("new")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert expected is RuntimeError or "disk is full" in str(caught.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_while_flushing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "clinbert_spacy.evaluation.output._make_temporary", lambda path: tmp_path / "full"
    )
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="disk is full.*Nothing was written"):
        write_text(tmp_path / "out", "x" * 100_000)
    assert os.listdir(tmp_path) == []


def test_missing_folder_and_folder_as_file(tmp_path):
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_text(tmp_path / "no" / "out", "")
    with pytest.raises(OutputError, match="it is a folder"):
        write_text(tmp_path, "")


def test_devices_and_pipes_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="device or pipe"):
        write_text(pipe, "text")
    assert pipe.is_fifo()
