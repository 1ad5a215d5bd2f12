"""brat standoff: NAME.txt beside NAME.ann with T, R, E, A, M, N, # and * lines."""
import json
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple, Union

from .files import BOM, CorpusError, broken, encode, lines_of, read_text, replacing
from .record import AnnotatedNote, Mention, Offsets, Relation, check_note

_MAX_NAME = 240  # bytes; file systems take 255 with the suffix
# brat shows an error for an A line on a relation (its issue 791), but takes a note on one.
_ON_RELATION = "RelationAttributes"


@dataclass
class _Lines:
    """What the lines of one .ann file say, before it is put together."""

    path: Path
    mentions: Dict[str, Tuple[int, str, Tuple[Offsets, ...], str]] = field(default_factory=dict)
    triggers: Dict[str, str] = field(default_factory=dict)
    relations: List[Tuple[int, str, str, str, str]] = field(default_factory=list)
    attributes: Dict[str, Dict[str, Union[str, bool]]] = field(default_factory=dict)
    concepts: Dict[str, List[str]] = field(default_factory=dict)
    notes: List[List[str]] = field(default_factory=list)
    equivalences: List[List[str]] = field(default_factory=list)

    def mention_id(self, item: str) -> str:
        return self.triggers.get(item, item)


def read_brat(
    path: Union[str, Path], encoding: str = "utf-8", strict: bool = True
) -> Iterator[AnnotatedNote]:
    """Read a brat folder, or one pair of files.

    path (Union[str, Path]): folder with NAME.txt and NAME.ann, or one of the two files. Folders
        in it are not read; a .txt without .ann has not been annotated yet and is left out.
    encoding (str): encoding of the files.
    strict (bool): raise for an .ann without .txt and for a mention that does not fit its offsets;
        otherwise leave it out, such a mention being listed in meta["mismatches"].
    YIELDS (AnnotatedNote): a note a pair, in order of name.
    Raises CorpusError for a broken line or a missing partner file.
    """
    path = Path(path)
    texts = sorted(path.glob("*.txt")) if path.is_dir() else [path.with_suffix(".txt")]
    texts = [text for text in texts if path.is_file() or text.with_suffix(".ann").is_file()]
    if strict and (lost := _without_text(path)):
        raise broken(lost[0], 0, f"{lost[0].stem}.txt beside it", "no such file")
    if not texts:
        raise broken(path, 0, "a folder of NAME.txt beside NAME.ann", "no such pair")
    for text in texts:
        yield _read_pair(text, encoding, strict)


def _without_text(path: Path) -> List[Path]:
    return [ann for ann in sorted(path.glob("*.ann")) if not ann.with_suffix(".txt").is_file()]


def _read_pair(path: Path, encoding: str, strict: bool) -> AnnotatedNote:
    ann = path.with_suffix(".ann")
    if not ann.is_file():
        raise broken(ann, 0, f"the annotations of {path.name}", "no such file")
    raw = _content(path, encoding)
    parsed = _parse(ann, lines_of(_content(ann, encoding)))
    text = _fitting(raw, parsed)
    return _assemble(path.stem, text, parsed, strict)


def _content(path: Path, encoding: str) -> str:
    """An empty .ann says that nothing was marked, an empty .txt that the note has no text."""
    empty = path.is_file() and not path.stat().st_size
    return "" if empty else read_text(path, encoding)


def _parse(path: Path, lines: Sequence[str]) -> _Lines:
    parsed = _Lines(path)
    for number, line in enumerate(lines, 1):
        if line.strip():
            _parse_line(parsed, number, line)
    return parsed


def _parse_line(parsed: _Lines, number: int, line: str) -> None:
    name, tab, rest = line.partition("\t")
    body, _, tail = rest.partition("\t")
    words = body.split()
    if not tab or not words:
        raise broken(parsed.path, number, "ID, tab, content", "another layout")
    kind = name[:1]
    if kind == "T":
        _parse_mention(parsed, number, name, body, tail)
    elif kind == "E":
        _parse_event(parsed, number, name, words)
    elif kind == "R":
        _parse_relation(parsed, number, name, words)
    elif kind in "AM":
        _parse_attribute(parsed, number, words)
    elif kind == "N":
        _parse_concept(parsed, number, words)
    elif kind == "#" and words[0] == _ON_RELATION:
        _parse_relation_attributes(parsed, number, words, tail)
    elif kind == "#":
        parsed.notes.append([words[0], words[1] if len(words) > 1 else "", tail])
    elif kind == "*":
        parsed.equivalences.append(words)
    else:
        raise broken(parsed.path, number, "an id with T, R, E, A, M, N, # or *", "another letter")


def _parse_mention(parsed: _Lines, number: int, name: str, body: str, tail: str) -> None:
    label, _, offsets = body.strip().partition(" ")
    pieces = [piece.split() for piece in offsets.split(";")]
    if not all(len(piece) == 2 and "".join(piece).isdecimal() for piece in pieces):
        raise broken(parsed.path, number, "label, start and end[;start end]", "another layout")
    if name in parsed.mentions:
        raise broken(parsed.path, number, "a new id", f"{name} for the second time")
    spans = tuple((int(start), int(end)) for start, end in pieces)
    parsed.mentions[name] = (number, label, spans, tail)


