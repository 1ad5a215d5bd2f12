"""`clinbert.TokenTagger.v1`: token vectors in, BIOES scores out, the best legal path decoded."""

from itertools import islice
from typing import Any, Callable, Iterable, List, NamedTuple, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, get_array_module, torch2xp, xp2torch
from thinc.types import Floats2d
from thinc.util import to_numpy

from ..nets.chains import chain, span_marginals
from ..nets.chains import decode as decode_chains
from ..nets.crf import TokenSpan, length_mask, tags_to_spans
from ..nets.odds import against_others
from ..nets.tagger import TokenTagger as TaggerNet
from . import blocks, features
from .shims import HeadShim

LONGEST_SEGMENT = 256  # words decoded as one sequence
Allowed = NDArray[numpy.bool_]


class Tagging(NamedTuple):
    """Scores of the tags of each note's words.

    tokens (List): Per note, the token indices of its words.
    scores (List[Floats2d]): Per note. Shape (words, tags).
    """

    tokens: List[NDArray[numpy.int64]]
    scores: List[Floats2d]


def TokenTagger(
    tok2vec: Model[List[Doc], List[Floats2d]],
    hidden: int = 0,
    char_filters: int = 32,
    shapes: bool = True,
    dropout: float = 0.2,
    decoder: str = "crf",
    lr_scale: float = 10.0,
) -> Model[List[Doc], Tagging]:
    """Build the tagger of `clinbert_ner`.

    tok2vec (Model): One vector per token, usually a `clinbert.TransformerListener.v1`.
    hidden (int): Width of a hidden layer, 0 for none.
    char_filters (int): Filters per kernel of the character network, 0 for none.
    shapes (bool): Use case, length and line-break features.
    dropout (float): Dropout in the head.
    decoder (str): `crf` learns transitions; `legal` only forbids illegal ones.
    lr_scale (float): The head's learning rate as a multiple of the optimizer's.
    RETURNS (Model): Docs to `Tagging`. `attrs` hold `loss`, `decode` and `explain`.
    RAISES (ValueError): Unknown decoder.
    """
    if decoder not in ("crf", "legal"):
        raise ValueError(f"decoder = '{decoder}' is not one of crf, legal.")
    shim = HeadShim(
        TaggerNet,
        n_hidden=hidden,
        n_shapes=features.N_SHAPES if shapes else (),
        char_filters=char_filters,
        n_chars=features.N_CHARS,
        dropout=dropout,
        learn_transitions=decoder == "crf",
    )
    shim.lr_scale = lr_scale
    return Model(
        "token_tagger",
        forward,
        init=init,
        layers=[tok2vec],
        dims={"nO": None},
        refs={"tok2vec": tok2vec},
        attrs={"loss": crf_loss, "decode": decode, "explain": explain},
        shims=[shim],
    )


def init(model: Model, X: Any = None, Y: Any = None) -> None:
    """Build the network for `nO` labels, unless weights are there already.

    X (Optional[List[Doc]]): A sample.
    Y (Optional): Unused; the number of labels is the dim `nO`, set by the component.
    """
    tok2vec = model.get_ref("tok2vec")
    tok2vec.initialize(X=X)
    shim = cast(HeadShim, model.shims[0])
    if shim._model is None:
        known = tok2vec.has_dim("nO")
        width = tok2vec.get_dim("nO") if known else tok2vec.predict(X[:1])[0].shape[1]
        shim.build(n_in=int(width), n_labels=model.get_dim("nO"))


