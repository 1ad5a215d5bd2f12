"""Side effects judged end to end: what counts, what was read as what, what was lost."""

from dataclasses import astuple

import pytest

from clinbert_spacy.attributes import side_effects
from clinbert_spacy.evaluation.relations import Found
from clinbert_spacy.evaluation.scorers import Counts
from clinbert_spacy.evaluation.side_effects import (
    CROSS,
    SAME,
    Tally,
    judge,
    kind_of_pair,
    overlapping,
    summarise,
    without_overlaps,
)

from .toy_found import CURRENT, found_example, places

EFFECT = "ADVERSE_EFFECT"
STOPPED = (
    "{lisinopril|DRUG} gave dry {cough|SYMPTOM} . {aspirin|DRUG} {10 mg|STRENGTH} for "
    "{fever|SYMPTOM} .",
    [
        ("lisinopril", "cough", EFFECT, "stated", "reaction"),
        ("aspirin", "fever", "TREATS"),
        ("aspirin", "10 mg", "HAS_STRENGTH"),
    ],
)
TRUE = STOPPED[1][0]
ENTITIES = [("lisinopril", "DRUG"), ("cough", "SYMPTOM"), ("aspirin", "DRUG"),
            ("10 mg", "STRENGTH"), ("fever", "SYMPTOM")]  # fmt: skip
TOLD = {"cough": CURRENT, "fever": CURRENT}
ONE = ("{lisinopril|DRUG} gave dry {cough|SYMPTOM}", [TRUE])


def entities(**labels):
    """ENTITIES with other labels."""
    return [(words, labels.get(words, label)) for words, label in ENTITIES]


def counts(tally, label=EFFECT):
    return astuple(tally.relations.get(label, Counts()))


def test_all_is_right():
    tally = judge(found_example(STOPPED, told=TOLD))
    assert {name: astuple(c) for name, c in tally.relations.items() if c.tp} == {
        EFFECT: (1, 0, 0), "TREATS": (1, 0, 0), "HAS_STRENGTH": (1, 0, 0),
    }  # fmt: skip
    assert {name: astuple(c) for name, c in tally.entities.items()} == {
        "DRUG": (2, 0, 0), "SYMPTOM": (2, 0, 0), "STRENGTH": (1, 0, 0),
    }  # fmt: skip
    assert astuple(tally.whole) == (1, 0, 0) and not tally.lost
    assert (tally.reactions, tally.found, tally.denied) == (1, 1, 0)


DRY = [(words.replace("cough", "dry cough"), label) for words, label in ENTITIES]


@pytest.mark.parametrize(
    "links, found, effect, treats",
    [
        ([], ENTITIES, (0, 0, 1), (0, 0, 1)),
        ([TRUE], ENTITIES, (1, 0, 0), (0, 0, 1)),
        # other bounds, another label of an end, the ends turned round, another relation, one more
        ([("lisinopril", "dry cough", EFFECT)], DRY, (0, 1, 1), (0, 0, 1)),
        ([TRUE], entities(cough="DISEASE"), (0, 1, 1), (0, 0, 1)),
        ([TRUE], entities(lisinopril="STRENGTH"), (0, 1, 1), (0, 0, 1)),
        ([("cough", "lisinopril", EFFECT)], ENTITIES, (0, 1, 1), (0, 0, 1)),
        ([("lisinopril", "cough", "TREATS")], ENTITIES, (0, 0, 1), (0, 1, 1)),
        ([TRUE, ("aspirin", "cough", EFFECT)], ENTITIES, (1, 1, 0), (0, 0, 1)),
        ([("aspirin", "fever", EFFECT)], ENTITIES, (0, 1, 1), (0, 0, 1)),
    ],
)
def test_counts_are_strict(links, found, effect, treats):
    tally = judge(found_example(STOPPED, links, found))
    assert (counts(tally), counts(tally, "TREATS")) == (effect, treats)


def test_either_label_of_the_gold_will_do():
    note = ("{ramipril|DRUG} gave {cough|DISEASE|SYMPTOM}", [("ramipril", "cough", EFFECT)])
    for label in ("DISEASE", "SYMPTOM"):
        found = [("ramipril", "DRUG"), ("cough", label)]
        assert counts(judge(found_example(note, entities=found))) == (1, 0, 0)


