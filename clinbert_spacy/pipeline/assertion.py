"""`clinbert_assertion`: has the patient the problem, is the drug taken, and which words say so."""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model

from .. import attributes
from ..attributes import ASSERTION_KEY, AXES, DRUG_AXES, PROBLEM_AXES, REVIEW_KEY
from .context import Asked, Findings, judge
from .cues import CueMatcher
from .medspacy_names import install_medspacy_names
from .optional_model import OptionalModel
from .section_scope import governing_sections

METHODS = ("model", "rules", "both")
DEFAULT_CONFIG = """
[model]
@architectures = "clinbert.AssertionClassifier.v1"

[model.tok2vec]
@architectures = "clinbert.TransformerListener.v1"
upstream = "clinbert_transformer"
grad_factor = 1.0

[model.tok2vec.pooling]
@layers = "reduce_mean.v1"
"""
DEFAULT_ASSERTION_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]


@Language.factory(
    "clinbert_assertion",
    requires=["doc.ents", "token.is_sent_start"],
    default_config={
        "model": DEFAULT_ASSERTION_MODEL,
        "method": "model",
        "by_rules": [],
        "problems": ["DISEASE", "SYMPTOM"],
        "drugs": ["DRUG"],
        "chronic_is_current": True,
        "medspacy_names": False,
        "scorer": {"@scorers": "clinbert.assertion_scorer.v1"},
    },
    default_score_weights={"assertion_macro_f": 1.0, "assertion_per_axis": None},
)
def make_clinbert_assertion(
    nlp: Language,
    name: str,
    model: Optional[Model],
    method: str,
    by_rules: List[str],
    problems: List[str],
    drugs: List[str],
    chronic_is_current: bool,
    medspacy_names: bool,
    scorer: Optional[Callable],
) -> "ClinicalAssertion":
    """Construct the component.

    model (Optional[Model]): Docs to scores of the axes; may be None for `method = "rules"`.
    method (str): Who decides: `model`; `rules`, by cues alone; `both`, the model, and entities of
        which the rules say something else go to `doc.spans["clinbert_review"]`.
    by_rules (List[str]): Axes that the rules decide although there is a model.
    problems (List[str]): Entity labels that have a presence, an experiencer and a time.
    drugs (List[str]): Entity labels that have a drug status.
    chronic_is_current (bool): For the rules: "history of hypertension" is current.
    medspacy_names (bool): Also set the attributes that medspaCy's ConText sets (`is_negated`, ...).
    scorer (Optional[Callable]): Scores Examples.
    """
    return ClinicalAssertion(
        nlp,
        model,
        name,
        method=method,
        by_rules=by_rules,
        problems=problems,
        drugs=drugs,
        chronic_is_current=chronic_is_current,
        medspacy_names=medspacy_names,
        scorer=scorer,
    )