def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[Tagging, Callable]:
    """Score the tags of every word that is not white space."""
    shim = cast(HeadShim, model.shims[0])
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    found = features.extract(docs)
    lengths = [len(tokens) for tokens in found.tokens]
    rest = [torch.from_numpy(a).to(shim.device) for a in found[1:]]
    shim._model.train(is_train)
    if not sum(lengths):
        output = torch.zeros((0, shim._model.output.out_features), device=shim.device)
    elif is_train:
        words = _pick(model, vectors, found.tokens)
        inputs = xp2torch(words, requires_grad=True, device=shim.device)
        with torch.enable_grad():
            output = shim._model(inputs, *rest)
    else:
        with torch.inference_mode():
            output = _score(model, vectors, found.tokens, *rest)
    scores = Tagging(found.tokens, _split(torch2xp(output.detach()), lengths))

    def backprop(d_scores: List[Floats2d]) -> List[Doc]:
        d_vectors = [model.ops.alloc2f(*v.shape) for v in vectors]
        if sum(lengths):
            d_output = xp2torch(model.ops.xp.concatenate(d_scores), device=shim.device)
            torch.autograd.backward([output], [d_output])
            parts = _split(torch2xp(inputs.grad), lengths)
            for d_vector, tokens, part in zip(d_vectors, found.tokens, parts):
                if len(tokens):
                    d_vector[tokens] = part
        return backprop_vectors(d_vectors)

    return scores, backprop


def crf_loss(
    model: Model, tagging: Tagging, allowed: Sequence[Allowed]
) -> Tuple[float, List[Floats2d]]:
    """Negative log-likelihood of the tag paths that the gold allows, per note of the batch.

    Gradients of the transitions are left in the network for `finish_update`.

    model (Model): The tagger.
    tagging (Tagging): What `forward` gave.
    allowed (Sequence[Allowed]): Per note, which tags each word may have. Shape (words, tags).
    RETURNS (Tuple[float, List[Floats2d]]): Loss, and its gradient for the scores.
    """
    net = model.shims[0]._model
    device = model.shims[0].device
    n_notes = max(1, len(tagging.scores))
    grads = [model.ops.alloc2f(*s.shape) for s in tagging.scores]
    kept = [i for i, s in enumerate(tagging.scores) if len(s) and not allowed[i].all()]
    if not kept:
        return 0.0, grads
    scores = [xp2torch(tagging.scores[i], requires_grad=True, device=device) for i in kept]
    masks = [torch.from_numpy(allowed[i]).to(device) for i in kept]
    padded = torch.nn.utils.rnn.pad_sequence(scores, batch_first=True)
    loss = net.crf(padded, length_mask(scores), torch.nn.utils.rnn.pad_sequence(masks, True, True))
    (loss / n_notes).backward()
    for i, score in zip(kept, scores):
        grads[i] = torch2xp(score.grad)
    return float(loss.detach()) / n_notes, grads


def decode(
    model: Model, tagging: Tagging
) -> List[Tuple[List[TokenSpan], List[float]]]:
    """Find the entities on the best legal path, with their probabilities.

    model (Model): The tagger.
    tagging (Tagging): What `forward` gave.
    RETURNS (List[Tuple[List[TokenSpan], List[float]]]): Per note, spans in tokens of the Doc
        (start, end, label) and the probability that each is exactly a mention.
    """
    crf = model.shims[0]._model.crf
    # on the CPU, wherever the scores are: the steps are too small for another device
    segments = [
        (note, start, torch.from_numpy(scores[start:end]))
        for note, scores in enumerate(map(to_numpy, tagging.scores))
        for start, end in cut_segments(scores)
    ]
    results: List[Tuple[List[TokenSpan], List[float]]] = [([], []) for _ in tagging.scores]
    for batch in _by_length(segments, 64):
        chains = chain([scores for _, _, scores in batch])
        paths = decode_chains(crf, chains).split(chains.lengths)
        spans = [tags_to_spans(path.tolist()) for path in paths]
        sure = iter(span_marginals(crf, chains, spans))
        for (note, offset, _), found in zip(batch, spans):
            tokens = tagging.tokens[note][offset:].tolist()
            results[note][0].extend((tokens[s], tokens[e - 1] + 1, label) for s, e, label in found)
            results[note][1].extend(islice(sure, len(found)))
    return [_sorted(spans, sure) for spans, sure in results]


