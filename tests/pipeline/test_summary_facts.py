"""What a note tells, which sentences cannot stand alone, and which must not be shown."""

import numpy
import pytest

from clinbert_spacy.attributes import ASSERTION_KEY, RELATIONS_KEY
from clinbert_spacy.attributes.told import words_of
from clinbert_spacy.pipeline.summary_facts import (
    KINDS,
    find_needs,
    find_tellings,
    identified,
    kinds_told,
    load_cues,
    numbers_of_sentences,
    read_note,
)
from tests.toy_told import PRESENT, denied, drug, effect, has, lay, split

RASH = "Took amoxicillin. Then a rash came. Feels well."


def told(doc, *kinds):
    """Facts and where they are told, of some kinds or all."""
    found = find_tellings(read_note(doc))
    return [(*one.fact, sorted(one.sentences)) for one in found if one.kind in (kinds or KINDS)]


def named(tellings, *kinds):
    """Facts once each, of some kinds or all."""
    return list(dict.fromkeys(one.fact for one in tellings if one.kind in (kinds or KINDS)))


def needs(doc):
    return {i: sorted(others) for i, others in find_needs(read_note(doc)).items()}


# Side effects and allergies


@pytest.mark.parametrize(
    ("judged", "said", "expected"),
    [
        (has("rash"), {}, "side_effect"),
        (("rash", "SYMPTOM"), {}, "side_effect"),  # nobody judged it
        (has("rash"), {"causality": "possible"}, "side_effect"),
        (has("rash", time="historical"), {}, "side_effect"),
        (has("rash", presence="absent"), {"assertion": "present"}, "side_effect"),
        (has("rash"), {"kind": "withdrawal"}, "side_effect"),
        (has("rash"), {"causality": "denied"}, None),
        (has("rash", time="historical"), {"causality": "denied"}, None),
        (has("rash", presence="absent"), {}, None),
        (has("rash", presence="hypothetical"), {}, None),  # feared
        (has("rash", presence="conditional"), {}, None),
        (has("rash", experiencer="family"), {}, None),
        (has("rash", experiencer="other"), {}, None),  # a donor's
        (has("rash", experiencer="other"), {"assertion": "present"}, None),
        (has("rash"), {"assertion": "absent"}, None),
        (has("rash", presence="conditional"), {"kind": "allergy"}, "allergy"),
        (has("rash", time="historical"), {"kind": "intolerance"}, "allergy"),
        (has("rash", presence="possible"), {"kind": "allergy"}, "allergy"),
        (has("rash"), {"kind": "allergy", "causality": "denied"}, None),  # "no rash after it"
        (has("rash", presence="absent"), {"kind": "allergy"}, None),
        (has("rash", experiencer="family"), {"kind": "allergy"}, None),
        (has("rash", presence="hypothetical"), {"kind": "allergy"}, None),
    ],
)
def test_which_side_effects_are_told(judged, said, expected):
    doc = lay(RASH, [drug("amoxicillin", "past"), judged], [effect("amoxicillin", "rash", **said)])
    key = {"side_effect": ("amoxicillin", "rash"), "allergy": ("amoxicillin",)}
    facts = [(expected, *key[expected], [0, 1])] if expected else []
    assert told(doc, "side_effect", "allergy") == facts


def test_a_drug_that_is_listed_makes_its_reaction_an_allergy_once():
    doc = lay("Penicillin: rash.\nPenicillin allergy!\nWas on PENICILLIN.",
              [drug("Penicillin", "allergy"), has("rash", presence="conditional"),
               drug("Penicillin@2", "allergy"), drug("PENICILLIN", "past")],
              [effect("Penicillin", "rash")])  # fmt: skip
    assert told(doc) == [("allergy", "penicillin", [0])] * 2 + [("allergy", "penicillin", [1])]
    assert named(find_tellings(read_note(doc))) == [("allergy", "penicillin")]


