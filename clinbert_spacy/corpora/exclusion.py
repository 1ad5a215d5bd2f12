"""What a training leaves out: notes of a part that will be scored; and the record of parts."""
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Union

from .dedupe import overlaps
from .readers import read_corpus
from .record import AnnotatedNote
from .splits import NoteKey, make_splits, note_key, take_part, write_splits

Block = Mapping[str, Any]


def find_excluded(
    train: Sequence[Block], dev: Sequence[Block], held_out: Sequence[Block] = ()
) -> Dict[NoteKey, str]:
    """Find the training notes that must not be trained on.

    Held out is whatever a training corpus has but no block trains on (its development and test
    parts, as far as they are there), all of the development corpora, and what is named.

    train (Sequence[Block]): sources of the training corpus, see readers.create_corpus.
    dev (Sequence[Block]): sources of the development corpus; a limit in them does not count.
    held_out (Sequence[Block]): more of the same, e.g. notes that only the last test shall see.
    RETURNS (Dict[NoteKey, str]): corpus and id of each, and why.
    Raises CorpusError for an unknown corpus or part, a missing or broken file.
    """
    trained: List[AnnotatedNote] = []
    seen: List[AnnotatedNote] = []
    for block in train:
        notes = list(_read(block))
        trained.extend(_chosen(notes, block))
        seen.extend(notes)
    keys = {note_key(note) for note in trained}
    held = [note for note in seen if note_key(note) not in keys]
    for block in [*dev, *held_out]:
        held.extend(_chosen(list(_read(block)), block))
    return overlaps(trained, held)


def list_sources(sources: Any) -> List[Dict[str, Any]]:
    """Bring both forms of `sources` in a config into one.

    sources (Any): a list of blocks, or blocks by name.
    RETURNS (List[Dict[str, Any]]): blocks that name their corpus.
    """
    if isinstance(sources, Mapping):
        return [{"corpus": name, **block} for name, block in sources.items()]
    return [dict(block) for block in sources]


def _read(block: Block) -> Iterator[AnnotatedNote]:
    return read_corpus(block["corpus"], block["path"], None, block.get("encoding", "utf-8"))


def _chosen(notes: List[AnnotatedNote], block: Block) -> List[AnnotatedNote]:
    parts, split = block.get("parts"), block.get("split")
    if parts:
        notes = [note for note in notes if note.meta.get("split") in parts]
    return take_part(notes, split, block.get("splits")) if split else notes


def record_splits(
    corpus: str, source: Union[str, Path], path: Union[str, Path], seed: int = 0
) -> int:
    """Write down which note of a corpus is in which part, by the hash of its group.

    corpus (str): its name in schema.py.
    source (Union[str, Path]): its folder.
    path (Union[str, Path]): the manifest to write, for `splits` of a block; it holds no text.
    seed (int): see splits.split_of.
    RETURNS (int): how many notes are in it.
    """
    splits = make_splits(read_corpus(corpus, source), seed)
    write_splits(splits, path, seed)
    return len(splits)
