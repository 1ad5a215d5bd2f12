import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.evaluation import speed_sets as sets

NOTES = ["One two. Three four.\n\nFive six\nseven.", " ", "Eight " * 100 + "."]
WORDS = st.lists(st.text("ab .\n", max_size=400), max_size=4)


@given(WORDS)
def test_short_notes_are_cut_from_the_notes_and_hold_every_word(texts):
    cut = list(sets.cut_short(texts))
    assert all(0 < len(x.split()) <= sets.SHORT_WORDS for x in cut)
    assert all(any(x in text for text in texts) for x in cut)
    assert " ".join(cut).split() == " ".join(texts).split()


def test_paragraphs_come_before_lines_and_sentences():
    assert list(sets.cut_short([NOTES[0] + " x" * 40]))[:2] == ["One two. Three four.", "Five six"]


def test_sets_are_comparable_and_the_same_every_time():
    short, ordinary, long = found = sets.make_sets(NOTES * 3, n_words=250, long_words=100)
    assert [one.name for one in found] == list(sets.SETS)
    assert found == sets.make_sets(NOTES * 3, n_words=250, long_words=100)
    assert 250 <= short.n_words < 290
    assert ordinary.texts == (NOTES * 3)[:9] and ordinary.n_words >= 250
    assert [len(text.split()) for text in long.texts] == [100, 100] and long.times_used == 1


def test_too_few_words_are_used_again():
    (long,) = sets.make_sets(["one two", "three"], ["very long"], 5, 7)
    assert long.texts == ["one two\n\nthree\n\none two\n\nthree\n\none"] and long.times_used == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["  ", "\n"],), "found 2 notes without a word"),
        (([],), "found 0 notes"),
        ((NOTES, ["medium"]), "Unknown set of notes: \\['medium'\\]"),
        ((NOTES, [], 0), "words of a set is 0; expected at least 1"),
        ((NOTES, [], 1, -1), "words of a very long note is -1"),
    ],
)
def test_what_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        sets.make_sets(*arguments)


def test_joined_to_bytes():
    joined = sets.join_to_bytes(["é" * 10, "b"], 101)
    assert len(joined.encode("utf8")) in (100, 101)
