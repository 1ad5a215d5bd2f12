"""Score a pipeline on annotated notes: raw text in, strict span and type, with intervals."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    Sequence,
    Tuple,
)

from spacy.language import Language
from spacy.tokens import Doc

from .scorers import (
    SPAN_GROUP,
    Counts,
    Gold,
    LabelCounts,
    bootstrap,
    invert_labels,
    macro_f,
    map_labels,
    merge_counts,
    micro,
    predictions_of,
    prf,
)

if TYPE_CHECKING:
    from ..corpora.record import AnnotatedNote
    from ..corpora.schema import CorpusSchema

PROTOCOL = (
    "exact character span and type; micro over all gold mentions, including those that the "
    "tokenisation cannot express; a discontinuous mention counts by its outer span; labels that "
    "the corpus does not annotate do not count; 95 % bootstrap interval over documents"
)
MAX_NOTE_LENGTH = 100_000_000
Progress = Callable[[int], None]


@dataclass(frozen=True)
class LabelPlan:
    """How gold and predicted labels meet.

    scheme (str): "own" or "product".
    gold (Mapping[str, Tuple[str, ...]]): label in the corpus file -> labels that are right for it;
        a label that is not in it is left out of the scoring, and counted as such.
    covered (Tuple[str, ...]): labels that the corpus annotates.
    predicted (Mapping[str, str]): label of the pipeline -> label scored; others are ignored.
    unknown (FrozenSet[str]): labels in the file over whose text no prediction is wrong.
    known (FrozenSet[str]): every label that the file may hold.
    """

    scheme: str
    gold: Mapping[str, Tuple[str, ...]]
    covered: Tuple[str, ...]
    predicted: Mapping[str, str]
    unknown: FrozenSet[str] = frozenset()
    known: FrozenSet[str] = frozenset()

    def gold_of(self, note: "AnnotatedNote") -> Gold:
        """Gold of a note in the labels scored.

        RAISES (ValueError): a mention has a label that the corpus is not known to use.
        """
        for mention in note.mentions:
            if mention.label not in self.known:
                raise ValueError(
                    f"Note {note.id!r}, mention {mention.id!r}: label {mention.label!r} is not "
                    f"among {sorted(self.known)}. Is this the right --corpus?"
                )
        mentions = [
            (mention.start, mention.end, "|".join(sorted(self.gold[mention.label])))
            for mention in note.mentions
            if mention.label in self.gold
        ]
        silent = [s for m in note.mentions if m.label in self.unknown for s in m.spans]
        own = self.scheme == "own"
        return Gold(mentions, self.covered if own else covered_by(note, self.covered), silent)


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
    plan (LabelPlan): how gold and predicted labels meet; see `plan_labels`.
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
    return _make_result(nlp, tally, corpus, plan.scheme)


def plan_labels(
    schema: "CorpusSchema", pipeline_labels: Iterable[str], scheme: str = "auto"
) -> LabelPlan:
    """Decide in which labels a pipeline is scored on a corpus.

    "own": the corpus' labels; a pipeline that speaks product labels has them mapped, and only
    labels with a product label are scored. "product": product labels; a coarse gold label allows
    several. "auto": "own", unless product labels would have to be mapped and one of them stands
    for two labels of the corpus.

    schema (CorpusSchema): the corpus' entry in the label schema.
    pipeline_labels (Iterable[str]): labels that the pipeline predicts.
    scheme (str): "own", "product" or "auto".
    RETURNS (LabelPlan): the plan, with the scheme taken.
    RAISES (ValueError): an unknown scheme, or "product" for a corpus that covers no label.
    """
    if scheme not in ("own", "product", "auto"):
        raise ValueError(f"Label scheme is {scheme!r}; expected 'own', 'product' or 'auto'.")
    own = {label: schema.own.get(label, label) for label in schema.rules}
    allowed: Dict[str, set] = {}
    for label, rule in schema.rules.items():
        allowed.setdefault(own[label], set()).update(rule.product)
    if not set(pipeline_labels).isdisjoint(allowed):
        inverse, scored = {name: name for name in allowed}, set(allowed)
    else:
        inverse, scored = invert_labels(allowed), {name for name in allowed if allowed[name]}
    ambiguous = sum(map(len, allowed.values())) > len(set().union(*allowed.values()))
    foreign = set(inverse) != set(allowed)
    if scheme == "product" or (scheme == "auto" and foreign and ambiguous and schema.covered):
        return _plan_product(schema)
    gold = {label: (name,) for label, name in own.items() if name in scored}
    known = frozenset(own)
    return LabelPlan("own", gold, tuple(sorted(scored)), inverse, known=known)


def covered_by(note: "AnnotatedNote", default: Sequence[str]) -> Sequence[str]:
    """Product labels that a note covers: its own list if it has one, else the corpus'."""
    return note.meta.get("covered", default)


def labels_of(nlp: Language) -> List[str]:
    """Labels of the components of a pipeline that say they write entities or spans."""
    labels: set = set()
    for name in nlp.pipe_names:
        assigns = nlp.get_pipe_meta(name).assigns
        if "doc.ents" in assigns or "doc.spans" in assigns:
            labels.update(getattr(nlp.get_pipe(name), "labels", ()))
    return sorted(labels)


def describe_pipeline(nlp: Language) -> Dict[str, str]:
    """Name, version and components of a pipeline, for the record."""
    meta = nlp.meta
    name = "_".join(part for part in (meta.get("lang"), meta.get("name")) if part)
    return {
        "name": name,
        "version": str(meta.get("version", "")),
        "components": " ".join(nlp.pipe_names),
    }


def _plan_product(schema: "CorpusSchema") -> LabelPlan:
    scheme = schema.scheme("product")
    if not scheme.covered:
        raise ValueError(
            f"Corpus {schema.name!r} marks no product label exhaustively, so a prediction that it "
            "lacks is not wrong and product labels cannot be scored on it. Use --scheme own."
        )
    gold = {label: tuple(names) for label, names in scheme.labels.items() if names}
    predicted = {name: name for names in gold.values() for name in names}
    known = frozenset(scheme.labels)
    return LabelPlan("product", gold, tuple(scheme.covered), predicted, scheme.unknown, known)


def _tally_note(tally: _Tally, doc: Doc, note: "AnnotatedNote", plan: LabelPlan) -> None:
    gold = plan.gold_of(note)
    predicted = map_labels(predictions_of(doc, "any"), plan.predicted)
    tally.documents.append(gold.count(predicted))
    tally.n_mismatched += len(note.meta.get("mismatches", ()))
    tally.sources.add(SPAN_GROUP if SPAN_GROUP in doc.spans else "ents")
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


def _make_result(nlp: Language, tally: _Tally, corpus: str, scheme: str) -> Result:
    total: Dict[str, Counts] = {}
    for counts in tally.documents:
        merge_counts(total, counts)
    ends = bootstrap(tally.documents)
    precision, recall, f = prf(micro(total))
    labels = [LabelRow(x, total[x].tp + total[x].fn, *prf(total[x])) for x in sorted(total)]
    return Result(
        corpus=corpus,
        scheme=scheme,
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
    )
