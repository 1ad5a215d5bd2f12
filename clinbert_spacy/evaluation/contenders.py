"""What a pipeline is timed against: itself with less, the stock pipeline, the bare encoder."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import spacy
import torch
from spacy.language import Language

from .bare_encoder import Encoder, EncoderRun, dtypes_on, encoder_from_folder, encoder_of
from .checkpoints import (
    TRANSFORMERS,
    check_folder,
    quiet_transformers,
    shim_of,
    transformer_of,
)
from .encoder_settings import settings_of
from .knowledge_off import knowing_models, without_knowledge

Runner = Callable[[], None]
Maker = Callable[[Sequence[str]], Runner]
FINDERS = ("clinbert_ner", "ner")
# how the command line calls a contender -> how tables do
CONTENDERS = {
    "pipeline": "pipeline",
    "processes": "pipeline, a process a core",
    "entities": "entities alone",
    "text-alone": "without knowledge",
    "stock": "stock",
    "encoder-float32": "encoder, float32",
    "encoder-bfloat16": "encoder, bfloat16",
    "transformers": "transformers pipeline",
}
CLEANER = "benchmark_cleaner"
TAGS = ("O", "B-DISEASE", "I-DISEASE", "B-DRUG", "I-DRUG")


@dataclass(frozen=True)
class PipeRun:
    """A function that runs notes through a pipeline and keeps nothing.

    without (Sequence[str]): components that are left out.
    n_process (int): worker processes. With more than one, a `doc_cleaner` keeps the encoder's
        output from being handed over.
    """

    nlp: Language
    texts: Sequence[str]
    batch_size: int = 32
    without: Sequence[str] = ()
    n_process: int = 1

    @property
    def notes_a_batch(self) -> int:
        """Workers take whole batches: several for each, so that none waits for long."""
        if self.n_process == 1:
            return self.batch_size
        return max(1, min(self.batch_size, len(self.texts) // (4 * self.n_process)))

    def __call__(self) -> None:
        """Run all notes."""
        if self.n_process > 1:
            self.nlp.add_pipe("doc_cleaner", name=CLEANER)
        try:
            with self.nlp.select_pipes(disable=list(self.without)):
                for _ in self.nlp.pipe(
                    self.texts, batch_size=self.notes_a_batch, n_process=self.n_process
                ):
                    pass
        finally:
            if CLEANER in self.nlp.component_names:
                self.nlp.remove_pipe(CLEANER)


@dataclass(frozen=True)
class TaggerRun:
    """A function that runs notes through a `transformers` pipeline."""

    tagger: Any
    texts: Sequence[str]

    @property
    def detail(self) -> str:
        """What a reader of the figure must know."""
        window = self.tagger.tokenizer.model_max_length - 2
        overlap = self.tagger._preprocess_params["tokenizer_params"]["stride"]
        return f"windows of {window} wordpieces, {overlap} of them overlap; untrained head"

    def __call__(self) -> None:
        """Run all notes that are not blank, which it refuses."""
        self.tagger([text for text in self.texts if text.strip()])


def check_contenders(names: Sequence[str]) -> None:
    """Refuse names that are not in `CONTENDERS`."""
    unknown = sorted(set(names) - set(CONTENDERS))
    if unknown:
        raise ValueError(f"Unknown contender: {unknown}; expected some of {list(CONTENDERS)}.")


def own_contenders(nlp: Language, batch_size: int) -> Dict[str, Maker]:
    """The pipeline, and what of it is timed by itself.

    nlp (Language): the pipeline. batch_size (int): notes a batch.
    RETURNS (Dict[str, Maker]): by name, what makes a function of notes.
    """
    whole = partial(PipeRun, nlp, batch_size=batch_size)
    makers: Dict[str, Maker] = {"pipeline": whole}
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    shim = shim_of(nlp)
    if n_cores > 1 and shim is not None and shim.device.type == "cpu":
        makers["processes"] = partial(whole, n_process=n_cores)
    if beside_entities(nlp):
        makers["entities"] = partial(whole, without=beside_entities(nlp))
    if knowing_models(nlp):
        makers["text-alone"] = lambda texts: without_knowledge(nlp, whole(texts))
    return makers


def rival_contenders(
    nlp: Language, folder: Optional[str], names: Sequence[str], batch_size: int
) -> Dict[str, Maker]:
    """The stock pipeline, the bare encoder and the `transformers` pipeline with a checkpoint.

    nlp (Language): the pipeline; the bare encoder is its own where it has one of ours.
    folder (Optional[str]): the checkpoint. names (Sequence[str]): which ones; none: all.
    batch_size (int): notes or windows a batch.
    RETURNS (Dict[str, Maker]): by name, what makes a function of notes; empty without any.
    """
    encoder = reference_encoder(nlp, folder)
    if folder is None or encoder is None:
        return {}
    makers: Dict[str, Maker] = {}
    for name in CONTENDERS if not names else [x for x in CONTENDERS if x in names]:
        kind, _, dtype = name.partition("-")
        if name == "stock":
            makers[name] = partial(PipeRun, stock_pipeline(folder), batch_size=batch_size)
        elif kind == "encoder" and dtype in dtypes_on(encoder.device):
            makers[name] = partial(EncoderRun, encoder, dtype=dtype)
        elif name == "transformers":
            tagger = token_classifier(folder, *window_of(nlp, encoder), batch_size)
            makers[name] = partial(TaggerRun, tagger)
    return makers


def reference_encoder(nlp: Language, folder: Optional[Union[str, Path]]) -> Optional[Encoder]:
    """The pipeline's own encoder, or that of a checkpoint where it has none of ours."""
    return encoder_of(nlp) or (encoder_from_folder(folder) if folder else None)


