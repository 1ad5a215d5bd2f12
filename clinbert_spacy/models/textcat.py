"""`clinbert.LongTextCat.v1`: notes of any length to classes, for spaCy's own text categorizers."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..nets.odds import against_others
from ..nets.textcat import PassageNet
from .aggregators import MakeAggregator
from .batch import join_rows, split_rows
from .blocks import in_blocks
from .class_calibration import EDGE, NO, calibrate_classes, decide
from .grams import hash_grams
from .passages import Cut, Ranges
from .shims import HeadShim


class Passages(NamedTuple):
    """What decided on a note.

    ranges (Ranges): tokens of its passages. scores (NDArray): logits of the passages by
    themselves. without (NDArray): probabilities of the note if that passage were not there. Shape
    of both (passages, classes). whole (NDArray): those of the whole note. Shape (classes,).
    """

    ranges: Ranges
    scores: NDArray
    without: NDArray
    whole: NDArray


def LongTextCat(
    tok2vec: Model[List[Doc], List[Floats2d]],
    aggregator: MakeAggregator,
    cut: Cut,
    exclusive_classes: bool = False,
    hidden: int = 192,
    dropout: float = 0.3,
    lr_scale: float = 10.0,
    n_grams: int = 0,
    gated: bool = False,
    few: int = 0,
    nO: Optional[int] = None,
) -> Model[List[Doc], Floats2d]:
    """Build the classifier of `textcat` (exclusive_classes = true) or `textcat_multilabel`.

    The gradient that spaCy hands back, probability minus truth, is taken as that of cross-entropy;
    classes of which nothing is known have none. In training the encoder sees at most its
    `max_train_windows` windows with gradient; the others count as they are.

    tok2vec (Model): one vector per token, usually a `clinbert.TransformerListener.v1`.
    aggregator (MakeAggregator): a `clinbert.*Aggregator.v1`.
    cut (Cut): what is classified by itself: `clinbert.Passages.v1`, `clinbert.PatientProblems.v1`.
    exclusive_classes (bool): whether a note has exactly one class.
    hidden (int): width of a passage's vector. dropout (float): in the head.
    lr_scale (float): the head's learning rate as a multiple of the optimizer's.
    n_grams (int): buckets of the words and letters of the passages themselves, for short ones
        whose names say much (`grams`); 0 reads the encoder's vectors alone.
    gated (bool): whether what a passage names and whether it counts in its note are learned apart;
        for classes that do not exclude each other.
    few (int): notes of more passages teach only whether these count, and short ones, as a list of
        names, what they name; 0: all teach all. Needs a gate.
    nO (Optional[int]): number of classes; spaCy sets it.
    RETURNS (Model): Docs to probabilities; 0 for a note without passages. Shape (notes, classes).
    RAISES (ValueError): a gate for classes that exclude each other, or `few` without a gate.
    """
    if (gated and exclusive_classes) or (few and not gated):
        raise ValueError(
            f"gated = {gated}, few = {few}, exclusive_classes = {exclusive_classes}: a gate needs "
            "classes that do not exclude each other, and `few` needs a gate."
        )
    shim = HeadShim(
        PassageNet, hidden=hidden, exclusive=exclusive_classes, dropout=dropout,
        aggregator=aggregator, n_grams=n_grams, gated=gated, few=few,
    )  # fmt: skip
    shim.lr_scale, shim.save_dtype = lr_scale, "float16"
    return Model(
        "long_textcat",
        forward,
        init=init,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        dims={"nO": nO},
        attrs={
            "multi_label": not exclusive_classes, "cut": cut, "n_grams": n_grams,
            "judge": judge, "decide": decide_all, "explain": explain,
            # by class, empty until `clinbert fit-classes`: calibration, and limits of decisions
            "rules": [], "limits": [],
        },
        shims=[shim],
    )  # fmt: skip


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Build the network, unless weights are there already.

    X (Optional[List[Doc]]): a sample. Y (Optional[Floats2d]): their classes.
    """
    tok2vec = model.get_ref("tok2vec")
    # the first note decides on the width, and an empty one's array may have none
    X = sorted(X, key=len, reverse=True) if X else X
    tok2vec.initialize(X=X)
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        if model.has_dim("nO") is None and Y is not None:
            model.set_dim("nO", Y.shape[1])
        known = tok2vec.has_dim("nO")
        width = tok2vec.get_dim("nO") if known else tok2vec.predict(X[:1])[0].shape[1]
        shim.build(n_in=int(width), n_out=model.get_dim("nO"))


