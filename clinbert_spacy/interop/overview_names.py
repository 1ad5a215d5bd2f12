"""Which mentions of a note name the same thing, and how a place in it is written."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import CONCEPTS_KEY
from ..attributes.told import words_of

Row = Dict[str, Any]
Place = Tuple[int, int]
DIGITS = 4


class Names:
    """Tells mentions of one thing from those of others: by linked concept, else by words.

    doc (Doc): A note; without `clinbert_linker` words alone count, in small letters.
    """

    def __init__(self, doc: Doc) -> None:
        group = doc.spans.get(CONCEPTS_KEY)
        rows = group.attrs.get("concepts", []) if group is not None else []
        self.by_place: Dict[Place, Dict[str, Any]] = {}
        self.by_words: Dict[Tuple[str, str], Dict[str, Any]] = {}
        for span, found in zip(group or (), rows):
            if found:
                best = {**found[0], "score": round(float(found[0]["score"]), DIGITS)}
                self.by_place.setdefault(tokens_of(span), best)
                self.by_words.setdefault((span.label_, words_of(span)), best)

    def concept(self, span: Span) -> Optional[Dict[str, Any]]:
        """Look up the likeliest concept: its own, or that of the same words elsewhere.

        span (Span): A mention. RETURNS (Optional[Dict[str, Any]]): id, name, score.
        """
        own = self.by_place.get(tokens_of(span))
        return own or self.by_words.get((span.label_, words_of(span)))

    def key(self, span: Span) -> str:
        """Name what a mention stands for.

        span (Span): A mention. RETURNS (str): Equal for mentions of one thing.
        """
        concept = self.concept(span)
        return f"id {concept['id']}" if concept else f"words {words_of(span)}"

    def about(self, spans: Sequence[Span]) -> Row:
        """Head a line. spans (Sequence[Span]): Its mentions. RETURNS (Row): name, concept."""
        return {"name": one_line(spans[0]), "concept": self.concept(spans[0])}


def tokens_of(span: Span) -> Place:
    """Give the place of a span in tokens. RETURNS (Place): Start and end."""
    return span.start, span.end


def one_line(*spans: Span) -> str:
    """Write spans for people. RETURNS (str): Their words, whatever white space was there."""
    return " ".join(word for span in spans for word in span.text.split())


def show(span: Span) -> Row:
    """Give the place of a span in a note. RETURNS (Row): start, end in characters, and text."""
    return {"start": span.start_char, "end": span.end_char, "text": span.text}


def show_all(spans: Sequence[Span]) -> List[Row]:
    """Give places, each once. RETURNS (List[Row]): In the order of the note."""
    found = {tokens_of(span): span for span in spans}
    return [show(found[place]) for place in sorted(found)]
