"""The layers of a note beside its mentions: sections, sentences, summary, encounter, chapters.

`notes.jsonl` beside brat files holds a line a note; offsets count characters of the note's text.
"""
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from .brat import read_brat
from .files import broken, lines_of, read_text, sha256_of, write_text
from .record import AnnotatedNote, with_meta

LAYERS_FILE = "notes.jsonl"
Section = Tuple[int, int, str]
Sentence = Tuple[int, int]

ENCOUNTERS = ("admission", "discharge", "transfer", "visit", "other")
CHAPTERS = (
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV",
    "XVI", "XVII", "XVIII", "XIX",
)  # fmt: skip
SECTIONS = (
    "header", "chief_complaint", "history_of_present_illness", "interval_history",
    "past_medical_history", "past_surgical_history", "obstetric_history", "medications",
    "allergies", "family_history", "social_history", "immunizations", "developmental_history",
    "review_of_systems", "vital_signs", "physical_exam", "mental_status", "laboratory", "imaging",
    "pathology", "indication", "technique", "findings", "impression", "procedure",
    "hospital_course", "assessment", "plan", "assessment_and_plan", "discharge_medications",
    "instructions", "follow_up", "signature", "other",
)  # fmt: skip


@dataclass(frozen=True)
class NoteLayers:
    """What is said of a note as a whole.

    id (str): the note.
    text_sha256 (str): SHA-256 of its text, so that offsets are never read over another text.
    kind (str): kind of note, e.g. "discharge".
    specialty (str): e.g. "cardiology".
    encounter (str): one of ENCOUNTERS.
    chapters (Tuple[str, ...]): ICD-10 chapters of what the patient has, of CHAPTERS.
    sections (Tuple[Section, ...]): start, end, name of SECTIONS.
    sentences (Tuple[Sentence, ...]): start, end.
    summary (Tuple[int, ...]): indices into `sentences`.
    """

    id: str
    text_sha256: str
    kind: str
    specialty: str
    encounter: str
    chapters: Tuple[str, ...]
    sections: Tuple[Section, ...]
    sentences: Tuple[Sentence, ...]
    summary: Tuple[int, ...]


def read_notes(
    path: Union[str, Path], encoding: str = "utf-8", strict: bool = True
) -> Iterator[AnnotatedNote]:
    """Read a brat folder with the layers that stand in its notes.jsonl, if it has one.

    path (Union[str, Path]): the folder.
    encoding (str): encoding of the files.
    strict (bool): see brat.read_brat.
    YIELDS (AnnotatedNote): notes; meta["layers"] is a NoteLayers where the note has a line.
    Raises CorpusError for a broken file, or layers of a note that is not there or reads otherwise.
    """
    layers = read_layers(path, encoding)
    for note in read_brat(path, encoding, strict):
        found = layers.pop(note.id, None)
        if found is not None and found.text_sha256 != sha256_of(note.text):
            raise broken(_file(path), 0, f"layers of note {note.id!r} as it is", "another text")
        yield note if found is None else with_meta(note, layers=found)
    if layers:
        raise broken(_file(path), 0, "notes of this folder", f"others: {sorted(layers)[:5]}")


def read_layers(path: Union[str, Path], encoding: str = "utf-8") -> Dict[str, NoteLayers]:
    """Read a notes.jsonl.

    path (Union[str, Path]): its folder; without the file, no note has layers.
    encoding (str): its encoding.
    RETURNS (Dict[str, NoteLayers]): by note.
    Raises CorpusError naming the line that is broken.
    """
    file = _file(path)
    found: Dict[str, NoteLayers] = {}
    for number, line in enumerate(lines_of(read_text(file, encoding)) if file.is_file() else (), 1):
        if line.strip():
            layers = parse_layers(_object(file, number, line), f"{file}:{number}")
            if layers.id in found:
                raise broken(file, number, "a line a note", f"{layers.id!r} for the second time")
            found[layers.id] = layers
    return found


def _file(path: Union[str, Path]) -> Path:
    return Path(path) / LAYERS_FILE


def _object(file: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        pass
    # Raised outside the handler: the decoder's error carries the whole line.
    raise broken(file, number, "a JSON object", "something else")


def parse_layers(record: Any, place: str) -> NoteLayers:
    """Make layers out of plain data.

    record (Any): a mapping with the fields of NoteLayers.
    place (str): file and line, for errors.
    RETURNS (NoteLayers): the layers.
    Raises CorpusError for a missing field, an unknown one or one of another shape.
    """
    names = set(NoteLayers.__dataclass_fields__)
    if not isinstance(record, Mapping) or set(record) != names:
        raise broken(place, 0, f"an object with {sorted(names)}", "other fields")
    shapes = {"sections": (int, int, str), "sentences": (int, int)}
    fields: Dict[str, Any] = dict(record)
    for name, shape in shapes.items():
        rows = [_row(row, shape) for row in _list(record[name])]
        if None in rows:
            raise broken(place, 0, f"{name} as rows of {len(shape)} values", "another shape")
        fields[name] = tuple(rows)
    if not all(type(i) is int for i in _list(record["summary"])):
        raise broken(place, 0, "summary as a list of numbers of sentences", "another shape")
    words = [record[name] for name in ("id", "text_sha256", "kind", "specialty", "encounter")]
    if not all(isinstance(word, str) for word in [*words, *_list(record["chapters"])]):
        raise broken(place, 0, "strings, and chapters as a list of strings", "another shape")
    return NoteLayers(
        **{**fields, "chapters": tuple(record["chapters"]), "summary": tuple(record["summary"])}
    )


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [None]


def _row(row: Any, shape: Tuple[type, ...]) -> Optional[Tuple[Any, ...]]:
    fits = isinstance(row, list) and len(row) == len(shape)
    return tuple(row) if fits and all(type(x) is t for x, t in zip(row, shape)) else None


def write_layers(notes: Iterable[AnnotatedNote], folder: Union[str, Path]) -> int:
    """Write the notes.jsonl of a folder.

    notes (Iterable[AnnotatedNote]): notes; those without layers are left out.
    folder (Union[str, Path]): where the brat files are.
    RETURNS (int): how many lines.
    Raises CorpusError where it cannot be written.
    """
    rows = [dump_layers(note.meta["layers"]) for note in notes if "layers" in note.meta]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    write_text(_file(folder), "".join(lines))
    return len(lines)


def dump_layers(layers: NoteLayers) -> Dict[str, Any]:
    """Make plain data of layers. RETURNS (Dict[str, Any]): for JSON."""
    return asdict(layers)
