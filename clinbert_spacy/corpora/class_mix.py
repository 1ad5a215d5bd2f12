"""clinbert.NoteClasses.v1: classes of notes from several sources, each of which knows some."""
import json
import random
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from spacy.language import Language
from spacy.training import Example

from .class_notes import NOTE_TASKS, read_note_classes
from .classes import Settings
from .files import CorpusError, broken, lines_of, read_text
from .layers import CHAPTERS, ENCOUNTERS
from .rows import read_rows
from .snippets import read_snippets

# How a list of problems puts a name; which one a name gets follows from its place in the list.
FRAMES = ("Diagnosis: {}.", "Problems: {}", "Assessment: {}.", "The patient has {}.", "- {}")
NAME_COLUMNS = ("name", "chapter")
# Which encounter a kind of document is. Others of MTSamples may be several.
DOCUMENT_TYPES = {
    "Discharge Summary": "discharge", "Emergency Room Reports": "visit", "Office Notes": "visit",
    "Surgery": "other", "Radiology": "other",
}  # fmt: skip
TASKS = ("chapters", "encounter")


class Told(NamedTuple):
    """A text and what is known of its classes.

    id (str): its name. text (str): the text. classes (Tuple[str, ...]): those that it has.
    known (Tuple[str, ...]): those of which it is known whether it has them.
    """

    id: str
    text: str
    classes: Tuple[str, ...]
    known: Tuple[str, ...]


Read = Callable[[Path, Settings], Iterator[Told]]


def read_notes_told(path: Path, settings: Settings) -> Iterator[Told]:
    """Read our notes. path (Path): a folder like assets/notes/train. settings (Settings): task,
    titles, encoding. YIELDS (Told): notes, of which all classes are known."""
    known = NOTE_TASKS[settings.task]
    for note in read_note_classes(path, settings):
        yield Told(note.id, note.text, note.classes, known)


def read_excerpts_told(path: Path, settings: Settings) -> Iterator[Told]:
    """Read excerpts of notes, or texts whose encounter alone is known.

    path (Path): JSONL with `id`, `note` (as read_snippets takes it) and what is known of
        `encounter` (empty where an excerpt does not show it) and `chapters`. settings (Settings):
        task, encoding.
    YIELDS (Told): excerpts. Symptoms of an excerpt may be explained where it ends: XVIII is not
        known.
    Raises CorpusError for a broken file, or a class that is not known.
    """
    rows = [json.loads(line) for line in lines_of(read_text(path, settings.encoding)) if line]
    known = tuple(c for c in NOTE_TASKS[settings.task] if c != "ICD10_XVIII")
    for number, (note, row) in enumerate(zip(read_snippets(path, settings.encoding), rows), 1):
        if settings.task == "chapters":
            if "chapters" not in row:
                continue
            classes = _named(path, number, row["chapters"], CHAPTERS, "ICD10_")
        else:
            told = [row["encounter"]] if row.get("encounter") else []
            classes = _named(path, number, told, ENCOUNTERS, "ENCOUNTER_")
        if classes or settings.task == "chapters":
            yield Told(note.id, note.text, tuple(c for c in classes if c in known), known)


def _named(
    path: Path, number: int, names: Sequence[str], allowed: Sequence[str], prefix: str
) -> Tuple[str, ...]:
    if unknown := sorted(set(names) - set(allowed)):
        raise broken(path, number, f"some of {', '.join(allowed)}", f"{unknown[:3]}")
    return tuple(prefix + name for name in names)


def read_problem_names(path: Path, settings: Settings) -> Iterator[Told]:
    """Read names of problems, each of one chapter.

    path (Path): CSV with columns name and chapter. settings (Settings): task, encoding.
    YIELDS (Told): a name in a frame such as "Diagnosis: ...", with its chapter.
    Raises CorpusError for a broken file, another chapter, or the task encounter.
    """
    if settings.task != "chapters":
        raise CorpusError(f"{path} tells chapters of names: expected the task chapters.")
    known = NOTE_TASKS["chapters"]
    for number, row in read_rows(path, NAME_COLUMNS, settings.encoding):
        classes = _named(path, number, [row["chapter"]], CHAPTERS, "ICD10_")
        frame = FRAMES[number % len(FRAMES)]
        yield Told(f"name-{number}", frame.format(row["name"]), classes, known)


