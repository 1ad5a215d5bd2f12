"""Invented notes with marked entities and gold links, and a small pipeline that reads them."""

from functools import cache
from typing import Any, Dict, List, Sequence, Tuple

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from thinc.api import Model

from clinbert_spacy.corpora.record import AnnotatedNote, Mention, Relation
from clinbert_spacy.models.headings import section_names
from clinbert_spacy.models.relation_features import Questions, ask
from clinbert_spacy.models.relations import SAID, Judged, RelationClassifier
from clinbert_spacy.pipeline.candidates import RELATIONS
from clinbert_spacy.pipeline.side_effects import SideEffects
from tests.conftest import parse_marked

Link = Tuple[str, ...]
NAME = "clinbert_side_effects"
ALL = list(RELATIONS)
# Text with marks, and for each link words of head and tail, label, causality and kind.
STOPPED = (
    "{lisinopril|DRUG} stopped due to {cough|SYMPTOM} . {aspirin|DRUG} {10 mg|STRENGTH} for "
    "{fever|SYMPTOM} .",
    [
        ("lisinopril", "cough", "ADVERSE_EFFECT", "stated", "reaction"),
        ("aspirin", "fever", "TREATS"),
        ("aspirin", "10 mg", "HAS_STRENGTH"),
    ],
)
DENIED = (
    "{diabetes|DISEASE} , takes {metformin|DRUG} . no {rash|SYMPTOM} after {amoxicillin|DRUG} .",
    [
        ("metformin", "diabetes", "TREATS"),
        ("amoxicillin", "rash", "ADVERSE_EFFECT", "denied", "allergy"),
    ],
)
BARE = ("has {fever|SYMPTOM} and {nausea|SYMPTOM} daily .", [])
NOTES = [STOPPED, DENIED, BARE]
# What is to be found in them.
FOUND = [
    [
        ("lisinopril", "cough", "ADVERSE_EFFECT"),
        ("aspirin", "10 mg", "HAS_STRENGTH"),
        ("aspirin", "fever", "TREATS"),
    ],
    [("metformin", "diabetes", "TREATS"), ("amoxicillin", "rash", "ADVERSE_EFFECT")],
    [],
]


def attrs_of(
    text: str,
    gold: Sequence[Sequence[Any]],
    links: Sequence[Link],
    covered: Sequence[str] = ALL,
    closed: bool = True,
) -> Dict[str, Any]:
    """Gold as `corpora.links` writes it, from words that stand in the text once."""
    rows = []
    for head, tail, label, *said in links:
        ends = [at for words in (head, tail) for at in _place(text, words)]
        rows.append([*ends, label, *(said or ("", ""))])
    entities = sorted({name for *_, label in gold for name in label.split("|")})
    return {"gold": [list(row) for row in gold], "covered": entities, "links": rows,
            "links_covered": list(covered), "links_closed": closed}  # fmt: skip


def _place(text: str, words: str) -> Tuple[int, int]:
    return text.index(words), text.index(words) + len(words)


def place(doc: Doc, found: Sequence[Tuple[str, str]]) -> List[Span]:
    """Spans of words in a Doc, with their labels."""
    spans = [
        doc.char_span(*_place(doc.text, words), label=label, alignment_mode="strict")
        for words, label in found
    ]
    assert all(span is not None for span in spans)
    return spans


def make_example(
    nlp: Language,
    marked: str,
    links: Sequence[Link],
    found: Any = None,
    **partial: Any,
) -> Example:
    """An Example whose predicted Doc has the gold entities, or those that are `found`."""
    text, gold = parse_marked(marked)
    predicted, reference = nlp.make_doc(text), nlp.make_doc(text)
    spans = [reference.char_span(a, b, label=label) for a, b, label in gold]
    attrs = attrs_of(text, gold, links, **partial)
    reference.spans["clinbert_ents"] = SpanGroup(reference, attrs=attrs, spans=spans)
    if found is None:
        found = [(text[a:b], label.split("|")[0]) for a, b, label in gold]
    predicted.set_ents(place(predicted, found))
    return Example(predicted, reference)