def explain(
    model: Model, doc: Doc, start: int, end: int, label: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Say what decides on an entity, as a function that can be differentiated.

    model (Model): The tagger. doc (Doc): The note. start, end (int): Tokens of the entity.
    label (int): Number of its label.
    RETURNS (Callable): From token vectors of shape (tokens, width) to the log odds of the label
        against all other tags, summed over the words of the entity. Shape ().
    """
    shim = cast(HeadShim, model.shims[0])
    found = features.extract([doc])
    tokens = found.tokens[0]
    inside = (tokens >= start) & (tokens < end)
    arrays = (tokens[inside], found.shapes[inside], found.chars, found.word_of[inside])
    words, *rest = (torch.from_numpy(array).to(shim.device) for array in arrays)
    shim._model.eval()

    def score(vectors: torch.Tensor) -> torch.Tensor:
        emissions = shim._model(vectors[words], *rest)
        return against_others(emissions, 1 + 4 * label, 5 + 4 * label).sum()

    return score


def cut_segments(scores: NDArray) -> List[Tuple[int, int]]:
    """Cut a long note after words that are surely outside of entities.

    scores (NDArray): Tag scores, tag 0 is `O`. Shape (words, tags).
    RETURNS (List[Tuple[int, int]]): Segments of at most `LONGEST_SEGMENT` words.
    """
    segments, start = [], 0
    while len(scores) - start > LONGEST_SEGMENT:
        window = scores[start + LONGEST_SEGMENT // 2 : start + LONGEST_SEGMENT]
        margin = window[:, 0] - window[:, 1:].max(axis=1)
        end = start + LONGEST_SEGMENT // 2 + int(margin.argmax()) + 1
        segments.append((start, end))
        start = end
    return segments + [(start, len(scores))] * (len(scores) > start)


def _score(
    model: Model,
    vectors: List[Floats2d],
    tokens: List[NDArray],
    shapes: torch.Tensor,
    chars: torch.Tensor,
    word_of: torch.Tensor,
) -> torch.Tensor:
    """Scores of all words, those of long notes part by part."""
    shim = cast(HeadShim, model.shims[0])
    spelt = shim._model.spell(chars)
    size = blocks.BLOCK
    pieces = [
        (vector, words[i : i + size])
        for vector, words in zip(vectors, tokens)
        for i in range(0, len(words), size)
    ]
    scores, start = [], 0
    for first, last in blocks.in_blocks([len(words) for _, words in pieces]):
        rows = xp2torch(_pick(model, *zip(*pieces[first:last])), device=shim.device)
        part = slice(start, start + len(rows))
        scores.append(shim._model.score(rows, shapes[part], spelt, word_of[part]))
        start = part.stop
    return torch.cat(scores) if len(scores) > 1 else scores[0]


def _pick(model: Model, vectors: Sequence[Floats2d], tokens: Sequence[NDArray]) -> Floats2d:
    # a note without white space needs no copy of its own
    rows = [v if len(t) == len(v) else v[t] for v, t in zip(vectors, tokens) if len(t)]
    n_in = int(model.shims[0].cfg["n_in"])
    if len(rows) == 1:
        return rows[0]  # the vectors of a long note are large: not twice
    return model.ops.xp.concatenate(rows) if rows else model.ops.alloc2f(0, n_in)


def _split(array: Floats2d, lengths: List[int]) -> List[Floats2d]:
    edges = numpy.cumsum(lengths)[:-1].tolist()
    return get_array_module(array).split(array, edges) if lengths else []


def _by_length(segments: List[Tuple], size: int) -> Iterable[List[Tuple]]:
    ordered = sorted(segments, key=lambda segment: len(segment[2]))
    return (ordered[i : i + size] for i in range(0, len(ordered), size))


def _sorted(spans: List[TokenSpan], sure: List[float]) -> Tuple[List[TokenSpan], List[float]]:
    pairs = sorted(zip(spans, sure))
    return [span for span, _ in pairs], [probability for _, probability in pairs]
