"""spaCy's DocBin, in and out; the gold of record.to_doc survives its default settings."""
from pathlib import Path
from typing import Iterable, Iterator, Optional, Union

import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..attributes import ENTS_KEY
from .files import broken, replacing
from .record import COVERED_KEY, AnnotatedNote, from_doc


def write_docs(docs: Iterable[Doc], path: Union[str, Path]) -> int:
    """Write Docs.

    docs (Iterable[Doc]): Docs.
    path (Union[str, Path]): a .spacy file.
    RETURNS (int): how many were written.
    """
    store = DocBin()
    for doc in docs:
        store.add(doc)
    data = store.to_bytes()
    with replacing(path) as new:
        new.write_bytes(data)
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
        if ENTS_KEY in doc.spans and "covered" in doc.spans[ENTS_KEY].attrs:
            doc.user_data[COVERED_KEY] = list(doc.spans[ENTS_KEY].attrs["covered"])
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

    path (Union[str, Path]): a .spacy file, or a folder of them.
    encoding (str): not used.
    YIELDS (AnnotatedNote): a note a Doc, named by its gold or else by its place in the file.
    """
    path = Path(path)
    files = sorted(path.glob("*.spacy")) if path.is_dir() else [path]
    if not files:
        raise broken(path, 0, "a folder of .spacy files", "none")
    for file in files:
        for i, doc in enumerate(read_docs(file), 1):
            named = doc.spans[ENTS_KEY].attrs.get("id", "") if ENTS_KEY in doc.spans else ""
            yield from_doc(doc, named or f"{file.stem}-{i}")
