"""Structured views: what is the patient's, where each line stands, and what is nobody's."""

import pytest
import spacy
from spacy.tokens import DocBin, SpanGroup

from clinbert_spacy.attributes import CONCEPTS_KEY, RELATIONS_KEY
from clinbert_spacy.interop.overview import PARTS, STATUSES, structured_view
from tests.toy_told import denied, drug, effect, has, lay, place

NOTE = "Took amoxicillin.\nThen a rash came.\nFeels well."


def view(*args, **kwargs):
    return structured_view(lay(*args, **kwargs))


def named(rows, key="name"):
    return [row[key] for row in rows]


def join(doc, *rows):
    """Add relations `(head, tail, label)` to a note laid by hand."""
    group = doc.spans.get(RELATIONS_KEY)
    spans, found = (list(group), list(group.attrs["relations"])) if group is not None else ([], [])
    for head, tail, label in rows:
        spans += [place(doc, head), place(doc, tail)]
        ends = {"head": len(spans) - 2, "tail": len(spans) - 1}
        found.append({**ends, "label": label, "score": 0.8})
    attrs = {"relations": found, "types": [], "status": "found"}
    doc.spans[RELATIONS_KEY] = SpanGroup(doc, spans=spans, attrs=attrs)
    return doc


def link(doc, *rows):
    """Link words to concepts, as `clinbert_linker` does."""
    spans = [place(doc, words, label) for words, label, _ in rows]
    found = [[{"id": number, "name": number.lower(), "score": 0.71239}] for *_, number in rows]
    doc.spans[CONCEPTS_KEY] = SpanGroup(doc, spans=spans, attrs={"concepts": found})
    return doc


# Problems


@pytest.mark.parametrize(
    ("values", "presence"),
    [
        ({}, "present"), ({"presence": "possible"}, "possible"),
        ({"time": "historical"}, "present"), ({"presence": "conditional"}, "conditional"),
        ({"presence": "absent"}, None),
        ({"presence": "hypothetical"}, None), ({"experiencer": "family"}, None),
        ({"experiencer": "other"}, None), ({"presence": "absent", "experiencer": "family"}, None),
    ],
)  # fmt: skip
def test_which_problems_are_the_patients(values, presence):
    rows = view("Gout.", [has("Gout", "DISEASE", **values)])["problems"]
    assert named(rows, "presence") == ([presence] if presence else [])
    assert named(rows, "time") == ([values.get("time", "current")] if presence else [])


def test_a_problem_named_several_times_is_one_line_with_all_places():
    text = "Gout.\nWas told of GOUT\nand has no gout now. Father: gout."
    rows = view(text, [has("Gout", presence="possible"), has("GOUT", time="historical"),
                       denied("gout", "no"), has("gout@2", experiencer="family")])  # fmt: skip
    (row,) = rows["problems"]
    assert (row["name"], row["presence"], row["time"]) == ("Gout", "present", "historical")
    assert row["mentions"] == [
        {"start": 0, "end": 4, "text": "Gout", "presence": "possible", "time": "current"},
        {"start": 18, "end": 22, "text": "GOUT", "presence": "present", "time": "historical"},
    ]
    assert row["absent"] == [{"start": 34, "end": 38, "text": "gout"}]


def test_what_is_present_and_current_comes_first():
    text = "Cough, fever, gout, rash."
    judged = [has("Cough", time="historical"), has("fever", presence="possible"), has("gout"),
              has("rash")]  # fmt: skip
    assert named(view(text, judged)["problems"]) == ["gout", "rash", "fever", "Cough"]


def test_a_linked_concept_joins_other_words():
    doc = lay("HTN and high\nblood pressure; htn. Gout.",
              [has("HTN"), has("high\nblood pressure"), has("htn"), has("Gout")])  # fmt: skip
    assert len(structured_view(doc)["problems"]) == 3
    link(doc, ("HTN", "SYMPTOM", "C1"), ("high\nblood pressure", "SYMPTOM", "C1"))
    first, second = structured_view(doc)["problems"]
    assert [one["text"] for one in first["mentions"]] == ["HTN", "high\nblood pressure", "htn"]
    assert first["concept"] == {"id": "C1", "name": "c1", "score": 0.7124}
    assert second["concept"] is None and structured_view(doc)["read"]["concepts"]


# Medications


@pytest.mark.parametrize("status", [*STATUSES, "not_taken"])
def test_statuses_of_drugs(status):
    rows = view("Aspirin.", [drug("Aspirin", status)])["medications"]
    assert named(rows, "status") == ([status] if status in STATUSES else [])


