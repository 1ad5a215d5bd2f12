"""Score a pipeline on annotated notes: raw text in, strict span and type, with intervals."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Tuple

from spacy.language import Language
from spacy.tokens import Doc

from ..attributes import ENTS_KEY
from .labels import LabelPlan
from .scorers import (
    Counts,
    LabelCounts,
    bootstrap,
    macro_f,
    map_labels,
    merge_counts,
    micro,
    predictions_of,
    prf,
)

if TYPE_CHECKING:
    from ..corpora.record import AnnotatedNote

PROTOCOL = (
    "exact character span and type; micro over all gold mentions, including those that the "
    "tokenisation cannot express; a discontinuous mention counts by its outer span; labels that "
    "the corpus does not annotate do not count; 95 % bootstrap interval over documents"
)
OPEN_TEXT = "; on text that the corpus leaves open, a prediction is right or does not count"
MAX_NOTE_LENGTH = 100_000_000
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Score:
    """A score between 0 and 1 with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelRow:
    """Scores of one label; `n` is its number of gold mentions."""

    label: str
    n: int
    precision: float
    recall: float
    f: float


@dataclass(frozen=True)
class Result:
    """What `evaluate` found. `to_dict` makes it plain for JSON.

    n_discontinuous (int): gold mentions in pieces. n_left_out (int): mentions whose label is not
    scored. n_mismatched (int): mentions that the reader refused, as their offsets do not fit.
    """

    corpus: str
    scheme: str
    pipeline: Dict[str, str]
    source: str
    n_notes: int
    n_mentions: int
    n_discontinuous: int
    n_left_out: int
    n_mismatched: int
    data_sha256: str
    precision: Score
    recall: Score
    f: Score
    macro_f: Score
    labels: Tuple[LabelRow, ...]
    protocol: str = PROTOCOL

    def to_dict(self) -> Dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers."""
        return {**asdict(self), "labels": [asdict(row) for row in self.labels]}


@dataclass
class _Tally:
    """What is kept while notes stream through: counts and a running hash, no text."""

    documents: List[LabelCounts] = field(default_factory=list)
    sha256: Any = field(default_factory=hashlib.sha256)
    n_discontinuous: int = 0
    n_left_out: int = 0
    n_mismatched: int = 0
    sources: set = field(default_factory=set)


def evaluate(
    nlp: Language,
    notes: Iterable["AnnotatedNote"],
    corpus: str,
    plan: LabelPlan,
    *,
    batch_size: int = 16,
    progress: Progress = lambda n: None,
) -> Result:
    """Run a pipeline over the text of notes and score its entities.

    Notes stream: at most a batch of them is held at a time.

    nlp (Language): the pipeline; its `doc.spans["clinbert_ents"]` is scored, or `doc.ents` if
        it writes no such group.
    notes (Iterable[AnnotatedNote]): gold notes.
    corpus (str): name of the corpus, for the record.
    plan (LabelPlan): how gold and predicted labels meet; see `labels.plan_labels`.
    batch_size (int): notes held at a time. progress (Callable): called with 1 after each note.
    RETURNS (Result): scores with intervals, a row per label, hash of the data.
    RAISES (ValueError): there is no note.
    """
    nlp.max_length = max(nlp.max_length, MAX_NOTE_LENGTH)
    tally = _Tally()
    stream = ((note.text, note) for note in notes)
    for doc, note in nlp.pipe(stream, as_tuples=True, batch_size=batch_size):
        _tally_note(tally, doc, note, plan)
        progress(1)
    if not tally.documents:
        raise ValueError(f"No note of corpus {corpus!r} to score: expected at least one.")
    return _make_result(nlp, tally, corpus, plan)


def describe_pipeline(nlp: Language) -> Dict[str, str]:
    """Name, version and components of a pipeline, for the record."""
    meta = nlp.meta
    name = "_".join(part for part in (meta.get("lang"), meta.get("name")) if part)
    return {
        "name": name,
        "version": str(meta.get("version", "")),
        "components": " ".join(nlp.pipe_names),
    }


def _tally_note(tally: _Tally, doc: Doc, note: "AnnotatedNote", plan: LabelPlan) -> None:
    gold = plan.gold_of(note)
    predicted = map_labels(predictions_of(doc, "any"), plan.predicted)
    tally.documents.append(gold.count(predicted))
    tally.n_mismatched += len(note.meta.get("mismatches", ()))
    tally.sources.add(ENTS_KEY if ENTS_KEY in doc.spans else "ents")
    tally.n_left_out += sum(mention.label not in plan.gold for mention in note.mentions)
    tally.n_discontinuous += sum(
        len(mention.spans) > 1 and mention.label in plan.gold for mention in note.mentions
    )
    for line in _canonical(note):
        tally.sha256.update(line.encode("utf8", "surrogatepass"))


def _canonical(note: "AnnotatedNote") -> Iterator[str]:
    """What the hash is made of: the same for a note whichever format it was read from."""
    yield json.dumps([note.id, note.text]) + "\n"
    mentions = sorted((list(map(list, m.spans)), m.label) for m in note.mentions)
    yield json.dumps(mentions) + "\n"


def _make_result(nlp: Language, tally: _Tally, corpus: str, plan: LabelPlan) -> Result:
    total: Dict[str, Counts] = {}
    for counts in tally.documents:
        merge_counts(total, counts)
    ends = bootstrap(tally.documents)
    precision, recall, f = prf(micro(total))
    labels = [LabelRow(x, total[x].tp + total[x].fn, *prf(total[x])) for x in sorted(total)]
    return Result(
        corpus=corpus,
        scheme=plan.scheme,
        pipeline=describe_pipeline(nlp),
        source=" ".join(sorted(tally.sources)),
        n_notes=len(tally.documents),
        n_mentions=sum(row.n for row in labels),
        n_discontinuous=tally.n_discontinuous,
        n_left_out=tally.n_left_out,
        n_mismatched=tally.n_mismatched,
        data_sha256=tally.sha256.hexdigest(),
        precision=Score(precision, *ends["p"]),
        recall=Score(recall, *ends["r"]),
        f=Score(f, *ends["f"]),
        macro_f=Score(macro_f(total), *ends["macro_f"]),
        labels=tuple(labels),
        protocol=PROTOCOL + (OPEN_TEXT if plan.unknown else ""),
    )
