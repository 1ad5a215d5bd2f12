"""Snippets of drugs and what they did, and a pipeline of rules that reads them."""

import json
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from .evaluation.toy_found import annotate

NAME = "clinbert_side_effects"
NOW = "present,patient,current"
GAVE = f"{{ramipril|DRUG|active|1}} gave {{cough|SYMPTOM|{NOW}|AE:1:stated:reaction}}."
FOR = f"{{aspirin|DRUG|active|1}} for {{fever|SYMPTOM|{NOW}|TREATS:1}}."
PATTERNS = {"ramipril": "DRUG", "aspirin": "DRUG", "lisinopril": "DRUG", "cough": "SYMPTOM",
            "fever": "SYMPTOM"}  # fmt: skip


@Language.component("cli_test_relations")
def join_first(doc: Doc) -> Doc:
    """Every drug caused every symptom."""
    drugs, effects = (
        [e.text for e in doc.ents if e.label_ == label] for label in ("DRUG", "SYMPTOM")
    )
    return annotate(doc, [(drug, x, "ADVERSE_EFFECT") for drug in drugs for x in effects])


def add_ruler(nlp: Language, **where: Any) -> Language:
    """Find the drugs and symptoms of PATTERNS."""
    ruler = nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"}, **where)
    ruler.add_patterns([{"label": label, "pattern": word} for word, label in PATTERNS.items()])
    return nlp


def rules_pipeline(folder: Path, **corpora: Any) -> str:
    """Entities by a list, sentences, and relations between all. RETURNS: its folder."""
    nlp = add_ruler(spacy.blank("en"))
    nlp.add_pipe("clinbert_sentences")
    nlp.add_pipe("cli_test_relations", name=NAME)
    nlp.config["corpora"] = corpora
    nlp.to_disk(folder)
    return str(folder)


def write_snippets(path: Path, *notes: str) -> Path:
    """Snippets s0, s1, ... RETURNS: their file."""
    rows = [json.dumps({"id": f"s{i}", "note": note}) for i, note in enumerate(notes)]
    path.write_text("\n".join(rows) + "\n", "utf8")
    return path