def _parse_event(parsed: _Lines, number: int, name: str, words: Sequence[str]) -> None:
    pairs = [word.partition(":") for word in words]
    if not all(target for _, _, target in pairs):
        raise broken(parsed.path, number, "LABEL:TRIGGER and ROLE:ID ...", "a word without colon")
    parsed.triggers[name] = pairs[0][2]
    for i, (role, _, target) in enumerate(pairs[1:], 1):
        parsed.relations.append((number, f"{name}.{i}", role, name, target))


def _parse_relation(parsed: _Lines, number: int, name: str, words: Sequence[str]) -> None:
    if len(words) != 3 or not all(":" in word for word in words[1:]):
        raise broken(parsed.path, number, "LABEL Arg1:ID Arg2:ID", f"{len(words)} words")
    head, tail = (word.partition(":")[2] for word in words[1:])
    parsed.relations.append((number, name, words[0], head, tail))


def _parse_attribute(parsed: _Lines, number: int, words: Sequence[str]) -> None:
    if len(words) < 2:
        raise broken(parsed.path, number, "NAME ID [VALUE]", f"{len(words)} word")
    value = " ".join(words[2:]) or True
    parsed.attributes.setdefault(words[1], {})[words[0]] = value


def _parse_relation_attributes(
    parsed: _Lines, number: int, words: Sequence[str], tail: str
) -> None:
    try:
        found = json.loads(tail)
    except ValueError:
        found = None
    if len(words) != 2 or not isinstance(found, dict):
        layout = f'{_ON_RELATION} ID, tab, {{"NAME": VALUE}}'
        raise broken(parsed.path, number, layout, "another layout")
    parsed.attributes.setdefault(words[1], {}).update(found)


def _parse_concept(parsed: _Lines, number: int, words: Sequence[str]) -> None:
    if len(words) != 3:
        raise broken(parsed.path, number, "Reference ID RESOURCE:IDENTIFIER", f"{len(words)} words")
    parsed.concepts.setdefault(words[1], []).append(words[2])


def _fitting(raw: str, parsed: _Lines) -> str:
    """Tools count a byte order mark and CR LF differently: take the reading that fits best."""
    plain = raw.lstrip(BOM)
    readings = list(dict.fromkeys([plain, plain.replace("\r\n", "\n"), raw]))
    return min(readings, key=lambda text: sum(
        not _matches(text, spans, shown) for _, _, spans, shown in parsed.mentions.values()
    ))


def _matches(text: str, spans: Sequence[Offsets], shown: str) -> bool:
    if max(end for _, end in spans) > len(text) or any(start >= end for start, end in spans):
        return False
    cut = " ".join(text[start:end] for start, end in spans)
    return "".join(cut.split()) == "".join(shown.split())


def _assemble(name: str, text: str, parsed: _Lines, strict: bool) -> AnnotatedNote:
    mentions, lost = _mentions(text, parsed, strict)
    known = {mention.id for mention in mentions}
    relations = []
    for number, rel_id, label, head, tail in parsed.relations:
        head, tail = parsed.mention_id(head), parsed.mention_id(tail)
        if {head, tail} <= known:
            attributes = parsed.attributes.get(rel_id, {})
            relations.append(Relation(rel_id, label, head, tail, attributes))
        elif strict and not {head, tail} <= known | set(lost):
            raise broken(parsed.path, number, "ids of this file", f"{head} and {tail}")
    meta: Dict[str, Any] = {"mismatches": lost} if lost else {}
    meta.update({"notes": parsed.notes} if parsed.notes else {})
    meta.update({"equivalences": parsed.equivalences} if parsed.equivalences else {})
    return check_note(AnnotatedNote(name, text, mentions, tuple(relations), meta=meta))


def _mentions(text: str, parsed: _Lines, strict: bool) -> Tuple[Tuple[Mention, ...], List[str]]:
    for event, trigger in parsed.triggers.items():
        parsed.attributes.setdefault(trigger, {}).update(parsed.attributes.get(event, {}))
        parsed.concepts.setdefault(trigger, []).extend(parsed.concepts.get(event, []))
    mentions, lost = [], []
    for name, (number, label, spans, shown) in parsed.mentions.items():
        if _matches(text, spans, shown):
            concepts = tuple(parsed.concepts.get(name, ()))
            attributes = parsed.attributes.get(name, {})
            mentions.append(Mention(name, label, tuple(sorted(spans)), concepts, attributes))
        elif strict:
            found = f"other text at {spans[0][0]}-{spans[-1][1]}"
            raise broken(parsed.path, number, "offsets of the text shown", found)
        else:
            lost.append(name)
    return tuple(mentions), lost


