"""From ontologies to concepts, names, triples and vectors; all of them invented."""

import gzip
import json

import numpy
import pytest
import typer
from safetensors.numpy import load_file
from typer.testing import CliRunner

from clinbert_spacy import cli_graph
from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.ontologies import read_ontologies
from clinbert_spacy.corpora.ontologies_files import Ontology, Term, Triple
from clinbert_spacy.models.lexicon import Lexicon, key_of
from clinbert_spacy.training import graph_names
from clinbert_spacy.training.graph import KINDS, assemble, build_graph
from clinbert_spacy.training.graph_embedding import (
    EmbeddingSettings,
    model_scorer,
    name_features,
    train_embedding,
    vectors_of,
)
from clinbert_spacy.training.graph_judging import (
    frequency_scorer,
    number_links,
    rank_tails,
    relations_of,
    split_triples,
    summarise,
)
from clinbert_spacy.training.graph_links import Link, make_links, without_relatives
from clinbert_spacy.training.graph_merge import merge
from clinbert_spacy.training.graph_names import keys_of, variants_of

from ..corpora.toy_ontologies import write_ontologies

SMALL = EmbeddingSettings(dim=8, epochs=2, batch_size=4, negatives=4)


@pytest.fixture
def toy(tmp_path):
    return write_ontologies(tmp_path / "ontologies")


@pytest.fixture
def graph(toy):
    return assemble(list(read_ontologies(toy)))


def concept(graph, id_):
    return next(x for x in graph.concepts if id_ in x.ids)


def bearers(graph, name):
    """Ids of the concepts that bear a name."""
    words = key_of(name).split(" ")
    matches = [m for m in graph.lexicon.find(words) if m.end - m.start == len(words)]
    entries = [m.entry for m in matches]
    return [graph.lexicon.concepts[i] for e in entries for i in graph.lexicon.concepts_of(e)]


def merged(*terms):
    """Ids of concepts that terms become."""
    return [x.ids for x in merge([("toy", Ontology(list(terms), []))])]


def test_exact_references_and_equal_names_merge(graph):
    one = concept(graph, "DOID:1")
    assert one.ids == ["MESH:D101", "DOID:1", "MONDO:1", "ICD10CM:K01.1"]
    assert one.id == "MESH:D101" and one.name == "gorbitis" and one.kinds == ("disease",)
    assert one.sources == ["mesh_2015", "disease_ontology", "mondo", "icd10cm"]
    assert concept(graph, "DB00001").ids == ["MESH:D103", "DB00001", "RXCUI:11"]


def test_no_concept_holds_two_terms_of_one_ontology():
    groups = merged(
        Term("MONDO:1", "a", ("disease",), (), ("DOID:1", "MESH:D1")),
        Term("MONDO:2", "b", ("disease",), (), ("DOID:1", "MESH:D2")),
        Term("DOID:1", "c", ("disease",)), Term("DOID:2", "c", ("disease",)),
    )  # fmt: skip
    assert groups == [["MESH:D1", "DOID:1", "MONDO:1"], ["MESH:D2", "MONDO:2"], ["DOID:2"]]


def test_equal_names_of_other_families_stay_apart():
    terms = [Term("MESH:D1", "Gorb", ("anatomy",)), Term("DB00001", "gorb", ("drug",))]
    assert len(merged(*terms)) == 2
    assert len(merged(terms[1], Term("RXCUI:1", "GORBS", ("drug",)))) == 1


@pytest.mark.parametrize("kind, n", [("drug", 1), ("disease", 2)])
def test_only_drugs_merge_over_a_synonym(kind, n):
    terms = [Term("DB00001", "zan", (kind,), ("Zanine",)), Term("RXCUI:1", "zanine", (kind,))]
    assert len(merged(*terms)) == n
    # not where two bear the synonym
    third = Term("DB00002", "other", (kind,), ("zanine",))
    assert len(merged(*terms, third)) == 3


@pytest.mark.parametrize(
    "name, keys",
    [
        ("Gorbitis (disorder)", {"gorbitis"}), ("Gorbitis, NOS", {"gorbitis"}),
        ("Essential (primary) gorbitis", {"essential ( primary ) gorbitis", "essential gorbitis"}),
        ("Other gorbitis", set()), ("was", set()), ("of", set()), ("12", set()), ("x", set()),
        ("2,3-dimethyl-4-gorb", set()), ("a b c d e gorbitis", set()), ("XY", set()),
        ("XYZ", {"XYZ"}), ("one two three four five six seven eight nine", set()),
        ("placebo", set()), ("Cold", {"cold"}),
    ],
)  # fmt: skip
def test_keys_of_names(name, keys):
    assert set(keys_of(name)) == keys


