"""A user's table of known effects (a drug's label) beside what notes say."""

import csv
import re
import unicodedata
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple, Union

from spacy.tokens import Doc, Span

from ..attributes import RELATIONS_KEY, SideEffect, concepts, side_effects

KNOWN, UNEXPECTED, NOT_LISTED = "known", "unexpected", "drug_not_listed"
NEEDED, OPTIONAL = ("drug", "effect"), ("drug_id", "effect_id")
NOT_MENTIONED = {"note_id": str, "drug": str, "effect": str}
DELIMITERS = {".csv": ",", ".tsv": "\t"}
DRUG = "DRUG"
SHOWN_COLUMNS = 10
NAME = re.compile(r"[\w;|\t -]{1,40}")
WORD = re.compile(r"\w+")
# "headache" and "headaches", "rash" and "rashes" come out alike once this e has gone
SILENT = ("che", "she", "xe", "ze", "se")


class Entry(NamedTuple):
    """A line of the table.

    drug (str), effect (str): Names. drug_id (str), effect_id (str): Concepts, "" for none.
    """

    drug: str
    effect: str
    drug_id: str = ""
    effect_id: str = ""


class _Index:
    """Numbers of the entries by the normalised names and the ids of one of their ends."""

    def __init__(self, names: Sequence[str], ids: Sequence[str]) -> None:
        self.names = [normalise(name) for name in names]
        self.ids = [_id_key(name) for name in ids]
        self.numbers: Dict[str, Set[int]] = {}
        for keys in (self.names, self.ids):
            for number, key in enumerate(keys):
                if key:
                    self.numbers.setdefault(key, set()).add(number)

    def find(self, keys: Iterable[str]) -> Set[int]:
        """Entries under one of the keys, and those that share an id with one of them."""
        return self.widen(set().union(*(self.numbers.get(key, ()) for key in keys)))

    def widen(self, found: Set[int]) -> Set[int]:
        """Add entries that share an id with one that was found."""
        return found.union(*(self.numbers[self.ids[i]] for i in found if self.ids[i]))


class KnownEffects:
    """Effects that are known of drugs.

    entries (Sequence[Entry]): Lines of the user's table.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)
        self.drugs = _Index([x.drug for x in entries], [x.drug_id for x in entries])
        self.effects = _Index([x.effect for x in entries], [x.effect_id for x in entries])


def normalise(name: str) -> str:
    """Bring a name into the form in which names are compared.

    name (str): Of a drug or an effect, or a whole text.
    RETURNS (str): Lower case, words alone, single blanks, words in the singular as far as spelling
        tells. For comparison only: "headaches" gives "headach".
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    words = WORD.findall(folded)
    return " ".join(map(_singular, words)) if words else " ".join(folded.split())


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
    if len(word) > 5 and word.endswith("is"):
        return word[:-2]  # diagnosis, as diagnoses
    return word[:-1] if word.endswith(SILENT) else word


def _id_key(concept: str) -> str:
    # no normalised name begins like this
    return f"#{concept}" if concept else ""


