"""One process encodes, on a GPU if there is one; others work on Docs, by spaCy's own pipe."""

from typing import Any, Iterable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from thinc.util import to_numpy

CLEANER = "doc_cleaner"


def pipe_in_workers(
    encoder: Language,
    heads: Language,
    texts: Iterable[str],
    *,
    n_process: int = 2,
    batch_size: int = 32,
) -> Iterator[Doc]:
    """Encode notes here, and have all that reads their vectors run in worker processes.

    The workers take a batch when they are free, while the next ones are encoded.

    encoder (Language): A pipeline that writes `doc._.trf_data`, on any device.
    heads (Language): The components that read it, on the CPU: the same pipeline, loaded before
        `spacy.prefer_gpu()` and without its transformer. It gets a `doc_cleaner` behind its last
        component, if it has none: vectors are not handed back.
    texts (Iterable[str]): Notes. n_process (int): Workers. batch_size (int): Notes a batch.
    YIELDS (Doc): As `encoder` and `heads` one after the other give them, in order.
    RAISES (ValueError): `heads` has a component that `encoder` runs already, or there are fewer
        than one worker.
    """
    twice = [name for name in heads.pipe_names if name in encoder.pipe_names]
    if twice or n_process < 1:
        raise ValueError(
            f"n_process = {n_process}, and both pipelines run {', '.join(twice) or 'nothing'}: "
            "expected 1 or more workers, and no component in both. Load heads with exclude=[...] "
            "for what encoder does, and the other way round."
        )
    if CLEANER not in {heads.get_pipe_meta(name).factory for name in heads.pipe_names}:
        heads.add_pipe(CLEANER, name="clinbert_cleaner")
    encoded = (to_cpu(doc) for doc in encoder.pipe(texts, batch_size=batch_size))
    if n_process == 1:  # as workers do: components know the strings of their own vocabulary
        encoded = (Doc(heads.vocab).from_bytes(doc.to_bytes()) for doc in encoded)
    yield from heads.pipe(encoded, n_process=n_process, batch_size=batch_size)


def to_cpu(doc: Doc) -> Doc:
    """Bring the vectors on a Doc to where other processes can have them.

    doc (Doc): Changed in place. RETURNS (Doc): The same.
    """
    data: Any = doc._.trf_data if Doc.has_extension("trf_data") else None
    for name, array in (data.model_output.items() if data is not None else ()):
        data.model_output[name] = to_numpy(array)
    return doc
