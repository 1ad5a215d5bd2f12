"""Radiology reports as normal or abnormal: the findings, labelled by their impression."""
import json
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, FrozenSet, Iterator, NamedTuple, Optional

from .classes import ClassifiedText, Settings
from .files import broken, load_json

ABNORMAL = "ABNORMAL"
NORMAL = "NORMAL"
WORDS = "radiology_impressions.json"
FIELDS = ("study_id", "findings", "impression")
# "1. ", at the beginning or after a statement that lost its full stop
_NUMBER = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)](?=\s)")
_SAID = re.compile(r"\b(?:clear|normal|unremarkable|negative|intact)\b")


class _Rules(NamedTuple):
    not_said: re.Pattern[str]
    absent: re.Pattern[str]
    nothing: re.Pattern[str]
    words: FrozenSet[str]


def read_radiology(path: Path, settings: Settings) -> Iterator[ClassifiedText]:
    """Read reports of MEDIQA 2021 task 3 (Indiana): findings as text, NORMAL or ABNORMAL.

    The impression gives the label, see is_abnormal, and is no part of the text. Reports with the
    same findings are one for `settle`, and none where their labels differ.

    path (Path): the JSON file (a list of study_id, findings, impression), or its folder.
    settings (Settings): encoding.
    YIELDS (ClassifiedText): a report; group: its study, as patients are not known.
    Raises CorpusError for a missing or broken file.
    """
    file = _file(path)
    reports = load_json(file, settings.encoding)
    if not isinstance(reports, list):
        raise broken(file, 0, "a list of reports", "another layout")
    for number, report in enumerate(reports, 1):
        if not _fits(report):
            raise broken(file, 0, f"strings {list(FIELDS)} in report {number}", "another shape")
        abnormal = is_abnormal(report["impression"])
        if abnormal is not None and report["findings"].strip():
            name, label = report["study_id"], ABNORMAL if abnormal else NORMAL
            yield ClassifiedText(name, report["findings"], (label,), name)


def _file(path: Path) -> Path:
    found = sorted(path.glob("indiana*.json")) if path.is_dir() else [path]
    if len(found) != 1:
        raise broken(path, 0, "one file indiana*.json", f"{len(found)}")
    return found[0]


def _fits(report: Any) -> bool:
    return isinstance(report, dict) and all(isinstance(report.get(f), str) for f in FIELDS)


def is_abnormal(impression: str) -> Optional[bool]:
    """Say whether an impression names a finding.

    What it denies ("no", "without", "negative for", ... to the end of the statement) is taken
    out, then words that name no finding (of anatomy, technique, normality; a shallow breath). If a
    word is left, the report is abnormal, be it of something old, chronic or a device: "No acute
    disease. Stable cardiomegaly." is. All words are in resources/en/radiology_impressions.json.

    impression (str): the impression.
    RETURNS (Optional[bool]): None where it neither names a finding nor denies one nor calls
        anything normal, as in "No change."
    """
    rules = _rules()
    text = _NUMBER.sub(" . ", impression.lower().replace("_", " "))
    # "pneumonia cannot be excluded" and "no change in the opacity" deny nothing
    text = rules.not_said.sub(" ", text)
    rest, n_denied = rules.absent.subn(" ", text)
    rest = rules.nothing.sub(" ", rest)
    if any(word not in rules.words for word in re.findall(r"[a-z]+", rest)):
        return True
    return False if n_denied or _SAID.search(text) else None


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    text = (files("clinbert_spacy.resources.en") / WORDS).read_text("utf8")
    table = json.loads(text)
    any_of = {name: "|".join(table[name]) for name in table if name != "about"}
    end = rf"[.;:]|$|\b(?:{any_of['ends']})\b|,\s*(?:{any_of['ends_after_comma']})\b"
    return _Rules(
        re.compile(rf"\b(?:{any_of['not_said']})\b"),
        re.compile(rf"\b(?:{any_of['negations']})\b.*?(?={end})", re.DOTALL),
        re.compile(rf"\b(?:{any_of['nothing']})\b"),
        frozenset(table["words"]),
    )
