"""Texts with a summary made of them: our notes, answers of MEDIQA 2021, radiology reports.

Dialogues with a note (MTS-Dialog, ACI-Bench) are not read. Their notes retell in the third person
what two people said in the first, and one fact is a question with its one-word answer ("Any fever?"
"No."): sentences taken over as they stand are not a summary to be read, and a summariser of notes
is not made for them. The words that a greedy oracle shares with such a note do not change that.
"""
import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from .checks import is_present_reaction
from .files import CorpusError, broken, lines_of, load_json, read_text
from .layers import LAYERS_FILE, NoteLayers
from .layers import read_notes as read_layered_notes
from .record import AnnotatedNote, Mention

Span = Tuple[int, int]
# Drugs of which a summary must speak, by their status in our notes.
TOLD_STATUS = ("started", "changed", "stopped", "held", "allergy")
ANSWERS = ("QuestionID", "AnswerID", "Answer")
REPORT = ("study_id", "findings", "impression")
# Workbooks of the strict kind of ISO/IEC 29500 have other names for the same things, under which
# openpyxl finds no sheet.
STRICT = {
    b"http://purl.oclc.org/ooxml/officeDocument/relationships":
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    b"http://purl.oclc.org/ooxml/spreadsheetml/main":
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main",
}  # fmt: skip
# What zipfile and openpyxl raise for files of another kind, cut short or under a password.
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, KeyError, IndexError, ValueError, SyntaxError, RuntimeError,
    EOFError,
)  # fmt: skip


@dataclass(frozen=True)
class Summarised:
    """A text and its summary. Offsets count characters of `text`.

    id (str): unique in its corpus.
    text (str): what is summarised.
    sentences (Tuple[Span, ...]): start and end of each; empty before `add_sentences`.
    reference (str): the summary that people chose or wrote.
    chosen (Optional[Tuple[int, ...]]): indices of the sentences that people chose, in order.
    facts (Tuple[Tuple[Span, ...], ...]): what a summary must name: for each the places that do.
    """

    id: str
    text: str
    sentences: Tuple[Span, ...]
    reference: str
    chosen: Optional[Tuple[int, ...]] = None
    facts: Tuple[Tuple[Span, ...], ...] = ()


def read_summaries(
    corpus: str, path: Union[str, Path], encoding: str = "utf-8"
) -> Iterator[Summarised]:
    """Read a corpus by its name.

    corpus (str): one of READERS. path (Union[str, Path]): file or folder. encoding (str): its.
    RETURNS (Iterator[Summarised]): its texts.
    Raises CorpusError for another name, or a file that is not what it should be.
    """
    if corpus not in READERS:
        raise CorpusError(f"Unknown corpus {corpus!r}: expected one of {sorted(READERS)}.")
    return READERS[corpus](path, encoding)


def add_sentences(
    items: Iterable[Summarised], split: Callable[[str], Iterable[Span]]
) -> Iterator[Summarised]:
    """Give sentences to the texts that came without.

    items (Iterable[Summarised]): texts; those with sentences are passed on as they are.
    split (Callable[[str], Iterable[Span]]): finds start and end of the sentences of a text.
    YIELDS (Summarised): the texts; white space at the ends of sentences is left out.
    """
    for item in items:
        if item.sentences or item.chosen is not None:
            yield item
        else:
            found = (_trimmed(item.text, start, end) for start, end in split(item.text))
            yield replace(item, sentences=tuple(span for span in found if span[0] < span[1]))