def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[Floats2d, Callable]:
    """Classify notes."""
    shim = cast(HeadShim, model.shims[0])
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    asked = _ask(model, docs)
    if not len(asked["passage"]):
        zeros = [model.ops.alloc2f(*vector.shape) for vector in vectors]
        nothing = model.ops.alloc2f(len(docs), model.get_dim("nO"))
        return nothing, lambda _: backprop_vectors(zeros)
    shim._model.train(is_train)
    if is_train:
        rows = join_rows(model.ops, vectors)
        inputs = xp2torch(rows, requires_grad=True, device=shim.device)
        with torch.enable_grad():
            output = shim._model(*_tensors(shim, inputs, asked), len(docs))
    else:
        with torch.inference_mode():
            note = torch.from_numpy(asked["note"]).to(shim.device)
            output = shim._model.combine(*_read(model, vectors, asked), note, len(docs))

    def backprop(d_scores: Floats2d) -> List[Doc]:
        difference = xp2torch(d_scores, device=shim.device)
        gradient = slope(found, difference, shim._model.exclusive)
        torch.autograd.backward([output], [gradient])
        return backprop_vectors(split_rows(model.ops, torch2xp(inputs.grad), vectors))

    found = shim._model.probabilities(output.detach())
    scores = torch2xp(found)
    if not is_train and model.attrs["rules"]:
        calibrated = calibrate_classes(model.ops.to_numpy(scores), model.attrs["rules"])
        scores = model.ops.asarray2f(calibrated)
    return scores, backprop


def slope(found: torch.Tensor, difference: torch.Tensor, exclusive: bool) -> torch.Tensor:
    """Turn spaCy's gradient into that of cross-entropy: for sigmoid and softmax it is the same
    difference, and only says nothing of notes without passages or without a class.

    found (Tensor): probabilities. difference (Tensor): these minus the truth, 0 where it is not
        known. Shape of both (notes, classes). exclusive (bool): whether a note has one class.
    RETURNS (Tensor): Slope of the mean over notes, for what the network gave. Shape (notes,
        classes).
    """
    told = found.any(1)
    told &= difference.any(1)
    if exclusive:
        told &= (found - difference).sum(1) > 0.5
    return difference * told.unsqueeze(1) / told.sum().clamp(min=1)


def judge(model: Model, docs: List[Doc]) -> List[Passages]:
    """Find out how much each passage counted.

    model (Model): a trained `clinbert.LongTextCat.v1`. docs (List[Doc]): notes that the encoder
        has read.
    RETURNS (List[Passages]): One a note.
    """
    vectors = [model.ops.alloc2f(0, 0)] * len(docs)
    if any(map(len, docs)):  # a listener needs words
        vectors = model.get_ref("tok2vec").predict(docs)
    asked = _ask(model, docs)
    note = asked["note"]
    shape = (len(docs), model.get_dim("nO"))
    if not len(note):
        empty = numpy.zeros((0, shape[1]), dtype="float32")
        whole = numpy.zeros(shape, dtype="float32")
        return [Passages([], empty, empty, row) for row in whole]
    found = _judge_passages(model, vectors, asked, shape[0])
    edges = numpy.searchsorted(note, numpy.arange(1, len(docs)))
    scores, without = (numpy.split(part, edges) for part in found[:2])
    return [Passages(*row) for row in zip(asked["ranges"], scores, without, found[2])]


def _judge_passages(
    model: Model, rows: Sequence[Floats2d], asked: Dict[str, Any], n_notes: int
) -> Tuple[NDArray, NDArray, NDArray]:
    """Scores of passages, and probabilities of their notes without each and of notes."""
    shim = cast(HeadShim, model.shims[0])
    net = shim._model.eval()
    note = torch.from_numpy(asked["note"]).to(shim.device)
    with torch.inference_mode():
        vectors, scores = _read(model, rows, asked)
        combined = (
            net.leave_out(vectors, scores, note),
            net.combine(vectors, scores, note, n_notes),
        )
        found = [net.probabilities(one).cpu().numpy() for one in combined]
    without, whole = (calibrate_classes(one, model.attrs["rules"]) for one in found)
    return scores.float().cpu().numpy(), without, whole


