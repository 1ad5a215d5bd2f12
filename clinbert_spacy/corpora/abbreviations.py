"""Sense inventories of abbreviations: the files of github.com/lisavirginia/clinical-abbreviations.

Vanderbilt's lists carry no licence and Wikipedia's is share-alike: a table made with them is for
one's own use and does not ship.
"""

import csv
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple, Union

from .files import CorpusError, read_text

VANDERBILT = ("vanderbilt_clinic_notes.txt", "vanderbilt_discharge_sums.txt")
WIKIPEDIA = "wikipedia_abbreviation_database.csv"
_FORM = re.compile(r"[A-Za-z][A-Za-z0-9/]{1,9}")
Pair = Tuple[str, str]


def extend_inventory(table: Mapping[str, Any], folder: Union[str, Path]) -> Dict[str, Any]:
    """Add the senses of foreign inventories to a table.

    Forms keep the case in which the lists write them; a form in small letters alone that is not in
    the table is left out, as are single letters.

    table (Mapping): forms, variants and ordinary. folder (Union[str, Path]): holds the files.
    RETURNS (Dict[str, Any]): A new table, its own senses first.
    Raises CorpusError if the folder holds none of the files.
    """
    forms: Dict[str, List[str]] = {form: list(senses) for form, senses in table["forms"].items()}
    known: Dict[str, Set[str]] = {form: {_key(x) for x in forms[form]} for form in forms}
    for form, sense in read_pairs(folder):
        if form not in forms and (form.islower() or not _FORM.fullmatch(form)):
            continue
        if _key(sense) not in known.setdefault(form, set()):
            known[form].add(_key(sense))
            forms.setdefault(form, []).append(sense)
    return {**table, "forms": dict(sorted(forms.items()))}


def read_pairs(folder: Union[str, Path]) -> Iterator[Pair]:
    """Read the files that a folder holds.

    folder (Union[str, Path]): a folder.
    YIELDS (Tuple[str, str]): Short form as written, and a long form.
    Raises CorpusError if it holds none of them.
    """
    folder = Path(folder)
    present = [name for name in (*VANDERBILT, WIKIPEDIA) if (folder / name).is_file()]
    if not present:
        names = ", ".join((*VANDERBILT, WIKIPEDIA))
        raise CorpusError(f"{folder} holds no inventory: expected one of {names}.")
    for name in present:
        read = _read_wikipedia if name == WIKIPEDIA else _read_vanderbilt
        yield from read(read_text(folder / name))


def _read_vanderbilt(text: str) -> Iterator[Pair]:
    """Columns abbreviation, sense, variation ("RA_4|ra_3": form and count), CUI, frequency."""
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        for variation in row["variation"].split("|"):
            form = variation.rpartition("_")[0]
            if form and row["sense"]:
                yield form, row["sense"].strip()


def _read_wikipedia(text: str) -> Iterator[Pair]:
    for row in csv.DictReader(text.splitlines()):
        if row["abr"] and row["long_form"]:
            yield row["abr"].strip(), row["long_form"].strip()


def _key(sense: str) -> str:
    return re.sub(r"[\W_]+", " ", sense).strip().lower()
