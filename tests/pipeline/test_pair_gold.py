"""What the gold knows of a pair: there, not there, or unknown."""

from types import SimpleNamespace

import numpy
import spacy
from spacy.tokens import Span
from spacy.training import Example

from clinbert_spacy.corpora.links import name_drug
from clinbert_spacy.corpora.readers import to_example
from clinbert_spacy.corpora.schema import get_schema
from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.pair_gold import gold_ends, gold_of_pairs, right_pairs
from tests.toy_relations import REVIEW, TEXT, TWICE, concept_note, make_component, make_note

NLP = spacy.blank("en")
NLP.add_pipe("sentencizer")
NAMES = list(RELATIONS)
WORDS = "Zolax gave pain and rash but Plexa none."
MARKED = [("T1", "DRUG", "Zolax"), ("T2", "SYMPTOM", "pain"), ("T3", "DRUG", "Plexa")]
UNMARKED = ("rash", "SYMPTOM")


def known(note, extra=(), found=None):
    """For each pair what the gold says: by words, a dict from relation to 1, 0 or -1."""
    example = to_example(note, NLP, get_schema(note.meta["corpus"]).scheme())
    return judged(example, extra, found)


def judged(example, extra=(), found=None):
    doc = NLP.get_pipe("sentencizer")(example.predicted)
    spans = list(gold_ends(example)) if found is None else []
    for words, label in (*(found or ()), *extra):
        start = doc.text.index(words)
        spans.append(doc.char_span(start, start + len(words), label=label))
    component = make_component([])
    component.ask(doc, spans)
    group = doc.spans["clinbert_relations"]
    table, causality, kind, *_ = gold_of_pairs([example], NAMES)
    rows = zip(group.attrs["pairs"], table.tolist(), causality.tolist(), kind.tolist())
    return {
        (group[head].text, group[tail].text): {**dict(zip(NAMES, row)), "said": (one, other)}
        for (head, tail), row, one, other in rows
    }


def test_all_that_is_covered_and_not_linked_is_absent():
    note = make_note("notes", WORDS, MARKED, [("ADVERSE_EFFECT", "T1", "T2",
                     {"Causality": "possible", "Kind": "allergy"})])  # fmt: skip
    found = known(note, [UNMARKED])
    absent = dict.fromkeys(NAMES, 0)
    assert found["Zolax", "pain"] == {**absent, "ADVERSE_EFFECT": 1, "said": (1, 1)}
    nothing = {**absent, "said": (-1, -1)}
    # a marked pair without a link, and, as all is marked, one with an end that is no entity
    assert found["Plexa", "pain"] == found["Zolax", "rash"] == found["Plexa", "rash"] == nothing
    assert len(found) == 4


def test_what_is_not_covered_is_unknown():
    note = make_note("pairs", "Zolax 5 mg gave pain", [("T1", "DRUG", "Zolax"),
                     ("T2", "SYMPTOM", "pain")], [])  # fmt: skip
    found = known(note, [("5 mg", "STRENGTH")])
    assert set(found["Zolax", "5 mg"].values()) - {(-1, -1)} == {-1, 0}
    assert found["Zolax", "5 mg"]["HAS_STRENGTH"] == -1
    assert (found["Zolax", "pain"]["ADVERSE_EFFECT"], found["Zolax", "pain"]["TREATS"]) == (0, 0)


def test_one_relation_a_pair_also_where_the_other_is_not_covered():
    """ADE marks effects alone; what is an effect is no treatment."""
    mentions = [("T1", "Drug", "Zolax"), ("T2", "Adverse-Effect", "pain"), ("T3", "Drug", "Plexa")]
    found = known(make_note("ade", WORDS, mentions, [("ADVERSE_EFFECT", "T1", "T2")]))
    assert found["Zolax", "pain"]["TREATS"] == 0 and found["Zolax", "pain"]["said"] == (0, -1)
    assert found["Plexa", "pain"]["TREATS"] == -1 and found["Plexa", "pain"]["ADVERSE_EFFECT"] == 0


def test_open_corpora_know_nothing_of_what_they_did_not_mark():
    note = name_drug(make_note("psytar", TEXT, REVIEW, drug="zoloft"))
    found = known(note, [("It", "DRUG"), ("Took", "SYMPTOM")])
    assert found["Zoloft", "sick"]["ADVERSE_EFFECT"] == 1
    assert found["Zoloft", "sick"]["said"] == (0, 0) and found["Zoloft", "zaps"]["said"] == (0, 3)
    assert found["Zoloft", "sadness"]["TREATS"] == 1
    assert found["Zoloft", "sadness"]["ADVERSE_EFFECT"] == 0
    # marked and not linked: no effect of it; nothing is said of treatments
    tired = found["Zoloft", "tired"]
    assert (tired["ADVERSE_EFFECT"], tired["TREATS"]) == (0, -1)
    for pair in (("Zoloft", "Took"), ("It", "sick"), ("It", "Took")):
        assert {found[pair][name] for name in NAMES} == {-1}


