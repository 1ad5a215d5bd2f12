"""Phrases of words and expressions, as spaCy's Matcher finds them."""

import re

import pytest
import spacy
from spacy.matcher import Matcher

from clinbert_spacy.pipeline import word_patterns
from clinbert_spacy.pipeline.word_patterns import WordPatterns

PATTERNS = {
    "ago": [re.compile(r"^\d+$"), re.compile(r"^(?:years?|yrs?)$"), "ago"],
    "told": ["told", re.compile(r"^(?:wife|son)$")],
    "year": [re.compile(r"^20[0-2]\d$")],
    "since": ["since", re.compile(r"^20[0-2]\d$")],
}
TEXTS = [
    "MI 3 years ago; told wife. 4 yrs  ago",
    "Well since 2019, Told Son since 2020",
    "told",
    "",
    "ago 2 years",
    "12 13 years ago ago",
]


def found(nlp, text):
    return sorted((s.start, s.end, s.label_) for s in WordPatterns(PATTERNS)(nlp.make_doc(text)))


@pytest.mark.parametrize("text", TEXTS)
def test_finds_what_the_matcher_finds(text):
    nlp = spacy.blank("en")
    matcher = Matcher(nlp.vocab)
    for key, words in PATTERNS.items():
        as_spacy = [{"LOWER": w if isinstance(w, str) else {"REGEX": w.pattern}} for w in words]
        matcher.add(key, [as_spacy])
    expected = [(s.start, s.end, s.label_) for s in matcher(nlp.make_doc(text), as_spans=True)]
    assert found(nlp, text) == sorted(expected)


def test_a_full_memory_forgets_and_finds_the_same(monkeypatch):
    nlp = spacy.blank("en")
    before = found(nlp, TEXTS[0])
    monkeypatch.setattr(word_patterns, "MEMORY", 2)
    assert before and found(nlp, TEXTS[0]) == before


def test_two_vocabularies_share_one_memory():
    finder = WordPatterns(PATTERNS)
    for nlp in (spacy.blank("en"), spacy.blank("en")):
        assert [s.label_ for s in finder(nlp.make_doc("told son"))] == ["told"]
