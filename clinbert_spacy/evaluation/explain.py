"""Why a pipeline decided so: integrated gradients from a decision back to the words of a note."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy
import torch
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc

from .explain_items import Item

BASELINES = ("pad", "mask")
# Share of a score's difference beyond which its attributions are marked as rough, and log odds
# that count as a difference at least.
ROUGH, LEAST = 0.05, 0.2


@dataclass(frozen=True)
class Settings:
    """How to explain.

    steps (int): points on the way from the baseline. baseline (str): `pad` or `mask`, the piece
    that stands in for the text. max_windows (int): most windows of a note that are attributed.
    """

    steps: int = 32
    baseline: str = "pad"
    max_windows: int = 4

    def check(self) -> None:
        """RAISES (ValueError): a setting out of its range, or Captum is not installed."""
        if self.steps < 2 or self.max_windows < 1:
            raise ValueError(
                f"steps = {self.steps}, max_windows = {self.max_windows}: expected at least 2 "
                "steps and 1 window."
            )
        if self.baseline not in BASELINES:
            raise ValueError(f"baseline = '{self.baseline}' is not one of {', '.join(BASELINES)}.")
        if find_spec("captum") is None:
            raise ValueError(
                "Explanations need Captum, which is not installed: install the extra `explain`, "
                "pip install 'clinbert-spacy[explain]'."
            )


@dataclass(frozen=True)
class Word:
    """A token that was read, by characters.

    value (float): what it adds to the score, in log odds. lexicon (float): the part of it that
    comes from what the encoder's lexicon knows of it; 0 where it has none.
    """

    start: int
    end: int
    value: float
    lexicon: float


@dataclass(frozen=True)
class Explanation:
    """A decision traced back to words.

    kind (str), component (str), label (str), probability (float): see `Item`.
    places (Tuple): characters of the entities that it is about.
    score (float): log odds. baseline (float): the same where the windows that were read say
        nothing. delta (float): sum of all values minus the difference of the two; 0 if exact.
    windows (Tuple): characters of the windows that were read. n_windows (int): all of the note's.
    words (Tuple[Word, ...]): tokens of these windows.
    """

    kind: str
    component: str
    label: str
    probability: float
    places: Tuple[Tuple[int, int], ...]
    score: float
    baseline: float
    delta: float
    windows: Tuple[Tuple[int, int], ...]
    n_windows: int
    words: Tuple[Word, ...]

    @property
    def is_rough(self) -> bool:
        """Whether the values miss the difference by more than `ROUGH` of it."""
        return abs(self.delta) > ROUGH * max(abs(self.score - self.baseline), LEAST)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data without any text. Words are start, end, value, lexicon."""
        return {
            "kind": self.kind,
            "component": self.component,
            "label": self.label,
            "probability": None if self.probability < 0 else round(self.probability, 4),
            "places": [list(place) for place in self.places],
            "score": round(self.score, 5),
            "baseline": round(self.baseline, 5),
            "delta": round(self.delta, 5),
            "windows": [list(window) for window in self.windows],
            "n_windows": self.n_windows,
            "words": [
                [word.start, word.end, round(word.value, 6), round(word.lexicon, 6)]
                for word in self.words
            ],
        }


