"""Abbreviations of real notes with their long forms: what silver contexts cannot tell."""

import csv
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Union

from ..corpora.files import CorpusError, read_text
from ..models.abbreviations import REACH, Mention, weigh

COLUMNS = ("part", "note", "start", "form", "long_form")


class Gold(NamedTuple):
    """A short form in a note.

    part (str): folder of the note. note (str): its name. mention (Mention): form and context.
    long_form (str): what it stands for, empty if the inventory does not hold it.
    """

    part: str
    note: str
    mention: Mention
    long_form: str


def read_gold(path: Union[str, Path], notes: Union[str, Path]) -> Iterator[Gold]:
    """Read labelled short forms.

    path (Union[str, Path]): tab-separated, with the columns part, note, start, form, long_form.
    notes (Union[str, Path]): folder with `PART/NOTE.txt`.
    YIELDS (Gold): In the file's order.
    Raises CorpusError for other columns, or a form that does not stand at its offset.
    """
    texts: Dict[Path, str] = {}
    rows = csv.DictReader(read_text(Path(path)).splitlines(), delimiter="\t")
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise CorpusError(f"{path} has columns {rows.fieldnames}: expected {', '.join(COLUMNS)}.")
    for row in rows:
        file = Path(notes) / row["part"] / f"{row['note']}.txt"
        if file not in texts:
            texts[file] = read_text(file)
        text, form, start = texts[file], row["form"], int(row["start"])
        end = start + len(form)
        if text[start:end] != form:
            raise CorpusError(
                f"{path}: no {form!r} at {start} of note {row['note']!r}. Is {notes} the folder of "
                "notes that the file was made for?"
            )
        mention = Mention(form, text[max(0, start - REACH) : start], text[end : end + REACH])
        yield Gold(row["part"], row["note"], mention, row["long_form"])


def judge_gold(
    table: Mapping[str, Any], gold: List[Gold], frequent: Mapping[str, int], threshold: float
) -> Dict[str, Dict[str, float]]:
    """Score a table on labelled short forms, by part.

    table (Mapping): inventory and weights. gold (List[Gold]): labelled forms.
    frequent (Mapping[str, int]): most frequent sense of a form in the training text, 0 if it is
        not in it. threshold (float): from which a long form is given.
    RETURNS (Dict[str, Dict[str, float]]): Per part: mentions, accuracy, that of the most frequent
        sense, share given, accuracy of those. A form that stands for
        nothing in the inventory counts as wrong, whatever is found.
    """
    found: Dict[str, Dict[str, float]] = {}
    for part in sorted({mention.part for mention in gold}):
        here = [mention for mention in gold if mention.part == part]
        found[part] = _count(table, here, frequent, threshold)
    return found


def _count(
    table: Mapping[str, Any], gold: List[Gold], frequent: Mapping[str, int], threshold: float
) -> Dict[str, float]:
    right = usual = given = right_given = 0
    for row in gold:
        senses, scores = table["forms"][row.mention.form], weigh(dict(table), row.mention)
        best = max(range(len(scores)), key=scores.__getitem__)
        is_right = senses[best] == row.long_form
        right += is_right
        usual += senses[frequent.get(row.mention.form, 0)] == row.long_form
        if scores[best] >= threshold:
            given += 1
            right_given += is_right
    return {
        "n": len(gold),
        "accuracy": round(right / len(gold), 4),
        "most_frequent": round(usual / len(gold), 4),
        "given": round(given / len(gold), 4),
        "accuracy_given": round(right_given / given, 4) if given else 0.0,
    }