class ClinicalAssertion(OptionalModel):
    """Judges the entities of `doc.ents`; writes the group `clinbert_assertion`.

    The group's attrs hold, in the order of its spans: `values`, `scores`, `cues` (token ranges) and
    `rules`, each a dict by axis, and `sections`.
    """

    def __init__(
        self,
        nlp: Language,
        model: Optional[Model],
        name: str = "clinbert_assertion",
        *,
        method: str = "model",
        by_rules: Sequence[str] = (),
        problems: Sequence[str] = ("DISEASE", "SYMPTOM"),
        drugs: Sequence[str] = ("DRUG",),
        chronic_is_current: bool = True,
        medspacy_names: bool = False,
        scorer: Optional[Callable] = None,
    ):
        if method not in METHODS:
            raise ValueError(f"method = '{method}' is not one of {', '.join(METHODS)}.")
        if model is None and method != "rules":
            raise ValueError(f"method = '{method}' needs a model; 'rules' alone goes without one.")
        if set(by_rules) - set(AXES):
            raise ValueError(f"by_rules = {list(by_rules)}: axes are {', '.join(AXES)}.")
        attributes.install()
        if medspacy_names:
            install_medspacy_names()
        self.vocab: Vocab = nlp.vocab
        self.model = model
        self.name = name
        self.method = method
        self.by_rules = tuple(by_rules)
        self.axes = {**dict.fromkeys(problems, PROBLEM_AXES), **dict.fromkeys(drugs, DRUG_AXES)}
        self.chronic_is_current = chronic_is_current
        self.medspacy_names = medspacy_names
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {}
        self.matcher = CueMatcher(nlp)

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The values of all axes."""
        return tuple(f"{axis}={value}" for axis, values in AXES.items() for value in values)

    @property
    def is_trainable(self) -> bool:
        """RETURNS (bool): Whether there is a model to train."""
        return self.method != "rules" and self.model is not None

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
    ) -> None:
        """Build the network.

        get_examples (Callable): Gives gold Examples. nlp (Optional[Language]): Unused.
        """
        if self.is_trainable:
            sample = [eg.predicted for _, eg in zip(range(10), get_examples())]
            self.model.initialize(X=sample)

    def ask(self, doc: Doc, entities: Iterable[Span]) -> List[Findings]:
        """Write the entities and what the rules say of them on a Doc.

        doc (Doc): The note. entities (Iterable[Span]): Those with other labels are left out.
        RETURNS (List[Findings]): What the rules say.
        RAISES (ValueError): The note has no sentences.
        """
        if len(doc) and not doc.has_annotation("SENT_START"):
            raise ValueError(
                f"'{self.name}' reads sentences, and this Doc has none: put 'clinbert_sentences' "
                "(or another component that sets them) before it."
            )
        spans = sorted((e for e in entities if e.label_ in self.axes), key=lambda e: e.start)
        lasts = self.matcher.is_chronic if self.chronic_is_current else lambda _: False
        names = [name or "" for name in attributes.section_names_of(doc, spans)]
        asked = [
            Asked(span, self.axes[span.label_], section, lasts(span))
            for span, section in zip(spans, governing_sections(doc, spans))
        ]
        cues, findings = judge(doc, asked, self.matcher)
        attrs = {
            "rules": [{axis: f.value for axis, f in found.items()} for found in findings],
            "sections": names,
            "cue_roles": [[c.start, c.end, [_role(r) for r in c.roles]] for c in cues],
        }
        doc.spans[ASSERTION_KEY] = SpanGroup(doc, name=ASSERTION_KEY, attrs=attrs, spans=spans)
        return findings

    def predict(self, docs: Iterable[Doc]) -> Tuple[List[List[Findings]], List]:
        """Judge the entities of notes.

        docs (Iterable[Doc]): The notes.
        RETURNS (Tuple): What the rules say by note and entity, and the model's probabilities by
            note, axis and entity (empty without it).
        """
        docs = list(docs)
        findings = [self.ask(doc, doc.ents) for doc in docs]
        if not self.is_trainable or not any(findings):
            return findings, [{} for _ in docs]
        return findings, self.model.attrs["decode"](self.model, self.model.predict(docs))

    def set_annotations(self, docs: Iterable[Doc], scores: Tuple) -> None:
        """Write values, probabilities and cues on the notes.

        docs (Iterable[Doc]): The notes. scores (Tuple): What `predict` gave.
        """
        for doc, findings, by_axis in zip(docs, *scores):
            group = doc.spans[ASSERTION_KEY]
            probabilities = [
                {axis: by_axis[axis][i] for axis in found if axis in by_axis}
                for i, found in enumerate(findings)
            ]
            values = [choose(*pair, self.by_rules) for pair in zip(findings, probabilities)]
            cues = [_cues(*pair) for pair in zip(findings, values)]
            attrs = {"values": values, "scores": probabilities, "cues": cues}
            kept = {key: group.attrs[key] for key in ("rules", "sections")}
            doc.spans[ASSERTION_KEY] = SpanGroup(
                doc, name=ASSERTION_KEY, attrs={**kept, **attrs}, spans=list(group)
            )
            if self.method == "both":
                learned = [choose(*pair) for pair in zip(findings, probabilities)]
                doc.spans[REVIEW_KEY] = find_disagreements(doc, learned, findings)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from the gold entities of a batch.

        examples (Iterable[Example]): The batch. drop (float): Unused by our networks.
        sgd (Optional[Optimizer]): The optimizer. losses (Optional[Dict]): Updated.
        RETURNS (Dict[str, float]): The losses.
        """
        if not self.is_trainable:
            return {} if losses is None else losses
        examples = list(examples)
        for example in examples:
            self.ask(example.predicted, gold_entities(example))
        return super().update(examples, drop=drop, sgd=sgd, losses=losses)

    def get_loss(self, examples: Iterable[Example], scores: Any) -> Tuple[float, Any]:
        """Compare scores with the gold of the entities that were asked about.

        examples (Iterable[Example]): The batch. scores (AxisScores): What the model gave.
        RETURNS (Tuple[float, Floats2d]): Loss and gradient.
        """
        examples = list(examples)
        validate_examples(examples, "ClinicalAssertion.get_loss")
        rows = [gold_values(example) for example in examples]
        gold = {axis: _numbers(axis, rows) for axis in AXES}
        return self.model.attrs["loss"](self.model, scores, gold)


