"""What a pipeline decided on a note and can be explained: classes, relations, entities."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Sequence, Tuple

from spacy.language import Language
from spacy.tokens import Doc

from ..attributes import ENTS_KEY, RELATIONS_KEY, relations

CLASSES, RELATIONS, ENTITIES = KINDS = ("classes", "relations", "entities")
FACTORIES = {
    "textcat": CLASSES,
    "textcat_multilabel": CLASSES,
    "clinbert_side_effects": RELATIONS,
    "clinbert_ner": ENTITIES,
}
EXPECTED = (
    "a clinbert.LongTextCat.v1 in textcat or textcat_multilabel, clinbert_ner or "
    "clinbert_side_effects"
)
Tokens = Tuple[int, int]


@dataclass(frozen=True)
class Source:
    """A component whose decisions can be explained.

    kind (str): one of `KINDS`. name (str): of the component. pipe (Any): the component.
    """

    kind: str
    name: str
    pipe: Any

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): its labels, numbered as its model does."""
        return tuple(self.pipe.labels)


@dataclass(frozen=True)
class Item:
    """A decision to explain.

    source (Source): whose. label (str): what was decided. places (Tuple): tokens of the entities
    that it is about, none for a class. probability (float): of the label; -1 where none is known.
    doc (Doc): the note, for a relation a copy with the pairs. target (Tuple[int, ...]): what the
    model calls it.
    """

    source: Source
    label: str
    places: Tuple[Tokens, ...]
    probability: float
    doc: Doc
    target: Tuple[int, ...]


def find_sources(
    nlp: Language, kinds: Sequence[str] = (), labels: Sequence[str] = ()
) -> List[Source]:
    """Find the components that can be explained.

    nlp (Language): the pipeline. kinds (Sequence[str]): some of `KINDS`; none: all that there are.
    labels (Sequence[str]): components that know one of these; none: all.
    RETURNS (List[Source]): classes first, then relations, then entities.
    RAISES (ValueError): there are none, or none of a kind, or nobody knows a label.
    """
    found = [
        Source(FACTORIES[factory], name, nlp.get_pipe(name))
        for name in nlp.pipe_names
        if (factory := nlp.get_pipe_meta(name).factory) in FACTORIES
        and "explain" in nlp.get_pipe(name).model.attrs
    ]
    # the entities that stand on a note are those of the last component
    late = [s for s in found if s.kind != CLASSES]
    last = {source.kind: source for source in late}
    found = [s for s in found if s.kind == CLASSES or last[s.kind] is s]
    _check_kinds(nlp, found, kinds)
    chosen = [source for kind in KINDS for source in found
              if source.kind == kind and kind in (kinds or KINDS)]  # fmt: skip
    _check_labels(chosen, labels)
    return [source for source in chosen if not labels or set(labels) & set(source.labels)]


def list_items(source: Source, doc: Doc, labels: Sequence[str] = ()) -> List[Item]:
    """List what a component decided on a note.

    source (Source): the component. doc (Doc): the note, annotated by its pipeline; not changed.
    labels (Sequence[str]): of these alone. Of classes, those decided yes if none is named.
    RETURNS (List[Item]): in the order of labels (classes), heads (relations) or tokens.
    """
    has_words = not all(token.is_space for token in doc)
    found = LISTS[source.kind](source, doc, labels) if has_words else []
    return [item for item in found if not labels or item.label in labels]


def _classes(source: Source, doc: Doc, labels: Sequence[str]) -> List[Item]:
    model, names = source.pipe.model, source.labels
    if not model.attrs["cut"](doc):
        return []
    values = [doc.cats[name] for name in names]
    threshold = source.pipe.cfg["threshold"] or 0.5
    said = model.attrs["decide"](model, names, values, threshold)
    return [
        Item(source, name, (), float(value), doc, (i,))
        for i, (name, value) in enumerate(zip(names, values))
        if labels or said[name] == "yes"
    ]


def _entities(source: Source, doc: Doc, labels: Sequence[str]) -> List[Item]:
    group = doc.spans.get(ENTS_KEY)
    if group is None:
        return []
    scores = group.attrs.get("scores") or [-1.0] * len(group)
    numbers = {label: i for i, label in enumerate(source.labels)}
    rows = [
        (span.start, span.end, span.label_, float(score))
        for span, score in zip(group, scores)
        if span.label_ in numbers
    ]
    return [
        Item(source, label, ((start, end),), score, doc, (start, end, numbers[label]))
        for start, end, label, score in sorted(rows)
    ]


def _relations(source: Source, doc: Doc, labels: Sequence[str]) -> List[Item]:
    found = relations(doc)
    if not found:
        return []
    # the questions are asked anew, and on a copy: a note keeps the answers alone
    asked = doc.copy()
    source.pipe.ask(asked, asked.ents)
    group = asked.spans[RELATIONS_KEY]
    spans = [(span.start, span.end) for span in group]
    pairs: Dict[Tuple[Tokens, Tokens], int] = {
        (spans[head], spans[tail]): i for i, (head, tail) in enumerate(group.attrs["pairs"])
    }
    numbers = {label: i for i, label in enumerate(source.labels)}
    items = []
    for row in found:
        ends = ((row.head.start, row.head.end), (row.tail.start, row.tail.end))
        if ends not in pairs or row.label not in numbers:
            raise ValueError(
                f"'{source.name}' did not write the relation of the tokens {ends[0]} and "
                f"{ends[1]}, or entities were changed after it: let it run behind the components "
                "that find entities, and no other that joins them behind it."
            )
        target = (pairs[ends], numbers[row.label])
        items.append(Item(source, row.label, ends, float(row.score), asked, target))
    return items


LISTS: Dict[str, Callable[[Source, Doc, Sequence[str]], List[Item]]] = {
    CLASSES: _classes,
    RELATIONS: _relations,
    ENTITIES: _entities,
}


def _check_kinds(nlp: Language, found: Sequence[Source], kinds: Sequence[str]) -> None:
    there = {source.kind for source in found}
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"Cannot explain {', '.join(unknown)}: expected {', '.join(KINDS)}.")
    if not there or set(kinds) - there:
        missing = ", ".join(kind for kind in kinds if kind not in there) or "anything"
        runs = ", ".join(nlp.pipe_names) or "nothing"
        raise ValueError(
            f"The pipeline has no component that decides on {missing} and can be explained (it "
            f"runs: {runs}): expected {EXPECTED}."
        )


def _check_labels(sources: Sequence[Source], labels: Sequence[str]) -> None:
    known = {label for source in sources for label in source.labels}
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(
            f"No label {', '.join(map(repr, unknown))} among those that can be explained: "
            f"{', '.join(sorted(known)) or 'there is none'}."
        )
