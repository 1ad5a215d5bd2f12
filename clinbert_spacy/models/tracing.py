"""A note's way from wordpiece embeddings to token vectors, open to gradients."""

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, cast

import numpy
import torch
from numpy.typing import NDArray
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d, Ragged
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ..nets.bert import fits
from ..nets.knowledge import Facts
from .checkpoint import WordPieces
from .encoder_shim import EncoderShim, takes_embeddings
from .layout import IntArray, Layout, owned_pieces, pad_values, pad_windows
from .windows import END, OWN_END, OWN_START, START, gather_rows

# What stands in for the text where nothing is read, and the piece that it is.
BASELINES = {"pad": "[PAD]", "mask": "[MASK]"}
Known = Tuple[Tensor, Tensor, IntArray]


class Opened(NamedTuple):
    """Windows of a note whose pieces may be changed.

    rows (IntArray): numbers of the windows. ids, mask (Tensor): their pieces. Shape (rows, length).
    inputs (Tuple[Tensor, ...]): embeddings of the pieces, and where the encoder knows a lexicon
        what it says of them. Shape (1, rows, length, width) each.
    baselines (Tuple[Tensor, ...]): the same of a text that says nothing; special pieces are kept.
    """

    rows: IntArray
    ids: Tensor
    mask: Tensor
    inputs: Tuple[Tensor, ...]
    baselines: Tuple[Tensor, ...]


