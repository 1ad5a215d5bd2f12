"""`clinbert.RelationClassifier.v1`: pairs of entities to relations, causality and kind."""

from typing import Any, Callable, Dict, List, NamedTuple, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..attributes import CAUSALITIES, KINDS, PRIORITY
from ..nets.pair_reader import PairReader
from ..nets.relations import RelationNet
from .assertion import value_weights
from .batch import join_rows, split_rows
from .headings import section_names
from .pair_parts import Arrays, blocks_of, known_of_ends, parts_of
from .relation_features import N_ROLES, OF_HEAD, OF_TAIL, Questions, ask, table_sizes
from .shims import HeadShim

UNKNOWN = -1
# What is asked of an adverse effect beside whether there is one.
SAID = (CAUSALITIES, KINDS, PRIORITY)
# Arrays of `relation_features.ask` with a row for each pair.
OF_PAIRS = ("head", "tail", "window", "mask", "role", "buckets")


class PairScores(NamedTuple):
    """Scores of a batch.

    counts (List[int]): pairs of each note. scores (Floats2d): of relations, then of causality and
    kind. Shape (pairs, relations + values). allowed (NDArray): relations that the types allow.
    focus (NDArray): token of its note, outside of both entities, that counted most for each pair,
    -1 without one. Shape (pairs,).
    """

    counts: List[int]
    scores: Floats2d
    allowed: NDArray[numpy.bool_]
    focus: NDArray[numpy.int64]


class PairGold(NamedTuple):
    """What is known of a batch's pairs.

    relations (NDArray): 1 there, 0 not there, -1 unknown. Shape (pairs, relations).
    causality, kind, assertion (NDArray): numbers of the right values, -1 unknown. Shape (pairs,).
    """

    relations: NDArray[numpy.int64]
    causality: NDArray[numpy.int64]
    kind: NDArray[numpy.int64]
    assertion: NDArray[numpy.int64]


class Judged(NamedTuple):
    """Probabilities of a note's pairs.

    relations (NDArray): 0 where the types do not allow it. Shape (pairs, relations).
    causality, kind, assertion (NDArray): of each value. Shape (pairs, values).
    focus (NDArray): see `PairScores`. Shape (pairs,).
    """

    relations: NDArray
    causality: NDArray
    kind: NDArray
    assertion: NDArray
    focus: NDArray


def RelationClassifier(
    tok2vec: Model[List[Doc], List[Floats2d]],
    hidden: int = 192,
    heads: int = 4,
    dropout: float = 0.3,
    said_weight: float = 0.3,
    rare: float = 0.25,
    lr_scale: float = 10.0,
) -> Model[List[Doc], PairScores]:
    """Build the classifier of `clinbert_side_effects`.

    tok2vec (Model): one vector per token, usually a `clinbert.TransformerListener.v1`.
    hidden (int): width of the inner vectors. heads (int): of the attention around a pair.
    dropout (float): in the head.
    said_weight (float): of causality, kind and assertion in the loss.
    rare (float): weight of such a value is its frequency to the power of minus this.
    lr_scale (float): the head's learning rate as a multiple of the optimizer's.
    RETURNS (Model): Docs to `PairScores`. `attrs` hold `loss`, `decode` and `explain`; the
        component sets `relations` and `labels`, the names of relations and of the entities that
        they join.
    """
    shim = HeadShim(RelationNet, hidden=hidden, heads=heads, n_roles=N_ROLES, dropout=dropout)
    shim.lr_scale, shim.save_dtype = lr_scale, "float16"
    attrs = {"loss": pair_loss, "decode": decode, "said_weight": said_weight, "rare": rare,
             "explain": explain}  # fmt: skip
    return Model(
        "relation_classifier",
        forward,
        init=init,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        attrs={**attrs, "relations": [], "labels": []},
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
        sizes: Any = table_sizes(section_names(), len(model.attrs["labels"]))
        n_out = len(model.attrs["relations"]) + sum(map(len, SAID))
        places = len(model.attrs["labels"]) + 1
        shim.build(n_in=int(width), n_out=n_out, n_places=places, sizes=sizes)


def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[PairScores, Callable]:
    """Score the pairs that stand in the group `clinbert_relations` of each note."""
    shim = _checked(model)
    names, labels = model.attrs["relations"], model.attrs["labels"]
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    asked = ask(docs, section_names(), labels, len(names), windows=is_train)
    if not asked.arrays:
        none = model.ops.alloc2f(0, len(names) + sum(map(len, SAID)))
        zeros = [model.ops.alloc2f(*vector.shape) for vector in vectors]
        found = PairScores(asked.counts, none, asked.allowed, numpy.zeros(0, dtype="int64"))
        return found, lambda _: backprop_vectors(zeros)
    inputs = xp2torch(join_rows(model.ops, vectors), requires_grad=is_train, device=shim.device)
    shim._model.train(is_train)
    if is_train:
        with torch.enable_grad():
            output, shares = shim._model(inputs, _to_device(shim.device, asked.arrays))
        focus = _focus(asked, shares)
    else:
        output, tokens = _read(shim, inputs, asked.arrays)
        focus = _in_notes(asked, tokens)

    def backprop(d_scores: Floats2d) -> List[Doc]:
        torch.autograd.backward([output], [xp2torch(d_scores, device=shim.device)])
        return backprop_vectors(split_rows(model.ops, torch2xp(inputs.grad), vectors))

    return PairScores(asked.counts, torch2xp(output.detach()), asked.allowed, focus), backprop


def _to_device(device: torch.device, arrays: Arrays) -> Dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}


