"""clinbert.Corpus.v1: public corpora as training examples with partial labels."""
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Example

from ..attributes import ENTS_KEY
from .bioc import read_bioc
from .brat import read_brat
from .docbin import read_docbin
from .files import CorpusError, broken
from .harmonise import to_product
from .layers import read_notes
from .links import link_attrs, name_drug, related
from .pubtator import read_pubtator
from .record import AnnotatedNote, LabelScheme, scheme_of, to_doc, with_meta
from .schema import CorpusSchema, get_schema
from .segment import split_note
from .snippets import read_snippets
from .splits import read_excluded, take_fold, take_part
from .tables import read_ade, read_csv, read_psytar, read_spl_adr

Sources = Union[Sequence[Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]
FORMATS: Dict[str, Callable[..., Iterator[AnnotatedNote]]] = {
    "pubtator": read_pubtator,
    "brat": read_brat,
    "notes": read_notes,
    "bioc": read_bioc,
    "csv": read_csv,
    "docbin": read_docbin,
    "ade": read_ade,
    "psytar": read_psytar,
    "spl_adr": read_spl_adr,
    "snippets": read_snippets,
}
# One file of a corpus in another format than that of its folder.
BY_SUFFIX = {
    ".xml": "bioc", ".spacy": "docbin", ".csv": "csv", ".tsv": "csv", ".tab": "csv",
    ".pubtator": "pubtator", ".ann": "brat",
}  # fmt: skip
# A block of this name is any DocBin, its labels and what they cover taken as they are.
DOCBIN = "docbin"
# Formats whose public files hold a few wrong offsets: read on, and count them.
LENIENT = {"pubtator", "brat", "bioc"}


def read_corpus(
    name: str,
    path: Union[str, Path],
    parts: Optional[Sequence[str]] = None,
    encoding: str = "utf-8",
) -> Iterator[AnnotatedNote]:
    """Read a known corpus.

    name (str): its name in schema.py; "docbin": any .spacy file.
    path (Union[str, Path]): its folder, or one file; the suffix tells BioC (.xml), DocBin
        (.spacy), CSV, PubTator and brat (.ann) from the corpus' own format.
    parts (Optional[Sequence[str]]): official parts, e.g. ["train"], where the folder has them.
    encoding (str): encoding of its files.
    YIELDS (AnnotatedNote): its notes, each once, with meta "corpus" and, where known, "split".
    Raises CorpusError for an unknown name or part, a missing file, a broken file.
    """
    if name == DOCBIN:
        yield from _plain_docbin(path, parts)
        return
    schema = get_schema(name)
    seen: Dict[str, str] = {}
    for part, file in _files(schema, Path(path), parts):
        for note in _notes_of(schema, file, encoding):
            if seen.get(note.id) == note.text:
                continue  # NCBI holds one abstract twice
            if note.id in seen:
                raise broken(file, 0, "unique note ids", f"two notes {note.id!r}")
            seen[note.id] = note.text
            meta = {"split": part} if part else {}
            yield with_meta(note, corpus=name, **meta, **related(name, note))


def _plain_docbin(
    path: Union[str, Path], parts: Optional[Sequence[str]]
) -> Iterator[AnnotatedNote]:
    if parts:
        raise CorpusError(f"{path}: a DocBin has no official parts, found parts={list(parts)}.")
    notes = list(read_docbin(path))
    # Where nobody said what was covered, all of the file's labels were.
    covered = list(scheme_of(notes).covered)
    for note in notes:
        yield with_meta(note, corpus=DOCBIN, covered=note.meta.get("covered", covered))


def _notes_of(schema: CorpusSchema, file: Path, encoding: str) -> Iterator[AnnotatedNote]:
    kind = BY_SUFFIX.get(file.suffix.lower(), schema.format) if file.is_file() else schema.format
    extra = {"strict": False} if kind in LENIENT else {}
    for note in FORMATS[kind](file, encoding=encoding, **extra):
        # The corpus' table says what is covered in the task at hand.
        own = {key: value for key, value in note.meta.items() if key != "covered"}
        yield replace(note, meta=own)


def _files(
    schema: CorpusSchema, path: Path, parts: Optional[Sequence[str]]
) -> List[tuple]:
    if not path.exists():
        raise broken(path, 0, f"the corpus {schema.name}", "nothing at this path")
    if path.is_file() or not schema.parts:
        if parts:
            found = list(parts)
            raise CorpusError(f"{path}: no official parts to choose from, found parts={found}.")
        by_file = {file: part for part, file in schema.parts.items()}
        return [(by_file.get(path.name, ""), path)]
    unknown = sorted(set(parts or ()) - set(schema.parts))
    if unknown:
        raise CorpusError(f"{schema.name}: expected parts {sorted(schema.parts)}, found {unknown}.")
    chosen = list(parts or [part for part, file in schema.parts.items() if (path / file).is_file()])
    if not chosen:
        raise broken(path, 0, f"one of {sorted(schema.parts.values())}", "none of them")
    return [(part, path / schema.parts[part]) for part in chosen]


def create_corpus(
    sources: Any,
    scheme: str = "product",
    max_length: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    limit: int = 0,
    split: str = "",
    splits: Optional[Union[str, Path]] = None,
    exclude: Optional[Union[str, Path]] = None,
    entities: float = 0.0,
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.Corpus.v1.

    sources (Any): a list of blocks, or blocks by name, with "path" and, where it differs from
        the block's name, "corpus" ("docbin" for any .spacy file); optional "parts", "encoding",
        "limit", "split", "splits", and "repeat", how often each of its notes is read: a fraction
        by chance, anew whenever the corpus is listed (once in a training with max_epochs = 0);
        "fold" of "folds" by the group, left out, or with "held_out" alone; "name_drug" puts the
        drug that a text is about before it.
    scheme (str): "product", or "own" for one corpus' own labels.
    max_length (int): tokens; longer notes are cut at a blank line or sentence end. 0: never.
    shuffle (bool): another order in every epoch.
    seed (int): for the order and for limits.
    limit (int): at most so many examples; 0: all.
    split (str): "train", "dev" or "test" of `splits`; of a hash of the group without a manifest.
    splits (Optional[Union[str, Path]]): manifest written by splits.write_splits; notes that it
        does not list are in no part.
    exclude (Optional[Union[str, Path]]): list written by splits.write_excluded.
    entities (float): share of the notes, by chance, whose gold entities stand on the predicted
        Docs too, for components that judge entities.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader.
    """
    blocks = _blocks(sources)
    if scheme != "product" and any(block.get("name_drug") for block in blocks):
        raise CorpusError(f"'name_drug' adds a DRUG: expected scheme 'product', found {scheme!r}.")
    # Read once, when first asked for: a config can be built where its files are not.
    cache: Dict[str, List[List[AnnotatedNote]]] = {}
    rng = random.Random(seed)

    def read(nlp: Language) -> Iterator[Example]:
        if "notes" not in cache:
            adapt = to_product if scheme == "product" else _as_is
            cache["notes"] = [
                [p for n in notes for p in split_note(adapt(n), nlp.make_doc, max_length)]
                for notes in select_notes(blocks, seed, split, splits, exclude)
            ]
        notes = _repeat(cache["notes"], blocks, rng)
        if shuffle:
            rng.shuffle(notes)
        for note in notes[: limit or None]:
            example = to_example(note, nlp, _scheme(note, scheme))
            if entities and rng.random() < entities:
                lay_entities(example)
            yield example

    return read


def _as_is(note: AnnotatedNote) -> AnnotatedNote:
    return note


def _scheme(note: AnnotatedNote, name: str) -> LabelScheme:
    corpus = str(note.meta["corpus"])
    return scheme_of([note]) if corpus == DOCBIN else get_schema(corpus).scheme(name)


def _blocks(sources: Sources) -> List[Dict[str, Any]]:
    if isinstance(sources, Mapping):
        sources = [{"corpus": name, **block} for name, block in sources.items()]
    known = {"corpus", "path", "parts", "encoding", "limit", "repeat", "split", "splits", "fold",
             "folds", "held_out", "name_drug"}  # fmt: skip
    for block in sources:
        if not {"corpus", "path"} <= set(block) or set(block) - known:
            raise CorpusError(
                f"A source needs 'corpus' and 'path' and may have {sorted(known)}; found "
                f"{sorted(block)}."
            )
        if "folds" not in block and {"fold", "held_out"} & set(block):
            raise CorpusError(f"Source {block['corpus']!r} has a fold; expected 'folds' too.")
        if block["corpus"] != DOCBIN:
            get_schema(block["corpus"])
    return [dict(block) for block in sources]


def select_notes(
    blocks: List[Dict[str, Any]],
    seed: int,
    split: str,
    manifest: Optional[Union[str, Path]],
    exclude: Optional[Union[str, Path]],
) -> Iterator[List[AnnotatedNote]]:
    """Read the notes of each block.

    blocks (List[Dict[str, Any]]): as in create_corpus, with "corpus".
    seed (int): for limits.
    split (str): part of `manifest`, for blocks that name none.
    manifest (Optional[Union[str, Path]]): written by splits.write_splits.
    exclude (Optional[Union[str, Path]]): list written by splits.write_excluded.
    YIELDS (List[AnnotatedNote]): the notes of each block, in their corpus' own labels.
    """
    dropped = read_excluded(exclude) if exclude else set()
    for block in blocks:
        notes: Iterable[AnnotatedNote] = read_corpus(
            block["corpus"], block["path"], block.get("parts"), block.get("encoding", "utf-8")
        )
        part, table = block.get("split", split), block.get("splits", manifest)
        if block.get("splits") and not part:
            raise CorpusError(f"Source {block['corpus']!r} has 'splits'; expected a 'split' too.")
        notes = take_part(notes, part, table) if part else notes
        if "folds" in block:
            held_out = bool(block.get("held_out"))
            notes = take_fold(notes, block.get("fold", 0), block["folds"], held_out)
        notes = [note for note in notes if (block["corpus"], note.id) not in dropped]
        notes = [name_drug(note) for note in notes] if block.get("name_drug") else notes
        if block.get("limit"):
            random.Random(seed).shuffle(notes)
        yield notes[: block.get("limit") or None]


def _repeat(
    notes: List[List[AnnotatedNote]], blocks: List[Dict[str, Any]], rng: random.Random
) -> List[AnnotatedNote]:
    """Draw one pass: every note `repeat` times, the fraction by chance."""
    drawn: List[AnnotatedNote] = []
    for group, block in zip(notes, blocks, strict=True):
        whole, part = divmod(float(block.get("repeat", 1)), 1.0)
        drawn.extend(group * int(whole))
        drawn.extend(note for note in group if part and rng.random() < part)
    return drawn


def lay_entities(example: Example) -> None:
    """Put the gold entities of an Example on its predicted Doc.

    example (Example): changed; both Docs have the same tokens.
    """
    doc = example.predicted
    doc.set_ents([Span(doc, e.start, e.end, label=e.label) for e in example.reference.ents])


def to_example(note: AnnotatedNote, nlp: Language, scheme: LabelScheme) -> Example:
    """Make a training example.

    note (AnnotatedNote): a note.
    nlp (Language): for its tokenizer.
    scheme (LabelScheme): labels of the task.
    RETURNS (Example): the bare tokens beside the same tokens with gold.
    """
    reference = to_doc(note, nlp.make_doc, scheme)
    reference.spans[ENTS_KEY].attrs.update(link_attrs(note))
    return Example(nlp.make_doc(note.text), reference)
