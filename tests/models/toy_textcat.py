"""A classifier on vectors that no transformer made, and small pipelines that classify notes."""

from functools import cache
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model

from clinbert_spacy.models import aggregators
from clinbert_spacy.models.passages import Ranges, configure_passages
from clinbert_spacy.models.textcat import LongTextCat
from tests.toy_relations import number_doc, vectors_of

AGGREGATORS = {
    "Mean": aggregators.configure_mean,
    "Max": aggregators.configure_max,
    "MaxMean": aggregators.configure_max_mean,
    "NoisyOr": aggregators.configure_noisy_or,
    "Attention": aggregators.configure_attention,
}
COMPONENTS = ("textcat", "textcat_multilabel")
LENGTHS = (11, 0, 3, 26)  # of notes whose passages have at most 4 words
# Their classes, of which not all are known; and where each has one, but the third.
SOME = [[1, 0, None], [0, 1, 1], [None, None, None], [0, None, 1]]
ONE = [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]

# Two notes of two classes.
Note = Tuple[str, Dict[str, float]]
NOTES: List[Note] = [
    ("the patient takes aspirin daily for hypertension but has no rash", {"A": 1.0, "B": 0.0}),
    ("lisinopril stopped due to cough denies fever", {"A": 0.0, "B": 1.0}),
]


def number_docs(lengths: Sequence[int] = LENGTHS) -> List[Doc]:
    """Notes of words that differ."""
    return [number_doc(length, [], name=f"n{i}w") for i, length in enumerate(lengths)]


def make_model(
    aggregator: str = "Mean",
    gradients: Optional[List[Any]] = None,
    size: int = 4,
    n_classes: int = 3,
    **config: Any,
) -> Model:
    """The classifier over `vectors_of`, with random weights."""
    settings = {"hidden": 12, "dropout": 0.0, **config}
    tok2vec = vectors_of([] if gradients is None else gradients)
    maker = AGGREGATORS[aggregator]()
    model = LongTextCat(tok2vec, maker, configure_passages(size), nO=n_classes, **settings)
    model.initialize(X=number_docs())
    return model


def net_of(model: Model) -> Any:
    """The network in a classifier."""
    return model.shims[0]._model


def only(ranges: Ranges) -> Any:
    """A cut that ignores the note."""
    return lambda doc: ranges


def difference(scores: Any, truth: Sequence[Sequence[Optional[int]]]) -> Any:
    """What spaCy hands back: probability minus truth, 0 where nothing is known (None)."""
    known = numpy.array([[value is not None for value in row] for row in truth])
    values = numpy.array([[value or 0 for value in row] for row in truth], dtype="float32")
    return (scores - values) * known


def add_textcat(
    nlp: Language,
    component: str = "textcat_multilabel",
    aggregator: str = "Mean",
    name: Optional[str] = None,
    **model: Any,
) -> None:
    """Add a small classifier to a pipeline that has a clinical transformer."""
    block = {
        "@architectures": "clinbert.LongTextCat.v1",
        "exclusive_classes": component == "textcat",
        "hidden": 16,
        "dropout": 0.0,
        "tok2vec": {
            "@architectures": "clinbert.TransformerListener.v1",
            "upstream": "clinbert_transformer",
            "pooling": {"@layers": "reduce_mean.v1"},
        },
        "aggregator": {"@misc": f"clinbert.{aggregator}Aggregator.v1"},
        "cut": {"@misc": "clinbert.Passages.v1", "size": 4},
    }
    nlp.add_pipe(component, name=name, config={"model": {**block, **model}})


def make_pipeline(
    checkpoint: Any,
    component: str = "textcat_multilabel",
    aggregator: str = "Mean",
    encoder: Optional[Dict[str, Any]] = None,
    **model: Any,
) -> Language:
    """A tiny transformer and a classifier, without weights."""
    nlp = spacy.blank("en")
    transformer = {
        "@architectures": "clinbert.ClinicalTransformer.v1",
        "name": str(checkpoint),
        "window": 20,
        "context": 4,
        "precision": "float32",
        **(encoder or {}),
    }
    nlp.add_pipe("transformer", name="clinbert_transformer", config={"model": transformer})
    add_textcat(nlp, component, aggregator, **model)
    return nlp


def make_notes(nlp: Language, notes: Sequence[Note] = NOTES) -> List[Example]:
    """Notes with their classes."""
    return [Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in notes]


def train(nlp: Language, notes: Sequence[Note] = NOTES, steps: int = 10) -> None:
    """Overfit a pipeline to notes."""
    spacy.util.fix_random_seed(0)
    optimizer = nlp.initialize(lambda: make_notes(nlp, notes))
    optimizer.learn_rate = 0.005
    for _ in range(steps):
        nlp.update(make_notes(nlp, notes), sgd=optimizer)


@cache
def trained_pipeline(checkpoint: Any, component: str, aggregator: str) -> Language:
    """Overfitted once for all tests, which leave it as it is."""
    nlp = make_pipeline(checkpoint, component, aggregator)
    train(nlp)
    return nlp


def encoder_weight(nlp: Language) -> Any:
    """A weight at the bottom of the encoder."""
    network = nlp.get_pipe("clinbert_transformer").model.shims[0]._model.transformer
    return network.encoder.layer[0].output.dense.weight


def watch_windows(monkeypatch: Any) -> Tuple[List[Any], List[int]]:
    """Outputs of the encoder for windows with gradient, and the number of the others."""
    from clinbert_spacy.models import transformer

    encode, kept, others = transformer._encode, [], []

    def watched(shim: Any, layout: Any, windows: Any, with_grad: Any, *rest: Any) -> Any:
        output = encode(shim, layout, windows, with_grad, *rest)
        if output.requires_grad:
            output.retain_grad()
            kept.append(output)
        else:
            others.append(len(output))
        return output

    monkeypatch.setattr(transformer, "_encode", watched)
    return kept, others
