import json
import math

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from clinbert_spacy.evaluation import summaries
from clinbert_spacy.evaluation.scorers import Counts
from clinbert_spacy.evaluation.summaries import (
    ROUGE,
    SYSTEM,
    evaluate_summaries,
    find_covered,
    make_scorer,
    measure_coverage,
    measure_redundancy,
    score_choice,
    score_mean,
    score_way,
)
from clinbert_spacy.evaluation.summary_rows import (
    DRAWS,
    GOLD,
    LEAD,
    ORACLE,
    RANDOM,
    RANK,
    Judged,
    choose_rows,
    page_rank,
    rank_sentences,
    spend,
)

SENTENCES = ("Seen for gout.", "Ice helps gout.", "Gout of the toe.", "Stopped zoledronate.")


def judged(sentences=SENTENCES, limit=1, reference=SENTENCES[3], best=(3,), **fields):
    """A text with a blank between its sentences; each costs 1."""
    ends = np.cumsum([len(x) + 1 for x in sentences], dtype=int)
    spans = tuple((int(end) - len(x) - 1, int(end) - 1) for x, end in zip(sentences, ends))
    return Judged(
        fields.pop("id", "a"), " ".join(sentences), spans, (1,) * len(sentences), limit, reference,
        best, **fields
    )  # fmt: skip


def evaluate(items, system=None):
    return evaluate_summaries(items, system, corpus="toy")


def test_rows_choose_under_the_limit():
    rows = choose_rows(judged(limit=2, best=(1, 3), chosen=(0, 3)))
    assert list(rows) == [LEAD, RANDOM, RANK, ORACLE, GOLD]
    assert (rows[LEAD], rows[ORACLE], rows[GOLD]) == ([(0, 1)], [(1, 3)], [(0, 3)])
    assert len(rows[RANDOM]) == DRAWS and all(len(set(x)) == 2 for x in rows[RANDOM])
    assert 3 not in rows[RANK][0]
    assert GOLD not in choose_rows(judged())


def test_random_is_seeded_by_text_and_number():
    long = tuple(f"Sentence {i}." for i in range(40))
    first = choose_rows(judged(long, limit=9))[RANDOM]
    assert first == choose_rows(judged(long, limit=9))[RANDOM] and len(set(first)) == DRAWS
    assert first != choose_rows(judged(long, limit=9), seed=1)[RANDOM]
    assert first != choose_rows(judged(long, limit=9, id="b"))[RANDOM]


@pytest.mark.parametrize(
    ("sentences", "limit", "expected"),
    [((), 3, ()), (("One.",), 1, (0,)), (("One.",), 0, ()), (("One.", "Two."), 9, (0, 1))],
)
def test_rows_of_little_text(sentences, limit, expected):
    rows = choose_rows(judged(sentences, limit=limit, best=expected))
    assert all(choice == expected for row in rows.values() for choice in row)


def test_what_no_longer_fits_is_passed_over():
    assert spend([2, 0, 1], [3, 1, 2], 4) == (1, 2) == spend([2, 1, 0], [3, 1, 2], 4)
    assert spend([0, 1], [5, 1], 4) == (1,) and spend([0], [1], 0) == ()


def test_central_sentences_rank_first():
    scores = rank_sentences(SENTENCES)
    assert scores.sum() == pytest.approx(1) and scores.argmin() == 3
    # a sentence that is repeated is more central, and its copies are equal
    repeated = rank_sentences((*SENTENCES, SENTENCES[3]))
    assert repeated[3] == pytest.approx(repeated[4]) and repeated[3] > scores[3]
    assert list(rank_sentences(["--", "?"])) == [0.5, 0.5] and len(rank_sentences([])) == 0


