"""`clinbert_side_effects` on a tiny BERT and invented notes: learns, survives, carries through."""

import json
import pickle
import sys

import pytest
import spacy
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, DocBin, Span, SpanGroup

from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.pair_gold import gold_of_pairs
from clinbert_spacy.pipeline.side_effects import SideEffects
from tests.toy_relations import (
    BARE,
    DENIED,
    FOUND,
    NAME,
    NOTES,
    STOPPED,
    close,
    judge,
    make_example,
    ready,
    rows,
    said,
    with_sentences,
)  # fmt: skip


def test_builds_from_its_default_config():
    nlp = spacy.blank("en")
    component = nlp.add_pipe(NAME)
    assert isinstance(component, SideEffects)
    assert component.labels == tuple(RELATIONS)
    assert component.model.name == "relation_classifier"
    assert component.model.get_ref("tok2vec").get_ref("listener").upstream_name == (
        "clinbert_transformer"
    )
    assert component.scorer is not None


def test_learns(trained):
    docs = [ready(trained, note) for note in NOTES]
    assert [rows(doc) for doc in docs] == FOUND
    (effect,) = docs[0]._.clinbert_side_effects
    assert (effect.drug.text, effect.effect.text) == ("lisinopril", "cough")
    assert (effect.causality, effect.kind) == ("stated", "reaction")
    assert [span.text for span in effect.evidence] == ["lisinopril stopped due to cough ."]
    assert effect.is_current_reaction and effect.score > 0.9
    assert effect.cue is not None and effect.cue.text not in ("lisinopril", "cough")
    (other,) = docs[1]._.clinbert_side_effects
    assert (other.causality, other.kind) == ("denied", "allergy") and not other.is_current_reaction
    types = docs[0].spans["clinbert_relations"].attrs["types"]
    assert types == ["DRUG", "SYMPTOM", "DRUG", "STRENGTH", "SYMPTOM"]


def test_scores_end_to_end(trained):
    examples = [make_example(trained, *note) for note in NOTES]
    scores = trained.evaluate(examples)
    assert scores["relations_f"] == 1.0
    assert scores["relations_per_type"]["ADVERSE_EFFECT"] == {"p": 1.0, "r": 1.0, "f": 1.0, "n": 2}


def test_survives_disk_bytes_and_pickle(trained, saved, bare):
    expected = [said(ready(trained, note)) for note in NOTES]
    again = [spacy.load(saved), bare.from_bytes(trained.to_bytes()),
             pickle.loads(pickle.dumps(trained))]  # fmt: skip
    for nlp in again:
        # weights travel in half precision, here of a network of order 1
        assert close([said(ready(nlp, note)) for note in NOTES], expected, atol=1e-3)


def test_survives_docbin_and_bytes(trained):
    docs = [ready(trained, note) for note in NOTES]
    copies = list(DocBin(docs=docs).get_docs(trained.vocab))
    others = [Doc(trained.vocab).from_bytes(doc.to_bytes()) for doc in docs]
    for doc, copy, other in zip(docs, copies, others):
        assert said(copy) == said(other) == said(doc)
    assert said(docs[0]) != said(docs[1])


def test_pipe_equals_call_and_is_not_overridden(trained):
    assert {"__call__", "pipe"}.isdisjoint(vars(SideEffects))
    assert issubclass(SideEffects, TrainablePipe)
    alone = [said(ready(trained, note)) for note in NOTES]
    docs = [make_example(trained, *note).predicted for note in NOTES]
    assert close([said(doc) for doc in trained.pipe(docs, batch_size=3)], alone)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_two_processes_after_a_forward_pass(trained):
    alone = [said(ready(trained, note)) for note in NOTES]
    docs = [make_example(trained, *note).predicted for note in NOTES]
    found = [said(doc) for doc in trained.pipe(docs, n_process=2, batch_size=2)]
    assert close(found, alone)


def test_notes_without_words_in_a_batch(trained):
    first, last = (make_example(trained, *note).predicted for note in (STOPPED, DENIED))
    docs = [trained.make_doc(" \n"), first, trained.make_doc(""), last]
    found = list(trained.pipe(docs, batch_size=4))
    assert [rows(doc) for doc in found] == [[], FOUND[0], [], FOUND[1]]
    assert [doc._.clinbert_side_effects_status for doc in found] == (
        ["no_drug", "found", "no_drug", "found"]
    )
    assert close(said(found[3]), said(ready(trained, DENIED)))


