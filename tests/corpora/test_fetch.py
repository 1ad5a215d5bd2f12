import subprocess

import pytest

from clinbert_spacy.corpora.fetch import fetch, tree_digest
from clinbert_spacy.corpora.files import CorpusError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "at_hand" / "toy"
    (folder / "in").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "in" / "b.txt").write_text("two")
    (folder / "PROVENANCE.md").write_text("where from")
    return folder


def project(tmp_path, block):
    file = tmp_path / "home" / "project.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("assets:\n  - dest: assets/toy\n" + "".join(f"    {b}\n" for b in block))
    return file


def test_digest_is_of_names_and_contents(source):
    before = tree_digest(source)
    (source / "PROVENANCE.md").write_text("changed")
    (source / ".hidden").write_text("x")
    assert tree_digest(source) == before
    (source / "a.txt").rename(source / "c.txt")
    assert tree_digest(source) != before
    assert tree_digest(source / "c.txt") == "f97c5d29941bfb1b2fdab0874906ab82"


def test_copy_then_present_then_repaired(source, tmp_path):
    file = project(tmp_path, [f"digests: {{subset: {tree_digest(source)}, public: abc}}"])
    (first,) = fetch(file, from_folder=source.parent)
    assert (first.status, first.message, first.ok) == ("copied", "subset", True)
    dest = file.parent / "assets" / "toy"
    stamp = (dest / "a.txt").stat().st_mtime_ns
    assert fetch(file, from_folder=source.parent)[0].status == "present"
    assert (dest / "a.txt").stat().st_mtime_ns == stamp
    (dest / "a.txt").write_text("spoilt")
    assert fetch(file, ["toy"], from_folder=source.parent)[0].status == "copied"
    assert (dest / "a.txt").read_text() == "one"
    assert [p.name for p in dest.parent.iterdir()] == ["toy"]


def test_mismatch_keeps_what_was_there(source, tmp_path):
    file = project(tmp_path, ["checksum: 'abc'"])
    (result,) = fetch(file, from_folder=source.parent)
    assert result.status == "mismatch" and not result.ok and "abc" in result.message
    assert not (file.parent / "assets" / "toy").exists()


def test_single_file_by_url(source, tmp_path):
    digest = tree_digest(source / "a.txt")
    block = [f"url: file://{source}/a.txt", f"checksum: {digest}"]
    (result,) = fetch(project(tmp_path, block))
    assert (result.status, result.message, result.digest) == ("downloaded", "public", digest)
    block[0] = f"url: file://{source}/none.txt"
    (tmp_path / "home" / "assets" / "toy").unlink()
    assert fetch(project(tmp_path, block))[0].status == "failed"


def test_git_at_a_commit_with_pick_and_flatten(source, tmp_path):
    def git(*words):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        return subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "HEAD").stdout.strip()
    block = [f"git: {{repo: 'file://{source}', commit: {commit}, path: .}}",
             "pick: ['b.*']", "flatten: true"]
    (result,) = fetch(project(tmp_path, block))
    assert result.status == "unverified" and result.digest
    assert (tmp_path / "home" / "assets" / "toy" / "b.txt").read_text() == "two"
    (result,) = fetch(project(tmp_path, [*block, "checksum: abc"]))
    assert result.status == "mismatch"


def test_private_missing_unknown_and_broken(source, tmp_path):
    file = project(tmp_path, ["remedy: ask its owner"])
    assert [(r.status, r.message) for r in fetch(file)] == [("private", "ask its owner")]
    (tmp_path / "none_here").mkdir()
    assert fetch(file, from_folder=tmp_path / "none_here")[0].status == "missing"
    with pytest.raises(CorpusError, match="Unknown assets"):
        fetch(file, ["tyo"])
    with pytest.raises(CorpusError, match="a folder of corpora"):
        fetch(file, from_folder=tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="a project file"):
        fetch(tmp_path / "none.yml")
