"""Splits by patient or document, recorded with the hash of every note."""
import hashlib
import json
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Set, Tuple, Union

from .files import CorpusError, broken, load_json, sha256_of
from .record import AnnotatedNote

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
NoteKey = Tuple[str, str]
Splits = Mapping[NoteKey, Mapping[str, str]]


def note_key(note: AnnotatedNote) -> NoteKey:
    """Name a note across corpora.

    note (AnnotatedNote): a note.
    RETURNS (NoteKey): its corpus and id.
    """
    return str(note.meta.get("corpus", "")), note.id


def split_of(group: str, seed: int = 0, shares: Optional[Mapping[str, float]] = None) -> str:
    """Put a group into a part: always the same one, whatever else is in the corpus.

    group (str): patient or PubMed id.
    seed (int): another seed, another split.
    shares (Optional[Mapping[str, float]]): part to its share; they add up to 1.
    RETURNS (str): name of the part.
    """
    shares = shares or SHARES
    if abs(sum(shares.values()) - 1.0) > 1e-6 or min(shares.values()) < 0:
        raise CorpusError(f"Shares must be positive and add up to 1, found {dict(shares)}.")
    digest = hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
    place, edge = int(digest[:12], 16) / 16**12, 0.0
    for name, share in shares.items():
        edge += share
        if place < edge:
            return name
    return list(shares)[-1]


def make_splits(
    notes: Iterable[AnnotatedNote], seed: int = 0, shares: Optional[Mapping[str, float]] = None
) -> Dict[NoteKey, Dict[str, str]]:
    """Split notes by group.

    notes (Iterable[AnnotatedNote]): notes.
    seed (int): see split_of.
    shares (Optional[Mapping[str, float]]): see split_of.
    RETURNS (Dict[NoteKey, Dict[str, str]]): for each note its split, group and hash.
    """
    return {
        note_key(note): {
            "split": split_of(note.group, seed, shares),
            "group": note.group,
            "sha256": sha256_of(note.text),
        }
        for note in notes
    }


def in_split(note: AnnotatedNote, split: str, splits: Optional[Splits], seed: int = 0) -> bool:
    """Say whether a note belongs to a part.

    note (AnnotatedNote): a note.
    split (str): the part.
    splits (Optional[Splits]): a manifest; without one the hash of the group decides.
    seed (int): for the hash.
    RETURNS (bool): whether it does.
    Raises CorpusError where the manifest lacks the note or has it with another text.
    """
    if splits is None:
        return split_of(note.group, seed) == split
    entry = splits.get(note_key(note))
    if entry is None:
        raise CorpusError(f"Note {note_key(note)}: expected it in the split manifest, not found.")
    if entry["sha256"] != sha256_of(note.text):
        raise CorpusError(
            f"Note {note_key(note)}: its text is not the one that was split; make the manifest "
            "again, or fetch the corpus again."
        )
    return entry["split"] == split


def write_splits(splits: Splits, path: Union[str, Path], seed: int = 0) -> None:
    """Write a manifest.

    splits (Splits): from make_splits.
    path (Union[str, Path]): JSON file.
    seed (int): recorded beside.
    """
    rows = [{"corpus": key[0], "id": key[1], **entry} for key, entry in sorted(splits.items())]
    _write_json(path, {"version": 1, "seed": seed, "notes": rows})


def read_splits(path: Union[str, Path]) -> Dict[NoteKey, Dict[str, str]]:
    """Read a manifest.

    path (Union[str, Path]): JSON file.
    RETURNS (Dict[NoteKey, Dict[str, str]]): as from make_splits.
    Raises CorpusError where it is not one.
    """
    rows = _rows(path, "notes", {"corpus", "id", "split", "sha256"})
    return {(row["corpus"], row["id"]): row for row in rows}


def write_excluded(keys: Iterable[NoteKey], path: Union[str, Path], reason: str = "") -> None:
    """Write a list of notes that must not be trained on.

    keys (Iterable[NoteKey]): corpus and id of each.
    path (Union[str, Path]): JSON file.
    reason (str): why, for people.
    """
    rows = [{"corpus": corpus, "id": note_id} for corpus, note_id in sorted(set(keys))]
    _write_json(path, {"version": 1, "reason": reason, "excluded": rows})


def read_excluded(path: Union[str, Path]) -> Set[NoteKey]:
    """Read such a list.

    path (Union[str, Path]): JSON file.
    RETURNS (Set[NoteKey]): corpus and id of each.
    """
    return {(row["corpus"], row["id"]) for row in _rows(path, "excluded", {"corpus", "id"})}


def _write_json(path: Union[str, Path], value: Mapping[str, object]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def _rows(path: Union[str, Path], key: str, needed: Set[str]) -> List[Dict[str, str]]:
    value = load_json(path)
    rows = value.get(key) if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(needed <= set(row) for row in rows):
        raise broken(path, 0, f"an object with {key!r}: rows of {sorted(needed)}", "another layout")
    return rows
