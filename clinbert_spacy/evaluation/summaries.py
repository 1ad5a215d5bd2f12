"""Score extractive summaries: ROUGE, choice of sentences, repetition, facts, beside plain rows."""

import hashlib
import json
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .evaluate import Score
from .scorers import Counts, bootstrap, micro, prf
from .summary_rows import LEAD, ORACLE, Choice, Judged, Span, choose_rows

SYSTEM = "pipeline"
ROUGE = ("rouge1", "rouge2", "rougeL")
# Of each document and row, in this order; coverage is not a number where no fact is asked for.
MEASURES = (*ROUGE, "redundancy", "coverage", "sentences", "words")
PROTOCOL = (
    "ROUGE F of package rouge-score without stemming, chosen sentences in order against the "
    "reference, mean over documents; plain rows under one limit per document, random as mean of "
    "five draws, greedy oracle by ROUGE-1 and ROUGE-2; way: (row - lead-k) / (oracle - lead-k); "
    "choice: precision, recall, F micro over sentences; redundancy: ROUGE-L F of a chosen sentence "
    "with the most similar other one; coverage: share of facts named in chosen sentences; 95 % "
    "bootstrap interval over documents"
)
Scorer = Callable[[str, str], Mapping[str, Any]]


def evaluate_summaries(
    items: Sequence[Judged],
    system: Optional[Sequence[Sequence[Span]]] = None,
    *,
    corpus: str,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Score a system and the plain rows on the same texts.

    items (Sequence[Judged]): the texts with their truth. An empty reference scores 0.
    system (Optional[Sequence[Sequence[Span]]]): of each text, start and end of what was chosen.
    corpus (str): name of the corpus, for the record. progress (Callable): called with 1 per text.
    RETURNS (Dict[str, Any]): what was scored, and under "rows" what score_row says of each.
    RAISES (ValueError): no text, chosen sentences of some texts alone, spans for another number of
        texts or outside of one, or rouge-score is not installed.
    """
    _check(items, system)
    values: Dict[str, List[np.ndarray]] = {}
    counts: Dict[str, List[Counts]] = {}
    score, score_pair = make_scorer(ROUGE), make_scorer(ROUGE[2:])
    for number, item in enumerate(items):
        rows = _spans_of(item) if system is None else {
            SYSTEM: [sorted(set(system[number]))], **_spans_of(item)
        }  # fmt: skip
        for name, draws in rows.items():
            measured = [_measure(item, spans, score, score_pair) for spans in draws]
            values.setdefault(name, []).append(np.mean(measured, axis=0))
            counts.setdefault(name, []).append(_count_all(item, draws))
        progress(1)
    tables = {name: np.stack(row) for name, row in values.items()}
    known = items[0].chosen is not None
    found = {
        name: score_row(table, tables[LEAD], tables[ORACLE], counts[name] if known else None)
        for name, table in tables.items()
    }
    return {**describe(items, corpus), "rows": found}


def _check(items: Sequence[Judged], system: Optional[Sequence[Sequence[Span]]]) -> None:
    if not items:
        raise ValueError("There is no text to score summaries of; expected one at least.")
    if len({item.chosen is None for item in items}) > 1:
        raise ValueError("Some texts have chosen sentences and some not; expected all or none.")
    if system is None:
        return
    if len(system) != len(items):
        raise ValueError(f"{len(system)} summaries for {len(items)} texts; expected one for each.")
    for item, spans in zip(items, system):
        if not all(0 <= start < end <= len(item.text) for start, end in spans):
            raise ValueError(f"A summary of {item.id!r} has offsets outside of its text.")


def _spans_of(item: Judged) -> Dict[str, List[List[Span]]]:
    rows = choose_rows(item)
    return {
        name: [[item.sentences[i] for i in choice] for choice in choices]
        for name, choices in rows.items()
    }


def make_scorer(names: Sequence[str]) -> Scorer:
    """Make the function that computes ROUGE.

    names (Sequence[str]): of ROUGE.
    RETURNS (Scorer): called with a reference and a summary; gives precision, recall and fmeasure by
        name.
    RAISES (ValueError): rouge-score is not installed.
    """
    if find_spec("rouge_score") is None:
        raise ValueError(
            "Scores of summaries need the package rouge-score: install the extra `rouge`, for "
            "instance with pip install -e '.[rouge]'."
        )
    # imported here: it brings nltk, which pipelines should not wait for
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(names)).score


def _measure(
    item: Judged, spans: Sequence[Span], score: Scorer, score_pair: Scorer
) -> Tuple[float, ...]:
    texts = [item.text[start:end] for start, end in spans]
    found = score(item.reference, "\n".join(texts))
    return (
        *(found[name].fmeasure for name in ROUGE),
        measure_redundancy(texts, score_pair),
        measure_coverage(item.facts, spans),
        len(texts),
        sum(len(text.split()) for text in texts),
    )


def measure_redundancy(texts: Sequence[str], score: Scorer) -> float:
    """Say how much sentences of a summary repeat each other.

    texts (Sequence[str]): the sentences. score (Scorer): of ROUGE-L.
    RETURNS (float): ROUGE-L F of a sentence with the most similar other one, mean over sentences,
        0 to 1; 0 for fewer than two sentences.
    """
    n = len(texts)
    alike = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            alike[i, j] = alike[j, i] = score(texts[i], texts[j])["rougeL"].fmeasure
    return float(alike.max(axis=1).mean()) if n > 1 else 0.0


def measure_coverage(facts: Sequence[Sequence[Span]], spans: Sequence[Span]) -> float:
    """Say how many must-haves a summary names, whoever found them.

    facts (Sequence[Sequence[Span]]): for each the places that name it; one inside is enough.
    spans (Sequence[Span]): start and end of what was chosen.
    RETURNS (float): share of the facts, 0 to 1; nan without facts.
    """
    named = [
        any(low <= start and end <= high for start, end in places for low, high in spans)
        for places in facts
    ]
    return sum(named) / len(named) if named else float("nan")


def _count_all(item: Judged, draws: Sequence[Sequence[Span]]) -> Counts:
    gold, total = set(item.chosen or ()), Counts()
    for spans in draws:
        found = set(find_covered(item.sentences, spans))
        total.add(Counts(len(found & gold), len(found - gold), len(gold - found)))
    return total


def find_covered(sentences: Sequence[Span], spans: Sequence[Span]) -> Choice:
    """Say which sentences were chosen, where a system cuts the text in its own way.

    sentences (Sequence[Span]): start and end of each. spans (Sequence[Span]): of what was chosen.
    RETURNS (Choice): indices of sentences of which more than half lies in chosen spans.
    """
    return tuple(
        i
        for i, (start, end) in enumerate(sentences)
        if 2 * sum(max(0, min(end, high) - max(start, low)) for low, high in spans) > end - start
    )


def score_row(
    row: np.ndarray, lead: np.ndarray, oracle: np.ndarray, counts: Optional[Sequence[Counts]] = None
) -> Dict[str, Any]:
    """Average a row over documents.

    row (np.ndarray), lead (np.ndarray), oracle (np.ndarray): (documents, MEASURES).
    counts (Optional[Sequence[Counts]]): of chosen sentences, one a document.
    RETURNS (Dict[str, Any]): Scores as mappings by ROUGE, "redundancy" and "coverage"; mean
        "sentences" and "words"; "way": by ROUGE, how far from lead to oracle; "choice":
        precision, recall and f. None where a thing cannot be said.
    """
    found: Dict[str, Any] = {}
    for at, name in enumerate(MEASURES[:5]):
        found[name] = _plain(score_mean(row[:, at]))
    found |= {name: float(row[:, at].mean()) for at, name in enumerate(MEASURES) if at > 4}
    found["way"] = {
        name: _plain(score_way(row[:, at], lead[:, at], oracle[:, at]))
        for at, name in enumerate(ROUGE)
    }
    return {**found, "choice": None if counts is None else score_choice(counts)}


def _plain(score: Optional[Score]) -> Optional[Dict[str, float]]:
    return None if score is None else asdict(score)


def score_mean(values: np.ndarray) -> Optional[Score]:
    """Average over documents.

    values (np.ndarray): (documents,); those that are nan are left out.
    RETURNS (Optional[Score]): mean and interval; None if nothing is left.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    return _score(float(values.mean()), _resamples(len(values)) @ values)


def score_way(row: np.ndarray, lead: np.ndarray, oracle: np.ndarray) -> Optional[Score]:
    """Say how far a row gets from lead-k, 0, to the greedy oracle, 1.

    row (np.ndarray), lead (np.ndarray), oracle (np.ndarray): (documents,) values of one measure.
    RETURNS (Optional[Score]): may be below 0 or above 1; None if the oracle is not above lead-k.
    """
    gap, gain = oracle - lead, row - lead
    if gap.mean() <= 0:
        return None
    weights = _resamples(len(gap))
    gaps, gains = weights @ gap, weights @ gain
    drawn = gains[gaps > 0] / gaps[gaps > 0]
    return _score(float(gain.mean() / gap.mean()), drawn)


def score_choice(counts: Sequence[Counts]) -> Dict[str, Dict[str, float]]:
    """Precision, recall and f of chosen sentences, micro over documents, as mappings."""
    ends = bootstrap([{"": one} for one in counts])
    values = prf(micro({str(number): one for number, one in enumerate(counts)}))
    names = {"p": "precision", "r": "recall", "f": "f"}
    return {
        name: asdict(Score(value, *ends[key])) for (key, name), value in zip(names.items(), values)
    }


def _resamples(n: int, n_resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Share of each document in each resample. RETURNS: (resamples, documents)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples) / n


def _score(value: float, draws: np.ndarray) -> Score:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Score(value, float(low), float(high))


def describe(items: Sequence[Judged], corpus: str) -> Dict[str, Any]:
    """What was scored, for the record: numbers and a hash, no text."""
    digest = hashlib.sha256()
    for item in items:
        row = (item.id, item.text, item.sentences, item.reference, item.chosen, item.facts)
        digest.update((json.dumps(row) + "\n").encode("utf8"))
    return {
        "corpus": corpus,
        "protocol": PROTOCOL,
        "n_notes": len(items),
        "n_sentences": sum(len(item.sentences) for item in items),
        "n_facts": sum(len(item.facts) for item in items),
        "n_without_reference": sum(not item.reference.strip() for item in items),
        "mean_limit": sum(item.limit for item in items) / len(items),
        "data_sha256": digest.hexdigest(),
    }