def window_of(nlp: Language, encoder: Encoder) -> Tuple[int, int]:
    """Wordpieces of a window, and how many of them neighbours share; a quarter if not ours."""
    node = transformer_of(nlp)
    return encoder.window, 2 * settings_of(node)["context"] if node else encoder.window // 4


def beside_entities(nlp: Language) -> List[str]:
    """Name the components that neither encode nor find entities.

    nlp (Language): a pipeline. RETURNS (List[str]): their names; none where it finds no entities.
    """
    kept = (*FINDERS, *TRANSFORMERS)
    others = [n for n in nlp.pipe_names if nlp.get_pipe_meta(n).factory not in kept]
    return others if finds_entities(nlp) else []


def finds_entities(nlp: Language) -> bool:
    """Whether a component of a pipeline finds entities by what an encoder gives."""
    return any(nlp.get_pipe_meta(name).factory in FINDERS for name in nlp.pipe_names)


def stock_pipeline(folder: Union[str, Path]) -> Language:
    """What a user builds today: spacy-transformers' strided spans and `ner`, untrained head.

    folder (Union[str, Path]): a Hugging Face checkpoint.
    """
    name = str(check_folder(folder))
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": name,
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1"}
        | {"window": 128, "stride": 96},
        "tokenizer_config": {"use_fast": True},
    }
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "transformer",
    }
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": False,
        "tok2vec": listener,
    }
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": model})
    ner: Any = nlp.add_pipe("ner", config={"model": parser})
    for label in ("DISEASE", "DRUG"):
        ner.add_label(label)
    with quiet_transformers():
        nlp.initialize()
    return nlp


def token_classifier(folder: Union[str, Path], window: int, overlap: int, batch_size: int) -> Any:
    """What a user without spaCy builds today: a `transformers` pipeline, untrained head.

    folder (Union[str, Path]): a Hugging Face checkpoint with a fast tokenizer.
    window (int): wordpieces of a window. overlap (int): how many of them neighbours share.
    batch_size (int): windows a batch.
    """
    import transformers
    from thinc.api import get_torch_default_device

    name = str(check_folder(folder))
    labels = dict(enumerate(TAGS))
    numbers = {label: i for i, label in labels.items()}
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        name, model_max_length=window + 2, local_files_only=True
    )
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            name, id2label=labels, label2id=numbers, local_files_only=True
        )
        return transformers.pipeline(
            "token-classification", model=model, tokenizer=tokenizer, stride=overlap,
            aggregation_strategy="simple", batch_size=batch_size,
            device=get_torch_default_device(),
        )  # fmt: skip