def test_a_test_whose_value_is_the_effect():
    doc = lay("On warfarin INR was 6.", [drug("warfarin"), ("INR", "TEST")],
              [effect("warfarin", "INR")], [("INR", "6")])  # fmt: skip
    assert told(doc, "side_effect") == [("side_effect", "warfarin", "inr", [0])]


def test_the_same_in_two_places_is_one_fact():
    doc = lay("Aspirin gave her\na rash. A RASH from aspirin again.",
              [drug("Aspirin"), has("rash"), has("RASH"), drug("aspirin")],
              [effect("Aspirin", "rash"), effect("aspirin", "RASH")])  # fmt: skip
    assert named(find_tellings(read_note(doc)), "side_effect") == (
        [("side_effect", "aspirin", "rash")]
    )


# Drugs, problems, results and plans


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(status, ("changed", "aspirin", status, [0]))
          for status in ("started", "stopped", "changed", "held")],
        ("active", ("drug", "aspirin", [0])),
        ("allergy", ("allergy", "aspirin", [0])),
        ("planned", None), ("past", None), ("not_taken", None),
    ],
)  # fmt: skip
def test_statuses_of_drugs(status, expected):
    assert told(lay("Aspirin.", [drug("Aspirin", status)])) == ([expected] if expected else [])


def test_two_changes_of_a_drug_are_two_facts():
    doc = lay(
        "Aspirin stopped.\nLater aspirin restarted.\nStopped ASPIRIN, see above.",
        [drug("Aspirin", "stopped"), drug("aspirin", "started"), drug("ASPIRIN", "stopped")],
    )
    assert told(doc) == [("changed", "aspirin", "stopped", [0]),
                         ("changed", "aspirin", "started", [1]),
                         ("changed", "aspirin", "stopped", [2])]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True), ({"time": "historical"}, False), ({"experiencer": "family"}, False),
        ({"experiencer": "other"}, False),
        *[({"presence": value}, False)
          for value in ("absent", "possible", "conditional", "hypothetical")],
    ],
)  # fmt: skip
def test_which_problems_the_patient_has(values, expected):
    found = told(lay("Gout.", [has("Gout", "DISEASE", **values)]))
    assert found == ([("problem", "gout", [0])] if expected else [])


@pytest.mark.parametrize(
    ("text", "valued", "expected"),
    [
        ("Panic value: K 7.1.", True, "critical"),
        ("K 7.1, phoned to ward.", True, "critical"),
        ("K 4.1.", True, None),
        ("K pending.", True, None),
        ("K pending.", False, "pending"),
        ("Chase K today.", False, "pending"),
        ("Critical K today.", False, None),
        ("K pendingly.", False, None),
    ],
)
def test_results(text, valued, expected):
    value = next((word for word in ("7.1", "4.1") if word in text), "K")
    doc = lay(text, [("K", "TEST")], values=[("K", value)] if valued else [])
    assert told(doc) == ([(expected, "k", [0])] if expected else [])


def test_a_table_is_read_once(monkeypatch):
    """However many tests stand in one sentence, it is searched once for each kind."""
    searched = []

    class Pattern:
        def search(self, text):
            searched.append(text)
            return text

    cues = {**load_cues(), "critical": Pattern(), "pending": Pattern()}
    monkeypatch.setattr("clinbert_spacy.pipeline.summary_facts.load_cues", lambda: cues)
    names = [f"T{i}" for i in range(50)]
    doc = lay(" ".join(names), [(name, "TEST") for name in names])
    assert len(told(doc, "pending")) == 50 and len(searched) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Follow-up in 6 weeks.", True), ("RTC 2/12.", True), ("Refer to ENT.", True),
        ("Return if worse.", True), ("F/U with GP.", True), ("Recall in May.", True),
        ("Cannot recall the fall.", False), ("He referees at weekends.", False), ("Well.", False),
    ],
)  # fmt: skip
def test_plans_by_their_words(text, expected):
    doc = split(text)
    assert told(doc) == ([("follow_up", text.lower(), [0])] if expected else [])


