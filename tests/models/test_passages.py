"""What notes are cut into: passages without gaps, problems that the patient has."""

from functools import cache

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup

from clinbert_spacy.attributes import PRIORITY
from clinbert_spacy.models.passages import configure_passages, configure_problems, cut_passages

BLANK = spacy.blank("en")
SENTENCES = st.lists(st.integers(1, 25), max_size=12)


def make_doc(lengths, known=True):
    """Sentences of so many words."""
    starts = [i == 0 for length in lengths for i in range(length)] if known else None
    return Doc(BLANK.vocab, words=["w"] * sum(lengths), sent_starts=starts)


def lengths_of(ranges):
    return [end - start for start, end in ranges]


# Passages


@given(lengths=SENTENCES, size=st.integers(1, 30), known=st.booleans())
def test_passages_cover_the_note_without_gaps(lengths, size, known):
    ranges = cut_passages(make_doc(lengths, known), size)
    assert [i for start, end in ranges for i in range(start, end)] == list(range(sum(lengths)))
    assert all(1 <= length <= size for length in lengths_of(ranges))


@given(lengths=SENTENCES, size=st.integers(1, 30))
def test_only_sentences_longer_than_a_passage_are_cut(lengths, size):
    doc = make_doc(lengths)
    edges = {edge for found in cut_passages(doc, size) for edge in found}
    for sent in doc.sents:
        if len(sent) <= size:
            assert not any(sent.start < edge < sent.end for edge in edges)
        else:
            # a full passage at a time, from where it begins
            inside = [edge for edge in sorted(edges) if sent.start < edge < sent.end]
            assert sent.start in edges
            assert inside == list(range(sent.start + size, sent.end, size))


@given(lengths=SENTENCES, size=st.integers(1, 30))
def test_passages_are_as_long_as_sentences_allow(lengths, size):
    doc = make_doc(lengths)
    ends = {sent.start: sent.end for sent in doc.sents}
    for start, end in cut_passages(doc, size)[:-1]:
        if end in ends:
            assert ends[end] - start > size


@given(length=st.integers(0, 100), size=st.integers(1, 30))
def test_without_sentences_all_but_the_last_are_full(length, size):
    ranges = cut_passages(make_doc([length], known=False), size)
    assert lengths_of(ranges) == [size] * (length // size) + [length % size] * (length % size > 0)


@pytest.mark.parametrize(
    ("lengths", "size", "expected"),
    [
        ([3, 3, 3], 6, [6, 3]),
        ([3, 3, 3], 5, [3, 3, 3]),
        ([3, 3, 3], 100, [9]),
        ([2, 14, 2], 6, [2, 6, 6, 4]),  # the rest of a long sentence goes with what follows
        ([2, 14, 5], 6, [2, 6, 6, 2, 5]),
        ([12], 6, [6, 6]),
        ([1, 1, 1], 1, [1, 1, 1]),
    ],
)
def test_sentences_and_the_passages_they_make(lengths, size, expected):
    assert lengths_of(cut_passages(make_doc(lengths), size)) == expected


@pytest.mark.parametrize("sentencizer", [False, True])
def test_an_empty_note_has_no_passages(sentencizer):
    nlp = spacy.blank("en")
    if sentencizer:
        nlp.add_pipe("sentencizer")
    assert configure_passages(4)(nlp("")) == []


def test_sentences_of_a_pipeline_are_respected():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    doc = nlp("No fever. Has a rash and nausea. Takes aspirin.")
    ranges = configure_passages(size=8)(doc)
    assert [doc[a:b].text for a, b in ranges] == [
        "No fever.", "Has a rash and nausea.", "Takes aspirin."
    ]  # fmt: skip


@pytest.mark.parametrize("size", [0, -3])
def test_passages_without_tokens_are_refused(size):
    with pytest.raises(ValueError, match=f"size = {size}: expected at least 1"):
        configure_passages(size)


def test_cutting_changes_nothing():
    doc = make_doc([3, 9, 2])
    before = doc.to_bytes()
    cut_passages(doc, 4)
    assert doc.to_bytes() == before


# Problems


@cache
def rules():
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("clinbert_assertion", config={"method": "rules", "model": None})
    return nlp


def read(text, *problems, drugs=()):
    """Run the rules over a note whose entities are in place."""
    nlp = rules()
    doc = nlp.make_doc(text)
    words = [token.text for token in doc]
    labels = {**dict.fromkeys(problems, "DISEASE"), **dict.fromkeys(drugs, "DRUG")}
    places = [(words.index(word), label) for word, label in labels.items()]
    doc.set_ents([Span(doc, at, at + 1, label=label) for at, label in places])
    for _, pipe in nlp.pipeline:
        doc = pipe(doc)
    return doc


def taken(doc, **config):
    return [doc[a:b].text for a, b in configure_problems(**config)(doc)]


NOTE = (
    "Has fever . No rash . Mother with diabetes . The neighbour has influenza . History of cancer "
    ". Possible pneumonia . Takes aspirin for hypertension ."
)
PROBLEMS = ("fever", "rash", "diabetes", "influenza", "cancer", "pneumonia", "hypertension")


def test_only_what_the_patient_has_is_taken():
    doc = read(NOTE, *PROBLEMS, drugs=["aspirin"])
    assert taken(doc) == ["fever", "hypertension"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["absent"], ["rash"]),
        (["family"], ["diabetes"]),
        (["historical"], ["cancer"]),
        (["possible"], ["pneumonia"]),
        (["present", "historical"], ["fever", "cancer", "hypertension"]),
    ],
)
def test_what_is_taken_is_what_was_asked_for(said, expected):
    assert taken(read(NOTE, *PROBLEMS, drugs=["aspirin"]), said=said) == expected


def test_drugs_are_no_problems():
    doc = read("Takes aspirin .", drugs=["aspirin"])
    assert doc.ents[0]._.clinbert_drug_status == "active"
    assert taken(doc, said=PRIORITY) == []


def judged(*rows, length=10):
    """A note with problems at places, each with the word for it."""
    doc = make_doc([length])
    spans = [Span(doc, a, b, label="DISEASE") for a, b, _ in rows]
    values = [
        {"presence": said, "experiencer": "patient", "time": "current"} for *_, said in rows
    ]
    attrs = {"values": values}
    doc.spans["clinbert_assertion"] = SpanGroup(doc, attrs=attrs, spans=spans)
    return doc


def test_problems_in_order_each_once():
    doc = judged((7, 9, "present"), (2, 4, "present"), (5, 6, "absent"), (2, 4, "present"))
    assert configure_problems()(doc) == [(2, 4), (7, 9)]


def test_a_note_without_problems_has_none():
    assert configure_problems()(judged()) == []


def test_nobody_judged_names_the_remedy():
    with pytest.raises(ValueError, match="add 'clinbert_assertion' earlier") as found:
        configure_problems()(BLANK("secret words"))
    assert "annotating_components" in str(found.value) and "secret" not in str(found.value)
    doc = BLANK("fever")
    doc.spans["clinbert_assertion"] = [doc[0:1]]  # a group of that name, and nothing said
    with pytest.raises(ValueError, match="nobody has judged them"):
        configure_problems()(doc)


def test_an_empty_note_needs_no_judge():
    assert configure_problems()(BLANK("")) == []


@pytest.mark.parametrize("said", [["present", "denied"], [], ["patient"]])
def test_unknown_assertions_are_refused(said):
    with pytest.raises(ValueError, match="said = .*expected some of family, absent"):
        configure_problems(said)
