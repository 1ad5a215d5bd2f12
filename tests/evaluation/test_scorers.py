import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Span
from spacy.training import Example

from clinbert_spacy.evaluation.scorers import (
    Counts,
    bootstrap,
    count_matches,
    invert_labels,
    macro_f,
    make_ner_scorer,
    map_labels,
    micro,
    predictions_of,
    prf,
)

TEXT = "Severe headache after aspirin 100 mg and INR 9 ."
HEADACHE, SEVERE_HEADACHE, ASPIRIN = (7, 15), (0, 15), (22, 29)


@pytest.fixture
def nlp():
    return spacy.blank("en")


def make_example(nlp, gold, predicted, covered=("DISEASE", "SYMPTOM", "DRUG"), group=True):
    example = Example(nlp.make_doc(TEXT), nlp.make_doc(TEXT))
    reference, doc = example.reference, example.predicted
    reference.spans["clinbert_ents"] = []
    reference.spans["clinbert_ents"].attrs.update(
        covered=list(covered), gold=[list(mention) for mention in gold], unexpressible=0
    )
    spans = [doc.char_span(start, end, label) for start, end, label in predicted]
    if group:
        doc.spans["clinbert_ents"] = spans
    else:
        doc.ents = spans
    return example


@pytest.mark.parametrize(
    "gold, predicted, expected",
    [
        ([], [], (0, 0, 0)),
        ([(0, 4, "A")], [(0, 4, "A")], (1, 0, 0)),
        ([(0, 4, "A")], [(0, 5, "A")], (0, 1, 1)),
        ([(0, 4, "A")], [(0, 4, "B")], (0, 1, 1)),
        ([(0, 4, "A|B")], [(0, 4, "B")], (1, 0, 0)),
        ([(0, 4, "A|B")], [(0, 4, "A"), (0, 4, "B")], (1, 1, 0)),
        ([(0, 4, "A"), (0, 4, "A")], [(0, 4, "A")], (1, 0, 0)),
        ([(0, 4, "A")], [(0, 4, "A"), (0, 4, "A")], (1, 0, 0)),
        ([(0, 4, "A|B"), (0, 4, "A|C")], [(0, 4, "A"), (0, 4, "B")], (2, 0, 0)),
        ([(0, 4, "A")], [(0, 4, "Z"), (9, 12, "Z")], (0, 0, 1)),
    ],
)
def test_count_matches(gold, predicted, expected):
    total = micro(count_matches(gold, predicted, ["A", "B", "C"]))
    assert (total.tp, total.fp, total.fn) == expected


def test_counts_go_to_labels():
    gold = [(0, 4, "A|B"), (5, 9, "A|B"), (10, 12, "C")]
    counts = count_matches(gold, [(0, 4, "B"), (20, 22, "C")])
    assert counts == {"B": Counts(1, 0, 0), "A": Counts(0, 0, 1), "C": Counts(0, 1, 1)}


def test_labels_and_text_on_which_the_corpus_is_silent():
    gold = [(0, 4, "A|B")]
    assert count_matches(gold, [(0, 4, "B"), (5, 9, "B")], ["A"]) == {"B": Counts(1, 0, 0)}
    predicted = [(0, 4, "A"), (6, 7, "A"), (9, 12, "A")]
    assert count_matches(gold, predicted, ["A"], [(3, 9)]) == {"A": Counts(1, 1, 0)}


def test_gold_label_outside_covered_counts_for_recall():
    assert count_matches([(0, 4, "Z")], [], ["A"]) == {"Z": Counts(0, 0, 1)}


SPANS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(5, 8), st.sampled_from(["A", "B", "C"])), max_size=12
)


@given(SPANS, SPANS)
def test_counts_add_up(gold, predicted):
    total = micro(count_matches(gold, predicted))
    assert total.tp == len(set(gold) & set(predicted))
    assert total.tp + total.fn == len(set(gold))
    assert total.tp + total.fp == len(set(predicted))
    assert all(0 <= value <= 1 for value in prf(total))


def test_prf():
    assert prf(Counts(1, 1, 3)) == (0.5, 0.25, pytest.approx(1 / 3))
    assert prf(Counts()) == (0.0, 0.0, 0.0)
    assert macro_f({"A": Counts(1, 0, 0), "B": Counts(0, 0, 1), "C": Counts(0, 5, 0)}) == 0.5


