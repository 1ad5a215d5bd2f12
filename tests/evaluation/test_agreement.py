from dataclasses import replace

import pytest

from clinbert_spacy.evaluation.agreement import compare, kappa
from clinbert_spacy.evaluation.inventory import count_layers, tabulate, unseen_share

from ..corpora.toy_notes import toy_note, with_attributes, without


def rows(first, second):
    return {row.layer: row for row in compare(first, second)}


def test_equal_annotations_agree_wholly():
    found = rows([toy_note("a"), toy_note("b")], [toy_note("b"), toy_note("a")])
    assert found["entities"].value == 1.0 and found["entities"].n == 24
    assert {row.value for row in found.values()} == {1.0, None}
    assert found["presence"].alike == 1.0
    # one value only: kappa is not defined
    assert found["time"].value is None and found["time"].alike == 1.0


def test_each_layer_notices_what_differs():
    other = toy_note(
        encounter="other", chapters=("XII", "IX"), summary=(3,), sections=((0, 64, "other"),)
    )
    other = without(with_attributes(other, "T3", Presence="possible"), "R1")
    other = with_attributes(other, "R2", Causality="possible")
    other = replace(other, mentions=(*other.mentions[:3], *other.mentions[4:]))
    found = rows([toy_note()], [other])
    assert found["entities"].value == pytest.approx(2 * 5 / 11)
    assert found["entities: SYMPTOM"].value == pytest.approx(2 / 3)
    assert found["presence"].alike == 0.0 and found["presence"].n == 1
    assert found["relations: attributes and values"].value == pytest.approx(2 / 3)
    assert found["relations: ADVERSE_EFFECT"].value == 1.0
    assert found["causality"].alike == 0.0 and found["kind"].alike == 1.0
    assert found["sections, with name"].value == 0.0 and found["sentences"].value == 1.0
    assert found["encounter type"].alike == 0.0
    assert found["ICD-10 chapters"].value == pytest.approx(2 / 3)
    assert found["summary, sentence by sentence"].alike == 0.5


def test_kappa_is_cohens():
    pairs = [("a", "a")] * 4 + [("b", "b")] * 3 + [("a", "b")] * 2 + [("b", "a")]
    row = kappa("x", pairs)
    assert row.alike == pytest.approx(0.7)
    assert row.value == pytest.approx((0.7 - 0.5) / 0.5)  # 6 a and 4 b against 5 and 5
    assert kappa("x", []).value is None


def test_other_notes_are_refused():
    with pytest.raises(ValueError, match="1 of 1 differ, the first is 'n1'"):
        compare([toy_note()], [replace(toy_note(), text="x")])
    with pytest.raises(ValueError, match="0 of 0"):
        compare([], [])
    bare = replace(toy_note(), meta={})
    with pytest.raises(ValueError, match="1 notes have no document layers"):
        compare([toy_note()], [bare])


def test_counts():
    counts = count_layers([toy_note("a"), with_attributes(toy_note("b"), "R2", Kind="allergy")])
    assert counts["size"]["notes"] == 2 and counts["size"]["different drug names"] == 1
    assert counts["entities"]["SYMPTOM"] == 4 and counts["entities"]["FORM"] == 0
    assert counts["presence"]["absent"] == 2 and counts["status"]["stopped"] == 2
    assert counts["adverse effects"] == {
        "present reactions": 1, "hard negatives": 1, "across sentences": 0,
    }  # fmt: skip
    assert counts["kind"]["allergy"] == 1 and counts["chapters"]["XII"] == 2
    table = tabulate({"train": counts, "test": counts})
    assert ["entities", "DRUG", "2", "2"] in table


def test_a_reaction_in_the_next_sentence_is_counted():
    note = toy_note(sentences=((0, 4), (5, 28), (29, 46), (47, 64)))
    assert count_layers([note])["adverse effects"]["across sentences"] == 1


def test_unseen_share():
    other = replace(toy_note(), text=toy_note().text.replace("hives", "edema"))
    assert unseen_share([toy_note()], [toy_note()]) == 0.0
    assert unseen_share([toy_note()], [other]) == pytest.approx(1 / 6)
