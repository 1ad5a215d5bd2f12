"""BioC XML: collections of documents, passages with offsets, annotations, relations."""
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Tuple, Union

from lxml import etree

from .files import CorpusError, broken, replacing
from .pubtator import concept_ids
from .record import AnnotatedNote, Mention, Offsets, Relation, check_note

_ATTRIBUTE, _FLAG = "attribute.", "flag."
_LABEL_KEYS = ("type", "relation")
_CONCEPT_KEYS = ("identifier", "concept", "MESH", "OMIM", "NCBI Gene", "normalized id")


def read_bioc(
    path: Union[str, Path], encoding: str = "utf-8", strict: bool = True
) -> Iterator[AnnotatedNote]:
    """Read a BioC XML file.

    path (Union[str, Path]): the file.
    encoding (str): not used; XML declares its own.
    strict (bool): raise where an annotation's text differs from what stands at its locations;
        otherwise trust the locations and list it in meta["mismatches"].
    YIELDS (AnnotatedNote): a note a document; passages stand at their offsets, line feeds between.
    Raises CorpusError for a broken file, an offset outside its passage or a text that differs.
    """
    root = _root(Path(path))
    for element in root.iter("document"):
        yield _note(path, element, strict)


def _root(path: Path) -> Any:
    if not path.is_file():
        raise broken(path, 0, "a BioC XML file", "none at this path")
    # Entities and DTDs stay closed: a corpus file must not open other files.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(path.read_bytes(), parser)
    except etree.XMLSyntaxError as error:
        root, line = None, error.lineno or 0
    # Raised outside the handler: the parser's message may quote the text.
    if root is None:
        raise broken(path, line, "well-formed XML", "something else")
    if root.tag != "collection":
        raise broken(path, root.sourceline or 1, "a <collection>", "another root element")
    return root


def _note(path: Union[str, Path], document: Any, strict: bool) -> AnnotatedNote:
    name = (document.findtext("id") or "").strip()
    if not name:
        raise broken(path, document.sourceline, "a document with an <id>", "none")
    text = _text(path, document)
    infons = _infons(document)
    items = list(document.iter("annotation"))
    mentions = tuple(_mention(path, text, item) for item in items)
    lost = [item for item in items if not _shown(text, item)]
    if lost and strict:
        raise broken(path, lost[0].sourceline, "the text at its locations", "another text")
    known = {mention.id for mention in mentions}
    relations, kinds = [], set()
    for i, item in enumerate(document.iter("relation"), 1):
        relation, kind = _relation(path, item, i)
        relations.append(relation)
        kinds.add(kind)
    if len(kinds) > 1 or ("mention" in kinds and not _ends(relations) <= known):
        raise broken(path, document.sourceline, "relations between annotations or concepts", "both")
    meta: Dict[str, Any] = {"relations": "concept"} if kinds == {"concept"} else {}
    meta.update({"mismatches": [item.get("id") for item in lost]} if lost else {})
    note = AnnotatedNote(name, text, mentions, tuple(relations), infons.get("group", ""), meta)
    return check_note(note)


def _ends(relations: Iterable[Relation]) -> set:
    return {end for relation in relations for end in (relation.head, relation.tail)}


def _infons(element: Any) -> Dict[str, str]:
    return {item.get("key", ""): item.text or "" for item in element.findall("infon")}


def _number(path: Union[str, Path], element: Any, value: Any) -> int:
    if value is None or not str(value).strip().isdecimal():
        raise broken(path, element.sourceline, "a whole number", "something else")
    return int(value)


def _text(path: Union[str, Path], document: Any) -> str:
    text = ""
    for passage in document.iter("passage"):
        offset = _number(path, passage, passage.findtext("offset"))
        if offset < len(text):
            raise broken(path, passage.sourceline, f"an offset from {len(text)} on", f"{offset}")
        gap = offset - len(text)
        text += "\n" * gap + (passage.findtext("text") or "")
    return text


def _mention(path: Union[str, Path], text: str, item: Any) -> Mention:
    infons = _infons(item)
    if "type" not in infons or item.get("id") is None:
        raise broken(path, item.sourceline, "an annotation with id and infon 'type'", "neither")
    spans: List[Offsets] = []
    for place in item.findall("location"):
        start = _number(path, place, place.get("offset"))
        spans.append((start, start + _number(path, place, place.get("length"))))
    if not spans or not all(0 <= start < end <= len(text) for start, end in spans):
        raise broken(path, item.sourceline, f"locations inside 0-{len(text)}", f"{spans}")
    concepts = [c for key in _CONCEPT_KEYS for c in concept_ids(infons.get(key, ""))]
    return Mention(
        item.get("id"), infons["type"], tuple(sorted(spans)), tuple(concepts), _attributes(infons)
    )