def test_a_drug_with_its_parts_in_the_mention_that_has_them():
    text = "Gave prednisolone 30 mg tabs po od for 5 days for gout.\nThen Prednisolone 20 mg."
    judged = [drug("prednisolone", "started"), drug("Prednisolone", "changed"), has("gout")]
    words = dict(zip(PARTS, ["30 mg", None, "od", "po", "tabs", "for 5 days", "gout"]))
    rows = [("prednisolone", found, label) for label, found in words.items() if found]
    doc = join(lay(text, judged), *rows, ("Prednisolone", "20 mg", "HAS_STRENGTH"))
    (row,) = structured_view(doc)["medications"]
    assert (row["status"], row["statuses"]) == ("changed", ["started", "changed"])
    assert [(x["text"], x["mention"]) for x in row["strength"]] == [("30 mg", 0), ("20 mg", 1)]
    shown = {name: [x["text"] for x in row[name]] for name in PARTS.values()}
    assert shown == {"strength": ["30 mg", "20 mg"], "dose": [], "frequency": ["od"],
                     "route": ["po"], "form": ["tabs"], "duration": ["for 5 days"],
                     "reason": ["gout"]}  # fmt: skip
    assert [x["status"] for x in row["mentions"]] == ["started", "changed"]


def test_an_allergy_outweighs_what_else_is_said_of_a_drug():
    judged = [drug("Aspirin"), drug("aspirin", "allergy")]
    (row,) = view("Aspirin daily. Allergy to aspirin.", judged)["medications"]
    assert (row["status"], row["statuses"]) == ("allergy", ["active", "allergy"])


# Allergies


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        ("allergy", {"kind": "allergy"}, "allergy"), ("past", {"kind": "allergy"}, "allergy"),
        ("allergy", {"kind": "intolerance"}, "intolerance"), ("allergy", {}, None),
    ],
)  # fmt: skip
def test_an_allergy_and_its_reaction(status, said, kind):
    judged = [drug("amoxicillin", status), has("rash", presence="conditional")]
    found = view(NOTE, judged, [effect("amoxicillin", "rash", **said)])
    (row,) = found["allergies"]
    assert (row["name"], row["kind"], found["side_effects"]) == ("amoxicillin", kind, [])
    assert [one["name"] for one in row["reactions"]] == ["rash"]
    assert row["reactions"][0]["mentions"] == [{"start": 25, "end": 29, "text": "rash"}]
    # it happens only if the drug is given: no problem of the patient's
    assert found["problems"] == []


def test_a_reaction_in_a_list_that_nobody_joined_to_its_drug_is_no_problem():
    judged = [has("itch", presence="conditional"), has("wheeze", presence="conditional")]
    sections = [("Allergies: itch.\n", "allergies", 10), ("Wheeze, wheeze with cats.", "plan", 0)]
    rows = view("Allergies: itch.\nWheeze, wheeze with cats.", judged, sections=sections)
    assert named(rows["problems"]) == ["wheeze"]


def test_an_allergy_that_the_patient_came_with_is_a_problem_too():
    judged = [drug("amoxicillin", "allergy"), has("rash")]
    found = view(NOTE, judged, [effect("amoxicillin", "rash", kind="allergy")])
    assert named(found["problems"]) == ["rash"] and len(found["allergies"]) == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"experiencer": "family"}, {}), ({"experiencer": "other"}, {}),
        ({"presence": "absent"}, {}), ({"presence": "hypothetical"}, {}),
        ({}, {"causality": "denied"}),
    ],
)  # fmt: skip
def test_an_allergy_that_is_not_the_patients(values, said):
    judged = [drug("amoxicillin", "not_taken"), has("rash", **values)]
    found = view(NOTE, judged, [effect("amoxicillin", "rash", kind="allergy", **said)])
    assert (found["allergies"], found["medications"], found["side_effects"]) == ([], [], [])


def test_a_listed_drug_without_a_reaction_and_one_named_twice():
    judged = [drug("Latex", "allergy"), drug("codeine", "allergy"), has("itch"), has("nausea"),
              drug("Codeine", "allergy")]  # fmt: skip
    pairs = [effect("codeine", "itch", kind="intolerance"), effect("codeine", "nausea"),
             effect("codeine", "itch")]  # fmt: skip
    first, second = view("Latex; codeine: itch, nausea. Codeine!", judged, pairs)["allergies"]
    assert (first["name"], first["reactions"], first["kind"]) == ("Latex", [], None)
    assert [one["start"] for one in second["mentions"]] == [7, 30]
    assert named(second["reactions"]) == ["itch", "nausea"] and second["kind"] == "intolerance"


# Side effects


@pytest.mark.parametrize(
    ("values", "said", "current"),
    [
        ({}, {}, True), ({}, {"causality": "possible"}, True), ({"time": "historical"}, {}, False),
        ({"presence": "possible"}, {}, False), ({"presence": "conditional"}, {}, False),
        ({}, {"kind": "withdrawal"}, True), ({}, {"causality": "denied"}, None),
        ({"presence": "absent"}, {}, None), ({"presence": "hypothetical"}, {}, None),
        ({"experiencer": "family"}, {}, None),
        ({"experiencer": "other"}, {"assertion": "present"}, None),
    ],
)  # fmt: skip
def test_which_side_effects_are_the_patients(values, said, current):
    judged = [drug("amoxicillin", "past"), has("rash", **values)]
    rows = view(NOTE, judged, [effect("amoxicillin", "rash", **said)])["side_effects"]
    assert named(rows, "current") == ([] if current is None else [current])
    for row in rows:
        assert (row["drug"], row["effect"], row["drug_status"]) == ("amoxicillin", "rash", "past")
        assert row["causality"] == said.get("causality", "stated")
        assert row["kind"] == said.get("kind", "reaction")


