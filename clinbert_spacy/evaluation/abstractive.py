"""Score generated summaries: ROUGE beside plain rows, and how many of them are flagged."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from ..attributes import Abstract
from .summaries import ROUGE, make_scorer, score_mean
from .summary_rows import spend

GENERATED, REFERENCE, LEAD, FIRST, COMMON = (
    "generated", "reference", "lead-k", "first sentence", "most frequent",
)  # fmt: skip
PROTOCOL = (
    "ROUGE F of package rouge-score without stemming against the reference, mean over texts; "
    "lead-k: first sentences that fit in as many words as the reference has; most frequent: the "
    "commonest summary of the training part for every text; flagged: share of texts in whose "
    "summary an entity, number, date, negation or pair is not borne out by the text, also of the "
    "references and of lead-k under the same check; 95 % bootstrap interval over texts"
)
Span = Tuple[int, int]


def plain_rows(
    texts: Sequence[str],
    sentences: Sequence[Sequence[Span]],
    references: Sequence[str],
    learned: Sequence[str],
) -> Dict[str, List[str]]:
    """Summarise in plain ways, to see a generator beside.

    texts (Sequence[str]): the sources. sentences (Sequence[Sequence[Span]]): of each, in order.
    references (Sequence[str]): their lengths are lead-k's limits.
    learned (Sequence[str]): summaries of the training part.
    RETURNS (Dict[str, List[str]]): by row, a summary a text.
    """
    rows: Dict[str, List[str]] = {LEAD: [], FIRST: []}
    for text, spans, reference in zip(texts, sentences, references):
        parts = [text[start:end] for start, end in spans]
        costs = [len(part.split()) for part in parts]
        chosen = spend(range(len(parts)), costs, len(reference.split()))
        rows[LEAD].append("\n".join(parts[i] for i in chosen))
        rows[FIRST].append(parts[0] if parts else "")
    if learned:
        rows[COMMON] = [Counter(learned).most_common(1)[0][0]] * len(texts)
    return rows


def score_abstracts(
    references: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    judged: Mapping[str, Sequence[Abstract]],
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Score rows of summaries.

    references (Sequence[str]): one a text. rows (Mapping[str, Sequence[str]]): summaries by row.
    judged (Mapping[str, Sequence[Abstract]]): by row, the check of each, where it was made.
    progress (Callable): called with 1 per row.
    RETURNS (Dict[str, Any]): by row, scores with their intervals by ROUGE, mean "words",
        "flagged" and how many flags of each reason; what was scored.
    RAISES (ValueError): no text, a row of another length, or rouge-score is not installed.
    """
    lengths = {len(row) for row in (*rows.values(), *judged.values())}
    if not references or lengths - {len(references)}:
        raise ValueError(
            f"{len(references)} references and rows of {sorted(lengths)}: expected as many, and "
            "one at least."
        )
    score = make_scorer(ROUGE)
    found = {}
    for name, summaries in rows.items():
        found[name] = {
            **_rouge(score, references, summaries),
            "words": float(np.mean([len(text.split()) for text in summaries])),
        }
        progress(1)
    for name, checked in judged.items():
        found.setdefault(name, {}).update(count_flags(checked))
    return {"protocol": PROTOCOL, "n_texts": len(references), "rows": found}


def _rouge(
    score: Callable, references: Sequence[str], summaries: Sequence[str]
) -> Dict[str, Any]:
    values = [score(reference, summary) for reference, summary in zip(references, summaries)]
    means = {name: score_mean(np.array([v[name].fmeasure for v in values])) for name in ROUGE}
    return {name: None if mean is None else asdict(mean) for name, mean in means.items()}


def count_flags(checked: Sequence[Abstract]) -> Dict[str, Any]:
    """Count what was flagged.

    checked (Sequence[Abstract]): one a text.
    RETURNS (Dict[str, Any]): "flagged", share of texts with a flag and its interval; "reasons",
        flags by reason; "truncated", texts that were not read to their end; "checks".
    """
    share = score_mean(np.array([float(bool(one.flags)) for one in checked]))
    reasons = Counter(flag.reason for one in checked for flag in one.flags)
    return {
        "flagged": None if share is None else asdict(share),
        "reasons": dict(reasons.most_common()),
        "truncated": sum(one.truncated for one in checked),
        "checks": sorted({check for one in checked for check in one.checks}),
    }


def hash_pairs(pairs: Sequence[Tuple[str, str, str]]) -> str:
    """Hash what was scored. pairs (Sequence): id, source and summary of each.

    RETURNS (str): SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update((json.dumps(pair) + "\n").encode("utf8"))
    return digest.hexdigest()
