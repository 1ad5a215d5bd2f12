"""The same words in a note vote on what they are."""

import pytest

from clinbert_spacy.pipeline.consistency import Found, agree
from clinbert_spacy.pipeline.ner import ClinicalNER

A, B = 0, 1


def found_in(text, *marked, share=0.5):
    """Entities (start, end, label[, score]) of words; what the vote makes of them."""
    entities = [Found(start, end, label, *(rest or [0.8])) for start, end, label, *rest in marked]
    return [(e.start, e.end, e.label) for e in agree(text.split(), entities, share)]


def test_a_name_found_once_of_twice_is_found_twice():
    text = "VHL runs here . She has VHL"
    assert found_in(text, (0, 1, A)) == [(0, 1, A), (6, 7, A)]
    assert found_in(text, (0, 1, A), share=0.6) == [(0, 1, A)]
    assert found_in(text, (0, 1, A), share=0.0) == [(0, 1, A)]


def test_case_counts_and_so_does_every_word():
    text = "breast cancer , Breast cancer , cancer of the breast"
    assert found_in(text, (0, 2, A)) == [(0, 2, A)]


def test_occurrences_inside_of_others_do_not_vote():
    text = "colon cancer and cancer or bone cancer , cancer"
    marked = [(0, 2, A), (3, 4, A), (5, 7, A)]
    assert found_in(text, *marked) == [*marked, (8, 9, A)]


def test_the_longer_name_goes_first():
    text = "heart failure , failure . heart failure heart failure"
    marked = [(0, 2, A), (3, 4, B), (5, 7, A)]
    assert found_in(text, *marked) == [*marked, (7, 9, A)]


def test_the_majority_names_all():
    text = "cold , cold , cold"
    assert found_in(text, (0, 1, A), (2, 3, B), (4, 5, B)) == [(0, 1, B), (2, 3, B), (4, 5, B)]
    even = [(0, 1, A, 0.9), (2, 3, B, 0.8)]
    assert found_in(text, *even) == [(0, 1, A), (2, 3, A), (4, 5, A)]


def test_scores_of_what_was_added_are_lower():
    before = [Found(0, 1, A, 0.9), Found(2, 3, A, 0.7)]
    first, second, added = agree(["x", ",", "x", ",", "x"], before, 0.5)
    assert (first, second) == tuple(before) and added.score == pytest.approx(0.8 * 2 / 3)


def test_repeated_words_do_not_overlap():
    text = "no no no no no no no"
    assert found_in(text, (0, 2, A), share=0.2) == [(0, 2, A), (2, 4, A), (4, 6, A)]
    assert found_in("") == []


def test_long_notes_take_linear_time(monkeypatch):
    compared = []

    class Word(str):
        def __hash__(self):
            compared.append(1)
            return super().__hash__()

        __eq__ = str.__eq__

    counts = []
    for n in (200, 400):
        compared.clear()
        words = [Word(w) for w in ["rash", "and", "fever"] * n]
        agree(words, [Found(i, i + 1, A, 0.5) for i in range(0, 3 * n, 3)], 0.5)
        counts.append(len(compared))
    assert counts[1] < 2.2 * counts[0]


def test_the_component_writes_them(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    ner = nlp.get_pipe("clinbert_ner")
    doc = nlp.make_doc("rash today, no rash before")
    for share, expected in ((0.0, [0]), (0.5, [0, 4])):
        ner.consistency = share
        ner.set_annotations([doc], [([(0, 1, 0)], [0.6])])
        assert [e.start for e in doc.ents] == expected
        assert len(doc.spans["clinbert_ents"].attrs["scores"]) == len(expected)
    # what the vote adds has 0.6 * 1 / 2
    ner.threshold = 0.5
    ner.set_annotations([doc], [([(0, 1, 0)], [0.6])])
    assert [e.start for e in doc.ents] == [0]
    with pytest.raises(ValueError, match="consistency = 1.5: expected a number from 0 to 1"):
        ClinicalNER(nlp.vocab, ner.model, consistency=1.5)
