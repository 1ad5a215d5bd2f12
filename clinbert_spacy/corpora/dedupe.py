"""Notes of one corpus that stand in the held-out part of another: never trained on."""
import hashlib
import re
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

from .files import CorpusError
from .record import AnnotatedNote
from .splits import NoteKey, note_key

RUN_WORDS = 12
RUNS_SHARED = 3
_WORD = re.compile(r"[^\W_]+")


class SharedRun(NamedTuple):
    """A run of words that a text shares with indexed ones.

    start (int): its first character. end (int): one past its last character.
    run (bytes): its hash.
    owners (Tuple[int, ...]): numbers of the indexed texts that have it.
    """

    start: int
    end: int
    run: bytes
    owners: Tuple[int, ...]


class RunIndex:
    """Runs of words of a few texts, to be found in many others. Holds hashes, no text.

    Every run holds one piece that begins at a multiple of half its width. Only these pieces of a
    text are looked up, and whole runs where one of them is known: the same runs in a sixth of the
    time.

    width (int): words a run.
    RAISES (CorpusError): no word a run.
    """

    def __init__(self, width: int = RUN_WORDS) -> None:
        if width < 1:
            raise CorpusError(f"A run has {width} words; expected at least one.")
        self.width = width
        self.n_texts = 0
        self._step = max(1, width // 2)
        self._size = width - self._step + 1
        self._runs: Dict[bytes, Tuple[int, ...]] = {}
        # hash() is another one in every process: nothing of it may be stored
        self._pieces: Set[int] = set()

    def add(self, text: str) -> int:
        """Index the runs of a text.

        text (str): a text.
        RETURNS (int): how many different runs it has; 0 where it is shorter than one.
        """
        number, runs = self.n_texts, word_runs(text, self.width)
        self.n_texts += 1
        for run in runs:
            self._runs[run] = (*self._runs.get(run, ()), number)
        words = _WORD.findall(text.lower()) if runs else []
        places = range(len(words) - self._size + 1)
        self._pieces.update(hash(" ".join(words[i : i + self._size])) for i in places)
        return len(runs)

    def find(self, text: str) -> List[SharedRun]:
        """Find the runs that a text shares with the indexed ones.

        text (str): a text.
        RETURNS (List[SharedRun]): each place of each shared run, in text order.
        """
        low, size, known = text.lower(), self._size, self._pieces
        words = _WORD.findall(low)
        places = range(0, len(words) - size + 1, self._step)
        hits = [i for i in places if hash(" ".join(words[i : i + size])) in known]
        return list(self._shared(text, low, hits)) if hits else []

    def _shared(self, text: str, low: str, hits: Sequence[int]) -> Iterator[SharedRun]:
        found = list(_WORD.finditer(low))
        place = _places(text, low)
        for hit in hits:
            last = min(hit, len(found) - self.width)
            for first in range(max(0, hit - self._step + 1), last + 1):
                words = found[first : first + self.width]
                run = _hash_run([word.group() for word in words])
                if owners := self._runs.get(run):
                    # the last character may have grown: its own end, not the next one's start
                    end = place[words[-1].end() - 1] + 1
                    yield SharedRun(place[words[0].start()], end, run, owners)


def _places(text: str, low: str) -> Sequence[int]:
    """For each character of the text in lower case, which one of the text it comes from."""
    if len(low) == len(text):
        return range(len(text))
    return [i for i, character in enumerate(text) for _ in character.lower()]


def _hash_run(words: Sequence[str]) -> bytes:
    return hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()


def word_runs(text: str, width: int = RUN_WORDS) -> Set[bytes]:
    """Hash every run of words.

    text (str): a text.
    width (int): words a run; punctuation and case do not count.
    RETURNS (Set[bytes]): 8 bytes a run.
    """
    words = _WORD.findall(text.lower())
    return {_hash_run(words[i : i + width]) for i in range(len(words) - width + 1)}


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
