"""Long notes cut into shorter ones, at a blank line or the end of a sentence, gold kept."""
from dataclasses import replace
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from spacy.tokens import Doc

from .record import AnnotatedNote, Mention, Relation, with_meta

_SENTENCE_END = {".", "!", "?", ";"}


def split_note(
    note: AnnotatedNote, make_doc: Callable[[str], Doc], max_length: int
) -> Iterator[AnnotatedNote]:
    """Cut a note into pieces of at most max_length tokens.

    note (AnnotatedNote): a note.
    make_doc (Callable[[str], Doc]): the tokenizer.
    max_length (int): tokens; 0: never cut. A longer mention makes a longer piece.
    YIELDS (AnnotatedNote): pieces NAME#1, NAME#2, ...; their group stays that of the note.
        Relations between pieces are left out and counted in meta["relations_lost"].
    """
    doc = make_doc(note.text)
    if max_length <= 0 or len(doc) <= max_length:
        yield note
        return
    cuts = [0, *_cuts(doc, _inside(note), max_length), len(note.text)]
    for number, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False), 1):
        if note.text[start:end].strip():
            yield _piece(note, number, start, end)


def _inside(note: AnnotatedNote) -> List[bool]:
    """For each character: a cut before it would go through a mention."""
    blocked = [False] * (len(note.text) + 1)
    for mention in note.mentions:
        for i in range(mention.start + 1, mention.end):
            blocked[i] = True
    return blocked


def _cuts(doc: Doc, blocked: List[bool], max_length: int) -> List[int]:
    cuts, first = [], 0
    while len(doc) - first > max_length:
        allowed = [i for i in range(first + 1, first + max_length + 1) if not blocked[doc[i].idx]]
        if not allowed:
            later = range(first + max_length + 1, len(doc))
            allowed = [i for i in later if not blocked[doc[i].idx]][:1]
        if not allowed:
            break
        # The best kind of place; among equals the last one.
        first = max(allowed, key=lambda i: (_rank(doc, i), i))
        cuts.append(doc[first].idx)
    return cuts


def _rank(doc: Doc, i: int) -> int:
    """3 after a blank line, 2 after a sentence, 1 after white space, 0 between other tokens."""
    before = doc[i - 1]
    if before.is_space and before.text.count("\n") > 1:
        return 3
    if before.is_space and "\n" in before.text:
        return 2
    if before.text in _SENTENCE_END and before.whitespace_:
        return 2
    return 1 if before.is_space or before.whitespace_ else 0


def _piece(note: AnnotatedNote, number: int, start: int, end: int) -> AnnotatedNote:
    mentions = [_shift(m, start) for m in note.mentions if start <= m.start and m.end <= end]
    relations, lost = _relations(note, {mention.id: True for mention in mentions})
    piece = replace(
        note,
        id=f"{note.id}#{number}",
        text=note.text[start:end],
        mentions=tuple(mentions),
        relations=tuple(relations),
        # Layers and summaries are of the whole note.
        meta={k: value for k, value in note.meta.items() if k not in ("layers", "summary")},
    )
    meta: Dict[str, Any] = {"offset": start, **({"relations_lost": lost} if lost else {})}
    if "unknown" in note.meta:
        meta["unknown"] = _inner(note.meta["unknown"], start, end)
    return with_meta(piece, **meta)


def _inner(regions: Sequence[Sequence[int]], start: int, end: int) -> List[List[int]]:
    """What of the regions lies in a piece, counted from its start."""
    cut = ((max(a, start) - start, min(b, end) - start) for a, b in regions)
    return [[a, b] for a, b in cut if a < b]


def _shift(mention: Mention, offset: int) -> Mention:
    spans = tuple((start - offset, end - offset) for start, end in mention.spans)
    return replace(mention, spans=spans)


def _relations(note: AnnotatedNote, here: Dict[str, bool]) -> Tuple[List[Relation], int]:
    """Relations with both ends here; how many have one end here and one elsewhere."""
    if note.meta.get("relations") == "concept":
        return list(note.relations), 0
    ends = [(relation, (relation.head in here) + (relation.tail in here)) for relation in
            note.relations]
    return [relation for relation, n in ends if n == 2], sum(n == 1 for _, n in ends)
