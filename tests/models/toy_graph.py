"""A knowledge graph of ten names, as `clinbert build-graph` would write it."""

import json
from pathlib import Path

import numpy
import spacy
from safetensors.numpy import save_file

from clinbert_spacy.models.lexicon import Lexicon, key_of

KINDS = ["disease", "drug", "symptom", "anatomy"]
DISEASE, DRUG, SYMPTOM, ANATOMY = 1, 2, 4, 8
CONCEPTS = {
    "C:aspirin": DRUG, "C:lisinopril": DRUG, "C:hypertension": DISEASE, "C:sclerosis": DISEASE,
    "C:stenosis": DISEASE, "C:rash": SYMPTOM, "C:nausea": DISEASE | SYMPTOM, "C:pain": SYMPTOM,
    "C:chest": ANATOMY, "C:failure": DISEASE,
}  # fmt: skip
NAMES = {
    "aspirin": [0], "lisinopril": [1], "hypertension": [2], "MS": [3, 4],
    "multiple sclerosis": [3], "rash": [5], "nausea": [6], "chest pain": [7], "chest": [8],
    "beta-blocker": [1],
}  # fmt: skip
STATED = {"toy": {"title": "Toy Ontology 2026", "licence": "CC0 1.0", "redistributable": True}}
SOURCES = [{"name": "Toy Ontology 2026", "licence": "CC0 1.0", "redistributable": True}]


def toy_lexicon() -> Lexicon:
    entries = {key_of(name): concepts for name, concepts in NAMES.items()}
    return Lexicon(KINDS, list(CONCEPTS), list(CONCEPTS.values()), entries)


def toy_vectors(width=6) -> numpy.ndarray:
    return numpy.random.default_rng(1).normal(size=(len(CONCEPTS), width)).astype("float16")


def write_graph(folder: Path, vectors=None, metrics=None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    toy_lexicon().to_disk(folder / "lexicon.msgpack.gz")
    vectors = toy_vectors() if vectors is None else vectors
    save_file({"vectors": vectors}, folder / "vectors.safetensors")
    metrics = {"sources": STATED} if metrics is None else metrics
    (folder / "metrics.json").write_text(json.dumps(metrics), "utf8")
    return folder


def make_docs(*texts):
    nlp = spacy.blank("en")
    return [nlp.make_doc(text) for text in texts]
