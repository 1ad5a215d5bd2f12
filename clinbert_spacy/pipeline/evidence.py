"""`clinbert_evidence`: the passages that decided on the classes of a note."""

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import minibatch

from .. import attributes
from ..attributes import EVIDENCE_KEY

# A passage, a class, and what its probability loses without the passage.
Piece = Tuple[Tuple[int, int], str, float]
# Batches of another size change probabilities by far less, another classifier by more.
SAME = 0.01


@Language.factory(
    "clinbert_evidence",
    assigns=["doc.spans"],
    requires=["doc.cats"],
    default_config={"textcats": ["textcat_multilabel"], "most": 3, "least": 0.01},
)
def make_clinbert_evidence(
    nlp: Language, name: str, textcats: List[str], most: int, least: float
) -> "Evidence":
    """Construct the component.

    textcats (List[str]): Components that classify, with a `clinbert.LongTextCat.v1` in them.
    most (int): Most passages of a class. least (float): What the probability must lose without one.
    """
    return Evidence(nlp, name, textcats=textcats, most=most, least=least)


class Evidence(Pipe):
    """Finds the passages without which a class would be less likely.

    Writes `doc.spans["clinbert_evidence"]`: passages in the order of the note, each once. Its attrs
    hold `rows` (dicts of span, label, drop), the greatest drop of a class first, and `decisions`
    (`yes`, `no`, `unsure` by class). Classes that are decided `no` have no rows; any other has at
    least one, if the note has passages at all.
    """

    def __init__(
        self,
        nlp: Language,
        name: str = "clinbert_evidence",
        *,
        textcats: Sequence[str] = ("textcat_multilabel",),
        most: int = 3,
        least: float = 0.01,
    ):
        if most < 1 or not 0.0 <= least < 1.0:
            raise ValueError(
                f"most = {most}, least = {least}: expected at least 1, and a number from 0 to 1."
            )
        attributes.install()
        self.nlp = nlp
        self.name = name
        self.textcats = list(textcats)
        self.most = most
        self.least = least

    def __call__(self, doc: Doc) -> Doc:
        """Find the evidence of a note.

        doc (Doc): The note, classified. RETURNS (Doc): The same.
        """
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Find the evidence of many notes.

        stream (Iterable[Doc]): The notes. batch_size (int): How many at a time.
        YIELDS (Doc): The notes in their order.
        """
        for docs in minibatch(stream, size=batch_size):
            self._annotate(docs)
            yield from docs

    def _annotate(self, docs: Sequence[Doc]) -> None:
        found: List[Tuple[List[Piece], Dict[str, str]]] = [([], {}) for _ in docs]
        for name in self.textcats:
            classifier = self._classifier(name)
            model, labels = classifier.model, classifier.labels
            for i, passages in enumerate(model.attrs["judge"](model, list(docs))):
                self._check_cats(docs[i], name, labels, passages.whole)
                threshold = classifier.cfg["threshold"] or 0.5
                decisions = model.attrs["decide"](model, labels, passages.whole, threshold)
                found[i][0].extend(self._pieces(passages, labels, decisions))
                found[i][1].update(decisions)
        for doc, (pieces, decisions) in zip(docs, found):
            _write(doc, pieces, decisions)

    def _classifier(self, name: str) -> Any:
        if name not in self.nlp.component_names:
            raise ValueError(
                f"'{self.name}' explains a component '{name}', and the pipeline has none among "
                f"{self.nlp.component_names}: set `textcats` to those that classify."
            )
        found = self.nlp.get_pipe(name)
        if "judge" not in getattr(getattr(found, "model", None), "attrs", {}):
            raise ValueError(
                f"'{self.name}' explains classes of a clinbert.LongTextCat.v1, and '{name}' has "
                "another model: train it with that architecture, or take it out of `textcats`."
            )
        return found

    def _check_cats(self, doc: Doc, name: str, labels: Sequence[str], values: NDArray) -> None:
        given = numpy.array([doc.cats.get(label, numpy.inf) for label in labels])
        if len(labels) and numpy.abs(given - values).max() > SAME:
            raise ValueError(
                f"'{self.name}' explains '{name}', and doc.cats is not what that one gives: let it "
                "run after it, name classes differently where there are several classifiers, and "
                "add it by add_pipe('clinbert_evidence'): one that is taken from another pipeline "
                "goes on to explain the components of that."
            )

    def _pieces(
        self, passages: Any, labels: Sequence[str], decisions: Mapping[str, str]
    ) -> Iterator[Piece]:
        if not passages.ranges:
            return
        drops: NDArray = passages.whole[None] - passages.without
        for i, label in enumerate(labels):
            if decisions[label] != "no":
                for j in self._chosen(drops[:, i], passages.scores[:, i]):
                    yield passages.ranges[j], label, float(drops[j, i])

    def _chosen(self, drops: NDArray, scores: NDArray) -> List[int]:
        """Passages that count; where several say the same and none is missed, what says it best."""
        order = numpy.lexsort((-scores, -drops))[: self.most].tolist()
        return [j for j in order if drops[j] >= self.least] or [int(scores.argmax())]


def _write(doc: Doc, pieces: Sequence[Piece], decisions: Mapping[str, str]) -> None:
    shown = sorted({place for place, _, _ in pieces})
    number = {place: i for i, place in enumerate(shown)}
    rows = [{"span": number[p], "label": label, "drop": drop} for p, label, drop in pieces]
    attrs = {"rows": rows, "decisions": dict(decisions)}
    spans = [Span(doc, *place) for place in shown]
    doc.spans[EVIDENCE_KEY] = SpanGroup(doc, name=EVIDENCE_KEY, spans=spans, attrs=attrs)