def test_notes_without_words_alone(trained):
    for docs in ([trained("")], trained.pipe(["", ""])):
        assert {doc._.clinbert_side_effects_status for doc in docs} == {"no_drug"}


def test_learns_beside_a_note_without_words(copied):
    examples = [make_example(copied, *note) for note in (("", []), STOPPED, (" \n", []))]
    losses = copied.update(examples, sgd=False, annotates=["clinbert_sentences"])
    # learned before: rows of another note would cost more
    assert 0.0 < losses[NAME] < 0.01


def test_an_empty_list_is_never_silence(copied, bare):
    assert copied.make_doc("aspirin")._.clinbert_side_effects_status == "not_run"
    assert ready(copied, BARE)._.clinbert_side_effects_status == "no_drug"
    assert ready(copied)._.clinbert_side_effects_status == "found"
    copied.get_pipe(NAME).threshold = 1.0
    doc = ready(copied)
    assert doc._.clinbert_side_effects == []
    assert doc._.clinbert_side_effects_status == "none_above_threshold"
    # a drug alone is a drug, too
    doc = ready(copied, ("{aspirin|DRUG} daily", []))
    assert doc._.clinbert_side_effects_status == "none_above_threshold"


def test_what_is_written_is_plain(trained):
    doc = ready(trained)
    attrs = doc.spans["clinbert_relations"].attrs
    assert json.loads(json.dumps(attrs)) == attrs
    for row in attrs["relations"]:
        assert type(row["score"]) is float and type(row["head"]) is type(row["tail"]) is int
    assert all(type(x.score) is float for x in doc._.clinbert_side_effects)
    assert set(attrs) == {"types", "relations", "status"}  # what was asked is gone


# Whose entities


def test_entities_of_another_component(trained, copied):
    text, links = STOPPED
    names = {"DRUG": "CHEMICAL", "SYMPTOM": "PROBLEM", "STRENGTH": "STRENGTH"}
    example = make_example(trained, text, links)
    found = [(e.text, names[e.label_]) for e in example.predicted.ents]
    doc = ready(trained, found=found)
    assert rows(doc) == [] and doc._.clinbert_side_effects_status == "no_drug"
    copied.get_pipe(NAME).label_map = {"CHEMICAL": "DRUG", "PROBLEM": "SYMPTOM"}
    doc = ready(copied, found=found)
    assert close(said(doc), said(ready(copied)))
    assert doc.ents[0].label_ == doc._.clinbert_relations[0].head.label_ == "CHEMICAL"


def test_unknown_labels_are_left_out(bare):
    found = [("lisinopril", "DRUG"), ("john", "PERSON"), ("cough", "SYMPTOM")]
    doc = with_sentences(bare, "lisinopril gave john cough", found)
    assert len(bare.get_pipe(NAME).ask(doc, doc.ents)) == 1
    assert [span.text for span in doc.spans["clinbert_relations"]] == ["lisinopril", "cough"]


def test_nested_and_overlapping_entities(copied):
    doc = with_sentences(copied, "aspirin 10 mg for fever and rash after aspirin .", [])
    spans = [
        Span(doc, a, b, label=label)
        for a, b, label in (
            (4, 7, "DISEASE"), (0, 3, "DRUG"), (0, 1, "DRUG"), (4, 5, "SYMPTOM"),
            (1, 3, "STRENGTH"), (6, 9, "SYMPTOM"), (8, 9, "DRUG"), (8, 9, "DRUG"),
        )
    ]  # fmt: skip
    component = copied.get_pipe(NAME)
    pairs = component.ask(doc, spans)
    places = [(s.start, s.end) for s in doc.spans["clinbert_relations"]]
    assert places == sorted(set((s.start, s.end) for s in spans))
    # three drugs, each with three problems and a strength
    assert len(pairs) == 3 * 4 == len(set(pairs))
    doc = copied.get_pipe("clinbert_transformer")(doc)
    component.threshold, component.once = 0.0, ()
    component.set_annotations([doc], component.model.attrs["decode"](
        component.model, component.model.predict([doc])
    ))  # fmt: skip
    assert len(doc._.clinbert_relations) == 12
    component.once = ("ADVERSE_EFFECT", "TREATS")
    component.ask(doc, spans)
    judged = component.model.attrs["decode"](component.model, component.model.predict([doc]))
    component.set_annotations([doc], judged)
    assert len(doc._.clinbert_relations) < 12  # aspirin is named twice
    assert all(0.0 <= x.score <= 1.0 for x in doc._.clinbert_relations)


