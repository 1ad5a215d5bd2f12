import json
from dataclasses import replace

import pytest
import spacy
from spacy.tokens import Span

from clinbert_spacy.corpora.bioc import write_bioc
from clinbert_spacy.corpora.brat import write_brat
from clinbert_spacy.corpora.convert import convert
from clinbert_spacy.corpora.docbin import write_docs
from clinbert_spacy.corpora.exclusion import record_splits
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.harmonise import dose_pieces, to_product
from clinbert_spacy.corpora.pubtator import read_pubtator, write_pubtator
from clinbert_spacy.corpora.readers import create_corpus, read_corpus
from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation
from clinbert_spacy.corpora.segment import split_note
from clinbert_spacy.corpora.splits import write_excluded
from clinbert_spacy.corpora.tables import read_ade, read_psytar, read_spl_adr


@pytest.fixture
def nlp():
    return spacy.blank("en")


@pytest.fixture
def cdr(tmp_path):
    """Ten invented abstracts under the file name of the official training part."""
    notes = []
    for i in range(10):
        text = f"Zolax in case {i}.\nThe pain came. It went."
        mentions = (Mention("T1", "Chemical", ((0, 5),), ("C1",)),
                    Mention("T2", "Disease", ((text.index("pain"), text.index("pain") + 4),)))
        notes.append(AnnotatedNote(f"10{i}", text, mentions))
    folder = tmp_path / "bc5cdr"
    folder.mkdir()
    write_pubtator(notes, folder / "CDR_TrainingSet.PubTator.txt")
    return folder


def ids(examples):
    return [e.reference.spans["clinbert_ents"].attrs["id"] for e in examples]


def test_reader_yields_product_and_own_labels(nlp, cdr):
    source = [{"corpus": "bc5cdr", "path": str(cdr), "parts": ["train"]}]
    (*_, example) = create_corpus(source)(nlp)
    assert [s.label_ for s in example.reference.spans["clinbert_ents"]] == [
        "DRUG", "DISEASE|SYMPTOM",
    ]  # fmt: skip
    assert not example.predicted.ents and example.predicted.text == example.reference.text
    (*_, example) = create_corpus(source, scheme="own")(nlp)
    attrs = example.reference.spans["clinbert_ents"].attrs
    assert attrs["covered"] == ["Chemical", "Disease"] and attrs["corpus"] == "bc5cdr"


def test_reader_is_registered_and_takes_blocks_by_name(nlp, cdr):
    make = spacy.registry.readers.get("clinbert.Corpus.v1")
    assert len(list(make({"bc5cdr": {"path": str(cdr)}})(nlp))) == 10


def test_limit_shuffle_split_exclude(nlp, cdr, tmp_path):
    source = [{"corpus": "bc5cdr", "path": str(cdr)}]
    everything = ids(create_corpus(source)(nlp))
    assert ids(create_corpus(source, limit=3)(nlp)) == everything[:3]
    reader = create_corpus(source, shuffle=True, seed=1)
    first, second = ids(reader(nlp)), ids(reader(nlp))
    assert sorted(first) == sorted(second) == everything and first != second
    assert first == ids(create_corpus(source, shuffle=True, seed=1)(nlp))
    parts = [ids(create_corpus(source, split=s)(nlp)) for s in ("train", "dev", "test")]
    assert sorted(sum(parts, [])) == everything
    write_excluded([("bc5cdr", everything[0])], tmp_path / "e.json")
    assert ids(create_corpus(source, exclude=tmp_path / "e.json")(nlp)) == everything[1:]


def test_a_manifest_per_block(nlp, cdr, tmp_path):
    block = {"corpus": "bc5cdr", "path": str(cdr)}
    manifest = tmp_path / "m.json"
    assert record_splits("bc5cdr", cdr, manifest) == 10
    for part in ("train", "dev", "test"):
        by_hash = ids(create_corpus([{**block, "split": part}])(nlp))
        assert by_hash == ids(create_corpus([{**block, "split": part, "splits": manifest}])(nlp))
    with pytest.raises(CorpusError, match="expected a 'split' too"):
        list(create_corpus([{**block, "splits": manifest}])(nlp))
    file = cdr / "CDR_TrainingSet.PubTator.txt"
    file.write_text(file.read_text().replace("It went.", "It stayed."))
    with pytest.raises(CorpusError, match="not the one that was split"):
        list(create_corpus([{**block, "split": "train", "splits": manifest}])(nlp))