def make_pipeline(
    checkpoint: Any, model: Dict[str, Any] | None = None, **config: Any
) -> Language:
    """Sentences, a tiny transformer and side effects, without weights."""
    nlp = spacy.blank("en")
    nlp.add_pipe("clinbert_sentences")
    transformer = {
        "@architectures": "clinbert.ClinicalTransformer.v1",
        "name": str(checkpoint),
        "window": 20,
        "context": 4,
        "precision": "float32",
    }
    nlp.add_pipe("transformer", name="clinbert_transformer", config={"model": transformer})
    small = {"hidden": 32, "heads": 2, "dropout": 0.0}
    nlp.add_pipe(NAME, config={"model": {**small, **(model or {})}, **config})
    return nlp


def train(nlp: Language, notes: Sequence[Tuple[str, List[Link]]] = NOTES, steps: int = 40) -> None:
    """Overfit a pipeline to notes."""
    optimizer = nlp.initialize(lambda: [make_example(nlp, *note) for note in notes])
    optimizer.learn_rate = 0.002
    for _ in range(steps):
        examples = [make_example(nlp, *note) for note in notes]
        nlp.update(examples, sgd=optimizer, annotates=["clinbert_sentences"])


@cache
def trained_pipeline(checkpoint: Any) -> Language:
    """Overfitted once for all tests, which leave it as it is."""
    spacy.util.fix_random_seed(0)
    nlp = make_pipeline(checkpoint)
    train(nlp)
    return nlp


def with_sentences(nlp: Language, text: str, found: Sequence[Tuple[str, str]]) -> Doc:
    """A Doc with entities and sentences, which no transformer has read."""
    doc = nlp.get_pipe("clinbert_sentences")(nlp.make_doc(text))
    doc.set_ents(place(doc, found))
    return doc


def ready(nlp: Language, note: Tuple[str, List[Link]] = STOPPED, found: Any = None) -> Doc:
    """Run a pipeline over a note whose entities are in place."""
    return nlp(make_example(nlp, *note, found=found).predicted)


def rows(doc: Doc) -> List[Tuple[str, str, str]]:
    """Words of head and tail, and the label, of each relation."""
    return [(x.head.text, x.tail.text, x.label) for x in doc._.clinbert_relations]


def said(doc: Doc) -> List[Tuple[Any, ...]]:
    """All that a Doc says of relations, in plain values that can be compared."""
    related = [(*row, x.score) for row, x in zip(rows(doc), doc._.clinbert_relations)]
    effects = [
        (x.drug.text, x.effect.text, x.score, x.value and x.value.text, x.assertion, x.drug_status,
         x.causality, x.kind, [s.text for s in x.evidence], x.cue and (x.cue.start, x.cue.end))
        for x in doc._.clinbert_side_effects
    ]  # fmt: skip
    return [*related, *effects, doc._.clinbert_side_effects_status]


