import pytest
import spacy
from spacy.tokens import DocBin

from clinbert_spacy.corpora.docbin import read_docbin, read_docs, write_docs
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.record import (
    AnnotatedNote,
    LabelScheme,
    Mention,
    Relation,
    check_note,
    from_doc,
    to_doc,
)

from .toy_notes import TEXT as TOY
from .toy_notes import toy_note

TEXT = "Severe pain in 10mg zolax users and liver disease, renal disease."
SCHEME = LabelScheme(
    {"Problem": ("SYMPTOM", "DISEASE"), "Drug": ("DRUG",), "Other": None, "Vague": None},
    ("DISEASE", "SYMPTOM"),
    frozenset({"Vague"}),
)


@pytest.fixture
def nlp():
    return spacy.blank("en")


def note(*mentions, **fields):
    found = [Mention(f"T{i}", label, tuple(spans)) for i, (label, spans) in enumerate(mentions, 1)]
    return AnnotatedNote("n1", TEXT, tuple(found), **fields)


def test_gold_on_a_doc(nlp):
    doc = to_doc(note(("Problem", [(7, 11)]), ("Other", [(0, 6)]), ("Drug", [(20, 25)])),
                 nlp.make_doc, SCHEME)
    group = doc.spans["clinbert_ents"]
    assert [(s.text, s.label_) for s in group] == [("pain", "DISEASE|SYMPTOM"), ("zolax", "DRUG")]
    assert group.attrs["covered"] == ["DISEASE", "SYMPTOM"] == doc.user_data["clinbert_covered"]
    assert group.attrs["gold"] == [[7, 11, "DISEASE|SYMPTOM"], [20, 25, "DRUG"]]
    assert [(e.text, e.label_) for e in doc.ents] == [("pain", "DISEASE"), ("zolax", "DRUG")]


def test_gold_inside_a_token_is_counted_and_widened(nlp):
    doc = to_doc(note(("Drug", [(21, 24)])), nlp.make_doc, SCHEME)
    group = doc.spans["clinbert_ents"]
    assert group.attrs["unexpressible"] == 1
    assert group.attrs["gold"] == [[21, 24, "DRUG"]]
    assert [span.text for span in group] == ["zolax"]


def test_discontinuous_gold_has_no_span_and_its_text_is_unknown(nlp):
    spans = [(36, 41), (57, 64)]
    doc = to_doc(note(("Problem", spans)), nlp.make_doc, SCHEME)
    group = doc.spans["clinbert_ents"]
    assert len(group) == 0
    assert group.attrs["gold"] == [[36, 64, "DISEASE|SYMPTOM"]]
    assert group.attrs["unknown"] == [[36, 41], [57, 64]]
    assert group.attrs["unexpressible"] == 1


def test_pieces_split_by_white_space_only_are_one(nlp):
    doc = to_doc(note(("Problem", [(36, 41), (42, 49)])), nlp.make_doc, SCHEME)
    assert [span.text for span in doc.spans["clinbert_ents"]] == ["liver disease"]


def test_unknown_regions_leave_gold_out(nlp):
    marked = note(("Vague", [(0, 31)]), ("Problem", [(7, 11)]))
    doc = to_doc(marked, nlp.make_doc, SCHEME)
    group = doc.spans["clinbert_ents"]
    assert group.attrs["unknown"] == [[0, 7], [11, 31]]


def test_two_own_labels_on_one_stretch_are_one_gold_entity(nlp):
    scheme = LabelScheme({"A": ("X",), "B": ("X",)}, ("X",))
    doc = to_doc(note(("A", [(0, 6)]), ("B", [(0, 6)])), nlp.make_doc, scheme)
    group = doc.spans["clinbert_ents"]
    assert len(group) == len(group.attrs["gold"]) == 1


def test_nested_gold_stays_whole_and_ents_take_the_longest(nlp):
    doc = to_doc(note(("Problem", [(36, 49)]), ("Drug", [(36, 41)])), nlp.make_doc, SCHEME)
    assert len(doc.spans["clinbert_ents"]) == 2
    assert [ent.text for ent in doc.ents] == ["liver disease"]


def test_partial_gold_survives_docbin_defaults(nlp, tmp_path):
    doc = to_doc(note(("Problem", [(7, 11)]), ("Vague", [(36, 41), (57, 64)]),
                      meta={"cats": {"ADE": 1.0}}), nlp.make_doc, SCHEME)
    before = dict(doc.spans["clinbert_ents"].attrs)
    (plain,) = DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    assert dict(plain.spans["clinbert_ents"].attrs) == before
    assert [s.label_ for s in plain.spans["clinbert_ents"]] == ["DISEASE|SYMPTOM"]
    write_docs([doc], tmp_path / "a.spacy")
    (read,) = read_docs(tmp_path / "a.spacy")
    assert read.user_data["clinbert_covered"] == ["DISEASE", "SYMPTOM"]
    (back,) = read_docbin(tmp_path / "a.spacy")
    assert back.id == "n1" and back.text == TEXT and back.meta["cats"] == {"ADE": 1.0}


def test_what_is_unknown_survives_a_docbin(nlp, tmp_path):
    doc = to_doc(note(("Problem", [(7, 11)]), ("Vague", [(36, 41)])), nlp.make_doc, SCHEME)
    write_docs([doc], tmp_path / "a.spacy")
    (back,) = read_docbin(tmp_path)
    again = to_doc(back, nlp.make_doc)
    for key in ("gold", "unknown", "covered"):
        assert again.spans["clinbert_ents"].attrs[key] == doc.spans["clinbert_ents"].attrs[key]
    assert [s.label_ for s in again.spans["clinbert_ents"]] == ["DISEASE|SYMPTOM"]
    assert [s.label_ for s in again.ents] == ["DISEASE"]
    (tmp_path / "a.spacy").unlink()
    with pytest.raises(CorpusError, match="a folder of .spacy files"):
        list(read_docbin(tmp_path))