def test_page_rank_is_stationary():
    weights = np.random.default_rng(0).random((6, 6))
    weights[2] = 0
    scores = page_rank(weights)
    np.fill_diagonal(weights, 0)
    weights[2] = 1
    steps = weights / weights.sum(axis=1, keepdims=True)
    moved = 0.15 / 6 + 0.85 * scores @ steps
    assert moved == pytest.approx(scores, abs=1e-7) and scores.sum() == pytest.approx(1)
    assert list(page_rank(np.ones((1, 1)))) == [1.0]
    assert page_rank(np.ones((6, 6))) == pytest.approx(np.full(6, 1 / 6))
    assert len(set(scores.round(4))) == 6


def test_scores_are_those_of_rouge_score():
    items = [judged(limit=2, best=(0, 3)), judged(reference="Gout again.", id="b")]
    rows = evaluate(items)["rows"]
    expected = RougeScorer(list(ROUGE))
    chosen = [f"{SENTENCES[0]} {SENTENCES[1]}", SENTENCES[0]]
    for name in ROUGE:
        each = [expected.score(x.reference, y)[name].fmeasure for x, y in zip(items, chosen)]
        found = rows[LEAD][name]
        assert found["value"] == pytest.approx(sum(each) / 2)
        ends = sorted(each)
        assert ends == pytest.approx([found["low"], found["high"]])
    assert rows[LEAD]["sentences"] == 1.5 and rows[LEAD]["words"] == 4.5


