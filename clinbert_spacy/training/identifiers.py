"""Take identifiers off a text before a language model reads it."""

import json
import re
from importlib import resources
from typing import Any, Callable, List, Pattern, Tuple

from spacy.util import load_model

from .pretrain_settings import IdentifierSettings

Remover = Callable[[str], str]


def make_remover(settings: IdentifierSettings) -> Remover:
    """Build what replaces identifiers by words for their kind, as in "seen on [date]".

    settings (IdentifierSettings): `patterns`: dates, numbers, addresses by regular expressions
        (resources/en/identifiers.json); `pipeline`: an installed spaCy pipeline whose entities, or
        spans under `spans_key`, of `labels` (all, if empty) are identifiers.
    RETURNS (Callable[[str], str]): Text to text; the same text where nothing is to be removed.
    RAISES (ValueError): The pipeline cannot be loaded, or labels are given without one.
    """
    if settings.labels and not settings.pipeline:
        raise ValueError("[text.identifiers] labels: expected a pipeline that gives them.")
    removers: List[Remover] = []
    if settings.pipeline:
        removers.append(_by_pipeline(settings))
    if settings.patterns:
        removers.append(_by_patterns(read_patterns()))

    def remove(text: str) -> str:
        for remover in removers:
            text = remover(text)
        return text

    return remove


def read_patterns() -> List[Tuple[str, Pattern[str]]]:
    """Read the shipped patterns. RETURNS (List): Kind and expression, in the order to apply."""
    path = resources.files("clinbert_spacy") / "resources" / "en" / "identifiers.json"
    table = json.loads(path.read_text("utf8"))
    return [(row["kind"], re.compile(row["pattern"])) for row in table]


def _by_patterns(patterns: List[Tuple[str, Pattern[str]]]) -> Remover:
    def remove(text: str) -> str:
        for kind, pattern in patterns:
            text = pattern.sub(f"[{kind}]", text)
        return text

    return remove


def _by_pipeline(settings: IdentifierSettings) -> Remover:
    try:
        nlp = load_model(settings.pipeline)
    except OSError:
        nlp = None
    if nlp is None:
        raise ValueError(
            f"[text.identifiers] pipeline = '{settings.pipeline}': no such folder or package."
        )

    def remove(text: str) -> str:
        doc = nlp(text)
        spans: Any = doc.spans.get(settings.spans_key, ()) if settings.spans_key else doc.ents
        for span in sorted(spans, key=lambda s: -s.start_char):
            if not settings.labels or span.label_ in settings.labels:
                kind = span.label_.removeprefix("PHI_").lower()
                text = f"{text[: span.start_char]}[{kind}]{text[span.end_char :]}"
        return text

    return remove
