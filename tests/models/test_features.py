"""What the tagger sees of a word beside its vector."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc

from clinbert_spacy.models import features
from clinbert_spacy.models.features import CASES, GAPS


@pytest.mark.parametrize(
    "word, kind",
    [
        ("fever", "lower"), ("Fever", "capitalised"), ("A", "capitalised"), ("HTN", "upper"),
        ("HbA", "mixed"), ("12", "digit"), ("0.5", "digit"), ("x7d", "alphanumeric"),
        ("-", "sign"), ("+", "sign"), ("\U0001f600", "sign"), ("\u0301", "other"),
    ],
)  # fmt: skip
def test_case(word, kind):
    assert CASES[features.case_of(word)] == kind


def test_length_classes_grow():
    classes = [features.length_of("a" * n) for n in (1, 2, 3, 4, 5, 7, 12, 40)]
    assert classes == sorted(classes) and classes[0] == 0 and classes[-1] == len(features.LENGTHS)


def test_gaps_tell_line_breaks():
    doc = spacy.blank("en").make_doc("one two.\nthree\n\nfour")
    found = features.extract([doc])
    words = [doc[int(i)].text for i in found.tokens[0]]
    gaps = [GAPS[g] for g in found.shapes[:, 2]]
    assert dict(zip(words, gaps)) == {
        "one": "blank line", "two": "space", ".": "glued", "three": "newline", "four": "blank line"
    }


def test_long_words_keep_both_ends():
    table = features.char_table(["a" * 30 + "b" * 30])
    assert table.shape == (1, features.LONGEST_WORD)
    assert table[0, 0] == ord("a") + 2 and table[0, -1] == ord("b") + 2


def test_nothing_to_describe():
    nlp = spacy.blank("en")
    found = features.extract([nlp.make_doc(""), nlp.make_doc(" \n ")])
    assert [len(t) for t in found.tokens] == [0, 0]
    assert found.shapes.shape == (0, 3) and found.word_of.dtype == numpy.int64


def plain_words(doc):
    """Each word, and what stands before it, token by token."""
    gap = len(GAPS) - 1
    for token in doc:
        if token.is_space:
            gap = max(gap, min(3, 1 + token.text.count("\n")))
            continue
        yield token.i, token.text, gap
        gap = 1 if token.whitespace_ else 0


@pytest.mark.parametrize("memory", [0, features.MEMORY])
def test_words_are_described_as_one_by_one(monkeypatch, memory):
    monkeypatch.setattr(features, "MEMORY", memory)
    nlp = spacy.blank("en")
    texts = ["\n\nPain 5/10, worse.\n\n - no fever", "", " \n", "Pain", "\u0301\u00e9 " + "x" * 40]
    words = ["a", "\n", "\n\n", "b", " ", "c"]
    docs = [*map(nlp.make_doc, texts), Doc(nlp.vocab, words, [True, False, True, False, False, 1])]
    found = features.extract(docs)
    expected = [row for doc in docs for row in plain_words(doc)]
    assert [list(t) for t in found.tokens] == [[i for i, _, _ in plain_words(d)] for d in docs]
    for (_, word, gap), shape, row in zip(expected, found.shapes, found.word_of, strict=True):
        assert shape.tolist() == [features.case_of(word), features.length_of(word), gap]
        spelt = features.char_table([word])[0]
        assert found.chars[row].tolist() == [*spelt, *[0] * (found.chars.shape[1] - len(spelt))]
