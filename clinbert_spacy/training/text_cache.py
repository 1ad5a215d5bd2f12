"""Text tokenised once into memory-mapped arrays, split by document.

A cache is a folder: `ids.npy` (pieces of all documents), `flags.npy` (what begins at a piece),
`entries.npy` (the lexicon entry that a piece belongs to, plus one), `documents.npy` (where each
document begins), `sources.npy`, and `cache.json`, which says what it was made of.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ..corpora.passages import Passage
from ..models.checkpoint import plain_backend
from ..models.lexicon import Lexicon

WORD, SENTENCE, MENTION = 1, 2, 4  # bits of a flag
SPLITS = ("train", "held_out")
FORMAT = 1
CHUNK = 64  # documents tokenised at once
ARRAYS = ("ids", "flags", "entries", "documents", "sources")
_ENDS = re.compile(r"\n\s*|(?<=[.?!])\s+(?=[A-Z0-9(\[])")


@dataclass
class TextCache:
    """Tokenised documents of one split.

    ids (NDArray): Piece ids, uint16 or uint32. Shape (pieces,).
    flags (NDArray): Bits WORD, SENTENCE, MENTION where one begins, uint8. Shape (pieces,).
    entries (NDArray): Lexicon entry plus one, 0 outside of mentions, int32. Shape (pieces,).
    documents (NDArray): First piece of each document, and the end. Shape (documents + 1,).
    sources (NDArray): Number of each document's source. Shape (documents,).
    names (List[str]): Names of the sources.
    """

    ids: NDArray
    flags: NDArray
    entries: NDArray
    documents: NDArray
    sources: NDArray
    names: List[str]

    def count(self) -> Dict[str, int]:
        """Count pieces by source. RETURNS (Dict[str, int]): Name to pieces."""
        lengths = numpy.diff(self.documents)
        sums = numpy.bincount(self.sources, lengths, minlength=len(self.names))
        return {name: int(n) for name, n in zip(self.names, sums)}


def open_cache(folder: Path, split: str) -> TextCache:
    """Map a split of a cache into memory.

    folder (Path): The cache.
    split (str): `train` or `held_out`.
    RETURNS (TextCache): Arrays that are read from disk where they are touched.
    RAISES (ValueError): There is no whole cache.
    """
    record = read_record(folder)
    if record is None:
        raise ValueError(f"No whole text cache at {folder}: build it again.")
    arrays = {name: numpy.load(folder / split / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return TextCache(**arrays, names=list(record["sources"]))


def read_record(folder: Path) -> Optional[Dict[str, Any]]:
    """Read what a cache was made of. RETURNS (Optional[Dict]): None where it is not whole."""
    path = folder / "cache.json"
    if not path.is_file():
        return None
    record: Dict[str, Any] = json.loads(path.read_text("utf8"))
    return record if record.get("format") == FORMAT else None


def build_cache(
    folder: Path,
    passages: Iterable[Passage],
    pieces: PreTrainedTokenizerBase,
    lexicon: Optional[Lexicon],
    *,
    held_out: float,
    key: Dict[str, Any],
    on_document: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Tokenise documents into a cache; one that was made of the same is left as it is.

    folder (Path): The cache. Replaced only when the new one is whole.
    passages (Iterable[Passage]): Documents.
    pieces (PreTrainedTokenizerBase): A fast tokenizer.
    lexicon (Optional[Lexicon]): Marks names of concepts.
    held_out (float): Share of documents to hold out, by a hash of their text: the same text is
        in the same split always.
    key (Dict[str, Any]): What the result depends on, to tell whether a cache still fits.
    on_document (Callable[[int], None]): Called with the documents done.
    RETURNS (Dict[str, Any]): The record: key, sources, documents, pieces, words and characters.
    """
    record = read_record(folder)
    if record is not None and record["key"] == key:
        return record
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    writers = {split: _Writer(new / split, len(pieces)) for split in SPLITS}
    names: Dict[str, int] = {}
    done = 0
    backend = plain_backend(pieces)
    for group in _groups(passages):
        for passage, arrays in zip(group, _tokenise(group, backend, lexicon)):
            split = SPLITS[is_held_out(passage.text, held_out)]
            source = names.setdefault(passage.source, len(names))
            writers[split].add(source, len(passage.text), *arrays)
        done += len(group)
        on_document(done)
    counts = {split: writer.close() for split, writer in writers.items()}
    record = {"format": FORMAT, "key": key, "sources": list(names), "counts": counts}
    (new / "cache.json").write_text(json.dumps(record, indent=1), "utf8")
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return record


