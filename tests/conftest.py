"""A toy vocabulary, a random two-layer BERT and a few invented notes: no downloads."""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy
import pytest
import spacy
import torch
from hypothesis import settings
from spacy.language import Language
from spacy.tokens import Span, SpanGroup
from spacy.training import Example

# How long an example takes is the machine's affair.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Tiny networks gain nothing from threads, and lose much where other processes compute too.
torch.set_num_threads(1)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = """the patient takes aspirin and lisinopril for hypertension but has no rash nausea
after 10 mg daily stopped due to cough diabetes denies fever was given"""
WORDS = TEXT.split()
LETTERS = [c for c in "abcdefghijklmnopqrstuvwxyz0123456789.,-/%()"]


def make_checkpoint(folder: Path, vocab: List[str], lower: bool = True, **config: Any) -> Path:
    """Write a random BERT of two layers with a WordPiece vocabulary as a checkpoint folder."""
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf8")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf8")
    settings: Dict[str, Any] = {
        "vocab_size": len(vocab),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **config,
    }
    torch.manual_seed(0)
    BertModel(BertConfig(**settings)).save_pretrained(folder, safe_serialization=True)
    return folder


def toy_vocab() -> List[str]:
    """Special pieces, a few words, letters and their continuations."""
    return list(dict.fromkeys([*SPECIAL, *WORDS, *LETTERS, *("##" + c for c in LETTERS)]))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny uncased BERT."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny-bert"), toy_vocab())


@pytest.fixture(autouse=True)
def _seeded() -> None:
    numpy.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def transformer_config(checkpoint: Path) -> Dict[str, Any]:
    """The model block of a clinical transformer on the tiny BERT."""
    return {
        "@architectures": "clinbert.ClinicalTransformer.v1",
        "name": str(checkpoint),
        "window": 20,
        "context": 4,
        "precision": "float32",
    }


@pytest.fixture
def make_nlp(transformer_config: Dict[str, Any]) -> Callable[..., Language]:
    """Builds an untrained pipeline: clinical transformer and `clinbert_ner`."""

    def build(ner: Dict[str, Any] | None = None, **model: Any) -> Language:
        nlp = spacy.blank("en")
        config = {
            "model": {**transformer_config, **model},
            "set_extra_annotations": {"@annotation_setters": "clinbert.coverage.v1"},
        }
        nlp.add_pipe("transformer", name="clinbert_transformer", config=config)
        nlp.add_pipe("clinbert_ner", config=ner or {})
        return nlp

    return build


MARKED = [
    ("The patient takes {aspirin|DRUG} {10 mg|STRENGTH} daily for {hypertension|DISEASE}.",),
    ("{lisinopril|DRUG} was stopped due to {cough|SYMPTOM}.",),
    ("Patient denies {fever|SYMPTOM} and {nausea|SYMPTOM}.",),
    ("{diabetes|DISEASE} but no {rash|SYMPTOM} after {aspirin|DRUG}.",),
]


def parse_marked(text: str) -> tuple[str, List[List[Any]]]:
    """Split `a {b|LABEL} c` into the plain text and its spans."""
    import re

    plain, spans, last = "", [], 0
    for match in re.finditer(r"\{([^|{}]+)\|([A-Z_|]+)\}", text):
        plain += text[last : match.start()]
        spans.append([len(plain), len(plain) + len(match.group(1)), match.group(2)])
        plain += match.group(1)
        last = match.end()
    return plain + text[last:], spans


def make_example(nlp: Language, marked: str, covered: List[str]) -> Example:
    """An Example with gold as `clinbert.Corpus.v1` writes it."""
    text, gold = parse_marked(marked)
    reference = nlp.make_doc(text)
    spans = [reference.char_span(a, b, label=label) for a, b, label in gold]
    reference.spans["clinbert_ents"] = SpanGroup(
        reference, attrs={"covered": covered, "gold": gold, "corpus": "toy"}, spans=spans
    )
    flat: List[Span] = [reference.char_span(a, b, label=lab.split("|")[0]) for a, b, lab in gold]
    reference.set_ents(flat)
    return Example(nlp.make_doc(text), reference)


LABELS = ["DISEASE", "DRUG", "STRENGTH", "SYMPTOM"]


@pytest.fixture
def make_examples() -> Callable[[Language], List[Example]]:
    """Builds four Examples that cover four labels."""
    return lambda nlp: [make_example(nlp, text, LABELS) for (text,) in MARKED]
