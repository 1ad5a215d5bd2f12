"""Which sentences make a summary that has no room for all that is owed: what counts most, alone."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinc.api import Model

from clinbert_spacy.pipeline.summary import Summary
from clinbert_spacy.pipeline.summary_choice import OWED, Chooser
from tests.pipeline.test_summary_choice import REDUNDANCIES, covers, materials, plain, told
from tests.toy_told import drug, effect, has, lay, numbers


def owing_nothing(material):
    """The same facts, of which none is owed."""
    renamed = {kind: f"{kind}, not owed" for kind in OWED}
    tellings = [t._replace(kind=renamed.get(t.kind, t.kind)) for t in material.tellings]
    return material._replace(tellings=tellings)


@settings(max_examples=300)
@given(materials(), st.integers(0, 12), REDUNDANCIES)
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
