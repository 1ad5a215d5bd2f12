"""Examples in which somebody found relations: written as `clinbert_side_effects` writes them."""

from typing import Any, Dict, Optional, Sequence, Tuple

import spacy
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from tests.toy_relations import Link, make_example, place

NLP = spacy.blank("en")
NLP.add_pipe("sentencizer")
CURRENT = {"presence": "present", "experiencer": "patient", "time": "current"}
Values = Dict[str, Dict[str, str]]


def annotate(doc: Doc, links: Sequence[Link], said: Optional[Values] = None) -> Doc:
    """Write relations between entities of a Doc, and what is said of single ones.

    links: words of head and tail, label, and of an effect causality and kind. said: by words.
    """
    spans = list(doc.ents)
    words = [span.text for span in spans]
    rows = [
        {"head": words.index(head), "tail": words.index(tail), "label": label, "score": 0.75,
         "causality": (values or ("stated", ""))[0], "kind": (values or ("", "reaction"))[1],
         "evidence": [], "cue": []}
        for head, tail, label, *values in links
    ]  # fmt: skip
    attrs = {"types": [span.label_ for span in spans], "relations": rows, "status": "found"}
    doc.spans["clinbert_relations"] = SpanGroup(doc, attrs=attrs, spans=spans)
    if said is not None:
        told = {"values": [said.get(span.text, {}) for span in spans]}
        doc.spans["clinbert_assertion"] = SpanGroup(doc, attrs=told, spans=spans)
    return doc


def found_example(
    note: Tuple[str, Sequence[Link]],
    links: Optional[Sequence[Link]] = None,
    entities: Any = None,
    told: Optional[Values] = None,
    said: Optional[Values] = None,
    **partial: Any,
) -> Example:
    """What was found beside the gold of a note.

    links: found, by default those of the gold. entities: found, by default those of the gold.
    told: assertion in the gold, by words. said: assertion that was found, by default the gold's.
    """
    marked, gold = note
    example = make_example(NLP, marked, gold, entities, **partial)
    example.predicted = NLP.get_pipe("sentencizer")(example.predicted)
    annotate(example.predicted, gold if links is None else links, told if said is None else said)
    if told is not None:
        attrs = example.reference.spans["clinbert_ents"].attrs
        text = example.reference.text
        attrs["asserted"] = [
            [start, end, label, told.get(text[start:end], {})]
            for start, end, label in attrs["gold"]
        ]
    return example


def places(example: Example, *words: str) -> Sequence[Tuple[int, int]]:
    """Characters of words in the note."""
    spans = place(example.reference, [(word, "X") for word in words])
    return [(span.start_char, span.end_char) for span in spans]
