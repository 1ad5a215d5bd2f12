"""Which sentences make a summary that has no room for all that is owed: what counts most, alone."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thinc.api import Model

from clinbert_spacy.pipeline.summary import Summary
from clinbert_spacy.pipeline.summary_choice import OWED, Chooser
from tests.pipeline.test_summary_choice import (
    FEW,
    REDUNDANCIES,
    Plain,
    covers,
    materials,
    plain,
    told,
)
from tests.toy_told import drug, effect, has, lay, numbers

# Much is owed, and often there is room for some of it.
OWING = materials(least=4, least_cost=1, kinds=(*OWED, "problem"))


def owing_nothing(material):
    """The same facts, of which none is owed."""
    renamed = {kind: f"{kind}, not owed" for kind in OWED}
    tellings = [t._replace(kind=renamed.get(t.kind, t.kind)) for t in material.tellings]
    return material._replace(tellings=tellings)


@FEW
@given(OWING, st.integers(2, 12), REDUNDANCIES)
def test_chooses_as_the_plain_way_does(material, limit, redundancy):
    expected = Plain(material, limit, redundancy, partly=False).choose()
    assert Chooser(material, limit, redundancy, partly=False).choose() == expected


@FEW
@given(OWING, st.integers(2, 12), REDUNDANCIES)
def test_all_that_is_owed_or_as_if_nothing_were(material, limit, redundancy):
    found = Chooser(material, limit, redundancy, partly=False).choose()
    as_much_as_fits = Chooser(material, limit, redundancy).choose()
    by_scores = Chooser(owing_nothing(material), limit, redundancy).choose()
    all_told = told(material, set(as_much_as_fits), OWED) >= set(covers(material))
    assert found == (as_much_as_fits if all_told else by_scores)


# Single cases


def pick(material, limit):
    return Chooser(material, limit, 0.3, partly=False).choose()


def test_without_room_for_all_that_is_owed_scores_may_decide_alone():
    material = plain(5, [("side_effect", ("a", "b"), frozenset([4])),
                         ("allergy", ("c",), frozenset([3])),
                         ("problem", ("d",), frozenset([2]))])  # fmt: skip
    found = [pick(material, n) for n in range(4)]
    assert found == [[], [0], [3, 4], [0, 3, 4]]


def test_what_may_not_be_shown_is_not_waited_for():
    """The other allergy is all that can be shown, so it comes first."""
    twice = [("allergy", (key,), frozenset([i])) for i, key in ((2, "a"), (3, "b"))]
    material = plain(4, twice, barred=frozenset([2]))
    assert pick(material, 1) == [3]
    needed = plain(4, twice, barred=frozenset([0]), needs={2: frozenset([0])})
    assert pick(needed, 1) == [3]


def test_what_is_told_elsewhere_is_not_waited_for():
    twice = [("allergy", ("a",), frozenset([i])) for i in (1, 3)]
    material = plain(4, twice)._replace(costs=[1, 9, 1, 1])
    assert pick(material, 2) == [0, 3]


def begun(scores, costs=(1, 1, 1, 1), again=(), words=()):
    """The fourth sentence's allergy would be taken before it shows that the last does not fit."""
    places = [("a", 3), ("b", 4), *(("a", i) for i in again)]
    tellings = [("allergy", (key,), frozenset([i])) for key, i in places]
    return plain(5, tellings, [*scores, 0.0], words=words)._replace(costs=[*costs, 9])


@pytest.mark.parametrize(
    ("material", "limit", "expected"),
    [
        # it may still come, and is not like itself
        (begun([1.0, 0.5, 0.1, 0.9]), 2, [0, 3]),
        # what tells the same may come, too
        (begun([1.0, 0.5, 0.1, 0.9], costs=(2, 1, 1, 1), again=[0]), 2, [0]),
        # once that came, the other repeats it
        (begun([1.0, 0.5, 0.1, 0.9], costs=(2, 1, 1, 1), again=[0]), 3, [0, 1]),
        # the same words are still said but once
        (begun([1.0, 0.8, 0.9, 0.1], words=["x", "y", "x", "x", "z"]), 2, [0, 1]),
    ],
)
def test_what_was_begun_leaves_no_trace(material, limit, expected):
    assert 3 in Chooser(material, limit, 0.3).choose()
    assert pick(material, limit) == expected


# The component


@pytest.mark.parametrize(
    ("method", "expected"),
    [("model", [[0], [2, 3], [0, 2, 3]]), ("central", [[3], [2, 3], [0, 2, 3]])],
)
def test_a_model_decides_alone_where_likeness_does_not(method, expected):
    """Whoever learned from people learned what a side effect counts; likeness knows of none."""
    doc = lay("Came by bus.\nSleeps well.\nPenicillin: anaphylaxis.\nRash from codeine.",
              [drug("Penicillin", "allergy"), has("Rash"), drug("codeine")],
              [effect("codeine", "Rash")])  # fmt: skip
    scores, vectors = numpy.array([0.9, 0.5, 0.1, 0.2]), numpy.eye(4)
    component, found = Summary(doc.vocab, Model("none", lambda *_: None), method=method), []
    for component.budget in ("1", "2", "3"):
        component.ask(doc)
        component.set_annotations([doc], [(scores, vectors)])
        found.append(numbers(doc))
    assert found == expected
