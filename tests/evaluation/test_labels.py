import pytest

from clinbert_spacy.corpora.record import AnnotatedNote, Mention
from clinbert_spacy.corpora.schema import get_schema
from clinbert_spacy.evaluation.labels import cut_out, merge_rows, plan_labels

PRODUCT = ["DISEASE", "SYMPTOM", "DRUG", "TEST", "PROCEDURE"]


def test_file_labels_become_those_of_the_protocol():
    plan = plan_labels(get_schema("ncbi"), ["Disease"])
    gold = AnnotatedNote("n1", "Mild ataxia.", (Mention("T1", "Modifier", ((5, 11),)),))
    assert plan.gold_of(gold).mentions == [(5, 11, "Disease")]
    assert plan_labels(get_schema("ncbi"), PRODUCT).predicted["SYMPTOM"] == "Disease"


def test_own_labels_without_a_product_label_do_not_count_against_the_product():
    plan = plan_labels(get_schema("biored"), PRODUCT)
    assert plan.scheme == "own"
    assert "GeneOrGeneProduct" not in plan.covered
    assert "GeneOrGeneProduct" in plan_labels(get_schema("biored"), ["CellLine"]).covered


def test_corpus_that_covers_nothing_is_scored_in_its_own_labels():
    assert plan_labels(get_schema("ade"), PRODUCT).scheme == "own"
    with pytest.raises(ValueError, match="--scheme own"):
        plan_labels(get_schema("ade"), PRODUCT, "product")
    with pytest.raises(ValueError, match="'own', 'product' or 'auto'"):
        plan_labels(get_schema("ade"), PRODUCT, "both")


def test_mapped_labels_leave_text_open_that_the_corpus_leaves_open():
    plan = plan_labels(get_schema("lct"), PRODUCT)
    mentions = (Mention("T1", "Condition", ((0, 15),)), Mention("T2", "Condition-Name", ((0, 8),)))
    gold = plan.gold_of(AnnotatedNote("n1", "diabetes mellit", mentions))
    assert gold.mentions == [(0, 8, "Condition-Name")]
    # the trigger says nothing, but the name inside it does
    assert gold.unknown == [(8, 15)]
    assert plan_labels(get_schema("lct"), ["Condition"]).unknown == frozenset()


def test_rows_are_shared_only_by_labels_that_map_alike():
    allowed = {"A": {"X", "Y"}, "B": {"Y", "X"}, "C": {"X"}, "D": set()}
    assert merge_rows(allowed) == {"A": "A/B", "B": "A/B", "C": "C"}


@pytest.mark.parametrize(
    ("regions", "taken", "expected"),
    [
        ([(0, 9)], [], [(0, 9)]),
        ([(0, 9)], [(2, 4)], [(0, 2), (4, 9)]),
        ([(0, 9)], [(0, 9)], []),
        ([(5, 9), (0, 3)], [(2, 6), (8, 12)], [(0, 2), (6, 8)]),
        ([(0, 9)], [(1, 2), (0, 5)], [(5, 9)]),
    ],
)
def test_cut_out(regions, taken, expected):
    assert cut_out(regions, taken) == expected
