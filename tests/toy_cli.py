"""A pipeline that fails on one name, and what looks for that name everywhere."""

import json
import warnings
from pathlib import Path

import spacy
from spacy.language import Language

CANARY = "Zebulon Quaxley"
PUBTATOR = (
    "1|t|Aspirin and rash.\n1|a|Nothing else.\n1\t0\t7\tAspirin\tChemical\tD001241\n"
    "1\t12\t16\trash\tDisease\tD005076\n"
)
# folders whose files are kept in SEEN when a note with the canary comes by
WATCHED, SEEN = [], []


@Language.component("cli_test_failing")
def fail_on_canary(doc):
    warnings.warn(f"[W999] {doc.text}", UserWarning, stacklevel=1)
    if CANARY in doc.text:
        SEEN.extend(x.read_bytes() for folder in WATCHED for x in folder.iterdir() if x.is_file())
        raise ValueError(f"[E999] cannot read {doc.text}")
    return doc


def make_pipeline(folder, *components):
    nlp = spacy.blank("en", meta={"name": "toy", "version": "1.2.3", "license": "MIT"})
    patterns = {"DRUG": "aspirin", "SYMPTOM": "rash", "TEST": "naïve🦠"}
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": k, "pattern": v} for k, v in patterns.items()])
    for name in components:
        nlp.add_pipe(name)
    nlp.to_disk(folder)
    return str(folder)


def write_notes(folder, texts):
    """A JSONL file of notes n0, n1, ... RETURNS: its path."""
    folder.mkdir()
    lines = [json.dumps({"id": f"n{i}", "text": text}) for i, text in enumerate(texts)]
    (folder / "notes.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "notes.jsonl"


def leaks(*places):
    """Which of these strings, bytes and folders hold the canary."""
    for place in places:
        files = [x for x in place.rglob("*") if x.is_file()] if isinstance(place, Path) else []
        held = b"".join(x.read_bytes() for x in files)
        held += place if isinstance(place, bytes) else str(place).encode()
        if any(word.encode() in held for word in CANARY.split()):
            yield place