def read_known_effects(path: Union[str, Path]) -> KnownEffects:
    """Read a table of known effects.

    path (Union[str, Path]): `.csv` or `.tsv` in UTF-8, a byte order mark allowed, with the columns
        `drug` and `effect`; may have `drug_id` and `effect_id`, ids of the linker's concepts.
    RETURNS (KnownEffects): Its lines.
    RAISES (ValueError): It is no such table: file, line, what was found and what is expected.
    """
    path = Path(path)
    if path.suffix.lower() not in DELIMITERS:
        raise ValueError(f"{path}: expected a table of known effects in a .csv or .tsv file.")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a table with {_expected(path)}.")
    try:
        entries = list(_read_entries(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8.") from None
    except csv.Error as error:
        raise ValueError(f"{path} is a broken table: {error}. Quote its cells.") from None
    if not entries:
        raise ValueError(f"{path} holds no line below its columns; expected {_expected(path)}.")
    return KnownEffects(entries)


def _expected(path: Path) -> str:
    mark = "tabs" if path.suffix.lower() == ".tsv" else "commas"
    return f"the columns {', '.join(NEEDED)} (also known: {', '.join(OPTIONAL)}), with {mark}"


def _read_entries(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as file_:
        rows = csv.reader(file_, delimiter=DELIMITERS[path.suffix.lower()], strict=True)
        header = [name.strip().lower() for name in next(rows, [])]
        _check_header(path, header)
        for row in rows:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                _check_cells(path, rows.line_num, header, cells)
                yield Entry(**dict(zip(header, cells)))


def _check_header(path: Path, header: Sequence[str]) -> None:
    expected = _expected(path)
    if not any(header):
        raise ValueError(f"{path} is empty; expected {expected}.")
    wrong = set(header) - {*NEEDED, *OPTIONAL}
    if wrong or not set(header) >= set(NEEDED) or len(set(header)) < len(header):
        # what does not look like a name may be a note, where somebody gave the wrong file
        names = [repr(x) if NAME.fullmatch(x) else "(no name)" for x in header[:SHOWN_COLUMNS]]
        raise ValueError(
            f"{path} has {len(header)} columns, {', '.join(names)}; expected {expected}, each "
            "once. Rename the columns or remove the others."
        )


def _check_cells(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> None:
    if len(cells) != len(header):
        raise ValueError(
            f"{path}, line {line}: {len(cells)} cells; expected {len(header)} as in the first "
            "line. Quote cells that hold the delimiter."
        )
    empty = [name for name, cell in zip(header, cells) if name in NEEDED and not cell]
    if empty:
        raise ValueError(
            f"{path}, line {line}: no {' and no '.join(empty)}; expected both a drug and an "
            "effect. Fill the cell or remove the line."
        )


def mark_pairs(known: KnownEffects, doc: Doc) -> List[str]:
    """Say of each pair of a note whether the table knows it.

    known (KnownEffects): The user's table. doc (Doc): An annotated note.
    RETURNS (List[str]): For each of `doc._.clinbert_side_effects` `known`, `unexpected` (the table
        has the drug, but not with this effect) or `drug_not_listed`.
    """
    return [_mark(known, pair) for pair in side_effects(doc)]


def _mark(known: KnownEffects, pair: SideEffect) -> str:
    entries = known.drugs.find(_keys(pair.drug))
    if not entries:
        return NOT_LISTED
    keys = _keys(pair.effect)
    if pair.value is not None:
        keys.add(normalise(f"{pair.effect.text} {pair.value.text}"))
    return KNOWN if entries & known.effects.find(keys) else UNEXPECTED


def _keys(span: Span) -> Set[str]:
    """Its name, and the concept that the linker holds for the likeliest."""
    return {normalise(span.text), *(_id_key(str(x["id"])) for x in concepts(span)[:1])}


def not_mentioned_rows(note_id: str, known: KnownEffects, doc: Doc) -> List[Dict[str, str]]:
    """List effects that are known of the note's drugs and that the note does not mention.

    These are no findings: the note says nothing of them, neither that they are there nor that they
    are not.

    note_id (str): Name of the note. known (KnownEffects): The user's table.
    doc (Doc): A note that `clinbert_side_effects` has read.
    RETURNS (List[Dict[str, str]]): note_id, drug and effect, the names as in the table, each pair
        once. An effect counts as mentioned, also where it is denied, if an entity or any words of
        the note match it.
    """
    drugs = known.drugs.find(key for span in _drugs(doc) for key in _keys(span))
    if not drugs:
        return []
    mentioned = known.effects.find(key for span in _mentions(doc) for key in _keys(span))
    text = f" {normalise(doc.text)} "
    names = known.effects.names
    mentioned |= known.effects.widen({i for i in drugs if f" {names[i]} " in text})
    once: Dict[Tuple[str, str], Entry] = {}
    for i in sorted(drugs - mentioned):
        once.setdefault((known.drugs.names[i], names[i]), known.entries[i])
    # a name out of JSON may hold a lone surrogate, which UTF-8 cannot
    name = note_id.encode("utf8", "replace").decode("utf8")
    return [{"note_id": name, "drug": x.drug, "effect": x.effect} for x in once.values()]


def _drugs(doc: Doc) -> List[Span]:
    """Drugs among what `clinbert_side_effects` joins, under its names for labels."""
    group = doc.spans.get(RELATIONS_KEY)
    if group is None:
        return []
    typed = [span for span, label in zip(group, group.attrs.get("types", ())) if label == DRUG]
    return [*typed, *(pair.drug for pair in side_effects(doc))]


def _mentions(doc: Doc) -> List[Span]:
    return [*doc.ents, *doc.spans.get(RELATIONS_KEY, ())]
