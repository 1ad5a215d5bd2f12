"""Readmission within 30 days, from MIMIC-III, as Huang et al. (2019, ClinicalBERT) define it."""
from datetime import datetime, timedelta
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Tuple

from .classes import ClassifiedText, Settings
from .files import broken
from .rows import read_rows

READMITTED = "READMITTED"
NOT_READMITTED = "NOT_READMITTED"
# "discharge": the discharge summary. "early": all else of the first days.
NOTES = ("discharge", "early")
WITHIN = timedelta(days=30)
EARLY = timedelta(days=3)
SUMMARY = "Discharge summary"
STAY_COLUMNS = (
    "SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME", "DEATHTIME", "ADMISSION_TYPE",
)  # fmt: skip
NOTE_COLUMNS = ("SUBJECT_ID", "HADM_ID", "CHARTDATE", "CATEGORY", "ISERROR", "TEXT")
_Dated = Tuple[datetime, str]


class Stay(NamedTuple):
    """An admission that a note can be judged by.

    patient (str): SUBJECT_ID. day (datetime): midnight before it began.
    readmitted (bool): whether the next unplanned admission began within 30 days of its end.
    """

    patient: str
    day: datetime
    readmitted: bool


class _Row(NamedTuple):
    begin: datetime
    end: datetime
    name: str
    kind: str
    died: bool


def read_readmission(path: Path, settings: Settings) -> Iterator[ClassifiedText]:
    """Read the notes of admissions, a text an admission.

    Task "discharge": the last discharge summary by date. Task "early": all other notes charted
    within three days of the day of admission, joined in order of their dates. Notes marked as
    errors are left out. Texts are not cleaned, and the larger class is not thinned out, as Huang
    et al. did. Files are read row by row; `settings.wanted` chooses patients before a note is read.

    path (Path): folder with NOTEEVENTS.csv and ADMISSIONS.csv, or these with .gz.
    settings (Settings): task, encoding, wanted.
    YIELDS (ClassifiedText): READMITTED or NOT_READMITTED; id: HADM_ID; group: SUBJECT_ID.
    Raises CorpusError for a missing or broken file, or a note of another patient than its
        admission's.
    """
    stays = read_stays(_file(path, "ADMISSIONS.csv"), settings.wanted, settings.encoding)
    notes: Dict[str, List[_Dated]] = {}
    early = settings.task == "early"
    for name, dated in _read_notes(_file(path, "NOTEEVENTS.csv"), stays, early, settings.encoding):
        # the last summary alone is kept in memory; of equal dates the later row
        kept = notes.get(name, [])
        newest = not kept or dated[0] >= kept[0][0]
        notes[name] = [*kept, dated] if early else [dated] if newest else kept
    for name, found in notes.items():
        text = "\n\n".join(text for _, text in sorted(found, key=lambda dated: dated[0]))
        label = READMITTED if stays[name].readmitted else NOT_READMITTED
        yield ClassifiedText(name, text, (label,), stays[name].patient)


def _file(path: Path, name: str) -> Path:
    found = [path / file for file in (name, f"{name}.gz") if (path / file).is_file()]
    if not found:
        raise broken(path, 0, f"{name} or {name}.gz", "neither")
    return found[0]


def read_stays(
    path: Path, wanted: Callable[[str], bool], encoding: str = "utf-8"
) -> Dict[str, Stay]:
    """Read admissions; newborns and those who died in hospital are left out, as they are judged.

    path (Path): ADMISSIONS.csv. wanted (Callable[[str], bool]): patients to keep.
    encoding (str): of the file.
    RETURNS (Dict[str, Stay]): by HADM_ID.
    Raises CorpusError naming the line that is broken.
    """
    patients: Dict[str, List[_Row]] = {}
    for line, row in read_rows(path, STAY_COLUMNS, encoding):
        if wanted(row["SUBJECT_ID"]):
            begin, end = (_time(path, line, row[name]) for name in ("ADMITTIME", "DISCHTIME"))
            stay = _Row(begin, end, row["HADM_ID"], row["ADMISSION_TYPE"], bool(row["DEATHTIME"]))
            patients.setdefault(row["SUBJECT_ID"], []).append(stay)
    return {
        stay.name: Stay(patient, stay.begin.replace(hour=0, minute=0, second=0), readmitted)
        for patient, rows in patients.items()
        for stay, readmitted in _judge(sorted(rows))
        if stay.kind != "NEWBORN" and not stay.died
    }


def _judge(rows: List[_Row]) -> Iterator[Tuple[_Row, bool]]:
    """For each admission of a patient, in order, whether an unplanned one soon follows."""
    for i, stay in enumerate(rows):
        after = next((later for later in rows[i + 1 :] if later.kind != "ELECTIVE"), None)
        yield stay, after is not None and after.begin - stay.end < WITHIN


def _time(path: Path, line: int, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        pass
    # Raised outside the handler: its message quotes the cell.
    raise broken(path, line, "a date like 2101-10-20 19:08:00", "something else")


def _read_notes(
    path: Path, stays: Dict[str, Stay], early: bool, encoding: str
) -> Iterator[Tuple[str, _Dated]]:
    for line, row in read_rows(path, NOTE_COLUMNS, encoding):
        stay = stays.get(row["HADM_ID"])
        is_summary = row["CATEGORY"].strip() == SUMMARY
        if stay is None or is_summary == early or row["ISERROR"] == "1" or not row["TEXT"].strip():
            continue
        if row["SUBJECT_ID"] != stay.patient:
            raise broken(path, line, "the patient of its admission", "another one")
        date = _time(path, line, row["CHARTDATE"])
        if not early or date - stay.day < EARLY:
            yield row["HADM_ID"], (date, row["TEXT"])