@pytest.mark.parametrize("name", ["a.xml", "a.spacy", "b.PubTator", "a.tsv", "a.ann"])
def test_one_file_in_another_format(name, nlp, cdr, tmp_path):
    (cdr / "a.tsv").write_text("id\ttext\tstart\tend\tlabel\n100\tZolax\t0\t5\tChemical\n")
    plain = list(read_corpus("bc5cdr", cdr))
    write_pubtator(plain, cdr / "b.PubTator")
    write_bioc(plain, cdr / "a.xml")
    write_brat([replace(plain[0], id="a")], cdr)
    convert(cdr, "bc5cdr", cdr / "a.spacy", scheme="own", make_doc=nlp.make_doc)
    notes = list(read_corpus("bc5cdr", cdr / name))
    assert len(notes) == (10 if name in ("a.xml", "a.spacy", "b.PubTator") else 1)
    found = [(m.label, m.start, m.end) for m in notes[0].mentions]
    assert found[0] == ("Chemical", 0, 5) and len(found) == (1 if name == "a.tsv" else 2)
    assert notes[0].meta["corpus"] == "bc5cdr" and "covered" not in notes[0].meta
    example = next(create_corpus([{"corpus": "bc5cdr", "path": cdr / name}])(nlp))
    covered = example.reference.spans["clinbert_ents"].attrs["covered"]
    assert covered == ["DISEASE", "SYMPTOM", "DRUG"]


def test_docbin_as_a_block_is_cut_and_keeps_what_it_covers(nlp, cdr, tmp_path):
    path = tmp_path / "a.spacy"
    convert(cdr, "bc5cdr", path, make_doc=nlp.make_doc)
    examples = list(create_corpus({"docbin": {"path": path}}, max_length=8)(nlp))
    assert len(examples) == 20 and all(len(e.predicted) <= 8 for e in examples)
    groups = [e.reference.spans["clinbert_ents"] for e in examples]
    assert {tuple(g.attrs["covered"]) for g in groups} == {("DISEASE", "SYMPTOM", "DRUG")}
    assert {s.label_ for g in groups for s in g} == {"DRUG", "DISEASE|SYMPTOM"}
    with pytest.raises(CorpusError, match="no official parts"):
        list(read_corpus("docbin", path, ["train"]))


def test_docbin_of_others_covers_its_labels(nlp, tmp_path):
    docs = [nlp.make_doc("zolax helps"), nlp.make_doc("pain stays")]
    docs[0].ents = [Span(docs[0], 0, 1, label="DRUG")]
    docs[1].ents = [Span(docs[1], 0, 1, label="SYMPTOM")]
    write_docs(docs, tmp_path / "a.spacy")
    for example in create_corpus([{"corpus": "docbin", "path": tmp_path / "a.spacy"}])(nlp):
        assert example.reference.spans["clinbert_ents"].attrs["covered"] == ["DRUG", "SYMPTOM"]
        assert len(example.reference.ents) == 1


def test_what_is_unknown_follows_the_pieces(nlp):
    note = AnnotatedNote("n", "One pain. Two pains.", meta={"unknown": [[4, 13]]})
    pieces = list(split_note(note, nlp.make_doc, 3))
    assert [p.meta["unknown"] for p in pieces] == [[[4, 10]], [[0, 3]]]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"corpus": "nope", "path": "x"}, "Unknown corpus 'nope'"),
        ({"corpus": "bc5cdr"}, "needs 'corpus' and 'path'"),
        ({"corpus": "bc5cdr", "path": "x", "pahts": 1}, "pahts"),
    ],
)
def test_misspelt_sources_fail_when_the_config_is_built(block, expected):
    with pytest.raises(CorpusError, match=expected):
        create_corpus([block])


def test_missing_folder_and_unknown_part(cdr, tmp_path):
    with pytest.raises(CorpusError, match="nothing at this path"):
        list(read_corpus("bc5cdr", tmp_path / "none"))
    with pytest.raises(CorpusError, match=r"expected parts .*'train'"):
        list(read_corpus("bc5cdr", cdr, ["trian"]))
    with pytest.raises(CorpusError, match="CDR_TestSet"):
        list(read_corpus("bc5cdr", cdr, ["test"]))
    with pytest.raises(CorpusError, match="none of them"):
        list(read_corpus("ncbi", cdr))