def test_label_mapping():
    inverse = invert_labels({"Disease": ["DISEASE", "SYMPTOM"], "Chemical": ["DRUG"]})
    assert inverse == {"DISEASE": "Disease", "SYMPTOM": "Disease", "DRUG": "Chemical"}
    assert map_labels([(0, 4, "SYMPTOM"), (5, 9, "TEST")], inverse) == [(0, 4, "Disease")]
    assert invert_labels({"Sign": ["SYMPTOM"], "Any": ["DISEASE", "SYMPTOM"]}) == {
        "SYMPTOM": "Sign",
        "DISEASE": "Any",
    }


def test_scorer_counts_what_tokens_cannot_express(nlp):
    gold = [(*HEADACHE, "DISEASE|SYMPTOM"), (23, 29, "DRUG")]
    example = make_example(nlp, gold, [(*HEADACHE, "SYMPTOM")])
    scores = make_ner_scorer()([example])
    assert (scores["ents_p"], scores["ents_r"]) == (1.0, 0.5)
    assert scores["ents_f"] == pytest.approx(2 / 3)
    assert scores["ents_per_type"]["SYMPTOM"] == {"p": 1.0, "r": 1.0, "f": 1.0}
    assert scores["ents_per_type"]["DRUG"]["r"] == 0.0
    assert scores["ents_macro_f"] == 0.5


def test_scorer_ignores_labels_that_the_corpus_does_not_cover(nlp):
    example = make_example(
        nlp, [(*HEADACHE, "SYMPTOM")], [(*HEADACHE, "SYMPTOM"), (*ASPIRIN, "DRUG")], ["SYMPTOM"]
    )
    assert make_ner_scorer()([example])["ents_p"] == 1.0


def test_scorer_scores_overlapping_predictions(nlp):
    gold = [(*HEADACHE, "SYMPTOM"), (*SEVERE_HEADACHE, "SYMPTOM")]
    assert make_ner_scorer()([make_example(nlp, gold, gold)])["ents_f"] == 1.0


def test_scorer_skips_docs_without_covered_labels(nlp):
    example = make_example(nlp, [], [(*HEADACHE, "SYMPTOM")], [])
    assert make_ner_scorer()([example])["ents_f"] is None
    right = make_example(nlp, [(*ASPIRIN, "DRUG")], [(*ASPIRIN, "DRUG")])
    assert make_ner_scorer()([example, right])["ents_f"] == 1.0


def test_source_decides_where_predictions_are_read(nlp):
    example = make_example(nlp, [(*ASPIRIN, "DRUG")], [(*ASPIRIN, "DRUG")], group=False)
    assert make_ner_scorer()([example])["ents_f"] == 0.0
    assert make_ner_scorer(source="ents")([example])["ents_f"] == 1.0
    assert predictions_of(example.predicted, "any") == [(*ASPIRIN, "DRUG")]
    with pytest.raises(ValueError, match="expected 'spans' or 'ents'"):
        make_ner_scorer(source="doc")


def test_plain_spacy_reference(nlp):
    example = Example(nlp.make_doc(TEXT), nlp.make_doc(TEXT))
    assert make_ner_scorer()([example])["ents_f"] is None
    example.reference.ents = [Span(example.reference, 1, 2, "SYMPTOM")]
    example.predicted.spans["clinbert_ents"] = [Span(example.predicted, 1, 2, "SYMPTOM")]
    assert make_ner_scorer()([example])["ents_f"] == 1.0


def test_bootstrap():
    documents = [{"A": Counts(9, 1, 1)}, {"A": Counts(1, 5, 5), "B": Counts(1, 0, 0)}, {}] * 10
    ends = bootstrap(documents, n_resamples=200)
    f = prf(micro({"A": Counts(10, 6, 6), "B": Counts(1, 0, 0)}))[2]
    assert 0 < ends["f"][0] < f < ends["f"][1] < 1
    assert ends == bootstrap(documents, n_resamples=200)
    assert ends != bootstrap(documents, n_resamples=200, seed=1)
    assert bootstrap([])["f"] == (0.0, 0.0)
    assert bootstrap([{}, {}])["macro_f"] == (0.0, 0.0)
