"""PubTator: a title line, an abstract line, a line a mention, a line a relation."""
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple, Union

from .files import CorpusError, broken, lines_of, read_text, write_text
from .record import AnnotatedNote, Mention, Relation, check_note

# Title and abstract are one character apart in the offsets; the format does not say which.
SEPARATOR = "\n"
UNLINKED = "-1"
_TEXT_LINE = re.compile(r"^([^|\t]+)\|([ta])\|(.*)$", re.DOTALL)
# No relation is called so: an offset with a slip of the pen.
_NUMBERLIKE = re.compile(r"\W*\d")
_RELATION_CELLS = 5
Numbered = Tuple[int, str]


def read_pubtator(
    path: Union[str, Path], encoding: str = "utf-8", strict: bool = True
) -> Iterator[AnnotatedNote]:
    """Read a PubTator file.

    path (Union[str, Path]): the file.
    encoding (str): its encoding.
    strict (bool): raise where a mention's text differs from what stands at its offsets;
        otherwise trust the offsets and list it in meta["mismatches"].
    YIELDS (AnnotatedNote): a note a document; relations are between concepts.
    Raises CorpusError for a broken line or an offset that does not fit its mention.
    """
    block: List[Numbered] = []
    for number, line in enumerate(lines_of(read_text(path, encoding)), 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield _note(path, block, strict)
            block = []
    if block:
        yield _note(path, block, strict)


def _note(
    path: Union[str, Path], block: Sequence[Numbered], strict: bool
) -> AnnotatedNote:
    doc_id, text, rest = _text(path, block)
    mentions: List[Mention] = []
    relations: List[Relation] = []
    lost: List[str] = []
    for number, line in rest:
        cells = line.split("\t")
        if cells[0].strip() != doc_id or len(cells) < 4:
            raise broken(
                path, number, f"tab-separated columns that start with {doc_id}",
                f"{len(cells)} columns or another id",
            )
        if _is_mention(path, number, cells):
            mentions.append(_mention(path, number, cells, text, len(mentions) + 1))
            if not _shown(text, mentions[-1], cells[3]):
                if strict:
                    place = f"{mentions[-1].start}-{mentions[-1].end}"
                    raise broken(path, number, f"the text at {place}", "another mention text")
                lost.append(mentions[-1].id)
        else:
            relations.append(_relation(cells, len(relations) + 1))
    meta: Dict[str, Any] = {"relations": "concept"} if relations else {}
    meta.update({"mismatches": lost} if lost else {})
    return check_note(
        AnnotatedNote(doc_id, text, tuple(mentions), tuple(relations), doc_id, meta)
    )


def _is_mention(path: Union[str, Path], number: int, cells: Sequence[str]) -> bool:
    """Tell a mention from a relation, whose concepts may be numbers; refuse what is neither."""
    start, end = cells[1].isdecimal(), cells[2].isdecimal()
    if start and end:
        if len(cells) < 5:
            raise broken(path, number, "at least 5 columns for a mention", f"{len(cells)}")
        return True
    if start or _NUMBERLIKE.match(cells[1]):
        raise broken(path, number, "two whole numbers as offsets", "something else")
    if len(cells) > _RELATION_CELLS:
        found = f"{len(cells)} columns without two offsets"
        raise broken(path, number, f"at most {_RELATION_CELLS} columns for a relation", found)
    return False


def _text(path: Union[str, Path], block: Sequence[Numbered]) -> Tuple[str, str, List[Numbered]]:
    parts: Dict[str, str] = {}
    ids = set()
    rest = list(block)
    while rest and len(parts) < 2 and (match := _TEXT_LINE.match(rest[0][1])):
        ids.add(match.group(1))
        parts[match.group(2)] = match.group(3)
        rest.pop(0)
    if "t" not in parts or len(ids) != 1:
        raise broken(path, block[0][0], "ID|t|title, then ID|a|abstract", "neither, or two ids")
    text = parts["t"] + (SEPARATOR + parts["a"] if "a" in parts else "")
    return ids.pop(), text, rest


def _mention(
    path: Union[str, Path], number: int, cells: Sequence[str], text: str, index: int
) -> Mention:
    start, end = int(cells[1]), int(cells[2])
    if not 0 <= start < end <= len(text):
        raise broken(path, number, f"offsets inside 0-{len(text)}", f"{start}-{end}")
    concepts = concept_ids(cells[5]) if len(cells) > 5 else ()
    names = {"names": cells[6]} if len(cells) > 6 and cells[6] else {}
    return Mention(f"T{index}", cells[4], ((start, end),), concepts, names)


def _shown(text: str, mention: Mention, shown: str) -> bool:
    return text[mention.start : mention.end].split() == shown.split()


def concept_ids(cell: str) -> Tuple[str, ...]:
    """Split a column of identifiers.

    cell (str): identifiers joined by | or , and -1 for none.
    RETURNS (Tuple[str, ...]): the identifiers.
    """
    ids = (part.strip() for part in re.split(r"[|,]", cell))
    return tuple(part for part in ids if part and part != UNLINKED)


def _relation(cells: Sequence[str], index: int) -> Relation:
    extra = {"novel": cells[4]} if len(cells) > 4 and cells[4] else {}
    return Relation(f"R{index}", cells[1], cells[2], cells[3], extra)


def write_pubtator(notes: Iterable[AnnotatedNote], path: Union[str, Path]) -> int:
    """Write notes as PubTator.

    notes (Iterable[AnnotatedNote]): notes; at most one line feed in a text.
    path (Union[str, Path]): the file.
    RETURNS (int): how many notes were written.
    Raises CorpusError, before anything is written, for what the format cannot hold.
    """
    blocks = [_block(check_note(note)) for note in notes]
    write_text(path, "\n\n".join(blocks) + "\n")
    return len(blocks)


def _block(note: AnnotatedNote) -> str:
    _check_text(note)
    title, *abstract = note.text.split(SEPARATOR)
    lines = [f"{note.id}|t|{title}", *(f"{note.id}|a|{part}" for part in abstract)]
    lines.extend(_mention_line(note, mention) for mention in note.mentions)
    lines.extend(_relation_line(note, relation) for relation in note.relations)
    return "\n".join(lines)


def _check_text(note: AnnotatedNote) -> None:
    if note.text.count(SEPARATOR) > 1 or "\r" in note.text or note.text.startswith("\ufeff"):
        raise _unfit(note, "a text of one title line and at most one abstract line")
    if not note.id or note.id != note.id.strip() or re.search(r"[|\t\r\n]", note.id):
        raise _unfit(note, "an id without |, tab, line end or outer space")


def _mention_line(note: AnnotatedNote, mention: Mention) -> str:
    if len(mention.spans) != 1:
        raise _unfit(note, "mentions in one piece", mention.id)
    if set(mention.attributes) - {"names"}:
        raise _unfit(note, "no attributes (use brat or BioC)", mention.id)
    text = note.text[mention.start : mention.end].replace(SEPARATOR, " ")
    names = str(mention.attributes.get("names", ""))
    cells = [note.id, str(mention.start), str(mention.end), text, mention.label]
    if "\t" in text or "\t" in names:
        raise _unfit(note, "no tab inside a mention", mention.id)
    if any(concept_ids(concept) != (concept,) for concept in mention.concepts):
        raise _unfit(note, "concepts other than -1, without | , or outer space", mention.id)
    cells.append("|".join(mention.concepts) or UNLINKED)
    return "\t".join([*cells, names] if names else cells)


def _relation_line(note: AnnotatedNote, relation: Relation) -> str:
    if note.meta.get("relations") != "concept":
        raise _unfit(note, "relations between concepts (use brat or BioC)", relation.id)
    if set(relation.attributes) - {"novel"}:
        raise _unfit(note, "no relation attributes but 'novel'", relation.id)
    novel = [str(relation.attributes["novel"])] if relation.attributes else []
    cells = [relation.label, relation.head, relation.tail, *novel]
    if _NUMBERLIKE.match(relation.label) or any(re.search(r"[\t\r\n]", cell) for cell in cells):
        raise _unfit(note, "relation labels that begin with no digit, and no tabs", relation.id)
    return "\t".join([note.id, *cells])


def _unfit(note: AnnotatedNote, expected: str, item: str = "") -> CorpusError:
    place = f"Note {note.id!r}" + (f", {item!r}" if item else "")
    return CorpusError(f"{place}: PubTator holds {expected}; this one has something else.")
