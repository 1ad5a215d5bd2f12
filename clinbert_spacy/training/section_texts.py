"""Notes as lists of headed parts: read out of corpora, written anew with other headings or none."""

import csv
import random
import re
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, Mapping, Tuple, Union

from ..corpora.files import broken, lines_of, read_text, sha256_of
from ..corpora.layers import SECTIONS, read_notes
from ..corpora.snippets import fields_of
from ..models.headings import find_heading, load_titles, look_up, normalise

# What a section header of MTS-Dialog may mean here; its papers describe the twenty.
MTS_DIALOG = {
    "GENHX": "history_of_present_illness",
    "FAM/SOCHX": "family_history|social_history",
    "PASTMEDICALHX": "past_medical_history",
    "CC": "chief_complaint",
    "PASTSURGICAL": "past_surgical_history",
    "ALLERGY": "allergies",
    "ROS": "review_of_systems",
    "MEDICATIONS": "medications",
    "ASSESSMENT": "assessment|assessment_and_plan|impression",
    "EXAM": "physical_exam",
    "DIAGNOSIS": "impression|assessment",
    "DISPOSITION": "plan",
    "PLAN": "plan",
    "EDCOURSE": "hospital_course",
    "IMMUNIZATIONS": "immunizations",
    "IMAGING": "imaging",
    "GYNHX": "obstetric_history",
    "PROCEDURES": "procedure",
    "OTHER_HISTORY": "other",
    "LABS": "laboratory",
}
MTSAMPLES_HEADING = re.compile(r"(?:^|(?<=[.,;]))\s*([A-Z][A-Z0-9 /&'()\-]{1,50}):\s*,?\s*")
# MTSamples has lost its line ends to commas.
LOST_LINE_END = re.compile(r"(?<=[.;:?]),\s*")
SECTION_MARK = re.compile(r"\[\[(\w+)\]\]")
NAMES = frozenset(SECTIONS)
FEWEST_HEADINGS = 3
LONGEST_PSEUDO_NOTE = 8


@dataclass(frozen=True)
class Part:
    """A section.

    name (str): normalised; several, by "|", where one cannot tell. heading (str): "" without one.
    body (str): the rest. written (str): heading and body as they stand in the note, with the white
    space before; "" if unknown.
    """

    name: str
    heading: str
    body: str
    written: str = ""


@dataclass(frozen=True)
class Variation:
    """How headings are written anew, as probabilities.

    original: a note stays as it was written. bare: a note loses all its headings. title: another
    title of the same name. small: small letters. plain: no colon. typo: a letter is lost or
    doubled. line: the body begins a new line.
    """

    original: float = 0.0
    bare: float = 0.0
    title: float = 0.0
    small: float = 0.0
    plain: float = 0.0
    typo: float = 0.0
    line: float = 0.0


def notes_parts(path: Union[str, Path]) -> Iterator[List[Part]]:
    """Read notes with sections. path: a folder like assets/notes/train. YIELDS (List[Part])."""
    for note in read_notes(path):
        sections = note.meta["layers"].sections if "layers" in note.meta else ()
        if sections:
            yield parts_of(note.text, sections)


def parts_of(text: str, sections: Iterable[Tuple[int, int, str]]) -> List[Part]:
    """Cut a note into parts.

    text (str): the note. sections (Iterable[Tuple[int, int, str]]): start, end, name, in order.
    RETURNS (List[Part]): its parts.
    """
    parts, last = [], 0
    for start, end, name in sections:
        parts.append(Part(name, *cut_heading(text[start:end]), text[last:end]))
        last = end
    return parts


def marked_parts(path: Union[str, Path]) -> Iterator[List[Part]]:
    """Read notes with marks in them: `[[name]]` stands before each section.

    path (Union[str, Path]): JSONL with `id` and `note`. YIELDS (List[Part]): notes.
    Raises CorpusError naming file and line for another shape, an unknown name, an empty section.
    """
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if line.strip():
            pieces = SECTION_MARK.split(fields_of(path, number, line)[1])
            names, texts = pieces[1::2], pieces[2::2]
            if pieces[0] or not names or not all(t.strip() for t in texts) or set(names) - NAMES:
                raise broken(path, number, "[[name]] before each section", "another shape")
            ends = list(accumulate(map(len, texts)))
            starts = (end - len(text) for end, text in zip(ends, texts))
            whole = "".join(texts)
            stops = (len(whole[:end].rstrip()) for end in ends)
            yield parts_of(whole, zip(starts, stops, names))


def cut_heading(text: str) -> Tuple[str, str]:
    """Cut the heading off a section.

    text (str): a section. RETURNS (Tuple[str, str]): heading, "" without one, and the rest.
    """
    heading = find_heading(text)
    if heading is None:
        return "", text
    rest = text[heading.end :].lstrip(" :\n\t")
    return (text[: heading.end].rstrip(" :"), rest) if rest else ("", text)