def _read(
    shim: HeadShim, inputs: torch.Tensor, arrays: Arrays
) -> Tuple[torch.Tensor, NDArray[numpy.int64]]:
    """Scores of all pairs, and the token of the batch that counted most for each, -1 for none."""
    scores, tokens = [], []
    for span, block in blocks_of(arrays):
        found, focus = _read_block(shim, inputs[span], block)
        scores.append(found)
        tokens.append(numpy.where(focus >= 0, focus + span.start, -1))
    return torch.cat(scores), numpy.concatenate(tokens)


def _read_block(
    shim: HeadShim, inputs: torch.Tensor, arrays: Arrays
) -> Tuple[torch.Tensor, NDArray[numpy.int64]]:
    ends, pairs = known_of_ends(arrays, shim.cfg["sizes"], OF_HEAD, OF_TAIL)
    device = shim.device
    with torch.inference_mode():
        reader = PairReader(shim._model, inputs, _to_device(device, ends))
        parts = (_to_device(device, part) for part in parts_of(arrays, pairs))
        scores, focus = reader.read(parts)
    return scores, focus.cpu().numpy()


def _in_notes(asked: Questions, tokens: NDArray) -> NDArray[numpy.int64]:
    """Tokens of pairs counted from the start of their notes; -1 stays."""
    inside = tokens - numpy.repeat(asked.shifts, asked.counts)
    return numpy.where(tokens >= 0, inside, -1)


def _focus(asked: Questions, shares: torch.Tensor) -> NDArray[numpy.int64]:
    """Words, counted from the start of their notes, that counted most; -1 without any.

    They stand in the sentences of the two entities and belong to no entity.
    """
    window, arrays = asked.arrays["window"], asked.arrays
    owners, first = numpy.unique(arrays["owner"], return_index=True)
    begins = dict(zip(owners.tolist(), arrays["sentence"][arrays["members"][first]].tolist()))
    ends = numpy.array([[begins[e] for e in arrays[name].tolist()] for name in ("head", "tail")])
    near = (arrays["sentence"][window][None] == ends[:, :, None]).any(0)
    free = arrays["mask"] & near & arrays["word"][window] & (arrays["place"][window] == 0)
    weights = numpy.where(free, shares.detach().float().cpu().numpy(), -1.0)
    best = weights.argmax(1)
    rows = numpy.arange(len(best))
    return _in_notes(asked, numpy.where(weights[rows, best] > 0.0, window[rows, best], -1))


