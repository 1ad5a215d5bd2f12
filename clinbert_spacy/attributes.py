"""Every custom attribute of the package in one table, and the getters behind them."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Type, Union

from spacy.tokens import Doc, Span

ENTS_KEY = "clinbert_ents"
COVERAGE_KEY = "clinbert_coverage"


class Attribute(NamedTuple):
    """A getter on a Doc or Span.

    holder (type): `Doc` or `Span`.
    name (str): Name behind `._`.
    getter (Callable): Computes the value from span groups and their attrs.
    meaning (str): One sentence for the documentation.
    """

    holder: Union[Type[Doc], Type[Span]]
    name: str
    getter: Callable[[Any], Any]
    meaning: str


def entity_score(span: Span) -> Optional[float]:
    """Look up the probability that `clinbert_ner` gave an entity.

    span (Span): An entity of `doc.ents` or `doc.spans["clinbert_ents"]`.
    RETURNS (Optional[float]): Probability in [0, 1], None for spans of other components.
    """
    group = span.doc.spans.get(ENTS_KEY)
    scores: List[float] = group.attrs.get("scores", []) if group is not None else []
    if not scores:
        return None
    wanted = (span.start, span.end, span.label)
    for other, score in zip(group, scores):
        if (other.start, other.end, other.label) == wanted:
            return score
    return None


def coverage(doc: Doc) -> Optional[Dict[str, int]]:
    """Count what the transformer read of a note.

    doc (Doc): An annotated note.
    RETURNS (Optional[Dict[str, int]]): tokens, wordpieces, windows, unknown (pieces without an
        entry in the vocabulary), truncated (always 0); None if the transformer did not run.
    """
    group = doc.spans.get(COVERAGE_KEY)
    return dict(group.attrs) if group is not None else None


ATTRIBUTES = (
    Attribute(Span, "clinbert_score", entity_score, "probability of the entity"),
    Attribute(Doc, "clinbert_coverage", coverage, "what the transformer read of the note"),
)


def install() -> None:
    """Register every attribute that is not there yet.

    RAISES (ValueError): Another package holds one of the names.
    """
    for holder, name, getter, _ in ATTRIBUTES:
        if not holder.has_extension(name):
            holder.set_extension(name, getter=getter)
        elif holder.get_extension(name)[2] is not getter:
            raise ValueError(
                f"{holder.__name__}._.{name} is already defined by another package. Remove that "
                "extension before loading clinbert components."
            )
