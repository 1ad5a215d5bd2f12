"""`clinbert.AssertionClassifier.v1`: entities in context to the values of each axis."""

from typing import Any, Callable, Dict, List, NamedTuple, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..attributes import AXES, DRUG_AXES
from ..nets.assertion import AssertionNet
from .assertion_features import ask, table_sizes
from .batch import join_rows, split_rows
from .headings import section_names
from .shims import HeadShim

Gold = Dict[str, NDArray[numpy.int64]]


class AxisScores(NamedTuple):
    """Scores of a batch. counts (List[int]): entities of each note. scores (Floats2d): Shape
    (entities, values of all axes)."""

    counts: List[int]
    scores: Floats2d


def AssertionClassifier(
    tok2vec: Model[List[Doc], List[Floats2d]],
    hidden: int = 128,
    heads: int = 4,
    reach: int = 32,
    dropout: float = 0.3,
    hide: float = 0.5,
    trust: float = 2.0,
    doubt: float = 0.5,
    rare: float = 0.25,
    lr_scale: float = 10.0,
) -> Model[List[Doc], AxisScores]:
    """Build the classifier of `clinbert_assertion`.

    tok2vec (Model): one vector per token, usually a `clinbert.TransformerListener.v1`.
    hidden (int): width of the inner vectors. heads (int): of the attention to the context.
    reach (int): tokens to either side of an entity. dropout (float): in the head.
    hide (float): share of entities whose own words are hidden in training, and of half as many
        tokens: an entity is judged by its context, not by its name.
    trust (float): weight that the rules' answers have in the scores before training.
    doubt (float): share of entities whose rules' answers are hidden in training.
    rare (float): weight of a value in the loss is its frequency to the power of minus this.
    lr_scale (float): the head's learning rate as a multiple of the optimizer's.
    RETURNS (Model): Docs to `AxisScores`. `attrs` hold `loss` and `decode`.
    """
    shim = HeadShim(
        AssertionNet,
        values=[len(values) for values in AXES.values()],
        sizes=table_sizes(section_names()),
        hidden=hidden,
        heads=heads,
        dropout=dropout,
        hide=hide,
        trust=trust,
        doubt=doubt,
        shared=[axis in DRUG_AXES for axis in AXES],
    )
    shim.lr_scale, shim.save_dtype = lr_scale, "float16"
    return Model(
        "assertion_classifier",
        forward,
        init=init,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        attrs={"loss": axis_loss, "decode": decode, "reach": reach, "rare": rare},
        shims=[shim],
    )


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Build the network, unless weights are there already.

    X (Optional[List[Doc]]): a sample. Y (Optional): unused.
    """
    tok2vec = model.get_ref("tok2vec")
    tok2vec.initialize(X=X)
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        known = tok2vec.has_dim("nO")
        width = tok2vec.get_dim("nO") if known else tok2vec.predict(X[:1])[0].shape[1]
        shim.build(n_in=int(width))


def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[AxisScores, Callable]:
    """Score the entities that stand in the group `clinbert_assertion` of each note."""
    shim = cast(HeadShim, model.shims[0])
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    asked = ask(docs, section_names(), model.attrs["reach"])
    if not asked.arrays:
        none = model.ops.alloc2f(0, sum(map(len, AXES.values())))
        zeros = [model.ops.alloc2f(*vector.shape) for vector in vectors]
        return AxisScores(asked.counts, none), lambda _: backprop_vectors(zeros)
    rows = join_rows(model.ops, vectors)
    inputs = xp2torch(rows, requires_grad=is_train, device=shim.device)
    arrays = {name: torch.from_numpy(a).to(shim.device) for name, a in asked.arrays.items()}
    shim._model.train(is_train)
    with torch.enable_grad() if is_train else torch.inference_mode():
        output = shim._model(inputs, arrays)

    def backprop(d_scores: Floats2d) -> List[Doc]:
        torch.autograd.backward([output], [xp2torch(d_scores, device=shim.device)])
        return backprop_vectors(split_rows(model.ops, torch2xp(inputs.grad), vectors))

    return AxisScores(asked.counts, torch2xp(output.detach())), backprop


def axis_loss(model: Model, found: AxisScores, gold: Gold) -> Tuple[float, Floats2d]:
    """Cross-entropy of the values, averaged over the entities of each axis, summed over the axes.

    model (Model): the classifier. found (AxisScores): what `forward` gave.
    gold (Gold): by axis, the number of the right value of each entity, -1 where unknown.
    RETURNS (Tuple[float, Floats2d]): loss, and its gradient for the scores.
    """
    if not len(found.scores):
        return 0.0, found.scores
    scores = xp2torch(found.scores, requires_grad=True, device=model.shims[0].device)
    loss = scores.sum() * 0.0
    for axis, part in split_axes(scores).items():
        right = torch.from_numpy(gold[axis]).to(scores.device)
        if (right >= 0).any():
            weights = value_weights(right, part.shape[1], model.attrs["rare"])
            loss = loss + torch.nn.functional.cross_entropy(
                part, right, weight=weights, ignore_index=-1
            )
    loss.backward()
    return float(loss.detach()), torch2xp(scores.grad)


def value_weights(right: torch.Tensor, n_values: int, rare: float) -> torch.Tensor:
    """Weights of values in a loss: their frequency to the power of -rare.

    right (Tensor): numbers of the right values, negative where unknown. Shape (rows,).
    n_values (int): how many there are. rare (float): 0 weighs all alike.
    RETURNS (Tensor): Shape (n_values,).
    """
    counts = torch.bincount(right[right >= 0], minlength=n_values).float()
    return (counts.clamp(min=1.0) / counts.sum()).pow(-rare)


def split_axes(scores: Any) -> Dict[str, Any]:
    """Cut scores into those of each axis.

    scores (Any): Shape (entities, values of all axes). RETURNS (Dict[str, Any]): by axis.
    """
    parts, start = {}, 0
    for axis, values in AXES.items():
        parts[axis] = scores[:, start : start + len(values)]
        start += len(values)
    return parts


def decode(model: Model, found: AxisScores) -> List[Dict[str, List[Dict[str, float]]]]:
    """Turn scores into probabilities.

    model (Model): the classifier. found (AxisScores): what `forward` gave.
    RETURNS (List): by note and axis, the probability of each value for each entity.
    """
    parts = {axis: _softmax(part) for axis, part in split_axes(found.scores).items()}
    results, start = [], 0
    for count in found.counts:
        stop = start + count
        results.append({
            axis: [dict(zip(AXES[axis], row.tolist())) for row in part[start:stop]]
            for axis, part in parts.items()
        })  # fmt: skip
        start = stop
    return results


def _softmax(scores: Floats2d) -> NDArray:
    return torch.softmax(xp2torch(scores).float().cpu(), dim=1).numpy()
