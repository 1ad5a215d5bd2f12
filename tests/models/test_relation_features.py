"""Candidate pairs as arrays: windows, roles and buckets."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Span, SpanGroup

from clinbert_spacy.models.headings import section_names
from clinbert_spacy.models.relation_features import (
    COUNTS,
    GAPS,
    MIDDLE,
    REACH,
    VALUES,
    _windows,
    table_sizes,
)
from clinbert_spacy.models.relations import RelationClassifier
from clinbert_spacy.nets.relations import BEFORE, BEHIND, BETWEEN, HEAD, ROLES, TAIL
from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.side_effects import SideEffects
from tests.toy_relations import (
    BLANK,
    LABELS,
    ONE,
    TWO,
    asked,
    make_component,
    number_doc,
    vectors_of,
)


@pytest.fixture
def component():
    return make_component([])


def roles_of(head, tail, length):
    """Tokens of a window with their roles, and whether the tail comes first."""
    edges = (numpy.array([one[i] for one in (head, tail)]) for i in (0, 1))
    token, mask, role = _windows(*edges, numpy.array([0]), numpy.array([1]), length)
    assert token.shape == mask.shape == role.shape == (1, token.shape[1])
    assert (role // ROLES == int(head[0] > tail[0])).all()
    return dict(zip(token[mask].tolist(), (role[mask] % ROLES).tolist()))


# Windows and roles


def test_window_of_a_near_pair():
    roles = [BEFORE] * 3 + [HEAD] + [BETWEEN] * 2 + [TAIL] + [BEHIND] * 3
    assert roles_of((3, 4), (6, 7), 10) == dict(enumerate(roles))
    turned = [BEFORE] * 3 + [TAIL] + [BETWEEN] * 2 + [HEAD] + [BEHIND] * 3
    assert roles_of((6, 7), (3, 4), 10) == dict(enumerate(turned))


def test_window_at_the_ends_of_a_note():
    assert roles_of((0, 1), (2, 3), 3) == {0: HEAD, 1: BETWEEN, 2: TAIL}
    found = roles_of((40, 41), (43, 44), 100)
    assert list(found) == list(range(40 - REACH, 44 + REACH))


def test_far_pairs_keep_their_two_ends():
    found = roles_of((20, 22), (200, 201), 300)
    between = [*range(22, 22 + MIDDLE), *range(200 - MIDDLE, 200)]
    expected = {i: BEFORE for i in range(20 - REACH, 20)}
    expected |= {20: HEAD, 21: HEAD, 200: TAIL, **{i: BETWEEN for i in between}}
    expected |= {i: BEHIND for i in range(201, 201 + REACH)}
    assert found == expected
    turned = roles_of((200, 201), (20, 22), 300)
    assert set(turned) == set(expected) and turned[200] == HEAD and turned[20] == TAIL


def test_nested_and_overlapping_pairs():
    assert [roles_of((2, 6), (3, 4), 8)[i] for i in range(8)] == (
        [BEFORE, BEFORE, HEAD, HEAD, HEAD, HEAD, BEHIND, BEHIND]
    )
    assert [roles_of((3, 4), (2, 6), 8)[i] for i in range(8)] == (
        [BEFORE, BEFORE, TAIL, HEAD, TAIL, TAIL, BEHIND, BEHIND]
    )
    assert [roles_of((2, 4), (3, 6), 8)[i] for i in range(8)] == (
        [BEFORE, BEFORE, HEAD, HEAD, TAIL, TAIL, BEHIND, BEHIND]
    )


def test_the_middle_of_long_entities_is_left_out():
    found = roles_of((0, 500), (900, 1400), 2000)
    assert len(found) < 4 * MIDDLE + 2 * REACH + MIDDLE
    assert found[0] == HEAD and found[900] == TAIL
    assert 250 not in found and 1399 not in found and 700 not in found


@given(st.integers(1, 300), st.data())
def test_roles_of_any_pair(length, data):
    ends = []
    for _ in range(2):
        start = data.draw(st.integers(0, length - 1))
        ends.append((start, data.draw(st.integers(start + 1, min(start + 20, length)))))
    head, tail = ends
    found = roles_of(head, tail, length)
    left, right = sorted(ends, key=lambda one: one[0])
    if head[0] == tail[0]:
        left, right = head, tail
    for token, role in found.items():
        inside = HEAD if head[0] <= token < head[1] else TAIL if tail[0] <= token < tail[1] else -1
        outside = BEFORE if token < left[0] else BEHIND if token >= right[1] else BETWEEN
        assert role == (inside if inside >= 0 else outside)
    # both entities, what is next to them, and nothing that is not there
    near = {*range(*head), *range(*tail), *range(max(left[0] - REACH, 0), left[0])}
    near |= {*range(max(right[0] - MIDDLE, left[1]), right[0])}
    near |= {*range(left[1], min(left[1] + MIDDLE, right[0]))}
    near |= {*range(right[1], min(right[1] + REACH, length))}
    assert near <= set(found) <= set(range(length))
    assert len(found) <= 2 * REACH + 2 * MIDDLE + 40


def test_arrays_point_into_the_batch(component):
    """Tokens and entities are counted on through the batch; windows are filled up with nothing."""
    docs = [number_doc(10, ONE), number_doc(0, []), number_doc(5, []), number_doc(30, TWO)]
    questions = asked(component, *docs)
    arrays = questions.arrays
    assert questions.counts == [1, 0, 0, 3] and questions.shifts == [0, 10, 10, 15]
    words = [token.i + shift for doc, shift in zip(docs, questions.shifts) for token in doc]
    assert words == list(range(45)) and len(arrays["place"]) == len(arrays["breaks"]) == 45
    assert arrays["members"].tolist() == [3, 6, 16, 19, 20, 24, 26]
    assert arrays["owner"].tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert arrays["head"].tolist() == [0, 3, 3, 3] and arrays["tail"].tolist() == [1, 2, 4, 5]
    assert arrays["window"].shape == arrays["mask"].shape == arrays["role"].shape
    assert arrays["mask"].sum(1).tolist() == [10, 6 + REACH, 10 + REACH, 12 + REACH]
    assert arrays["window"][0][arrays["mask"][0]].tolist() == list(range(10))
    for row, mask in zip(arrays["window"][1:], arrays["mask"][1:]):
        assert row[mask].tolist() == list(range(15, 15 + mask.sum()))
    assert arrays["breaks"].tolist() == [int(i in (0, 10, 15)) for i in range(45)]
    place = [LABELS[i - 1] if i else "" for i in arrays["place"]]
    assert [place[i] for i in (3, 6, 16, 19, 20, 24, 26)] == (
        ["DRUG", "SYMPTOM", "SYMPTOM", "DRUG", "DRUG", "DISEASE", "STRENGTH"]
    )
    assert sum(map(bool, place)) == 7
    names = list(RELATIONS)
    allowed = [[names[i] for i in numpy.flatnonzero(row)] for row in questions.allowed]
    assert allowed == [["ADVERSE_EFFECT", "TREATS"]] * 3 + [["HAS_STRENGTH"]]


def test_no_pairs_no_arrays(component):
    questions = asked(component, number_doc(3, []), number_doc(0, []))
    assert questions.counts == [0, 0] and questions.arrays == {}
    assert questions.allowed.shape == (0, len(RELATIONS))
    assert asked(component).counts == []


# Buckets

GAP, JUMP, HEAD_LABEL, TAIL_LABEL, LIKE_HEAD, LIKE_TAIL, HEAD_AT, TAIL_AT = range(8)


def buckets(component, doc, spans=None):
    found = asked(component, doc, spans=spans).arrays["buckets"]
    return dict(zip(map(tuple, doc.spans["clinbert_relations"].attrs["pairs"]), found.tolist()))


def test_distance_and_direction(component):
    seen = set()
    for gap in (0, 1, 5, 7, 200):
        ahead = number_doc(220, [(2, 4, "DRUG"), (4 + gap, 5 + gap, "SYMPTOM")])
        behind = number_doc(220, [(2, 4, "SYMPTOM"), (4 + gap, 5 + gap, "DRUG")])
        number = sum(limit < gap for limit in GAPS)
        assert buckets(component, ahead)[0, 1][GAP] == number + len(GAPS) + 1
        assert buckets(component, behind)[1, 0][GAP] == number
        seen.add(number)
    assert len(seen) == 5


def test_sentences_between(component):
    rows = [(a, a + 1, "DRUG" if a == 6 else "SYMPTOM") for a in range(0, 13, 2)]
    component.window = 9
    doc = number_doc(13, rows, breaks=(2, 4, 6, 8, 10, 12))
    jumps = {tail: row[JUMP] for (_, tail), row in buckets(component, doc).items()}
    assert jumps == {0: 0, 1: 1, 2: 2, 4: 4, 5: 5, 6: 6}
    one = buckets(component, number_doc(13, rows))
    assert {row[JUMP] for row in one.values()} == {3}  # the same sentence


def test_labels_and_others_of_their_kind_between(component):
    labels = ["DRUG", "SYMPTOM", "DRUG", "DISEASE", "SYMPTOM", "SYMPTOM"]
    doc = number_doc(12, [(2 * i, 2 * i + 1, label) for i, label in enumerate(labels)])
    found = buckets(component, doc)
    row = found[0, 5]
    assert (LABELS[row[HEAD_LABEL] - 1], LABELS[row[TAIL_LABEL] - 1]) == ("DRUG", "SYMPTOM")
    assert [COUNTS[i] for i in (row[LIKE_HEAD], row[LIKE_TAIL])] == [1, 2]
    turned = found[2, 1]
    assert [COUNTS[i] for i in (turned[LIKE_HEAD], turned[LIKE_TAIL])] == [0, 0]


def test_sections_and_what_is_said(component):
    doc = number_doc(8, [(1, 2, "DRUG"), (5, 6, "SYMPTOM")])
    names = section_names()[:2]
    doc.spans["clinbert_sections"] = SpanGroup(
        doc, spans=[Span(doc, 0, 4, label=names[0]), Span(doc, 4, 8, label=names[1])]
    )
    bare = number_doc(8, [(1, 2, "DRUG"), (5, 6, "SYMPTOM")])
    values = [{"drug_status": "stopped"}, {"presence": "absent", "experiencer": "family"}]
    doc.spans["clinbert_assertion"] = SpanGroup(
        doc, spans=list(doc.ents), attrs={"values": values}
    )
    (row,), (other,) = (buckets(component, one).values() for one in (doc, bare))
    assert [row[HEAD_AT], row[TAIL_AT], other[HEAD_AT], other[TAIL_AT]] == [1, 2, 0, 0]
    assert [VALUES[i] for i in row[8:]] == (
        ["presence=absent", "experiencer=family", "", "drug_status=stopped"]
    )
    assert other[8:] == [0, 0, 0, 0] and row[:6] == other[:6]


@given(st.integers(0, 10**6))
def test_buckets_fit_their_tables(seed):
    rng = numpy.random.default_rng(seed)
    length = int(rng.integers(2, 150))
    component = SideEffects(BLANK.vocab, RelationClassifier(vectors_of([])), window=9, most=99)
    doc = number_doc(length, [], breaks=rng.integers(1, 150, 8).tolist())
    spans = [
        Span(doc, a, min(a + int(rng.integers(1, 9)), length), label=str(rng.choice(LABELS)))
        for a in rng.integers(0, length, 20).tolist()
    ]
    found = asked(component, doc, spans=spans)
    if found.arrays:
        sizes = table_sizes(section_names(), len(LABELS))
        assert found.arrays["buckets"].shape == (sum(found.counts), len(sizes))
        assert (found.arrays["buckets"] >= 0).all()
        assert (found.arrays["buckets"] < numpy.array(sizes)).all()
