"""Tables of several corpora: ADE .rel files, the PsyTAR workbook, SPL-ADR labels, CSV/TSV."""
import csv
import io
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union

from .files import BOM, broken, lines_of, load_json, read_text
from .record import AnnotatedNote, Mention, Offsets, Relation, check_note
from .rows import CELL_LIMIT, numbered

_ADE_FILES = {"DRUG-AE.rel": "Adverse-Effect", "DRUG-DOSE.rel": "Dose"}
_ADE_RELATIONS = {"Adverse-Effect": "ADVERSE_EFFECT", "Dose": "HAS_DOSAGE"}
_ADE_NEGATIVE = "ADE-NEG.txt"
_PSYTAR_KINDS = ("ADR", "WD", "SSI", "DI")
_PSYTAR_CATS = ("ADR", "WD", "EF", "INF", "SSI", "DI")
_SPL_FIELDS = ("label_id", "section_name", "section_text", "adverse_events")
_CSV_FIELDS = ("id", "text", "start", "end", "label")
# (label of the argument, its text and offset, the drug's text and offset), in document offsets
_Row = Tuple[str, str, int, str, int]


def read_ade(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read the ADE corpus: DRUG-AE.rel, DRUG-DOSE.rel, ADE-NEG.txt.

    path (Union[str, Path]): their folder, or one of the files.
    encoding (str): encoding of the files.
    YIELDS (AnnotatedNote): a note a sentence, each text once; group: PubMed id; cats["ADE"].
        Only what stands in a relation is marked.
    """
    path = Path(path)
    names = [*_ADE_FILES, _ADE_NEGATIVE]
    files = [path / name for name in names if (path / name).is_file()] if path.is_dir() else [path]
    if not files or any(file.name not in names for file in files):
        raise broken(path, 0, f"one of {names}", "none of them")
    rows: Dict[Tuple[str, str], List[_Row]] = {}
    for file in files:
        for number, line in enumerate(lines_of(read_text(file, encoding)), 1):
            if line.strip():
                pmid, sentence, row = _ade_line(file, number, line)
                rows.setdefault((pmid, sentence), []).extend(row)
    yield from _ade_notes(rows)


def _ade_line(path: Path, number: int, line: str) -> Tuple[str, str, List[_Row]]:
    if path.name == _ADE_NEGATIVE:
        pmid, _, rest = line.partition(" ")
        mark, _, sentence = rest.partition(" ")
        if mark != "NEG" or not sentence.strip():
            raise broken(path, number, "PubMed id, NEG, sentence", "another layout")
        return pmid, sentence.strip(), []
    cells = line.split("|")
    numbers = [*cells[-5:-3], *cells[-2:]]
    if len(cells) < 8 or not all(cell.strip().isdecimal() for cell in numbers):
        raise broken(path, number, "8 columns split by |", f"{len(cells)} columns")
    label = _ADE_FILES[path.name]
    row = (label, cells[-6], int(cells[-5]), cells[-3], int(cells[-2]))
    sentence = "|".join(cells[1:-6])
    if cells[-6] not in sentence or cells[-3] not in sentence:
        raise broken(path, number, "a drug and an argument of the sentence", "other strings")
    return cells[0], sentence, [row]


def _ade_notes(rows: Dict[Tuple[str, str], List[_Row]]) -> Iterator[AnnotatedNote]:
    count: Dict[str, int] = {}
    seen: Set[str] = set()
    # Sentences with relations come first, so a repeated text keeps its annotation.
    for (pmid, sentence), found in sorted(rows.items(), key=lambda item: not item[1]):
        if sentence in seen:
            continue
        seen.add(sentence)
        count[pmid] = count.get(pmid, 0) + 1
        yield _ade_note(f"{pmid}-{count[pmid]}", pmid, sentence, found)


def _ade_note(note_id: str, pmid: str, text: str, rows: Sequence[_Row]) -> AnnotatedNote:
    base = _document_offset(text, rows)
    ids: Dict[Tuple[str, int, int], Mention] = {}
    pairs: Dict[Tuple[str, str, str], Relation] = {}
    for label, argument, at, drug, drug_at in rows:
        tail = _place(ids, label, argument, _near(text, argument, at - base))
        head = _place(ids, "Drug", drug, _near(text, drug, drug_at - base))
        name = _ADE_RELATIONS[label]
        pairs.setdefault(
            (name, head.id, tail.id), Relation(f"R{len(pairs) + 1}", name, head.id, tail.id)
        )
    positive = any(relation.label == "ADVERSE_EFFECT" for relation in pairs.values())
    # A sentence with doses only is in neither of the two classes.
    meta = {"cats": {"ADE": float(positive)}} if positive or not rows else {}
    return check_note(
        AnnotatedNote(note_id, text, tuple(ids.values()), tuple(pairs.values()), pmid, meta)
    )


def _place(ids: Dict[Tuple[str, int, int], Mention], label: str, text: str, at: int) -> Mention:
    key = (label, at, at + len(text))
    if key not in ids:
        ids[key] = Mention(f"T{len(ids) + 1}", label, ((at, at + len(text)),))
    return ids[key]


def _document_offset(text: str, rows: Sequence[_Row]) -> int:
    """Where the sentence begins in its abstract: the place that most arguments agree on."""
    votes: Dict[int, int] = {}
    for _, argument, at, drug, drug_at in rows:
        for shown, start in ((argument, at), (drug, drug_at)):
            for found in _occurrences(text, shown):
                votes[start - found] = votes.get(start - found, 0) + 1
    return max(votes, key=lambda base: (votes[base], -base)) if votes else 0


def _near(text: str, shown: str, at: int) -> int:
    return min(_occurrences(text, shown), key=lambda found: (abs(found - at), found))


def _occurrences(text: str, shown: str) -> List[int]:
    return [i for i in range(len(text) - len(shown) + 1) if text.startswith(shown, i)]


def read_psytar(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read the PsyTAR workbook.

    path (Union[str, Path]): the .xlsx file, or a folder with one.
    encoding (str): not used; the workbook knows its own.
    YIELDS (AnnotatedNote): a note a sentence; group: the review; mentions found by their text,
        those not found counted in meta["unmatched"]; meta["drug"]; cats by sentence label.
    """
    import openpyxl

    path = _workbook(Path(path))
    book = openpyxl.load_workbook(path, read_only=True)
    wanted = ["Sentence_Labeling", *(f"{kind}_Identified" for kind in _PSYTAR_KINDS)]
    if lost := sorted(set(wanted) - set(book.sheetnames)):
        raise broken(path, 0, f"sheets {wanted}", f"none named {lost}")
    phrases = _phrases(book)
    count: Dict[str, int] = {}
    for cells in book["Sentence_Labeling"].iter_rows(min_row=2, values_only=True):
        if cells[2] is None or cells[4] is None:
            continue
        key = (str(cells[2]), str(cells[3]))
        name = f"{key[0]}-{key[1]}"
        count[name] = count.get(name, 0) + 1
        note_id = name if count[name] == 1 else f"{name}b{count[name]}"
        yield _review(note_id, key[0], str(cells[4]), cells[5:11], phrases)


def _workbook(path: Path) -> Path:
    books = sorted(path.glob("*.xlsx")) if path.is_dir() else [path]
    if len(books) != 1 or not books[0].is_file():
        raise broken(path, 0, "one .xlsx file", f"{len(books)} of them, or none")
    if books[0].read_bytes()[:2] != b"PK":
        raise broken(books[0], 0, "an .xlsx workbook", "another kind of file")
    return books[0]


def _phrases(book: Any) -> Dict[Tuple[str, str], List[Tuple[str, str]]]:
    """Marked strings by review and sentence text (sentence numbers repeat in places)."""
    found: Dict[Tuple[str, str], List[Tuple[str, str]]] = {}
    for kind in _PSYTAR_KINDS:
        for cells in book[f"{kind}_Identified"].iter_rows(min_row=2, values_only=True):
            texts = [str(cell) for cell in cells[4:] if cell is not None and str(cell).strip()]
            key = (str(cells[1]), str(cells[3]))
            found.setdefault(key, []).extend((kind, text) for text in texts)
    return found


def _review(
    note_id: str, review: str, text: str, flags: Sequence[Any],
    phrases: Dict[Tuple[str, str], List[Tuple[str, str]]],
) -> AnnotatedNote:  # fmt: skip
    mentions: List[Mention] = []
    taken: Dict[str, Set[Offsets]] = {kind: set() for kind in _PSYTAR_KINDS}
    wanted = list(dict.fromkeys(phrases.get((review, text), ())))
    for kind, phrase in wanted:
        if (span := _find(text, phrase, taken[kind])) is not None:
            taken[kind].add(span)
            mentions.append(Mention(f"T{len(mentions) + 1}", kind, (span,)))
    meta: Dict[str, Any] = {
        "drug": review.rpartition(".")[0],
        "cats": {
            name: float(bool(flag)) for name, flag in zip(_PSYTAR_CATS, flags, strict=False)
        },
    }
    if len(mentions) < len(wanted):
        meta["unmatched"] = len(wanted) - len(mentions)
    return check_note(AnnotatedNote(note_id, text, tuple(mentions), (), review, meta))


def _find(text: str, phrase: str, taken: Set[Offsets]) -> Optional[Offsets]:
    """First free place of a phrase at word borders, then anywhere; case and edges do not count."""
    # Characters whose lower case is longer would shift the offsets: leave those alone.
    low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    shown = phrase.strip(" \t\r\n.,;:").lower()
    if not shown:
        return None
    places = [(i, i + len(shown)) for i in _occurrences(low, shown)]
    free = [place for place in places if place not in taken]
    whole = [(a, b) for a, b in free if not (low[a - 1 : a].isalnum() or low[b : b + 1].isalnum())]
    return next(iter(whole or free), None)


def read_spl_adr(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read adverse reactions of drug labels (JSON).

    path (Union[str, Path]): the file, or a folder with one.
    encoding (str): its encoding.
    YIELDS (AnnotatedNote): a note a section; group: the label. A reaction whose offset does not
        hold its text (discontinuous or unknown) is counted in meta["unmatched"].
        MedDRA terms and codes are left out.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise broken(path, 0, "a .json file", "none")
    for file in files:
        sections = load_json(file, encoding)
        if not isinstance(sections, list):
            raise broken(file, 0, "a list of sections", "another layout")
        for number, section in enumerate(sections, 1):
            if not isinstance(section, dict) or not set(_SPL_FIELDS) <= set(section):
                raise broken(file, 0, f"fields {_SPL_FIELDS} in section {number}", "others")
            yield _section(section)


def _section(section: Dict[str, Any]) -> AnnotatedNote:
    text, spans, lost = section["section_text"], [], 0
    for event in section["adverse_events"]:
        shown, start = str(event[0]).lower(), str(event[5])
        at = int(start) if start.isdecimal() else -1
        length = int(event[6]) if str(event[6]).isdecimal() else 0
        if at >= 0 and " ".join(text[at : at + length].lower().split()) == " ".join(shown.split()):
            spans.append((at, at + length))
        else:
            lost += 1
    mentions = tuple(
        Mention(f"T{i}", "AdverseReaction", (span,)) for i, span in enumerate(sorted(set(spans)), 1)
    )
    label = str(section["label_id"])
    meta = {"drug": label, "section": section["section_name"]}
    meta.update({"unmatched": lost} if lost else {})
    note_id = f"{label}-{section['section_name'].replace(' ', '_')}"
    return check_note(AnnotatedNote(note_id, text, mentions, (), label, meta))


def read_csv(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read mentions from CSV or TSV (by suffix): columns id, text, start, end, label.

    path (Union[str, Path]): the file; a row a mention, the text repeated or only in the first
        row of a note; a note without mentions has one row with empty offsets. Optional columns:
        group, concept.
    encoding (str): its encoding.
    YIELDS (AnnotatedNote): notes in order of their first row.
    """
    path = Path(path)
    # A cell may hold a whole note, and line ends of every kind: only csv itself may cut lines.
    csv.field_size_limit(CELL_LIMIT)
    text = io.StringIO(read_text(path, encoding).lstrip(BOM), newline="")
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    rows = numbered(path, csv.reader(text, delimiter=delimiter, strict=True))
    _, header = next(rows, (1, []))
    if not set(_CSV_FIELDS) <= set(header) or len(set(header)) < len(header):
        raise broken(path, 1, f"a header with {list(_CSV_FIELDS)}, each once", "another header")
    notes: Dict[str, List[Tuple[int, Dict[str, str]]]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise broken(path, line, f"{len(header)} cells as in the header", f"{len(cells)}")
        row = dict(zip(header, cells, strict=True))
        notes.setdefault(row["id"], []).append((line, row))
    for note_id, found in notes.items():
        yield _csv_note(path, note_id, found)


def _csv_note(path: Path, note_id: str, rows: List[Tuple[int, Dict[str, str]]]) -> AnnotatedNote:
    texts = {row["text"] for _, row in rows if row["text"]}
    if len(texts) != 1:
        raise broken(path, rows[0][0], "one text per id", f"{len(texts)}")
    mentions: List[Mention] = []
    for number, row in rows:
        if not (row["start"] or row["end"]):
            continue
        if not (row["start"].isdecimal() and row["end"].isdecimal() and row["label"]):
            raise broken(path, number, "whole numbers start, end and a label", "something else")
        concepts = (row["concept"],) if row.get("concept") else ()
        span = (int(row["start"]), int(row["end"]))
        mentions.append(Mention(f"T{len(mentions) + 1}", row["label"], (span,), concepts))
    group = rows[0][1].get("group", "")
    return check_note(AnnotatedNote(note_id, texts.pop(), tuple(mentions), (), group))
