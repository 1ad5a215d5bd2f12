"""Scores of chosen sentences: exact on cases counted by hand, whatever the sentence bounds."""

import pytest
import spacy
from spacy.tokens import Doc, SpanGroup
from spacy.training import Example

from clinbert_spacy.attributes import SUMMARY_KEY
from clinbert_spacy.evaluation.summary_scorer import make_summary_scorer, score_summaries

NLP = spacy.blank("en")
#       0    5     11       20
TEXT = "abcd efghi\n\n  klmno pq"


def write(doc, ranges):
    """Choose tokens; None: nobody chose."""
    if ranges is not None:
        doc.spans[SUMMARY_KEY] = SpanGroup(doc, spans=[doc[a:b] for a, b in ranges])
    return doc


def example(gold, found, text=TEXT):
    return Example(write(NLP.make_doc(text), found), write(NLP.make_doc(text), gold))


def scores(*examples):
    found = score_summaries(examples)
    assert set(found) <= {"summary_p", "summary_r", "summary_f"}
    return tuple(found[f"summary_{name}"] for name in "prf") if found else None


def test_the_tokens_of_the_note():
    assert [token.text for token in NLP(TEXT)] == ["abcd", "efghi", "\n\n  ", "klmno", "pq"]


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ([(0, 2)], [(0, 2)], (1, 1, 1)),
        ([(0, 2)], [(3, 5)], (0, 0, 0)),
        ([(0, 2)], [], (0, 0, 0)),
        ([], [(0, 2)], (0, 0, 0)),
        ([(0, 2)], None, (0, 0, 0)),
        ([(0, 2), (3, 5)], [(0, 2)], (1, 9 / 16, 18 / 25)),
        ([(0, 1)], [(0, 2)], (4 / 9, 1, 8 / 13)),
        ([(0, 1), (3, 4)], [(0, 2), (4, 5)], (4 / 11, 4 / 9, 8 / 20)),
        # white space does not count, nor does it matter where a sentence ends in it
        ([(0, 3)], [(0, 2)], (1, 1, 1)),
        ([(0, 2), (3, 5)], [(0, 5)], (1, 1, 1)),
        ([(2, 3)], [(2, 3)], (0, 0, 0)),
        # said twice it counts once
        ([(0, 2)], [(0, 2), (1, 2), (0, 1)], (1, 1, 1)),
    ],
)
def test_counted_by_hand(gold, found, expected):
    assert scores(example(gold, found)) == pytest.approx(expected)


def test_over_all_notes_together():
    many = [example([(0, 1)], [(0, 2)]), example([(3, 5)], [(4, 5)]), example([(0, 2)], [])]
    # right 4 + 2, wrong 5, missed 5 + 9
    assert scores(*many) == pytest.approx((6 / 11, 6 / 20, 12 / 31))


def test_notes_without_gold_are_left_out():
    assert scores(example(None, [(0, 2)])) is None and scores() is None
    assert scores(example(None, [(0, 2)]), example([(0, 1)], [(0, 1)])) == (1, 1, 1)
    assert scores(example([], [], "")) == (0, 0, 0)


def test_other_tokens_of_the_same_text():
    words, spaces = ["abcd ef", "ghi"], [False, False]
    predicted = Doc(NLP.vocab, words=["abcd", "efghi"], spaces=[True, False])
    reference = Doc(NLP.vocab, words=words, spaces=spaces)
    one = Example(write(predicted, [(0, 1)]), write(reference, [(0, 1)]))
    assert scores(one) == pytest.approx((1, 4 / 6, 8 / 10))


def test_registered():
    assert make_summary_scorer() is score_summaries
    found = spacy.registry.scorers.get("clinbert.summary_scorer.v1")()
    assert found([example([(0, 1)], [(0, 1)])], nlp=None)["summary_f"] == 1
