"""A WordPiece vocabulary of one's own text, and embeddings carried over from the old pieces."""

from typing import Dict, Iterable, List, Tuple

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import BertTokenizerFast, PreTrainedTokenizerBase

from ..models.checkpoint import plain_backend

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MIN_SIZE = 300


def train_wordpieces(
    texts: Iterable[str], size: int, lowercase: bool = True, min_frequency: int = 5
) -> PreTrainedTokenizerBase:
    """Train a WordPiece vocabulary (Wu et al. 2016) with BERT's normaliser and word splitter.

    texts (Iterable[str]): The text.
    size (int): Pieces, special ones included.
    lowercase (bool): Fold case and strip accents, as uncased BERT does.
    min_frequency (int): A pair of pieces seen less often is not joined.
    RETURNS (PreTrainedTokenizerBase): A fast BERT tokenizer.
    RAISES (ValueError): A size too small to hold letters, digits and special pieces.
    """
    if size < MIN_SIZE:
        raise ValueError(f"[vocabulary] size = {size}: expected 0 (keep) or at least {MIN_SIZE}.")
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=SPECIAL,
        limit_alphabet=200,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    cls, sep = (backend.token_to_id(piece) for piece in ("[CLS]", "[SEP]"))
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    return BertTokenizerFast(
        tokenizer_object=backend, do_lower_case=lowercase, model_max_length=512
    )


def transplant(
    old: torch.Tensor, old_pieces: PreTrainedTokenizerBase, new_pieces: PreTrainedTokenizerBase
) -> Tuple[torch.Tensor, Dict[str, int]]:
    """Give every new piece a vector: its own if the old vocabulary has it, else a mean of parts.

    old (torch.Tensor): The old embeddings. Shape (old pieces, width).
    old_pieces (PreTrainedTokenizerBase): The old vocabulary.
    new_pieces (PreTrainedTokenizerBase): The new one.
    RETURNS (Tuple[torch.Tensor, Dict[str, int]]): New embeddings, and how many pieces were
        `copied`, made of `parts`, or `unknown` and given the mean of all.
    """
    known = old_pieces.get_vocab()
    new = new_pieces.get_vocab()
    table = torch.empty((len(new), old.shape[1]), dtype=old.dtype)
    counts = {"copied": 0, "parts": 0, "unknown": 0}
    for piece, row in new.items():
        parts = [known[piece]] if piece in known else _parts(piece, known)
        kind = "copied" if piece in known else "parts" if parts else "unknown"
        counts[kind] += 1
        table[row] = old[parts].mean(0) if parts else old.mean(0)
    return table, counts


def _parts(piece: str, known: Dict[str, int]) -> List[int]:
    """Cut a piece into the longest known pieces, as WordPiece cuts a word."""
    inner, letters = piece.startswith("##"), piece.removeprefix("##")
    start, found = 0, []
    while start < len(letters):
        mark = "##" if inner or start else ""
        ends = range(len(letters), start, -1)
        end = next((end for end in ends if mark + letters[start:end] in known), None)
        if end is None:
            return []
        found.append(known[mark + letters[start:end]])
        start = end
    return found


def pieces_per_word(texts: Iterable[str], pieces: PreTrainedTokenizerBase) -> float:
    """Count wordpieces per word of a text. RETURNS (float): The ratio."""
    backend = plain_backend(pieces)
    n_words = n_pieces = 0
    for text in texts:
        words = backend.encode(text, add_special_tokens=False).word_ids
        n_pieces += len(words)
        n_words += len(set(words))
    return n_pieces / max(1, n_words)
