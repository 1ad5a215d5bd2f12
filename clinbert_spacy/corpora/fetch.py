"""Public corpora into assets/: from a folder or their public source, verified by digest."""
import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union
from urllib.error import URLError

import srsly

from .files import CorpusError, broken, load_json, write_text

# Beside a corpus, not of it.
_NOT_DATA = ("PROVENANCE.md",)
GOOD = ("present", "copied", "downloaded")
# Beside the assets: what a checkout of a pinned commit came to, so that it is known again.
LOCK = ".digests.json"
BY_COMMIT = "verified by commit"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class FetchResult:
    """What became of one asset.

    name (str): last part of its dest.
    dest (str): where it belongs, relative to the project file.
    status (str): "present", "copied", "downloaded", "unverified" (no digest is listed),
        "mismatch", "missing", "failed" or "private".
    message (str): what to know or do.
    digest (str): digest of what is, or was offered, for dest.
    """

    name: str
    dest: str
    status: str
    message: str = ""
    digest: str = ""

    @property
    def ok(self) -> bool:
        """RETURNS (bool): whether the asset is there and verified."""
        return self.status in GOOD


def tree_digest(path: Union[str, Path]) -> str:
    """Digest a file or folder.

    path (Union[str, Path]): file: MD5 of its bytes. Folder: MD5 over the lines "path, tab, MD5,
        line feed" of its files in order of path, without dot files and PROVENANCE.md.
    RETURNS (str): 32 hexadecimal digits.
    """
    path = Path(path)
    if not path.exists():
        raise broken(path, 0, "a file or folder", "nothing at this path")
    if path.is_file():
        return _md5(path)
    lines = "".join(f"{name}\t{_md5(path / name)}\n" for name in _tree(path))
    return hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest()


def _tree(folder: Path) -> List[str]:
    names = (f.relative_to(folder) for f in folder.rglob("*") if f.is_file())
    kept = (n for n in names if not any(part.startswith(".") for part in n.parts))
    return sorted(name.as_posix() for name in kept if name.name not in _NOT_DATA)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def read_assets(project_file: Union[str, Path]) -> Dict[str, Mapping[str, Any]]:
    """Read the assets of a project.

    project_file (Union[str, Path]): project.yml. Of an asset we read "dest"; "url" or "git"
        (repo, branch or commit, path; a whole commit is verified by git itself); "checksum" (of
        the public asset); and, of our own,
        "digests" (more accepted ones by name, e.g. subset), "from" (its name in a folder at hand,
        if not that of dest), "pick" (patterns of files to take), "flatten", "licence", "remedy".
        One with neither url nor git is private.
    RETURNS (Dict[str, Mapping[str, Any]]): assets by the last part of dest.
    """
    value = srsly.read_yaml(_existing(project_file))
    assets = value.get("assets", []) if isinstance(value, dict) else None
    if not isinstance(assets, list) or not all(isinstance(a, dict) and "dest" in a for a in assets):
        raise broken(project_file, 0, "assets: a list of blocks with 'dest'", "another layout")
    return {Path(asset["dest"]).name: asset for asset in assets}


def _existing(path: Union[str, Path]) -> Path:
    if not Path(path).is_file():
        raise broken(path, 0, "a project file", "none at this path")
    return Path(path)


def fetch(
    project_file: Union[str, Path],
    names: Sequence[str] = (),
    from_folder: Optional[Union[str, Path]] = None,
    progress: Optional[Callable[[str], None]] = None,
) -> List[FetchResult]:
    """Bring assets to their places. A good one is never touched, a wrong one is replaced.

    project_file (Union[str, Path]): project.yml; dest is relative to its folder.
    names (Sequence[str]): which; by default all but those marked "on_request".
    from_folder (Optional[Union[str, Path]]): take them from here; otherwise download.
    progress (Optional[Callable[[str], None]]): called with each name before its turn.
    RETURNS (List[FetchResult]): one an asset, in order.
    Raises CorpusError for an unknown name, a missing project file or folder.
    """
    assets = read_assets(project_file)
    if unknown := sorted(set(names) - set(assets)):
        raise CorpusError(f"Unknown assets {unknown}: expected some of {sorted(assets)}.")
    if from_folder is not None and not Path(from_folder).is_dir():
        raise broken(from_folder, 0, "a folder of corpora", "none at this path")
    results = []
    usual = [name for name, asset in assets.items() if not asset.get("on_request")]
    for name in names or usual:
        if progress is not None:
            progress(name)
        results.append(_one(Path(project_file).parent, name, assets[name], from_folder))
    return results


def _one(
    root: Path, name: str, asset: Mapping[str, Any], folder: Optional[Union[str, Path]]
) -> FetchResult:
    dest = root / asset["dest"]
    accepted = {**_locked(dest, asset), **_accepted(asset)}
    have = tree_digest(dest) if dest.exists() else ""
    if have in accepted:
        return FetchResult(name, asset["dest"], "present", accepted[have], have)
    if have and not accepted and not _pinned(asset):
        return FetchResult(name, asset["dest"], "unverified", "no digest is listed", have)
    dest.parent.mkdir(parents=True, exist_ok=True)
    # Same disk as dest, so that putting it in place is one rename.
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{name}-") as scratch:
        new = Path(scratch) / "new"
        status, message = _obtain(name, asset, folder, new)
        if status not in GOOD:
            return FetchResult(name, asset["dest"], status, message, have)
        digest = tree_digest(new)
        listed = _accepted(asset)
        by_commit = status == "downloaded" and _pinned(asset)
        if listed and digest not in listed and not by_commit:
            message = f"expected {sorted(listed)}, found {digest}; {_kept(have)}"
            return FetchResult(name, asset["dest"], "mismatch", message, digest)
        _put(new, dest, Path(scratch) / "old")
    if by_commit and digest not in listed:
        _lock(dest, asset, digest)
    if not listed and not by_commit:
        return FetchResult(name, asset["dest"], "unverified", "no digest is listed", digest)
    return FetchResult(name, asset["dest"], status, listed.get(digest, BY_COMMIT), digest)