def test_learns_from_gold_entities_that_cannot_be_ents(bare):
    """The gold has a drug inside another's name; doc.ents could not hold both."""
    text, links = "{aspirin|DRUG} 10 mg gave {rash|SYMPTOM}", [("aspirin", "rash", "TREATS")]
    example = make_example(bare, text, links, found=[("aspirin 10 mg", "DRUG")])
    bare.get_pipe("clinbert_sentences")(example.predicted)
    component = bare.get_pipe(NAME)
    pairs = component.ask(example.predicted, component._entities(example))
    spans = example.predicted.spans["clinbert_relations"]
    words = [(spans[p.head].text, spans[p.tail].text) for p in pairs]
    assert words == [("aspirin", "rash"), ("aspirin 10 mg", "rash")]
    table, *_ = gold_of_pairs([example], list(RELATIONS))
    # the longer one overlaps the gold drug: it stands for it
    assert table[:, list(RELATIONS).index("TREATS")].tolist() == [1, 1]


def test_gold_under_a_foreign_label_is_asked_too(bare):
    text, links = STOPPED
    found = [("lisinopril", "PERSON"), ("cough", "SYMPTOM")]
    example = make_example(bare, text, links, found=found)
    entities = bare.get_pipe(NAME)._entities(example)
    kept = [(e.text, e.label_) for e in entities]
    assert ("lisinopril", "DRUG") in kept and kept.count(("cough", "SYMPTOM")) == 1


# What is said of drug and effect

PROBLEM = {"presence": "present", "experiencer": "patient", "time": "current"}


def asserted(nlp, text, found, values):
    """A Doc on which `clinbert_assertion` said something."""
    doc = with_sentences(nlp, text, found)
    attrs = {"values": values, "scores": [{} for _ in values], "cues": [{} for _ in values]}
    doc.spans["clinbert_assertion"] = SpanGroup(doc, attrs=attrs, spans=list(doc.ents))
    return doc


@pytest.mark.parametrize(
    "text, drug, effect, values, status, causality, kind, summed, current",
    [
        ("no rash on amoxicillin", "amoxicillin", "rash", {"presence": "absent"}, "active",
         "denied", "reaction", "absent", False),
        ("no rash on amoxicillin", "amoxicillin", "rash", {"presence": "absent"}, "active",
         "stated", "reaction", "absent", False),
        ("stopped lisinopril due to cough", "lisinopril", "cough", {}, "stopped", "stated",
         "reaction", "present", True),
        ("on warfarin , monitor for bleeding", "warfarin", "bleeding",
         {"presence": "hypothetical"}, "active", "possible", "reaction", "hypothetical", False),
        ("allergies : penicillin ( rash )", "penicillin", "rash", {}, "allergy", "stated",
         "reaction", "present", False),
        ("allergies : penicillin ( rash )", "penicillin", "rash", {}, "active", "stated",
         "allergy", "present", False),
        ("penicillin : rash , intolerant", "penicillin", "rash", {}, "active", "stated",
         "intolerance", "present", False),
        ("mother had rash on penicillin", "penicillin", "rash", {"experiencer": "family"}, "past",
         "stated", "reaction", "family", False),
        ("headache since stopping venlafaxine", "venlafaxine", "headache", {}, "stopped",
         "stated", "withdrawal", "present", True),
        ("rash , not from penicillin", "penicillin", "rash", {}, "active", "denied", "reaction",
         "present", False),
    ],
)  # fmt: skip
def test_assertion_is_carried_through(
    bare, text, drug, effect, values, status, causality, kind, summed, current
):
    doc = with_sentences(bare, text, [(drug, "DRUG"), (effect, "SYMPTOM")])
    of = {drug: {"drug_status": status}, effect: {**PROBLEM, **values}}
    found = [(e.text, e.label_) for e in doc.ents]
    doc = asserted(bare, text, found, [of[words] for words, _ in found])
    judge(bare.get_pipe(NAME), doc, [(drug, effect, "ADVERSE_EFFECT", causality, kind)])
    (copy,) = DocBin(docs=[doc]).get_docs(bare.vocab)
    for note in (doc, copy):
        (found,) = note._.clinbert_side_effects
        assert (found.drug.text, found.effect.text) == (drug, effect)
        assert (found.assertion, found.drug_status) == (summed, status)
        assert (found.causality, found.kind) == (causality, kind)
        assert found.is_current_reaction == current


