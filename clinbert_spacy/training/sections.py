"""clinbert.SectionedNotes.v1: notes with sections as training examples, their headings varied."""

import random
from typing import Any, Callable, Dict, Iterator, List, Mapping

from spacy.language import Language
from spacy.tokens import SpanGroup
from spacy.training import Example

from ..attributes import SECTIONS_KEY
from ..corpora.offsets import read_digests
from .section_texts import READERS, Part, Variation, write

KEYS = {"corpus", "path", "limit", "repeat", "without", "licence"}


def create_sectioned_notes(
    sources: Mapping[str, Mapping[str, Any]],
    variation: Mapping[str, float],
    shuffle: bool = True,
    seed: int = 0,
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.SectionedNotes.v1.

    sources (Mapping[str, Mapping[str, Any]]): blocks by name with "corpus" (notes, marked,
        mtsamples, mts_dialog, aci_bench), "path", and optionally "limit" (documents), "repeat"
        (times), "without" (mtsamples: a file such as assets/notes/out_of_style.jsonl, whose texts
        are left out) and "licence" (what weights that learn from it are bound to).
    variation (Mapping[str, float]): see section_texts.Variation; {} leaves headings as they are.
    shuffle (bool): another order, and other headings, in every epoch.
    seed (int): for both.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader; gold in
        `reference.spans["clinbert_sections"]`.
    """
    blocks = [_check(name, block) for name, block in sources.items()]
    changes = Variation(**variation)
    cache: Dict[str, List[List[Part]]] = {}
    rng = random.Random(seed)

    def read(nlp: Language) -> Iterator[Example]:
        if "notes" not in cache:
            cache["notes"] = [parts for block in blocks for parts in _read(block, seed)]
        order = list(cache["notes"])
        if shuffle:
            rng.shuffle(order)
        for parts in order:
            yield to_example(*write(parts, changes, rng), nlp)

    return read


def _check(name: str, block: Mapping[str, Any]) -> Mapping[str, Any]:
    corpus = block.get("corpus", name)
    if corpus not in READERS or "path" not in block or set(block) - KEYS:
        raise ValueError(
            f"Source {name!r}: expected 'corpus' (one of {', '.join(READERS)}), 'path', and of "
            f"{sorted(KEYS)} what applies; found {dict(block)}."
        )
    if "without" in block and corpus != "mtsamples":
        raise ValueError(f"Source {name!r}: 'without' is known to mtsamples alone. Take it out.")
    return {**block, "corpus": corpus}


def _read(block: Mapping[str, Any], seed: int) -> List[List[Part]]:
    options = {"without": read_digests(block["without"])} if block.get("without") else {}
    notes = [parts for parts in READERS[block["corpus"]](block["path"], **options) if parts]
    if block.get("limit"):
        random.Random(seed).shuffle(notes)
        notes = notes[: block["limit"]]
    return notes * int(block.get("repeat", 1))


def to_example(text: str, sections: List[List[Any]], nlp: Language) -> Example:
    """Make a training example.

    text (str): a note. sections (List[List[Any]]): start, end, name. nlp (Language): tokenizer.
    RETURNS (Example): the bare tokens beside the same tokens with sections.
    """
    reference = nlp.make_doc(text)
    spans = [
        reference.char_span(start, end, label=name, alignment_mode="expand")
        for start, end, name in sections
    ]
    reference.spans[SECTIONS_KEY] = SpanGroup(
        reference, name=SECTIONS_KEY, spans=[span for span in spans if span is not None]
    )
    return Example(nlp.make_doc(text), reference)