def _pinned(asset: Mapping[str, Any]) -> bool:
    """Whether git vouches for a download: a whole commit is named, and no checksum of its own."""
    commit = str(asset.get("git", {}).get("commit", ""))
    return _COMMIT.fullmatch(commit) is not None and not asset.get("checksum")


def _recipe(asset: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: asset[key] for key in ("git", "pick", "flatten") if key in asset}


def _read_lock(file: Path) -> Dict[str, Any]:
    value = load_json(file) if file.is_file() else {}
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        raise broken(file, 0, "digests by asset (remove it and fetch again)", "another layout")
    return value


def _locked(dest: Path, asset: Mapping[str, Any]) -> Dict[str, str]:
    """The digest that the same checkout had before."""
    entry = _read_lock(dest.parent / LOCK).get(dest.name, {}) if _pinned(asset) else {}
    return {str(entry.get("digest")): BY_COMMIT} if entry.get("recipe") == _recipe(asset) else {}


def _lock(dest: Path, asset: Mapping[str, Any], digest: str) -> None:
    file = dest.parent / LOCK
    table = {**_read_lock(file), dest.name: {"recipe": _recipe(asset), "digest": digest}}
    write_text(file, json.dumps(table, indent=1, sort_keys=True) + "\n")


def _kept(have: str) -> str:
    return "what was there is kept" if have else "nothing was written"


def _accepted(asset: Mapping[str, Any]) -> Dict[str, str]:
    """Digest to its name: "public", or the name of a subset."""
    digests = {str(value): str(name) for name, value in asset.get("digests", {}).items() if value}
    if asset.get("checksum"):
        digests[str(asset["checksum"])] = "public"
    return digests


def _put(new: Path, dest: Path, old: Path) -> None:
    if dest.exists():
        dest.rename(old)
    new.rename(dest)


def _obtain(
    name: str, asset: Mapping[str, Any], folder: Optional[Union[str, Path]], new: Path
) -> tuple:
    if folder is not None:
        source = Path(folder) / asset.get("from", name)
        if not source.exists():
            return "missing", f"no {asset.get('from', name)!r} in {folder}"
        return _take(source, new, asset, "copied")
    if "git" in asset:
        return _clone(asset, new)
    if asset.get("url"):
        return _download(str(asset["url"]), new)
    return "private", str(asset.get("remedy", "get it from its owner and use --from FOLDER"))


def _take(source: Path, new: Path, asset: Mapping[str, Any], status: str) -> tuple:
    try:
        _copy(source, new, asset)
    except OSError as error:
        return "failed", f"{source} could not be copied ({error.strerror})"
    return status, ""


def _copy(source: Path, new: Path, asset: Mapping[str, Any]) -> None:
    if source.is_file():
        shutil.copyfile(source, new)
        return
    new.mkdir()
    for name in _picked(source, asset.get("pick", ["*"])):
        target = new / (Path(name).name if asset.get("flatten") else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def _picked(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    for name in _tree(folder):
        if any(fnmatch.fnmatch(Path(name).name, p) or fnmatch.fnmatch(name, p) for p in patterns):
            yield name


def _download(url: str, new: Path) -> tuple:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, new.open("wb") as file:
            shutil.copyfileobj(reply, file)
    except (URLError, TimeoutError, OSError) as error:
        return "failed", f"{type(error).__name__} for {url}; use --from FOLDER without a network"
    return "downloaded", ""


def _clone(asset: Mapping[str, Any], new: Path) -> tuple:
    """Take one commit of a repository, and of it one path."""
    git = asset["git"]
    repo, path = str(git["repo"]), str(git.get("path") or ".")
    commit = str(git.get("commit") or git.get("branch") or "HEAD")
    work = new.parent / "work"
    steps = (
        ["git", "init", "--quiet", str(work)],
        ["git", "-C", str(work), "fetch", "--quiet", "--depth", "1", repo, commit],
        ["git", "-C", str(work), "-c", "core.autocrlf=false", "checkout", "--quiet", "FETCH_HEAD"],
        ["git", "-C", str(work), "rev-parse", "HEAD"],
    )
    if shutil.which("git") is None:
        return "failed", "git is not installed; use --from FOLDER"
    # A repository that is gone or private is an error, not a question at the terminal.
    settings = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    for step in steps:
        done = subprocess.run(step, capture_output=True, check=False, text=True, env=settings)
        if done.returncode:
            return "failed", f"git could not get {commit} of {repo}; use --from FOLDER"
    if _COMMIT.fullmatch(commit) and done.stdout.strip() != commit:
        return "failed", f"{repo} gave another commit than {commit}; use --from FOLDER"
    if not (work / path).exists():
        return "failed", f"{repo} at {commit} has no {path!r}"
    return _take(work / path, new, asset, "downloaded")