def test_relations_that_a_corpus_does_not_mark_do_not_count():
    tally = judge(found_example(STOPPED, covered=["TREATS"], told=TOLD))
    assert set(tally.relations) == {"TREATS"} and not tally.places
    assert astuple(tally.whole) == (0, 0, 0) and tally.reactions == 0 and not tally.hard
    tally = judge(found_example(STOPPED, [TRUE], closed=False))
    assert not tally.relations and not tally.lost and tally.entities["DRUG"].tp == 2


def test_doubtful_pairs_do_not_count():
    gold = [("lisinopril", "cough", ""), ("aspirin", "fever", EFFECT, "stated", "reaction")]
    links = [TRUE, gold[1], ("lisinopril", "fever", EFFECT)]
    note = (STOPPED[0], gold)
    for told in (TOLD, None):
        tally = judge(found_example(note, links[:2], told=told))
        assert counts(tally) == astuple(tally.whole) == (1, 0, 0)
        assert astuple(tally.places[SAME]) == (1, 0, 0) and not tally.lost
    # one that is not doubted does
    tally = judge(found_example(note, links))
    assert counts(tally) == astuple(tally.whole) == (1, 1, 0)
    assert astuple(tally.places[CROSS]) == (0, 1, 0)
    # nobody misses them
    assert counts(judge(found_example(note, links[1:2]))) == (1, 0, 0)


def test_within_and_across_sentences():
    gold = [TRUE, ("aspirin", "cough", EFFECT, "stated", "reaction")]
    across = ("lisinopril", "fever", EFFECT)
    links = [gold[0], across, ("aspirin", "fever", EFFECT)]
    tally = judge(found_example((STOPPED[0], gold), links))
    assert {name: astuple(c) for name, c in tally.places.items()} == {
        SAME: (1, 1, 0), CROSS: (0, 1, 1),
    }  # fmt: skip
    # an end with a wrong label stands where it stands
    tally = judge(found_example(STOPPED, [TRUE], entities(cough="DISEASE")))
    assert astuple(tally.places[SAME]) == (0, 1, 1) and astuple(tally.places[CROSS]) == (0, 0, 0)


@pytest.mark.parametrize(
    "link, said, expected",
    [
        (("stated", "reaction"), CURRENT, (1, 0, 0)),
        (("possible", "reaction"), CURRENT, (0, 1, 1)),
        (("stated", "allergy"), CURRENT, (0, 1, 1)),
        (("stated", "reaction"), {**CURRENT, "presence": "absent"}, (0, 1, 1)),
        (("stated", "reaction"), {**CURRENT, "time": "historical"}, (0, 1, 1)),
        # nobody judged it
        (("stated", "reaction"), {}, (0, 1, 1)),
    ],
)
def test_whole_needs_all_three(link, said, expected):
    example = found_example(ONE, [(*TRUE[:3], *link)], told=TOLD, said={"cough": said})
    tally = judge(example)
    assert astuple(tally.whole) == expected and counts(tally) == (1, 0, 0)


def test_whole_is_never_more_than_the_relations():
    for links, found in (([], None), ([TRUE], entities(cough="DISEASE"))):
        tally = judge(found_example(STOPPED, links, found, TOLD))
        assert astuple(tally.whole) == counts(tally) == (0, len(links), 1)


def test_tests_have_no_assertion():
    note = ("{ramipril|DRUG} raised {potassium|TEST}",
            [("ramipril", "potassium", EFFECT, "stated", "reaction")])  # fmt: skip
    assert astuple(judge(found_example(note, told={})).whole) == (1, 0, 0)
    assert astuple(judge(found_example(note)).whole) == (1, 0, 0)


@pytest.mark.parametrize("said", [("", ""), ("stated", ""), ("", "reaction")])
def test_whole_is_not_asked_where_the_gold_does_not_say(said):
    tally = judge(found_example((ONE[0], [(*TRUE[:3], *said)]), [TRUE]))
    assert astuple(tally.whole) == (0, 0, 0) and counts(tally) == (1, 0, 0)


@pytest.mark.parametrize(
    "label, words, assertion, kind",
    [
        ("TREATS", ("", ""), "present", "indication"),
        (EFFECT, ("stated", "allergy"), "present", "allergy list"),
        (EFFECT, ("denied", "intolerance"), "absent", "allergy list"),
        (EFFECT, ("denied", "reaction"), "absent", "denied link"),
        (EFFECT, ("stated", "reaction"), "family", "family"),
        (EFFECT, ("possible", "reaction"), "hypothetical", "hypothetical"),
        (EFFECT, ("stated", "withdrawal"), "present", ""),
        (EFFECT, ("possible", "overdose"), "present", ""),
        (EFFECT, ("", ""), "present", ""),
        # the patient had it
        (EFFECT, ("stated", "reaction"), "historical", ""),
    ],
)
def test_kinds_of_pairs(label, words, assertion, kind):
    assert kind_of_pair(Found((0, 1), (2, 3), label), words, assertion) == kind


