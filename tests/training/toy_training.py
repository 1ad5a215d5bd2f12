"""A pipeline that trains in a second: shared CNN, stock ner, a tagger with a torch layer."""

import random
from typing import Callable, Iterable, Iterator, List

import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from thinc.api import Config, Model, PyTorchWrapper, Softmax_v2, chain, with_array

from clinbert_spacy.models.shims import TorchShim

WORDS = ["He", "was", "given", "aspirin", "81", "mg", "for", "chest", "pain", "no", "fever"]
NAMES = {"aspirin": "DRUG", "pain": "SYMPTOM", "fever": "SYMPTOM"}

CONFIG = """
[paths]
train = null
[nlp]
lang = "en"
pipeline = ["tok2vec", "tagger", "ner"]
[components]
[components.tok2vec]
factory = "tok2vec"
[components.tok2vec.model]
@architectures = "spacy.HashEmbedCNN.v2"
pretrained_vectors = null
width = 16
depth = 1
embed_size = 50
window_size = 1
maxout_pieces = 2
subword_features = false
[components.tagger]
factory = "tagger"
[components.tagger.model]
@architectures = "toy.TorchTagger.v1"
width = 16
[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
upstream = "tok2vec"
[components.ner]
factory = "ner"
[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 8
maxout_pieces = 1
use_upper = true
[components.ner.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
upstream = "tok2vec"
[corpora]
[corpora.train]
@readers = "toy.Corpus.v1"
n_docs = 24
[corpora.dev]
@readers = "toy.Corpus.v1"
n_docs = 6
[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = 7
gpu_allocator = null
dropout = 0.2
max_steps = 20
max_epochs = 0
eval_frequency = 5
patience = 0
accumulate_gradient = 1
[training.logger]
@loggers = "spacy.ConsoleLogger.v1"
[training.batcher]
@batchers = "spacy.batch_by_words.v1"
tolerance = 0.2
discard_oversize = false
[training.batcher.size]
@schedules = "compounding.v1"
start = 20
stop = 60
compound = 1.1
[training.optimizer]
@optimizers = "Adam.v1"
use_averages = true
[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
warmup_steps = 4
total_steps = 40
initial_rate = 0.01
"""


@registry.architectures("toy.TorchTagger.v1")
def torch_tagger(tok2vec: Model, width: int) -> Model:
    wrapper = PyTorchWrapper(torch.nn.Linear(width, width))
    shim = TorchShim(wrapper.shims[0]._model)
    # Saving halves the weights: what a checkpoint must not do
    shim.save_dtype = "float16"
    wrapper.shims[0] = shim
    output = Softmax_v2(nO=None, nI=width)
    model = chain(tok2vec, with_array(wrapper), with_array(output))
    model.set_ref("softmax", output)
    model.set_ref("output_layer", output)
    return model


@registry.readers("toy.Corpus.v1")
def create_corpus(n_docs: int) -> Callable[[Language], Iterable[Example]]:
    def read(nlp: Language) -> Iterator[Example]:
        for i in range(n_docs):
            # as an augmenter would: draws from the global generator
            words = random.Random(i).sample(WORDS, 8) + [random.choice(WORDS)]
            doc = Doc(nlp.vocab, words=words)
            yield Example.from_dict(
                doc,
                {
                    "words": words,
                    "entities": _tags(words),
                    "tags": [NAMES.get(w, "O") for w in words],
                },
            )

    return read


def _tags(words: List[str]) -> List[str]:
    return [f"U-{NAMES[word]}" if word in NAMES else "O" for word in words]


def toy_config(**changes) -> Config:
    """Read the config. Changes use __ for dots: training__max_steps=3."""
    overrides = {name.replace("__", "."): value for name, value in changes.items()}
    return Config().from_str(CONFIG, interpolate=False, overrides=overrides)