RASHES = [("rash", "SYMPTOM"), ("penicillin", "DRUG")]
LINK = ("penicillin", "rash", "ADVERSE_EFFECT", "denied", "withdrawal", "absent")


def test_a_pair_may_say_more_than_its_effect(bare):
    """A rash that is there, and that this drug did not cause."""
    values = [PROBLEM, {"drug_status": "active"}]
    for learned, expected in (
        (["causality", "kind", "assertion"], ("denied", "withdrawal", "absent")),
        (["kind"], ("stated", "withdrawal", "present")),
        ([], ("stated", "reaction", "present")),
    ):
        doc = asserted(bare, "rash , penicillin", RASHES, values)
        judge(bare.get_pipe(NAME), doc, [LINK], learned=learned)
        (found,) = doc._.clinbert_side_effects
        assert (found.causality, found.kind, found.assertion) == expected
        assert found.is_current_reaction == (found.assertion == "present")
    # where nobody judged the effect, the pair does; a test has a value instead
    for label, expected in (("SYMPTOM", "absent"), ("TEST", None)):
        doc = with_sentences(bare, "rash , penicillin", [("rash", label), RASHES[1]])
        judge(bare.get_pipe(NAME), doc, [LINK], learned=["assertion"])
        assert doc._.clinbert_side_effects[0].assertion == expected


def test_without_assertion_nothing_is_said_of_either(bare):
    doc = with_sentences(bare, "cough on ramipril", [("cough", "SYMPTOM"), ("ramipril", "DRUG")])
    judge(bare.get_pipe(NAME), doc, [("ramipril", "cough", "ADVERSE_EFFECT", "stated", "reaction")])
    (found,) = doc._.clinbert_side_effects
    assert found.assertion is found.drug_status is found.cue is None and found.is_current_reaction


def test_the_value_of_a_test_and_both_sentences(bare):
    text = "on ramipril . seen today . creatinine 180 ."
    doc = with_sentences(
        bare, text, [("ramipril", "DRUG"), ("creatinine", "TEST"), ("180", "LAB_VALUE")]
    )
    links = [("ramipril", "creatinine", "ADVERSE_EFFECT", "possible", "reaction"),
             ("creatinine", "180", "HAS_VALUE")]  # fmt: skip
    judge(bare.get_pipe(NAME), doc, links, focus=2)
    (found,) = doc._.clinbert_side_effects
    assert (found.effect.text, found.value.text, found.cue.text) == ("creatinine", "180", ".")
    assert [span.text for span in found.evidence] == ["on ramipril .", "creatinine 180 ."]


def test_one_relation_a_pair_the_likeliest(bare):
    doc = with_sentences(bare, "aspirin , rash", [("aspirin", "DRUG"), ("rash", "SYMPTOM")])
    links = [("aspirin", "rash", "TREATS"), ("aspirin", "rash", "ADVERSE_EFFECT")]
    component = bare.get_pipe(NAME)
    judge(component, doc, links[:1], share=0.9)
    assert rows(doc) == [("aspirin", "rash", "TREATS")]
    judge(component, doc, links[1:], share=0.6)
    assert rows(doc) == [("aspirin", "rash", "ADVERSE_EFFECT")]
    assert doc._.clinbert_relations[0].score == pytest.approx(0.6)