def test_descriptions_of_codes_are_held_shorter():
    name = "Gorbitis and flombosis in rare places"
    assert set(keys_of(name)) == {key_of(name)} and not set(keys_of(name, is_code=True))


def test_variants():
    assert set(variants_of("kidney stone")) >= {"renal stone", "kidney calculus", "renal calculus"}
    assert "kidney stone" not in variants_of("kidney stone") and variants_of("kidney") == []


def test_a_variant_never_overrides_a_name():
    names = ("kidney flomb", "Renal flomb")
    terms = [Term(f"DOID:{i}", name, ("disease",)) for i, name in enumerate(names, 1)]
    graph = assemble([("toy", Ontology(terms, []))])
    assert bearers(graph, "renal flomb") == ["DOID:2"]
    alone = assemble([("toy", Ontology(terms[:1], []))])
    assert bearers(alone, "renal flombs") == ["DOID:1"]


def test_names_written_by_hand_stand_for_names_of_ontologies():
    terms = [Term("MESH:D1", "Myocardial Infarction", ("disease",))]
    graph = assemble([("toy", Ontology(terms, []))])
    assert bearers(graph, "MI") == bearers(graph, "heart attack") == ["MESH:D1"]
    assert bearers(graph, "HTN") == []


def test_hand_written_names_are_sound():
    rules = graph_names._rules()
    names = [name for written in rules["names"].values() for name in written]
    assert all(key_of(name) for name in [*names, *rules["names"]])
    assert all(written for written in rules["names"].values())
    assert min(len(group) for group in rules["equal"]) > 1


def test_kinds_and_names_of_the_graph(graph):
    assert bearers(graph, "Gorb inflammation") == ["MESH:D101"]
    assert bearers(graph, "zanquib") == ["RXCUI:13"] and bearers(graph, "Zanpro") == ["MESH:D103"]
    assert bearers(graph, "green coughs") == ["DO-SYMPTOM:green_cough"]
    assert bearers(graph, "older thing") == []
    assert concept(graph, "MESH:D105").kinds == ("procedure",)
    masks = dict(zip(graph.lexicon.concepts, graph.lexicon.concept_kinds.tolist()))
    assert masks["RXCUI:13"] == 1 << KINDS.index("drug")
    assert list(masks) == [x.id for x in graph.concepts]


def test_codes_without_a_usable_name_are_no_concepts(graph):
    ids = {id_ for x in graph.concepts for id_ in x.ids}
    assert "ICD10CM:K01" in ids and "ICD10CM:K01.12" not in ids


def test_triples_of_the_graph(graph):
    ids = graph.lexicon.concepts
    found = {(ids[x.head], x.relation, ids[x.tail]): x.source for x in graph.links}
    assert len(found) == len(graph.links)
    assert found[("MESH:D103", "treats", "MESH:D101")] == "pharmacotherapydb"
    assert ("DB00002", "palliates", "MESH:D101") in found
    assert ("MESH:D101", "has_symptom", "MESH:D107") in found  # fever, by its name
    assert ("MESH:D101", "located_in", "MESH:D104") in found
    assert ("RXCUI:13", "has_ingredient", "RXCUI:12") in found
    assert all(head != tail for head, _, tail in found)
    # stated by two ontologies, kept once
    assert found[("MESH:D101", "is_a", "MESH:D102")] == "disease_ontology"


def test_refused_exact_matches_and_shared_names_become_triples():
    terms = [
        Term("DOID:1", "gorbitis", ("disease",), ("flombosis",), ("MESH:D1",)),
        Term("DOID:2", "gorbosis", ("disease",), ("flombosis",), ("MESH:D1",)),
        Term("MESH:D1", "Gorb", ("disease",)),
    ]
    graph = assemble([("toy", Ontology(terms, []))])
    found = {(x.head, x.relation, x.tail, x.source) for x in graph.links}
    assert found == {(0, "cross_reference", 1, "toy"), (0, "synonym_of", 1, "derived")}


def test_drugs_of_a_small_class_are_alike():
    terms = [Term(f"MESH:D{i}", f"zan{'abcdefghijklmnop'[i]}", ("drug",)) for i in range(15)]
    few = [Triple(f"MESH:D{i}", "is_a", "MESH:D0") for i in (1, 2, 3)]
    many = [Triple(f"MESH:D{i}", "is_a", "MESH:D0") for i in range(1, 15)]
    for triples, n in ((few, 3), (many, 0)):
        ontologies = [("toy", Ontology(terms, triples))]
        links = make_links(merge(ontologies), {}, ontologies)
        assert sum(link.relation == "same_class" for link in links) == n