def test_a_doubtful_pair_is_unknown():
    text = "Zolax gave pain. Zolax and an ulcer."
    example = to_example(concept_note(text, TWICE), NLP, get_schema("bc5cdr").scheme())
    doc = NLP.get_pipe("sentencizer")(example.predicted)
    component = make_component([])
    pairs = component.ask(doc, list(gold_ends(example)))
    group = doc.spans["clinbert_relations"]
    table, *_ = gold_of_pairs([example], NAMES)
    effect = NAMES.index("ADVERSE_EFFECT")
    found = {(group[p.head].start_char, group[p.tail].text): row[effect]
             for p, row in zip(pairs, table)}  # fmt: skip
    second = text.index("Zolax", 1)
    assert found == {
        (0, "pain"): 1, (second, "pain"): -1, (0, "ulcer"): 0, (second, "ulcer"): 0,
    }  # fmt: skip
    # nor does anybody calibrate on it
    judged = SimpleNamespace(relations=numpy.full((4, len(NAMES)), 0.5))
    scores, right = right_pairs([example], [judged], "ADVERSE_EFFECT", effect)
    assert len(scores) == 3 and right.sum() == 1


def test_corpora_without_relations_leave_all_unknown():
    note = make_note("snippets", WORDS, MARKED)
    found = known(note, [UNMARKED])
    assert {found[pair][name] for pair in found for name in NAMES} == {-1} and len(found) == 4


def test_entities_found_with_other_boundaries_stand_for_the_gold():
    text = "severe chest pain from Zolax tablets; rash"
    note = make_note("notes", text, [("T1", "SYMPTOM", "chest pain"), ("T2", "DRUG", "Zolax"),
                     ("T3", "SYMPTOM", "rash")], [("ADVERSE_EFFECT", "T2", "T1")])  # fmt: skip
    found = known(note, found=[("severe chest pain", "SYMPTOM"), ("Zolax tablets", "DRUG"),
                               ("pain", "DISEASE"), ("severe", "SYMPTOM")])  # fmt: skip
    for words in ("severe chest pain", "pain"):
        assert found["Zolax tablets", words]["ADVERSE_EFFECT"] == 1
    assert found["Zolax tablets", "severe"]["ADVERSE_EFFECT"] == 0


def test_the_larger_overlap_decides():
    text = "pain and rash from Zolax"
    note = make_note("notes", text, [("T1", "SYMPTOM", "pain"), ("T2", "SYMPTOM", "and rash"),
                     ("T3", "DRUG", "Zolax")], [("ADVERSE_EFFECT", "T3", "T2")])  # fmt: skip
    found = known(note, found=[("pain and rash", "SYMPTOM"), ("pain", "SYMPTOM"),
                               ("Zolax", "DRUG")])  # fmt: skip
    assert found["Zolax", "pain and rash"]["ADVERSE_EFFECT"] == 1
    assert found["Zolax", "pain"]["ADVERSE_EFFECT"] == 0


def test_gold_that_does_not_fit_the_tokens():
    note = make_note("notes", "Zolaxin gave pains", [("T1", "DRUG", "Zolax"),
                     ("T2", "SYMPTOM", "pain")], [("ADVERSE_EFFECT", "T1", "T2")])  # fmt: skip
    assert known(note)["Zolaxin", "pains"]["ADVERSE_EFFECT"] == 1


def test_gold_with_two_labels_gives_its_first():
    note = make_note("ade", WORDS, [("T1", "Drug", "Zolax"), ("T2", "Adverse-Effect", "pain")])
    example = to_example(note, NLP, get_schema("ade").scheme())
    ends = list(gold_ends(example))
    assert [(span.text, span.label_) for span in ends] == [("Zolax", "DRUG"), ("pain", "DISEASE")]
    assert all(span.doc is example.predicted for span in ends)
    doc = NLP("Zolax")
    assert list(gold_ends(Example(doc, NLP.make_doc("Zolax")))) == []


def test_rows_of_a_batch_stand_in_its_order():
    one = make_note("notes", WORDS, MARKED, [("TREATS", "T1", "T2")])
    other = make_note("snippets", WORDS, MARKED)
    examples = [
        to_example(note, NLP, get_schema(note.meta["corpus"]).scheme())
        for note in (other, one, other)
    ]
    component = make_component([])
    for example in examples:
        doc = NLP.get_pipe("sentencizer")(example.predicted)
        component.ask(doc, list(gold_ends(example)))
    table, causality, kind, *_ = gold_of_pairs(examples, NAMES)
    assert table.shape == (6, len(NAMES)) and causality.shape == kind.shape == (6,)
    assert table[:, NAMES.index("TREATS")].tolist() == [-1, -1, 1, 0, -1, -1]
    empty = Example(NLP.make_doc(""), NLP.make_doc(""))
    component.ask(empty.predicted, [])
    table, *said = gold_of_pairs([empty], NAMES)
    assert table.shape == (0, len(NAMES)) and all(len(x) == 0 for x in said)


def test_a_component_asks_gold_and_found_once():
    note = make_note("notes", WORDS, MARKED)
    example = to_example(note, NLP, get_schema("notes").scheme())
    doc = example.predicted
    doc.set_ents([Span(doc, 0, 1, label="DRUG"), Span(doc, 4, 5, label="SYMPTOM")])
    entities = make_component([])._entities(example)
    words = [(span.text, span.label_) for span in entities]
    assert words == [("Zolax", "DRUG"), UNMARKED, ("pain", "SYMPTOM"), ("Plexa", "DRUG")]
