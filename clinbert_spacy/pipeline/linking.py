"""`clinbert_linker`: concepts of a knowledge base for entities, abbreviations written out."""

from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import srsly
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import SimpleFrozenList

from .. import attributes

PROBLEMS, CHEMICALS = ["disease", "symptom"], ["drug", "substance", "drug_class"]
# What a label may stand for; "Disease" and "Chemical" are labels of the public corpora.
LABELS = {
    "DISEASE": PROBLEMS,
    "SYMPTOM": PROBLEMS,
    "DRUG": CHEMICALS,
    "PROCEDURE": ["procedure", "test"],
    "TEST": ["test", "procedure", "substance"],
    "ANATOMY": ["anatomy"],
    "Disease": PROBLEMS,
    "Chemical": CHEMICALS,
}
SHORT = 10  # letters of a short form, at most
BASE = "base"


@Language.factory(
    "clinbert_linker",
    requires=["doc.ents"],
    assigns=["doc.ents", "token.ent_kb_id"],
    default_config={
        "linker": {"@misc": "clinbert.ConceptLinker.v1"},
        "labels": LABELS,
        "threshold": 0.3,
        "max_concepts": 5,
        "bundle": True,
    },
)
def make_clinbert_linker(
    nlp: Language,
    name: str,
    linker: Any,
    labels: Dict[str, List[str]],
    threshold: float,
    max_concepts: int,
    bundle: bool,
) -> "ConceptLinking":
    """Construct the linker.

    linker (Linker): knowledge base, candidates and ranker; `clinbert.ConceptLinker.v1`.
    labels (Dict[str, List[str]]): By label of an entity, the kinds of concepts that it may mean;
        an empty list: any. Entities of other labels are left alone.
    threshold (float): An entity whose best concept is less probable stays without a link.
    max_concepts (int): Concepts kept of each entity.
    bundle (bool): The base is saved with the component; otherwise the config's path must be there.
    """
    return ConceptLinking(
        linker, name, labels=labels, threshold=threshold, max_concepts=max_concepts, bundle=bundle
    )


