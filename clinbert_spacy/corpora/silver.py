"""Silver summaries: sentences that share most with a reference, added one by one, in a budget."""
import re
from bisect import bisect, insort
from collections import Counter
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .files import CorpusError
from .summaries import Summarised

WORDS = re.compile("[a-z0-9]+")
# Gains that differ by less are equal: the first sentence is taken, whatever the rounding.
EQUAL = 1e-9
GOLD = "gold"
EXPECTED = "'3' (sentences), '50w' (words), '20%' (of the sentences) or 'gold'"
Gram = Tuple[str, ...]


class Budget(NamedTuple):
    """How long a summary may be.

    unit (str): "sentences", "words" (separated by white space), "share" (of the sentences) or
        "gold".
    amount (float): how many; of a share, percent. None is asked for by "gold".
    """

    unit: str
    amount: float = 0


def parse_budget(value: str) -> Budget:
    """Read a budget.

    value (str): "3" sentences, "50w" words, "20%" of the sentences, or "gold".
    RETURNS (Budget): the same.
    Raises CorpusError for anything else.
    """
    if value == GOLD:
        return Budget(GOLD)
    match = re.fullmatch(r"(\d+)(w?)|(\d+(?:\.\d+)?)%", value)
    share = float(match[3] or 0) if match else 0.0
    if not match or share > 100:
        raise CorpusError(f"Budget of a summary is {value!r}: expected {EXPECTED}.")
    if match[3]:
        return Budget("share", share)
    return Budget("words" if match[2] else "sentences", int(match[1]))


def budget_of(item: Summarised, budget: Budget) -> Budget:
    """Say what "gold" means for a text.

    item (Summarised): the text. budget (Budget): any.
    RETURNS (Budget): for "gold", as many sentences as people chose, or as many words as they wrote
        where they did not choose sentences; others unchanged.
    """
    if budget.unit != GOLD:
        return budget
    if item.chosen is not None:
        return Budget("sentences", len(item.chosen))
    return Budget("words", len(item.reference.split()))


def measure(sentences: Sequence[str], budget: Budget) -> Tuple[List[int], int]:
    """Say what each sentence costs, and what a summary may cost.

    sentences (Sequence[str]): of one text. budget (Budget): of sentences, words or a share, which
        is rounded down but allows one sentence.
    RETURNS (Tuple[List[int], int]): costs, one a sentence, and the limit of their sum.
    Raises CorpusError for another unit or a negative amount.
    """
    if budget.unit not in ("sentences", "words", "share") or budget.amount < 0:
        raise CorpusError(f"Budget of a summary is {tuple(budget)}: expected {EXPECTED}, resolved.")
    if budget.unit == "words":
        return [len(sentence.split()) for sentence in sentences], int(budget.amount)
    limit = int(budget.amount)
    if budget.unit == "share":
        limit = max(int(len(sentences) * budget.amount / 100 + EQUAL), 1 if budget.amount else 0)
    return [1] * len(sentences), limit


def greedy_oracle(sentences: Sequence[str], reference: str, budget: Budget) -> Tuple[int, ...]:
    """Choose sentences by a reference: each time the one that raises its ROUGE most.

    The mean of ROUGE-1 F and ROUGE-2 F, as package rouge-score counts them for the chosen
    sentences in the order of the text. Stops where none fits the budget or raises it.

    sentences (Sequence[str]): sentences of a text, in order. reference (str): its summary.
    budget (Budget): what the choice may cost; see measure.
    RETURNS (Tuple[int, ...]): indices of the chosen sentences, ascending.
    Raises CorpusError for a budget that is not resolved.
    """
    costs, left = measure(sentences, budget)
    choice = _Choice([rouge_words(x) for x in sentences], rouge_words(reference))
    while True:
        rest = [i for i, cost in enumerate(costs) if cost <= left and i not in choice.chosen]
        best = choice.find_best(rest)
        if best is None:
            return tuple(choice.chosen)
        choice.add(best)
        left -= costs[best]


def rouge_words(text: str) -> List[str]:
    """Split a text as rouge-score does without stemming. RETURNS (List[str]): lower-case words."""
    return WORDS.findall(text.lower())


class _Overlap:
    """N-grams of a reference and of what was chosen so far.

    hits (int): those of the chosen that the reference has. total (int): all of the chosen.
    """

    def __init__(self, wanted: "Counter[Gram]") -> None:
        self.wanted, self.n_wanted = wanted, sum(wanted.values())
        self.had: Counter[Gram] = Counter()
        self.hits = self.total = 0

    def after(self, change: "Counter[Gram]") -> Tuple[int, int]:
        """Hits and total if these n-grams came in, or with a count of -1 went."""
        hits = self.hits
        for gram, n in change.items():
            most = self.wanted.get(gram, 0)
            if most:
                hits += min(most, self.had[gram] + n) - min(most, self.had[gram])
        return hits, self.total + sum(change.values())

    def f(self, change: "Counter[Gram]") -> float:
        hits, total = self.after(change)
        return 2 * hits / (total + self.n_wanted) if hits else 0.0

    def add(self, change: "Counter[Gram]") -> None:
        self.hits, self.total = self.after(change)
        for gram, n in change.items():
            self.had[gram] += n


class _Choice:
    """Sentences chosen so far. chosen (List[int]): ascending; those without a word never are."""

    def __init__(self, sentences: List[List[str]], reference: List[str]) -> None:
        self.sentences = sentences
        self.overlaps = [_Overlap(_grams(reference, n)) for n in (1, 2)]
        self.chosen: List[int] = []
        self.score = 0.0

    def find_best(self, rest: Sequence[int]) -> Optional[int]:
        """The sentence that raises the score most, the first of equal ones; None if none does."""
        best, most = None, self.score + EQUAL
        for i in rest:
            score = sum(x.f(change) for x, change in zip(self.overlaps, self._changes(i))) / 2
            if score > most:
                best, most = i, score + EQUAL
        return best

    def add(self, i: int) -> None:
        changes = self._changes(i)
        for overlap, change in zip(self.overlaps, changes):
            overlap.add(change)
        self.score = sum(x.f(Counter()) for x in self.overlaps) / 2
        insort(self.chosen, i)

    def _changes(self, i: int) -> "Tuple[Counter[Gram], Counter[Gram]]":
        words, at = self.sentences[i], bisect(self.chosen, i)
        # word pairs also stand across the end of a sentence
        before = self.sentences[self.chosen[at - 1]][-1:] if at else []
        after = self.sentences[self.chosen[at]][:1] if at < len(self.chosen) else []
        pairs = _grams([*before, *words, *after], 2)
        pairs.subtract(_grams([*before, *after], 2))
        return _grams(words, 1), pairs


def _grams(words: Sequence[str], n: int) -> "Counter[Gram]":
    return Counter(zip(*(words[i:] for i in range(n))))
