"""`clinbert_summary`: the sentences from which a colleague could take over, word for word."""

import math
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model

from .. import attributes
from ..attributes import SUMMARY_KEY
from .optional_model import OptionalModel
from .summary_choice import Chooser, Material, central
from .summary_facts import (
    Note,
    Telling,
    find_needs,
    find_tellings,
    identified,
    kinds_told,
    read_note,
)

DEFAULT_CONFIG = """
[model]
@architectures = "clinbert.SentenceScorer.v1"

[model.tok2vec]
@architectures = "clinbert.TransformerListener.v1"
upstream = "clinbert_transformer"
grad_factor = 0.0

[model.tok2vec.pooling]
@layers = "reduce_mean.v1"
"""
DEFAULT_SUMMARY_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]
METHODS = ("model", "central")
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(%|w)?")
# Scores and vectors of sentences, and what was read of the note, if it was.
Scored = Tuple[Any, ...]


@Language.factory(
    "clinbert_summary",
    assigns=["doc.spans"],
    requires=["token.is_sent_start"],
    default_config={
        "model": DEFAULT_SUMMARY_MODEL,
        "method": "model",
        "budget": "20%",
        "redundancy": 0.3,
        "scorer": {"@scorers": "clinbert.summary_scorer.v1"},
    },
    default_score_weights={"summary_f": 1.0, "summary_p": 0.0, "summary_r": 0.0},
)
def make_clinbert_summary(
    nlp: Language,
    name: str,
    model: Optional[Model],
    method: str,
    budget: Union[str, int],
    redundancy: float,
    scorer: Optional[Callable],
) -> "Summary":
    """Construct the component.

    model (Optional[Model]): Docs to scores of sentences; may be None for `method = "central"`.
    method (str): Who scores sentences: `model`, as it learned; `central`, how alike a sentence is
        to the rest of the note, without any training.
    budget (Union[str, int]): Most of a summary: `5` sentences, `80w` words, `20%` of the note's
        sentences.
    redundancy (float): How much likeness to what is chosen counts against a sentence, in [0, 1].
    scorer (Optional[Callable]): Scores Examples.
    """
    return Summary(
        nlp.vocab, model, name, method=method, budget=budget, redundancy=redundancy, scorer=scorer
    )


