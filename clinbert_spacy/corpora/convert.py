"""One corpus into one format, with an account of every label."""
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import spacy
from spacy.tokens import Doc

from .bioc import read_bioc, write_bioc
from .brat import read_brat, write_brat
from .docbin import read_docbin, write_docs
from .files import CorpusError
from .harmonise import to_product
from .pubtator import read_pubtator, write_pubtator
from .readers import LENIENT, read_corpus
from .record import AnnotatedNote, LabelScheme, contiguous, scheme_of, to_doc
from .schema import SCHEMAS, get_schema
from .tables import read_csv

Report = Dict[str, Any]
READERS: Dict[str, Callable[..., Iterator[AnnotatedNote]]] = {
    "pubtator": read_pubtator,
    "brat": read_brat,
    "bioc": read_bioc,
    "csv": read_csv,
    "docbin": read_docbin,
}
WRITERS: Dict[str, Callable[[Iterable[AnnotatedNote], Path], int]] = {
    "pubtator": write_pubtator,
    "brat": write_brat,
    "bioc": write_bioc,
}
_SUFFIXES = {".spacy": "docbin", ".xml": "bioc", ".pubtator": "pubtator", "": "brat"}
TARGETS = ("docbin", *WRITERS)


def clinical_make_doc() -> Callable[[str], Doc]:
    """Build the project's own tokenizer by its registered name.

    RETURNS (Callable[[str], Doc]): text to tokens.
    """
    tokenizer = {"@tokenizers": "clinbert.ClinicalTokenizer.v1"}
    return spacy.blank("en", config={"nlp": {"tokenizer": tokenizer}}).make_doc


def convert(
    source: Union[str, Path],
    corpus: str,
    out: Optional[Union[str, Path]] = None,
    to: str = "",
    scheme: str = "product",
    parts: Optional[Sequence[str]] = None,
    encoding: str = "utf-8",
    make_doc: Optional[Callable[[str], Doc]] = None,
) -> Report:
    """Read a corpus, write it, and say per label what was read, mapped, skipped and why.

    source (Union[str, Path]): file or folder.
    corpus (str): a name of schema.py, or a format of READERS for any other corpus (labels are
        then taken as they are).
    out (Optional[Union[str, Path]]): where to write; None: report only.
    to (str): one of TARGETS; by default told by the suffix of `out`, a folder being brat.
    scheme (str): "product" or "own".
    parts (Optional[Sequence[str]]): official parts of a known corpus.
    encoding (str): of the source.
    make_doc (Optional[Callable[[str], Doc]]): tokenizer; by default the project's.
    RETURNS (Report): "corpus", "scheme", "notes", "relations", "mentions", "unexpressible",
        "mismatches", "unmatched", "written" and "labels": rows of "label", "read", "mapped",
        "skipped", "reason", "unexpressible", "discontinuous".
    """
    target = _target(out, to)
    notes = list(_notes(source, corpus, parts, encoding))
    own = {(note.id, m.id): m.label for note in notes for m in note.mentions}
    table = _scheme(notes, corpus, scheme)
    if scheme == "product" and corpus in SCHEMAS:
        notes = [to_product(note) for note in notes]
    make_doc = make_doc or clinical_make_doc()
    docs = [to_doc(note, make_doc, table) for note in notes]
    report = {
        "corpus": corpus,
        "scheme": scheme,
        "notes": len(notes),
        "mentions": sum(len(note.mentions) for note in notes),
        "relations": sum(len(note.relations) for note in notes),
        "mismatches": sum(len(note.meta.get("mismatches", ())) for note in notes),
        "unmatched": sum(note.meta.get("unmatched", 0) for note in notes),
        "labels": _rows(notes, docs, table, own, _reasons(corpus)),
        "covered": list(table.covered),
    }
    report["unexpressible"] = sum(row["unexpressible"] for row in report["labels"])
    report["written"] = _write(notes, docs, table, out, target) if out else 0
    return report


def _target(out: Optional[Union[str, Path]], to: str) -> str:
    target = to or _SUFFIXES.get(Path(out).suffix if out else "", "")
    if target not in TARGETS:
        raise CorpusError(f"Unknown output format {target!r}: expected one of {list(TARGETS)}.")
    return target


def _notes(
    source: Union[str, Path], corpus: str, parts: Optional[Sequence[str]], encoding: str
) -> Iterator[AnnotatedNote]:
    if corpus in SCHEMAS:
        return read_corpus(corpus, source, parts, encoding)
    if corpus not in READERS:
        raise CorpusError(
            f"Unknown corpus {corpus!r}: expected one of {sorted(SCHEMAS)} or a format "
            f"{sorted(READERS)}."
        )
    if parts:
        raise CorpusError(f"The format {corpus!r} has no official parts, found {list(parts)}.")
    extra = {"strict": False} if corpus in LENIENT else {}
    return READERS[corpus](source, encoding=encoding, **extra)


def _scheme(notes: List[AnnotatedNote], corpus: str, scheme: str) -> LabelScheme:
    return get_schema(corpus).scheme(scheme) if corpus in SCHEMAS else scheme_of(notes)


def _reasons(corpus: str) -> Dict[str, str]:
    rules = SCHEMAS[corpus].rules if corpus in SCHEMAS else {}
    return {label: rule.reason for label, rule in rules.items()}


def _rows(
    notes: List[AnnotatedNote],
    docs: List[Doc],
    table: LabelScheme,
    own: Mapping[Tuple[str, str], str],
    reasons: Dict[str, str],
) -> List[Dict[str, Any]]:
    """Count mentions by their own label and the label they were resolved to, if any."""
    read, lost, pieces = Counter(), Counter(), Counter()
    for note, doc in zip(notes, docs, strict=True):
        for mention in note.mentions:
            key = (own.get((note.id, mention.id), mention.label), mention.label)
            read[key] += 1
            whole = contiguous(note.text, mention)
            pieces[key] += not whole
            fits = whole and doc.char_span(mention.start, mention.end) is not None
            lost[key] += not fits
    return [
        {**_row(key[1], count, table, reasons, lost[key], pieces[key]), "label": key[0]}
        for key, count in read.most_common()
    ]


def _row(
    label: str, count: int, table: LabelScheme, reasons: Dict[str, str], lost: int, pieces: int
) -> Dict[str, Any]:
    mapped = list(table.targets(label) or ())
    unknown = " (its text stays unknown)" if label in table.unknown else ""
    return {
        "label": label,
        "read": count,
        "mapped": mapped,
        "skipped": 0 if mapped else count,
        "reason": reasons.get(label, "" if mapped else "what no pattern resolved") + unknown,
        "unexpressible": lost if mapped else 0,
        "discontinuous": pieces,
    }


def _write(
    notes: List[AnnotatedNote], docs: List[Doc], table: LabelScheme,
    out: Union[str, Path], target: str,
) -> int:  # fmt: skip
    if target == "docbin":
        return write_docs(docs, out)
    return WRITERS[target]((_relabelled(note, table) for note in notes), Path(out))


def _relabelled(note: AnnotatedNote, table: LabelScheme) -> AnnotatedNote:
    """The note with task labels; mentions that the task does not take are left out."""
    kept = [
        replace(mention, label="|".join(labels))
        for mention in note.mentions
        if (labels := table.allowed(note.id, mention))
    ]
    ids = {mention.id for mention in kept}
    concept = note.meta.get("relations") == "concept"
    relations = [r for r in note.relations if concept or {r.head, r.tail} <= ids]
    return replace(note, mentions=tuple(kept), relations=tuple(relations))