class ConceptLinking:
    """Links entities to concepts.

    Writes `kb_id_` of the entities, and `doc.spans["clinbert_concepts"]` with attrs `concepts`.
    """

    def __init__(
        self,
        linker: Any,
        name: str = "clinbert_linker",
        *,
        labels: Mapping[str, Sequence[str]] = LABELS,
        threshold: float = 0.3,
        max_concepts: int = 5,
        bundle: bool = True,
    ) -> None:
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold = {threshold}: expected a number from 0 to 1.")
        if max_concepts < 1:
            raise ValueError(f"max_concepts = {max_concepts}: expected at least 1.")
        attributes.install()
        self.linker = linker
        self.name = name
        self.kinds = {label: tuple(kinds) for label, kinds in labels.items()}
        self.threshold = threshold
        self.max_concepts = max_concepts
        self.bundle = bundle

    def __call__(self, doc: Doc) -> Doc:
        """Link the entities of a note.

        doc (Doc): The note. RETURNS (Doc): The same.
        RAISES (ValueError): There is no knowledge base.
        """
        spans = [span for span in entities_of(doc) if self._wanted(span.label_) is not None]
        concepts = self.link(doc, spans)
        ids = {
            (span.start, span.end, span.label): found[0]["id"]
            for span, found in zip(spans, concepts)
            if found
        }
        linked = [_with_id(doc, span, ids) for span in spans]
        doc.spans[attributes.CONCEPTS_KEY] = SpanGroup(
            doc, name=attributes.CONCEPTS_KEY, attrs={"concepts": concepts}, spans=linked
        )
        if attributes.ENTS_KEY in doc.spans:
            group = doc.spans[attributes.ENTS_KEY]
            doc.spans[attributes.ENTS_KEY] = SpanGroup(
                doc,
                name=attributes.ENTS_KEY,
                attrs=dict(group.attrs),
                spans=[_with_id(doc, span, ids) for span in group],
            )
        doc.set_ents([_with_id(doc, span, ids) for span in doc.ents])
        return doc

    def link(self, doc: Doc, spans: Sequence[Span]) -> List[List[Dict[str, Any]]]:
        """Rank concepts for spans.

        doc (Doc): The note, whose abbreviations are used. spans (Sequence[Span]): Mentions.
        RETURNS (List[List[Dict[str, Any]]]): For each, dicts of id, name and score, by falling
            score; none if the best is below the threshold.
        """
        self.linker.base  # noqa: B018  (a linker without one raises, even for a note without entity)
        long_forms = long_forms_of(doc, spans)
        requests = [
            self.linker.request(span.text, self._wanted(span.label_) or (), long_forms)
            for span in spans
        ]
        return [
            [found._asdict() for found in ranked[: self.max_concepts]]
            if ranked and ranked[0].score >= self.threshold
            else []
            for ranked in self.linker.rank(requests)
        ]

    def _wanted(self, label: str) -> Optional[Tuple[str, ...]]:
        """Kinds that a label stands for; a joint label, "A|B", for those of all its parts."""
        parts = [label] if label in self.kinds else label.split("|")
        if not any(part in self.kinds for part in parts):
            return None
        return tuple(dict.fromkeys(k for part in parts for k in self.kinds.get(part, ())))

    def initialize(
        self, get_examples: Any = None, *, nlp: Any = None, base: Optional[str] = None
    ) -> None:
        """Load the base that [initialize.components.clinbert_linker] names.

        base (Optional[str]): Folder that `clinbert build-kb` wrote.
        """
        if base is not None:
            self.linker.load(base)

    def to_disk(
        self, path: Union[str, Path], *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> None:
        """Save the base if it is bundled; settings stand in the config.

        path (Union[str, Path]): Folder.
        """
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        if self.bundle and self.linker.has_base():
            self.linker.to_disk(path / BASE)

    def from_disk(
        self, path: Union[str, Path], *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> "ConceptLinking":
        """Load what `to_disk` saved. path (Union[str, Path]): Folder."""
        path = Path(path)
        if (path / BASE).is_dir():
            self.linker.load(path / BASE)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = SimpleFrozenList()) -> bytes:
        """RETURNS (bytes): The base, if it is bundled."""
        packed = self.linker.to_bytes() if self.bundle and self.linker.has_base() else None
        return srsly.msgpack_dumps({BASE: packed})

    def from_bytes(
        self, data: bytes, *, exclude: Iterable[str] = SimpleFrozenList()
    ) -> "ConceptLinking":
        """Load what `to_bytes` gave. data (bytes): It."""
        packed = srsly.msgpack_loads(data)[BASE]
        if packed is not None:
            self.linker.load(packed)
        return self


def entities_of(doc: Doc) -> List[Span]:
    """Collect the entities of a note.

    doc (Doc): The note.
    RETURNS (List[Span]): Those of `doc.spans["clinbert_ents"]` and of `doc.ents`, each once.
    """
    spans = [*doc.spans.get(attributes.ENTS_KEY, ()), *doc.ents]
    return list({(span.start, span.end, span.label): span for span in spans}.values())


def long_forms_of(doc: Doc, spans: Sequence[Span]) -> Dict[str, str]:
    """Collect what short forms of a note stand for.

    An entity in parentheses right behind another defines itself: "ataxia telangiectasia (A-T)".
    Then come `clinbert_abbreviations` and scispaCy's detector, if they ran.

    doc (Doc): The note. spans (Sequence[Span]): Its entities.
    RETURNS (Dict[str, str]): Long form by short form.
    """
    group = doc.spans.get(attributes.ABBREVIATIONS_KEY, ())
    forms = group.attrs["long_forms"] if group else []
    found = {span.text: form for span, form in zip(group, forms)}
    if Doc.has_extension("abbreviations"):
        found = {**dict(map(_detected, doc._.abbreviations)), **found}
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    text = doc.text  # made anew at every look
    for first, second in zip(ordered, ordered[1:]):
        if _defines(text, first, second):
            found[second.text] = first.text
    return found


def _detected(short: Any) -> Tuple[str, str]:
    """Short and long form of scispaCy's detector: a span, or a dict where it is to be saved."""
    if isinstance(short, dict):
        return short["short_text"], short["long_text"]
    long_form = short._.long_form
    return short.text, long_form if isinstance(long_form, str) else long_form.text


def _defines(text: str, first: Span, second: Span) -> bool:
    if text[second.end_char : second.end_char + 1] != ")":
        return False
    if text[first.end_char : second.start_char].strip() != "(":
        return False
    short, long_form = second.text, first.text
    if len(short) > SHORT or " " in short or len(short) >= len(long_form):
        return False
    letters = [c.lower() for c in short if c.isalpha()]
    return any(map(str.isupper, short)) and all(c in long_form.lower() for c in letters)


def _with_id(doc: Doc, span: Span, ids: Mapping[Tuple[int, int, int], str]) -> Span:
    kb_id = ids.get((span.start, span.end, span.label), span.kb_id_)
    return Span(doc, span.start, span.end, label=span.label, kb_id=kb_id, span_id=span.id)