def test_plans_by_their_section_and_the_same_plan_twice():
    text = "Instructions:\nRest.\nRest.\n\nExam:\nRest."
    doc = lay(text, sections=[("Instructions:\nRest.\nRest.", "instructions", 13),
                              ("Exam:\nRest.", "physical_exam", 5)])  # fmt: skip
    assert told(doc) == [("follow_up", "instructions:", [0]), ("follow_up", "rest.", [1]),
                         ("follow_up", "rest.", [2])]  # fmt: skip


def test_in_the_order_of_kinds_and_of_the_note():
    text = "Review in May. Gout. On aspirin. Rash from codeine."
    doc = lay(text, [has("Gout"), drug("aspirin"), drug("codeine", "stopped"), has("Rash")],
              [effect("codeine", "Rash")])  # fmt: skip
    assert [one[0] for one in told(doc)] == (
        ["side_effect", "changed", "follow_up", "problem", "problem", "drug"]
    )
    counts = kinds_told(find_tellings(read_note(doc)), 4)
    assert counts.dtype == numpy.float32 and counts.shape == (4, 2 * len(KINDS))
    every, first = numpy.split(counts, 2, axis=1)
    columns = [KINDS.index(kind) for kind in ("side_effect", "changed", "problem")]
    assert every[3, columns].tolist() == [1, 1, 1] and every[3].sum() == 3
    assert every[:3].sum(axis=1).tolist() == [1, 1, 1]
    assert numpy.array_equal(first, every)  # nothing is told twice


def test_what_is_told_again_is_new_but_once():
    text = "Gout and a rash. Gout again, and gout. A rash. Gout: ibuprofen."
    doc = lay(text, [has("Gout"), has("rash"), has("Gout@2"), has("gout"), has("rash@2"),
                     has("Gout@3"), drug("ibuprofen")])  # fmt: skip
    every, first = numpy.split(kinds_told(find_tellings(read_note(doc)), 4), 2, axis=1)
    problem, taken = KINDS.index("problem"), KINDS.index("drug")
    assert every[:, problem].tolist() == [2, 2, 1, 1]
    assert first[:, problem].tolist() == [2, 0, 0, 0]
    assert every[:, taken].tolist() == first[:, taken].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("text", ["", " \n\n ", "Cough."])
def test_notes_on_which_nobody_wrote_anything(text):
    doc = split(text)
    assert told(doc) == [] and needs(doc) == {} and identified(doc) == frozenset()
    assert len(numbers_of_sentences(doc)) == len(doc)


def test_groups_that_hold_less_than_they_might():
    doc = lay("Had a cough.\nNo fever.", [has("cough"), has("fever", presence="absent")])
    del doc.spans[ASSERTION_KEY].attrs["cues"]
    assert told(doc) == [("problem", "cough", [0])] and needs(doc) == {}
    doc.spans[ASSERTION_KEY].attrs.clear()
    assert told(doc) == [] and needs(doc) == {}
    doc.spans[RELATIONS_KEY] = []
    assert told(doc) == []


def test_sentences_are_numbered_as_they_are_cut():
    doc = split("One. Two\n\nThree.")
    found = numbers_of_sentences(doc)
    assert [sorted(set(found[s.start : s.end])) for s in doc.sents] == [[0], [1], [2]]
    doc[0].is_sent_start = False
    assert numbers_of_sentences(doc)[0] == 0


def test_words_of_a_line():
    doc = split("Left\n  LUNG")
    assert words_of(doc[:]) == read_note(doc).words(doc[:]) == "left lung"


# Sentences that cannot stand alone

LIST = "Denies:\n- fever\n- rash\nHas a cough."


