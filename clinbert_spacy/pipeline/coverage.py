"""`clinbert.coverage.v1`: how much of each note the transformer read, kept on the note."""

from typing import Any, Callable, List

from spacy.tokens import Doc, SpanGroup

from .. import attributes

Setter = Callable[[List[Doc], Any], None]


def configure_coverage() -> Setter:
    """Registered under `annotation_setters`, for `set_extra_annotations` of the transformer.

    RETURNS (Callable): Takes Docs and the transformer's batch.
    """
    attributes.install()
    return set_coverage


def set_coverage(docs: List[Doc], batch: Any) -> None:
    """Write the counts of a batch to `doc.spans["clinbert_coverage"].attrs`.

    docs (List[Doc]): The notes.
    batch (FullTransformerBatch): What a clinical transformer gave for them; empty Docs alone come
        without counts and get zeros.
    """
    empty = dict.fromkeys(("tokens", "wordpieces", "windows", "unknown", "truncated"), 0)
    for doc, data in zip(docs, batch.doc_data):
        counts = getattr(data, "counts", None) or empty
        doc.spans[attributes.COVERAGE_KEY] = SpanGroup(
            doc, name=attributes.COVERAGE_KEY, attrs=dict(counts)
        )
