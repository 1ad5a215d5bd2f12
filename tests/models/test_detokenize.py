"""Wordpieces back to text: spaces as in the source."""

import pytest

from clinbert_spacy.models.detokenize import join_pieces, split_words


def pieces_of(text):
    """Words, and every other sign by itself, with where each stands."""
    import re

    found = [(m.group(), m.span()) for m in re.finditer(r"[a-z]+|\d+|\S", text)]
    return [piece for piece, _ in found], [place for _, place in found]


def source(text):
    return split_words(text, *pieces_of(text))


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("dose 4.5 mg", "dose 4.5 mg"),
        ("dose 4.5 mg", ""),
        ("rest. 5 days", "rest. 5 days"),
        ("bp 140/90", ""),
        ("1,500 ml", ""),
        ("days 2, 20", ""),
        ("mg/dl of a t-score (low).", "mg/dl, t-score (low)."),
        ("at 08:30; no rash", ""),
        ("grade 2 / 6 murmur", "grade 2 / 6"),
        ("50% of it", ""),
    ],
)
def test_text_comes_back(text, of):
    assert join_pieces(pieces_of(text)[0], source(of)) == text


def test_pieces_are_joined_and_special_ones_left_out():
    pieces = ["[CLS]", "lis", "##ino", "##pril", "10", "mg", ".", "[SEP]", "[PAD]"]
    assert join_pieces(pieces, []) == "lisinopril 10 mg."
    assert join_pieces(["[CLS]", "[SEP]"], []) == "" == join_pieces([], [])


def test_three_words_decide_before_two():
    # "4.5" and "4. 5": which one is written depends on what stands before
    of = source("dose 4.5 then 6. 5 days")
    assert join_pieces(["4", ".", "5"], of) == "4.5"
    assert join_pieces(["6", ".", "5"], of) == "6. 5"