def test_long_notes_are_cut_between_sentences_and_gold_is_kept(nlp):
    text = "One pain here. Two pains there.\n\nThree very long pains came back. Four."
    starts = [text.index(w) for w in ("pain here", "pains there", "pains came")]
    mentions = tuple(Mention(f"T{i}", "DISEASE", ((s, s + 4),)) for i, s in enumerate(starts))
    relations = (Relation("R1", "r", "T0", "T1"), Relation("R2", "r", "T1", "T2"))
    note = AnnotatedNote("n", text, mentions, relations, "p1")
    pieces = list(split_note(note, nlp.make_doc, 9))
    assert "".join(piece.text for piece in pieces) == text
    assert sum(len(piece.mentions) for piece in pieces) == 3
    assert all(piece.group == "p1" for piece in pieces)
    assert all(len(nlp.make_doc(piece.text)) <= 9 for piece in pieces)
    for piece in pieces:
        assert all(piece.text[m.start : m.start + 4] == "pain" for m in piece.mentions)
    assert pieces[0].text.endswith("\n\n") or pieces[0].text.endswith(". ")


def test_a_mention_is_never_cut(nlp):
    text = "a b c d e f g h"
    note = AnnotatedNote("n", text, (Mention("T1", "DISEASE", ((2, 13),)),))
    pieces = list(split_note(note, nlp.make_doc, 3))
    assert [m.label for piece in pieces for m in piece.mentions] == ["DISEASE"]
    assert list(split_note(note, nlp.make_doc, 0)) == [note]


def test_ade_offsets_come_from_the_sentence(tmp_path):
    # The second "rash" is the one meant: 30 characters after the drug in the abstract.
    sentence = "A rash, then zolax, then another rash."
    drug, rash = sentence.index("zolax"), sentence.rindex("rash")
    row = f"55|{sentence}|rash|{100 + rash}|{104 + rash}|zolax|{100 + drug}|{105 + drug}\n"
    (tmp_path / "DRUG-AE.rel").write_text(row)
    dose = "55|Zolax 5 mg.|5 mg|206|210|Zolax|200|205\n"
    (tmp_path / "DRUG-DOSE.rel").write_text(dose)
    (tmp_path / "ADE-NEG.txt").write_text(f"56 NEG Nothing came.\n57 NEG {sentence}\n")
    positive, dosed, negative = read_ade(tmp_path)
    assert [(m.label, m.start) for m in positive.mentions] == [
        ("Adverse-Effect", rash), ("Drug", drug),
    ]  # fmt: skip
    assert positive.relations[0].label == "ADVERSE_EFFECT" and positive.group == "55"
    assert positive.meta["cats"] == {"ADE": 1.0} and "cats" not in dosed.meta
    assert negative.meta["cats"] == {"ADE": 0.0} and negative.group == "56"


def test_psytar_workbook(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sentence_Labeling"
    sheet.append(["id", "c", "drug_id", "sentence_index", "sentences", *"abcdef"])
    sheet.append([1, 1, "zolax.1", 1, "My Hed hurts, so tired.", 1, None, None, None, None, None])
    for kind in ("ADR", "WD", "SSI", "DI"):
        other = book.create_sheet(f"{kind}_Identified")
        other.append(["id", "drug_id", "sentence_index", "sentences", f"{kind}1", f"{kind}2"])
        if kind == "ADR":
            other.append([1, "zolax.1", 1, "My Hed hurts, so tired.", "hed hurts", "weak"])
    book.save(tmp_path / "a.xlsx")
    (note,) = read_psytar(tmp_path)
    assert [(m.label, m.start, m.end) for m in note.mentions] == [("ADR", 3, 12)]
    assert note.meta["unmatched"] == 1 and note.meta["drug"] == "zolax"
    assert note.meta["cats"]["ADR"] == 1.0 and note.group == "zolax.1"


def test_spl_adr_leaves_codes_out(tmp_path):
    (tmp_path / "a.json").write_text(
        '[{"label_id": "ZOLAX", "section_name": "boxed warnings", "section_text": "Rash came.",'
        '"adverse_events": [["rash", "R", 1.0, "R", 1.0, "0", "4", "human"],'
        '["fever", "F", 2.0, "F", 2.0, "5", "5", "human"]]}]'
    )
    (note,) = read_spl_adr(tmp_path)
    assert [(m.start, m.end, m.concepts) for m in note.mentions] == [(0, 4, ())]
    assert note.meta["unmatched"] == 1 and note.group == "ZOLAX"


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        ("60 mg twice daily", [("60 mg", "STRENGTH"), ("twice daily", "FREQUENCY")]),
        ("750 mg/m2", [("750 mg/m2", "STRENGTH")]),
        ("100 mg qd", [("100 mg", "STRENGTH"), ("qd", "FREQUENCY")]),
        ("125-500 mg", [("125-500 mg", "STRENGTH")]),
        ("5000 units", [("5000 units", "DOSAGE")]),
        ("3 mL every 6 hours", [("3 mL", "DOSAGE"), ("every 6 hours", "FREQUENCY")]),
        ("high-dose", []),
    ],
)
def test_dose_pieces(dose, expected):
    assert [(dose[a:b], label) for a, b, label in dose_pieces(dose)] == expected


