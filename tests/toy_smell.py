"""A pipeline that says of every item of the smell test what is expected, out of `user_data`."""

from collections import namedtuple
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from clinbert_spacy.evaluation.smell_items import read_items
from clinbert_spacy.evaluation.smell_test import place_entities

Relation = namedtuple("Relation", "head tail label")
Effect = namedtuple("Effect", "drug effect causality")
AXES = ("presence", "experiencer", "time", "drug_status")
VALUES, RELATIONS, EFFECTS = "toy_values", "toy_relations", "toy_effects"
TEXTS = {item.text: item for item in read_items().items}


@contextmanager
def extension(holder: Any, name: str, getter: Callable[[Any], Any]) -> Iterator[None]:
    """Set an extension, and put back what was there."""
    old = holder.get_extension(name) if holder.has_extension(name) else None
    holder.set_extension(name, getter=getter, force=True)
    try:
        yield
    finally:
        holder.remove_extension(name)
        if old:
            default, method, get, set_ = old
            given = {"default": default, "method": method, "getter": get, "setter": set_}
            holder.set_extension(name, **{k: x for k, x in given.items() if x is not None})


def spans_of(doc, item, check):
    wanted = [(t.start, t.end) for t in item.asks_for(check)]
    return [doc.char_span(*place, alignment_mode="expand") for place in wanted]


@Language.component("smell_test_oracle", assigns=["doc.ents"])
def find_entities(doc: Doc) -> Doc:
    return place_entities(doc, TEXTS[doc.text], {})


@Language.component("smell_test_answers")
def answer(doc: Doc) -> Doc:
    item = TEXTS[doc.text]
    values: dict = {}
    relations, effects = [], []
    for check in item.checks:
        if check.kind in AXES:
            (span,) = spans_of(doc, item, check)
            values.setdefault((span.start, span.end), {})[check.kind] = check.allowed[0]
        elif check.kind == "relation" and check.expected:
            relations.append(Relation(*spans_of(doc, item, check), check.label))
        elif check.kind == "causality":
            effects.append(Effect(*spans_of(doc, item, check), check.allowed[0]))
    doc.user_data |= {VALUES: values, RELATIONS: relations, EFFECTS: effects}
    return doc


def value_of(axis: str) -> Callable[[Span], Any]:
    def read(span: Span) -> Any:
        return span.doc.user_data.get(VALUES, {}).get((span.start, span.end), {}).get(axis)

    return read


@contextmanager
def clinbert_attributes() -> Iterator[None]:
    """The attributes of the contract over what `smell_test_answers` wrote."""
    status = {True: "found", False: "not_run"}
    docs = {
        "clinbert_relations": lambda doc: doc.user_data.get(RELATIONS, []),
        "clinbert_side_effects": lambda doc: doc.user_data.get(EFFECTS, []),
        "clinbert_side_effects_status": lambda doc: status[VALUES in doc.user_data],
    }  # fmt: skip
    spans = {f"clinbert_{axis}": value_of(axis) for axis in AXES}
    names = [(Doc, *x) for x in docs.items()] + [(Span, *x) for x in spans.items()]
    with extended(names):
        yield


@contextmanager
def extended(names: list) -> Iterator[None]:
    """Set several extensions."""
    if not names:
        yield
        return
    with extension(*names[0]), extended(names[1:]):
        yield


def make_perfect(*names: str) -> Language:
    nlp = spacy.blank("en", meta={"name": "perfect", "version": "1.0.0"})
    for name in names or ("smell_test_oracle", "smell_test_answers"):
        nlp.add_pipe(name)
    return nlp