def test_what_is_surest_is_the_lines_where_a_pair_is_told_twice():
    text = "Rash, ?aspirin. Later: RASH due to ASPIRIN."
    judged = [has("Rash", presence="possible"), has("RASH"), drug("aspirin"), drug("ASPIRIN")]
    pairs = [effect("aspirin", "Rash", causality="possible"), effect("ASPIRIN", "RASH")]
    (row,) = view(text, judged, pairs)["side_effects"]
    assert (row["causality"], row["assertion"], row["current"]) == ("stated", "present", True)
    assert [one["text"] for one in row["effect_mentions"]] == ["Rash", "RASH"]
    assert [one["text"] for one in row["drug_mentions"]] == ["aspirin", "ASPIRIN"]


def test_a_test_is_shown_with_its_value():
    doc = lay("On warfarin INR was 6.", [drug("warfarin"), ("INR", "TEST")])
    said = {"causality": "stated", "kind": "reaction", "evidence": [[0, 6]], "cue": []}
    rows = [{"head": 0, "tail": 1, "label": "ADVERSE_EFFECT", "score": 0.9, **said},
            {"head": 1, "tail": 2, "label": "HAS_VALUE", "score": 0.9}]  # fmt: skip
    spans = [place(doc, words) for words in ("warfarin", "INR", "6")]
    doc.spans[RELATIONS_KEY] = SpanGroup(doc, spans=spans, attrs={"relations": rows})
    (row,) = structured_view(doc)["side_effects"]
    assert (row["effect"], row["assertion"], row["current"]) == ("INR 6", None, True)
    assert [one["text"] for one in row["effect_mentions"]] == ["INR", "6"]
    assert row["evidence"] == [{"start": 0, "end": 22}]


# The plan

PLAN = "Plan:\nRest. Repeat CRP,\npending.\n\nNotes:\nK pending. Na pending 140. Review in May."


def test_sentences_of_plans_pending_tests_and_follow_up():
    sections = [("Plan:\nRest. Repeat CRP,\npending.\n\n", "plan", 5),
                ("Notes:\nK pending. Na pending 140. Review in May.", "other", 6)]  # fmt: skip
    judged = [("CRP", "TEST"), ("K", "TEST"), ("Na", "TEST")]
    rows = view(PLAN, judged, values=[("Na", "140")], sections=sections)["plan"]
    assert [(row["text"], row["kinds"]) for row in rows] == [
        ("Rest.", ["plan"]), ("Repeat CRP,\npending.", ["plan", "pending"]),
        ("K pending.", ["pending"]), ("Review in May.", ["follow_up"]),
    ]  # fmt: skip
    assert [[one["text"] for one in row["tests"]] for row in rows] == [[], ["CRP"], ["K"], []]
    assert [row["section"] for row in rows] == ["plan", "plan", "other", "other"]


def test_a_sentence_that_names_somebody_keeps_its_place_alone():
    (row,) = view("Follow up with Dr Quaxley.", phi=["Quaxley"])["plan"]
    assert row["text"] is None and (row["start"], row["end"]) == (0, 26)


# Whoever looked, and odd notes


def test_an_empty_list_is_never_silence():
    found = structured_view(spacy.blank("en")("Rash after aspirin."))
    assert {name: rows for name, rows in found.items() if rows} == {"read": {
        "assertion": False, "relations": False, "sections": False, "sentences": False,
        "concepts": False, "side_effects": "not_run"}}  # fmt: skip
    read = view("Gout.", [has("Gout")], sections=[("Gout.", "plan", 0)])["read"]
    assert (read["assertion"], read["sections"], read["sentences"]) == (True, True, True)


@pytest.mark.parametrize("text", ["", " \n", "Cough", "咳嗽三天。", "Na 140 | K 4\nCr 88 | Hb 120"])
def test_odd_notes_have_views_without_lines(text):
    found = view(text)
    assert [name for name, rows in found.items() if rows] == ["read"]


def test_duplicated_paragraphs_are_lines_once():
    part, judged = "Gout. Aspirin since May.\n\n", []
    for i in (1, 2, 3):
        judged += [has(f"Gout@{i}"), drug(f"Aspirin@{i}")]
    found = view(part * 3, judged)
    for name in ("problems", "medications"):
        (row,) = found[name]
        assert len(row["mentions"]) == 3


def test_it_survives_a_docbin():
    doc = lay(NOTE, [drug("amoxicillin"), has("rash")], [effect("amoxicillin", "rash")])
    (again,) = DocBin(docs=[doc]).get_docs(doc.vocab)
    assert structured_view(again) == structured_view(doc)