def is_held_out(text: str, share: float) -> bool:
    """Decide a document's split by its text. RETURNS (bool): It is held out."""
    digest = hashlib.blake2b(" ".join(text.split()).encode("utf8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") < share * 2**64


def sentence_starts(text: str) -> List[int]:
    """Find where sentences, list items and lines begin. RETURNS (List[int]): Offsets."""
    return [0, *(match.end() for match in _ENDS.finditer(text))]


class _Writer:
    """Appends documents to raw files and turns them into arrays at the end."""

    def __init__(self, folder: Path, n_pieces: int):
        folder.mkdir(parents=True)
        self.folder = folder
        self.dtypes = {"ids": "uint16" if n_pieces <= 65536 else "uint32", "flags": "uint8"}
        self.dtypes["entries"] = "int32"
        self.files = {name: (folder / f"{name}.raw").open("wb") for name in self.dtypes}
        self.lengths: List[int] = []
        self.sources: List[int] = []
        self.words = self.characters = 0

    def add(
        self, source: int, characters: int, ids: NDArray, flags: NDArray, entries: NDArray
    ) -> None:
        for name, array in zip(self.files, (ids, flags, entries)):
            self.files[name].write(array.astype(self.dtypes[name]).tobytes())
        self.lengths.append(len(ids))
        self.sources.append(source)
        self.words += int((flags & WORD > 0).sum())
        self.characters += characters

    def close(self) -> Dict[str, int]:
        for name, file in self.files.items():
            file.close()
            raw = numpy.memmap(file.name, self.dtypes[name], "r") if sum(self.lengths) else []
            numpy.save(self.folder / f"{name}.npy", numpy.asarray(raw, self.dtypes[name]))
            del raw
            Path(file.name).unlink()
        starts = numpy.concatenate([[0], numpy.cumsum(self.lengths, dtype="int64")])
        numpy.save(self.folder / "documents.npy", starts.astype("int64"))
        numpy.save(self.folder / "sources.npy", numpy.array(self.sources, "int32"))
        sums = {"documents": len(self.lengths), "pieces": int(starts[-1])}
        return {**sums, "words": self.words, "characters": self.characters}


def _groups(passages: Iterable[Passage]) -> Iterator[List[Passage]]:
    group: List[Passage] = []
    for passage in passages:
        group.append(passage)
        if len(group) == CHUNK:
            yield group
            group = []
    if group:
        yield group


def _tokenise(
    group: Sequence[Passage], backend: Tokenizer, lexicon: Optional[Lexicon]
) -> Iterator[Tuple[NDArray, NDArray, NDArray]]:
    texts = [passage.text for passage in group]
    for text, encoding in zip(texts, backend.encode_batch(texts, add_special_tokens=False)):
        words = numpy.array(encoding.word_ids, dtype="int64")
        offsets = numpy.array(encoding.offsets, dtype="int64").reshape(-1, 2)
        ids = numpy.array(encoding.ids, dtype="int64")
        yield (ids, *_mark(text, words, offsets, lexicon))


def _mark(
    text: str, words: NDArray, offsets: NDArray, lexicon: Optional[Lexicon]
) -> Tuple[NDArray, NDArray]:
    """Flag where words, sentences and mentions begin, and name the entry of each mention."""
    flags = numpy.zeros(len(words), dtype="uint8")
    entries = numpy.zeros(len(words), dtype="int32")
    if not len(words):
        return flags, entries
    begins = numpy.flatnonzero(numpy.diff(words, prepend=-1))
    flags[begins] |= WORD
    starts = offsets[begins, 0]
    first = numpy.searchsorted(starts, sentence_starts(text))
    flags[begins[numpy.unique(first[first < len(starts)])]] |= SENTENCE
    if lexicon is not None:
        ends = offsets[numpy.append(begins[1:], len(words)) - 1, 1]
        found = lexicon.find([text[i:j] for i, j in zip(starts.tolist(), ends.tolist())])
        begins = numpy.append(begins, len(words))
        for start, end, entry in found:
            entries[begins[start] : begins[end]] = entry + 1
            flags[begins[start]] |= MENTION
    return flags, entries
