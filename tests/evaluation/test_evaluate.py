import json

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Span

from clinbert_spacy.corpora.record import AnnotatedNote, Mention
from clinbert_spacy.corpora.schema import get_schema
from clinbert_spacy.evaluation.evaluate import evaluate
from clinbert_spacy.evaluation.labels import labels_of, plan_labels

PRODUCT = ["DISEASE", "SYMPTOM", "DRUG", "TEST", "PROCEDURE"]


@Language.factory("evaluate_test_words", assigns=["doc.ents"])
def make_word_marker(nlp, name, words: dict):
    def mark(doc):
        pairs = [(token, words.get(token.lower_, "")) for token in doc]
        doc.spans["clinbert_ents"] = [
            Span(doc, token.i, token.i + 1, label)
            for token, labels in pairs
            for label in labels.split()
        ]
        return doc

    return mark


def find_words(words):
    """A pipeline that marks single words."""
    nlp = spacy.blank("en")
    nlp.add_pipe("evaluate_test_words", config={"words": words})
    return nlp


def note(text, *mentions, name="n1", **meta):
    found = []
    for i, (word, label) in enumerate(mentions):
        start = text.index(word)
        found.append(Mention(f"T{i}", label, ((start, start + len(word)),)))
    return AnnotatedNote(name, text, tuple(found), meta=meta)


NOTE = note("Aspirin caused a rash.", ("Aspirin", "Chemical"), ("rash", "Disease"))


def test_product_labels_are_mapped_to_those_of_the_corpus():
    nlp = find_words({"aspirin": "DRUG", "rash": "SYMPTOM", "a": "TEST"})
    plan = plan_labels(get_schema("bc5cdr"), PRODUCT)
    result = evaluate(nlp, iter([NOTE, note("No drug.", name="n2")]), "bc5cdr", plan)
    assert (result.scheme, result.source, result.n_notes) == ("own", "clinbert_ents", 2)
    assert [(row.label, row.n, row.f) for row in result.labels] == [
        ("Chemical", 1, 1.0),
        ("Disease", 1, 1.0),
    ]
    assert result.f.value == 1.0
    assert len(json.loads(json.dumps(result.to_dict()))["data_sha256"]) == 64


def test_own_labels_stay():
    nlp = find_words({"aspirin": "Chemical", "rash": "Chemical"})
    result = evaluate(nlp, [NOTE], "bc5cdr", plan_labels(get_schema("bc5cdr"), ["Chemical"]))
    assert (result.precision.value, result.recall.value) == (0.5, 0.5)
    assert result.f.low <= result.f.value <= result.f.high


def test_ambiguous_mapping_falls_back_to_product_labels():
    plan = plan_labels(get_schema("maccrobat"), PRODUCT)
    assert plan.scheme == "product"
    assert plan.gold["Dosage"] == ("DOSAGE", "FREQUENCY", "STRENGTH")
    nlp = find_words({"daily": "FREQUENCY", "history": "DISEASE", "x": "DISEASE"})
    gold = note("history x daily", ("history", "History"), ("daily", "Dosage"))
    result = evaluate(nlp, [gold], "maccrobat", plan)
    assert {row.label: (row.precision, row.n) for row in result.labels} == {
        "FREQUENCY": (1.0, 1),
        "DISEASE": (0.0, 0),
    }
    assert result.n_left_out == 1


def test_text_on_which_the_corpus_is_silent_does_not_count():
    nlp = find_words({"insulin": "DRUG", "aspirin": "DRUG", "water": "DRUG"})
    gold = note("insulin, aspirin, water", ("insulin", "GeneOrGeneProduct"),
                ("aspirin", "ChemicalEntity"))  # fmt: skip
    result = evaluate(nlp, [gold], "biored", plan_labels(get_schema("biored"), PRODUCT))
    assert (result.scheme, result.precision.value, result.n_left_out) == ("own", 0.5, 1)
    assert [row.label for row in result.labels] == ["ChemicalEntity"]
    assert "leaves open" in result.protocol
    native = evaluate(nlp, [gold], "biored", plan_labels(get_schema("biored"), ["CellLine"]))
    assert "leaves open" not in native.protocol


def test_labels_that_predictions_cannot_tell_apart_are_one_row():
    nlp = find_words({"rash": "SYMPTOM", "gout": "DISEASE"})
    gold = note("rash gout tremor", ("rash", "ADR"), ("gout", "SSI"), ("tremor", "WD"))
    result = evaluate(nlp, [gold], "psytar", plan_labels(get_schema("psytar"), PRODUCT))
    (row,) = result.labels
    assert (row.label, row.n, row.precision, row.recall) == ("ADR/WD/SSI/DI", 3, 1.0, 2 / 3)
    native = evaluate(nlp, [gold], "psytar", plan_labels(get_schema("psytar"), ["ADR"]))
    assert [row.label for row in native.labels] == ["ADR", "SSI", "WD"]


def test_unknown_label_names_the_note_and_not_its_text():
    plan = plan_labels(get_schema("bc5cdr"), PRODUCT)
    wrong = note("CANARY rash", ("rash", "Symptom"))
    with pytest.raises(ValueError, match="Note 'n1', mention 'T0': label 'Symptom'") as error:
        evaluate(find_words({}), [wrong], "bc5cdr", plan)
    assert "CANARY" not in str(error.value)


def test_no_note_is_an_error():
    with pytest.raises(ValueError, match="No note of corpus 'bc5cdr'"):
        evaluate(find_words({}), [], "bc5cdr", plan_labels(get_schema("bc5cdr"), PRODUCT))


def test_hash_depends_on_the_data_alone():
    plan = plan_labels(get_schema("bc5cdr"), PRODUCT)
    hashes = [
        evaluate(find_words(words), [data], "bc5cdr", plan).data_sha256
        for words, data in [({}, NOTE), ({"a": "DRUG"}, NOTE), ({}, note(NOTE.text))]
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_labels_of_reads_components_that_write_entities():
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "DRUG", "pattern": "aspirin"}])
    nlp.add_pipe("tagger").add_label("NN")
    assert labels_of(nlp) == ["DRUG"]
    nlp.remove_pipe("tagger")
    result = evaluate(nlp, [NOTE], "bc5cdr", plan_labels(get_schema("bc5cdr"), ["DRUG"]))
    assert (result.source, result.f.value) == ("ents", 0.0)
    assert result.pipeline["components"] == "entity_ruler"


def test_notes_with_more_layers_are_scored_on_the_product_labels_alone():
    gold = note("Mr Quist takes aspirin.", ("Quist", "PHI_NAME"), ("aspirin", "DRUG"))
    plan = plan_labels(get_schema("notes"), PRODUCT)
    result = evaluate(find_words({"aspirin": "DRUG"}), [gold], "notes", plan)
    assert (result.scheme, result.n_mentions, result.n_left_out) == ("product", 1, 1)
    assert result.f.value == 1.0
    both = plan_labels(get_schema("notes"), [*PRODUCT, "PHI_NAME"])
    result = evaluate(find_words({"aspirin": "DRUG"}), [gold], "notes", both)
    assert (result.scheme, result.n_mentions) == ("own", 2)
