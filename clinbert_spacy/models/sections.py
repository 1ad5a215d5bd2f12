"""Sections: `clinbert.SectionTagger.v1` learns them, `clinbert.HeadingRules.v1` reads titles.

Both take Docs with sentences and give `FoundSections`; neither needs the transformer.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from thinc.util import to_numpy

from ..nets.chains import chain, marginals
from ..nets.chains import decode as decode_chains
from ..nets.crf import length_mask
from ..nets.sections import SectionNet
from .batch import join_rows, split_rows
from .headings import Heading, section_names
from .section_features import BUCKETS, Units, describe, stack
from .shims import HeadShim

HEADER = "header"


class FoundSection(NamedTuple):
    """A section of a note.

    start (int), end (int): tokens. name (int): index into the model's names.
    heading (int): characters of its heading, 0 without one. score (float): probability.
    titled (bool): the heading is a title that we know.
    """

    start: int
    end: int
    name: int
    heading: int
    score: float
    titled: bool = False


class SectionScores(NamedTuple):
    """Scores of the tags of each note's units.

    units (List[Units]): the units. scores (List[Floats2d]): Shape (units, 2 * names).
    """

    units: List[Units]
    scores: List[Floats2d]


def SectionTagger(
    tok2vec: Optional[Model[List[Doc], List[Floats2d]]] = None,
    width: int = 96,
    window: int = 3,
    dropout: float = 0.4,
    word_dropout: float = 0.3,
    lr_scale: float = 1.0,
) -> Model[List[Doc], SectionScores]:
    """Build the learned finder of sections: words, titles and places of units, then a CRF.

    tok2vec (Optional[Model]): one vector per token, e.g. a `clinbert.TransformerListener.v1`, whose
        mean over each unit is read besides; None goes without a transformer.
    width (int): of a unit's vector. window (int): neighbours to either side that count.
    dropout (float): of vectors. word_dropout (float): of single features.
    lr_scale (float): the network's learning rate over the optimizer's.
    RETURNS (Model): Docs to `SectionScores`; `attrs` hold `names`, `loss`, `decode`.
    """
    shim = HeadShim(
        SectionNet,
        buckets=BUCKETS,
        width=width,
        window=window,
        dropout=dropout,
        word_dropout=word_dropout,
    )
    shim.lr_scale, shim.save_dtype = lr_scale, "float16"
    attrs = {"names": section_names(), "loss": crf_loss, "decode": decode}
    layers = [] if tok2vec is None else [tok2vec]
    return Model("section_tagger", forward, init=init, layers=layers, attrs=attrs, shims=[shim])


def HeadingRules() -> Model[List[Doc], SectionScores]:
    """Build the finder of sections by known titles alone; it has no weights and learns nothing.

    RETURNS (Model): Docs to `SectionScores`; `attrs` hold `names`, `loss` (zero), `decode`.
    """
    attrs = {"names": section_names(), "loss": no_loss, "decode": decode_headings}
    return Model("heading_rules", forward_headings, attrs=attrs)


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Build the network, unless weights are there already.

    X (Optional[List[Doc]]): a sample, if there is a transformer. Y (Optional): unused.
    """
    shim = cast(HeadShim, model.shims[0])
    width = 0
    for tok2vec in model.layers:
        tok2vec.initialize(X=X)
        known = tok2vec.has_dim("nO")
        width = int(tok2vec.get_dim("nO") if known else tok2vec.predict(X[:1])[0].shape[1])
    if shim._model is None:
        shim.build(n_names=len(model.attrs["names"]), n_in=width)


