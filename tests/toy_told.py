"""Notes on which all is laid by hand: what is judged, related, a section, an identifier."""

import re
from bisect import bisect
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from clinbert_spacy.attributes import ASSERTION_KEY, RELATIONS_KEY, SECTIONS_KEY, SUMMARY_KEY
from clinbert_spacy.pipeline.summary import Summary

NAME = "clinbert_summary"
PRESENT = {"presence": "present", "experiencer": "patient", "time": "current"}
ABSENT = {**PRESENT, "presence": "absent"}
CENTRAL = {"method": "central", "model": None}
BLANK = spacy.blank("en")
SENTENCES = BLANK.create_pipe("clinbert_sentences")
# Words, label, values by axis, and words of the cue by axis.
Judged = Sequence[Any]


def has(words: str, label: str = "SYMPTOM", **values: str) -> Judged:
    """A problem of the patient, or with other values."""
    return words, label, {**PRESENT, **values}


def drug(words: str, status: str = "active") -> Judged:
    """A drug and its status."""
    return words, "DRUG", {"drug_status": status}


def denied(words: str, cue: str) -> Judged:
    """A problem that words elsewhere deny."""
    return words, "SYMPTOM", ABSENT, {"presence": cue}


def effect(drug_words: str, words: str, **said: str) -> Tuple[str, str, Mapping[str, str]]:
    """A side effect that is there, or of which something else is said."""
    return drug_words, words, {"causality": "stated", "kind": "reaction", "assertion": "", **said}


def place(doc: Doc, words: str, label: str = "") -> Span:
    """Words that stand in a note; `words@2`: where they do for the second time."""
    words, _, count = words.partition("@")
    found = [match.span() for match in re.finditer(re.escape(words), doc.text)]
    span = doc.char_span(*found[int(count or 1) - 1], label=label)
    assert span is not None
    return span


def split(text: str) -> Doc:
    """A note with sentences."""
    return SENTENCES(BLANK.make_doc(text))


def lay(
    text: str,
    judged: Sequence[Judged] = (),
    effects: Sequence[Any] = (),
    values: Sequence[Tuple[str, str]] = (),
    sections: Sequence[Tuple[str, str, int]] = (),
    phi: Sequence[str] = (),
) -> Doc:
    """A note with all that a pipeline might have written on it.

    effects: pairs of words and what is said; values: words of a test and its value; sections: all
    of its words, its name and the length of its heading.
    """
    doc = split(text)
    spans = [place(doc, words, label) for words, label, *_ in judged]
    order = sorted(range(len(spans)), key=lambda i: spans[i].start)
    doc.set_ents([spans[i] for i in order])
    rows = [judged[i] for i in order if len(judged[i]) > 2]
    if judged:
        cues = [{a: _range(doc, w) for a, w in (row[3:] or [{}])[0].items()} for row in rows]
        attrs: Dict[str, Any] = {"values": [dict(row[2]) for row in rows], "cues": cues}
        kept = [spans[i] for i in order if len(judged[i]) > 2]
        doc.spans[ASSERTION_KEY] = SpanGroup(doc, name=ASSERTION_KEY, attrs=attrs, spans=kept)
    _relate(doc, effects, values)
    if sections:
        found = [place(doc, words, name) for words, name, _ in sections]
        lengths = [length for *_, length in sections]
        attrs = {"headings": lengths, "titled": list(map(bool, lengths))}
        doc.spans[SECTIONS_KEY] = SpanGroup(doc, name=SECTIONS_KEY, attrs=attrs, spans=found)
    if phi:
        doc.spans["clinbert_phi"] = SpanGroup(doc, spans=[place(doc, words) for words in phi])
    return doc


def _range(doc: Doc, words: str) -> List[int]:
    span = place(doc, words)
    return [span.start, span.end]


def _relate(doc: Doc, effects: Sequence[Any], values: Sequence[Tuple[str, str]]) -> None:
    links = [(*pair, "ADVERSE_EFFECT", dict(said)) for *pair, said in effects]
    links += [(*pair, "HAS_VALUE", {}) for pair in values]
    spans, rows = [], []
    for head, tail, label, said in links:
        spans += [place(doc, head), place(doc, tail)]
        n = len(spans)
        rows.append({"head": n - 2, "tail": n - 1, "label": label, "score": 0.9,
                     "evidence": [], "cue": [], **said})  # fmt: skip
    if rows:
        attrs = {"relations": rows, "types": [], "status": "found"}
        doc.spans[RELATIONS_KEY] = SpanGroup(doc, name=RELATIONS_KEY, attrs=attrs, spans=spans)


def make_central(budget: str = "20%", **config: Any) -> Language:
    """Sentences and summaries that nobody learned."""
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe(NAME, config={**CENTRAL, "budget": budget, **config})
    return nlp


def numbers(doc: Doc) -> List[int]:
    """The sentences of a summary, as numbers."""
    starts = [sentence.start for sentence in doc.sents]
    return [bisect(starts, span.start) - 1 for span in doc._.clinbert_summary]


def choose(doc: Doc, budget: str, **config: Any) -> List[int]:
    """Numbers of the sentences that come into a summary of a note laid by hand."""
    return numbers(Summary(doc.vocab, None, method="central", budget=budget, **config)(doc))


def shown(doc: Doc) -> List[Any]:
    """A summary in plain values, as they survive on disk."""
    group = doc.spans[SUMMARY_KEY]
    places = [(span.start_char, span.end_char, span.text) for span in group]
    return [places, group.attrs["scores"], group.attrs["budget"]]


def make_example(nlp: Language, text: str, gold: Any) -> Example:
    """A note and the words of its gold sentences; None: nobody chose any."""
    predicted, reference = nlp.make_doc(text), nlp.make_doc(text)
    if gold is not None:
        spans = [place(reference, words) for words in gold]
        reference.spans[SUMMARY_KEY] = SpanGroup(reference, name=SUMMARY_KEY, spans=spans)
    return Example(predicted, reference)
