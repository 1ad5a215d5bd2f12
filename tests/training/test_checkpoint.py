import errno
import json

import pytest

from clinbert_spacy.training import checkpoint
from clinbert_spacy.training.checkpoint import (
    WriteError,
    check_same_config,
    config_hash,
    prepare_output,
    read_record,
    recover_folder,
    replace_folder,
)


def write_text(text):
    return lambda folder: (folder / "a.txt").write_text(text)


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "thing"
    replace_folder(target, lambda folder: (folder / "old.txt").write_text("old"))
    replace_folder(target, write_text("new"))
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_everything_is_flushed_before_the_rename(tmp_path, monkeypatch):
    target, flushed = tmp_path / "thing", []
    monkeypatch.setattr(checkpoint.os, "fsync", lambda _: flushed.append(target.exists()))
    replace_folder(target, write_text("new"))
    assert flushed == [False, False, True]  # the file, its folder; then the folder's parent


def test_full_disk_keeps_what_was_there(tmp_path):
    target = tmp_path / "thing"
    replace_folder(target, write_text("old"))

    def fail(folder):
        (folder / "a.txt").write_text("new, cut sho")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match="No space left.*MB free.*intact.*--resume"):
        replace_folder(target, fail)
    assert (target / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


@pytest.mark.parametrize("with_partial", [True, False])
def test_crash_between_the_renames_is_repaired(tmp_path, with_partial):
    target = tmp_path / "thing"
    replace_folder(target, write_text("old"))
    target.rename(tmp_path / "thing.previous")
    if with_partial:
        (tmp_path / "thing.partial").mkdir()
    recover_folder(target)
    assert (target / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_crash_after_the_renames_is_repaired(tmp_path):
    target = tmp_path / "thing"
    replace_folder(target, write_text("new"))
    replace_folder(tmp_path / "thing.previous", write_text("old"))
    recover_folder(target)
    assert (target / "a.txt").read_text() == "new"
    assert not (tmp_path / "thing.previous").exists()


CONFIG = {"nlp": {"lang": "en"}, "training": {"dropout": 0.1, "max_steps": 10, "patience": 5}}


def record_of(config):
    return {"config": config, "config_sha256": config_hash(config)}


def test_length_of_training_may_change():
    changed = {**CONFIG, "training": {"dropout": 0.1, "max_steps": 99, "patience": 0}}
    check_same_config(record_of(CONFIG), changed)


def test_changed_settings_are_named():
    changed = {**CONFIG, "training": {"dropout": 0.3, "max_steps": 10, "seed": 1}}
    with pytest.raises(ValueError, match=r"training.dropout: 0.1 -> 0.3; training.seed: None -> 1"):
        check_same_config(record_of(CONFIG), changed)


def test_incomplete_checkpoint_is_named(tmp_path):
    with pytest.raises(ValueError, match="state.json, weights.safetensors.*--overwrite"):
        read_record(tmp_path)


def test_other_format_is_refused(tmp_path):
    (tmp_path / "pipeline").mkdir()
    for name in ("weights.safetensors", "pipeline/config.cfg"):
        (tmp_path / name).touch()
    (tmp_path / "state.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 1"):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["checkpoint", "model-best", "model-last"])
def test_taken_output_needs_a_decision(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"{name}.*--resume.*--overwrite"):
        prepare_output(tmp_path, resume=False, overwrite=False)
    assert (tmp_path / name).exists()
    assert prepare_output(tmp_path, resume=False, overwrite=True) is False
    assert not (tmp_path / name).exists()


def test_output_to_resume_from(tmp_path):
    assert prepare_output(tmp_path / "new", resume=True, overwrite=False) is False
    (tmp_path / "model-best").mkdir()
    with pytest.raises(ValueError, match="no 'checkpoint' to resume from"):
        prepare_output(tmp_path, resume=True, overwrite=False)
    (tmp_path / "checkpoint").mkdir()
    assert prepare_output(tmp_path, resume=True, overwrite=False) is True
    with pytest.raises(ValueError, match="exclude each other"):
        prepare_output(tmp_path, resume=True, overwrite=True)


def test_unrelated_files_survive_overwriting(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "model-last").mkdir()
    prepare_output(tmp_path, resume=False, overwrite=True)
    assert (tmp_path / "notes.txt").exists()
