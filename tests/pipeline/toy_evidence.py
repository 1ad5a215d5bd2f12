"""Invented notes whose classes hang on one passage each, and pipelines that learned them."""

from functools import cache
from typing import Any, Dict, List, Sequence

from spacy.language import Language
from spacy.tokens import Doc

import clinbert_spacy.pipeline.evidence  # noqa: F401 (registers the factory)
from clinbert_spacy.attributes import EVIDENCE_KEY
from tests.models.toy_textcat import add_textcat, make_pipeline, train

# Passages of 4 words, and a class for two of them.
DRUG, OTHER = "the patient takes aspirin", "lisinopril was given daily"
PAST = "hypertension and diabetes daily"
RASH, FEVER = "rash after 10 mg", "denies fever and nausea"
SHOWS = {"rash": RASH, "fever": FEVER}
# A note without the class has all the other passages: nothing else can be the reason.
SINGLE = [(DRUG, FEVER, RASH), (RASH, PAST, OTHER), (DRUG, FEVER, OTHER, PAST)]
NOTES = [(DRUG, FEVER, PAST), (PAST, RASH, DRUG), (FEVER, DRUG, RASH, PAST)]
TEXTS = [" ".join(note) for note in NOTES]
BOTH = {"textcats": ["rash_classifier", "fever_classifier"]}
# Each passage is encoded by itself, so that its neighbours do not know of it.
ALONE = {"window": 4, "context": 0}


def cats_of(note: Sequence[str]) -> Dict[str, float]:
    """The classes of a note."""
    return {name: float(passage in note) for name, passage in SHOWS.items()}


def shown(doc: Doc) -> Dict[str, List[str]]:
    """Class -> passages that decided, the weightiest first."""
    group, found = doc.spans[EVIDENCE_KEY], {}
    for row in group.attrs["rows"]:
        found.setdefault(row["label"], []).append(group[row["span"]].text)
    return found


def written(doc: Doc) -> Any:
    """All that stands on the note, without the last digits."""
    group = doc.spans[EVIDENCE_KEY]
    rows = [{**row, "drop": round(row["drop"], 3)} for row in group.attrs["rows"]]
    return [(span.start, span.end) for span in group], {**group.attrs, "rows": rows}


@cache
def learned(checkpoint: Any, component: str, aggregator: str, alone: bool) -> Language:
    """A pipeline with one classifier, that learned the notes of SINGLE by heart."""
    nlp = make_pipeline(checkpoint, component, aggregator, ALONE if alone else {})
    notes = [(" ".join(note), {"rash": float(RASH in note)}) for note in SINGLE]
    if component == "textcat":
        notes = [(text, {**cats, "none": 1 - cats["rash"]}) for text, cats in notes]
    train(nlp, notes, steps=20 if alone else 12)
    nlp.add_pipe("clinbert_evidence", config={"textcats": [component]})
    return nlp


def two_classifiers(checkpoint: Any) -> Language:
    """A pipeline with a classifier for each class, without weights."""
    nlp = make_pipeline(checkpoint, encoder=ALONE)
    nlp.remove_pipe("textcat_multilabel")
    for label, name in zip(SHOWS, BOTH["textcats"]):
        add_textcat(nlp, aggregator="NoisyOr", name=name)
        nlp.config["initialize"]["components"][name] = {"labels": [label]}
    return nlp


@cache
def double(checkpoint: Any) -> Language:
    """Two classifiers that learned NOTES by heart, for all tests, which leave them as they are."""
    nlp = two_classifiers(checkpoint)
    train(nlp, [(text, cats_of(note)) for text, note in zip(TEXTS, NOTES)], steps=20)
    nlp.add_pipe("clinbert_evidence", config=BOTH)
    return nlp
