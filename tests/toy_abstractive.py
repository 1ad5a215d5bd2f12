"""A generator of a tiny random BERT, invented reports to learn from, and a pipeline of rules."""

import random
import re
from pathlib import Path
from typing import Any, List, Tuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from thinc.api import Config

from clinbert_spacy.attributes import ASSERTION_KEY, RELATIONS_KEY
from clinbert_spacy.training.abstractive import train_abstractive
from clinbert_spacy.training.abstractive_settings import AbstractiveSettings, read_abstractive

from .corpora.toy_summaries import write_reports

NAME = "clinbert_abstractive"
TOLD = ["aspirin", "lisinopril", "rash", "nausea", "cough", "fever", "diabetes", "hypertension"]
DRUGS = ["aspirin", "lisinopril", "warfarin", "metformin", "metoprolol"]
PROBLEMS = ["rash", "nausea", "cough", "fever", "chest pain", "hypertension", "htn",
            "breast cancer", "pneumonia", "type 2 diabetes"]  # fmt: skip
STATUS = {"stopped": "stopped", "started": "started"}


def write_copies(folder: Path, n: int = 80) -> Path:
    """Reports whose impression is their first word, behind "the patient has"."""
    draw = random.Random(0)
    rows = []
    for i in range(n):
        words = draw.sample(TOLD, 3)
        rows.append((str(i), f"{' and '.join(words)} after {i} mg", f"the patient has {words[0]}"))
    folder.mkdir(parents=True, exist_ok=True)
    return write_reports(folder / "reports.json", rows)


def toy_settings(start: Path, reports: Path, **training: Any) -> AbstractiveSettings:
    """Settings of a few steps; `training` overrides that block."""
    block = {
        "max_steps": 4, "batch_rows": 8, "folds": 5, "learn_rate": 5e-3, "dropout": 0.0,
        "evaluate_every": 2, "precision": "float32", "device": "cpu", **training,
    }  # fmt: skip
    config = {
        "start": {"name": str(start)},
        "pairs": {"radiology": {"path": str(reports)}},
        "lengths": {"source": 32, "summary": 16},
        "training": block,
    }
    return read_abstractive(Config(config))


def train_toy(folder: Path, start: Path, **training: Any) -> Path:
    """Train a few steps. RETURNS: The folder of the generator."""
    reports = write_copies(folder)
    return train_abstractive(toy_settings(start, reports, **training), folder / "run")


@Language.component("toy_said", assigns=["doc.spans"])
def toy_said(doc: Doc) -> Doc:
    """What stands before an entity in its sentence decides; strengths belong to the last drug."""
    values, rows, drug = [], [], None
    for number, ent in enumerate(doc.ents):
        before = re.split(r"[.;\n]", doc.text[: ent.start_char].lower())[-1]
        values.append(_values(ent.label_, before))
        if ent.label_ == "DRUG":
            drug = number
        elif ent.label_ == "STRENGTH" and drug is not None:
            rows.append({"head": drug, "tail": number, "label": "HAS_STRENGTH", "score": 1.0})
    for key, attrs in ((ASSERTION_KEY, {"values": values}), (RELATIONS_KEY, {"relations": rows})):
        doc.spans[key] = SpanGroup(doc, name=key, spans=list(doc.ents), attrs=attrs)
    return doc


def _values(label: str, before: str) -> dict:
    if label == "DRUG":
        status = next((value for word, value in STATUS.items() if word in before), "active")
        return {"drug_status": status}
    if label == "STRENGTH":
        return {}
    presence = "absent" if re.search(r"\b(?:no|denies)\b", before) else "present"
    presence = "possible" if "possible" in before else presence
    return {"presence": presence, "experiencer": "family" if "mother" in before else "patient"}


def make_rules() -> Language:
    """A pipeline that finds a few entities by their words, and says of them what stands before."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": "DRUG", "pattern": name} for name in DRUGS])
    ruler.add_patterns([{"label": "DISEASE", "pattern": name} for name in PROBLEMS])
    number = {"LIKE_NUM": True}
    unit = {"LOWER": {"IN": ["mg", "mcg", "g"]}}
    ruler.add_patterns([{"label": "STRENGTH", "pattern": [number, unit]}])
    nlp.add_pipe("toy_said")
    return nlp


def shown(found: Any) -> List[Tuple[str, str]]:
    """Words and reason of each flag."""
    return [(found.text[flag.start : flag.end], flag.reason) for flag in found.flags]
