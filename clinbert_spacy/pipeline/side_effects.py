"""`clinbert_side_effects`: which drug did what, what a drug is given for, and its doses."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model

from .. import attributes
from ..attributes import FOUND, NO_DRUG, NONE_FOUND, RELATIONS_KEY
from .calibration import Platt, calibrate
from .candidates import (
    RELATIONS,
    Pair,
    Pairs,
    begins_of,
    check_ends,
    evidence_of,
    once_a_statement,
    pair_up,
    said_of,
    type_entities,
)
from .pair_gold import gold_ends, gold_of_pairs
from .weights import take_weights

EFFECT = "ADVERSE_EFFECT"
# What is asked of an adverse effect, its values, and what is said where nothing was learned.
SAID = {
    "causality": (attributes.CAUSALITIES, "stated"),
    "kind": (attributes.KINDS, "reaction"),
    "assertion": (attributes.PRIORITY, ""),
}
DEFAULT_CONFIG = """
[model]
@architectures = "clinbert.RelationClassifier.v1"

[model.tok2vec]
@architectures = "clinbert.TransformerListener.v1"
upstream = "clinbert_transformer"
grad_factor = 1.0

[model.tok2vec.pooling]
@layers = "reduce_mean.v1"
"""
DEFAULT_SIDE_EFFECTS_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]


@Language.factory(
    "clinbert_side_effects",
    requires=["doc.ents", "token.is_sent_start"],
    default_config={
        "model": DEFAULT_SIDE_EFFECTS_MODEL,
        # Not the table itself: spaCy would merge it with the table of a config.
        "relations": None,
        "label_map": {},
        "window": 2,
        "most": 12,
        "once": ["ADVERSE_EFFECT", "TREATS"],
        "threshold": 0.5,
        "thresholds": {},
        "scorer": {"@scorers": "clinbert.relations_scorer.v1"},
    },
    default_score_weights={
        "relations_f": 1.0, "relations_p": 0.0, "relations_r": 0.0, "relations_per_type": None,
    },
)  # fmt: skip
def make_clinbert_side_effects(
    nlp: Language,
    name: str,
    model: Model,
    relations: Optional[Dict[str, List[List[str]]]],
    label_map: Dict[str, str],
    window: int,
    most: int,
    once: List[str],
    threshold: float,
    thresholds: Dict[str, float],
    scorer: Optional[Callable],
) -> "SideEffects":
    """Construct the component.

    model (Model): Docs to scores of pairs, e.g. a `clinbert.RelationClassifier.v1`.
    relations (Optional[Dict[str, List[List[str]]]]): For each relation the labels of its heads and
        of its tails. Those of the training, in its order; all of `candidates.RELATIONS` where a
        config names none. `ADVERSE_EFFECT` is what `clinbert_side_effects` shows.
    label_map (Dict[str, str]): Labels of another component's entities to those in `relations`,
        e.g. {"CHEMICAL": "DRUG"}. Entities with labels that no relation has are left out.
    window (int): Sentences between the two, at most. most (int): Nearest tails of one label that a
        head is paired with.
    threshold (float): Least probability of a relation, where none was fitted with the weights
        (`clinbert fit-relations`). thresholds (Dict[str, float]): The same for single relations;
        these come before what was fitted.
    scorer (Optional[Callable]): Scores Examples.
    """
    return SideEffects(
        nlp.vocab, model, name, relations=RELATIONS if relations is None else relations,
        label_map=label_map, window=window, most=most, once=once,
        threshold=threshold, thresholds=thresholds, scorer=scorer,
    )  # fmt: skip


class SideEffects(TrainablePipe):
    """Joins entities by relations; writes `doc.spans["clinbert_relations"]`.

    The group holds the entities that a relation may join. Its attrs: `types` (their labels), rows
    `relations` (dicts of head, tail, label, score, and of an adverse effect causality, kind,
    assertion, and evidence and cue as ranges of tokens) and `status`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str = "clinbert_side_effects",
        *,
        relations: Mapping[str, Sequence[Sequence[str]]] = RELATIONS,
        label_map: Optional[Mapping[str, str]] = None,
        window: int = 2,
        most: int = 12,
        once: Sequence[str] = ("ADVERSE_EFFECT", "TREATS"),
        threshold: float = 0.5,
        thresholds: Optional[Mapping[str, float]] = None,
        scorer: Optional[Callable] = None,
    ):
        attributes.install()
        check_ends(relations)
        self.vocab = vocab
        self.model = model
        self.name = name
        self.ends = relations
        self._check_known(thresholds or {})
        self.window = window
        self.most = most
        self.once = tuple(once)
        self.threshold = threshold
        self.scorer = scorer
        self.cfg: Dict[str, Any] = {}
        self._given = {"label_map": dict(label_map or {}), "thresholds": dict(thresholds or {})}
        self.model.attrs.update(self._names())

    @property
    def labels(self) -> Tuple[str, ...]:
        """RETURNS (Tuple[str, ...]): The relations."""
        return tuple(self.ends)

    def _names(self) -> Dict[str, List[str]]:
        ends = {label for pair in self.ends.values() for labels in pair for label in labels}
        return {"relations": list(self.ends), "labels": sorted(ends)}

    def _check_names(self) -> None:
        """Loading weights brings the names along that they were trained with."""
        for kind, wanted in self._names().items():
            known = self.model.attrs[kind]
            if known != wanted:
                raise ValueError(
                    f"The weights of '{self.name}' know the {kind} {known}, its config names "
                    f"{wanted}. Take the `relations` of their pipeline, or train again."
                )

    @property
    def label_map(self) -> Dict[str, str]:
        """RETURNS (Dict[str, str]): Other labels to ours; once set, saved, not the config's."""
        return dict(self.cfg.get("label_map", self._given["label_map"]))

    @label_map.setter
    def label_map(self, values: Mapping[str, str]) -> None:
        self.cfg["label_map"] = dict(values)

    @property
    def thresholds(self) -> Dict[str, float]:
        """RETURNS (Dict[str, float]): Least probabilities; once set, saved, not the config's."""
        return dict(self.cfg.get("thresholds", self._given["thresholds"]))

    @thresholds.setter
    def thresholds(self, values: Mapping[str, float]) -> None:
        self._check_known(values)
        self.cfg["thresholds"] = dict(values)

    def _check_known(self, thresholds: Mapping[str, float]) -> None:
        unknown = sorted(set(thresholds) - set(self.ends))
        if unknown:
            raise ValueError(f"thresholds for {unknown}: relations are {list(self.ends)}.")

    @property
    def fitted(self) -> Dict[str, Platt]:
        """RETURNS (Dict): Calibration and threshold of each relation, where they were fitted."""
        return {label: Platt(*row) for label, row in self.cfg.get("fitted", {}).items()}

    @fitted.setter
    def fitted(self, values: Mapping[str, Platt]) -> None:
        self.cfg["fitted"] = {label: [float(x) for x in row] for label, row in values.items()}

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *, nlp: Optional[Language] = None, start: Optional[str] = None,
    ) -> None:  # fmt: skip
        """Build the network.

        get_examples (Callable): Gives gold Examples. nlp (Optional[Language]): Unused.
        start (Optional[str]): Package or folder of the pipeline whose weights to begin with.
        """
        if start:
            take_weights(self, start)
        self.model.initialize(X=[eg.predicted for _, eg in zip(range(10), get_examples())])

    def ask(self, doc: Doc, entities: Iterable[Span]) -> List[Pair]:
        """Write the pairs that may be related on a Doc.

        doc (Doc): The note. entities (Iterable[Span]): Of anybody's making.
        RETURNS (List[Pair]): The pairs.
        RAISES (ValueError): The note has no sentences.
        """
        return self._ask(doc, entities).listed()

    def _ask(self, doc: Doc, entities: Iterable[Span]) -> Pairs:
        if len(doc) and not doc.has_annotation("SENT_START"):
            raise ValueError(
                f"'{self.name}' reads sentences, and this Doc has none: put 'clinbert_sentences' "
                "(or another component that sets them) before it."
            )
        typed = type_entities(list(entities), self.ends, self.label_map)
        pairs = pair_up(doc, typed, self.ends, self.window, self.most)
        spans = [one.span for one in typed]
        attrs = {
            "types": [one.label for one in typed],
            "pairs": numpy.stack(pairs[:2], axis=1).tolist(),
            "allowed": pairs.allowed,
            "sections": [name or "" for name in attributes.section_names_of(doc, spans)],
            "values": said_of(doc, spans),
        }
        doc.spans[RELATIONS_KEY] = SpanGroup(doc, name=RELATIONS_KEY, attrs=attrs, spans=spans)
        return pairs

    def predict(self, docs: Iterable[Doc]) -> List[Any]:
        """Judge the pairs of notes.

        docs (Iterable[Doc]): The notes.
        RETURNS (List[Judged]): Probabilities of each note's pairs.
        """
        self._check_names()
        docs = list(docs)
        for doc in docs:
            self._ask(doc, doc.ents)
        return self.model.attrs["decode"](self.model, self.model.predict(docs))

    def set_annotations(self, docs: Iterable[Doc], scores: List[Any]) -> None:
        """Write relations on the notes.

        docs (Iterable[Doc]): The notes. scores (List[Judged]): What `predict` gave.
        """
        for doc, judged in zip(docs, scores):
            group = doc.spans[RELATIONS_KEY]
            rows = self._choose(doc, group, judged)
            types = group.attrs["types"]
            group.attrs = {"types": types, "relations": rows, "status": self._status(types, rows)}

    def _status(self, types: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
        if any(row["label"] == EFFECT for row in rows):
            return FOUND
        drugs = self.ends[EFFECT][0] if EFFECT in self.ends else ()
        return NONE_FOUND if set(types) & set(drugs) else NO_DRUG

    def probabilities(self, judged: Any) -> numpy.ndarray:
        """Calibrate. judged (Judged): of a note. RETURNS (ndarray): Shape (pairs, relations)."""
        fitted, found = self.fitted, numpy.array(judged.relations)
        columns = [i for i, label in enumerate(self.ends) if label in fitted]
        if columns:
            # side by side, each column by its own
            rules = Platt(*numpy.array([fitted[label] for label in self.ends if label in fitted]).T)
            found[:, columns] = calibrate(found[:, columns], rules)
        return found * (judged.relations > 0)

    def _least(self) -> List[float]:
        given = self.thresholds
        least = {label: row.threshold for label, row in self.fitted.items()}
        return [given.get(label, least.get(label, self.threshold)) for label in self.ends]

    def _choose(self, doc: Doc, group: SpanGroup, judged: Any) -> List[Dict[str, Any]]:
        pairs = group.attrs["pairs"]
        if not pairs:
            return []
        found = self.probabilities(judged)
        names, begins = list(self.ends), begins_of(doc)
        # relations with different thresholds compare by how far above its own each is
        above = found / numpy.maximum(self._least(), 1e-6)
        best = above.argmax(axis=1)
        rows: List[Dict[str, Any]] = []
        for i in numpy.flatnonzero(above.max(axis=1) >= 1.0).tolist():
            label = names[best[i]]
            head, tail = pairs[i]
            row = {"head": head, "tail": tail, "label": label, "score": float(found[i, best[i]])}
            if label == EFFECT:
                ends = [group[head].start, group[tail].start]
                row |= self._say(judged, i, group.attrs["types"][tail])
                row |= evidence_of(begins, ends, judged.focus[i])
            rows.append(row)
        asked = {row[end] for row in rows if row["label"] in self.once for end in ("head", "tail")}
        return once_a_statement(rows, {i: group[i].text.lower() for i in asked}, self.once)

    def _say(self, judged: Any, pair: int, effect: str) -> Dict[str, str]:
        # what has relations of its own is no problem: a test is there or not by its value
        measured = {x for label, (heads, _) in self.ends.items() if label != EFFECT for x in heads}
        unasked = {"assertion"} if effect in measured else set()
        learned = set(self.cfg.get("learned", ())) - unasked
        return {
            name: values[int(getattr(judged, name)[pair].argmax())] if name in learned else default
            for name, (values, default) in SAID.items()
        }

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Any = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from a batch: its predicted entities, and the gold ones that were not found.

        examples (Iterable[Example]): The batch. drop (float): Unused by our networks.
        sgd (Optional[Optimizer]): The optimizer. losses (Optional[Dict]): Updated.
        RETURNS (Dict[str, float]): The losses.
        """
        self._check_names()
        examples = list(examples)
        for example in examples:
            self.ask(example.predicted, self._entities(example))
        return super().update(examples, drop=drop, sgd=sgd, losses=losses)

    def _entities(self, example: Example) -> List[Span]:
        found = list(example.predicted.ents)
        # one under a label that no relation has was not found
        typed = type_entities(found, self.ends, self.label_map)
        places = {(one.span.start, one.span.end) for one in typed}
        gold = gold_ends(example)
        return found + [span for span in gold if (span.start, span.end) not in places]

    def get_loss(self, examples: Iterable[Example], scores: Any) -> Tuple[float, Any]:
        """Compare scores with the gold of the pairs that were proposed.

        examples (Iterable[Example]): The batch. scores (PairScores): What the model gave.
        RETURNS (Tuple[float, Floats2d]): Loss and gradient.
        """
        examples = list(examples)
        validate_examples(examples, "SideEffects.get_loss")
        gold = gold_of_pairs(examples, list(self.ends))
        known = [name for name, values in zip(SAID, gold[1:]) if (values >= 0).any()]
        self.cfg["learned"] = sorted({*self.cfg.get("learned", ()), *known})
        return self.model.attrs["loss"](self.model, scores, gold)
