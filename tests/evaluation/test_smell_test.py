"""The smell test over toy pipelines: adapters, runner, given entities."""

import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Span

from clinbert_spacy.attributes import ENTS_KEY
from clinbert_spacy.evaluation.smell_adapters import ADAPTERS, choose_adapter
from clinbert_spacy.evaluation.smell_items import ItemSet, parse_item, read_items
from clinbert_spacy.evaluation.smell_judging import Reading, judge
from clinbert_spacy.evaluation.smell_test import Settings, place_entities, run_smell_test

from ..toy_smell import Effect, Relation, clinbert_attributes, extended, make_perfect

TEXT = "Rash on amoxicillin, no cough. Mother: asthma."
RECORD = {
    "id": "toy-01",
    "category": "family",
    "text": TEXT,
    "targets": [
        [0, 4, "Rash", ["SYMPTOM", "DISEASE"]], [8, 19, "amoxicillin", ["DRUG"]],
        [24, 29, "cough", ["SYMPTOM"]], [39, 45, "asthma", ["DISEASE"]], [31, 37, "Mother", []],
    ],
    "checks": [
        {"kind": "presence", "target": 0, "allowed": ["present"]},
        {"kind": "drug_status", "target": 1, "allowed": ["active", "started"]},
        {"kind": "presence", "target": 2, "allowed": ["absent"]},
        {"kind": "experiencer", "target": 3, "allowed": ["family"]},
        {"kind": "time", "target": 3, "allowed": ["current"]},
        {"kind": "no_entity", "target": 4},
        {"kind": "entity", "target": 1},
        {"kind": "relation", "label": "ADVERSE_EFFECT", "head": 1, "tail": 0, "expected": True},
        {"kind": "relation", "label": "TREATS", "head": 1, "tail": 0, "expected": False},
        {"kind": "causality", "head": 1, "tail": 0, "allowed": ["stated"]},
        {"kind": "causality", "head": 1, "tail": 2, "allowed": ["denied", "none"]},
    ],
}  # fmt: skip
ITEM = parse_item(RECORD, "toy")
ITEMS = ItemSet("toy", "0" * 64, (ITEM,))
ASSERTION = ("presence", "experiencer", "time")


def outcomes(adapter, spans=(), **reading):
    """Outcome of each check of ITEM on a Doc with these entities."""
    doc = spacy.blank("en")(TEXT)
    ents = [doc.char_span(a, b, label=label) for a, b, label in spans]
    given = {"label_map": {}, "finds": True, **reading}
    return [judge(x, ITEM, Reading(doc, ents, ADAPTERS[adapter], **given)) for x in ITEM.checks]


GOLD = [(0, 4, "SYMPTOM"), (8, 19, "DRUG"), (24, 29, "SYMPTOM"), (39, 45, "DISEASE")]


def values(table):
    """A getter by the words of a span."""
    return lambda span: table.get(span.text)


def test_medspacy_adapter():
    flags = {
        "is_negated": {"cough": True}, "is_family": {"asthma": True},
        "is_historical": {"asthma": True}, "is_hypothetical": {}, "is_uncertain": {"Rash": True},
    }  # fmt: skip
    with extended([(Span, name, values(table)) for name, table in flags.items()]):
        assert choose_adapter().name == "medspacy"
        found = outcomes("medspacy", GOLD)
    shown = [(v.outcome, v.found) for v in found]
    assert shown[:5] == [
        ("failed", "possible"), ("not_answered", ""), ("passed", "absent"), ("passed", "family"),
        ("failed", "historical"),
    ]  # fmt: skip
    assert {outcome for outcome, _ in shown[7:]} == {"not_answered"}


def test_negspacy_adapter_answers_presence_alone():
    with extended([(Span, "negex", values({"cough": True, "Rash": False}))]):
        assert choose_adapter().name == "negspacy"
        found = [v.outcome for v in outcomes("negspacy", GOLD)[:5]]
    assert found == ["passed", "not_answered", "passed", "not_answered", "not_answered"]


