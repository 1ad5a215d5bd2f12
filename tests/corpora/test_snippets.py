"""Short texts with marks in them."""

import json

import pytest
from spacy.lang.en import English

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.links import ATTRIBUTES
from clinbert_spacy.corpora.readers import create_corpus, read_corpus
from clinbert_spacy.corpora.schema import PRODUCT_LABELS
from clinbert_spacy.pipeline.assertion import ClinicalAssertion, gold_entities, gold_values


def write(folder, *notes):
    path = folder / "snippets.jsonl"
    rows = [{"id": f"s{i}", "note": note} for i, note in enumerate(notes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


NOTE = (
    "Stop {ramipril|DRUG|stopped}:\n{cough|SYMPTOM|present,patient,current}. Mother had "
    "{stroke|DISEASE|present,family,historical}."
)


def test_marks_leave_the_text(tmp_path):
    (note,) = read_corpus("snippets", write(tmp_path, NOTE))
    assert note.text == "Stop ramipril:\ncough. Mother had stroke."
    found = [(note.text[m.start : m.end], m.label, dict(m.attributes)) for m in note.mentions]
    assert found == [
        ("ramipril", "DRUG", {"Status": "stopped"}),
        ("cough", "SYMPTOM", {"Presence": "present", "Experiencer": "patient", "Time": "current"}),
        ("stroke", "DISEASE", {"Presence": "present", "Experiencer": "family",
                               "Time": "historical"}),
    ]  # fmt: skip


def test_examples_say_what_is_to_be_learned(tmp_path):
    nlp = English()
    read = create_corpus({"snippets": {"path": str(write(tmp_path, NOTE))}})
    (example,) = read(nlp)
    component = ClinicalAssertion(nlp, None, method="rules")
    nlp.add_pipe("sentencizer")(example.predicted)
    component.ask(example.predicted, gold_entities(example))
    assert [values.get("drug_status") for values in gold_values(example)] == ["stopped", None, None]
    group = example.reference.spans["clinbert_ents"]
    assert set(group.attrs["covered"]) == {"DISEASE", "SYMPTOM", "DRUG"}


@pytest.mark.parametrize(
    "note, found",
    [
        ("{aspirin|DRUG|gone}", "'gone'"),
        ("{cough|SYMPTOM|present}", "'present'"),
        ("{liver|ANATOMY|present}", "at ANATOMY, found 'present'"),
        ("{Smith|PHI_NAME|}", "'PHI_NAME'"),
        ("{aspirin|DRUG}", "a brace"),
        ("{{aspirin|DRUG|active}}", "a brace"),
    ],
)
def test_broken_marks_are_named(tmp_path, note, found):
    path = write(tmp_path, "well {rash|SYMPTOM|absent,patient,current}", note)
    with pytest.raises(CorpusError, match=f"snippets.jsonl:2.*{found}"):
        list(read_corpus("snippets", path))


@pytest.mark.parametrize("line", ["aspirin", '["aspirin"]', '{"id": "a"}', '{"id": 1, "note": ""}'])
def test_broken_lines_are_named_without_their_text(tmp_path, line):
    path = tmp_path / "snippets.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="snippets.jsonl:1.*'id' and 'note'") as error:
        list(read_corpus("snippets", path))
    assert "aspirin" not in str(error.value)


# Links

COUGH = "present,patient,current"
LINKED = (
    f"{{Cough|SYMPTOM|{COUGH}|AE:1:stated:reaction; AE:2:possible:allergy}} on "
    "{ramipril|DRUG|stopped|1} and {losartan|DRUG|active|2}; {aspirin|DRUG|active|12} for "
    f"{{MI|DISEASE|{COUGH}|TREATS:12}}. {{Creatinine|TEST||AE:1:denied:overdose}} "
    "{180|LAB_VALUE|}. {Sodium|TEST|} fine."
)


def test_links_of_effects_and_treatments(tmp_path):
    (note,) = read_corpus("pairs", write(tmp_path, LINKED))
    assert note.text == (
        "Cough on ramipril and losartan; aspirin for MI. Creatinine 180. Sodium fine."
    )
    text = {m.id: note.text[m.start : m.end] for m in note.mentions}
    assert [(text[r.head], text[r.tail], r.label, dict(r.attributes)) for r in note.relations] == [
        ("ramipril", "Cough", "ADVERSE_EFFECT", {"Causality": "stated", "Kind": "reaction"}),
        ("losartan", "Cough", "ADVERSE_EFFECT", {"Causality": "possible", "Kind": "allergy"}),
        ("aspirin", "MI", "TREATS", {}),
        ("ramipril", "Creatinine", "ADVERSE_EFFECT", {"Causality": "denied", "Kind": "overdose"}),
    ]
    assert len({r.id for r in note.relations}) == 4
    labels = {text[m.id]: (m.label, dict(m.attributes)) for m in note.mentions}
    assert labels["Sodium"] == ("TEST", {}) and labels["180"] == ("LAB_VALUE", {})


def test_links_reach_the_examples(tmp_path):
    read = create_corpus({"pairs": {"path": str(write(tmp_path, LINKED))}})
    (example,) = read(English())
    attrs = example.reference.spans["clinbert_ents"].attrs
    text = example.reference.text
    shown = [(text[a:b], text[c:d], *rest) for a, b, c, d, *rest in attrs["links"]]
    assert shown[0] == ("ramipril", "Cough", "ADVERSE_EFFECT", "stated", "reaction")
    assert shown[2] == ("aspirin", "MI", "TREATS", "", "") and len(shown) == 4
    assert attrs["links_covered"] == ["ADVERSE_EFFECT", "TREATS"] and attrs["links_closed"]
    assert {entity.label_ for entity in example.reference.ents} >= {"TEST", "LAB_VALUE", "DRUG"}
    assert set(attrs["covered"]) == {"DISEASE", "SYMPTOM", "DRUG", "TEST", "LAB_VALUE"}
    # causality and kind of the pair, values of its ends
    values = {text[a:b]: said for a, b, _, said in attrs["asserted"]}
    assert values["ramipril"] == {"drug_status": "stopped"} and values["Creatinine"] == {}
    assert values["Cough"] == {"presence": "present", "experiencer": "patient", "time": "current"}
    assert not example.predicted.ents and "clinbert_ents" not in example.predicted.spans


FULL = (
    f"{{Aspirin|DRUG|active|1}} and {{ramipril|DRUG|active|2}} {{10 mg|STRENGTH||OF:1;OF:2}} "
    f"{{po|ROUTE||OF:1}}. {{K|TEST||3;AE:2:stated:reaction}} {{6.1|LAB_VALUE||VALUE:3}}, "
    f"{{foot|ANATOMY|}} {{cut|DISEASE|{COUGH}}} {{sutured|PROCEDURE|}}."
)


def test_excerpts_are_marked_in_full(tmp_path):
    path = write(tmp_path, FULL)
    (note,) = read_corpus("excerpts", path)
    text = {m.id: note.text[m.start : m.end] for m in note.mentions}
    assert [(text[r.head], text[r.tail], r.label) for r in note.relations] == [
        ("Aspirin", "10 mg", "HAS_STRENGTH"),
        ("ramipril", "10 mg", "HAS_STRENGTH"),
        ("Aspirin", "po", "HAS_ROUTE"),
        ("ramipril", "K", "ADVERSE_EFFECT"),
        ("K", "6.1", "HAS_VALUE"),
    ]
    (example,) = create_corpus({"excerpts": {"path": str(path)}})(English())
    attrs = example.reference.spans["clinbert_ents"].attrs
    assert set(attrs["covered"]) == set(PRODUCT_LABELS)
    assert set(attrs["links_covered"]) == {"ADVERSE_EFFECT", "TREATS", "HAS_VALUE"} | {
        f"HAS_{label}" for label in ATTRIBUTES
    }
    assert len(attrs["links"]) == 5 and attrs["links_closed"]


def summarised(folder, summary):
    path = folder / "excerpts.jsonl"
    row = {"id": "x", "note": "Well. {Rash|SYMPTOM|absent,patient,current} gone. Fine.",
           "summary": summary}  # fmt: skip
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


def test_the_summary_of_an_excerpt_reaches_whole_examples_alone(tmp_path):
    path = str(summarised(tmp_path, [[6, 16]]))
    (example,) = create_corpus({"excerpts": {"path": path}})(English())
    assert [s.text for s in example.reference.spans["clinbert_summary"]] == ["Rash gone."]
    assert "clinbert_summary" not in example.predicted.spans
    pieces = list(create_corpus({"excerpts": {"path": path}}, max_length=4)(English()))
    assert len(pieces) > 1
    assert not any("clinbert_summary" in piece.reference.spans for piece in pieces)


@pytest.mark.parametrize("summary", ["Rash gone.", [6, 16], [[6]], [[6, 99]], [[9, 9]], [[-1, 4]]])
def test_a_broken_summary_is_named(tmp_path, summary):
    with pytest.raises(CorpusError, match="excerpts.jsonl:1.*pairs of characters") as error:
        list(read_corpus("excerpts", summarised(tmp_path, summary)))
    assert "Rash" not in str(error.value)


def test_snippets_without_pairs_say_nothing_of_links(tmp_path):
    """The same file under the other name: links are read, and nothing is claimed to be covered."""
    path = str(write(tmp_path, LINKED))
    (example,) = create_corpus({"snippets": {"path": path}})(English())
    assert not {"links", "links_covered"} & set(example.reference.spans["clinbert_ents"].attrs)
    assert len(next(read_corpus("snippets", path)).relations) == 4


def test_links_of_a_note_that_is_cut(tmp_path):
    read = create_corpus({"pairs": {"path": str(write(tmp_path, LINKED))}}, max_length=10)
    pieces = [example.reference for example in read(English())]
    assert len(pieces) > 1 and "".join(doc.text for doc in pieces).endswith("Sodium fine.")
    shown = [
        (doc.text[a:b], doc.text[c:d]) for doc in pieces
        for a, b, c, d, *_ in doc.spans["clinbert_ents"].attrs["links"]
    ]  # fmt: skip
    # one is of two pieces
    assert shown == [("ramipril", "Cough"), ("losartan", "Cough"), ("aspirin", "MI")]
    assert all(doc.spans["clinbert_ents"].attrs["links_closed"] for doc in pieces)


@pytest.mark.parametrize(
    "note, found",
    [
        # an unknown number, an unknown relation
        (f"{{cough|SYMPTOM|{COUGH}|AE:2:stated:reaction}} {{aspirin|DRUG|active|1}}", "'AE:2"),
        (f"{{cough|SYMPTOM|{COUGH}|CAUSES:1}} {{aspirin|DRUG|active|1}}", "'CAUSES:1'"),
        (f"{{cough|SYMPTOM|{COUGH}|AE}} {{aspirin|DRUG|active|1}}", "'AE'"),
        # wrong causality or kind, missing ones, ones where there are none
        (f"{{cough|SYMPTOM|{COUGH}|AE:1:sure:reaction}} {{aspirin|DRUG|active|1}}", "'sure:"),
        (f"{{cough|SYMPTOM|{COUGH}|AE:1:stated:itch}} {{aspirin|DRUG|active|1}}", "'stated:itch'"),
        (f"{{cough|SYMPTOM|{COUGH}|AE:1:stated}} {{aspirin|DRUG|active|1}}", "'stated'"),
        (f"{{cough|SYMPTOM|{COUGH}|AE:1}} {{aspirin|DRUG|active|1}}", "AE"),
        (f"{{MI|DISEASE|{COUGH}|TREATS:1:stated:reaction}} {{aspirin|DRUG|active|1}}", "TREATS|AE"),
        (f"{{cough|SYMPTOM|{COUGH}|AE:1:stated:reaction;}} {{aspirin|DRUG|active|1}}", "''"),
        # a link that does not fit its ends
        ("{10 mg|STRENGTH||VALUE:1} {aspirin|DRUG|active|1}", "'VALUE:1'"),
        ("{10 mg|STRENGTH||AE:1:stated:reaction} {aspirin|DRUG|active|1}", "'AE:1"),
        ("{180|LAB_VALUE||VALUE:1} {aspirin|DRUG|active|1}", "'VALUE:1'"),
        ("{10 mg|STRENGTH||OF:1} {sodium|TEST||1}", "'OF:1'"),
        ("{10 mg|STRENGTH||OF:1:stated:reaction} {aspirin|DRUG|active|1}", "nothing behind"),
        # a number twice, a number at what is no drug
        ("{aspirin|DRUG|active|1} {ramipril|DRUG|active|1}", "a number at one drug or test"),
        (f"{{cough|SYMPTOM|{COUGH}|1}}", "a number at one drug or test"),
        # values where there are none, none where there are
        ("{sodium|TEST|high}", "'high'"),
        ("{180|LAB_VALUE|present,patient,current}", "LAB_VALUE"),
        ("{aspirin|DRUG|}", "DRUG"),
        ("{cough|SYMPTOM||AE:1:stated:reaction} {aspirin|DRUG|active|1}", "SYMPTOM"),
        ("{aspirin|DRUG|active|1|2}", "a brace"),
    ],
)
def test_broken_links_are_named(tmp_path, note, found):
    path = write(tmp_path, "{aspirin|DRUG|active|1} helps", note)
    with pytest.raises(CorpusError, match=f"snippets.jsonl:2.*{found}"):
        list(read_corpus("pairs", path))