def test_a_system_is_scored_beside_the_rows():
    items = [judged(chosen=(3,)), judged(chosen=(0,), reference=SENTENCES[0], best=(0,), id="b")]
    system = [[items[0].sentences[3]] * 2, [items[1].sentences[1]]]
    done = []
    found = evaluate_summaries(items, system, corpus="toy", progress=done.append)
    rows = found["rows"]
    assert list(rows) == [SYSTEM, LEAD, RANDOM, RANK, ORACLE, GOLD] and done == [1, 1]
    choice = {name: score["value"] for name, score in rows[SYSTEM]["choice"].items()}
    assert choice == {"precision": 0.5, "recall": 0.5, "f": 0.5}
    assert rows[GOLD]["choice"]["f"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert rows[SYSTEM]["sentences"] == 1 and rows[SYSTEM]["coverage"] is None
    assert rows[LEAD]["way"]["rouge1"]["value"] == 0 and rows[ORACLE]["way"]["rouge2"]["value"] == 1
    assert "zoledronate" not in json.dumps(found)


def test_random_is_the_mean_of_its_draws():
    item = judged(limit=2, reference=" ".join(SENTENCES), chosen=(0, 1, 2, 3))
    row = evaluate([item])["rows"][RANDOM]
    score = make_scorer(ROUGE)
    texts = [" ".join(SENTENCES[i] for i in x) for x in choose_rows(item)[RANDOM]]
    each = [score(item.reference, text)["rouge1"].fmeasure for text in texts]
    assert len(set(each)) > 1 and row["rouge1"]["value"] == pytest.approx(np.mean(each))
    assert row["choice"]["recall"]["value"] == 0.5 and row["choice"]["precision"]["value"] == 1


def test_no_chosen_sentences_no_choice():
    assert evaluate([judged()])["rows"][LEAD]["choice"] is None
    rows = evaluate([judged(chosen=(), reference="", best=())])["rows"]
    assert rows[LEAD]["choice"]["f"]["value"] == 0 and rows[LEAD]["rouge1"]["value"] == 0
    assert rows[LEAD]["way"] == dict.fromkeys(ROUGE)


def test_empty_text_and_empty_summary():
    empty = judged((), reference="", best=(), id="b")
    found = evaluate([judged(), empty], [[], []])
    system = found["rows"][SYSTEM]
    assert system["rouge1"]["value"] == system["redundancy"]["value"] == system["words"] == 0
    assert (found["n_without_reference"], found["n_sentences"]) == (1, 4)
    assert found["rows"][ORACLE]["rouge1"]["value"] == 0.5


def test_the_hash_is_of_all_that_is_judged():
    items = [
        judged(), judged(id="b"), judged(reference="x"), judged(chosen=(1,)),
        judged(facts=(((0, 4),),)), judged(SENTENCES[:3], best=()),
    ]  # fmt: skip
    hashes = {evaluate([item])["data_sha256"] for item in items}
    assert len(hashes) == len(items) and evaluate([judged()])["data_sha256"] in hashes


@pytest.mark.parametrize(
    ("items", "system", "message"),
    [
        ([], None, "no text"),
        ([judged(), judged(chosen=(1,))], None, "all or none"),
        ([judged()], [], "0 summaries for 1 texts"),
        ([judged()], [[(0, 900)]], "'a' has offsets outside"),
        ([judged()], [[(5, 5)]], "'a' has offsets outside"),
    ],
)
def test_what_cannot_be_scored(items, system, message):
    with pytest.raises(ValueError, match=message):
        evaluate(items, system)


def test_rouge_score_is_asked_for(monkeypatch):
    monkeypatch.setattr(summaries, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="install the extra `rouge`"):
        evaluate([judged()])


def test_redundancy_is_that_of_the_most_similar_other_sentence():
    score = make_scorer(["rougeL"])
    assert measure_redundancy(["a b", "d e", "a c"], score) == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert measure_redundancy(["a b"] * 3, score) == 1
    assert measure_redundancy(["a b"], score) == measure_redundancy([], score) == 0


def test_coverage_counts_facts_not_places():
    facts = [[(0, 4), (20, 24)], [(6, 9)], [(8, 12)]]
    assert measure_coverage(facts, [(0, 10)]) == pytest.approx(2 / 3)
    assert measure_coverage(facts, [(20, 30)]) == pytest.approx(1 / 3)
    # a place across two chosen sentences is in neither
    assert measure_coverage([[(8, 12)]], [(0, 10), (10, 14)]) == 0
    assert measure_coverage(facts, []) == 0 and math.isnan(measure_coverage([], [(0, 9)]))


def test_texts_without_facts_do_not_count_for_coverage():
    items = [judged(facts=(((0, 4),), ((57, 60),))), judged(id="b")]
    rows = evaluate(items)["rows"]
    assert rows[LEAD]["coverage"]["value"] == 0.5
    assert evaluate(items)["n_facts"] == 2


def test_sentences_cut_otherwise_are_found_by_more_than_half():
    sentences = [(0, 10), (11, 21), (22, 32)]
    assert find_covered(sentences, [(0, 10), (22, 32)]) == (0, 2)
    assert find_covered(sentences, [(4, 16)]) == (0,)
    assert find_covered(sentences, [(0, 3), (4, 8)]) == (0,)
    assert find_covered(sentences, [(0, 32)]) == (0, 1, 2)
    assert find_covered(sentences, []) == find_covered([], [(0, 5)]) == ()


def test_way_from_lead_to_oracle():
    lead, oracle = np.array([0.2, 0.4, 0.3]), np.array([0.6, 0.8, 0.7])
    found = score_way((lead + oracle) / 2, lead, oracle)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    # a ratio of means, and its interval is over documents drawn together
    found = score_way(lead + [0.4, 0, 0.2], lead, oracle)
    assert found.value == pytest.approx(0.5) and found.low < 0.4 < 0.6 < found.high
    assert score_way(lead - 0.4, lead, oracle).value == pytest.approx(-1)
    assert score_way(lead, lead, lead) is score_way(lead, oracle, lead) is None
    # some resamples have no gap, and say nothing
    found = score_way(oracle, lead, lead + [1, 0, 0])
    assert (found.value, found.low, found.high) == pytest.approx((1.2, 0.4, 1.2))


def test_means_leave_out_what_is_no_number():
    found = score_mean(np.array([0.2, np.nan, 0.4]))
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.2, 0.4))
    assert score_mean(np.array([np.nan])) is None


def test_choice_is_micro_over_documents():
    found = score_choice([Counts(1, 0, 0), Counts(1, 2, 3)])
    values = [found[name]["value"] for name in ("precision", "recall", "f")]
    assert values == pytest.approx([0.5, 0.4, 4 / 9])
    assert found["precision"]["low"] == pytest.approx(1 / 3) and found["precision"]["high"] == 1