def test_clinbert_adapter_and_links():
    docs = [
        ("clinbert_side_effects_status", lambda doc: "found"),
        ("clinbert_relations", lambda doc: [Relation(doc[2:3], doc[0:1], "ADVERSE_EFFECT")]),
        ("clinbert_side_effects", lambda doc: [Effect(doc[2:3], doc[0:1], "stated")]),
    ]
    spans = [("clinbert_presence", values({"Rash": "present", "cough": "present"}))]
    doc_type = type(spacy.blank("en")(""))
    with extended([(doc_type, *x) for x in docs] + [(Span, *x) for x in spans]):
        assert choose_adapter().name == "clinbert"
        found = outcomes("clinbert", GOLD)
    assert [v.outcome for v in found[7:]] == ["passed"] * 4
    assert found[2].outcome == "failed" and found[2].found == "present"
    assert found[10].found == "none"


def test_links_that_are_wrong_or_missing():
    status = ("clinbert_side_effects_status", lambda doc: "none_above_threshold")
    links = ("clinbert_relations", lambda doc: [Relation(doc[2:3], doc[0:1], "TREATS")])
    effects = ("clinbert_side_effects", lambda doc: [Effect(doc[2:3], doc[5:6], "stated")])
    doc_type = type(spacy.blank("en")(""))
    with extended([(doc_type, *x) for x in (status, links, effects)]):
        found = outcomes("clinbert", GOLD)
        lost = outcomes("clinbert", GOLD[1:])
    assert [v.outcome for v in found[7:]] == ["failed"] * 4
    assert lost[7].outcome == "missed"
    with extended([(doc_type, *x) for x in (("clinbert_side_effects_status", lambda _: "not_run"),
                                             links, effects)]):  # fmt: skip
        assert {v.outcome for v in outcomes("clinbert", GOLD)[7:]} == {"not_answered"}


def test_entities_by_overlap_and_label():
    kinds = {"no_entity": 5, "entity": 6}
    found = outcomes("negspacy", [(5, 19, "DRUG"), (31, 37, "TEST")])
    assert found[kinds["entity"]].outcome == "passed"
    assert found[kinds["no_entity"]] == (ITEM.checks[5], "failed", "TEST")
    found = outcomes("negspacy", [(8, 19, "TEST")])
    assert found[kinds["entity"]].outcome == "missed"
    assert found[kinds["no_entity"]].outcome == "passed"
    found = outcomes("negspacy", [(8, 19, "MED")], label_map={"MED": ("DRUG",)})
    assert found[kinds["entity"]].outcome == "passed"
    found = outcomes("negspacy", [], finds=False)
    assert {v.outcome for v in found} == {"not_answered"}


def test_unknown_adapter():
    with pytest.raises(ValueError, match="'cTAKES'; expected one of auto, clinbert"):
        choose_adapter("cTAKES")


@pytest.mark.parametrize("gold_spans", [False, True])
def test_a_perfect_pipeline_passes_everything(gold_spans):
    items = read_items()
    with clinbert_attributes():
        seen = []
        nlp = make_perfect()
        settings = Settings("clinbert", gold_spans)
        result = run_smell_test(nlp, items, settings, progress=seen.append)
    assert result.failed == [] and result.row("all").rate == 1.0
    assert result.row("all").n_answered == result.row("all").n_items == len(seen)
    assert result.row("safety").n_items == sum(r.n_items for r in result.rows[:-2] if r.safety)
    assert (result.row("all").n_items == len(items.items)) is not gold_spans
    assert nlp.pipe_names == ["smell_test_oracle", "smell_test_answers"]


def test_a_blank_pipeline_passes_nothing():
    result = run_smell_test(spacy.blank("en"), read_items(), Settings("clinbert"))
    total = result.row("all")
    assert (total.passed, total.checks_passed, total.n_answered) == (0, 0, 0)
    assert total.not_answered == total.n_checks > 0
    assert len(result.failed) == total.n_items == len(read_items().items)


