"""Strict entity scores: exact character span and type, micro over every gold mention."""

from dataclasses import astuple, dataclass
from functools import partial
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
from spacy.tokens import Doc
from spacy.training import Example

from ..attributes import ENTS_KEY

CharSpan = Tuple[int, int, str]
Scorer = Callable[..., Dict[str, Any]]


@dataclass
class Counts:
    """Matches of one label. `tp` right predictions, `fp` wrong ones, `fn` missed gold mentions."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of `other` to these."""
        self.tp, self.fp, self.fn = self.tp + other.tp, self.fp + other.fp, self.fn + other.fn


LabelCounts = Dict[str, Counts]


class Gold(NamedTuple):
    """What is right for one document; see `count_matches`."""

    mentions: List[CharSpan]
    covered: Optional[Sequence[str]] = None
    unknown: Sequence[Sequence[int]] = ()

    def count(self, predicted: Iterable[CharSpan]) -> LabelCounts:
        """Counts per label of predictions against this gold."""
        return count_matches(self.mentions, predicted, self.covered, self.unknown)


def make_ner_scorer(source: str = "spans") -> Scorer:
    """Registered as clinbert.ner_scorer.v1: the scorer of `clinbert_ner`.

    source (str): "spans" scores `doc.spans["clinbert_ents"]`, "ents" scores `doc.ents`.
    RETURNS (Callable): takes Examples, gives a dict of scores between 0 and 1.
    """
    if source not in ("spans", "ents"):
        raise ValueError(f"ner_scorer: source is {source!r}; expected 'spans' or 'ents'.")

    return partial(score_examples, source=source)


def score_examples(
    examples: Iterable[Example], source: str = "spans", **kwargs: Any
) -> Dict[str, Any]:
    """Score Examples whose references carry gold as `clinbert.Corpus.v1` writes it.

    A reference without the group is read by its `ents` (any label counts), so that plain spaCy
    corpora can be scored too; one that covers no label, or holds no entity annotation, is skipped.

    examples (Iterable[Example]): predicted and reference docs.
    source (str): "spans" or "ents", where the predictions are.
    RETURNS (Dict[str, Any]): ents_p, ents_r, ents_f, ents_macro_f, ents_per_type; all None if
        no document could be scored.
    """
    total: LabelCounts = {}
    n_scored = 0
    for example in examples:
        gold = gold_of(example.reference)
        if gold is not None:
            n_scored += 1
            merge_counts(total, gold.count(predictions_of(example.predicted, source)))
    if not n_scored:
        return dict.fromkeys(("ents_p", "ents_r", "ents_f", "ents_macro_f", "ents_per_type"))
    p, r, f = prf(micro(total))
    per_type = {label: dict(zip("prf", prf(total[label]), strict=True)) for label in sorted(total)}
    return {
        "ents_p": p,
        "ents_r": r,
        "ents_f": f,
        "ents_macro_f": macro_f(total),
        "ents_per_type": per_type,
    }


def gold_of(reference: Doc) -> Optional[Gold]:
    """Gold of a reference doc; None if the doc cannot be scored."""
    if ENTS_KEY not in reference.spans:
        if not reference.has_annotation("ENT_IOB"):
            return None
        return Gold([(e.start_char, e.end_char, e.label_) for e in reference.ents])
    group = reference.spans[ENTS_KEY]
    covered = group.attrs.get("covered")
    if covered is not None and not covered:
        return None
    if "gold" not in group.attrs:
        return Gold([(s.start_char, s.end_char, s.label_) for s in group], covered)
    mentions = [(int(g[0]), int(g[1]), str(g[2])) for g in group.attrs["gold"]]
    return Gold(mentions, covered, group.attrs.get("unknown", ()))


def predictions_of(doc: Doc, source: str = "spans") -> List[CharSpan]:
    """Predicted entities of a doc as (start, end, label) in characters.

    source (str): "spans" (nothing if the group is missing), "ents", or "any": the group if it is
        there, else `doc.ents`.
    """
    if source == "spans" or (source == "any" and ENTS_KEY in doc.spans):
        spans = doc.spans.get(ENTS_KEY, [])
    else:
        spans = doc.ents
    return [(span.start_char, span.end_char, span.label_) for span in spans]


def count_matches(
    gold: Iterable[CharSpan],
    predicted: Iterable[CharSpan],
    covered: Optional[Iterable[str]] = None,
    unknown: Iterable[Sequence[int]] = (),
) -> LabelCounts:
    """Match predictions to gold mentions, each at most once; duplicates collapse on both sides.

    A right prediction counts under its own label. A missed mention with several allowed labels
    counts under the first of them.

    gold (Iterable[CharSpan]): (start, end, allowed labels joined by "|").
    predicted (Iterable[CharSpan]): (start, end, label).
    covered (Optional[Iterable[str]]): labels that the corpus annotates; a prediction with another
        label that no gold mention allows is neither right nor wrong; a gold mention counts even
        if its label is not covered (true, but not marked everywhere). None: all labels count.
    unknown (Iterable[Sequence[int]]): (start, end) of text on which the corpus is silent; a
        prediction that touches it is right if a gold mention says so, else it does not count.
    RETURNS (Dict[str, Counts]): counts per label that occurs.
    """
    known = None if covered is None else set(covered)
    wanted, found = _by_span(gold), _by_span(predicted)
    silent = sorted((int(start), int(end)) for start, end in unknown)
    counts: LabelCounts = {}
    for span in wanted.keys() | found.keys():
        mentions, labels = sorted(wanted.get(span, ())), sorted(found.get(span, ()))
        owner = _match(mentions, labels)
        judged = not any(start < span[1] and span[0] < end for start, end in silent)
        for label in labels:
            if label in owner:
                counts.setdefault(label, Counts()).tp += 1
            elif judged and (known is None or label in known):
                counts.setdefault(label, Counts()).fp += 1
        for mention in set(mentions).difference(owner.values()):
            counts.setdefault(mention.split("|")[0], Counts()).fn += 1
    return counts


