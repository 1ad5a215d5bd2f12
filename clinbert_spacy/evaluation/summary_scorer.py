"""Scores of extractive summaries inside of a training: which sentences were chosen."""

from typing import Any, Callable, Dict, Iterable, Set

from spacy.tokens import Doc
from spacy.training import Example

from ..attributes import SUMMARY_KEY
from .scorers import Counts, prf


def make_summary_scorer() -> Callable[..., Dict[str, Any]]:
    """Registered as clinbert.summary_scorer.v1. RETURNS (Callable): Scores Examples."""
    return score_summaries


def score_summaries(examples: Iterable[Example], **kwargs: Any) -> Dict[str, Any]:
    """Score the choice of characters: sentences may be cut otherwise than those of the gold.

    examples (Iterable[Example]): Gold in `reference.spans["clinbert_summary"]`; Examples without it
        are left out.
    RETURNS (Dict[str, Any]): summary_p, summary_r, summary_f; empty where nothing could be scored.
    """
    counts, seen = Counts(), False
    for example in examples:
        if SUMMARY_KEY not in example.reference.spans:
            continue
        seen = True
        gold, found = _characters(example.reference), _characters(example.predicted)
        counts.add(Counts(len(gold & found), len(found - gold), len(gold - found)))
    return dict(zip(("summary_p", "summary_r", "summary_f"), prf(counts))) if seen else {}


def _characters(doc: Doc) -> Set[int]:
    """Characters of a summary, white space left out."""
    # doc.text is put together anew each time it is asked for
    spans, text = doc.spans.get(SUMMARY_KEY) or (), doc.text
    places = {i for span in spans for i in range(span.start_char, span.end_char)}
    return {i for i in places if not text[i].isspace()}
