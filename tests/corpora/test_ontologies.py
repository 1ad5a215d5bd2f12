"""Open ontologies: what is read of each, and what a broken file is answered with."""

import gzip

import pytest

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.ontologies import SOURCES, find_sources, read_ontologies
from clinbert_spacy.corpora.ontologies_mesh import branch_kind
from clinbert_spacy.corpora.schema import may_ship

from .toy_ontologies import FILES, write_ontologies


@pytest.fixture
def toy(tmp_path):
    return write_ontologies(tmp_path / "ontologies")


@pytest.fixture
def read(toy):
    found = dict(read_ontologies(toy))
    return lambda name: ({t.id: t for t in found[name].terms}, set(found[name].triples))


def test_every_source_may_be_passed_on():
    assert set(SOURCES) == set(FILES)
    for name, source in SOURCES.items():
        assert source.redistributable and source.licence and may_ship("another", source.licence)
        assert "non-commercial" not in source.licence.lower(), name


def test_disease_ontology(read):
    terms, triples = read("disease_ontology")
    assert terms["DOID:1"].names == ("Gorb inflammation (disorder)",)
    assert terms["DOID:1"].exact == ("MESH:D101",) and "DOID:9" not in terms
    assert terms["DO-SYMPTOM:green_cough"].kinds == ("symptom",)
    assert triples == {
        ("DOID:1", "is_a", "DOID:2"),
        ("DOID:3", "is_a", "DOID:1"),
        ("DOID:1", "cross_reference", "ICD10CM:K01.1"),
        ("DOID:1", "has_symptom", "symptom|green cough"),
        ("DOID:1", "has_symptom", "symptom|fever"),
        ("DOID:1", "located_in", "anatomy|gorb"),
    }


def test_drugbank_skips_the_line_of_column_numbers(read):
    terms, triples = read("drugbank_vocabulary")
    assert list(terms) == ["DB00001", "DB00002"] and not triples
    assert terms["DB00001"].names == ("Zanfoline", "(+)-2,3-zan-folin")
    assert terms["DB00001"].exact == ("UNII:U1",) and terms["DB00002"].exact == ()


def test_icd10cm_keeps_diseases_and_symptoms(read):
    terms, triples = read("icd10cm")
    assert set(terms) == {"ICD10CM:K01", "ICD10CM:K01.1", "ICD10CM:K01.12", "ICD10CM:R05"}
    assert terms["ICD10CM:K01.1"].name == "Gorbitis"
    assert terms["ICD10CM:R05"].kinds == ("symptom",)
    assert ("ICD10CM:K01.12", "is_a", "ICD10CM:K01.1") in triples and len(triples) == 2


def test_mesh_kinds_come_from_the_trees(read):
    terms, triples = read("mesh_2015")
    kinds = {id_.removeprefix("MESH:"): term.kinds for id_, term in terms.items()}
    assert kinds == {
        "D101": ("disease",), "D102": ("disease",), "D103": ("drug",), "D104": ("anatomy",),
        "D105": ("procedure",), "D106": ("test",), "D107": ("symptom",), "D005334": ("symptom",),
    }  # fmt: skip
    assert terms["MESH:D101"].names == ("Plain Gorbitis", "Gorbitis Plain")
    assert triples == {("MESH:D101", "is_a", "MESH:D102")}


@pytest.mark.parametrize(
    "tree, kind",
    [
        ("A01.2", "anatomy"), ("A13.1", ""), ("C10.1", "disease"), ("C22.1", ""), ("D03", "drug"),
        ("D12.776.1", "substance"), ("D12.125.1", "drug"), ("D27.505.1", "drug_class"),
        ("D27.720.1", ""), ("E02.1", "procedure"), ("E01.1", "test"), ("E05.200.1", "test"),
        ("E05.9", ""), ("F01.145.126.3", "symptom"), ("F01.9", ""), ("F03.1", "disease"),
        ("M01", ""),
    ],
)  # fmt: skip
def test_longest_beginning_of_a_tree_number_wins(tree, kind):
    assert branch_kind(tree) == kind


def test_mondo(read):
    terms, triples = read("mondo")
    assert terms["MONDO:1"].exact == ("DOID:1", "MESH:D101")
    assert terms["MONDO:2"].exact == ("MESH:C555", "ICD10CM:Z99")
    assert triples == {("MONDO:2", "cross_reference", "ICD10CM:K01")}


def test_pharmacotherapydb_leaves_out_what_is_no_indication(read):
    terms, triples = read("pharmacotherapydb")
    assert not terms
    assert triples == {("DB00001", "treats", "DOID:1"), ("DB00002", "palliates", "DOID:1")}


def test_rxnorm_brands_go_to_what_is_in_them(read):
    terms, triples = read("rxnorm_ingredients")
    assert terms["RXCUI:11"].names == ("Zanpro",) and terms["RXCUI:11"].exact == ("UNII:U1",)
    assert terms["RXCUI:13"].names == ("Zanquib",) and terms["RXCUI:12"].names == ()
    assert triples == {
        ("RXCUI:13", "has_ingredient", "RXCUI:11"),
        ("RXCUI:13", "has_ingredient", "RXCUI:12"),
        ("RXCUI:14", "is_a", "RXCUI:11"),
    }


def test_missing_sources_are_named_and_none_at_all_is_refused(tmp_path):
    toy = write_ontologies(tmp_path / "some", ("mondo",))
    (toy / "umls").mkdir()
    found, missing = find_sources(toy)
    assert found == ["mondo"] and missing == [name for name in SOURCES if name != "mondo"]
    assert [name for name, _ in read_ontologies(toy)] == ["mondo"]
    with pytest.raises(CorpusError, match="expected a folder with some of disease_ontology"):
        find_sources(tmp_path)


def test_a_lost_file_is_named(toy):
    (toy / "icd10cm" / "icd10cm.csv").unlink()
    with pytest.raises(CorpusError, match=r"icd10cm\.csv: expected this file.*\.gz"):
        list(read_ontologies(toy))


def test_a_damaged_gzip_file_is_named(toy):
    path = toy / "mesh_2015" / "terms.tsv.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorpusError, match=r"terms\.tsv\.gz: expected a whole gzip file"):
        list(read_ontologies(toy))


@pytest.mark.parametrize(
    "name, file, old, new, message",
    [
        ("mondo", "mondo_exactmatch_doid.sssom.tsv", "object_id", "target", r"none named \['obj"),
        ("mondo", "mondo_exactmatch_doid.sssom.tsv", "\tDOID:1\tgorbitis", "", r"tsv:3: .*5 c"),
        ("pharmacotherapydb", "indications.tsv", "SYM", "CURE", r"tsv:3: .*category of \['DM'"),
        ("icd10cm", "icd10cm.csv", "4,R05", "4,", r"csv:5: expected a code"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(toy, name, file, old, new, message):
    path = toy / name / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CorpusError, match=message):
        list(read_ontologies(toy))


@pytest.mark.parametrize("line", ["not json", "[1]", '{"Name": "x"}'])
def test_a_line_of_rxnorm_that_is_no_ingredient(toy, line):
    path = toy / "rxnorm_ingredients" / "ingredients.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + f"\n{line}\n".encode()))
    with pytest.raises(CorpusError, match=r"ingredients\.jsonl:6: expected an object with Name"):
        list(read_ontologies(toy))