def read_document_types(path: Path, settings: Settings) -> Iterator[Told]:
    """Read MTSamples for the encounter that a kind of document is, see DOCUMENT_TYPES.

    path (Path): mtsamples.csv, or its folder. settings (Settings): task, encoding.
    YIELDS (Told): each transcription once.
    Raises CorpusError for a broken file, or the task chapters.
    """
    if settings.task != "encounter":
        raise CorpusError(f"{path} tells kinds of documents: expected the task encounter.")
    file = path / "mtsamples.csv" if path.is_dir() else path
    known, seen = NOTE_TASKS["encounter"], set()
    columns = ("note_id", "medical_specialty", "transcription")
    for _, row in read_rows(file, columns, settings.encoding):
        text, kind = row["transcription"], DOCUMENT_TYPES.get(row["medical_specialty"].strip())
        if kind and text.strip() and text not in seen:
            seen.add(text)
            yield Told(row["note_id"], text, (f"ENCOUNTER_{kind}",), known)


CORPORA: Dict[str, Read] = {
    "notes": read_notes_told,
    "excerpts": read_excerpts_told,
    "encounters": read_excerpts_told,
    "problem_names": read_problem_names,
    "mtsamples": read_document_types,
}


def create_note_classes(
    task: str,
    sources: Mapping[str, Mapping[str, Any]],
    shuffle: bool = False,
    seed: int = 0,
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.NoteClasses.v1: reads for `textcat` and `textcat_multilabel`.

    task (str): "chapters" or "encounter".
    sources (Mapping): by any name, "corpus" (one of CORPORA), "path", and if wanted "repeat" (how
        often an epoch has it, also a share; which texts is drawn anew each time), "titles" (notes:
        leave in what names their kind), "without" (ids to leave out), "licence" (stated where no
        table has it) and "encoding".
    shuffle (bool): another order in every epoch. seed (int): for the order and the draw.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader; gold in `cats`: the classes that
        a source knows, 0 or 1.
    Raises CorpusError for a task, corpus or key that is not known, or when read for a broken file.
    """
    if task not in TASKS:
        raise CorpusError(f"Task is {task!r}: expected one of {list(TASKS)}.")
    blocks = [_check(name, block) for name, block in sources.items()]
    if not blocks:
        raise CorpusError(f"No source of {task}: expected one at least in `sources`.")
    # Read once, when first asked for: a config can be built where its files are not.
    cache: List[List[Told]] = []
    rng = random.Random(seed)

    def read(nlp: Language) -> Iterator[Example]:
        if not cache:
            cache.extend(_read(task, block) for block in blocks)
        order = [text for block, texts in zip(blocks, cache) for text in _draw(block, texts, rng)]
        if shuffle:
            rng.shuffle(order)
        for text in order:
            doc = nlp.make_doc(text.text)
            doc.cats = {name: float(name in text.classes) for name in text.known}
            yield Example(nlp.make_doc(text.text), doc)

    return read


def _check(name: str, block: Mapping[str, Any]) -> Mapping[str, Any]:
    allowed = {"corpus", "path", "repeat", "titles", "without", "encoding", "licence"}
    if unknown := sorted(set(block) - allowed):
        raise CorpusError(f"Source {name!r} has {unknown}: expected some of {sorted(allowed)}.")
    if block.get("corpus") not in CORPORA or "path" not in block:
        raise CorpusError(
            f"Source {name!r} has corpus {block.get('corpus')!r}: expected a path and one of "
            f"{list(CORPORA)}."
        )
    if block.get("repeat", 1) < 0:
        raise CorpusError(f"Source {name!r} has repeat = {block['repeat']}: expected 0 or more.")
    return block


def _read(task: str, block: Mapping[str, Any]) -> List[Told]:
    settings = Settings(task, block.get("titles", True), block.get("encoding", "utf-8"))
    without = set(block.get("without", ()))
    texts = CORPORA[block["corpus"]](Path(block["path"]), settings)
    found = [text for text in texts if text.id not in without]
    if not found:
        raise CorpusError(f"{block['path']}: expected texts whose {task} is known, found none.")
    return found


def _draw(
    block: Mapping[str, Any], texts: Sequence[Told], rng: random.Random
) -> List[Told]:
    times, share = divmod(block.get("repeat", 1), 1)
    return [*texts] * int(times) + rng.sample(list(texts), round(share * len(texts)))