def _role(role: Any) -> str:
    return f"{role.axis}={role.value} {role.direction}"


def choose(
    findings: Findings, probabilities: Dict[str, Dict[str, float]], by_rules: Sequence[str] = ()
) -> Dict[str, str]:
    """Decide each axis of an entity.

    findings (Findings): What the rules say. probabilities (Dict): By axis and value; may be empty.
    by_rules (Sequence[str]): Axes that the rules decide.
    RETURNS (Dict[str, str]): The model's most probable value, else the rules' one.
    """
    return {
        axis: max(probabilities[axis], key=probabilities[axis].__getitem__)
        if axis in probabilities and axis not in by_rules
        else finding.value
        for axis, finding in findings.items()
    }


def _cues(findings: Findings, values: Dict[str, str]) -> Dict[str, List[int]]:
    """Token ranges of the cues that say what was decided."""
    return {
        axis: list(found.cue)
        for axis, found in findings.items()
        if found.cue is not None and found.value == values[axis]
    }


def find_disagreements(
    doc: Doc, learned: Sequence[Dict[str, str]], findings: Sequence[Findings]
) -> SpanGroup:
    """Collect the entities of which model and rules differ.

    doc (Doc): The note. learned (Sequence[Dict]): What the model says.
    findings (Sequence[Findings]): What the rules say.
    RETURNS (SpanGroup): Entities; attrs `axes`: `[axis, the model's value, the rules' value]` each.
    """
    group = doc.spans[ASSERTION_KEY]
    rows = [
        (span, [[a, chosen[a], f.value] for a, f in found.items() if chosen[a] != f.value])
        for span, chosen, found in zip(group, learned, findings)
    ]
    kept = [(span, axes) for span, axes in rows if axes]
    attrs = {"axes": [axes for _, axes in kept]}
    return SpanGroup(doc, name=REVIEW_KEY, attrs=attrs, spans=[span for span, _ in kept])


def gold_entities(example: Example) -> Iterator[Span]:
    """Lay the judged gold entities on the predicted Doc.

    example (Example): Its reference's group `clinbert_ents` has attrs `asserted`.
    YIELDS (Span): Entities in tokens of `predicted`, each place once, with the gold's label.
    """
    seen = set()
    for start, end, label, values in asserted(example):
        span = example.predicted.char_span(start, end, label=label, alignment_mode="expand")
        if values and span is not None and (span.start, span.end) not in seen:
            seen.add((span.start, span.end))
            yield span


def asserted(example: Example) -> List[Tuple[int, int, str, Dict[str, str]]]:
    """Read the gold values. RETURNS (List): Start, end (characters), label, values by axis."""
    group = example.reference.spans.get(attributes.ENTS_KEY)
    rows = group.attrs.get("asserted", []) if group is not None else []
    return [(int(s), int(e), str(label), dict(values)) for s, e, label, values in rows]


def gold_values(example: Example) -> List[Dict[str, str]]:
    """List the gold values of the entities that were asked about.

    example (Example): `predicted` has the group `clinbert_assertion`.
    RETURNS (List[Dict[str, str]]): By axis, for each entity of that group.
    """
    found = {}
    for start, end, _, values in asserted(example):
        span = example.predicted.char_span(start, end, alignment_mode="expand")
        if span is not None:
            found.setdefault((span.start, span.end), values)
    group = example.predicted.spans.get(ASSERTION_KEY)
    return [found.get((span.start, span.end), {}) for span in group or ()]


def _numbers(axis: str, rows: Sequence[Sequence[Dict[str, str]]]) -> NDArray[numpy.int64]:
    names = AXES[axis]
    values = [row.get(axis) for note in rows for row in note]
    return numpy.array([names.index(v) if v in names else -1 for v in values], dtype="int64")
