"""Sources with a summary in other words: what an abstractive summariser learns from."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple, Union

from .files import CorpusError, broken
from .layers import read_notes as read_layered_notes
from .rows import read_rows
from .schema import may_ship
from .splits import part_of_fold
from .summaries import read_mediqa_mas, read_notes, read_radiology

MTS_FILE = "MTS-Dialog-TrainingSet.csv"
ACI_FILE = "train.csv"
# A line in capitals alone opens a section of a note of ACI-Bench.
HEADING = re.compile(r"^[A-Z][A-Z /&,()-]+$", re.M)
CC_BY = "CC BY 4.0"


class Pair(NamedTuple):
    """A text and its summary. id (str): unique in its corpus. source (str), summary (str): the two.
    group (str): patient, encounter or study; one group is in one part."""

    id: str
    source: str
    summary: str
    group: str


@dataclass(frozen=True)
class PairSource:
    """A corpus of pairs. read (Callable): from path and encoding. name (str): as in schema.py.
    licence (str): as its source states."""

    read: Callable[[Path, str], Iterator[Pair]]
    name: str
    licence: str

    @property
    def ships(self) -> bool:
        """RETURNS (bool): Whether weights that ship may be trained on it."""
        return may_ship(self.name, self.licence)


def read_pairs(corpus: str, path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Pair]:
    """Read a corpus by its name.

    corpus (str): one of PAIRS. path (Union[str, Path]): file or folder. encoding (str): its.
    YIELDS (Pair): its pairs; those without a source or a summary are left out.
    Raises CorpusError for another name, or a file that is not what it should be.
    """
    for pair in find_pairs(corpus).read(Path(path), encoding):
        if pair.source.strip() and pair.summary.strip():
            yield pair


def find_pairs(corpus: str) -> PairSource:
    """Look a corpus up.

    corpus (str): e.g. "mts_dialog".
    RETURNS (PairSource): how it is read, and under which licence.
    Raises CorpusError for a name that is not known.
    """
    if corpus not in PAIRS:
        raise CorpusError(f"Unknown corpus of pairs {corpus!r}: expected one of {sorted(PAIRS)}.")
    return PAIRS[corpus]


def part_pairs(pairs: Sequence[Pair], fold: int, folds: int) -> Dict[str, List[Pair]]:
    """Part pairs as in a cross-validation, a group in one part.

    pairs (Sequence[Pair]): of one corpus. fold (int), folds (int): see splits.part_of_fold.
    RETURNS (Dict[str, List[Pair]]): "train", "dev" and "held_out", in order.
    """
    parts: Dict[str, List[Pair]] = {"train": [], "dev": [], "held_out": []}
    for pair in pairs:
        parts[part_of_fold(pair.group, fold, folds)].append(pair)
    return parts


def _read_mts(path: Path, encoding: str) -> Iterator[Pair]:
    """MTS-Dialog's training part: a dialogue, and the section of a note that was written of it."""
    file = path / MTS_FILE if path.is_dir() else path
    for _, row in read_rows(file, ("ID", "section_text", "dialogue"), encoding):
        yield Pair(row["ID"], row["dialogue"], row["section_text"], row["ID"])


def _read_aci(path: Path, encoding: str) -> Iterator[Pair]:
    """ACI-Bench's training part: a dialogue, and each section of the note written of it."""
    file = path / ACI_FILE if path.is_dir() else path
    for line, row in read_rows(file, ("encounter_id", "dialogue", "note"), encoding):
        name = row["encounter_id"]
        sections = HEADING.split(row["note"].replace("\r\n", "\n"))[1:]
        if not sections:
            raise broken(file, line, "a note with headings in capitals", "none")
        for number, section in enumerate(sections):
            yield Pair(f"{name}.{number}", row["dialogue"], " ".join(section.split()), name)


def _read_whole_notes(path: Path, encoding: str) -> Iterator[Pair]:
    """Our notes: the note, and the sentences of its summary."""
    for item in read_notes(path, encoding):
        yield Pair(item.id, item.text, item.reference, item.id)


def _read_note_sections(path: Path, encoding: str) -> Iterator[Pair]:
    """Our notes, section by section: its text, and what of it is in the summary."""
    for note in read_layered_notes(path, encoding):
        layers = note.meta.get("layers")
        chosen = [layers.sentences[i] for i in sorted(set(layers.summary))] if layers else []
        for number, (start, end, _) in enumerate(layers.sections if layers else ()):
            inside = [note.text[a:b] for a, b in chosen if start <= a and b <= end]
            yield Pair(f"{note.id}.{number}", note.text[start:end], "\n".join(inside), note.group)


def _read_reports(path: Path, encoding: str) -> Iterator[Pair]:
    for item in read_radiology(path, encoding):
        yield Pair(item.id, item.text, item.reference, item.id)


def _read_answers(path: Path, encoding: str) -> Iterator[Pair]:
    for item in read_mediqa_mas(path, encoding):
        yield Pair(item.id, item.text, item.reference, item.id)


# Of the two of MEDIQA 2021 no licence is stated: for figures, never for weights that ship.
PAIRS: Dict[str, PairSource] = {
    "mts_dialog": PairSource(_read_mts, "mts_dialog", CC_BY),
    "aci_bench": PairSource(_read_aci, "aci_bench", CC_BY),
    "notes": PairSource(_read_whole_notes, "notes", CC_BY),
    "note_sections": PairSource(_read_note_sections, "notes", CC_BY),
    "radiology": PairSource(_read_reports, "mediqa2021_rrs", "not stated"),
    "mediqa_mas": PairSource(_read_answers, "mediqa2021_mas", "not stated"),
}


def describe(corpora: Sequence[str]) -> List[Dict[str, str]]:
    """List corpora for cards.

    corpora (Sequence[str]): names of PAIRS.
    RETURNS (List[Dict[str, str]]): name and licence of each, once.
    """
    found: Dict[Tuple[str, str], None] = {}
    for name in corpora:
        found[PAIRS[name].name, PAIRS[name].licence] = None
    return [{"name": name, "licence": licence} for name, licence in found]