def merge_counts(total: LabelCounts, new: Mapping[str, Counts]) -> None:
    """Add the counts of `new` to `total`, label by label."""
    for label, counts in new.items():
        total.setdefault(label, Counts()).add(counts)


def micro(counts: Mapping[str, Counts]) -> Counts:
    """Sum of the counts over all labels."""
    total = Counts()
    for value in counts.values():
        total.add(value)
    return total


def prf(counts: Counts) -> Tuple[float, float, float]:
    """Precision, recall and F1 of counts, between 0 and 1; 0 where nothing divides."""
    found, wanted = counts.tp + counts.fp, counts.tp + counts.fn
    return (
        counts.tp / found if found else 0.0,
        counts.tp / wanted if wanted else 0.0,
        2 * counts.tp / (found + wanted) if found + wanted else 0.0,
    )


def macro_f(counts: Mapping[str, Counts]) -> float:
    """Mean F1 over the labels that have gold mentions; 0 without any."""
    values = [prf(c)[2] for c in counts.values() if c.tp + c.fn]
    return sum(values) / len(values) if values else 0.0


def map_labels(predicted: Iterable[CharSpan], mapping: Mapping[str, str]) -> List[CharSpan]:
    """Rename predicted labels, for instance the product's into those of a corpus.

    predicted (Iterable[CharSpan]): (start, end, label).
    mapping (Mapping[str, str]): new name of a label; predictions without one are left out.
    RETURNS (List[CharSpan]): the renamed predictions.
    """
    return [(start, end, mapping[name]) for start, end, name in predicted if name in mapping]


def invert_labels(allowed: Mapping[str, Iterable[str]]) -> Dict[str, str]:
    """Turn "corpus label -> allowed product labels" into "product label -> corpus label".

    allowed (Mapping[str, Iterable[str]]): for instance {"Disease": ["DISEASE", "SYMPTOM"]}.
    RETURNS (Dict[str, str]): for instance {"DISEASE": "Disease", "SYMPTOM": "Disease"}. Where
        two corpus labels share a product label, the one with fewer allowed labels gets it.
    """
    inverse: Dict[str, str] = {}
    ordered = sorted((len(set(names)), own, sorted(names)) for own, names in allowed.items())
    for _, own, names in ordered:
        for name in names:
            inverse.setdefault(name, own)
    return inverse


def bootstrap(
    documents: Sequence[Mapping[str, Counts]], n_resamples: int = 1000, seed: int = 0
) -> Dict[str, Tuple[float, float]]:
    """95 % percentile intervals over resampled documents.

    documents (Sequence[Mapping[str, Counts]]): counts of each document.
    n_resamples (int): how many resamples. seed (int): of the random generator.
    RETURNS (Dict[str, Tuple[float, float]]): low and high end of "p", "r", "f" and "macro_f".
    """
    if not documents:
        return dict.fromkeys(("p", "r", "f", "macro_f"), (0.0, 0.0))
    labels = sorted({label for document in documents for label in document})
    table = np.array([[astuple(d.get(x, Counts())) for x in labels] for d in documents], "f8")
    table = table.reshape(len(documents), len(labels), 3)
    rng = np.random.default_rng(seed)
    n, draws = len(documents), []
    for _ in range(n_resamples):
        # one resample at a time: the memory stays that of the table
        draws.append(np.tensordot(rng.multinomial(n, np.full(n, 1 / n)), table, axes=1))
    scores = _scores_of_draws(np.stack(draws))
    ends = {name: np.percentile(values, (2.5, 97.5)) for name, values in scores.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _scores_of_draws(draws: np.ndarray) -> Dict[str, np.ndarray]:
    """Scores of resamples: draws is (resamples, labels, 3) of tp, fp, fn."""
    tp, fp, fn = np.moveaxis(draws.sum(axis=1), -1, 0)
    label_tp, label_fp, label_fn = np.moveaxis(draws, -1, 0)
    label_f = _ratio(2 * label_tp, 2 * label_tp + label_fp + label_fn)
    has_gold = label_tp + label_fn > 0
    return {
        "p": _ratio(tp, tp + fp),
        "r": _ratio(tp, tp + fn),
        "f": _ratio(2 * tp, 2 * tp + fp + fn),
        "macro_f": _ratio((label_f * has_gold).sum(axis=1), has_gold.sum(axis=1)),
    }


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)


def _by_span(mentions: Iterable[CharSpan]) -> Dict[Tuple[int, int], set]:
    spans: Dict[Tuple[int, int], set] = {}
    for start, end, label in mentions:
        spans.setdefault((start, end), set()).add(label)
    return spans


def _match(wanted: List[str], found: List[str]) -> Dict[str, str]:
    """Match the mentions and predicted labels of one span. RETURNS: label -> mention."""
    owner: Dict[str, str] = {}
    for mention in wanted:
        _assign(mention, found, owner, set())
    return owner


def _assign(mention: str, found: List[str], owner: Dict[str, str], tried: set) -> bool:
    """Give `mention` a predicted label, moving other mentions on if needed (augmenting path)."""
    for label in mention.split("|"):
        if label in found and label not in tried:
            tried.add(label)
            if label not in owner or _assign(owner[label], found, owner, tried):
                owner[label] = mention
                return True
    return False
