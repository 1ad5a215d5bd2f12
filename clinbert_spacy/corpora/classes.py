"""Texts with classes: the record, each text once, parts that share no patient and no passage."""
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from .duplicates import compare, first_of, join
from .files import CorpusError
from .splits import part_of_fold


class ClassifiedText(NamedTuple):
    """A text to classify.

    id (str): its name in the corpus. text (str): the text. classes (Tuple[str, ...]): those it
    has, in the order of the corpus' list. group (str): patient, or what its text is linked with.
    """

    id: str
    text: str
    classes: Tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Settings:
    """What a reader of classified texts may be told.

    task (str): which classes or which notes, where a corpus has several; "": its first.
    titles (bool): leave in what names the kind of a note.
    encoding (str): of the files.
    wanted (Callable[[str], bool]): groups to read, where a corpus knows its patients.
    """

    task: str = ""
    titles: bool = True
    encoding: str = "utf-8"
    wanted: Callable[[str], bool] = lambda group: True


@dataclass(frozen=True)
class Source:
    """A corpus of classified texts.

    read (Callable): path and settings to texts.
    tasks (Dict[str, Tuple[str, ...]]): for each task all its classes.
    exclusive (Tuple[str, ...]): tasks in which a text has exactly one class.
    positive (str): of two classes the one that is looked for; "" where there are more.
    compared (str): "near": near-duplicates are one text; "equal": equal texts are, near ones are
        linked; "patients": the corpus knows its patients, and texts are not compared.
    """

    read: Callable[[Path, Settings], Iterable[ClassifiedText]]
    tasks: Dict[str, Tuple[str, ...]]
    exclusive: Tuple[str, ...]
    positive: str = ""
    compared: str = "near"


def settle(
    texts: Sequence[ClassifiedText], compared: str, exclusive: bool, order: Sequence[str]
) -> List[ClassifiedText]:
    """Keep each text once and link those that share a passage.

    texts (Sequence[ClassifiedText]): as they were read. compared (str): see Source.
    exclusive (bool): texts that say the same but have different classes are left out, as nothing
        could tell them apart; otherwise the first one gets the classes of all.
    order (Sequence[str]): all classes, in order.
    RETURNS (List[ClassifiedText]): texts that say something new; one group is one passage or
        patient.
    """
    if compared == "patients":
        return list(texts)
    found = compare([text.text for text in texts], near=compared == "near")
    classes: List[Set[str]] = [set() for _ in texts]
    for text, first in zip(texts, found.same):
        classes[first].update(text.classes)
    groups = _link(found.linked, [text.group for text in texts])
    return [
        text._replace(classes=tuple(name for name in order if name in mine), group=group)
        for i, (text, mine, group) in enumerate(zip(texts, classes, groups))
        if found.same[i] == i and not (exclusive and len(mine) > 1)
    ]


def _link(linked: Sequence[int], groups: Sequence[str]) -> List[str]:
    """Name what is linked, or of one patient, after its first text's group."""
    first = join([*enumerate(linked), *enumerate(first_of(groups))])
    return [groups[i] for i in first]


def drop_known(
    texts: Sequence[ClassifiedText], held_out: Sequence[ClassifiedText], compared: str
) -> List[ClassifiedText]:
    """Leave out texts that share a patient or a passage with texts to be scored.

    texts (Sequence[ClassifiedText]): texts. held_out (Sequence[ClassifiedText]): those to score.
    compared (str): see Source.
    RETURNS (List[ClassifiedText]): the others.
    """
    whole = [*held_out, *texts]
    groups = [text.group for text in whole]
    if compared != "patients":
        groups = _link(compare([text.text for text in whole]).linked, groups)
    known = set(groups[: len(held_out)])
    return [text for text, group in zip(texts, groups[len(held_out) :]) if group not in known]


def part_texts(
    texts: Iterable[ClassifiedText],
    fold: int,
    folds: int,
    held_out: Optional[Sequence[ClassifiedText]] = None,
) -> Dict[str, List[ClassifiedText]]:
    """Part texts by a hash of their groups.

    texts (Iterable[ClassifiedText]): settled texts. fold (int), folds (int): which of how many.
    held_out (Optional[Sequence[ClassifiedText]]): what is scored instead of the fold, which is
        then trained on.
    RETURNS (Dict[str, List[ClassifiedText]]): "train", "dev" and "held_out", see part_of_fold.
    Raises CorpusError for a fold that is not there.
    """
    parts: Dict[str, List[ClassifiedText]] = {"train": [], "dev": [], "held_out": []}
    for text in texts:
        part = part_of_fold(text.group, fold, folds)
        parts["train" if held_out is not None and part == "held_out" else part].append(text)
    if held_out is not None:
        parts["held_out"] = list(held_out)
    return parts


def check_parts(parts: Dict[str, List[ClassifiedText]], wanted: Iterable[str], place: str) -> None:
    """Raise CorpusError, naming the place, for a wanted part without texts."""
    for part in wanted:
        if not parts[part]:
            raise CorpusError(f"{place}: expected texts in {part!r}, found none.")
