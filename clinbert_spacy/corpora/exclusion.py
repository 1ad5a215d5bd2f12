"""What a training config must leave out: notes that stand in a part that will be scored."""

from typing import Any, Dict, Iterator, List, Mapping, Sequence

from .dedupe import overlaps
from .readers import read_corpus
from .record import AnnotatedNote
from .splits import NoteKey, in_split

Block = Mapping[str, Any]


def find_excluded(
    train: Sequence[Block], dev: Sequence[Block], held_out: Sequence[Block] = ()
) -> Dict[NoteKey, str]:
    """Find the training notes that must not be trained on.

    Held out is whatever a training corpus has but does not train on (its development and test
    parts, as far as they are there), all of the development corpora, and what is named.

    train (Sequence[Block]): sources of the training corpus, see readers.create_corpus.
    dev (Sequence[Block]): sources of the development corpus; a limit in them does not count.
    held_out (Sequence[Block]): more of the same, e.g. notes that only the last test shall see.
    RETURNS (Dict[NoteKey, str]): corpus and id of each, and why.
    Raises CorpusError for an unknown corpus or part, a missing or broken file.
    """
    trained: List[AnnotatedNote] = []
    held: List[AnnotatedNote] = []
    for block in train:
        for note in _read(block):
            (trained if _chosen(note, block) else held).append(note)
    for block in [*dev, *held_out]:
        held.extend(note for note in _read(block) if _chosen(note, block))
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


def _chosen(note: AnnotatedNote, block: Block) -> bool:
    parts, split = block.get("parts"), block.get("split")
    if parts and note.meta.get("split") not in parts:
        return False
    return not split or in_split(note, split, None)
