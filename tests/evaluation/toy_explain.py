"""Pipelines that learned tasks in which one word decides, for all tests, which leave them so."""

import math
from functools import cache
from typing import Any, Dict, List, Tuple

import spacy
from spacy.language import Language

import clinbert_spacy.pipeline.side_effects  # noqa: F401 (registers the factory)
from clinbert_spacy.evaluation.explain import Explainer, Explanation, Settings
from clinbert_spacy.evaluation.explain_items import find_sources, list_items
from tests.models.toy_textcat import make_notes, make_pipeline

# "rash" makes the class, and nothing else: each other word stands in notes with and without it.
FRAMES = [
    "the patient takes aspirin daily but has {}",
    "after lisinopril was given {} for diabetes",
    "{} and nausea due to hypertension",
    "denies cough fever but {} was given daily",
    "patient stopped aspirin {} after diabetes",
]
OTHERS = ("fever", "cough", "nausea", "hypertension")
WITH = [frame.format("rash") for frame in FRAMES]
WITHOUT = [frame.format(word) for frame, word in zip(FRAMES, OTHERS * 2)]
EXACT = Settings(steps=96)


def cats(yes: bool) -> Dict[str, float]:
    """Classes of a note."""
    return {"rash": float(yes), "none": float(not yes)}


@cache
def classifier(checkpoint: Any, component: str) -> Language:
    """A pipeline that says whether a note speaks of a rash."""
    cut = {"@misc": "clinbert.Passages.v1", "size": 64}
    nlp = make_pipeline(checkpoint, component, "Mean", cut=cut)
    notes = [(text, cats(True)) for text in WITH] + [(text, cats(False)) for text in WITHOUT]
    spacy.util.fix_random_seed(0)
    optimizer = nlp.initialize(lambda: make_notes(nlp, notes))
    optimizer.learn_rate = 0.003
    for _ in range(60):
        nlp.update(make_notes(nlp, notes), sgd=optimizer)
        docs = nlp.pipe(text for text, _ in notes)
        # just sure enough: what is learned by heart is steep, and takes many steps to integrate
        if all(abs(doc.cats["rash"] - truth["rash"]) < 0.1 for doc, (_, truth) in zip(docs, notes)):
            return nlp
    raise ValueError("The toy classifier did not learn its notes.")


@cache
def tagger(make_nlp: Any, make_examples: Any) -> Tuple[Language, List[str]]:
    """A pipeline that learned four notes with entities, and their texts."""
    nlp = make_nlp()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.005
    for _ in range(25):
        nlp.update(examples, sgd=optimizer)
    return nlp, [example.text for example in examples]


def explained(
    nlp: Language, doc: Any, settings: Settings = EXACT, **asked: Any
) -> List[Explanation]:
    """All that can be explained on a note."""
    labels = asked.get("labels", ())
    explainer = Explainer(nlp, doc, settings)
    return [
        explainer.explain(item)
        for source in find_sources(nlp, asked.get("kinds", ()), labels)
        for item in list_items(source, doc, labels)
    ]


def total(found: Explanation) -> float:
    """Sum of what the words add."""
    return sum(word.value for word in found.words)


def logit(probability: float) -> float:
    """Log odds."""
    return math.log(probability / (1 - probability))
