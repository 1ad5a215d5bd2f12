"""Cut a text at entity borders, so that overlapping entities can be shown; text stays whole."""

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Sequence, Tuple

from spacy.tokens import Doc, Span

from ..attributes import ENTS_KEY, SideEffect, relations, side_effects

EFFECT = "ADVERSE_EFFECT"
HEAD, TAIL = "head", "tail"


@dataclass(frozen=True)
class Entity:
    """An entity by characters. `score` is -1 where the pipeline gives none.

    said (Tuple[str, ...]): what is said of it beside the usual: `absent`, `family`, `stopped`, ...
    concept (str): the likeliest concept, for people; "" for none.
    marks (Tuple[Tuple[int, str], ...]): numbers of the relations that it is an end of, and which
        end: "head" or "tail".
    """

    start: int
    end: int
    label: str
    score: float = -1.0
    said: Tuple[str, ...] = ()
    concept: str = ""
    marks: Tuple[Tuple[int, str], ...] = ()

    @property
    def place(self) -> Tuple[int, int, str]:
        """What makes it the same entity for two components: its characters and its label."""
        return self.start, self.end, self.label

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
class Link:
    """A relation by characters, and of an adverse effect what is said of it.

    head (Entity), tail (Entity): its ends. label (str): its name. score (float): its probability.
    value (Optional[Entity]): that of a test. causality (str), kind (str), assertion (str), status
    (str): see `attributes.SideEffect`; "" for other relations and where nobody judged.
    current (Optional[bool]): whether the patient has it; None for other relations.
    """

    head: Entity
    tail: Entity
    label: str
    score: float
    value: Optional[Entity] = None
    causality: str = ""
    kind: str = ""
    assertion: str = ""
    status: str = ""
    current: Optional[bool] = None

    @property
    def is_effect(self) -> bool:
        """Whether a drug did, may have done or did not do it."""
        return self.label == EFFECT


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


def links_of(doc: Doc) -> List[Link]:
    """Relations of a doc, in the order of `doc._.clinbert_relations`; empty if nobody looked."""
    effects = iter(side_effects(doc))
    return [
        _effect_link(next(effects))
        if row.label == EFFECT
        else Link(_end(row.head), _end(row.tail), row.label, float(row.score))
        for row in relations(doc)
    ]


def _end(span: Span) -> Entity:
    return Entity(span.start_char, span.end_char, span.label_)


def _effect_link(effect: SideEffect) -> Link:
    return Link(
        _end(effect.drug),
        _end(effect.effect),
        EFFECT,
        float(effect.score),
        _end(effect.value) if effect.value is not None else None,
        effect.causality,
        effect.kind,
        effect.assertion or "",
        effect.drug_status or "",
        effect.is_current_reaction,
    )


def mark_ends(entities: Sequence[Entity], links: Sequence[Link]) -> List[Entity]:
    """Number relations from 1 and mark the entities at their ends with the numbers.

    entities (Sequence[Entity]): of a note. links (Sequence[Link]): its relations.
    RETURNS (List[Entity]): in text order; ends that are none of the entities are added.
    """
    ends: Dict[Tuple[int, int, str], Entity] = {}
    marks: Dict[Tuple[int, int, str], List[Tuple[int, str]]] = {}
    for number, link in enumerate(links, 1):
        for end, name in ((link.head, HEAD), (link.tail, TAIL)):
            ends.setdefault(end.place, end)
            marks.setdefault(end.place, []).append((number, name))
    there = {entity.place for entity in entities}
    found = [*entities, *(end for place, end in ends.items() if place not in there)]
    marked = [replace(entity, marks=tuple(marks.get(entity.place, ()))) for entity in found]
    return sorted(marked, key=lambda entity: entity.place)


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
