import random

import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.silver import (
    EQUAL,
    Budget,
    budget_of,
    greedy_oracle,
    measure,
    parse_budget,
    rouge_words,
)
from clinbert_spacy.corpora.summaries import Summarised

ROUGE = RougeScorer(["rouge1", "rouge2"])
KNEE = ["Rest the knee.", "Ice helps.", "A brace may help the knee.", "Drink water."]


def rouge_of(sentences, chosen, reference):
    found = ROUGE.score(reference, "\n".join(sentences[i] for i in sorted(chosen)))
    return sum(score.fmeasure for score in found.values()) / 2


def slow_oracle(sentences, reference, budget):
    """The same by the package itself, each candidate joined and scored anew."""
    (costs, left), chosen, best = measure(sentences, budget), [], 0.0
    while True:
        at, most = None, best + EQUAL
        for i, cost in enumerate(costs):
            if i not in chosen and cost <= left:
                score = rouge_of(sentences, [*chosen, i], reference)
                if score > most:
                    at, most = i, score + EQUAL
        if at is None:
            return tuple(sorted(chosen))
        chosen.append(at)
        best, left = rouge_of(sentences, chosen, reference), left - costs[at]


def toy_texts(seed):
    draw = random.Random(seed)
    words = ["K", "5.1,", "no", "rash;", "Fever", "-", "é", "knee", "knee"]
    sentences = [" ".join(draw.choices(words, k=draw.randint(1, 6))) for _ in range(9)]
    kept = draw.sample(sentences, 4)
    return sentences, " ".join([*kept, *draw.choices(words, k=3)])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("budget", ["3", "9", "8w", "40%"])
def test_counts_are_those_of_rouge_score(seed, budget):
    sentences, reference = toy_texts(seed)
    limit = parse_budget(budget)
    expected = slow_oracle(sentences, reference, limit)
    assert expected and greedy_oracle(sentences, reference, limit) == expected


def test_words_are_those_of_rouge_score():
    text = "K 5.1 mmol/L (↑), naïve—\n§ T2DM's  İ"
    assert rouge_words(text) == DefaultTokenizer().tokenize(text)


def test_the_most_like_first_then_what_adds():
    assert greedy_oracle(KNEE, "A brace may help the knee.", Budget("sentences", 4)) == (2,)
    assert greedy_oracle(KNEE, "Ice helps. Rest the knee.", Budget("sentences", 4)) == (0, 1)
    assert greedy_oracle(KNEE, "Ice helps. Rest the knee.", Budget("sentences", 1)) == (0,)
    # the best sentence has six words
    reference = "A brace may help the knee. Drink."
    assert greedy_oracle(KNEE, reference, Budget("words", 5)) == (0, 3)


def test_a_repeated_paragraph_is_taken_once_and_the_first_one():
    assert greedy_oracle(KNEE + KNEE, "Ice helps.", Budget("sentences", 5)) == (1,)
    assert greedy_oracle(KNEE + KNEE, "Ice helps. Ice helps.", Budget("sentences", 5)) == (1, 5)


@pytest.mark.parametrize(
    ("sentences", "reference", "budget"),
    [
        ([], "Ice helps.", "3"),
        (KNEE, "", "3"),
        (KNEE, "?!", "3"),
        (KNEE, "Nothing of that kind", "100%"),
        (KNEE, "Ice helps.", "0"),
        (KNEE, "Ice helps.", "1w"),
        (KNEE, "Ice helps.", "0%"),
        (["--", "?"], "Ice helps.", "2"),
    ],
)
def test_nothing_to_choose(sentences, reference, budget):
    assert greedy_oracle(sentences, reference, parse_budget(budget)) == ()


@pytest.mark.parametrize("budget", ["1", "2w", "1%", "900", "100%"])
def test_one_sentence(budget):
    assert greedy_oracle(["Ice helps."], "Ice helps.", parse_budget(budget)) == (0,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", ("sentences", 0)),
        ("12", ("sentences", 12)),
        ("50w", ("words", 50)),
        ("20%", ("share", 20)),
        ("12.5%", ("share", 12.5)),
        ("gold", ("gold", 0)),
    ],
)
def test_budgets(value, expected):
    assert parse_budget(value) == expected


@pytest.mark.parametrize("value", ["", "-1", "1.5", "101%", "%", "w", "50 w", "all", "1e3"])
def test_budgets_that_are_none(value):
    with pytest.raises(CorpusError, match="Budget of a summary is .* expected '3'"):
        parse_budget(value)


def test_costs_and_limits():
    assert measure(KNEE, Budget("sentences", 9)) == ([1, 1, 1, 1], 9)
    assert measure(KNEE, Budget("words", 7)) == ([3, 2, 6, 2], 7)
    shares = {share: measure(["x"] * 100, Budget("share", share))[1] for share in (0, 0.5, 29, 100)}
    assert shares == {0: 0, 0.5: 1, 29: 29, 100: 100}
    assert measure(KNEE, Budget("share", 74))[1] == 2
    for budget in (Budget("gold"), Budget("words", -1)):
        with pytest.raises(CorpusError, match="resolved"):
            measure(KNEE, budget)


def test_gold_is_as_long_as_people_made_it():
    item = Summarised("a", "One. Two.", ((0, 4), (5, 9)), "One thing\nor two", (0, 1))
    assert budget_of(item, Budget("gold")) == ("sentences", 2)
    written = Summarised("a", item.text, item.sentences, item.reference)
    assert budget_of(written, Budget("gold")) == ("words", 4)
    assert budget_of(item, Budget("share", 20)) == ("share", 20)