def test_a_recogniser_alone_is_judged_by_what_it_answers():
    result = run_smell_test(make_perfect("smell_test_oracle"), read_items(), Settings("clinbert"))
    total = result.row("all")
    assert 0 < total.passed < total.n_items
    assert total.answered_passed == total.n_answered > total.passed
    assert total.checks_passed + total.not_answered == total.n_checks


@Language.component("smell_test_all_absent")
def say_absent(doc):
    doc.user_data["toy_values"] = {(s.start, s.end): {"presence": "absent"} for s in doc.ents}
    return doc


def test_a_wrong_value_fails_its_item():
    with clinbert_attributes():
        nlp = make_perfect("smell_test_all_absent")
        settings = Settings("clinbert", gold_spans=True, kinds=("presence",))
        result = run_smell_test(nlp, read_items(), settings)
    verdicts = [v for found in result.verdicts.values() for v in found]
    assert all(v.passed == ("absent" in v.check.allowed) and v.found == "absent" for v in verdicts)
    assert 0 < result.row("all").passed < result.row("all").n_items
    record = json.loads(json.dumps(result.to_dict()))
    assert record["failed"]["negated-01"] == [
        {"kind": "presence", "target": 4, "tail": -1, "allowed": ["present"], "label": "",
         "expected": True, "outcome": "failed", "found": "absent"}
    ]  # fmt: skip
    assert record["sha256"] == read_items().sha256 and record["gold_spans"] is True


def test_given_entities_are_where_components_look():
    nlp = spacy.blank("en")
    doc = place_entities(nlp(TEXT), ITEM, {"PROBLEM": ("DISEASE", "SYMPTOM")})
    shown = [(span.text, span.label_) for span in doc.ents]
    assert shown == [("Rash", "PROBLEM"), ("amoxicillin", "DRUG"), ("cough", "PROBLEM"),
                     ("asthma", "PROBLEM")]  # fmt: skip
    assert [(span.text, span.label_) for span in doc.spans[ENTS_KEY]] == shown
    assert doc.spans[ENTS_KEY].attrs["scores"] == [1.0] * 4


def test_a_recogniser_is_left_out_where_entities_are_given():
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    ruler.add_patterns([{"label": "TEST", "pattern": "amoxicillin, no cough"}])
    settings = Settings("negspacy", gold_spans=True, kinds=ASSERTION)
    with extended([(Span, "negex", values({"cough": True}))]):
        result = run_smell_test(nlp, ITEMS, settings)
    assert [v.outcome for v in result.verdicts["toy-01"]] == [
        "passed", "passed", "not_answered", "not_answered"
    ]  # fmt: skip
    assert len(nlp(TEXT).ents) == 1
    row = result.row("family")
    assert (row.passed, row.n_items, row.answered_passed, row.n_answered) == (0, 1, 1, 1)


@Language.component("smell_test_drops_entities")
def drop_entities(doc):
    doc.set_ents([])
    return doc


def test_lost_entities_are_an_error_without_text():
    nlp = make_perfect("smell_test_drops_entities")
    settings = Settings("clinbert", gold_spans=True)
    with pytest.raises(ValueError, match=r"toy-01: .*\(0, 4\).*gone.*--disable") as caught:
        run_smell_test(nlp, ITEMS, settings)
    assert "Rash" not in str(caught.value)
    settings = Settings("clinbert", gold_spans=True, disable=("smell_test_drops_entities",))
    assert run_smell_test(nlp, ITEMS, settings).row("all").n_items == 1


def test_no_check_left():
    settings = Settings("clinbert", gold_spans=True, kinds=("entity", "no_entity"))
    with pytest.raises(ValueError, match="No check of the kinds entity, no_entity in toy"):
        run_smell_test(spacy.blank("en"), ITEMS, settings)
