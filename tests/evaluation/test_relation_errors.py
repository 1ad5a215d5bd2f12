"""Errors in relations, named by what went wrong, with the words around."""

import pytest

from clinbert_spacy.evaluation.relation_errors import AROUND, errors_of

from .toy_found import found_example

EFFECT = "ADVERSE_EFFECT"
GOLD = ("lisinopril", "cough", EFFECT, "stated", "reaction")
NOTE = ("{lisinopril|DRUG} gave dry {cough|SYMPTOM} , {aspirin|DRUG} for {fever|SYMPTOM}", [GOLD])
BOTH = [("lisinopril", "DRUG"), ("cough", "SYMPTOM")]
LINK = "both ends right, the link is not"
SHOWN = "**lisinopril** gave dry __cough__ , aspirin for fever"


def errors(*args, note=NOTE, **partial):
    """Type and text of each error."""
    return [(error.type, error.text) for error in errors_of(found_example(note, *args, **partial))]


def test_no_error():
    assert errors() == []
    # one that is not to be found
    assert errors(covered=["TREATS"]) == errors([], covered=["TREATS"]) == []
    assert errors([], closed=False) == []


@pytest.mark.parametrize(
    "found, missed",
    [
        (BOTH, LINK),
        (BOTH[:1], "tail on one side alone"),
        ([*BOTH[:1], ("dry cough", "SYMPTOM")], "tail with other bounds"),
        ([("lisinopril gave", "DRUG"), BOTH[1]], "head with other bounds"),
        ([("gave", "DRUG"), ("dry cough", "SYMPTOM")],
         "head on one side alone, tail with other bounds"),
        ([BOTH[0], ("cough", "DISEASE")], "tail with another label"),
        ([("lisinopril", "SYMPTOM")], "head with another label, tail on one side alone"),
    ],
)  # fmt: skip
def test_missed_ones_say_why(found, missed):
    assert errors([], found) == [(f"missed: {missed}", SHOWN)]


@pytest.mark.parametrize(
    "head, tail, wrong",
    [
        (("aspirin", "DRUG"), ("fever", "SYMPTOM"), LINK),
        (("aspirin", "DRUG"), ("for", "SYMPTOM"), "tail on one side alone"),
        (("aspirin for", "DRUG"), ("fever", "SYMPTOM"), "head with other bounds"),
        (("aspirin", "STRENGTH"), ("fever", "DISEASE"),
         "head with another label, tail with another label"),
    ],
)  # fmt: skip
def test_wrong_ones_say_why(head, tail, wrong):
    (found,) = errors([GOLD, (head[0], tail[0], EFFECT)], [*BOTH, head, tail])
    kind, text = found
    assert kind == f"wrong: {wrong}"
    assert f"**{head[0]}**" in text and f"__{tail[0]}__" in text


def test_another_relation_is_missed_and_wrong():
    assert errors([("lisinopril", "cough", "TREATS")]) == [
        (f"missed: {LINK}", SHOWN), (f"wrong: {LINK}", SHOWN),
    ]  # fmt: skip


def test_a_wrong_label_is_missed_and_wrong():
    """The text shows the words, though the end is none that the gold has."""
    found = errors([GOLD], [BOTH[0], ("cough", "DISEASE")])
    why = "tail with another label"
    assert found == [(f"missed: {why}", SHOWN), (f"wrong: {why}", SHOWN)]


def test_doubtful_pairs_are_no_errors():
    doubtful = (NOTE[0], [GOLD, ("aspirin", "fever", "")])
    found = [GOLD, ("aspirin", "fever", EFFECT)]
    assert errors(found, note=doubtful) == []
    assert [kind for kind, _ in errors(found)] == [f"wrong: {LINK}"]


def test_without_the_component_all_is_missed():
    example = found_example(NOTE)
    del example.predicted.spans["clinbert_relations"]
    (error,) = errors_of(example)
    assert error.type == "missed: head on one side alone, tail on one side alone"


def test_words_around_and_the_note():
    far = " ".join(["x"] * AROUND)
    marked = f"before {far} {{cough|SYMPTOM}} a|b\nfrom {{ramipril|DRUG}} {far} after"
    example = found_example((marked, [("ramipril", "cough", EFFECT)]), [])
    example.reference.spans["clinbert_ents"].attrs["id"] = "n7"
    (error,) = errors_of(example)
    assert error.note == "n7"
    # a cell of a table: one line, no bars, the tail before the head
    assert "x __cough__ a/b from **ramipril** x" in error.text
    assert "before" not in error.text and "after" not in error.text
    assert len(error.text) <= len("__cough__ a/b from **ramipril**") + 2 * AROUND


@pytest.mark.parametrize(
    "drug, shown",
    [((0, 7), "**aspirin**__ rash here__ came"), ((8, 12), "__aspirin rash here__**** came")],
)
def test_ends_that_overlap_keep_the_words(drug, shown):
    example = found_example(("{aspirin rash here|SYMPTOM} came", []), [])
    attrs = example.reference.spans["clinbert_ents"].attrs
    attrs["gold"].append([*drug, "DRUG"])
    attrs["links"].append([*drug, 0, 17, EFFECT, "", ""])
    (error,) = errors_of(example)
    assert error.text == shown