def close(one: Any, other: Any, atol: float = 1e-5) -> bool:
    """Equal, floats nearly."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= atol
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(close(a, b, atol) for a, b in zip(one, other))
    return bool(one == other)


def judge(
    component: Any, doc: Doc, links: Sequence[Link], share: float = 0.9, focus: int = -1,
    learned: Sequence[str] = ("causality", "kind"),
) -> Doc:  # fmt: skip
    """Let a component write what a network might have said: the links, with one probability.

    A link may have values of SAID behind its label; of these only the learned ones are told.
    """
    component.cfg["learned"] = list(learned)
    pairs = component.ask(doc, doc.ents)
    spans = list(doc.spans["clinbert_relations"])
    shape = (len(pairs), len(component.labels))
    said = [numpy.zeros((len(pairs), len(names)), dtype="float32") for names in SAID]
    relations = numpy.full(shape, 0.01, dtype="float32")
    for head, tail, label, *values in links:
        words = [(spans[pair.head].text, spans[pair.tail].text) for pair in pairs]
        i = words.index((head, tail))
        relations[i, component.labels.index(label)] = share
        for part, names, value in zip(said, SAID, values):
            part[i, names.index(value)] = 1.0
    component.set_annotations([doc], [Judged(relations, *said, numpy.full(len(pairs), focus))])
    return doc


# A classifier on vectors that no transformer made.
BLANK = spacy.blank("en")
WIDTH = 8
LABELS = sorted({name for ends in RELATIONS.values() for names in ends for name in names})
ONE = [(3, 4, "DRUG"), (6, 7, "SYMPTOM")]
TWO = [(1, 2, "SYMPTOM"), (4, 6, "DRUG"), (9, 10, "DISEASE"), (11, 12, "STRENGTH")]


def number_doc(
    length: int,
    rows: Sequence[Tuple[int, int, str]],
    breaks: Sequence[int] = (),
    name: str = "w",
) -> Doc:
    """Words that differ, with entities; a sentence begins at each break."""
    starts = [i == 0 or i in breaks for i in range(length)]
    doc = Doc(BLANK.vocab, words=[f"{name}{i}" for i in range(length)], sent_starts=starts)
    doc.set_ents([Span(doc, a, b, label=label) for a, b, label in rows])
    return doc


def vectors_of(gradients: List[Any]) -> Model:
    """A leaf that gives each word a vector of its own and keeps what comes back."""

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[List[Any], Any]:
        def backprop(found: List[Any]) -> List[Doc]:
            gradients[:] = [numpy.array(part) for part in found]
            return docs

        rows = [[_vector(token.orth) for token in doc] for doc in docs]
        return [numpy.array(doc, dtype="f").reshape(-1, WIDTH) for doc in rows], backprop

    return Model("vectors", forward, dims={"nO": WIDTH})


def _vector(word: int) -> Any:
    return numpy.random.default_rng(word % 2**32).normal(size=WIDTH)


def make_component(gradients: List[Any], **config: Any) -> SideEffects:
    """The component over `vectors_of`, with random weights."""
    small = {"hidden": 12, "heads": 2, "dropout": 0.0}
    model = RelationClassifier(vectors_of(gradients), **{**small, **config})
    made = SideEffects(BLANK.vocab, model)
    model.initialize(X=[number_doc(2, [])])
    return made


def asked(component: SideEffects, *docs: Doc, spans: Any = None) -> Questions:
    """Pairs of Docs as arrays."""
    for doc in docs:
        component.ask(doc, doc.ents if spans is None else spans)
    return ask(docs, section_names(), LABELS, len(RELATIONS))


# Notes of corpora


def make_note(
    corpus: str,
    text: str,
    mentions: Sequence[Sequence[str]],
    pairs: Sequence[Sequence[Any]] = (),
    **meta: Any,
) -> AnnotatedNote:
    """A note from words of its text: (id, label, words, concepts), `words@2` for the second."""
    marked = []
    for name, label, words, *concepts in mentions:
        words, _, count = words.partition("@")
        start = -1
        for _ in range(int(count or 1)):
            start = text.index(words, start + 1)
        span = ((start, start + len(words)),)
        marked.append(Mention(name, label, span, tuple(concepts)))
    rows = [
        Relation(f"R{i}", label, head, tail, said[0] if said else {})
        for i, (label, head, tail, *said) in enumerate(pairs)
    ]
    return AnnotatedNote("n", text, tuple(marked), tuple(rows), meta={"corpus": corpus, **meta})


def concept_note(
    text: str, mentions: Sequence[Sequence[str]], pairs: Sequence[Sequence[str]] = (("C1", "D1"),)
) -> AnnotatedNote:
    """An abstract that says which chemical induces which disease."""
    rows = [("CID", head, tail) for head, tail in pairs]
    return make_note("bc5cdr", text, mentions, rows, relations="concept")


TWICE = [
    ("T1", "Chemical", "Zolax", "C1"), ("T2", "Disease", "pain", "D1"),
    ("T3", "Chemical", "Zolax@2", "C1"), ("T4", "Disease", "ulcer", "D2"),
]  # fmt: skip


REVIEW = [("T1", "ADR", "sick"), ("T2", "WD", "zaps"), ("T3", "DI", "sadness"),
          ("T4", "SSI", "tired")]  # fmt: skip
TEXT = "It made me sick; zaps after. Took it for sadness, was tired."