class Summary(OptionalModel):
    """Chooses sentences; writes `doc.spans["clinbert_summary"]`, in the order of the note.

    Side effects and allergies come first, whatever their score, where the budget has room for all
    of them; where it has not, a model's scores decide alone, and without one as many come as fit.
    A sentence that another one turns around (a "no" in the line before, a heading) comes with it or
    not at all. The group's attrs hold `scores`, by sentence.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Optional[Model],
        name: str = "clinbert_summary",
        *,
        method: str = "model",
        budget: Union[str, int] = "20%",
        redundancy: float = 0.3,
        scorer: Optional[Callable] = None,
    ):
        if method not in METHODS:
            raise ValueError(f"method = '{method}' is not one of {', '.join(METHODS)}.")
        if model is None and method == "model":
            raise ValueError("method = 'model' needs a model; 'central' goes without one.")
        if not 0.0 <= redundancy <= 1.0:
            raise ValueError(f"redundancy = {redundancy}: expected a number from 0 to 1.")
        attributes.install()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.method = method
        self.budget = budget
        self.redundancy = redundancy
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {}

    @property
    def budget(self) -> str:
        """RETURNS (str): Most of a summary, as in the config."""
        return self._budget

    @budget.setter
    def budget(self, value: Union[str, int]) -> None:
        parse_budget(value)
        self._budget = str(value)

    @property
    def is_trainable(self) -> bool:
        """RETURNS (bool): Whether there is a model to train."""
        return self.model is not None

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): None: sentences have no label."""
        return ()

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
    ) -> None:
        """Build the network.

        get_examples (Callable): Gives gold Examples. nlp (Optional[Language]): Unused.
        """
        if self.model is not None:
            self.model.initialize(X=[eg.predicted for _, eg in zip(range(10), get_examples())])

    def ask(self, doc: Doc) -> List[Span]:
        """Write the sentences of a Doc, and what is known of them.

        doc (Doc): The note. RETURNS (List[Span]): All of its sentences.
        RAISES (ValueError): The note has none.
        """
        self._check_sentences(doc)
        return self._ask(doc)[0].sentences

    def _check_sentences(self, doc: Doc) -> None:
        if len(doc) and not doc.has_annotation("SENT_START"):
            raise ValueError(
                f"'{self.name}' chooses sentences, and this Doc has none: put "
                "'clinbert_sentences' (or another component that sets them) before it."
            )

    def _ask(self, doc: Doc) -> Tuple[Note, List[Telling]]:
        note = read_note(doc)
        tellings = find_tellings(note)
        attrs = {
            "sections": note.sections,
            "told": kinds_told(tellings, len(note.sentences)).tolist(),
        }
        group = SpanGroup(doc, name=SUMMARY_KEY, attrs=attrs, spans=note.sentences)
        doc.spans[SUMMARY_KEY] = group
        return note, tellings

    def predict(self, docs: Iterable[Doc]) -> List[Scored]:
        """Score the sentences of notes.

        docs (Iterable[Doc]): The notes.
        RETURNS (List[Scored]): Scores and vectors of each note's sentences, and what was read.
        """
        docs = list(docs)
        for doc in docs:
            self._check_sentences(doc)
        read = [self._ask(doc) for doc in docs]
        if self.model is not None and self.method == "model":
            found = self.model.attrs["decode"](self.model, self.model.predict(docs))
        else:
            vectors = [word_vectors(note.sentences) for note, _ in read]
            found = [(central(rows), rows) for rows in vectors]
        return [(*one, *known) for one, known in zip(found, read)]

    def set_annotations(self, docs: Iterable[Doc], scores: List[Scored]) -> None:
        """Write the summaries.

        docs (Iterable[Doc]): The notes. scores (List[Scored]): What `predict` gave.
        """
        for doc, (values, vectors, *known) in zip(docs, scores):
            note, tellings = known or self._ask(doc)
            chosen = self._choose(note, tellings, values, vectors)
            attrs = {"scores": [float(values[i]) for i in chosen], "budget": self.budget}
            spans = [_bare(note.sentences[i]) for i in chosen]
            doc.spans[SUMMARY_KEY] = SpanGroup(doc, name=SUMMARY_KEY, attrs=attrs, spans=spans)

    def _choose(
        self, note: Note, tellings: Sequence[Telling], scores: NDArray, vectors: NDArray
    ) -> List[int]:
        costs, limit = measure(note.sentences, self.budget)
        words = [" ".join(text.lower().split()) for text in note.texts]
        blank = {i for i, said in enumerate(words) if not said}
        material = Material(
            scores, _centred(vectors), costs, tellings, find_needs(note),
            identified(note.doc) | blank, words,
        )  # fmt: skip
        # who learned what counts knows side effects, too; likeness alone does not
        partly = self.method != "model"
        return Chooser(material, limit, self.redundancy, partly).choose()

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from a batch.

        examples (Iterable[Example]): The batch. drop (float): Unused by our networks.
        sgd (Optional[Optimizer]): The optimizer. losses (Optional[Dict]): Updated.
        RETURNS (Dict[str, float]): The losses.
        """
        examples = list(examples)
        for example in examples:
            self.ask(example.predicted)
        return super().update(examples, drop=drop, sgd=sgd, losses=losses)

    def get_loss(self, examples: Iterable[Example], scores: Any) -> Tuple[float, Any]:
        """Compare scores with the gold summaries.

        examples (Iterable[Example]): The batch. scores (SentenceScores): What the model gave.
        RETURNS (Tuple[float, Floats1d]): Loss and gradient.
        """
        examples = list(examples)
        validate_examples(examples, "Summary.get_loss")
        if self.model is None:
            raise ValueError(f"'{self.name}' has no model to train: method = '{self.method}'.")
        gold = numpy.concatenate([gold_sentences(example) for example in examples])
        return self.model.attrs["loss"](self.model, scores, gold)


def parse_budget(text: Union[str, int]) -> Tuple[float, str]:
    """Read a budget.

    text (Union[str, int]): e.g. `5`, `80w`, `20%`.
    RETURNS (Tuple[float, str]): number, and `sentences`, `w` or `%`.
    RAISES (ValueError): another shape, half a sentence, or more than 100 %.
    """
    match = BUDGET.fullmatch(str(text).strip())
    number, unit = (float(match[1]), match[2] or "sentences") if match else (-1.0, "")
    whole = unit == "%" or number % 1 == 0
    if match is None or not whole or (unit == "%" and number > 100):
        raise ValueError(f"budget = '{text}': expected e.g. '5' (sentences), '80w' or '20%'.")
    return number, unit


def measure(sentences: Sequence[Span], budget: str) -> Tuple[List[int], int]:
    """Weigh sentences under a budget.

    sentences (Sequence[Span]): of a note. budget (str): see `parse_budget`. A share above 0 is at
        least one sentence.
    RETURNS (Tuple[List[int], int]): cost of each, and most that a summary may cost.
    """
    number, unit = parse_budget(budget)
    if unit == "w":
        return [len(s.text.split()) for s in sentences], int(number)
    # 65.1 % of 1000 are 651, however the product is rounded
    share = math.floor(len(sentences) * number / 100 + 1e-9) if unit == "%" else int(number)
    least = int(unit == "%" and number > 0)
    return [1] * len(sentences), max(share, least)


def word_vectors(sentences: Sequence[Span]) -> NDArray:
    """Weigh the words of sentences by how few of the note's sentences have them (TF-IDF).

    sentences (Sequence[Span]): of a note.
    RETURNS (NDArray): of length 1, or 0 without words. Shape (sentences, words of the note).
    """
    words = [[t.lower_ for t in s if t.is_alpha or t.like_num] for s in sentences]
    place = {word: i for i, word in enumerate(sorted({w for one in words for w in one}))}
    found = numpy.zeros((len(words), len(place)), dtype="float32")
    for i, one in enumerate(words):
        for word in one:
            found[i, place[word]] += 1
    weights = numpy.log((1 + len(words)) / (1 + (found > 0).sum(axis=0))) + 1
    return _unit(numpy.log1p(found) * weights)


def gold_sentences(example: Example) -> NDArray:
    """Find the predicted sentences that a gold summary holds: half of what is no white space.

    example (Example): asked; the reference's group `clinbert_summary` has the gold sentences.
    RETURNS (NDArray): 1 in the summary, 0 not, -1 unknown. Shape (sentences,), float32.
    """
    sentences = example.predicted.spans[SUMMARY_KEY]
    group = example.reference.spans.get(SUMMARY_KEY)
    if group is None:
        return numpy.full(len(sentences), -1.0, dtype="float32")
    text = example.reference.text
    inside, shown = numpy.zeros(len(text)), numpy.array([not x.isspace() for x in text], dtype=bool)
    for span in group:
        inside[span.start_char : span.end_char] = 1
    places = [slice(s.start_char, s.end_char) for s in sentences]
    counts = [(inside[place][shown[place]].sum(), shown[place].sum()) for place in places]
    return numpy.array([0 < total <= 2 * chosen for chosen, total in counts], dtype="float32")


def _bare(sentence: Span) -> Span:
    """A sentence without the white space around it."""
    start, end = sentence.start, sentence.end
    while start < end and sentence.doc[start].is_space:
        start += 1
    while end > start and sentence.doc[end - 1].is_space:
        end -= 1
    return sentence.doc[start:end]


def _unit(rows: NDArray) -> NDArray:
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return rows / numpy.maximum(lengths, 1e-12)


def _centred(rows: NDArray) -> NDArray:
    """Vectors of an encoder lie close together: what they share says nothing of likeness."""
    return _unit(rows - rows.mean(axis=0)) if len(rows) else rows
