"""Which sentences make a summary: any facts, needs and budgets, beside a plain way to choose."""

import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinbert_spacy.pipeline.summary_choice import OWED, Chooser, Material, central
from clinbert_spacy.pipeline.summary_facts import KINDS, Telling

FEW = settings(max_examples=150)
EIGHTHS = st.integers(0, 8).map(lambda n: n / 8)
REDUNDANCIES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def materials(draw, least=0, most=8, free=False, least_cost=0, kinds=KINDS):
    """Sentences of which anything may be known; numbers that add up without rounding."""
    n = draw(st.integers(least, most))
    numbers = st.integers(0, max(n - 1, 0))
    groups = st.frozensets(numbers, min_size=1, max_size=2)
    keys = st.sampled_from("xyz").map(lambda key: (key,))
    facts = st.builds(Telling, st.sampled_from(kinds), keys, groups)
    tellings = draw(st.lists(facts, min_size=least, max_size=8)) if n else []
    needs = draw(st.dictionaries(numbers, groups, max_size=3)) if n and not free else {}
    barred = draw(st.frozensets(numbers, max_size=2)) if n and not free else frozenset()
    scores = numpy.array(draw(st.lists(EIGHTHS, min_size=n, max_size=n)), dtype="float64")
    topics = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    costs = draw(st.lists(st.integers(least_cost, 5), min_size=n, max_size=n))
    words = draw(st.sampled_from([(), [f"said {topic}" for topic in topics]]))
    return Material(scores, numpy.eye(3)[topics].reshape(n, 3), costs, tellings, needs, barred,
                    words)  # fmt: skip


def close(material, wanted):
    """Sentences with all that they need; None if one is barred."""
    found = set(wanted)
    while more := {j for i in found for j in material.needs.get(i, ())} - found:
        found |= more
    return None if found & material.barred else found


def told(material, chosen, kinds=KINDS):
    return {t.fact for t in material.tellings if t.kind in kinds and t.sentences <= chosen}


def cost(material, numbers):
    return sum(material.costs[i] for i in numbers)


def covers(material):
    """For each owed fact the least that any telling of it costs, in facts that may be shown."""
    found = {}
    for one in material.tellings:
        group = close(material, one.sentences)
        if one.kind in OWED and group is not None:
            found[one.fact] = min(found.get(one.fact, 999), max(cost(material, group), 1))
    return found


class Plain:
    """The same choice, as one would say it: everything counted anew for every sentence."""

    def __init__(self, material, limit, redundancy, partly=True):
        self.m, self.left, self.redundancy, self.chosen = material, limit, redundancy, set()
        self.partly = partly

    def choose(self):
        limit = self.left
        self.take_all(lambda: self.owed() or self.best())
        if not self.partly and set(covers(self.m)) - told(self.m, self.chosen):
            self.left, self.chosen = limit, set()
            self.take_all(self.best)
        return sorted(self.chosen)

    def take_all(self, find):
        while (group := find()) is not None:
            self.left -= cost(self.m, group - self.chosen)
            self.chosen |= group

    def fits(self, wanted):
        group = close(self.m, wanted)
        return group is not None and cost(self.m, group - self.chosen) <= self.left and group

    def owed(self):
        known, ranked = told(self.m, self.chosen), []
        for one in self.m.tellings:
            if one.kind in OWED and one.fact not in known and (group := self.fits(one.sentences)):
                gain = len(told(self.m, self.chosen | group, OWED) - known)
                price = max(cost(self.m, group - self.chosen), 1)
                mean = self.m.scores[sorted(group)].mean()
                ranked.append((gain / price, mean, sorted(group)))
        return set(max(ranked)[2]) if ranked else None

    def repeats(self, i):
        known = told(self.m, self.chosen)
        facts = [t.fact for t in self.m.tellings if i in t.sentences]
        same = self.m.words and self.m.words[i] in {self.m.words[j] for j in self.chosen}
        return set(facts) <= known and bool(facts or same)

    def value(self, i):
        likeness = [float(self.m.vectors[i] @ self.m.vectors[j]) for j in self.chosen]
        share = self.redundancy if likeness else 0
        return (1 - share) * self.m.scores[i] - share * max(likeness, default=0)

    def best(self):
        rest = set(range(len(self.m.scores))) - self.chosen
        order = sorted(rest, key=lambda i: (self.repeats(i), -self.value(i), i))
        return next((group for i in order if (group := self.fits([i]))), None)


