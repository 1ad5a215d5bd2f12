"""clinbert.DocumentClasses.v1: documents with classes, in folds over patients and passages."""
import random
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from .class_notes import NOTE_TASKS, read_note_classes
from .class_tables import DISEASES, read_medical_abstracts, read_specialties, specialty_classes
from .classes import (
    ClassifiedText,
    Settings,
    Source,
    check_parts,
    drop_known,
    part_texts,
    settle,
)
from .files import CorpusError
from .radiology import ABNORMAL, NORMAL, read_radiology
from .readmission import NOT_READMITTED, NOTES, READMITTED, read_readmission
from .splits import PARTS, part_of_fold

SOURCES: Dict[str, Source] = {
    "medical_abstracts": Source(
        read_medical_abstracts, {"disease": tuple(DISEASES.values())}, ("disease",)
    ),
    "mtsamples": Source(read_specialties, {"specialty": specialty_classes()}, ()),
    "radiology": Source(
        read_radiology, {"abnormal": (ABNORMAL, NORMAL)}, ("abnormal",), ABNORMAL, "equal"
    ),
    "notes": Source(read_note_classes, NOTE_TASKS, ("encounter",)),
    "readmission": Source(
        read_readmission, dict.fromkeys(NOTES, (READMITTED, NOT_READMITTED)), NOTES, READMITTED,
        "patients",
    ),
}  # fmt: skip


def find_source(corpus: str, task: str = "") -> Tuple[Source, str]:
    """Look a corpus and its task up.

    corpus (str): one of SOURCES. task (str): one of its tasks; "": the first.
    RETURNS (Tuple[Source, str]): the corpus, and the name of the task.
    Raises CorpusError for a name that is not known.
    """
    if corpus not in SOURCES:
        raise CorpusError(f"Corpus is {corpus!r}: expected one of {sorted(SOURCES)}.")
    source = SOURCES[corpus]
    task = task or next(iter(source.tasks))
    if task not in source.tasks:
        raise CorpusError(f"Task of {corpus} is {task!r}: expected one of {list(source.tasks)}.")
    return source, task


def read_documents(
    corpus: str, path: Union[str, Path], settings: Optional[Settings] = None
) -> List[ClassifiedText]:
    """Read a corpus, each text once, see `settle`.

    corpus (str): one of SOURCES. path (Union[str, Path]): its file or folder.
    settings (Optional[Settings]): see there.
    RETURNS (List[ClassifiedText]): its texts.
    Raises CorpusError for a name that is not known, or a missing or broken file.
    """
    settings = settings or Settings()
    source, task = find_source(corpus, settings.task)
    told = Settings(task, settings.titles, settings.encoding, settings.wanted)
    texts = list(source.read(Path(path), told))
    return settle(texts, source.compared, task in source.exclusive, source.tasks[task])


def take_documents(
    corpus: str,
    path: Union[str, Path],
    fold: int = 0,
    folds: int = 5,
    *,
    parts: Sequence[str] = PARTS,
    held_out: Optional[Union[str, Path]] = None,
    settings: Optional[Settings] = None,
) -> Dict[str, List[ClassifiedText]]:
    """Take parts of a cross-validation over patients and passages.

    corpus (str): one of SOURCES. path (Union[str, Path]): its file or folder.
    fold (int): 0 to folds - 1. folds (int): how many; a hash of the group decides, see
        part_of_fold. parts (Sequence[str]): which must not be empty.
    held_out (Optional[Union[str, Path]]): file or folder of the same form that is scored instead of
        the fold, which is then trained on; texts of `path` that share a passage or a patient with
        it are left out.
    settings (Optional[Settings]): see there.
    RETURNS (Dict[str, List[ClassifiedText]]): "train", "dev", "held_out", in the corpus' order;
        of a corpus that knows its patients only what is in `parts`.
    Raises CorpusError for a name, part or fold that is not there, or a part without texts.
    """
    settings = settings or Settings()
    if unknown := sorted(set(parts) - set(PARTS)):
        raise CorpusError(f"Part of a fold is {unknown[0]!r}: expected one of {list(PARTS)}.")
    part_of_fold("", fold, folds)
    wanted = {*parts, *(["held_out"] if held_out and "train" in parts else [])}
    chosen = Settings(
        settings.task, settings.titles, settings.encoding,
        lambda group: part_of_fold(group, fold, folds) in wanted,
    )  # fmt: skip
    texts, scored = read_documents(corpus, path, chosen), None
    if held_out:
        scored = read_documents(corpus, held_out, settings)
        texts = drop_known(texts, scored, find_source(corpus, settings.task)[0].compared)
    found = part_texts(texts, fold, folds, scored)
    check_parts(found, parts, f"{path}, fold {fold} of {folds}")
    return found


def create_document_classes(
    corpus: str,
    path: Union[str, Path],
    part: str,
    task: str = "",
    titles: bool = True,
    fold: int = 0,
    folds: int = 5,
    held_out: Optional[Union[str, Path]] = None,
    shuffle: bool = False,
    seed: int = 0,
    limit: int = 0,
    encoding: str = "utf-8",
) -> Callable[[Language], Iterator[Example]]:
    """Registered as clinbert.DocumentClasses.v1: reads for `textcat` and `textcat_multilabel`.

    corpus (str), path (Union[str, Path]), fold (int), folds (int), held_out: see take_documents.
    part (str): "train", "dev" or "held_out".
    task (str), titles (bool), encoding (str): see Settings.
    shuffle (bool): another order in every epoch. seed (int): for the order and the limit.
    limit (int): at most so many documents, chosen by chance; 0: all. None is ever cut.
    RETURNS (Callable[[Language], Iterator[Example]]): the reader; gold in `cats`: every class of
        the task, 0 or 1.
    """
    # Read once, when first asked for: a config can be built where its files are not.
    cache: List[ClassifiedText] = []
    rng = random.Random(seed)
    settings = Settings(task, titles, encoding)

    def read(nlp: Language) -> Iterator[Example]:
        if not cache:
            found = take_documents(
                corpus, path, fold, folds, parts=(part,), held_out=held_out, settings=settings
            )
            cache.extend(found[part])
            if limit:
                random.Random(seed).shuffle(cache)
                del cache[limit:]
        order = list(cache)
        if shuffle:
            rng.shuffle(order)
        source, name = find_source(corpus, task)
        for text in order:
            yield Example(nlp.make_doc(text.text), _gold(nlp, text, source.tasks[name]))

    return read


def _gold(nlp: Language, text: ClassifiedText, classes: Sequence[str]) -> Doc:
    doc = nlp.make_doc(text.text)
    doc.cats = {name: float(name in text.classes) for name in classes}
    return doc
