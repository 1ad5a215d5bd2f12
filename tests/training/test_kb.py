"""Knowledge bases: what they are made of, what is refused, what comes out."""

import json

import pytest
from typer.testing import CliRunner

from clinbert_spacy.cli import app
from clinbert_spacy.corpora.concept_tables import read_concepts
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.models.linking_base import KB, LINKS, NEEDED, ConceptBase, check_base
from clinbert_spacy.models.linking_words import bag_of, expansions, order_free, same_root
from clinbert_spacy.training import kb, kb_entries
from clinbert_spacy.training.graph import build_graph
from clinbert_spacy.training.kb import read_source, write_base
from clinbert_spacy.training.kb_entries import with_written

from ..corpora.toy_ontologies import write_ontologies
from ..models.toy_kb import TABLE, write_kb, write_table


def entry(built, id_):
    return next(x for x in built.entries if id_ in (x.id, *x.also))


def test_a_table(tmp_path):
    terms = read_concepts(write_table(tmp_path / "a.csv"))
    assert [term.id for term in terms] == [f"X:{n}" for n in range(1, 7)]
    assert terms[0].names == ("gorb inflammation", "Gorb Disease")
    assert terms[0].kinds == ("disease",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("synonyms", "aliases"), "columns id, name, synonyms, type, found .*aliases"),
        (TABLE + "X:1,another,,disease,g\n", ":8: expected ids that come once"),
        (TABLE + "X:9,,,disease,g\n", ":8: expected a cell under 'name'"),
        (TABLE + "X:9,short\n", ":8: expected 5 cells, found 2"),
        (TABLE.splitlines()[0] + "\n", "expected a concept a line below the header"),
    ],
)
def test_a_table_that_is_refused(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        read_concepts(write_table(tmp_path / "a.csv", text))


def test_duplicates_can_be_merged(tmp_path):
    table = write_table(tmp_path / "a.csv", TABLE + "X:1,gorb rot,gorbosis,symptom,g\n")
    first = read_concepts(table, "merge")[0]
    assert first.name == "gorbitis" and first.kinds == ("disease", "symptom")
    assert first.names == ("gorb inflammation", "Gorb Disease", "gorb rot", "gorbosis")
    with pytest.raises(CorpusError, match="expected one of error, merge"):
        read_concepts(table, "first")


def test_a_base_without_concepts(tmp_path):
    built = read_source(write_table(tmp_path / "a.csv"))
    built.entries.clear()
    with pytest.raises(CorpusError, match="No concept"):
        write_base(built, tmp_path / "kb")
    assert not (tmp_path / "kb").exists()


def test_an_output_that_is_a_file(tmp_path):
    table = write_table(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match="expected a folder, found a file"):
        write_base(read_source(table), table)


def test_files_are_those_of_scispacy(tmp_path):
    from scispacy.linking_utils import KnowledgeBase

    folder = write_kb(tmp_path / "kb")
    kb = KnowledgeBase(str(folder / KB))
    assert kb.cui_to_entity["X:1"].aliases == ["gorb inflammation", "Gorb Disease"]
    assert kb.alias_to_cuis["MGS"] == {"X:5"}
    base = ConceptBase(folder)
    assert "X:1" in base.near(["gorbitis"], 5)[0]


def test_the_card(tmp_path):
    card = json.loads((write_kb(tmp_path / "kb") / "card.json").read_text("utf8"))
    assert card["concepts"] == 6 and card["names"] == 12 and card["ids"] == 6
    assert len(card["sources"]["concepts"]["sha256"]) == 64
    assert set(card["files"]) == set(NEEDED) - {"card.json"}
    assert all(x["bytes"] > 0 and len(x["sha256"]) == 64 for x in card["files"].values())
    assert card["build_s"] >= 0 and card["load_s"] >= 0 and card["peak_mb"] > 0


def test_names_without_a_vector_are_found_by_their_words(tmp_path, monkeypatch):
    monkeypatch.setattr(kb, "SMALL", 0)
    monkeypatch.setattr(kb, "RARE", 3)
    base = ConceptBase(write_kb(tmp_path / "kb"))
    assert base.near(["MGS"], 5) == [{}]
    assert list(base.alike("free", order_free("MGS"))) == [("X:5", "MGS", 1.0)]


def test_a_folder_that_is_no_base(tmp_path):
    with pytest.raises(ValueError, match="No knowledge base in .*kb.jsonl.*clinbert build-kb"):
        check_base(tmp_path)


def test_ontologies_are_merged(tmp_path):
    folder = write_ontologies(tmp_path / "ontologies")
    xrefs = folder / "disease_ontology" / "allXREFinDO.tsv"
    text = xrefs.read_text("utf8")
    xrefs.write_text(text + "DOID:1\tgorbitis\tMIM:123456\nDOID:1\tgorbitis\tMIM:PS12\n", "utf8")
    built = read_source(folder)
    gorbitis = entry(built, "DOID:1")
    assert gorbitis.id == "MESH:D101" and "OMIM:123456" in gorbitis.also
    assert "OMIM:123456" in gorbitis.referred and "MESH:D101" not in gorbitis.referred
    assert "Gorb inflammation (disorder)" in gorbitis.names
    assert entry(built, "DOID:3").up == ("MESH:D101",)
    assert set(built.sources) >= {"disease_ontology", "mesh_2015"}


def test_a_graph_gives_the_same_concepts(tmp_path):
    folder = write_ontologies(tmp_path / "ontologies")
    build_graph(folder, tmp_path / "graph")
    built = read_source(tmp_path / "graph")
    gorbitis = entry(built, "DOID:1")
    assert gorbitis.id == "MESH:D101" and gorbitis.kinds == ("disease",)
    assert "gorb inflammation" in gorbitis.names
    assert entry(built, "DOID:3").up == ("MESH:D101",)
    assert built.sources["mesh_2015"]["licence"]


def test_other_vocabularies_are_reached(tmp_path):
    folder = write_ontologies(tmp_path / "ontologies")
    write_base(read_source(folder), tmp_path / "kb")
    base = ConceptBase(tmp_path / "kb")
    assert base.reach("DOID:3", ()) == [("DOID:3", 0)]
    assert base.reach("DOID:3", ("MESH",)) == [("MESH:D101", 1)]
    assert base.reach("DOID:3", ("NOWHERE",)) == []
    assert base.is_listed("MESH:D101", ("MESH",))


def test_names_by_hand_can_be_left_out(tmp_path, monkeypatch):
    assert "dry mouth" in with_written(["Xerostomia"])
    monkeypatch.setattr(kb_entries, "_written", lambda: {"gorbitis": ["gorb rot"]})
    folder = write_ontologies(tmp_path / "ontologies")
    assert "written_names" in read_source(folder).sources
    assert "written_names" not in read_source(folder, written=False).sources
    names = entry(read_source(folder), "DOID:1").names
    assert names == (*entry(read_source(folder, written=False), "DOID:1").names, "gorb rot")


def test_links_hold_only_concepts_of_the_base(tmp_path):
    folder = write_ontologies(tmp_path / "ontologies")
    write_base(read_source(folder), tmp_path / "kb")
    links = json.loads((tmp_path / "kb" / LINKS).read_text("utf8"))
    for *_, same, alike, up in links.values():
        assert {*same, *alike, *up} <= set(links)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Diabetes Mellitus, Type II", "type 2 diabetes"),
        ("renal tumours", "Kidney Neoplasms"),
        ("Huntington's disease", "Huntington disease"),
        ("β-thalassaemia", "beta thalassemia"),
    ],
)
def test_names_of_the_same_words(first, second):
    assert bag_of(first) == bag_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("type 1 diabetes", "type 2 diabetes"), ("hepatitis B", "hepatitis C")],
)
def test_names_of_other_words(first, second):
    assert bag_of(first) != bag_of(second)