@FEW
@given(materials(), st.integers(0, 25), REDUNDANCIES, st.booleans())
def test_chooses_as_the_plain_way_does(material, limit, redundancy, partly):
    expected = Plain(material, limit, redundancy, partly).choose()
    assert Chooser(material, limit, redundancy, partly).choose() == expected


@FEW
@given(materials(), st.integers(0, 25), REDUNDANCIES, st.booleans())
def test_what_always_holds(material, limit, redundancy, partly):
    found = Chooser(material, limit, redundancy, partly).choose()
    assert found == sorted(set(found)) and set(found) <= set(range(len(material.scores)))
    assert cost(material, found) <= limit
    assert not set(found) & material.barred
    assert close(material, found) == set(found)


@FEW
@given(materials(least_cost=1), st.integers(0, 10), st.booleans())
def test_all_that_is_owed_is_told_where_the_budget_allows_it(material, more, partly):
    """Each step costs no more than the cheapest tellings of the facts that it brings."""
    least = covers(material)
    found = set(Chooser(material, sum(least.values()) + more, 0.3, partly).choose())
    assert told(material, found, OWED) >= set(least)


@FEW
@given(materials(), st.integers(0, 10), st.booleans())
def test_all_that_is_owed_is_told_where_the_greedy_cover_fits(material, more, partly):
    chooser = Chooser(material, 999, 0.3)
    while (group := chooser._best_owed()) is not None:
        chooser._take(group)
    found = Chooser(material, cost(material, chooser.chosen) + more, 0.3, partly).choose()
    assert set(found) >= chooser.chosen
    assert told(material, set(found), OWED) >= set(covers(material))


@FEW
@given(materials(free=True), st.integers(0, 25), REDUNDANCIES, st.booleans())
def test_nothing_that_fits_is_left(material, limit, redundancy, partly):
    found = set(Chooser(material, limit, redundancy, partly).choose())
    rest = set(range(len(material.scores))) - found
    left = limit - cost(material, found)
    assert all(material.costs[i] > left for i in rest)


class Watched(Chooser):
    """Keeps what could have been taken at each step."""

    def _best(self):
        fresh = {i for i in numpy.flatnonzero(self.open & ~self.repeats).tolist()}
        could = {i for i in fresh if self._fits(frozenset([i]))}
        told_before = set(self.told)
        group = super()._best()
        if group is not None and could:
            new = {t.fact for i in group for t in self.facts.get(i, ())} - told_before
            silent = any(not self.facts.get(i) for i in could & group)
            assert new or silent, "repeated while another had something to say"
        return group


@FEW
@given(materials(), st.integers(0, 25), REDUNDANCIES, st.booleans())
def test_facts_are_told_before_any_is_repeated(material, limit, redundancy, partly):
    Watched(material, limit, redundancy, partly).choose()


# Single cases


def plain(n, tellings=(), scores=None, **fields):
    values = numpy.linspace(1, 0.1, n) if scores is None else numpy.array(scores)
    return Material(values, numpy.eye(n), [1] * n, [Telling(*one) for one in tellings], **fields)


def pick(material, limit, redundancy=0.3):
    return Chooser(material, limit, redundancy).choose()


def test_side_effects_and_allergies_come_before_what_counts_most():
    material = plain(5, [("side_effect", ("a", "b"), frozenset([4])),
                         ("allergy", ("c",), frozenset([3])),
                         ("problem", ("d",), frozenset([2]))])  # fmt: skip
    assert [pick(material, n) for n in range(4)] == [[], [3], [3, 4], [0, 3, 4]]


def test_one_sentence_that_tells_two_comes_first():
    material = plain(4, [("side_effect", ("a",), frozenset([1])),
                         ("side_effect", ("b",), frozenset([2])),
                         ("side_effect", ("a",), frozenset([3])),
                         ("side_effect", ("b",), frozenset([3]))])  # fmt: skip
    assert pick(material, 1) == [3] and pick(material, 2) == [0, 3]


def test_what_is_owed_is_told_as_cheaply_as_it_can_be():
    told_by = [("side_effect", (key,), frozenset([i])) for i, key in enumerate("aabc")]
    material = plain(4, told_by)._replace(costs=[5, 2, 2, 1])
    assert pick(material, 5) == [1, 2, 3] and pick(material, 3) == [1, 3]


