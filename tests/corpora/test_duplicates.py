import pytest

from clinbert_spacy.corpora import duplicates
from clinbert_spacy.corpora.duplicates import compare, first_of, join

from .toy_documents import prose


def test_case_and_punctuation_do_not_count():
    texts = ["Heart is normal.", "heart, is  NORMAL", "heart is large", ""]
    for near in (True, False):
        assert compare(texts, near).same == compare(texts, near).linked == [0, 0, 2, 3]


def test_half_of_the_shorter_text_makes_them_the_same():
    text, other = prose(1, 40), prose(2, 40)
    half = " ".join([*text.split()[:28], *other.split()[:12]])
    third = " ".join([*text.split()[:15], *other.split()[15:]])
    found = compare([text, half, other])
    assert found.same == found.linked == [0, 0, 2]
    # four of its 29 runs: neither
    assert compare([text, third]).same == compare([text, third]).linked == [0, 1]
    # where only equal texts are one, near ones stay together
    assert compare([text, half], near=False) == ([0, 1], [0, 0])


def test_ten_runs_link_long_texts():
    shared = prose(3, 21)
    long, other = (f"{prose(i, 60)} {shared} {prose(i + 1, 60)}" for i in (10, 20))
    found = compare([long, other])
    assert found == ([0, 1], [0, 0])
    less = other.replace(shared, " ".join(shared.split()[:20]))
    assert compare([long, less]).linked == [0, 1]


def test_links_are_passed_on_to_the_first():
    one, two = prose(5, 21), prose(6, 21)
    last = f"{two} {prose(33, 60)}"
    texts = [f"{prose(30, 60)} {one}", prose(31), f"{one} {prose(32, 60)} {two}", last]
    assert compare(texts).linked == [0, 1, 0, 0]


def test_phrases_of_the_trade_do_not_link(monkeypatch):
    shared = prose(7, 25)
    texts = [f"{prose(40 + i, 60)} {shared}" for i in range(4)]
    assert compare(texts).linked == [0, 0, 0, 0]
    monkeypatch.setattr(duplicates, "MOST_OWNERS", 3)
    assert compare(texts).linked == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], []),
        ([(0, 0), (1, 1)], [0, 1]),
        ([(0, 0), (1, 3), (2, 3), (2, 4)], [0, 1, 1, 1, 1]),
        ([(4, 3), (3, 2), (2, 1), (1, 0)], [0] * 5),
    ],
)
def test_join(pairs, expected):
    assert join(pairs) == expected


def test_first_of():
    assert first_of("abcab") == [0, 1, 2, 0, 1] and first_of([]) == []