def test_words_in_another_order():
    assert order_free("Carcinoma, Renal Cell") == order_free("renal cell carcinomas")
    assert same_root("acromegalic", "acromegaly") and not same_root("hyperemia", "hypertension")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MGS", ["multiple gorb sclerosis"]),
        ("MGS disease", ["multiple gorb sclerosis disease", "MGS disease"]),
        ("gorb (GB) failure", ["gorb failure"]),
        ("NaCl", ["sodium chloride", "NaCl"]),
    ],
)
def test_readings_of_a_mention(text, expected):
    found = expansions(text, {"MGS": "multiple gorb sclerosis"})
    assert list(dict.fromkeys(found)) == expected


def run(*args):
    return CliRunner().invoke(app, list(map(str, args)))


def test_command(tmp_path):
    table = write_table(tmp_path / "a.csv")
    done = run("build-kb", table, tmp_path / "kb")
    assert done.exit_code == 0 and "6 concepts, 12 names" in done.output
    assert check_base(tmp_path / "kb")


def test_command_errors(tmp_path):
    done = run("build-kb", tmp_path / "nothing", tmp_path / "kb")
    assert done.exit_code == 1 and "No such file or folder" in done.output
    table = write_table(tmp_path / "a.csv", TABLE.replace("type,", "kind,"))
    done = run("build-kb", table, tmp_path / "kb")
    assert done.exit_code == 1 and "missing: type" in done.output
    (tmp_path / "empty").mkdir()
    done = run("build-kb", tmp_path / "empty", tmp_path / "kb")
    assert done.exit_code == 1 and "expected a folder with some of disease_ontology" in done.output