def _shown(text: str, item: Any) -> bool:
    shown = item.findtext("text")
    places = [(int(x.get("offset")), int(x.get("length"))) for x in item.findall("location")]
    cut = "".join(text[start : start + length] for start, length in places)
    return shown is None or "".join(shown.split()) == "".join(cut.split())


def _attributes(infons: Dict[str, str]) -> Dict[str, Union[str, bool]]:
    plain = {k[len(_ATTRIBUTE) :]: v for k, v in infons.items() if k.startswith(_ATTRIBUTE)}
    flags = {k[len(_FLAG) :]: True for k in infons if k.startswith(_FLAG)}
    return {**plain, **flags}


def _relation(path: Union[str, Path], item: Any, index: int) -> Tuple[Relation, str]:
    infons = _infons(item)
    labels = [infons[key] for key in _LABEL_KEYS if key in infons]
    nodes = [node.get("refid") for node in item.findall("node")]
    ends, kind = nodes, "mention"
    if not nodes:
        own = {k: v for k, v in infons.items() if k not in _LABEL_KEYS}
        ends = [v for k, v in own.items() if not k.startswith((_ATTRIBUTE, _FLAG))]
        kind = "concept"
    if not labels or len(ends) != 2:
        raise broken(path, item.sourceline, "a type and two ends", f"{len(ends)} ends")
    name = item.get("id") or f"R{index}"
    return Relation(name, labels[0], ends[0], ends[1], _attributes(infons)), kind


def write_bioc(notes: Iterable[AnnotatedNote], path: Union[str, Path]) -> int:
    """Write notes as one BioC collection, a passage a note.

    notes (Iterable[AnnotatedNote]): notes.
    path (Union[str, Path]): the file.
    RETURNS (int): how many notes were written.
    Raises CorpusError, before anything is written, for text that XML cannot hold.
    """
    root = etree.Element("collection")
    for name in ("source", "date", "key"):
        _leaf(root, name, "")
    count = 0
    for note in notes:
        _check_xml(check_note(note))
        _document(root, note)
        count += 1
    data = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    with replacing(path) as new:
        new.write_bytes(data)
    return count


def _check_xml(note: AnnotatedNote) -> None:
    bad = [i for i, c in enumerate(note.text) if not _holds(c)]
    if bad:
        raise CorpusError(
            f"Note {note.id!r}: XML cannot hold the control character at {bad[0]}; write brat."
        )
    if note.id != note.id.strip() or not note.id:
        raise CorpusError(f"Note {note.id!r}: expected an id without outer space.")
    concepts = [c for mention in note.mentions for c in mention.concepts]
    if any(concept_ids(concept) != (concept,) for concept in concepts):
        raise CorpusError(
            f"Note {note.id!r}: a BioC concept is not -1 and has no '|', ',' or outer space."
        )


def _holds(char: str) -> bool:
    code = ord(char)
    return char in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code > 0xFFFF


def _leaf(parent: Any, tag: str, text: str, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, **attributes)
    element.text = text
    return element


def _document(root: Any, note: AnnotatedNote) -> None:
    document = etree.SubElement(root, "document")
    _leaf(document, "id", note.id)
    _leaf(document, "infon", note.group, key="group")
    passage = etree.SubElement(document, "passage")
    _leaf(passage, "offset", "0")
    _leaf(passage, "text", note.text)
    for mention in note.mentions:
        _annotation(passage, note.text, mention)
    concept = note.meta.get("relations") == "concept"
    for relation in note.relations:
        element = etree.SubElement(document, "relation", id=relation.id)
        _leaf(element, "infon", relation.label, key="type")
        _write_attributes(element, relation.attributes)
        for role, end in (("head", relation.head), ("tail", relation.tail)):
            if concept:
                _leaf(element, "infon", end, key=role)
            else:
                etree.SubElement(element, "node", refid=end, role=role)


def _annotation(passage: Any, text: str, mention: Mention) -> None:
    element = etree.SubElement(passage, "annotation", id=mention.id)
    _leaf(element, "infon", mention.label, key="type")
    if mention.concepts:
        _leaf(element, "infon", "|".join(mention.concepts), key="identifier")
    _write_attributes(element, mention.attributes)
    for start, end in mention.spans:
        etree.SubElement(element, "location", offset=str(start), length=str(end - start))
    _leaf(element, "text", " ".join(text[start:end] for start, end in mention.spans))


def _write_attributes(element: Any, attributes: Any) -> None:
    for key, value in attributes.items():
        prefix, shown = (_FLAG, "1") if value is True else (_ATTRIBUTE, str(value))
        _leaf(element, "infon", shown, key=prefix + key)
