"""Our notes with classes: type of encounter and ICD-10 chapters; titles out, if wanted."""
import json
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Iterator, List, Tuple

from .classes import ClassifiedText, Settings
from .files import broken
from .layers import CHAPTERS, ENCOUNTERS, LAYERS_FILE, NoteLayers, read_notes

TITLE_WORDS = "note_kinds.json"
ENCOUNTER_CLASSES = tuple(f"ENCOUNTER_{name}" for name in ENCOUNTERS)
CHAPTER_CLASSES = tuple(f"ICD10_{name}" for name in CHAPTERS)
NOTE_TASKS = {
    "both": ENCOUNTER_CLASSES + CHAPTER_CLASSES,
    "encounter": ENCOUNTER_CLASSES,
    "chapters": CHAPTER_CLASSES,
}
# A title: what stands before the line's first colon, or a short line without a sentence's end.
_TITLE = re.compile(r"^[ \t]*([^\n:.]{1,60}?)[ \t]*(?::[ \t]*|$)", re.MULTILINE)


def read_note_classes(path: Path, settings: Settings) -> Iterator[ClassifiedText]:
    """Read notes with the encounter and the chapters that their layers give.

    path (Path): a folder like assets/notes/train.
    settings (Settings): task, "both", "encounter" or "chapters"; titles, see drop_titles; encoding.
    YIELDS (ClassifiedText): a note; group: the patient that read_notes knows, or the note.
    Raises CorpusError for a broken file, a note without layers, or an unknown encounter or chapter.
    """
    for note in read_notes(path, settings.encoding):
        layers = note.meta.get("layers")
        if layers is None:
            raise broken(Path(path) / LAYERS_FILE, 0, f"a line for note {note.id!r}", "none")
        text = note.text if settings.titles else drop_titles(note.text, layers.sections)
        classes = _classes(path, layers)
        wanted = tuple(name for name in classes if name in NOTE_TASKS[settings.task])
        yield ClassifiedText(note.id, text, wanted, note.group)


def _classes(path: Path, layers: NoteLayers) -> List[str]:
    classes = [f"ENCOUNTER_{layers.encounter}", *(f"ICD10_{name}" for name in layers.chapters)]
    if not set(classes) <= set(NOTE_TASKS["both"]):
        expected = f"an encounter of {list(ENCOUNTERS)} and chapters I to XIX for {layers.id!r}"
        raise broken(Path(path) / LAYERS_FILE, 0, expected, "another")
    return classes


def drop_titles(text: str, sections: Tuple[Tuple[int, int, str], ...]) -> str:
    """Take out what names the kind of a note: its headers, and titles with such a word.

    A title is a line of up to 60 characters without full stop, or what stands before a line's
    first colon: "DISCHARGE MEDICATIONS:" goes, its list stays. Words are in
    resources/en/note_kinds.json.

    text (str): a note. sections (Tuple): start, end, name of its sections, in order.
    RETURNS (str): what is left.
    """
    kept, last = "", 0
    for start, end, name in sections:
        if name == "header":
            kept, last = kept + text[last:start], end
    return _TITLE.sub(_without_kind, kept + text[last:]).strip()


def _without_kind(match: "re.Match[str]") -> str:
    return "" if _kinds().search(match[1].lower()) else match[0]


@lru_cache(maxsize=1)
def _kinds() -> "re.Pattern[str]":
    table = json.loads((files("clinbert_spacy.resources.en") / TITLE_WORDS).read_text("utf8"))
    return re.compile(rf"(?<!\w)(?:{'|'.join(table['words'])})(?!\w)")