HARD = [
    (("lisinopril", "cough", "TREATS"), CURRENT, "indication"),
    (("lisinopril", "cough", EFFECT, "stated", "allergy"), CURRENT, "allergy list"),
    (("lisinopril", "cough", EFFECT, "denied", "reaction"), CURRENT, "denied link"),
    (TRUE, {**CURRENT, "experiencer": "family"}, "family"),
    (TRUE, {**CURRENT, "presence": "absent"}, "absent"),
    (TRUE, {**CURRENT, "presence": "hypothetical"}, "hypothetical"),
    (TRUE, {**CURRENT, "presence": "conditional"}, "conditional"),
    (TRUE, {**CURRENT, "presence": "absent", "experiencer": "family"}, "family"),
]
WIDE = [("lisinopril", "DRUG"), ("dry cough", "DISEASE")]


@pytest.mark.parametrize("gold, values, kind", HARD)
def test_hard_negatives_read_as_present(gold, values, kind):
    note = (ONE[0], [gold])
    present, told = {"dry cough": CURRENT, "cough": CURRENT}, {"cough": values}
    for links, found in (([TRUE], None), ([("lisinopril", "dry cough", EFFECT)], WIDE)):
        tally = judge(found_example(note, links, found, told, present))
        # wrong bounds and a wrong label excuse nothing
        assert (tally.hard, tally.misread) == ({kind: 1}, {kind: 1})
        assert (tally.reactions, tally.found) == (0, 0)
    for links in ([], [("lisinopril", "cough", "TREATS")], [(*TRUE[:3], "denied", "reaction")],
                  [(*TRUE[:3], "stated", "intolerance")]):  # fmt: skip
        tally = judge(found_example(note, links, None, told, present))
        assert tally.hard == {kind: 1} and not tally.misread.total()
    # nor is it misread where the assertion is right
    absent = {"cough": {**CURRENT, "presence": "absent"}}
    assert not judge(found_example(note, [TRUE], None, told, absent)).misread.total()


def test_what_only_touches_does_not_overlap():
    note = ("{rash|SYMPTOM}-{fever|SYMPTOM} after {aspirin|DRUG}", [("aspirin", "fever", "TREATS")])
    wide = [("rash-", "SYMPTOM"), ("aspirin", "DRUG")]
    for tail, found, misread in (("rash-", wide, 0), ("fever", None, 1)):
        example = found_example(note, [("aspirin", tail, EFFECT)], found)
        assert len(side_effects(example.predicted)) == 1
        assert judge(example).misread["indication"] == misread


def test_reactions_that_are_found_and_denied():
    absent, now = {"cough": {**CURRENT, "presence": "absent"}}, {"cough": CURRENT}
    for link, said, found, denied in (
        ([TRUE], now, 1, 0),
        ([TRUE], absent, 1, 1),
        ([(*TRUE[:3], "denied", "reaction")], now, 1, 1),
        ([(*TRUE[:3], "possible", "allergy")], now, 1, 0),
        ([("lisinopril", "cough", "TREATS")], absent, 0, 0),
        ([], absent, 0, 0),
    ):
        tally = judge(found_example(ONE, link, None, now, said))
        assert (tally.reactions, tally.found, tally.denied) == (1, found, denied)
    # one of two readings that calls it present is enough
    links = [("lisinopril", "dry", EFFECT), (*TRUE[:3], "denied", "reaction")]
    split = [("lisinopril", "DRUG"), ("dry", "SYMPTOM"), ("cough", "SYMPTOM")]
    wide = ("{lisinopril|DRUG} gave {dry cough|SYMPTOM}", [("lisinopril", "dry cough", *TRUE[2:])])
    tally = judge(found_example(wide, links, split))
    assert (tally.reactions, tally.found, tally.denied) == (1, 1, 0)


@pytest.mark.parametrize(
    "found, reason",
    [
        (ENTITIES[:2], "not joined"),
        (ENTITIES[1:], "head not found"),
        (ENTITIES[:1], "tail not found"),
        (WIDE, "tail not found"),
        (ENTITIES[3:4], "head and tail not found"),
    ],
)
def test_reasons_for_lost_pairs(found, reason):
    tally = judge(found_example((STOPPED[0], [TRUE]), [], found))
    assert tally.lost == {reason: 1}


