"""`clinbert.SentenceScorer.v1`: sentences of notes to how much each belongs into a summary."""

from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats1d, Floats2d

from ..attributes import SUMMARY_KEY
from ..nets.summary import SentenceNet
from .batch import join_rows, split_rows
from .headings import section_names
from .shims import HeadShim

# Kinds of facts that the component counts in a sentence: told, and told for the first time.
N_KINDS = 16
# Beside what a sentence tells: its place, the inverse of it, from the end, its length.
N_PLACES = 4


class SentenceScores(NamedTuple):
    """Scores of a batch. counts (List[int]): sentences of each note. scores (Floats1d): logits.
    Shape (sentences,). vectors (Floats2d): means of their tokens. Shape (sentences, width)."""

    counts: List[int]
    scores: Floats1d
    vectors: Floats2d


def SentenceScorer(
    tok2vec: Model[List[Doc], List[Floats2d]],
    hidden: int = 32,
    dropout: float = 0.3,
    hide: float = 0.6,
    lr_scale: float = 10.0,
) -> Model[List[Doc], SentenceScores]:
    """Build the scorer of `clinbert_summary`.

    tok2vec (Model): one vector per token, usually a `clinbert.TransformerListener.v1`.
    hidden (int): width of the inner vectors. dropout (float): of these.
    hide (float): share of a sentence's vector that is hidden in training.
    lr_scale (float): the head's learning rate as a multiple of the optimizer's.
    RETURNS (Model): Docs to `SentenceScores`. `attrs` hold `loss` and `decode`.
    """
    names = section_names()
    shim = HeadShim(
        SentenceNet, n_features=N_KINDS + N_PLACES, n_sections=len(names) + 1, hidden=hidden,
        dropout=dropout, hide=hide,
    )  # fmt: skip
    shim.lr_scale, shim.save_dtype = lr_scale, "float16"
    return Model(
        "sentence_scorer",
        forward,
        init=init,
        layers=[tok2vec],
        refs={"tok2vec": tok2vec},
        attrs={"loss": sentence_loss, "decode": decode},
        shims=[shim],
    )


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Build the network, unless weights are there already.

    X (Optional[List[Doc]]): a sample. Y (Optional): unused.
    """
    tok2vec = model.get_ref("tok2vec")
    X = sorted(X, key=len, reverse=True) if X else X
    tok2vec.initialize(X=X)
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        known = tok2vec.has_dim("nO")
        width = tok2vec.get_dim("nO") if known else tok2vec.predict(X[:1])[0].shape[1]
        shim.build(n_in=int(width))


def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[SentenceScores, Callable]:
    """Score the sentences that stand in the group `clinbert_summary` of each note."""
    shim = cast(HeadShim, model.shims[0])
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    counts, arrays = _ask(docs)
    rows = join_rows(model.ops, vectors)
    if not sum(counts):
        zeros = [model.ops.alloc2f(*vector.shape) for vector in vectors]
        none = SentenceScores(counts, model.ops.alloc1f(0), model.ops.alloc2f(0, rows.shape[1]))
        return none, lambda _: backprop_vectors(zeros)
    inputs = xp2torch(rows, requires_grad=is_train, device=shim.device)
    asked = {name: torch.from_numpy(array).to(shim.device) for name, array in arrays.items()}
    shim._model.train(is_train)
    with torch.enable_grad() if is_train else torch.inference_mode():
        means = shim._model.means(inputs, asked)
        output = shim._model.score(means, asked)

    def backprop(d_scores: Floats1d) -> List[Doc]:
        torch.autograd.backward([output], [xp2torch(d_scores, device=shim.device)])
        return backprop_vectors(split_rows(model.ops, torch2xp(inputs.grad), vectors))

    found = (output.detach(), means.detach().float())
    return SentenceScores(counts, *map(torch2xp, found)), backprop


def _ask(docs: Sequence[Doc]) -> Tuple[List[int], Dict[str, NDArray]]:
    """Number of sentences of each note, and the questions of `SentenceNet`."""
    groups = [doc.spans[SUMMARY_KEY] for doc in docs]
    counts = [len(group) for group in groups]
    numbers = {name: i + 1 for i, name in enumerate(section_names())}
    lengths = [[len(span) for span in group] for group in groups]
    sizes = [size for found in lengths for size in found]
    sections = [numbers.get(name, 0) for group in groups for name in group.attrs["sections"]]
    features = [_features(group, found) for group, found in zip(groups, lengths) if found]
    return counts, {
        "sentence": numpy.repeat(numpy.arange(len(sizes)), sizes),
        "section": numpy.array(sections, dtype="int64"),
        "features": numpy.concatenate(features) if features else numpy.zeros((0, 0), "float32"),
    }


def _features(group: Any, sizes: Sequence[int]) -> NDArray:
    """What is known of a note's sentences of so many tokens. RETURNS (NDArray): Shape (sentences,
    kinds + places)."""
    n = len(group)
    told = numpy.array(group.attrs["told"], dtype="float32")
    if told.shape != (n, N_KINDS):
        raise ValueError(
            f"spans['{SUMMARY_KEY}'].attrs['told'] has the shape {told.shape}, expected "
            f"{(n, N_KINDS)}, sentences and kinds of facts: let the 'clinbert_summary' of the same "
            "version of clinbert_spacy count them."
        )
    place = numpy.arange(n, dtype="float32")
    lengths = numpy.array(sizes, dtype="float32")
    places = [place / n, 1 / (1 + place), 1 / (n - place), numpy.log1p(lengths) / 4]
    return numpy.concatenate([numpy.log1p(told), numpy.stack(places, 1)], 1).astype("float32")


def sentence_loss(
    model: Model, found: SentenceScores, gold: NDArray[numpy.float32]
) -> Tuple[float, Floats1d]:
    """Binary cross-entropy over the sentences of which it is known, over those that belong.

    model (Model): the scorer. found (SentenceScores): what `forward` gave.
    gold (NDArray): 1 in the summary, 0 not, negative unknown. Shape (sentences,).
    RETURNS (Tuple[float, Floats1d]): loss, and its gradient for the scores.
    """
    if not len(found.scores):
        return 0.0, found.scores
    scores = xp2torch(found.scores, requires_grad=True, device=model.shims[0].device)
    right = torch.from_numpy(gold).to(scores.device)
    known = right >= 0
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        scores, right.clamp(min=0), reduction="none"
    )
    loss = (losses * known).sum() / (right == 1).sum().clamp(min=4)
    loss.backward()
    return float(loss.detach()), torch2xp(scores.grad)


def decode(model: Model, found: SentenceScores) -> List[Tuple[NDArray, NDArray]]:
    """Turn scores into probabilities.

    model (Model): the scorer. found (SentenceScores): what `forward` gave.
    RETURNS (List[Tuple[NDArray, NDArray]]): per note probabilities and vectors of its sentences.
    """
    values = torch.sigmoid(xp2torch(found.scores).float()).cpu().numpy()
    edges = numpy.cumsum(found.counts)[:-1]
    return list(zip(numpy.split(values, edges), numpy.split(found.vectors, edges)))