def _trimmed(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def read_notes(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Summarised]:
    """Read annotated notes; the reference is the sentences of their summary layer.

    path (Union[str, Path]): brat folder with notes.jsonl; notes without layers are left out.
    encoding (str): encoding of the files.
    YIELDS (Summarised): notes with sentences, choice and facts.
    Raises CorpusError for a broken file, offsets that do not fit, or no note with layers.
    """
    empty = True
    for note in read_layered_notes(path, encoding):
        layers = note.meta.get("layers")
        if layers is not None:
            empty = False
            yield _summarised_note(Path(path) / LAYERS_FILE, note, layers)
    if empty:
        raise broken(Path(path) / LAYERS_FILE, 0, "notes with layers", "none")


def _summarised_note(file: Path, note: AnnotatedNote, layers: NoteLayers) -> Summarised:
    if not all(0 <= start < end <= len(note.text) for start, end in layers.sentences):
        raise broken(file, 0, f"sentences inside the text of {note.id!r}", "others")
    chosen = tuple(sorted(set(layers.summary)))
    if not all(0 <= i < len(layers.sentences) for i in chosen):
        raise broken(file, 0, f"a summary of sentences that {note.id!r} has", "other numbers")
    reference = "\n".join(note.text[slice(*layers.sentences[i])] for i in chosen)
    return Summarised(note.id, note.text, layers.sentences, reference, chosen, find_facts(note))


def find_facts(note: AnnotatedNote) -> Tuple[Tuple[Span, ...], ...]:
    """List what a summary must name: changed drugs, allergies, and reactions that are there.

    note (AnnotatedNote): a note with our attributes.
    RETURNS (Tuple[Tuple[Span, ...], ...]): for each, start and end of every mention of it.
    """
    by_id = {mention.id: mention for mention in note.mentions}
    reactions = {
        link.tail
        for link in note.relations
        if link.label == "ADVERSE_EFFECT" and is_present_reaction(link, by_id[link.tail])
    }
    facts: Dict[Tuple[str, str], List[Span]] = {}
    for mention in note.mentions:
        if mention.id in reactions or _is_told(mention):
            words = " ".join(note.text[mention.start : mention.end].lower().split())
            facts.setdefault((mention.label, words), []).append((mention.start, mention.end))
    return tuple(map(tuple, facts.values()))


def _is_told(mention: Mention) -> bool:
    return mention.label == "DRUG" and mention.attributes.get("Status") in TOLD_STATUS


def read_mediqa_mas(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Summarised]:
    """Read MEDIQA 2021 task 2: several answers to a question, and an extractive summary of them.

    Only to be scored on, never to train weights that ship (see schema.NEVER_SHIPS).

    path (Union[str, Path]): folder with one *Answers.xlsx and one *ExtractiveSummaries.txt.
    encoding (str): encoding of the text file.
    YIELDS (Summarised): a question each; its answers, a blank line between them, are the text.
    Raises CorpusError for a missing or broken file, or a question in one of the two alone.
    """
    book, listed = (_only(Path(path), x) for x in ("*Answers.xlsx", "*ExtractiveSummaries.txt"))
    answers, references = _read_answers(book), _read_references(listed, encoding)
    if alone := sorted(set(answers) ^ set(references)):
        raise broken(listed, 0, f"the questions of {book.name}", f"others: {alone[:5]}")
    for question, texts in answers.items():
        yield Summarised(question, "\n\n".join(texts), (), references[question])


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise broken(folder, 0, f"one file {pattern}", str(len(found)))
    return found[0]


def _read_references(path: Path, encoding: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for number, line in enumerate(lines_of(read_text(path, encoding)), 1):
        question, _, summary = (part.strip() for part in line.partition("||"))
        if not line.strip():
            continue
        if not (question and summary):
            raise broken(path, number, "number of a question || summary", "another line")
        if question in found:
            raise broken(path, number, "a line a question", "one for the second time")
        found[question] = summary
    return found


def _read_answers(path: Path) -> Dict[str, List[str]]:
    rows = _rows_of(path)
    if not rows or rows[0][: len(ANSWERS)] != ANSWERS:
        raise broken(path, 1, f"columns {', '.join(ANSWERS)}", "others")
    found: Dict[str, List[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        if any(cell is not None for cell in row):
            # rows end where their last cell does
            question, _, answer = (*row, None, None, None)[: len(ANSWERS)]
            if question is None or not isinstance(answer, str):
                raise broken(path, number, "a question and a text as its answer", "another row")
            found.setdefault(str(question).strip(), []).append(answer)
    return found


def _rows_of(path: Path) -> List[Tuple[Any, ...]]:
    if find_spec("openpyxl") is None:
        raise CorpusError(f"{path} needs openpyxl to be read: pip install openpyxl.")
    import openpyxl

    try:
        book = openpyxl.load_workbook(_transitional(path), read_only=True)
        return [tuple(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    except UNREADABLE:
        pass
    # Raised outside the handler: errors of parsers may carry the text.
    raise broken(path, 0, "an .xlsx workbook with a sheet", "another kind of file")


def _transitional(path: Path) -> io.BytesIO:
    """A workbook under the names of the transitional kind, in memory."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            for strict, usual in STRICT.items() if name.endswith((".xml", ".rels")) else ():
                content = content.replace(strict, usual)
            new.writestr(name, content)
    return copy


def read_radiology(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[Summarised]:
    """Read MEDIQA 2021 task 3: findings of a radiology report and the impression drawn from them.

    Only to be scored on, never to train weights that ship (see schema.NEVER_SHIPS).

    path (Union[str, Path]): JSON file, or folder with one. encoding (str): its encoding.
    YIELDS (Summarised): reports whose findings read otherwise than those before, case and white
        space apart; those without findings or impression are left out.
    Raises CorpusError for a missing or broken file.
    """
    file = _only(Path(path), "*.json") if Path(path).is_dir() else Path(path)
    reports = load_json(file, encoding)
    if not isinstance(reports, list):
        raise broken(file, 0, "a list of reports", "something else")
    seen = {""}
    for number, report in enumerate(reports, 1):
        if not _is_report(report):
            expected = f"{', '.join(REPORT)} as strings in report {number}"
            raise broken(file, 0, expected, "another shape")
        words = " ".join(report["findings"].lower().split())
        if words not in seen and report["impression"].strip():
            yield Summarised(report["study_id"], report["findings"], (), report["impression"])
        seen.add(words)


def _is_report(report: Any) -> bool:
    return isinstance(report, Mapping) and all(isinstance(report.get(x), str) for x in REPORT)


READERS: Dict[str, Callable[[Union[str, Path], str], Iterator[Summarised]]] = {
    "notes": read_notes,
    "mediqa_mas": read_mediqa_mas,
    "radiology": read_radiology,
}