def test_sites_join_their_findings_and_symptom_durations_go():
    text = "abdominal pain for two days, took zolax for 3 days"
    marks = [("Biological_structure", "abdominal"), ("Sign_symptom", "pain"),
             ("Duration", "two days"), ("Medication", "zolax"), ("Duration", "3 days")]
    mentions = tuple(
        Mention(f"T{i}", label, ((text.index(word), text.index(word) + len(word)),))
        for i, (label, word) in enumerate(marks, 1)
    )
    relations = tuple(
        Relation(f"R{i}", "MODIFY", head, tail)
        for i, (head, tail) in enumerate([("T1", "T2"), ("T3", "T2"), ("T5", "T4")], 1)
    )
    note = AnnotatedNote("n", text, mentions, relations, meta={"corpus": "maccrobat"})
    kept = {text[m.start : m.end]: m.label for m in to_product(note).mentions}
    assert kept == {
        "abdominal pain": "Sign_symptom", "zolax": "Medication", "for 3 days": "Duration",
    }  # fmt: skip


def test_convert_reports_every_label(nlp, tmp_path):
    text = "Zolax harms BRCA9 users"
    marks = [("ChemicalEntity", (0, 5)), ("GeneOrGeneProduct", (12, 17)),
             ("DiseaseOrPhenotypicFeature", (7, 11))]
    mentions = tuple(Mention(f"T{i}", label, (span,)) for i, (label, span) in enumerate(marks))
    write_pubtator([AnnotatedNote("9", text, mentions)], tmp_path / "Train.PubTator")
    report = convert(tmp_path, "biored", tmp_path / "out.xml", make_doc=nlp.make_doc)
    rows = {row["label"]: row for row in report["labels"]}
    assert rows["ChemicalEntity"]["mapped"] == ["DRUG"]
    assert rows["GeneOrGeneProduct"]["skipped"] == 1
    assert "insulin" in rows["GeneOrGeneProduct"]["reason"]
    assert rows["DiseaseOrPhenotypicFeature"]["unexpressible"] == 1 == report["unexpressible"]
    assert report["written"] == 1
    report = convert(tmp_path / "out.xml", "bioc", tmp_path / "brat", make_doc=nlp.make_doc)
    assert {row["label"] for row in report["labels"]} == {"DRUG", "DISEASE|SYMPTOM"}
    assert (tmp_path / "brat" / "9.ann").is_file()
    for out in ("out.spacy", "out.pubtator"):
        convert(tmp_path, "biored", tmp_path / out, make_doc=nlp.make_doc)
    (note,) = read_pubtator(tmp_path / "out.pubtator")
    assert len(note.mentions) == 2


def test_convert_counts_what_was_not_found(nlp, tmp_path):
    event = ["fever", "F", 2.0, "F", 2.0, "5", "5", "human"]
    section = {"label_id": "Z", "section_name": "s", "section_text": "Rash came."}
    (tmp_path / "a.json").write_text(json.dumps([{**section, "adverse_events": [event]}]))
    report = convert(tmp_path, "spl_adr", make_doc=nlp.make_doc, to="brat")
    assert report["unmatched"] == 1 and report["mentions"] == 0


def test_convert_refuses_unknown_names(nlp, tmp_path):
    with pytest.raises(CorpusError, match="'brat' has no official parts"):
        convert(tmp_path, "brat", parts=["train"], make_doc=nlp.make_doc, to="brat")
    with pytest.raises(CorpusError, match="Unknown corpus 'x'"):
        convert(tmp_path, "x", make_doc=nlp.make_doc, to="brat")
    with pytest.raises(CorpusError, match="Unknown output format"):
        convert(tmp_path, "bc5cdr", tmp_path / "a.docx", make_doc=nlp.make_doc)


def test_unknown_label_in_a_corpus(nlp, tmp_path):
    write_brat([AnnotatedNote("n", "zolax", (Mention("T1", "MEDS", ((0, 5),)),))], tmp_path)
    with pytest.raises(CorpusError, match="'MEDS' is not among the known ones"):
        list(create_corpus([{"corpus": "notes", "path": tmp_path}])(nlp))
