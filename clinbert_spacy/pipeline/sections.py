"""`clinbert_sections`: the sections of a note under normalised names, with or without headings."""

from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model

from .. import attributes
from ..attributes import SECTIONS_KEY

DEFAULT_CONFIG = """
[model]
@architectures = "clinbert.HeadingRules.v1"
"""
DEFAULT_SECTIONS_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]


@Language.factory(
    "clinbert_sections",
    requires=["token.is_sent_start"],
    default_config={
        "model": DEFAULT_SECTIONS_MODEL,
        "scorer": {"@scorers": "clinbert.sections_scorer.v1"},
    },
    default_score_weights={"sections_f": 1.0, "sections_p": 0.0, "sections_r": 0.0},
)
def make_clinbert_sections(
    nlp: Language, name: str, model: Model, scorer: Optional[Callable]
) -> "ClinicalSections":
    """Construct the finder of sections.

    model (Model): Docs to scores of units; `attrs` hold `names`, `loss` and
        `decode`. `clinbert.HeadingRules.v1` reads known titles, `clinbert.SectionTagger.v1`
        was trained and finds sections without headings too.
    scorer (Optional[Callable]): Scores Examples.
    """
    return ClinicalSections(nlp.vocab, model, name, scorer=scorer)


class ClinicalSections(TrainablePipe):
    """Cuts notes into sections; writes `doc.spans["clinbert_sections"]`.

    A span's label is the normalised name; attrs `scores` (probabilities), `headings` (characters
    of the heading, 0 for a section without one) and `titled` (whether it is a title we know).
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "clinbert_sections",
        *,
        scorer: Optional[Callable] = None,
    ):
        attributes.install()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {}

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The normalised names."""
        return tuple(self.model.attrs["names"])

    @property
    def is_trainable(self) -> bool:
        """RETURNS (bool): Whether the model learns."""
        return bool(self.model.shims)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
    ) -> None:
        """Build the network.

        get_examples (Callable): Gives gold Examples. nlp (Optional[Language]): Unused.
        """
        sample = [eg.predicted for _, eg in zip(range(10), get_examples())]
        self.model.initialize(X=sample)

    def predict(self, docs: Iterable[Doc]) -> List[List]:
        """Find sections.

        docs (Iterable[Doc]): Notes with sentences.
        RETURNS (List[List[FoundSection]]): Per note, in order, without gaps.
        """
        return self.model.attrs["decode"](self.model, self.model.predict(list(docs)))

    def set_annotations(self, docs: Iterable[Doc], scores: List[List]) -> None:
        """Write sections on the notes.

        docs (Iterable[Doc]): The notes. scores (List): What `predict` gave.
        """
        for doc, found in zip(docs, scores):
            spans = [
                Span(doc, one.start, _last_word(doc, one.end), label=self.labels[one.name])
                for one in found
            ]
            attrs = {
                "scores": [one.score for one in found],
                "headings": [one.heading for one in found],
                "titled": [one.titled for one in found],
            }
            doc.spans[SECTIONS_KEY] = SpanGroup(doc, name=SECTIONS_KEY, attrs=attrs, spans=spans)

    def get_loss(self, examples: Iterable[Example], scores: Any) -> Tuple[float, List]:
        """Compare scores with the gold sections.

        examples (Iterable[Example]): The batch. scores (SectionScores): What the model gave.
        RETURNS (Tuple[float, List[Floats2d]]): Loss and gradient.
        """
        examples = list(examples)
        validate_examples(examples, "ClinicalSections.get_loss")
        allowed = [
            allowed_tags(eg, units.starts, self.labels) for eg, units in zip(examples, scores.units)
        ]
        return self.model.attrs["loss"](self.model, scores, allowed)


def _last_word(doc: Doc, end: int) -> int:
    """One past the last token that is not white space, before a token (-1: of the note)."""
    end = len(doc) if end < 0 else end
    while end > 1 and doc[end - 1].is_space:
        end -= 1
    return end


def allowed_tags(
    example: Example, starts: NDArray, names: Tuple[str, ...]
) -> Optional[NDArray[numpy.bool_]]:
    """Say which tags the gold leaves open.

    example (Example): Gold in `reference.spans["clinbert_sections"]`; a label such as
        `family_history|social_history` means one of the two.
    starts (NDArray): First tokens of the units of `predicted`. names (Tuple[str, ...]): Names.
    RETURNS (Optional[NDArray]): Shape (units, 2 * names): tag 2n begins a section of name n, tag
        2n + 1 goes on with it. None without gold.
    """
    if SECTIONS_KEY not in example.reference.spans:
        return None
    allowed = numpy.zeros((len(starts), 2 * len(names)), dtype=bool)
    offsets = numpy.array([example.predicted[int(i)].idx for i in starts], dtype="int64")
    for section in example.reference.spans[SECTIONS_KEY]:
        first, last = numpy.searchsorted(offsets, [section.start_char, section.end_char])
        for label in section.label_.split("|"):
            tag = 2 * names.index(label)
            allowed[first:last, tag + 1] = True
            allowed[first : first + 1, tag : tag + 2] = [True, False]
    # what no gold section covers may be anything
    allowed[~allowed.any(axis=1)] = True
    return allowed
