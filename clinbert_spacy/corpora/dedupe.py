"""Notes of one corpus that stand in the held-out part of another: never trained on."""
import hashlib
import re
from typing import Dict, Iterable, Set

from .record import AnnotatedNote
from .splits import NoteKey, note_key

RUN_WORDS = 12
RUNS_SHARED = 3
_WORD = re.compile(r"[^\W_]+")


def word_runs(text: str, width: int = RUN_WORDS) -> Set[bytes]:
    """Hash every run of words.

    text (str): a text.
    width (int): words a run; punctuation and case do not count.
    RETURNS (Set[bytes]): 8 bytes a run.
    """
    words = _WORD.findall(text.lower())
    runs = (" ".join(words[i : i + width]) for i in range(len(words) - width + 1))
    return {hashlib.blake2b(run.encode(), digest_size=8).digest() for run in runs}


def overlaps(
    notes: Iterable[AnnotatedNote], held_out: Iterable[AnnotatedNote]
) -> Dict[NoteKey, str]:
    """Find notes that must not be trained on.

    notes (Iterable[AnnotatedNote]): candidates for training.
    held_out (Iterable[AnnotatedNote]): development and test parts of every scored corpus.
    RETURNS (Dict[NoteKey, str]): corpus and id of each, and why: "held out" (the same note),
        "PubMed id", or "text" (three runs of twelve words).
    """
    keys, groups, runs = set(), set(), set()
    for note in held_out:
        keys.add(note_key(note))
        groups.update([note.group] if _is_pubmed(note.group) else [])
        runs |= word_runs(note.text)
    found: Dict[NoteKey, str] = {}
    for note in notes:
        if note_key(note) in keys:
            found[note_key(note)] = "held out"
        elif note.group in groups:
            found[note_key(note)] = "PubMed id"
        elif len(word_runs(note.text) & runs) >= RUNS_SHARED:
            found[note_key(note)] = "text"
    return found


def _is_pubmed(group: str) -> bool:
    return group.isdigit() and 4 <= len(group) <= 8


def drop_overlaps(
    notes: Iterable[AnnotatedNote], held_out: Iterable[AnnotatedNote]
) -> Iterable[AnnotatedNote]:
    """Leave such notes out.

    notes (Iterable[AnnotatedNote]): candidates for training.
    held_out (Iterable[AnnotatedNote]): see overlaps.
    RETURNS (Iterable[AnnotatedNote]): those that may be trained on.
    """
    notes = list(notes)
    found = overlaps(notes, held_out)
    return [note for note in notes if note_key(note) not in found]