def write_brat(notes: Iterable[AnnotatedNote], folder: Union[str, Path]) -> int:
    """Write notes as pairs of brat files.

    notes (Iterable[AnnotatedNote]): notes; their ids become file names.
    folder (Union[str, Path]): made where it is missing.
    RETURNS (int): how many notes were written.
    Raises CorpusError, before anything is written, for a note that brat cannot hold and for ids
        that come to one file; where a file cannot be written, with its pair as it was.
    """
    notes, folder = list(notes), Path(folder)
    if folder.exists() and not folder.is_dir():
        raise CorpusError(f"Cannot write {folder}: expected a folder, found a file.")
    _check_names(notes)
    pairs = [(note, "".join(f"{line}\n" for line in _ann_lines(note))) for note in notes]
    folder.mkdir(parents=True, exist_ok=True)
    for note, lines in pairs:
        text, ann = folder / f"{note.id}.txt", folder / f"{note.id}.ann"
        # Both are written before either is put in place: old offsets never stand by a new text.
        with replacing(text) as new_text, replacing(ann) as new_ann:
            new_text.write_bytes(encode(note.text, text))
            new_ann.write_bytes(encode(lines, ann))
    return len(notes)


def _check_names(notes: Iterable[AnnotatedNote]) -> None:
    seen: Dict[str, str] = {}
    for note in notes:
        if not _is_name(note.id):
            raise CorpusError(f"Note {note.id!r}: expected an id that can name a file.")
        # Some systems tell neither case nor composed characters apart.
        name = unicodedata.normalize("NFC", note.id).casefold()
        if name in seen:
            raise CorpusError(
                f"Notes {seen[name]!r} and {note.id!r}: expected ids that name two files, found "
                "one name; give them other ids."
            )
        seen[name] = note.id


def _is_name(note_id: str) -> bool:
    if note_id in ("", ".", "..") or set(note_id) & set("/\\"):
        return False
    printable = all(unicodedata.category(c) not in ("Cc", "Cs") for c in note_id)
    return printable and len(note_id.encode("utf-8", "surrogatepass")) <= _MAX_NAME


def _ann_lines(note: AnnotatedNote) -> List[str]:
    _check_writable(check_note(note))
    names = {m.id: f"T{i}" for i, m in enumerate(note.mentions, 1)}
    names.update({r.id: f"R{i}" for i, r in enumerate(note.relations, 1)})
    lines = [_mention_line(note.text, m, names[m.id]) for m in note.mentions]
    lines += [
        f"{names[r.id]}\t{r.label} Arg1:{names[r.head]} Arg2:{names[r.tail]}"
        for r in note.relations
    ]
    lines += _attribute_lines(note.mentions, names)
    linked = [(names[m.id], concept) for m in note.mentions for concept in m.concepts]
    lines += [f"N{i}\tReference {m} {concept}\t" for i, (m, concept) in enumerate(linked, 1)]
    for kind, *targets in note.meta.get("equivalences", ()):
        lines.append(f"*\t{' '.join([kind, *(names.get(t, t) for t in targets)])}")
    remarks = [
        [kind, names.get(target, target), text] for kind, target, text in note.meta.get("notes", ())
    ]
    remarks += [
        [_ON_RELATION, names[r.id], json.dumps(dict(r.attributes), ensure_ascii=False)]
        for r in note.relations
        if r.attributes
    ]
    lines += [f"#{i}\t{kind} {name}\t{text}" for i, (kind, name, text) in enumerate(remarks, 1)]
    if any("\n" in line or line.endswith("\r") for line in lines):
        raise CorpusError(f"Note {note.id!r}: a brat annotation is one line; this one has more.")
    return lines


def _mention_line(text: str, mention: Mention, name: str) -> str:
    offsets = ";".join(f"{start} {end}" for start, end in mention.spans)
    shown = " ".join(" ".join(text[start:end].split()) for start, end in mention.spans)
    return f"{name}\t{mention.label} {offsets}\t{shown}"


def _attribute_lines(mentions: Iterable[Mention], names: Dict[str, str]) -> List[str]:
    triples = [(names[m.id], key, value) for m in mentions for key, value in m.attributes.items()]
    return [
        f"A{i}\t{key} {name}" + ("" if value is True else f" {value}")
        for i, (name, key, value) in enumerate(triples, 1)
    ]


def _check_writable(note: AnnotatedNote) -> None:
    if note.meta.get("relations") == "concept" and note.relations:
        raise CorpusError(
            f"Note {note.id!r}: brat holds relations between mentions, found relations between "
            "concepts; write PubTator or BioC."
        )
    words = [item.label for item in (*note.mentions, *note.relations)]
    words += [key for item in (*note.mentions, *note.relations) for key in item.attributes]
    words += [concept for mention in note.mentions for concept in mention.concepts]
    bad = [word for word in words if not word or word.split() != [word]]
    if bad:
        raise CorpusError(
            f"Note {note.id!r}: brat labels, attribute names and concepts are single words; "
            f"{len(bad)} are not."
        )
    values = [v for item in (*note.mentions, *note.relations) for v in item.attributes.values()]
    if any(value is not True and not _holds(value) for value in values):
        raise CorpusError(
            f"Note {note.id!r}: a brat attribute value is True, or words with one space between; "
            "this note has something else; write BioC."
        )


def _holds(value: Union[str, bool]) -> bool:
    return isinstance(value, str) and value != "" and value == " ".join(value.split())