def test_joined_labels_are_looked_up_piece_by_piece():
    assert SCHEME.targets("Problem|Drug") == ("DISEASE", "DRUG", "SYMPTOM")
    assert SCHEME.targets("Drug|New") is None
    assert SCHEME.targets("Other") == ()


def test_from_doc_takes_concepts_and_falls_back_to_ents(nlp):
    concept = AnnotatedNote("n", TEXT, (Mention("T1", "Drug", ((20, 25),), ("C1", "C2")),))
    doc = to_doc(concept, nlp.make_doc)
    assert from_doc(doc).mentions == (Mention("T1", "Drug", ((20, 25),), ("C1",)),)
    del doc.spans["clinbert_ents"]
    assert from_doc(doc, "x").mentions[0].label == "Drug"


@pytest.mark.parametrize("text", ["", " \n\t ", "e\u0301😀 x"])
def test_odd_texts(nlp, text):
    doc = to_doc(AnnotatedNote("n", text), nlp.make_doc, SCHEME)
    assert doc.text == text and not doc.spans["clinbert_ents"].attrs["gold"]


def test_unknown_label_names_the_known_ones(nlp):
    with pytest.raises(CorpusError, match=r"'T1': label 'New' is not among .*'Drug'"):
        to_doc(note(("New", [(0, 6)])), nlp.make_doc, SCHEME)


@pytest.mark.parametrize(
    ("mentions", "relations", "expected"),
    [
        ([Mention("T1", "A", ())], [], "at least one span"),
        ([Mention("T1", "A", ((0, 99),))], [], "found 0-99"),
        ([Mention("T1", "A", ((3, 3),))], [], "found 3-3"),
        ([Mention("T1", "A", ((4, 6), (0, 2)))], [], "sorted spans"),
        ([Mention("T1", "A", ((0, 2),)), Mention("T1", "B", ((0, 2),))], [], "unique ids"),
        ([Mention("T1", "A", ((0, 2),))], [Relation("R1", "r", "T1", "T2")], "ids of mentions"),
    ],
)
def test_notes_that_do_not_hold_together(mentions, relations, expected):
    with pytest.raises(CorpusError, match=expected) as caught:
        check_note(AnnotatedNote("n", TEXT, tuple(mentions), tuple(relations)))
    assert "zolax" not in str(caught.value)


def test_tokenizer_that_loses_text_is_refused(nlp):
    with pytest.raises(CorpusError, match="keeps all"):
        to_doc(note(), lambda text: nlp.make_doc(text[:-1]), SCHEME)


# Layers


def summary(doc):
    return [span.text for span in doc.spans["clinbert_summary"]]


def test_sections_sentences_and_summary_on_a_doc(nlp):
    doc = to_doc(toy_note(summary=(1, 3)), nlp.make_doc)
    assert [(s.text, s.label_) for s in doc.spans["clinbert_sections"]] == [(TOY, "plan")]
    assert [sent.text.strip() for sent in doc.sents] == (
        ["Plan", "Stopped naproxen 500 mg because of\nhives.", "No cough.", "INR 3.1"]
    )
    assert summary(doc) == [TOY[5:46], "INR 3.1"]
    assert {span.label_ for span in doc.spans["clinbert_summary"]} == {""}
    assert doc.spans["clinbert_summary"].name == "clinbert_summary"


@pytest.mark.parametrize("chosen", [(3, 1), (1, 1, 3), (3, 3, 1, 1)])
def test_a_summary_is_laid_in_the_order_of_the_note_and_once(nlp, chosen):
    assert summary(to_doc(toy_note(summary=chosen), nlp.make_doc)) == [TOY[5:46], "INR 3.1"]


def test_an_empty_layer_says_nothing(nlp):
    doc = to_doc(toy_note(summary=(), sections=(), sentences=()), nlp.make_doc)
    assert "clinbert_summary" not in doc.spans and "clinbert_sections" not in doc.spans
    assert not doc.has_annotation("SENT_START")


def test_a_summary_of_sentences_that_cut_words_takes_these_whole(nlp):
    sentences = ((0, 4), (5, 44), (44, 56), (57, 64))
    doc = to_doc(toy_note(sentences=sentences, summary=(1, 2)), nlp.make_doc)
    assert summary(doc) == ["Stopped naproxen 500 mg because of\nhives", "hives. No cough."]


def test_layers_survive_a_docbin(nlp, tmp_path):
    write_docs([to_doc(toy_note(summary=(2,)), nlp.make_doc)], tmp_path / "a.spacy")
    (read,) = read_docs(tmp_path / "a.spacy")
    assert summary(read) == ["No cough."] and len(list(read.sents)) == 4


def test_notes_without_layers_have_none(nlp):
    doc = to_doc(note(), nlp.make_doc)
    assert not {"clinbert_summary", "clinbert_sections"} & set(doc.spans)


@pytest.mark.parametrize("chosen", [(4,), (-1,), (0, 9)])
def test_a_summary_of_sentences_that_are_not_there(nlp, chosen):
    with pytest.raises(CorpusError, match=r"'n1': expected a summary of its 4 sentences") as caught:
        to_doc(toy_note(summary=chosen), nlp.make_doc)
    assert "naproxen" not in str(caught.value)
