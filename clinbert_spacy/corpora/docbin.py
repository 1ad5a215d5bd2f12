"""spaCy's DocBin, in and out; the gold of record.to_doc survives its default settings."""
from pathlib import Path
from typing import Iterable, Iterator, Optional, Union

import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from .files import broken
from .record import COVERED_KEY, SPANS_KEY, AnnotatedNote, from_doc


def write_docs(docs: Iterable[Doc], path: Union[str, Path]) -> int:
    """Write Docs.

    docs (Iterable[Doc]): Docs.
    path (Union[str, Path]): a .spacy file.
    RETURNS (int): how many were written.
    """
    store = DocBin()
    for doc in docs:
        store.add(doc)
    store.to_disk(path)
    return len(store)


def read_docs(path: Union[str, Path], vocab: Optional[Vocab] = None) -> Iterator[Doc]:
    """Read Docs; what DocBin drops of the gold is put back from the span group.

    path (Union[str, Path]): a .spacy file.
    vocab (Optional[Vocab]): by default that of a blank English pipeline.
    YIELDS (Doc): the Docs.
    Raises CorpusError where the file is not a DocBin.
    """
    store = _load(Path(path))
    for doc in store.get_docs(vocab if vocab is not None else spacy.blank("en").vocab):
        if SPANS_KEY in doc.spans and "covered" in doc.spans[SPANS_KEY].attrs:
            doc.user_data[COVERED_KEY] = list(doc.spans[SPANS_KEY].attrs["covered"])
        yield doc


def _load(path: Path) -> DocBin:
    if not path.is_file():
        raise broken(path, 0, "a .spacy file (DocBin)", "none at this path")
    try:
        return DocBin().from_disk(path)
    except Exception as error:  # zlib, msgpack and numpy each raise their own
        kind = type(error).__name__
    raise broken(path, 0, "a .spacy file (DocBin)", f"something else ({kind})")


def read_docbin(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read a DocBin as notes.

    path (Union[str, Path]): a .spacy file.
    encoding (str): not used.
    YIELDS (AnnotatedNote): a note a Doc, named by its gold or else by its place in the file.
    """
    for i, doc in enumerate(read_docs(path), 1):
        named = doc.spans[SPANS_KEY].attrs.get("id", "") if SPANS_KEY in doc.spans else ""
        yield from_doc(doc, named or f"{Path(path).stem}-{i}")