def test_what_is_denied_in_the_line_before():
    doc = lay(LIST, [denied("fever", "Denies"), denied("rash", "Denies"), has("cough")])
    assert needs(doc) == {1: [0], 2: [0], 3: [0]}
    # without a colon, the cue alone says so
    doc = lay("Denies\n- fever\n- rash\nHas a cough.",
              [denied("fever", "Denies"), denied("rash", "Denies"), has("cough")])  # fmt: skip
    assert needs(doc) == {1: [0], 2: [0]}


def test_a_cue_in_the_sentence_itself_needs_no_other():
    assert needs(lay("HPI.\nDenies fever.", [denied("fever", "Denies")])) == {}


FAMILY = {**PRESENT, "experiencer": "family"}


def section(text, name, heading):
    return text, name, len(heading)


def test_what_a_heading_gives_to_the_family():
    text = "FAMILY HISTORY\ngout, asthma\nmother had a rash"
    rows = [("gout", "DISEASE", FAMILY), ("rash", "SYMPTOM", FAMILY, {"experiencer": "mother"})]
    # the mother is named in her own sentence
    found = section(text, "family_history", "FAMILY HISTORY")
    assert needs(lay(text, rows, sections=[found])) == {1: [0]}


@pytest.mark.parametrize("length", [0, 15])
def test_a_section_that_was_found_without_a_heading_gives_nothing(length):
    doc = lay("Well today.\nGout.", [("Gout", "DISEASE", FAMILY)],
              sections=[("Well today.\nGout.", "family_history", length)])  # fmt: skip
    assert needs(doc) == ({1: [0]} if length else {})


@pytest.mark.parametrize("cue", [None, "-", "Allergic"])
def test_an_allergy_below_its_heading(cue):
    text = "ALLERGIES\nPenicillin - rash\nAllergic to it.\n"
    row = [*drug("Penicillin", "allergy"), {"drug_status": cue} if cue else {}]
    doc = lay(text, [row], sections=[(text.strip(), "allergies", 9)])
    assert needs(doc) == {1: [2] if cue == "Allergic" else [0]}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}), ({"experiencer": "family"}, {1: [0]}), ({"experiencer": "other"}, {1: [0]}),
        ({"time": "historical"}, {1: [0]}), ({"presence": "absent"}, {1: [0]}),
        ({"presence": "possible"}, {1: [0]}), ({"presence": "conditional"}, {1: [0]}),
        ({"presence": "hypothetical"}, {1: [0]}),
    ],
)  # fmt: skip
def test_what_words_of_the_line_do_not_say_its_heading_may(values, expected):
    text = "HISTORY\ngout"
    found = section(text, "history_of_present_illness", "HISTORY")
    assert needs(lay(text, [has("gout", **values)], sections=[found])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Denies:\n- fever\n- rash\n\nWell.", {1: [0], 2: [0]}),
        ("No:\nfever\nrash\nPlan: home\nWell.", {1: [0], 2: [0]}),
        ("Allergies:\n\npenicillin\n", {1: [0]}),
        ("Return if:\n- fever", {1: [0]}),
        ("Denies:\nAllergies:\nrash", {2: [1]}),
        ("Complains of:\n- fever\n- rash", {}),
        ("Nose:\n- normal", {}),
        ("Denies fever.\nHas a rash.", {}),
    ],
)
def test_lists_that_nobody_judged(text, expected):
    assert needs(split(text)) == expected


def test_a_list_ends_where_a_section_begins():
    text = "Denies:\nfever\nPLAN\nrash"
    assert needs(split(text)) == {1: [0], 2: [0], 3: [0]}
    places = [(text[:13], "other", 0), (text[14:], "plan", 4)]
    assert needs(lay(text, sections=places)) == {1: [0]}


# Sentences that name somebody


def test_identifiers_bar_the_sentences_they_stand_in():
    doc = lay("Seen by Dr Who.\nCough.\nCall Mary\nor Joe.", phi=["Who", "Mary\nor Joe"])
    assert len(list(doc.sents)) == 4 and identified(doc) == {0, 2, 3}
    assert identified(doc, "others") == frozenset()
