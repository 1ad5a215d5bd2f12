import errno
import os
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


def git(folder, *words):
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def commit(source):
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "x")
    return git(source, "rev-parse", "HEAD")


def checkout(source, commit, *more):
    return [f"git: {{repo: 'file://{source}', commit: '{commit}', path: .}}", *more]


def test_git_at_a_commit_with_pick_and_flatten(source, commit, tmp_path):
    block = checkout(source, commit, "pick: ['b.*']", "flatten: true")
    (result,) = fetch(project(tmp_path, block))
    assert (result.status, result.message) == ("downloaded", "verified by commit") and result.ok
    dest = tmp_path / "home" / "assets" / "toy"
    assert (dest / "b.txt").read_text() == "two" and result.digest == tree_digest(dest)
    (result,) = fetch(project(tmp_path, [*block, "checksum: abc"]))
    assert result.status == "mismatch"


def test_a_checkout_is_known_again_though_only_a_subset_is_listed(source, commit, tmp_path):
    digests = "digests: {subset at hand: 0123456789abcdef0123456789abcdef}"
    file = project(tmp_path, checkout(source, commit, digests))
    assert fetch(file)[0].message == "verified by commit"
    dest = file.parent / "assets" / "toy"
    stamp = (dest / "a.txt").stat().st_mtime_ns
    (again,) = fetch(file)
    assert (again.status, again.message, again.ok) == ("present", "verified by commit", True)
    assert (dest / "a.txt").stat().st_mtime_ns == stamp
    (dest / "a.txt").write_text("spoilt")
    assert fetch(file)[0].status == "downloaded"
    assert (dest / "a.txt").read_text() == "one"
    assert sorted(p.name for p in dest.parent.iterdir()) == [".digests.json", "toy"]
    # The recipe changed: what is there is no longer what was asked for.
    other = project(tmp_path, checkout(source, commit, digests, "pick: ['a.*']"))
    assert fetch(other)[0].status == "downloaded"
    assert not (dest / "in").exists()


def test_a_commit_does_not_vouch_for_a_folder(source, commit, tmp_path):
    digests = "digests: {subset at hand: 0123456789abcdef0123456789abcdef}"
    file = project(tmp_path, checkout(source, commit, digests))
    (result,) = fetch(file, from_folder=source.parent)
    assert result.status == "mismatch" and not result.ok
    assert not (file.parent / "assets" / ".digests.json").exists()


def test_a_listed_digest_names_a_checkout(source, commit, tmp_path):
    digests = f"digests: {{official: {tree_digest(source)}}}"
    file = project(tmp_path, checkout(source, commit, digests))
    assert [fetch(file)[0].status for _ in range(2)] == ["downloaded", "present"]
    assert fetch(file)[0].message == "official"


def test_a_branch_is_not_verified_and_an_unknown_commit_fails(source, commit, tmp_path):
    branch = git(source, "rev-parse", "--abbrev-ref", "HEAD")
    (result,) = fetch(project(tmp_path, checkout(source, branch)))
    assert result.status == "unverified" and not result.ok
    (tmp_path / "home" / "assets" / "toy" / "a.txt").unlink()
    (result,) = fetch(project(tmp_path, checkout(source, "0" * 40)))
    assert result.status == "failed" and "--from FOLDER" in result.message
    (tmp_path / "home" / "assets" / ".digests.json").write_text("[]")
    with pytest.raises(CorpusError, match="remove it and fetch again"):
        fetch(project(tmp_path, checkout(source, commit)))


def test_a_full_disk_keeps_what_was_there(source, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = project(tmp_path, [f"digests: {{subset: {tree_digest(source)}}}"])
    dest = file.parent / "assets" / "toy"
    dest.mkdir(parents=True)
    (dest / "a.txt").write_text("old")
    monkeypatch.setattr("shutil.copyfile", fail)
    (result,) = fetch(file, from_folder=source.parent)
    assert result.status == "failed" and "No space left" in result.message
    assert (dest / "a.txt").read_text() == "old"
    assert [p.name for p in dest.parent.iterdir()] == ["toy"]


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


def test_what_is_on_request_comes_only_when_named(source, tmp_path):
    file = project(tmp_path, [f"digests: {{subset: {tree_digest(source)}}}", "on_request: true"])
    assert fetch(file, from_folder=source.parent) == []
    (named,) = fetch(file, ["toy"], source.parent)
    assert named.status == "copied"
