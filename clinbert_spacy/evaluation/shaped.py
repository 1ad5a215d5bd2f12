"""A pipeline with an encoder of another shape and random weights: what size costs."""

import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterator, List, Tuple, Union

import spacy
import torch
from spacy.language import Language
from spacy.training import Example

from .checkpoints import export_tokenizer, transformer_of
from .encoder_settings import settings_of

RANDOM = "random weights"
HEAD_WIDTH = 64
LABELS = ("DISEASE", "DRUG")


def read_shape(text: str) -> Tuple[int, int]:
    """Read LAYERSxWIDTH. RETURNS (Tuple[int, int]): e.g. (12, 768) for "12x768"."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise ValueError(f"Shape is {text!r}; expected LAYERSxWIDTH, such as 12x768.")
    return int(found[1]), int(found[2])


@contextmanager
def shaped_pipeline(nlp: Language, n_layers: int, width: int) -> Iterator[Language]:
    """Build transformer and entities of another shape, with the wordpieces of a pipeline.

    nlp (Language): a pipeline with our transformer: its tokenizer, wordpieces and windows.
    n_layers, width (int): shape of a BERT of random weights, heads of 64 where that divides.
    YIELDS (Language): "clinbert_transformer" and a fresh "clinbert_ner"; its weights are random.
    RAISES (ValueError): the pipeline has no transformer of ours.
    """
    with TemporaryDirectory() as folder:
        write_random(nlp, n_layers, width, folder)
        yield _assemble(nlp, folder)


def write_random(nlp: Language, n_layers: int, width: int, folder: Union[str, Path]) -> None:
    """Write a checkpoint of random weights with the wordpieces of a pipeline."""
    from transformers import BertConfig, BertModel

    special = export_tokenizer(nlp, folder).pieces
    config = BertConfig(
        vocab_size=special.backend.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=n_layers,
        num_attention_heads=width // HEAD_WIDTH if width % HEAD_WIDTH == 0 else 1,
        intermediate_size=4 * width,
        max_position_embeddings=special.special["max_length"],
        pad_token_id=special.special["pad"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(str(folder))


def _assemble(nlp: Language, folder: str) -> Language:
    settings: Dict[str, Any] = settings_of(transformer_of(nlp))
    model = {
        "@architectures": "clinbert.ClinicalTransformer.v1",
        "name": folder,
        **settings,
    }
    other = spacy.blank("en", vocab=nlp.vocab)
    other.tokenizer = nlp.tokenizer
    other.add_pipe("transformer", name="clinbert_transformer", config={"model": model})
    ner: Any = other.add_pipe("clinbert_ner", config={"partial_labels": False})
    for label in LABELS:
        ner.add_label(label)
    doc = other.make_doc("one note")
    examples: List[Example] = [Example(doc, doc.copy())]
    other.initialize(lambda: examples)
    node = transformer_of(other)
    node.from_bytes(node.to_bytes())  # read as a loaded encoder is, and not as one in training
    return other