def test_relatives_are_no_ambiguity():
    above = {2: {1, 0}, 1: {0}}
    entries = {"a": [2, 0], "b": [0, 2, 3], "c": [3, 2], "d": [1]}
    assert without_relatives(entries, above) == {"a": [2], "b": [0, 3], "c": [3, 2], "d": [1]}


def chain(n):
    """Links among n concepts: a tree, references both ways, and what follows from it."""
    tree = [Link(i, "is_a", i // 2, "toy") for i in range(1, n)]
    back = [Link(i // 2, "treats", i, "toy") for i in range(1, n, 3)]
    return tree + back + [Link(1, "same_class", 2, "derived"), Link(1, "synonym_of", 2, "derived")]


def test_nothing_held_out_is_known_by_another_name():
    links = chain(400)
    relations = relations_of(links)
    assert relations == ["is_a", "treats"]
    triples = number_links(links, relations)
    parts = split_triples(triples, seed=3)
    assert sorted(map(tuple, numpy.concatenate(parts))) == sorted(map(tuple, triples))
    pairs = [{frozenset((h, t)) for h, _, t in part.tolist()} for part in parts]
    assert not (pairs[0] & pairs[1] or pairs[0] & pairs[2] or pairs[1] & pairs[2])
    assert [len(p) for p in pairs[1:]] == [20, 20]
    learned = set(parts.train[:, [0, 2]].ravel().tolist())
    assert {end for part in parts[1:] for end in part[:, [0, 2]].ravel().tolist()} <= learned
    again, other = split_triples(triples, 3), split_triples(triples, 4)
    assert numpy.array_equal(again.test, parts.test)
    assert not numpy.array_equal(other.test, parts.test)


def test_baseline_and_ranks_by_hand():
    train = numpy.array([[0, 0, 1], [2, 0, 1], [3, 0, 2], [0, 1, 3]])
    test = numpy.array([[4, 0, 2], [0, 0, 2], [4, 1, 0]])
    scorer = frequency_scorer(train, 5, 2)
    known = numpy.concatenate([train, test])
    # 1 occurs twice, 2 once; of the first head 1 is known and left out; 0 ties with 1, 2 and 4
    assert rank_tails(scorer, test, known).tolist() == [2.0, 1.0, 3.5]
    assert scorer(numpy.array([0]), numpy.array([0])).tolist() == [[0, 2, 1, 0, 0]]
    figures = summarise(numpy.array([2.0, 1.0, 20.0]), test, ["is_a", "treats", "none"])
    assert figures == {
        "is_a": {"n": 2, "mrr": 0.75, "hits_at_10": 1.0},
        "treats": {"n": 1, "mrr": 0.05, "hits_at_10": 0.0},
        "micro": {"n": 3, "mrr": 0.5167, "hits_at_10": 0.6667},
    }
    nothing = summarise(numpy.zeros(0), test[:0], ["is_a"])
    assert nothing == {"micro": {"n": 0, "mrr": 0.0, "hits_at_10": 0.0}}


def test_names_are_cut_into_pieces():
    table = name_features(["cardiac arrest", "cardiac tumour", "nephritis", "hepatitis", "zog"])
    assert table.shape == (5, 24) and not table[4].any()
    assert set(table[0]) & set(table[1]) > {0} and set(table[2]) & set(table[3]) > {0}


def test_vectors_learn_a_small_graph_and_read_names():
    names = [f"{kind} {i}{'xyz'[i % 3]}q" for i, kind in enumerate(["gorbitis", "zanol"] * 10)]
    rows = [[i, 0, 18 + i % 2] for i in range(18)] + [[i + 1, 1, i] for i in range(0, 18, 2)]
    triples = numpy.array(rows)
    settings = EmbeddingSettings(dim=16, epochs=60, batch_size=16, negatives=8, query_dropout=0.0)
    model = train_embedding(triples, names, 2, settings)
    ranks = rank_tails(model_scorer(model), triples, triples)
    assert ranks.mean() < 2
    vectors = vectors_of(model)
    assert vectors.shape == (20, 16) and vectors.dtype == numpy.float32
    again = vectors_of(train_embedding(triples, names, 2, settings))
    assert numpy.array_equal(vectors, again)
    seed = EmbeddingSettings(**{**vars(settings), "seed": 1})
    assert not numpy.array_equal(vectors, vectors_of(train_embedding(triples, names, 2, seed)))


@pytest.mark.parametrize("change", [{"dim": 5}, {"epochs": 0}, {"rows": 0}])
def test_what_cannot_be_learned(change):
    rows = numpy.zeros((change.pop("rows", 2), 3), dtype=int)
    settings = EmbeddingSettings(**{"dim": 4, "epochs": 1, **change})
    with pytest.raises(ValueError, match=r"Cannot learn vectors of \d numbers.*--no-vectors"):
        train_embedding(rows, ["a", "b"], 1, settings)


def table_of(path):
    return [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def test_everything_is_written(toy, tmp_path):
    output, steps = tmp_path / "new" / "graph", []
    report = build_graph(toy, output, SMALL, steps.append)
    concepts = table_of(output / "concepts.tsv.gz")
    assert concepts[0] == ["id", "name", "kinds", "sources", "also"]
    row = next(row for row in concepts if row[0] == "MESH:D101")
    assert row[1:] == [
        "gorbitis", "disease", "mesh_2015|disease_ontology|mondo|icd10cm",
        "DOID:1|MONDO:1|ICD10CM:K01.1",
    ]  # fmt: skip
    triples = table_of(output / "triples.tsv.gz")
    assert ["MESH:D103", "treats", "MESH:D101", "pharmacotherapydb"] in triples
    lexicon = Lexicon.from_disk(output / "lexicon.msgpack.gz")
    assert lexicon.concepts == [row[0] for row in concepts[1:]]
    vectors = load_file(output / "vectors.safetensors")["vectors"]
    assert vectors.shape == (len(concepts) - 1, 8) and vectors.dtype == numpy.float16
    assert json.loads((output / "metrics.json").read_text()) == report
    assert report["triples"] == len(triples) - 1 and report["names"] == len(lexicon)
    assert set(report["vectors"]["test"]) == {"model", "frequency"}
    written = {path.name for path in output.iterdir()}
    assert set(report["bytes"]) == written - {"metrics.json", "README.md"}
    assert len(steps) == 2 * SMALL.epochs


def test_the_card_says_where_it_comes_from(toy, tmp_path):
    (toy / "icd10cm").rename(tmp_path / "away")
    report = build_graph(toy, tmp_path / "graph", SMALL)
    card = (tmp_path / "graph" / "README.md").read_text()
    assert report["missing"] == ["icd10cm"] and "Not there when this was built: icd10cm." in card
    for source in report["sources"].values():
        assert source["title"] in card and source["licence"] in card
        assert len(source["sha256"]) == 64
    assert "MeSH is of 2015" in card and "begins with A" in card
    assert f"| all | {report['concepts']} | {report['names']} |" in card
    assert "| micro |" in card


def test_no_vectors_leaves_none_behind(toy, tmp_path):
    build_graph(toy, tmp_path, SMALL)
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    report = build_graph(toy, tmp_path)
    assert "vectors" not in report and "## Vectors" not in (tmp_path / "README.md").read_text()
    left = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert set(first) - set(left) == {"vectors.safetensors"}
    same = ("concepts.tsv.gz", "triples.tsv.gz", "lexicon.msgpack.gz")
    assert all(first[name] == left[name] for name in same)


def test_an_output_that_is_a_file(toy, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="expected a folder, found a file"):
        build_graph(toy, tmp_path / "file")


@pytest.fixture
def invoke():
    app = typer.Typer(cls=SafeGroup)
    app.command()(cli_graph.build_graph)
    app.command("other")(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["build-graph", *map(str, words)])


def test_command_prints_counts_figures_and_sizes(invoke, tmp_path):
    toy = write_ontologies(tmp_path / "some", ("disease_ontology", "mesh_2015", "mondo"))
    result = invoke(toy, tmp_path / "out", "--dim", 4, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "skipped icd10cm: no such subfolder" in result.stderr
    assert "skipped mondo" not in result.stderr
    for word in ("has_symptom", "hits_at_10, by frequency", "lexicon.msgpack.gz", "micro"):
        assert word in result.stdout
    vectors = load_file(tmp_path / "out" / "vectors.safetensors")["vectors"]
    assert vectors.shape[1] == 4


def test_command_without_vectors(invoke, toy, tmp_path):
    result = invoke(toy, tmp_path / "out", "--no-vectors")
    assert result.exit_code == 0, result.output
    assert "micro" not in result.stdout and not (tmp_path / "out" / "vectors.safetensors").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--dim", "5"], "--dim is 5; expected an even number"),
        (["--device", "abacus"], "--device is 'abacus'"),
    ],
)
def test_command_refuses(invoke, toy, tmp_path, options, message):
    result = invoke(toy, tmp_path / "out", *options)
    assert result.exit_code == 1 and message in result.stderr
    assert not (tmp_path / "out").exists()


def test_command_without_any_ontology(invoke, tmp_path):
    result = invoke(tmp_path, tmp_path / "out")
    assert result.exit_code == 1 and "found none of them" in result.stderr
    assert invoke(tmp_path / "nowhere", tmp_path / "out").exit_code == 1
