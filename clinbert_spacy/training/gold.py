"""Annotated corpora as rows of pieces with a tag each: what pretraining learns names from."""

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..corpora.readers import select_notes
from ..corpora.record import AnnotatedNote, LabelScheme
from ..corpora.schema import get_schema
from .objectives import IGNORED
from .sequences import Pieces


@dataclass
class GoldCorpus:
    """An annotated corpus, cut into stretches of pieces.

    labels (List[str]): Its own labels; tag 1 + 2i begins label i, tag 2 + 2i goes on.
    ids (List[NDArray]): Pieces of each stretch.
    tags (List[NDArray]): Tags of each; `IGNORED` inside words and where nothing is known.
    """

    labels: List[str]
    ids: List[NDArray]
    tags: List[NDArray]

    @property
    def n_tags(self) -> int:
        """Tags with `O`. RETURNS (int): Their number."""
        return 1 + 2 * len(self.labels)


def read_gold(
    sources: Mapping[str, Mapping[str, Any]], backend: Tokenizer, body: int, exclude: str = ""
) -> Dict[str, GoldCorpus]:
    """Read annotated corpora in their own labels.

    sources (Mapping): Blocks by name, as in `clinbert.Corpus.v1`.
    backend (Tokenizer): Cuts text into pieces.
    body (int): Most pieces a stretch.
    exclude (str): List of notes to leave out, as in `clinbert.Corpus.v1`.
    RETURNS (Dict[str, GoldCorpus]): By name.
    """
    blocks = [{"corpus": name, **block} for name, block in sources.items()]
    groups = select_notes(blocks, 0, "", None, exclude or None)
    return {
        name: _corpus(get_schema(block["corpus"]).scheme("own"), notes, backend, body)
        for name, block, notes in zip(sources, blocks, groups)
    }


def _corpus(
    scheme: LabelScheme, notes: Sequence[AnnotatedNote], backend: Tokenizer, body: int
) -> GoldCorpus:
    found = GoldCorpus(list(scheme.covered), [], [])
    encoded = backend.encode_batch([note.text for note in notes], add_special_tokens=False)
    for note, encoding in zip(notes, encoded):
        words = numpy.array(encoding.word_ids, dtype="int64")
        offsets = numpy.array(encoding.offsets, dtype="int64").reshape(-1, 2)
        tags = _tags(note, scheme, words, offsets)
        for start, end in _cuts(words, tags, body):
            found.ids.append(numpy.array(encoding.ids[start:end], dtype="int64"))
            found.tags.append(tags[start:end])
    return found


def _tags(note: AnnotatedNote, scheme: LabelScheme, words: NDArray, offsets: NDArray) -> NDArray:
    tags = numpy.zeros(len(words), dtype="int64")
    taken = numpy.zeros(len(words), dtype=bool)
    for start, end in note.meta.get("unknown", ()):
        tags[_inside(offsets, start, end)] = IGNORED
    # The longest of nested names; a label that may be two things teaches neither.
    for mention in sorted(note.mentions, key=lambda m: m.start - m.end):
        allowed = scheme.allowed(note.id, mention)
        where = _inside(offsets, mention.start, mention.end)
        if not len(where) or taken[where].any():
            continue
        if len(allowed) == 1:
            number = scheme.covered.index(allowed[0])
            tags[where] = 2 + 2 * number
            tags[where[0]] = 1 + 2 * number
            taken[where] = True
        elif allowed or mention.label in scheme.unknown:
            tags[where] = IGNORED
    tags[numpy.diff(words, prepend=-1) == 0] = IGNORED
    return tags


def _inside(offsets: NDArray, start: int, end: int) -> NDArray:
    return numpy.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))


def _cuts(words: NDArray, tags: NDArray, body: int) -> Iterator[Tuple[int, int]]:
    """Cut between words and outside of names, as late as fits."""
    start = 0
    while start < len(words):
        end = min(start + body, len(words))
        if end < len(words):
            outside = (tags[start + 1 : end + 1] != IGNORED) & (tags[start + 1 : end + 1] % 2 == 1)
            outside |= tags[start + 1 : end + 1] == 0
            places = numpy.flatnonzero(outside)
            end = start + 1 + int(places[-1]) if len(places) and places[-1] >= body // 2 else end
        yield start, end
        start = end


def draw_gold(
    corpora: Mapping[str, GoldCorpus], count: int, pieces: Pieces, rng: numpy.random.Generator
) -> Tuple[NDArray, NDArray, NDArray, Dict[str, NDArray]]:
    """Draw stretches of the corpora, in proportion to the square root of their sizes.

    corpora (Mapping[str, GoldCorpus]): From `read_gold`.
    count (int): Rows to draw.
    pieces (Pieces): Special pieces.
    rng (numpy.random.Generator): Draws.
    RETURNS (Tuple): Ids, mask and tags of rows `[CLS] text [SEP]`, padded, and for each corpus
        the rows that are its own.
    """
    names = [name for name, corpus in corpora.items() if corpus.ids]
    sizes = numpy.sqrt([len(corpora[name].ids) for name in names])
    drawn = rng.choice(len(names), size=count, p=sizes / sizes.sum())
    chosen = [int(rng.integers(len(corpora[names[n]].ids))) for n in drawn]
    longest = 2 + max(len(corpora[names[n]].ids[i]) for n, i in zip(drawn, chosen))
    ids = numpy.full((count, longest), pieces.pad, dtype="int64")
    tags = numpy.full((count, longest), IGNORED, dtype="int64")
    mask = numpy.zeros((count, longest), dtype=bool)
    for row, (n, i) in enumerate(zip(drawn, chosen)):
        corpus = corpora[names[n]]
        size = len(corpus.ids[i])
        ids[row, 0], ids[row, size + 1] = pieces.cls, pieces.sep
        ids[row, 1 : size + 1] = corpus.ids[i]
        tags[row, 1 : size + 1] = corpus.tags[i]
        mask[row, : size + 2] = True
    rows = {name: numpy.flatnonzero(drawn == n) for n, name in enumerate(names)}
    return ids, mask, tags, {name: where for name, where in rows.items() if len(where)}