def mtsamples_parts(
    path: Union[str, Path], column: str = "transcription", without: Collection[str] = ()
) -> Iterator[List[Part]]:
    """Read MTSamples: sections by their headings, as far as their titles are known.

    path (Union[str, Path]): its CSV file. column (str): the text's.
    without (Collection[str]): SHA-256 of texts that are left out.
    YIELDS (List[Part]): documents with three known headings or more, each text once.
    """
    seen = set(without)
    for row in _rows(path, (column,)):
        text = row[column] or ""
        digest = sha256_of(text)
        if digest in seen:
            continue
        seen.add(digest)
        marks = [(m, *look_up(normalise(m.group(1)))) for m in MTSAMPLES_HEADING.finditer(text)]
        known = [(m, name) for m, name, exact in marks if name and exact]
        if len(known) < FEWEST_HEADINGS:
            continue
        ends = [m.start() for m, _ in known[1:]] + [len(text)]
        parts = [
            Part(name, m.group(1).strip(), _lines(text[m.end() : end]))
            for (m, name), end in zip(known, ends)
        ]
        yield [part for part in parts if part.body]


def _lines(text: str) -> str:
    return LOST_LINE_END.sub("\n", text).strip(" ,\n")


def mts_dialog_parts(path: Union[str, Path], seed: int = 0) -> Iterator[List[Part]]:
    """Read MTS-Dialog: single sections, put together to notes by chance.

    path (Union[str, Path]): a CSV file of it. seed (int): for the order.
    YIELDS (List[Part]): notes of up to eight sections.
    """
    parts = [
        Part(MTS_DIALOG[row["section_header"].strip().upper()], "", row["section_text"].strip())
        for row in _rows(path, ("section_header", "section_text"))
    ]
    rng = random.Random(seed)
    rng.shuffle(parts)
    while parts:
        count = rng.randint(2, LONGEST_PSEUDO_NOTE)
        yield [part for part in parts[:count] if part.body]
        parts = parts[count:]


def aci_bench_parts(path: Union[str, Path]) -> Iterator[List[Part]]:
    """Read the notes of ACI-Bench: their titles stand on lines of their own.

    path (Union[str, Path]): a CSV file of it. YIELDS (List[Part]): notes.
    """
    for row in _rows(path, ("note",)):
        parts: List[Part] = []
        for line in row["note"].splitlines():
            title = line.strip()
            name, exact = look_up(normalise(title)) if title and len(title) < 60 else ("", False)
            if name and exact and (title.isupper() or title.endswith(":")):
                parts.append(Part(name, title.rstrip(":"), ""))
            elif parts:
                parts[-1] = replace(parts[-1], body=f"{parts[-1].body}\n{line}".strip("\n"))
        yield [replace(part, body=part.body.strip()) for part in parts if part.body.strip()]


def _rows(path: Union[str, Path], columns: Iterable[str]) -> Iterator[Mapping[str, str]]:
    if not Path(path).is_file():
        raise broken(path, 0, f"a CSV file with {sorted(columns)}", "no file")
    csv.field_size_limit(2**27)
    with Path(path).open(encoding="utf8", newline="") as file_:
        reader = csv.DictReader(file_)
        if not set(columns) <= set(reader.fieldnames or ()):
            raise broken(path, 1, f"columns {sorted(columns)}", f"{list(reader.fieldnames or ())}")
        yield from reader


READERS: Dict[str, Callable[..., Iterator[List[Part]]]] = {
    "notes": notes_parts,
    "marked": marked_parts,
    "mtsamples": mtsamples_parts,
    "mts_dialog": mts_dialog_parts,
    "aci_bench": aci_bench_parts,
}


def write(
    parts: List[Part], variation: Variation, rng: random.Random
) -> Tuple[str, List[List[Any]]]:
    """Write a note out of parts.

    parts (List[Part]): its sections. variation (Variation): of their headings.
    rng (random.Random): decides.
    RETURNS (Tuple[str, List[List[Any]]]): text, and sections as start, end, name.
    """
    if all(part.written for part in parts) and rng.random() < variation.original:
        return _as_written(parts)
    bare = rng.random() < variation.bare
    text, sections = "", []
    for part in parts:
        if text:
            text += rng.choice(("\n", "\n", "\n\n"))
        start = len(text)
        heading = "" if bare else vary(part, variation, rng)
        text += heading + part.body
        sections.append([start, len(text), part.name])
    return text, sections


def _as_written(parts: List[Part]) -> Tuple[str, List[List[Any]]]:
    text, sections = "", []
    for part in parts:
        before = len(part.written) - len(part.written.lstrip())
        sections.append([len(text) + before, len(text) + len(part.written), part.name])
        text += part.written
    return text, sections


def vary(part: Part, variation: Variation, rng: random.Random) -> str:
    """Write the heading of a part anew.

    part (Part): one without a heading gets one where `variation.title` says so.
    variation (Variation): probabilities. rng (random.Random): decides.
    RETURNS (str): with its colon and the white space behind it; "" without a heading.
    """
    title = part.heading
    if rng.random() < variation.title:
        titles = [t for t, name in load_titles().items() if name in part.name.split("|")]
        title = rng.choice(titles)
        title = rng.choice((title.upper(), title.capitalize(), title.title(), title.upper()))
    if not title:
        return ""
    if rng.random() < variation.small:
        title = title.lower()
    if len(title) > 5 and rng.random() < variation.typo:
        at = rng.randrange(1, len(title) - 1)
        title = title[:at] + rng.choice(("", title[at] * 2)) + title[at + 1 :]
    own_line = rng.random() < variation.line
    colon = "" if rng.random() < variation.plain and (own_line or title.isupper()) else ":"
    return f"{title}{colon}" + ("\n" if own_line else " ")
