"""The invented notes with all that people marked in them laid on Docs, as a pipeline writes it."""

from functools import cache
from pathlib import Path
from typing import Any, Dict, List, Tuple

import spacy
from spacy.tokens import Doc, Span, SpanGroup

from clinbert_spacy.attributes import ASSERTION_KEY, RELATIONS_KEY, SUMMARY_KEY
from clinbert_spacy.corpora.layers import read_notes
from clinbert_spacy.corpora.record import ASSERTED, AnnotatedNote, to_doc

NOTES = Path(__file__).parent.parent / "assets" / "notes"
PARTS = ("train", "dev", "test")


@cache
def tools() -> Tuple[Any, Any]:
    """A tokenizer, and rules that find the words which deny, for what people said is so."""
    nlp = spacy.blank("en")
    rules = nlp.create_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    return nlp, rules


@cache
def all_notes() -> List[AnnotatedNote]:
    return [note for part in PARTS for note in read_notes(NOTES / part)]


@cache
def gold_docs() -> List[Tuple[AnnotatedNote, Doc]]:
    """Every note with its Doc."""
    return [(note, lay_gold(note)) for note in all_notes()]


def lay_gold(note: AnnotatedNote) -> Doc:
    """Sections, sentences, entities, what is said of them with its cues, and relations."""
    nlp, rules = tools()
    doc = to_doc(note, nlp.make_doc)
    del doc.spans[SUMMARY_KEY]
    values = {_tokens(doc, m): _values(m) for m in note.mentions}
    findings = rules.ask(doc, doc.ents)
    spans = list(doc.spans[ASSERTION_KEY])
    rows = [values.get((span.start, span.end), {}) for span in spans]
    cues = [
        {axis: list(f.cue) for axis, f in found.items() if f.cue and f.value == row.get(axis)}
        for found, row in zip(findings, rows)
    ]
    doc.spans[ASSERTION_KEY] = SpanGroup(
        doc, name=ASSERTION_KEY, attrs={"values": rows, "cues": cues}, spans=spans
    )
    _relate(note, doc)
    return doc


def _tokens(doc: Doc, mention: Any) -> Tuple[int, int]:
    span = doc.char_span(mention.start, mention.end, alignment_mode="expand")
    return span.start, span.end


def _values(mention: Any) -> Dict[str, str]:
    named = {axis: mention.attributes.get(name) for name, axis in ASSERTED.items()}
    return {axis: str(value) for axis, value in named.items() if value}


def _relate(note: AnnotatedNote, doc: Doc) -> None:
    number = {mention.id: i for i, mention in enumerate(note.mentions)}
    spans = [Span(doc, *_tokens(doc, m), label=m.label) for m in note.mentions]
    rows = [
        {"head": number[r.head], "tail": number[r.tail], "label": r.label, "score": 1.0,
         "causality": str(r.attributes.get("Causality", "")),
         "kind": str(r.attributes.get("Kind", "")), "evidence": [], "cue": []}
        for r in note.relations
    ]  # fmt: skip
    attrs = {"relations": rows, "types": [], "status": "found"}
    doc.spans[RELATIONS_KEY] = SpanGroup(doc, name=RELATIONS_KEY, attrs=attrs, spans=spans)
