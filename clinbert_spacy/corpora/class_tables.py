"""Tables of texts with classes: Medical Abstracts (disease groups), MTSamples (specialties)."""
import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from .classes import ClassifiedText, Settings
from .files import broken, sha256_of
from .rows import read_rows

ABSTRACTS = "medical_tc*.csv"
ABSTRACT_LABELS = "medical_tc_labels.csv"
ABSTRACT_COLUMNS = ("condition_label", "medical_abstract")
DISEASES = {
    "1": "NEOPLASMS",
    "2": "DIGESTIVE_SYSTEM",
    "3": "NERVOUS_SYSTEM",
    "4": "CARDIOVASCULAR",
    "5": "GENERAL_PATHOLOGICAL",
}
SPECIALTY_COLUMNS = ("note_id", "medical_specialty", "transcription")
SPECIALTIES = "mtsamples_specialties.json"
HASH_DIGITS = 16


def read_medical_abstracts(path: Path, settings: Settings) -> Iterator[ClassifiedText]:
    """Read the Medical Abstracts corpus (Schopf et al. 2022): one disease group an abstract.

    Its makers gave an abstract with several groups a row for each: 70 of the 1,932 texts of the
    70 % of its test file that we know, 48 of them with GENERAL_PATHOLOGICAL. `settle` leaves such
    texts out: both labels are right, and one class must be told. 1,862 are left.

    path (Path): medical_tc*.csv (columns condition_label, medical_abstract), or their folder.
    settings (Settings): encoding.
    YIELDS (ClassifiedText): a text a row; id and group: a hash of the text, as it has no other.
    Raises CorpusError for a missing or broken file, or a label that is not 1 to 5.
    """
    for file in _tables(path, ABSTRACTS):
        for line, row in read_rows(file, ABSTRACT_COLUMNS, settings.encoding):
            label, text = row["condition_label"].strip(), row["medical_abstract"]
            if label not in DISEASES or not text.strip():
                raise broken(file, line, "a label from 1 to 5 and an abstract", "something else")
            name = sha256_of(text)[:HASH_DIGITS]
            yield ClassifiedText(name, text, (DISEASES[label],), name)


def _tables(path: Path, pattern: str) -> List[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.glob(pattern) if file.name != ABSTRACT_LABELS)
    if not found:
        raise broken(path, 0, f"files {pattern}", "none")
    return found


def read_specialties(path: Path, settings: Settings) -> Iterator[ClassifiedText]:
    """Read MTSamples: the specialties of a transcription, of which it has several.

    A transcription stands in a row for each of its specialties. Classes are those of
    resources/en/mtsamples_specialties.json; what names a kind of document (surgery, consultation,
    discharge summary, ...) or has fewer than 35 texts gives none, and a text without any class is
    left out.

    path (Path): the CSV file (columns note_id, medical_specialty, transcription), or its folder.
    settings (Settings): encoding.
    YIELDS (ClassifiedText): a transcription with all its classes; id and group: its first row.
    Raises CorpusError for a missing or broken file, or a specialty that the table does not list.
    """
    table = specialty_table()
    found: Dict[str, Tuple[str, List[str]]] = {}
    for file in _tables(path, "*.csv"):
        for line, row in read_rows(file, SPECIALTY_COLUMNS, settings.encoding):
            specialty = row["medical_specialty"].strip()
            if specialty not in table:
                raise broken(file, line, f"a specialty that {SPECIALTIES} lists", "another")
            if row["transcription"].strip():
                names = found.setdefault(row["transcription"], (row["note_id"], []))[1]
                names.append(table[specialty])
    for text, (name, named) in found.items():
        if classes := tuple(sorted(set(named) - {""})):
            yield ClassifiedText(name, text, classes, name)


@lru_cache(maxsize=1)
def specialty_table() -> Dict[str, str]:
    """Read which class a specialty gives. RETURNS (Dict[str, str]): specialty to class, or ""."""
    words = _words()
    none = dict.fromkeys([*words["document_types"], *words["too_rare"]], "")
    return {**none, **{name: c for c, names in words["classes"].items() for name in names}}


def specialty_classes() -> Tuple[str, ...]:
    """List the classes of MTSamples. RETURNS (Tuple[str, ...]): in order."""
    return tuple(_words()["classes"])


@lru_cache(maxsize=1)
def _words() -> Any:
    return json.loads((files("clinbert_spacy.resources.en") / SPECIALTIES).read_text("utf8"))