def _checked(model: Model) -> HeadShim:
    """The network, if it has the relations and labels of the config."""
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        raise ValueError(
            "clinbert.RelationClassifier.v1 has no weights yet: train it, or take the component "
            "from a trained pipeline (source)."
        )
    found = (shim.cfg["n_out"] - sum(map(len, SAID)), shim.cfg["n_places"] - 1)
    wanted = (len(model.attrs["relations"]), len(model.attrs["labels"]))
    if found != wanted:
        raise ValueError(
            f"The weights know {found[0]} relations between {found[1]} labels of entities, the "
            f"config names {wanted[0]} between {wanted[1]}: {model.attrs['relations']}. Take the "
            "`relations` that the pipeline was trained with, or train again."
        )
    return shim


def _sizes(model: Model) -> List[int]:
    return [len(model.attrs["relations"]), *map(len, SAID)]


def pair_loss(model: Model, found: PairScores, gold: PairGold) -> Tuple[float, Floats2d]:
    """Binary cross-entropy of the relations that the types allow and the gold knows, over the
    number of those that are there; and cross-entropy of causality, kind and assertion.

    model (Model): the classifier. found (PairScores): what `forward` gave. gold (PairGold): beside.
    RETURNS (Tuple[float, Floats2d]): loss, and its gradient for the scores.
    """
    if not len(found.scores):
        return 0.0, found.scores
    scores = xp2torch(found.scores, requires_grad=True, device=model.shims[0].device)
    relations, *said = scores.split(_sizes(model), dim=1)
    gold = PairGold(*gold)
    right = torch.from_numpy(gold.relations).to(scores.device)
    known = (right != UNKNOWN) & torch.from_numpy(found.allowed).to(scores.device)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        relations, right.clamp(min=0).float(), reduction="none"
    )
    there = ((right == 1) & known).sum().clamp(min=4)
    loss = (losses * known).sum() / there
    for part, values in zip(said, (gold.causality, gold.kind, gold.assertion)):
        values = torch.from_numpy(values).to(scores.device)
        if (values != UNKNOWN).any():
            weights = value_weights(values, part.shape[1], model.attrs["rare"])
            entropy = torch.nn.functional.cross_entropy(
                part, values, weight=weights, ignore_index=UNKNOWN
            )
            loss = loss + model.attrs["said_weight"] * entropy
    loss.backward()
    return float(loss.detach()), torch2xp(scores.grad)


def decode(model: Model, found: PairScores) -> List[Judged]:
    """Turn scores into probabilities.

    model (Model): the classifier. found (PairScores): what `forward` gave.
    RETURNS (List[Judged]): per note.
    """
    relations, *said = xp2torch(found.scores).float().cpu().split(_sizes(model), dim=1)
    arrays = [
        torch.sigmoid(relations).numpy() * found.allowed,
        *(torch.softmax(part, dim=1).numpy() for part in said),
        found.focus,
    ]
    edges = numpy.cumsum(found.counts)[:-1]
    return [Judged(*parts) for parts in zip(*(numpy.split(array, edges) for array in arrays))]


def explain(
    model: Model, doc: Doc, pair: int, relation: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Say what decides on a pair, as a function that can be differentiated.

    model (Model): the classifier. doc (Doc): a note with its pairs, see `forward`. pair (int): the
        number of one of them. relation (int): number of the relation.
    RETURNS (Callable): from token vectors of shape (tokens, width) to the log odds of the
        relation, before calibration. Shape ().
    """
    shim = _checked(model)
    names, labels = model.attrs["relations"], model.attrs["labels"]
    asked = ask([doc], section_names(), labels, len(names)).arrays
    # of all pairs this one alone is judged; the entities and tokens are those of the note
    rows = {name: asked[name][pair : pair + 1] for name in OF_PAIRS}
    arrays = _to_device(shim.device, {**asked, **rows})
    shim._model.eval()
    return lambda vectors: shim._model(vectors, arrays)[0][0, relation]
