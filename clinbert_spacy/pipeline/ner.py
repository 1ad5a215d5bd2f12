"""`clinbert_ner`: clinical entities with probabilities, trained on partial and coarse labels."""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.util import filter_spans
from spacy.vocab import Vocab
from thinc.api import Config, Model

from .. import attributes
from .consistency import Found, agree

POLICIES = ("replace", "keep", "longest")

DEFAULT_CONFIG = """
[model]
@architectures = "clinbert.TokenTagger.v1"

[model.tok2vec]
@architectures = "clinbert.TransformerListener.v1"
upstream = "clinbert_transformer"
grad_factor = 1.0

[model.tok2vec.pooling]
@layers = "reduce_mean.v1"
"""
DEFAULT_NER_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]


@Language.factory(
    "clinbert_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={
        "model": DEFAULT_NER_MODEL,
        "ents_policy": "replace",
        "threshold": 0.0,
        "consistency": 0.0,
        "partial_labels": True,
        "scorer": {"@scorers": "clinbert.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_clinbert_ner(
    nlp: Language,
    name: str,
    model: Model,
    ents_policy: str,
    threshold: float,
    consistency: float,
    partial_labels: bool,
    scorer: Optional[Callable],
) -> "ClinicalNER":
    """Construct the entity recogniser.

    model (Model): Docs to tag scores; `attrs` hold `loss` and `decode`.
    ents_policy (str): What becomes of `doc.ents`: `replace`; `keep` never touches an entity that
        is there; `longest` keeps the longer of two that overlap.
    threshold (float): Entities of a lower probability are left out.
    consistency (float): Words that are an entity in at least this share of their occurrences in a
        note are one everywhere in it; 0 leaves each occurrence by itself. See `consistency.agree`.
    partial_labels (bool): The gold says which labels its corpus covers; labels that it does not
        cover are unknown, not absent. If False, every label is covered everywhere.
    scorer (Optional[Callable]): Scores Examples.
    """
    return ClinicalNER(
        nlp.vocab,
        model,
        name,
        ents_policy=ents_policy,
        threshold=threshold,
        consistency=consistency,
        partial_labels=partial_labels,
        scorer=scorer,
    )


class ClinicalNER(TrainablePipe):
    """Token classification over BIOES tags with a CRF that sums over what the gold leaves open.

    Writes `doc.spans["clinbert_ents"]` (all entities, attrs `scores`) and `doc.ents`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "clinbert_ner",
        *,
        ents_policy: str = "replace",
        threshold: float = 0.0,
        consistency: float = 0.0,
        partial_labels: bool = True,
        scorer: Optional[Callable] = None,
    ):
        if ents_policy not in POLICIES:
            raise ValueError(f"ents_policy = '{ents_policy}' is not one of {', '.join(POLICIES)}.")
        for setting, value in (("threshold", threshold), ("consistency", consistency)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{setting} = {value}: expected a number from 0 to 1.")
        attributes.install()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.ents_policy = ents_policy
        self.threshold = threshold
        self.consistency = consistency
        self.partial_labels = partial_labels
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {"labels": []}

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The entity labels, in the order of the tags."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> List[str]:
        """RETURNS (List[str]): What `spacy init labels` writes."""
        return list(self.labels)

    def add_label(self, label: str) -> int:
        """Add a label before the network is built.

        label (str): The label.
        RETURNS (int): 1 if it was new.
        RAISES (ValueError): The network has its labels already.
        """
        if label in self.labels:
            return 0
        if self.model.has_dim("nO"):
            raise ValueError(
                f"'{self.name}' was built for {len(self.labels)} labels and cannot take '{label}': "
                "train anew with the label in the corpus or in [initialize.components]."
            )
        self.cfg["labels"].append(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[Sequence[str]] = None,
    ) -> None:
        """Collect the labels and build the network.

        get_examples (Callable): Gives gold Examples.
        labels (Optional[Sequence[str]]): The labels; None reads them from the Examples.
        RAISES (ValueError): No label anywhere.
        """
        found: Set[str] = set(labels or ())
        sample: List[Doc] = []
        for example in get_examples():
            sample.append(example.predicted)
            if labels is None:
                found.update(*(set(allowed) for _, _, allowed in gold_spans(example)))
                found.update(self._covered(example) or ())
            elif len(sample) >= 10:
                break
        for label in sorted(found):
            self.add_label(label)
        if not self.labels:
            raise ValueError(
                f"'{self.name}' found no entity label in the training corpus. Check "
                "[corpora.train] and its label map."
            )
        self.model.set_dim("nO", len(self.labels))
        self.model.initialize(X=sample[:10])

    def predict(self, docs: Iterable[Doc]) -> List[Tuple[List[Tuple[int, int, int]], List[float]]]:
        """Find entities.

        docs (Iterable[Doc]): The notes.
        RETURNS (List): Per note, spans (start, end, label number) and their probabilities.
        """
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [([], []) for _ in docs]
        return self.model.attrs["decode"](self.model, self.model.predict(docs))

    def set_annotations(self, docs: Iterable[Doc], scores: List) -> None:
        """Write entities on the notes.

        docs (Iterable[Doc]): The notes.
        scores (List): What `predict` gave.
        """
        for doc, (spans, probabilities) in zip(docs, scores):
            found = [
                Found(start, end, label, float(p))
                for (start, end, label), p in zip(spans, probabilities)
                if p >= self.threshold
            ]
            words = doc.to_array([ORTH]).tolist() if self.consistency else []
            agreed = agree(words, found, self.consistency)
            kept = [entity for entity in agreed if entity.score >= self.threshold]
            entities = [Span(doc, e.start, e.end, label=self.labels[e.label]) for e in kept]
            doc.spans[attributes.ENTS_KEY] = SpanGroup(
                doc,
                name=attributes.ENTS_KEY,
                attrs={"scores": [entity.score for entity in kept]},
                spans=entities,
            )
            doc.set_ents(merge_entities(list(doc.ents), entities, self.ents_policy))

    def get_loss(self, examples: Iterable[Example], scores: Any) -> Tuple[float, List]:
        """Compare tag scores with what the gold allows.

        examples (Iterable[Example]): The batch.
        scores (Tagging): What the model gave in training.
        RETURNS (Tuple[float, List[Floats2d]]): Loss and gradient, zero where nothing is gold.
        """
        examples = list(examples)
        validate_examples(examples, "ClinicalNER.get_loss")
        allowed = [self._allowed(eg, tokens) for eg, tokens in zip(examples, scores.tokens)]
        return self.model.attrs["loss"](self.model, scores, allowed)

    def _covered(self, example: Example) -> Optional[List[str]]:
        """Read which labels the gold covers; None for all of them."""
        group = example.reference.spans.get(attributes.ENTS_KEY)
        covered = group.attrs.get("covered") if group is not None else None
        if covered is None and self.partial_labels:
            raise ValueError(
                f"'{self.name}' has partial_labels = true, but a training Doc does not say which "
                'labels its corpus covers (doc.spans["clinbert_ents"].attrs["covered"]). Read the '
                "corpus with clinbert.Corpus.v1, or set partial_labels = false."
            )
        return list(covered) if self.partial_labels and covered is not None else None

    def _allowed(self, example: Example, tokens: NDArray) -> NDArray[numpy.bool_]:
        covered = self._covered(example)
        known = set(self.labels if covered is None else covered)
        index = {label: i for i, label in enumerate(self.labels)}
        position = {int(token): i for i, token in enumerate(tokens)}
        spans = []
        for start, end, names in gold_spans(example):
            inside = [position[t] for t in range(start, end) if t in position]
            numbers = [index[name] for name in names if name in index]
            if inside and numbers:
                spans.append((inside[0], inside[-1] + 1, numbers))
        unknown = [i for name, i in index.items() if name not in known]
        allowed = allowed_tags(len(tokens), spans, unknown, len(index))
        open_words = [position[t] for t in unknown_tokens(example) if t in position]
        allowed[open_words] = True
        return allowed


def gold_spans(example: Example) -> List[Tuple[int, int, List[str]]]:
    """Read the gold entities, longest first where they overlap.

    example (Example): `reference.spans["clinbert_ents"]` if present, else `reference.ents`; a
        label such as `DISEASE|SYMPTOM` means one of the two.
    RETURNS (List): Spans in tokens of `predicted`: start, end, allowed labels.
    """
    reference, predicted = example.reference, example.predicted
    group = reference.spans.get(attributes.ENTS_KEY)
    spans = filter_spans(list(group if group is not None else reference.ents))
    aligned = [
        (predicted.char_span(s.start_char, s.end_char, alignment_mode="expand"), s.label_)
        for s in spans
    ]
    return [(s.start, s.end, label.split("|")) for s, label in aligned if s is not None]


def unknown_tokens(example: Example) -> Iterator[int]:
    """List the tokens about which the gold says nothing at all.

    example (Example): The reference group's attrs may hold `unknown`, a list of character ranges.
    YIELDS (int): Indices of tokens of `predicted`, those of gold mentions left out.
    """
    group = example.reference.spans.get(attributes.ENTS_KEY)
    ranges = group.attrs.get("unknown", []) if group is not None else []
    marked = {t for start, end, _ in gold_spans(example) for t in range(start, end)}
    for start, end in ranges:
        span = example.predicted.char_span(start, end, alignment_mode="expand")
        if span is not None:
            yield from (t for t in range(span.start, span.end) if t not in marked)


def allowed_tags(
    n_words: int, spans: Iterable[Tuple[int, int, List[int]]], unknown: List[int], n_labels: int
) -> NDArray[numpy.bool_]:
    """Say which BIOES tags the gold leaves open.

    n_words (int): Words of the note.
    spans (Iterable): Mentions: first word, one past the last, label numbers it may have.
    unknown (List[int]): Labels that the corpus does not annotate: possible on any free word.
    n_labels (int): Number of labels.
    RETURNS (NDArray): Shape (n_words, 1 + 4 * n_labels); tag 0 is `O`, then `B I E S` per label.
    """
    allowed = numpy.zeros((n_words, 1 + 4 * n_labels), dtype=bool)
    allowed[:, 0] = True
    for label in unknown:
        allowed[:, 1 + 4 * label : 5 + 4 * label] = True
    for start, end, labels in spans:
        allowed[start:end] = False
        first = 1 + 4 * numpy.array(labels)
        if end - start == 1:
            allowed[start, first + 3] = True
            continue
        allowed[start, first] = True
        allowed[start + 1 : end - 1, first] = False
        for row in range(start + 1, end - 1):
            allowed[row, first + 1] = True
        allowed[end - 1, first + 2] = True
    return allowed


def merge_entities(present: List[Span], found: List[Span], policy: str) -> List[Span]:
    """Decide what `doc.ents` becomes.

    present (List[Span]): Entities that are there.
    found (List[Span]): Entities of this component.
    policy (str): `replace`, `keep` or `longest`.
    RETURNS (List[Span]): Entities that do not overlap.
    """
    if policy == "replace":
        return filter_spans(found)
    if policy == "longest":
        return filter_spans(present + found)
    taken = {i for span in present for i in range(span.start, span.end)}
    free = [s for s in found if taken.isdisjoint(range(s.start, s.end))]
    return present + filter_spans(free)