class Explainer:
    """Explains decisions on one note, which is read once for each encoder.

    nlp (Language): the pipeline. doc (Doc): a note that it annotated; not changed.
    settings (Settings): how.
    """

    def __init__(self, nlp: Language, doc: Doc, settings: Settings) -> None:
        settings.check()
        self.nlp = nlp
        self.doc = doc
        self.settings = settings
        self.traces: Dict[int, Any] = {}

    def explain(self, item: Item) -> Explanation:
        """Trace a decision back to words.

        item (Item): the decision. RETURNS (Explanation): what each word added.
        RAISES (ValueError): the component does not read a `clinbert.ClinicalTransformer.v1`.
        """
        model = item.source.pipe.model
        encoder, pooling = find_encoder(self.nlp, item.source.name, model)
        if id(encoder) not in self.traces:
            self.traces[id(encoder)] = encoder.attrs["trace"](encoder, self.doc)
        trace = self.traces[id(encoder)]
        decide = model.attrs["explain"](model, item.doc, *item.target)
        rows = choose_windows(weigh_windows(trace, pooling, decide), self.settings.max_windows)
        opened = trace.open(rows, self.settings.baseline)

        def score(*inputs: torch.Tensor) -> torch.Tensor:
            return torch.stack([decide(x) for x in trace.vectors(opened, inputs, pooling)])

        parts, delta = integrate(score, opened, self.settings.steps, trace.at_once(opened))
        with torch.no_grad():
            ends = [float(score(*inputs)) for inputs in (opened.inputs, opened.baselines)]
        values = [trace.shares(opened, part) for part in parts]
        return self._explanation(item, trace, rows, values, (ends[0], ends[1], delta))

    def _explanation(
        self,
        item: Item,
        trace: Any,
        rows: Sequence[int],
        values: Sequence[NDArray],
        figures: Tuple[float, float, float],
    ) -> Explanation:
        ranges = [trace.tokens_of(row) for row in rows]
        read = sorted({i for start, end in ranges for i in range(start, end)})
        total, lexicon = sum(values), values[1] if len(values) > 1 else numpy.zeros(len(self.doc))
        return Explanation(
            item.source.kind, item.source.name, item.label, item.probability,
            tuple(self._characters(*place) for place in item.places),
            *figures,
            tuple(self._characters(*tokens) for tokens in ranges), trace.n_windows,
            tuple(
                Word(*self._characters(i, i + 1), float(total[i]), float(lexicon[i])) for i in read
            ),
        )  # fmt: skip

    def _characters(self, start: int, end: int) -> Tuple[int, int]:
        span = self.doc[start:end]
        return span.start_char, span.end_char


def find_encoder(nlp: Language, name: str, model: Any) -> Tuple[Any, Any]:
    """Find the encoder that a component reads, its own or the pipeline's.

    nlp (Language): the pipeline. name (str): of the component. model (Model): the component's.
    RETURNS (Tuple[Model, Model]): the encoder, and how the component pools pieces into tokens.
    RAISES (ValueError): it reads something else.
    """
    nodes = list(model.get_ref("tok2vec").walk())
    above = [node.upstream_name for node in nodes if hasattr(node, "upstream_name")]
    nodes += [nlp.get_pipe(one).model for one in above if one in nlp.pipe_names]
    encoders = [node for node in nodes if "trace" in node.attrs]
    poolings = [node.layers[0] for node in nodes if node.name == "trfs2arrays"]
    if not encoders or not poolings:
        raise ValueError(
            f"'{name}' does not read a clinbert.ClinicalTransformer.v1 of this pipeline, and only "
            "what does can be explained: set its tok2vec to a clinbert.TransformerListener.v1."
        )
    return encoders[0], poolings[0]


def weigh_windows(
    trace: Any, pooling: Any, decide: Callable[[torch.Tensor], torch.Tensor]
) -> NDArray:
    """Tell how much a decision depends on each window of a note.

    trace (Trace): the note. pooling (Model): of the component. decide (Callable): its score.
    RETURNS (NDArray): 0 for a window that has nothing to do with it. Shape (windows,).
    """
    hidden = trace.hidden.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(decide(trace.pool(hidden, pooling)), hidden)
    found: NDArray = trace.weigh(gradient)
    return found


def choose_windows(weights: NDArray, most: int) -> List[int]:
    """Choose the windows to read: the weightiest, in the order of the note; at least one."""
    order = numpy.argsort(-weights, kind="stable")[:most]
    return sorted(int(row) for row in order if weights[row] > 0) or [int(order[0])]


def integrate(
    score: Callable[..., torch.Tensor], opened: Any, steps: int, at_once: int
) -> Tuple[Tuple[torch.Tensor, ...], float]:
    """Integrate gradients from the baselines to the inputs.

    score (Callable): of variants of the inputs, one number each. opened (Opened): inputs and
        baselines. steps (int): points on the way. at_once (int): how many of them in memory.
    RETURNS (Tuple[Tuple[Tensor, ...], float]): attributions as the inputs are shaped, and what
        their sum has more than the difference of the scores.
    """
    from captum.attr import IntegratedGradients

    parts, delta = IntegratedGradients(score).attribute(
        opened.inputs,
        opened.baselines,
        n_steps=steps,
        internal_batch_size=at_once,
        return_convergence_delta=True,
    )
    return parts, float(delta)
