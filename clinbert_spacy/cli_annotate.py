"""What `clinbert annotate` does: notes through a pipeline, a JSON line a note."""

import hashlib
import json
from dataclasses import replace
from typing import Any, Dict, Iterable, Iterator, List, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc, Span

from .attributes import (
    ASSERTION_KEY,
    AXES,
    CONCEPTS_KEY,
    RELATIONS_KEY,
    SECTIONS_KEY,
    SUMMARY_KEY,
    SideEffect,
    deciding_axis,
    relations,
    side_effects,
    side_effects_status,
)
from .cli_notes import Note
from .evaluation.highlight import Entity, entities_of, links_of
from .evaluation.report import ExampleNote
from .interop.document_rows import classes_of, summary_of

MAX_NOTE_LENGTH = 100_000_000
CHUNK_CHARS = 2_000_000
CLEANER = "doc_cleaner"
# JSON allows them inside strings, but str.splitlines and some tools cut there
LINE_ENDS = "\u0085\u2028\u2029"
Outcome = Tuple[Note, Union[Doc, Exception]]


def stream_docs(
    nlp: Language, notes: Iterable[Note], batch_size: int, n_process: int = 1
) -> Iterator[Outcome]:
    """Annotate notes as they come. A note that fails does not take others with it.

    nlp (Language): the pipeline. notes (Iterable[Note]): read as needed.
    batch_size (int): notes a batch. n_process (int): worker processes.
    RETURNS (Iterator[Outcome]): each note with its Doc, or with the error it caused.
    """
    nlp.max_length = max(nlp.max_length, MAX_NOTE_LENGTH)
    # workers start anew for each chunk, so they get more of it
    factor = 8 if n_process == 1 else 64 * n_process
    for chunk in _chunks(notes, factor * batch_size, factor * CHUNK_CHARS // 8):
        yield from _annotate_chunk(nlp, chunk, batch_size, n_process)


def to_record(note: Note, doc: Doc, with_text: bool = False) -> Dict[str, Any]:
    """One line of the output.

    note (Note): the note. doc (Doc): its annotation. with_text (bool): add the whole text.
    RETURNS (Dict[str, Any]): id, sha256 of the text, n_chars, entities (start, end, label, text,
        score, and what was said of them: presence, experiencer, time, drug_status, cue, concepts),
        sections where there are any, relations, side_effects and side_effects_status where
        somebody looked for them, classes and summary (see `interop.document_rows`) where there are
        any, coverage; text on request.
    """
    said = said_of(doc)
    entities = [
        {
            "start": entity.start,
            "end": entity.end,
            "label": entity.label,
            "text": note.text[entity.start : entity.end],
            "score": None if entity.score < 0 else round(entity.score, 4),
            **said.get((entity.start, entity.end), {}),
        }
        for entity in entities_of(doc)
    ]
    record = {
        **name_note(note),
        "entities": entities,
        **_sections(doc),
        **_relations(doc),
        **classes_of(doc),
        **({"summary": summary_of(doc)} if SUMMARY_KEY in doc.spans else {}),
        "coverage": coverage_of(doc),
    }
    return {**record, "text": note.text} if with_text else record


def name_note(note: Note) -> Dict[str, Any]:
    """Say which note a record is about. RETURNS (Dict): id, sha256 of the text, n_chars."""
    digest = hashlib.sha256(note.text.encode("utf8", "surrogatepass")).hexdigest()
    return {"id": note.id, "sha256": digest, "n_chars": len(note.text)}


def said_of(doc: Doc) -> Dict[Tuple[int, int], Dict[str, Any]]:
    """Collect what components said of entities.

    doc (Doc): an annotated note.
    RETURNS (Dict): by the entity's characters: values by axis, `cue` (characters of the words that
        decided), `concepts` (id, name, score); only what there is.
    """
    found: Dict[Tuple[int, int], Dict[str, Any]] = {}
    # columns, not the getters of a span, each of which searches its group
    for span, values, cues in _columns(doc, ASSERTION_KEY, "values", "cues"):
        row: Dict[str, Any] = {axis: values[axis] for axis in AXES if axis in values}
        axis = deciding_axis(values, cues)
        if axis is not None:
            cue = doc[slice(*cues[axis])]
            row["cue"] = [cue.start_char, cue.end_char]
        found[(span.start_char, span.end_char)] = row
    for span, rows in _columns(doc, CONCEPTS_KEY, "concepts"):
        said = found.setdefault((span.start_char, span.end_char), {})
        said["concepts"] = [dict(concept) for concept in rows]
    return found


def _columns(doc: Doc, key: str, *names: str) -> Iterator[Tuple[Any, ...]]:
    """Spans of a group with what its attrs say of each; none where a column is missing."""
    group = doc.spans.get(key)
    if group is not None and all(name in group.attrs for name in names):
        yield from zip(group, *(group.attrs[name] for name in names))


def _sections(doc: Doc) -> Dict[str, Any]:
    if SECTIONS_KEY not in doc.spans:
        return {}
    rows = [
        {"start": s.start_char, "end": s.end_char, "name": s.label_}
        for s in doc.spans[SECTIONS_KEY]
    ]
    return {"sections": rows}


def _relations(doc: Doc) -> Dict[str, Any]:
    if RELATIONS_KEY not in doc.spans:
        return {}
    rows = [
        {"label": x.label, "head": _end(x.head), "tail": _end(x.tail), "score": round(x.score, 4)}
        for x in relations(doc)
    ]
    return {
        "relations": rows,
        "side_effects": [_side_effect(effect) for effect in side_effects(doc)],
        "side_effects_status": side_effects_status(doc),
    }


def _side_effect(effect: SideEffect) -> Dict[str, Any]:
    return {
        "drug": _end(effect.drug),
        "effect": _end(effect.effect),
        "value": _end(effect.value) if effect.value is not None else None,
        "score": round(effect.score, 4),
        "current_reaction": effect.is_current_reaction,
        "assertion": effect.assertion,
        "causality": effect.causality,
        "kind": effect.kind,
        "drug_status": effect.drug_status,
        "evidence": [[sent.start_char, sent.end_char] for sent in effect.evidence],
        "cue": [effect.cue.start_char, effect.cue.end_char] if effect.cue is not None else None,
    }


def _end(span: Span) -> Dict[str, Any]:
    return {
        "start": span.start_char,
        "end": span.end_char,
        "label": span.label_,
        "text": span.text,
    }


def to_line(record: Dict[str, Any]) -> str:
    """A record as one line of JSON, whatever the reader takes for a line end.

    Lone surrogates, which UTF-8 cannot hold, are escaped as well.
    """
    line = json.dumps(record, ensure_ascii=False)
    if not _is_utf8(line):
        line = json.dumps(record)
    for character in LINE_ENDS:
        line = line.replace(character, f"\\u{ord(character):04x}")
    return line + "\n"


def to_example(note: Note, doc: Doc) -> ExampleNote:
    """A note as the HTML report shows it."""
    text = note.text.encode("utf8", "replace").decode("utf8")
    said = said_of(doc)
    entities = [_with_said(x, said.get((x.start, x.end), {})) for x in entities_of(doc)]
    status = side_effects_status(doc) if RELATIONS_KEY in doc.spans else ""
    return ExampleNote(note.id, text, entities, coverage_of(doc), links_of(doc), status)


def _with_said(entity: Entity, row: Dict[str, Any]) -> Entity:
    values = tuple(row[axis] for axis, names in AXES.items() if row.get(axis, names[0]) != names[0])
    first = next((f"{concept['id']} {concept['name']}" for concept in row.get("concepts", ())), "")
    return replace(entity, said=values, concept=first)


def free_activations(nlp: Language) -> None:
    """Have the encoder's output taken off each note behind the last component that reads it.

    It is some 2 kB a word, which worker processes would hand over.

    nlp (Language): the pipeline, changed in place.
    """
    factories = {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names}
    if CLEANER not in factories:
        nlp.add_pipe(CLEANER, name="clinbert_cleaner")


def prepare_embedding(nlp: Language, sentences: bool) -> None:
    """Leave out what vectors do not need, and add sentences where the pipeline sets none.

    nlp (Language): the pipeline, changed in place.
    sentences (bool): whether sentences are needed.
    """
    metas = {name: nlp.get_pipe_meta(name).assigns for name in nlp.pipe_names}
    for name, assigns in metas.items():
        if "doc.ents" in assigns or nlp.get_pipe_meta(name).factory == CLEANER:
            nlp.disable_pipe(name)
    setters = ("doc.sents", "token.is_sent_start")
    if sentences and not any(x in assigns for x in setters for assigns in metas.values()):
        nlp.add_pipe("sentencizer", first=True)


def coverage_of(doc: Doc) -> Dict[str, int]:
    """What the transformer read of a note; empty for pipelines without ours."""
    return (doc._.clinbert_coverage if doc.has_extension("clinbert_coverage") else None) or {}


def _chunks(notes: Iterable[Note], max_notes: int, max_chars: int) -> Iterator[List[Note]]:
    chunk: List[Note] = []
    n_chars = 0
    for note in notes:
        if chunk and (len(chunk) == max_notes or n_chars + len(note.text) > max_chars):
            yield chunk
            chunk, n_chars = [], 0
        chunk.append(note)
        n_chars += len(note.text)
    if chunk:
        yield chunk


def _annotate_chunk(
    nlp: Language, chunk: List[Note], batch_size: int, n_process: int
) -> Iterator[Outcome]:
    waiting = dict(enumerate(chunk))
    pairs = ((note.text, i) for i, note in enumerate(chunk))
    failure: Exception = RuntimeError("a component left the note out")
    try:
        docs = nlp.pipe(pairs, as_tuples=True, batch_size=batch_size, n_process=n_process)
        for doc, i in docs:
            yield waiting.pop(i), doc
    except Exception as error:  # any component may raise anything
        failure = error
    for note in waiting.values():
        if len(chunk) == 1 and n_process == 1:
            yield note, failure
        else:
            yield from _annotate_chunk(nlp, [note], 1, 1)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return False
    return True