def forward(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[SectionScores, Callable[[List[Floats2d]], List]]:
    """Score the tags of every unit."""
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        raise ValueError(
            "clinbert.SectionTagger.v1 has no weights yet. Train it (configs/sections_cpu.cfg), "
            "take the component from a trained pipeline (source), or set its model to "
            "clinbert.HeadingRules.v1, which needs none."
        )
    units = [describe(doc) for doc in docs]
    lengths = [len(unit.starts) for unit in units]
    vectors, backprop_vectors = _token_vectors(model, docs, is_train)
    kept = [n for n in lengths if n]
    if not kept:
        empty = [model.ops.alloc2f(0, 2 * len(model.attrs["names"])) for _ in docs]
        zeros = [model.ops.alloc2f(*vector.shape) for vector in vectors]
        return SectionScores(units, empty), lambda _: backprop_vectors(zeros)
    features, offsets = (torch.from_numpy(a).to(shim.device) for a in stack(units))
    inputs = _to_torch(shim, join_rows(model.ops, vectors), is_train) if vectors else None
    shim._model.train(is_train)
    with torch.enable_grad() if is_train else torch.inference_mode():
        means = None if inputs is None else _unit_means(inputs, docs, units)
        output = shim._model(features, offsets, kept, means)
    rows = iter(torch2xp(output.detach()))
    n_tags = output.shape[2]
    scores = [next(rows)[:n] if n else model.ops.alloc2f(0, n_tags) for n in lengths]

    def backprop(d_scores: List[Floats2d]) -> List:
        grads = [xp2torch(d, device=shim.device) for d in d_scores if len(d)]
        padded = torch.nn.utils.rnn.pad_sequence(grads, batch_first=True)
        torch.autograd.backward([output], [padded])
        if inputs is None:
            return []
        return backprop_vectors(split_rows(model.ops, torch2xp(inputs.grad), vectors))

    return SectionScores(units, scores), backprop


def _token_vectors(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[List[Floats2d], Callable[[List[Floats2d]], List]]:
    return model.layers[0](docs, is_train) if model.layers else ([], lambda _: [])


def _to_torch(shim: HeadShim, rows: Floats2d, is_train: bool) -> torch.Tensor:
    return xp2torch(rows, requires_grad=is_train, device=shim.device)


def _unit_means(rows: torch.Tensor, docs: List[Doc], units: List[Units]) -> torch.Tensor:
    """(units,n_in): mean of the token vectors of each unit of each note."""
    owner: List[int] = []
    first = 0
    for doc, unit in zip(docs, units):
        place = numpy.searchsorted(unit.starts, numpy.arange(len(doc)), side="right") - 1
        # white space before the first unit belongs to none
        owner.extend(numpy.where(place < 0, -1, place + first).tolist())
        first += len(unit.starts)
    index = torch.tensor(owner, device=rows.device)
    rows, index = rows[index >= 0], index[index >= 0]
    sums = rows.new_zeros(first, rows.shape[1]).index_add(0, index, rows)
    counts = rows.new_zeros(first).index_add(0, index, rows.new_ones(len(rows)))
    return sums / counts.clamp(min=1.0).unsqueeze(1)


def crf_loss(
    model: Model, found: SectionScores, allowed: Sequence[Optional[NDArray[numpy.bool_]]]
) -> Tuple[float, List[Floats2d]]:
    """Negative log-likelihood of the tag paths that the gold allows, per note of the batch.

    model (Model): the tagger. found (SectionScores): what `forward` gave.
    allowed (Sequence[Optional[NDArray]]): per note, which tags each unit may have, shape
        (units, tags); None: the note says nothing.
    RETURNS (Tuple[float, List[Floats2d]]): loss, and its gradient for the scores.
    """
    shim = model.shims[0]
    grads = [model.ops.alloc2f(*score.shape) for score in found.scores]
    kept = [i for i, mask in enumerate(allowed) if mask is not None and len(mask)]
    if not kept:
        return 0.0, grads
    scores = [xp2torch(found.scores[i], requires_grad=True, device=shim.device) for i in kept]
    masks = [torch.from_numpy(allowed[i]).to(shim.device) for i in kept]
    padded = torch.nn.utils.rnn.pad_sequence(scores, batch_first=True)
    held = torch.nn.utils.rnn.pad_sequence(masks, True, True)
    loss = shim._model.crf(padded, length_mask(scores), held) / len(grads)
    loss.backward()
    for i, score in zip(kept, scores):
        grads[i] = torch2xp(score.grad)
    return float(loss.detach()), grads


def decode(model: Model, found: SectionScores) -> List[List[FoundSection]]:
    """Find the best sequence of sections of each note.

    model (Model): the tagger. found (SectionScores): what `forward` gave.
    RETURNS (List[List[FoundSection]]): per note, in order, without gaps; the last ends at -1.
    """
    kept = [i for i, score in enumerate(found.scores) if len(score)]
    results: List[List[FoundSection]] = [[] for _ in found.scores]
    if not kept:
        return results
    # on the CPU, wherever the scores are: the steps are too small for another device
    chains = chain([torch.from_numpy(to_numpy(found.scores[i])) for i in kept])
    crf = model.shims[0]._model.crf
    paths = decode_chains(crf, chains)
    sure = marginals(crf, chains).gather(1, paths.unsqueeze(1)).squeeze(1)
    for i, tags, shares in zip(kept, paths.split(chains.lengths), sure.split(chains.lengths)):
        results[i] = _read_tags(found.units[i], tags.tolist(), shares.numpy())
    return results


def _read_tags(units: Units, tags: List[int], chosen: NDArray[numpy.float64]) -> List[FoundSection]:
    begins = [i for i, tag in enumerate(tags) if tag % 2 == 0]
    ends = [*begins[1:], len(tags)]
    return [
        _section(units, i, end, tags[i] // 2, float(chosen[i:end].mean()))
        for i, end in zip(begins, ends)
    ]


def _section(units: Units, first: int, end: int, name: int, score: float) -> FoundSection:
    heading: Optional[Heading] = units.headings[first]
    stop = int(units.starts[end]) if end < len(units.starts) else -1
    length, titled = (heading.end, bool(heading.name)) if heading else (0, False)
    return FoundSection(int(units.starts[first]), stop, name, length, score, titled)


def forward_headings(
    model: Model, docs: List[Doc], is_train: bool
) -> Tuple[SectionScores, Callable[[List[Floats2d]], List]]:
    """Describe the units; the scores are empty."""
    units = [describe(doc) for doc in docs]
    scores = [model.ops.alloc2f(len(unit.starts), 0) for unit in units]
    return SectionScores(units, scores), lambda _: []


def no_loss(model: Model, found: SectionScores, allowed: Any) -> Tuple[float, List[Floats2d]]:
    """Learn nothing. RETURNS (Tuple[float, List[Floats2d]]): zero, and empty gradients."""
    return 0.0, found.scores


def decode_headings(model: Model, found: SectionScores) -> List[List[FoundSection]]:
    """Begin a section at every known title; what stands before the first is the header.

    model (Model): the rules. found (SectionScores): what `forward_headings` gave.
    RETURNS (List[List[FoundSection]]): per note, in order, without gaps; the last ends at -1.
        The score is 1.0 for a title as it stands in the list, 0.5 for a misspelt one or none.
    """
    return [_read_titles(model.attrs["names"], units) for units in found.units]


def _read_titles(names: List[str], units: Units) -> List[FoundSection]:
    known = [(i, h) for i, h in enumerate(units.headings) if h is not None and h.name]
    changes = [(i, h) for k, (i, h) in enumerate(known) if not k or known[k - 1][1].name != h.name]
    if len(units.starts) and (not changes or changes[0][0] > 0):
        changes.insert(0, (0, Heading(0, HEADER, False, False)))
    ends = [*(i for i, _ in changes[1:]), len(units.starts)]
    return [
        _section(units, i, end, names.index(h.name), 1.0 if h.exact else 0.5)
        for (i, h), end in zip(changes, ends)
    ]
