"""Splits by patient or document, recorded with the hash of every note."""
import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple, Union

from .files import CorpusError, broken, load_json, sha256_of, write_text
from .record import AnnotatedNote

COLUMNS = ("corpus", "id", "group", "sha256", "split")
# 128 bits tell texts apart; a manifest of two thousand notes stays small.
HASH_DIGITS = 32
# of a cross-validation
PARTS = ("train", "dev", "held_out")
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


def fold_of(group: str, folds: int) -> int:
    """Put a group into a fold. RETURNS (int): 0 to folds - 1, always the same one."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:12], 16) % folds


def take_fold(
    notes: Iterable[AnnotatedNote], fold: int, folds: int, held_out: bool
) -> Iterator[AnnotatedNote]:
    """Take the notes of a fold, or all others.

    notes (Iterable[AnnotatedNote]): notes. fold (int), folds (int): which of how many.
    held_out (bool): those of the fold; else the others.
    YIELDS (AnnotatedNote): in order.
    Raises CorpusError for a fold that is not there.
    """
    if not 0 <= fold < folds:
        raise CorpusError(f"Expected a fold from 0 to {folds - 1}, found {fold}.")
    for note in notes:
        if (fold_of(note.group, folds) == fold) == held_out:
            yield note


def part_of_fold(group: str, fold: int, folds: int) -> str:
    """Put a group into a part of a cross-validation.

    group (str): patient or PubMed id. fold (int): 0 to folds - 1. folds (int): how many.
    RETURNS (str): "held_out": fold `fold`, to be scored; "dev": the fold after it, to choose
        weights and settings by; "train": all others.
    Raises CorpusError for a fold that is not there.
    """
    if folds < 3 or not 0 <= fold < folds:
        raise CorpusError(f"Fold {fold} of {folds}: expected 3 folds or more, and 0 to folds - 1.")
    shares = {str(number): 1 / folds for number in range(folds)}
    place = (int(split_of(group, 0, shares)) - fold) % folds
    return {0: "held_out", 1: "dev"}.get(place, "train")


def make_splits(
    notes: Iterable[AnnotatedNote], seed: int = 0, shares: Optional[Mapping[str, float]] = None
) -> Dict[NoteKey, Dict[str, str]]:
    """Split notes by group.

    notes (Iterable[AnnotatedNote]): notes.
    seed (int): see split_of.
    shares (Optional[Mapping[str, float]]): see split_of.
    RETURNS (Dict[NoteKey, Dict[str, str]]): for each note its split, group and hash (the first
        HASH_DIGITS digits of the SHA-256 of its text).
    """
    return {
        note_key(note): {
            "split": split_of(note.group, seed, shares),
            "group": note.group,
            "sha256": sha256_of(note.text)[:HASH_DIGITS],
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
    if entry["sha256"] != sha256_of(note.text)[:HASH_DIGITS]:
        raise CorpusError(
            f"Note {note_key(note)}: its text is not the one that was split; make the manifest "
            "again, or fetch the corpus again."
        )
    return entry["split"] == split


def take_part(
    notes: Iterable[AnnotatedNote], split: str, manifest: Optional[Union[str, Path]] = None
) -> List[AnnotatedNote]:
    """Take one part of a corpus.

    notes (Iterable[AnnotatedNote]): its notes.
    split (str): the part.
    manifest (Optional[Union[str, Path]]): written by write_splits; a note that it does not list
        is in no part, so that a larger copy of a corpus gives the same parts. Without one the
        hash of the group decides.
    RETURNS (List[AnnotatedNote]): the notes of the part.
    Raises CorpusError where the manifest lists none of the notes, or one with another text.
    """
    notes = list(notes)
    if manifest is None:
        return [note for note in notes if in_split(note, split, None)]
    table = read_splits(manifest)
    listed = [note for note in notes if note_key(note) in table]
    if notes and not listed:
        raise CorpusError(f"{manifest}: expected notes of {note_key(notes[0])[0]!r}, found none.")
    return [note for note in listed if in_split(note, split, table)]


def write_splits(splits: Splits, path: Union[str, Path], seed: int = 0) -> None:
    """Write a manifest, a note a line, without any text.

    splits (Splits): from make_splits.
    path (Union[str, Path]): JSON file.
    seed (int): recorded beside.
    """
    head = {"version": 1, "seed": seed, "columns": COLUMNS}
    rows = [{"corpus": key[0], "id": key[1], **entry} for key, entry in sorted(splits.items())]
    lines = [json.dumps([row[name] for name in COLUMNS], separators=(",", ":")) for row in rows]
    body = ",\n".join(lines)
    write_text(path, f'{json.dumps(head)[:-1]}, "notes": [\n{body}\n]}}\n')


def read_splits(path: Union[str, Path]) -> Dict[NoteKey, Dict[str, str]]:
    """Read a manifest.

    path (Union[str, Path]): JSON file.
    RETURNS (Dict[NoteKey, Dict[str, str]]): as from make_splits.
    Raises CorpusError where it is not one.
    """
    value = load_json(path)
    table = value if isinstance(value, dict) else {}
    rows = table.get("notes")
    fits = table.get("columns") == list(COLUMNS) and isinstance(rows, list)
    if not fits or not all(_is_row(row) for row in rows):
        raise broken(path, 0, f"an object with columns {list(COLUMNS)} and notes", "another layout")
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return {(row.pop("corpus"), row.pop("id")): row for row in named}


def _is_row(row: Any) -> bool:
    cells = row if isinstance(row, list) else []
    return len(cells) == len(COLUMNS) and all(isinstance(cell, str) for cell in cells)


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
    write_text(path, text + "\n")


def _rows(path: Union[str, Path], key: str, needed: Set[str]) -> List[Dict[str, str]]:
    value = load_json(path)
    rows = value.get(key) if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(_has(row, needed) for row in rows):
        raise broken(path, 0, f"an object with {key!r}: rows of {sorted(needed)}", "another layout")
    return rows


def _has(row: Any, needed: Set[str]) -> bool:
    return isinstance(row, dict) and needed <= set(row)