def test_a_fact_that_two_sentences_tell_needs_both():
    material = plain(3, [("side_effect", ("a",), frozenset([1, 2]))])
    assert pick(material, 1) == [0] and pick(material, 2) == [1, 2]


def test_what_is_needed_comes_along_a_chain_and_in_a_circle():
    needs = {0: frozenset([1]), 1: frozenset([2]), 2: frozenset([0])}
    material = plain(4, needs=needs)
    assert [pick(material, n) for n in range(5)] == [[], [3], [3], [0, 1, 2], [0, 1, 2, 3]]
    assert pick(plain(4, needs=needs, barred=frozenset([2])), 4) == [3]


def test_a_barred_sentence_takes_along_what_needs_it_but_not_its_facts():
    """The allergy stands in two places; only one may be shown."""
    twice = [("allergy", ("a",), frozenset([1])), ("allergy", ("a",), frozenset([3]))]
    material = plain(4, twice, barred=frozenset([0]), needs={1: frozenset([0])})
    assert pick(material, 1) == [3] and pick(material, 4) == [2, 3]


def test_the_same_words_are_not_said_twice_while_others_are_left():
    words = ["cough", "cough", "cough", "fever", "rash"]
    scores = [1.0, 1.0, 1.0, 0.1, 0.1]
    for redundancy in (0.0, 0.3, 1.0):
        material = plain(5, scores=scores, words=words)
        assert pick(material, 3, redundancy) == [0, 3, 4]
        assert pick(material, 4, redundancy) == [0, 1, 3, 4]


def test_the_same_words_under_another_heading_may_tell_something_new():
    material = plain(3, [("problem", ("cough",), frozenset([1]))], words=["cough", "cough", "x"])
    assert pick(material, 2) == [0, 1]


def test_redundancy_weighs_likeness():
    vectors = numpy.array([[1, 0], [0.8, 0.6], [0, 1]])
    material = plain(3, scores=[1.0, 0.9, 0.5])._replace(vectors=vectors)
    assert pick(material, 2, 0.0) == [0, 1] and pick(material, 2, 0.5) == [0, 2]


def test_dear_sentences_are_passed_over():
    material = plain(3)._replace(costs=[9, 5, 4])
    assert pick(material, 8) == [1] and pick(material, 4) == [2] and pick(material, 3) == []


# Centrality


def table_of(vectors, damping=0.85):
    """The same from a table of all pairs."""
    n = len(vectors)
    table = vectors.astype("float64") @ vectors.T.astype("float64")
    numpy.fill_diagonal(table, 0)
    moves = numpy.array([row / row.sum() if row.sum() else [1 / n] * n for row in table])
    rank = numpy.full(n, 1 / n)
    for _ in range(50):
        rank = (1 - damping) / n + damping * rank @ moves
    return rank / rank.max()


@FEW
@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), max_size=12))
def test_centrality_is_that_of_a_table_of_all_pairs(rows):
    vectors = numpy.array(rows, dtype="float32").reshape(-1, 4)
    vectors /= numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    found = central(vectors)
    assert found.dtype == numpy.float32 and len(found) == len(rows)
    if rows:
        assert found == pytest.approx(table_of(vectors), abs=1e-4)
        assert found.max() == 1 and found.min() > 0


def test_central_is_what_shares_most():
    vectors = numpy.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0], [0, 0, 1]], dtype="float32")
    found = central(vectors)
    assert found.argmax() == 1 and found[0] < found[2] and found.argmin() == 3
    assert central(vectors, damping=0.0).tolist() == [1.0] * 4


# How the work grows


def count_calls(run):
    """Calls of functions, ours and others'."""
    calls = [0]

    def watch(frame, event, argument):
        calls[0] += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls[0]


@pytest.mark.parametrize("share", [0.02, 0.2, 1.0])
def test_work_grows_with_the_note(share):
    def work(n):
        tellings = [("problem", (str(i % 7),), frozenset([i])) for i in range(0, n, 3)]
        tellings += [("side_effect", (str(i),), frozenset([i, i + 1])) for i in range(0, n - 1, 50)]
        needs = {i: frozenset([i - 1]) for i in range(1, n, 20)}
        words = [str(i % 90) for i in range(n)]
        vectors = numpy.ones((n, 2), dtype="float32")
        material = plain(n, tellings, needs=needs, words=words)._replace(vectors=vectors)
        return count_calls(lambda: pick(material, int(share * n)))

    assert work(1600) < 6 * work(400)
