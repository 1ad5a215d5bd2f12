"""Deletion test: is what `clinbert_evidence` shows what the classifier goes by?"""

from dataclasses import asdict
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

from ..attributes import EVIDENCE_KEY
from .classification import interval_of, resample_groups
from .documents import Documents, Task, describe
from .evaluate import Score, describe_pipeline

PROTOCOL = (
    "documents and the classes that the pipeline gives them; what the calibrated probability loses "
    "when text is deleted and the rest is read anew: top, the passage that counts most; random, "
    "mean over draws of one other passage of half to twice its length, or else of the nearest "
    "length; head, the top passage left out behind the encoder; comprehensiveness, all evidence "
    "deleted; sufficiency, all else deleted. Where passages do not cover a note, as problems do "
    "not, whole sentences that hold them are deleted. A document that cannot spare a passage is "
    "left out. Means over pairs with 95 % bootstrap intervals over groups of documents, which keep "
    "their pairs together"
)
MEASURES = (
    "top", "random", "difference", "above_random", "head", "comprehensiveness", "sufficiency"
)  # fmt: skip
# A range of tokens.
Unit = Tuple[int, int]


class Trial(NamedTuple):
    """A class that a document has, and what is left of the document by each deletion.

    label (str): the class. head (float): what the probability loses behind the encoder.
    top (str): text without the passage that counts most. without (str): without all evidence.
    kept (str): the evidence alone. others (Sequence[str]): without one other passage each; none
    where there is no other.
    """

    label: str
    head: float
    top: str
    without: str
    kept: str
    others: Sequence[str]


def evaluate_evidence(
    nlp: Language,
    task: Task,
    documents: Documents,
    *,
    component: str = "textcat_multilabel",
    draws: int = 5,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[int], None] = lambda n: None,
) -> Dict[str, Any]:
    """Delete evidence from documents, and other passages, and compare what that does.

    nlp (Language): has the component, and a `clinbert_evidence` that explains it.
    task (Task), documents (Documents): what is read; its truth is for the record alone.
    component (str): the classifier, with a `clinbert.LongTextCat.v1` in it.
    draws (int): random passages a class. seed (int): of the draws.
    batch_size (int): texts at a time. progress (Callable): called with 1 after each document.
    RETURNS (Dict[str, Any]): what was scored and by what, the MEASURES with intervals, "labels"
        with "n" and the means of each class; "n_pairs", "n_single" (pairs left out, as there is no
        other passage), "n_sentences" (documents whose sentences were deleted).
    RAISES (ValueError): nobody explains the component, no class is given, or sentences are unknown.
    """
    classifier = _explained(nlp, component)
    labels, cut = classifier.labels, classifier.model.attrs["cut"]
    rows: List[List[float]] = []
    about: List[Tuple[str, str]] = []
    n_single = n_sentences = 0
    for number, (text, group) in enumerate(zip(documents.texts, documents.groups)):
        doc = nlp(text)
        ranges = cut(doc)
        rng = np.random.default_rng([seed, number])
        trials = list(plan_trials(doc, labels, find_units(doc, ranges), draws, rng))
        paired = [trial for trial in trials if trial.others]
        n_single += len(trials) - len(paired)
        n_sentences += bool(paired) and not _covers(doc, ranges)
        rows += _try(nlp, component, doc, paired, batch_size)
        about += [(trial.label, group) for trial in paired]
        progress(1)
    record = {
        **describe(task, documents), "protocol": PROTOCOL, "pipeline": describe_pipeline(nlp),
        "component": component, "draws": draws, "seed": seed, "n_pairs": len(rows),
        "n_single": n_single, "n_sentences": n_sentences,
    }  # fmt: skip
    return {**record, **summarise(np.array(rows), about)}


def _explained(nlp: Language, component: str) -> Any:
    explained = [name for _, pipe in nlp.pipeline for name in getattr(pipe, "textcats", ())]
    if component not in explained:
        raise ValueError(
            f"No clinbert_evidence explains '{component}': the components are {nlp.pipe_names}. "
            "Add one behind it, with `textcats` that name it."
        )
    return nlp.get_pipe(component)


def find_units(doc: Doc, ranges: Sequence[Unit]) -> List[Unit]:
    """Say what can be deleted: passages if they cover the note, or else its sentences.

    doc (Doc): the note. ranges (Sequence[Unit]): tokens of its passages.
    RETURNS (List[Unit]): in order, without those of white space alone.
    RAISES (ValueError): sentences are needed, and nobody found any.
    """
    units = list(ranges)
    if not _covers(doc, ranges):
        if not doc.has_annotation("SENT_START"):
            raise ValueError(
                "The classifier reads parts of a note, such as problems, and the sentences that "
                "hold them are not known: add 'clinbert_sentences' earlier in the pipeline."
            )
        units = [(sent.start, sent.end) for sent in doc.sents]
    return [(a, b) for a, b in units if not doc[a:b].text.isspace()]