class Pool(torch.autograd.Function):
    """A thinc layer that pools pieces into tokens, as a step that torch differentiates."""

    @staticmethod
    def forward(ctx: Any, pieces: Tensor, pooling: Model[Ragged, Floats2d], lengths: Any) -> Tensor:
        """Pool (pieces, width) by the number of pieces of each token to (tokens, width)."""
        rows = Ragged(cast(Any, torch2xp(pieces.detach())), lengths)
        tokens, ctx.backprop = pooling(rows, True)
        return xp2torch(tokens, device=pieces.device)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Differentiate. RETURNS: Gradient of the pieces."""
        d_rows = ctx.backprop(torch2xp(grad.contiguous()))
        return xp2torch(d_rows.dataXd, device=grad.device), None, None


class Trace:
    """A note as the encoder reads it.

    shim (EncoderShim): the encoder. layout (Layout): pieces and windows of the note alone.
    known (Optional[Tuple]): flags and vectors of a lexicon by row, and the row of each piece.
    batch_pieces (int): most pieces that are in memory with their gradients at a time.
    """

    def __init__(
        self, shim: EncoderShim, layout: Layout, known: Optional[Known], batch_pieces: int
    ) -> None:
        self.shim = shim
        self.layout = layout
        self.batch_pieces = batch_pieces
        self.pieces = cast(WordPieces, shim.pieces)
        self._check_embeddings()
        self.table = None if known is None else torch.cat(known[:2], dim=1)
        self.n_flags = 0 if known is None else known[0].shape[1]
        self.row_of = None if known is None else known[2]
        lengths = layout.aligns[0].lengths
        self.token_of = numpy.repeat(numpy.arange(len(lengths)), lengths)
        shim._model.eval()
        with torch.no_grad():
            self.hidden = self._read_all()

    @property
    def n_windows(self) -> int:
        """RETURNS (int): windows of the note."""
        return len(self.layout.windows)

    def tokens_of(self, row: int) -> Tuple[int, int]:
        """First token of a window, and one past its last."""
        start, end = self.layout.windows[row, [START, END]].tolist()
        return int(self.token_of[start]), int(self.token_of[end - 1]) + 1

    def pool(self, hidden: Tensor, pooling: Model[Ragged, Floats2d]) -> Tensor:
        """Make token vectors.

        hidden (Tensor): vectors of pieces. Shape (pieces, width).
        pooling (Model): as of the component that reads them.
        RETURNS (Tensor): shape (tokens, width).
        """
        lengths = pooling.ops.asarray1i(self.layout.aligns[0].lengths)
        return Pool.apply(hidden[: len(self.token_of)], pooling, lengths)

    def weigh(self, gradient: Tensor) -> NDArray:
        """Tell how much a score depends on each window.

        gradient (Tensor): of the score for `hidden`. Shape (pieces, width).
        RETURNS (NDArray): sum over a window's own pieces of |gradient * vector|. Shape (windows,).
        """
        shares = (gradient * self.hidden).abs().sum(1).cpu().numpy()
        borders = self.layout.windows[:, [OWN_START, OWN_END]].tolist()
        return numpy.array([shares[start:end].sum() for start, end in borders])

    def open(self, rows: Sequence[int], baseline: str) -> Opened:
        """Open windows to change.

        rows (Sequence[int]): numbers of the windows. baseline (str): one of `BASELINES`.
        RETURNS (Opened): their pieces, and those of a text that says nothing.
        RAISES (ValueError): the vocabulary has no such piece.
        """
        chosen = numpy.array(rows, dtype="int64")
        ids, mask = self._padded(chosen)
        ones = numpy.ones(len(self.layout.ids), dtype="int64")
        inner = torch.from_numpy(pad_values(self.layout, chosen, ones)).to(ids.device) > 0
        filler = torch.where(inner, self._filler(baseline), ids)
        with torch.no_grad():
            given, empty = self._embed(ids)[None], self._embed(filler)[None]
        if self.table is None:
            return Opened(chosen, ids, mask, (given,), (empty,))
        facts = F.embedding(self._facts_index(chosen), self.table)[None]
        return Opened(chosen, ids, mask, (given, facts), (empty, torch.zeros_like(facts)))

    def vectors(self, opened: Opened, inputs: Sequence[Tensor], pooling: Any) -> List[Tensor]:
        """Read changed windows; the others stay as they are.

        opened (Opened): the windows. inputs (Sequence[Tensor]): instead of its own. Shape
            (variants, rows, length, width) each.
        pooling (Model): as of the component that reads the vectors.
        RETURNS (List[Tensor]): for each variant token vectors of shape (tokens, width).
        """
        read = self._read_changed(opened, inputs)
        flat, positions = (
            torch.from_numpy(a).to(read.device) for a in owned_pieces(self.layout, opened.rows)
        )
        return [
            self.pool(self.hidden.index_copy(0, positions, rows[flat]), pooling) for rows in read
        ]

    def at_once(self, opened: Opened) -> int:
        """How many variants of windows fit in memory. RETURNS (int): at least 1."""
        return max(1, self.batch_pieces // opened.ids.numel())

    def shares(self, opened: Opened, attributions: Tensor) -> NDArray:
        """Sum attributions of pieces up to tokens; a piece in two windows counts in both.

        opened (Opened): the windows. attributions (Tensor): shape (1, rows, length, width).
        RETURNS (NDArray): shape (tokens,).
        """
        values = attributions[0].detach().double().sum(-1).cpu().numpy()
        windows = self.layout.windows[opened.rows]
        lengths = windows[:, END] - windows[:, START]
        columns = numpy.arange(values.shape[1])[None]
        inner = (columns > 0) & (columns <= lengths[:, None])
        pieces = gather_rows(windows[:, START], windows[:, END])
        tokens = numpy.zeros(len(self.layout.aligns[0].lengths))
        numpy.add.at(tokens, self.token_of[pieces], values[inner])
        return tokens

    def _read_all(self) -> Tensor:
        width = int(self.shim._model.transformer.config.hidden_size)
        hidden = torch.zeros(len(self.layout.ids), width, device=self.shim.device)
        longest = int((self.layout.windows[:, END] - self.layout.windows[:, START]).max()) + 2
        for rows in torch.arange(self.n_windows).split(max(1, self.batch_pieces // longest)):
            chosen = rows.numpy()
            ids, mask = self._padded(chosen)
            facts = None
            if self.table is not None:
                flags, vectors = self._split(self.table)
                facts = Facts(flags, vectors, self._facts_index(chosen))
            read = self.shim._model(ids, mask, facts).reshape(-1, width)
            flat, positions = map(torch.from_numpy, owned_pieces(self.layout, chosen))
            hidden[positions.to(hidden.device)] = read[flat.to(hidden.device)]
        return hidden

    def _read_changed(self, opened: Opened, inputs: Sequence[Tensor]) -> Tensor:
        """(variants, rows * length, width), no more in memory than `batch_pieces` at a time."""
        variants, n_rows, length = inputs[0].shape[:3]
        parts = [part.flatten(0, 1) for part in inputs]
        index = torch.arange(n_rows, device=opened.ids.device).repeat(variants)
        size = max(1, self.batch_pieces // length)
        chunks = [torch.split(part, size) for part in (index, *parts)]
        known = None if self.row_of is None else self._facts_index(opened.rows) > 0
        read = []
        for rows, *given in zip(*chunks):
            ids, mask = opened.ids[rows], opened.mask[rows]
            arguments = (ids, mask, None if known is None else known[rows], *given)
            if len(chunks[0]) == 1:
                read.append(self._read_some(*arguments))
            else:
                # what a window needs for its gradient is made anew when its turn comes
                read.append(checkpoint(self._read_some, *arguments, use_reentrant=False))
        return torch.cat(read).reshape(variants, n_rows * length, -1)

    def _read_some(
        self,
        ids: Tensor,
        mask: Tensor,
        known: Optional[Tensor],
        embedded: Tensor,
        told: Optional[Tensor] = None,
    ) -> Tensor:
        facts = None
        if told is not None and known is not None:
            # each piece has a row of its own, behind the one of which nothing is known
            rows = F.pad(told.reshape(-1, told.shape[-1]), (0, 0, 1, 0))
            index = torch.arange(1, len(rows), device=rows.device).view_as(ids) * known
            facts = Facts(*self._split(rows), index)
        return self.shim._model(ids, mask, facts, embedded - self._embed(ids).detach())

    def _split(self, table: Tensor) -> Tuple[Tensor, Tensor]:
        return table[:, : self.n_flags], table[:, self.n_flags :]

    def _padded(self, rows: IntArray) -> Tuple[Tensor, Tensor]:
        ids, mask = pad_windows(self.layout, rows, self.pieces)
        device = self.shim.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device).long()

    def _facts_index(self, rows: IntArray) -> Tensor:
        index = pad_values(self.layout, rows, cast(IntArray, self.row_of))
        return torch.from_numpy(index).to(self.shim.device)

    def _embed(self, ids: Tensor) -> Tensor:
        return self.shim._model.transformer.get_input_embeddings()(ids)

    def _filler(self, baseline: str) -> int:
        special = self.pieces.special["pad"] if baseline == "pad" else None
        found = self.pieces.backend.token_to_id(BASELINES[baseline]) if special is None else special
        if found is None:
            raise ValueError(
                f"The encoder's vocabulary has no piece {BASELINES[baseline]}: take another "
                f"baseline among {', '.join(BASELINES)}."
            )
        return int(found)

    def _check_embeddings(self) -> None:
        network = self.shim._model.transformer
        if not fits(network) and not takes_embeddings(network, self.pieces.special):
            raise ValueError(
                f"{type(network).__name__} does not compute the same from embeddings as from ids: "
                "what it reads cannot be traced back to words."
            )
