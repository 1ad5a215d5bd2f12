"""What the tagger sees of a word beside its vector."""

import numpy
import pytest
import spacy

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
