"""Cut a text at entity borders, so that overlapping entities can be shown; text stays whole."""

from dataclasses import dataclass
from typing import List, Sequence, Tuple

from spacy.tokens import Doc

from ..attributes import ENTS_KEY


@dataclass(frozen=True)
class Entity:
    """An entity by characters. `score` is -1 where the pipeline gives none.

    said (Tuple[str, ...]): what is said of it beside the usual: `absent`, `family`, `stopped`, ...
    concept (str): the likeliest concept, for people; "" for none.
    """

    start: int
    end: int
    label: str
    score: float = -1.0
    said: Tuple[str, ...] = ()
    concept: str = ""

    @property
    def tag(self) -> str:
        """Label and what is said of it, for people."""
        return " · ".join((self.label, *(value.replace("_", " ") for value in self.said)))

    @property
    def title(self) -> str:
        """All that is known, for people."""
        score = () if self.score < 0 else (f"{self.score:.2f}",)
        return " ".join((self.tag, *score, *([self.concept] if self.concept else [])))


@dataclass(frozen=True)
class Segment:
    """A stretch of text under the same entities.

    text (str): the stretch. inside (Tuple[Entity, ...]): entities over it, longest first.
    ending (Tuple[Entity, ...]): those that end with it.
    """

    text: str
    inside: Tuple[Entity, ...]
    ending: Tuple[Entity, ...]


def entities_of(doc: Doc) -> List[Entity]:
    """Entities of a doc with their probabilities, in text order.

    Read from `doc.spans["clinbert_ents"]`, or `doc.ents` where there is no such group.
    """
    if ENTS_KEY not in doc.spans:
        return [Entity(e.start_char, e.end_char, e.label_) for e in doc.ents]
    group = doc.spans[ENTS_KEY]
    scores = group.attrs.get("scores") or [-1.0] * len(group)
    found = [
        Entity(span.start_char, span.end_char, span.label_, float(score))
        for span, score in zip(group, scores, strict=True)
    ]
    return sorted(found, key=lambda e: (e.start, e.end, e.label))


def cut_at_borders(text: str, entities: Sequence[Entity]) -> List[Segment]:
    """Cut a text wherever an entity begins or ends. The pieces joined are the text.

    text (str): the text. entities (Sequence[Entity]): may overlap and nest.
    RETURNS (List[Segment]): in text order, none empty.
    """
    kept = [e for e in entities if 0 <= e.start < e.end <= len(text)]
    borders = sorted({0, len(text), *(e.start for e in kept), *(e.end for e in kept)})
    waiting = sorted(kept, key=lambda e: e.start, reverse=True)
    segments: List[Segment] = []
    active: List[Entity] = []
    for start, end in zip(borders, borders[1:], strict=False):
        active = [e for e in active if e.end > start]
        while waiting and waiting[-1].start == start:
            active.append(waiting.pop())
        active.sort(key=lambda e: (e.start - e.end, e.label))
        ending = tuple(e for e in active if e.end == end)
        segments.append(Segment(text[start:end], tuple(active), ending))
    return segments