def decide_all(
    model: Model, labels: Sequence[str], values: Sequence[float], threshold: float = 0.5
) -> Dict[str, str]:
    """Say which classes a note has.

    model (Model): a `clinbert.LongTextCat.v1`. labels (Sequence[str]): its classes.
    values (Sequence[float]): their probabilities.
    threshold (float): of classes that do not exclude each other, where no limits were fitted.
    RETURNS (Dict[str, str]): `yes`, `no` or `unsure` by class; of classes that exclude each other
        all but the likeliest are `no`.
    """
    threshold = threshold if model.attrs["multi_label"] else EDGE
    limits = model.attrs["limits"] or [None] * len(labels)
    found = {
        label: decide(value, limit, threshold)
        for label, value, limit in zip(labels, map(float, values), limits)
    }
    if model.attrs["multi_label"] or not len(values):
        return found
    best = labels[int(numpy.argmax(values))]
    return {label: said if label == best else NO for label, said in found.items()}


def explain(model: Model, doc: Doc, number: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Say what decides on a class, as a function that can be differentiated.

    model (Model): a trained `clinbert.LongTextCat.v1`. doc (Doc): the note. number (int): of the
        class.
    RETURNS (Callable): from token vectors of shape (tokens, width) to the log odds of the class,
        before calibration. Shape ().
    RAISES (ValueError): nothing of the note is classified.
    """
    shim = cast(HeadShim, model.shims[0])
    asked = _ask(model, [doc])
    if not asked["ranges"][0]:
        raise ValueError("The note has no passage that is classified: there is nothing to explain.")
    shim._model.eval()

    def score(vectors: torch.Tensor) -> torch.Tensor:
        found = shim._model(*_tensors(shim, vectors, asked), 1)
        if shim._model.exclusive and found.shape[1] > 1:
            return against_others(found, number, number + 1)[0]
        return found[0, number]

    return score


def _ask(model: Model, docs: List[Doc]) -> Dict[str, Any]:
    """Tokens that are in passages (`token`), the passage of each, and the note of each passage."""
    ranges = [model.attrs["cut"](doc) for doc in docs]
    starts = numpy.cumsum([0, *map(len, docs)])[:-1]
    spans = [(a + at, b + at) for found, at in zip(ranges, starts.tolist()) for a, b in found]
    tokens = [numpy.arange(a, b) for a, b in spans]
    none = numpy.zeros(0, dtype="int64")
    texts = [doc[a:b].text for doc, found in zip(docs, ranges) for a, b in found]
    return {
        **(hash_grams(texts, model.attrs["n_grams"]) if model.attrs["n_grams"] else {}),
        "ranges": ranges,
        "token": numpy.concatenate([none, *tokens]),
        "passage": numpy.repeat(numpy.arange(len(spans)), [b - a for a, b in spans]),
        "note": numpy.repeat(numpy.arange(len(docs)), [len(found) for found in ranges]),
    }


def _tensors(
    shim: HeadShim, rows: torch.Tensor, asked: Dict[str, Any]
) -> Tuple[torch.Tensor, Dict[str, torch.Tensor]]:
    arrays = {
        name: torch.from_numpy(array).to(shim.device)
        for name, array in asked.items()
        if name != "ranges"
    }
    return rows[arrays.pop("token")], arrays


def _read(
    model: Model, vectors: Sequence[Floats2d], asked: Dict[str, Any]
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Vectors and scores of all passages; tokens that are in no passage are never joined, and
    those of a long note not all at once."""
    shim = cast(HeadShim, model.shims[0])
    spans = [(vector, a, b) for vector, found in zip(vectors, asked["ranges"]) for a, b in found]
    parts = []
    for first, last in in_blocks([b - a for _, a, b in spans]):
        rows = model.ops.xp.concatenate([vector[a:b] for vector, a, b in spans[first:last]])
        arrays = {
            name: torch.from_numpy(array).to(shim.device)
            for name, array in _some(asked, first, last).items()
        }
        parts.append(shim._model.read(xp2torch(rows, device=shim.device), arrays))
    passages, scores = zip(*parts)
    return torch.cat(passages), torch.cat(scores)


def _some(asked: Dict[str, Any], first: int, last: int) -> Dict[str, NDArray]:
    """What `PassageNet.read` asks about the passages from first to before last."""
    tokens = slice(*numpy.searchsorted(asked["passage"], [first, last]))
    found = {"passage": asked["passage"][tokens] - first, "note": asked["note"][first:last]}
    if "grams" in asked:
        begins = asked["begins"]
        stop = begins[last] if last < len(begins) else len(asked["grams"])
        found["grams"] = asked["grams"][begins[first] : stop]
        found["begins"] = begins[first:last] - begins[first]
    return found