def test_without_the_component_all_is_lost():
    example = found_example(STOPPED)
    del example.predicted.spans["clinbert_relations"]
    assert judge(example).lost == {"head and tail not found": 3}


# Overlaps


def nested(links=()):
    """A drug inside the name of an effect, and entities that stand in no relation."""
    note = ("{zolax rash|SYMPTOM} , {aspirin|DRUG} for {pain|SYMPTOM} , {fever|SYMPTOM}", links)
    example = found_example(note, [])
    (drug,) = places(example, "zolax")
    (effect,) = places(example, "zolax rash")
    attrs = example.reference.spans["clinbert_ents"].attrs
    attrs["gold"].insert(0, [*drug, "DRUG"])
    attrs["links"].insert(0, [*drug, *effect, EFFECT, "stated", "reaction"])
    return example


def words_of(example):
    attrs = example.reference.spans["clinbert_ents"].attrs
    return [example.reference.text[start:end] for start, end, _ in attrs["gold"]]


def test_overlapping_relations_are_left_out():
    example = nested([("aspirin", "pain", "TREATS")])
    assert [(one.head, one.tail) for one in overlapping(example)] == [((0, 5), (0, 10))]
    less = without_overlaps(example)
    # what stands in no relation at all stays
    assert words_of(less) == ["aspirin", "pain", "fever"]
    assert overlapping(less) == [] and judge(less).relations[EFFECT].fn == 0
    assert judge(less).relations["TREATS"].fn == 1
    assert judge(less).entities["SYMPTOM"].fp == 1  # zolax rash
    # the example itself is as it was
    assert words_of(example) == ["zolax", "zolax rash", "aspirin", "pain", "fever"]
    assert judge(example).relations[EFFECT].fn == 1


def test_entities_of_another_relation_stay():
    example = nested([("aspirin", "zolax rash", EFFECT, "stated", "reaction")])
    less = without_overlaps(example)
    assert words_of(less) == ["zolax rash", "aspirin", "pain", "fever"]
    assert judge(less).relations[EFFECT].fn == 1


def test_nothing_overlaps():
    example = found_example(STOPPED)
    assert overlapping(example) == [] and without_overlaps(example) is example


def test_summary():
    tallies = [
        judge(found_example(STOPPED, told=TOLD)),
        judge(found_example((ONE[0], [HARD[0][0]]), [TRUE], told=TOLD)),
        judge(found_example(ONE, [], ENTITIES[:1], told=TOLD)),
        judge(found_example(ONE, told=TOLD, said={"cough": {**CURRENT, "presence": "absent"}})),
    ]
    found = summarise(tallies)
    # 4 right, 1 wrong, 2 missed
    assert [found[name]["value"] for name in ("precision", "recall", "f")] == (
        pytest.approx([4 / 5, 4 / 6, 8 / 11])
    )
    for name in ("precision", "recall", "f", "macro_f", "entities_f"):
        assert 0 <= found[name]["low"] <= found[name]["value"] <= found[name]["high"] <= 1
    assert found["relations"][EFFECT] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f": 2 / 3, "n": 3}
    )
    # relations that are neither there nor found have no row
    assert list(found["relations"]) == [EFFECT, "HAS_STRENGTH", "TREATS"]
    assert found["attributes"]["n"] == 1 == found["attributes"]["f"]
    assert found["entities"]["SYMPTOM"]["n"] == 5 and found["entities"]["SYMPTOM"]["recall"] == 0.8
    assert found["places"] == {SAME: pytest.approx(found["relations"][EFFECT])}
    assert found["whole"]["n"] == 3 and found["whole"]["recall"] == pytest.approx(1 / 3)
    assert found["lost"] == {"not joined": 1, "tail not found": 1}
    assert found["hard_negatives"] == {"indication": {"n": 2, "read_as_present": 1}}
    assert found["misread_share"] == 0.5
    assert found["reactions"] == {"n": 3, "found": 2, "denied": 1} and found["denied_share"] == 0.5
    assert summarise(tallies) == found  # adding changes no note


@pytest.mark.parametrize("tallies", [[], [Tally()]])
def test_summary_of_nothing(tallies):
    found = summarise(tallies)
    assert found["f"] == found["macro_f"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["relations"] == found["lost"] == found["hard_negatives"] == {}
    assert found["misread_share"] == found["denied_share"] == 0.0
