"""Invented text, a config and a lexicon for pretraining in miniature."""

import json
from pathlib import Path
from typing import Any, Dict, List

from thinc.api import Config

SENTENCES = [
    "the patient takes aspirin 10 mg daily for hypertension.",
    "the patient has no rash but nausea after lisinopril.",
    "lisinopril was stopped due to cough.",
    "diabetes was given aspirin daily.",
    "denies fever, has cough after aspirin.",
    "nausea and rash was due to lisinopril 10 mg.",
]

# A config of `clinbert pretrain` that is read, never run.
PRETRAINING = """
[encoder]
name = "small"
[text]
[text.files]
a = "a.txt"
[objectives]
[objectives.masked_words]
rate = 0.2
[training]
max_steps = 100
"""


def write_text(folder: Path, n_documents: int = 12, n_sentences: int = 6) -> Path:
    """Write documents of two sources as JSON lines."""
    path = folder / "text.jsonl"
    rows = []
    for i in range(n_documents):
        order = [SENTENCES[(i * 5 + k * (1 + i % 3)) % len(SENTENCES)] for k in range(n_sentences)]
        text = f"Note {i}\n" + " ".join(order).capitalize().replace(". ", ".\n")
        rows.append({"source": "notes" if i % 4 == 0 else "papers", "text": text})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf8")
    return path


def make_config(folder: Path, checkpoint: Path, **overrides: Any) -> Config:
    """A config that trains for a few steps; overrides by dotted name."""
    text = folder / "text.jsonl"
    if not text.exists():
        write_text(folder)
    base: Dict[str, Any] = {
        "encoder": {"name": str(checkpoint)},
        "text": {
            "files": {"shared": str(text)},
            "cache": str(folder / "cache"),
            "held_out": 0.2,
        },
        "objectives": {
            "masked_words": {"weight": 1.0, "rate": 0.2},
            "next_sentence": {"weight": 0.2},
            "sentence_order": {"weight": 0.2},
        },
        "training": {
            "max_steps": 6,
            "length": 24,
            "batch_rows": 4,
            "learn_rate": 3e-3,
            "precision": "float32",
            "save_every": 2,
            "evaluate_every": 3,
            "evaluate_rows": 8,
        },
    }
    for name, value in overrides.items():
        block = base
        *path, last = name.split("__")
        for part in path:
            block = block.setdefault(part, {})
        block[last] = value
    return Config(base)


def losses_of(log: Path) -> List[Dict[str, Any]]:
    """Rows of a log without the times."""
    rows = [json.loads(line) for line in log.read_text("utf8").splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
