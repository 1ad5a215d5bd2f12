"""Names in notes as arrays: the right flags on the right tokens, vectors averaged."""

import numpy
import pytest

from clinbert_spacy.models.mentions import describe, find_mentions, flag_names
from tests.models.toy_graph import KINDS, make_docs, toy_lexicon, toy_vectors

FLAGS = flag_names(KINDS)
LEXICON = toy_lexicon()


def flags_of(*texts, vectors=None, hidden=0.0):
    """Of each note, the names of the flags of each token."""
    found = describe(LEXICON, vectors, make_docs(*texts), hidden)
    named = [{FLAGS[i] for i in numpy.flatnonzero(row)} for row in found.flags]
    return [[named[row] for row in rows] for rows in found.rows]


def test_flags_are_named():
    assert FLAGS[:4] == ["begin disease", "begin drug", "begin symptom", "begin anatomy"]
    assert FLAGS[4] == "inside disease" and FLAGS[-2:] == ["ambiguous", "end"]


def test_flags_land_on_their_tokens():
    assert flags_of("no chest pain after aspirin") == [
        [set(), {"begin symptom"}, {"inside symptom", "end"}, set(), {"begin drug", "end"}]
    ]
    assert flags_of("chest") == [[{"begin anatomy", "end"}]]


def test_a_name_of_two_kinds_and_one_of_two_concepts_are_ambiguous():
    (nausea,), (ms,) = flags_of("nausea", "MS")
    assert nausea == {"begin disease", "begin symptom", "ambiguous", "end"}
    assert ms == {"begin disease", "ambiguous", "end"}


@pytest.mark.parametrize(
    ("text", "n_tokens"),
    [
        ("ASPIRIN", 1), ("Aspirins", 1), ("Chest pains", 2), ("chest-pain", 3), ("Beta blocker", 2),
        ("beta-blockers", 3), ("chest \n pain", 3), ("Multiple Sclerosis", 2),
    ],
)  # fmt: skip
def test_case_plural_and_hyphen_through_a_doc(text, n_tokens):
    ((start, end, _),) = find_mentions(LEXICON, make_docs(f"some {text} here"))
    assert (start, end) == (1, 1 + n_tokens)


def test_notes_do_not_run_into_each_other():
    assert flags_of("chest", "pain") == [[{"begin anatomy", "end"}], [set()]]
    assert flags_of("", "aspirin", "", "no") == [[], [{"begin drug", "end"}], [], [set()]]


def test_nothing_known_and_nothing_there():
    for texts in ([], [""], ["the patient"]):
        found = describe(LEXICON, toy_vectors(), make_docs(*texts))
        assert found.flags.shape == (1, len(FLAGS)) and found.vectors.shape == (1, 6)
        assert not found.flags.any() and len(found.rows) == len(texts)
        assert not any(rows.any() for rows in found.rows)


def test_vectors_are_means_over_concepts():
    vectors = toy_vectors()
    vectors[5] = 0
    found = describe(LEXICON, vectors, make_docs("MS chest pain rash MS"))
    lengths = numpy.linalg.norm(vectors.astype("f"), axis=1, keepdims=True)
    units = vectors / numpy.where(lengths, lengths, 1)
    ms, chest, pain, rash, again = found.rows[0]
    assert ms == again and chest != pain
    assert numpy.allclose(found.vectors[ms], units[[3, 4]].mean(axis=0), atol=1e-6)
    assert numpy.allclose(found.vectors[[chest, pain]], units[7], atol=1e-6)
    assert not found.vectors[rash].any()
    assert not found.vectors[0].any()
    assert describe(LEXICON, None, make_docs("MS")).vectors.shape == (2, 0)


def test_each_state_once():
    found = describe(LEXICON, None, make_docs("aspirin " * 50, "chest pain " * 50))
    assert len(found.flags) == 1 + 1 + 2


def test_whole_mentions_are_hidden_at_the_share_asked_for():
    (tokens,) = flags_of("chest pain " * 2000, hidden=0.25)
    pairs = list(zip(tokens[::2], tokens[1::2]))
    shown = [bool(first) for first, _ in pairs]
    assert all(bool(first) == bool(second) for first, second in pairs)
    assert 0.7 < sum(shown) / len(shown) < 0.8


def test_docs_are_left_alone():
    (doc,) = make_docs("aspirin for chest pain")
    before = doc.to_bytes()
    describe(LEXICON, None, [doc])
    assert doc.to_bytes() == before
