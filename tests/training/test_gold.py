"""Annotated corpora as tags on pieces: names, nested names, unknown stretches, cuts, draws."""

import numpy
import pytest
from transformers import AutoTokenizer

from clinbert_spacy.corpora.record import AnnotatedNote, LabelScheme, Mention
from clinbert_spacy.models.checkpoint import plain_backend
from clinbert_spacy.training.gold import _corpus, draw_gold
from clinbert_spacy.training.objectives import IGNORED
from clinbert_spacy.training.sequences import Pieces

TEXT = "the patient takes aspirin daily for hypertension and cough after lisinopril"
SCHEME = LabelScheme({"Drug": ("Drug",), "Problem": ("Problem",), "Both": ("Drug", "Problem")},
                     ("Drug", "Problem"))  # fmt: skip


def mention(word, label, text=TEXT):
    start = text.index(word)
    return Mention(f"T{start}{label}", label, ((start, start + len(word)),))


def build(backend, mentions, body=100, **meta):
    note = AnnotatedNote("n1", TEXT, tuple(mentions), meta=meta)
    return _corpus(SCHEME, [note], backend, body)


@pytest.fixture
def backend(checkpoint):
    return plain_backend(AutoTokenizer.from_pretrained(checkpoint))


def tags_by_word(corpus, backend):
    strings = [backend.id_to_token(int(i)) for ids in corpus.ids for i in ids]
    tags = [int(t) for tags in corpus.tags for t in tags]
    return dict(zip(strings, tags))


def test_names_begin_and_go_on(backend):
    corpus = build(backend, [mention("aspirin daily", "Drug"), mention("hypertension", "Problem")])
    tags = tags_by_word(corpus, backend)
    assert corpus.labels == ["Drug", "Problem"] and corpus.n_tags == 5
    assert (tags["aspirin"], tags["daily"], tags["hypertension"]) == (1, 2, 3)
    assert tags["patient"] == 0 and tags["cough"] == 0


def test_the_longest_of_nested_names_counts_and_doubt_teaches_nothing(backend):
    corpus = build(
        backend,
        [
            mention("aspirin", "Problem"),
            mention("aspirin daily", "Drug"),
            mention("cough", "Both"),
        ],
        unknown=[[TEXT.index("lisinopril"), len(TEXT)]],
    )
    tags = tags_by_word(corpus, backend)
    assert (tags["aspirin"], tags["daily"]) == (1, 2)
    assert tags["cough"] == IGNORED and tags["lisinopril"] == IGNORED


def test_cuts_keep_names_whole(backend):
    corpus = build(backend, [mention("aspirin daily for hypertension", "Drug")], body=5)
    assert sum(len(ids) for ids in corpus.ids) == len(
        backend.encode(TEXT, add_special_tokens=False).ids
    )
    assert max(len(ids) for ids in corpus.ids) <= 5
    starts = [int(tags[0]) for tags in corpus.tags]
    assert all(tag in (0, 1) for tag in starts)


def test_draws_are_rows_with_their_corpus(backend):
    corpora = {
        "one": build(backend, [mention("aspirin", "Drug")]),
        "two": build(backend, [mention("cough", "Problem")], body=4),
    }
    pieces = Pieces(2, 3, 0, 4, 100)
    ids, mask, tags, owners = draw_gold(corpora, 40, pieces, numpy.random.default_rng(0))
    assert set(owners) == {"one", "two"} and sum(map(len, owners.values())) == 40
    assert (
        (ids[:, 0] == 2).all() and (tags[:, 0] == IGNORED).all() and (tags[~mask] == IGNORED).all()
    )
    assert ((tags[owners["one"]] == 1).sum(1) == 1).all()
    assert (tags[owners["one"]] != 3).all() and (ids[~mask] == 0).all()