def _covers(doc: Doc, ranges: Sequence[Unit]) -> bool:
    return sum(b - a for a, b in ranges) == len(doc)


def plan_trials(
    doc: Doc, labels: Sequence[str], units: Sequence[Unit], draws: int, rng: np.random.Generator
) -> Iterator[Trial]:
    """Make the texts that are left of a note by the deletions.

    doc (Doc): the note with its evidence. labels (Sequence[str]): classes of one classifier.
    units (Sequence[Unit]): see find_units. draws (int): other passages to delete, each alone and
        none twice. rng (Generator): draws them.
    YIELDS (Trial): one for each class that was decided `yes`.
    """
    group = doc.spans[EVIDENCE_KEY]
    for label in labels:
        rows = [row for row in group.attrs["rows"] if row["label"] == label]
        if not rows or group.attrs["decisions"].get(label) != "yes":
            continue
        held = [_holding(units, (s.start, s.end)) for s in (group[r["span"]] for r in rows)]
        top, shown = _tokens(held[0]), {i for found in held for i in _tokens(found)}
        others = _draw(len(top), [u for u in units if not _tokens([u]) & top], draws, rng)
        yield Trial(
            label, rows[0]["drop"], _without(doc, top), _without(doc, shown),
            _without(doc, set(range(len(doc))) - shown),
            [_without(doc, _tokens([unit])) for unit in others],
        )  # fmt: skip


def _holding(units: Sequence[Unit], span: Unit) -> List[Unit]:
    return [(a, b) for a, b in units if a < span[1] and span[0] < b]


def _tokens(units: Sequence[Unit]) -> Set[int]:
    return {i for a, b in units for i in range(a, b)}


def _without(doc: Doc, gone: Set[int]) -> str:
    return "".join(token.text_with_ws for token in doc if token.i not in gone)


def _draw(
    length: int, units: Sequence[Unit], draws: int, rng: np.random.Generator
) -> List[Unit]:
    """Units of a similar length by chance, in order."""
    near = [(a, b) for a, b in units if length <= 2 * (b - a) <= 4 * length]
    if not near and units:
        near = [min(units, key=lambda unit: abs(unit[1] - unit[0] - length))]
    chosen = rng.choice(len(near), min(draws, len(near)), replace=False) if near else []
    return [near[i] for i in sorted(chosen)]


def _try(
    nlp: Language, component: str, doc: Doc, trials: Sequence[Trial], batch_size: int
) -> List[List[float]]:
    """The MEASURES of each trial."""
    texts = list({text: 0 for t in trials for text in (t.top, t.without, t.kept, *t.others)})
    found: Dict[str, Dict[str, float]] = {}
    # nothing behind the classifier is needed
    behind = nlp.pipe_names[nlp.pipe_names.index(component) + 1 :]
    with nlp.select_pipes(disable=behind):
        for text, left in zip(texts, nlp.pipe(texts, batch_size=batch_size)):
            found[text] = dict(left.cats)
    return [_measure(trial, doc.cats[trial.label], found) for trial in trials]


def _measure(trial: Trial, whole: float, found: Dict[str, Dict[str, float]]) -> List[float]:
    def drop(text: str) -> float:
        return whole - found[text][trial.label]

    top, random = drop(trial.top), float(np.mean([drop(text) for text in trial.others]))
    ends = (drop(trial.without), drop(trial.kept))
    return [top, random, top - random, float(top > random), trial.head, *ends]


def summarise(rows: np.ndarray, about: Sequence[Tuple[str, str]]) -> Dict[str, Any]:
    """Take means over pairs of document and class.

    rows (np.ndarray): MEASURES. Shape (pairs, measures).
    about (Sequence[Tuple[str, str]]): class and group of each.
    RETURNS (Dict[str, Any]): the MEASURES with intervals, and "labels".
    RAISES (ValueError): there is no pair.
    """
    if not len(rows):
        raise ValueError(
            "The pipeline decides `yes` of no class of a document with two passages or more; "
            "expected some: give documents of the corpus that it was trained for."
        )
    labels = np.array([label for label, _ in about])
    weights = resample_groups([group for _, group in about])
    drawn = (weights @ rows.astype("f4")) / weights.sum(1, keepdims=True)
    result: Dict[str, Any] = {
        name: asdict(Score(float(rows[:, i].mean()), *interval_of(drawn[:, i])))
        for i, name in enumerate(MEASURES)
    }
    result["labels"] = [
        {"label": label, "n": int((labels == label).sum()),
         **dict(zip(MEASURES, map(float, rows[labels == label].mean(0))))}
        for label in dict.fromkeys(sorted(labels.tolist()))
    ]  # fmt: skip
    return result
