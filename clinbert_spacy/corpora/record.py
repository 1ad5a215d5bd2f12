"""The one record that every format is read into and written from, and its gold on a Doc."""
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import filter_spans

from ..attributes import ENTS_KEY, SECTIONS_KEY, SUMMARY_KEY
from .files import CorpusError

COVERED_KEY = "clinbert_covered"
# Attributes of mentions that say what clinbert_assertion learns, by the axis they mean.
ASSERTED = {
    "Presence": "presence", "Experiencer": "experiencer", "Time": "time", "Status": "drug_status",
}  # fmt: skip
Offsets = Tuple[int, int]
LabelMap = Mapping[str, Optional[Sequence[str]]]


@dataclass(frozen=True)
class Mention:
    """A stretch of text, possibly in several pieces, with a label.

    id (str): unique in its note. label (str): the corpus' own label.
    spans (Tuple[Offsets, ...]): character offsets, sorted; more than one: discontinuous.
    concepts (Tuple[str, ...]): identifiers in a vocabulary.
    attributes (Mapping): names to a string, or True for a plain flag.
    """

    id: str
    label: str
    spans: Tuple[Offsets, ...]
    concepts: Tuple[str, ...] = ()
    attributes: Mapping[str, Union[str, bool]] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """RETURNS (int): first character of the hull."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """RETURNS (int): one past the last character of the hull."""
        return max(end for _, end in self.spans)


@dataclass(frozen=True)
class Relation:
    """A directed pair of mentions (or of concepts where meta["relations"] is "concept").

    id (str): unique in its note. label (str): the corpus' own label.
    head (str): id of the first mention or concept.
    tail (str): id of the second one.
    attributes (Mapping): as in Mention.
    """

    id: str
    label: str
    head: str
    tail: str
    attributes: Mapping[str, Union[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotatedNote:
    """A text with what people marked in it. Offsets are into `text`, which is never altered.

    id (str): name of the note in its corpus.
    text (str): the text.
    mentions (Tuple[Mention, ...]): marked stretches.
    relations (Tuple[Relation, ...]): marked pairs.
    group (str): patient or PubMed id; notes of one group stay in one split.
    meta (Mapping): "cats", "corpus", "split", "relations" and what a format adds.
    """

    id: str
    text: str
    mentions: Tuple[Mention, ...] = ()
    relations: Tuple[Relation, ...] = ()
    group: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)


def check_note(note: AnnotatedNote) -> AnnotatedNote:
    """Check offsets, ids and relation ends.

    note (AnnotatedNote): a note. RETURNS (AnnotatedNote): the same note.
    Raises CorpusError naming note, mention and offsets, never content.
    """
    ids = [item.id for item in (*note.mentions, *note.relations)]
    repeated = sorted({item for item in ids if ids.count(item) > 1}) if _repeats(ids) else []
    if repeated:
        raise CorpusError(f"Note {note.id!r}: expected unique ids, found {repeated[:5]} repeated.")
    for mention in note.mentions:
        _check_spans(note, mention)
    if note.meta.get("relations") != "concept":
        _check_relations(note)
    return note


def _repeats(ids: List[str]) -> bool:
    return len(set(ids)) < len(ids)


def _check_spans(note: AnnotatedNote, mention: Mention) -> None:
    place = f"Note {note.id!r}, mention {mention.id!r}"
    if not mention.spans:
        raise CorpusError(f"{place}: expected at least one span, found none.")
    if list(mention.spans) != sorted(mention.spans):
        raise CorpusError(f"{place}: expected sorted spans, found {list(mention.spans)}.")
    for start, end in mention.spans:
        if not 0 <= start < end <= len(note.text):
            raise CorpusError(
                f"{place}: expected offsets with 0 <= start < end <= {len(note.text)}, "
                f"found {start}-{end}."
            )


def _check_relations(note: AnnotatedNote) -> None:
    known = {mention.id for mention in note.mentions}
    for relation in note.relations:
        lost = [end for end in (relation.head, relation.tail) if end not in known]
        if lost:
            raise CorpusError(
                f"Note {note.id!r}, relation {relation.id!r}: expected ids of mentions, found "
                f"{lost}."
            )


def contiguous(text: str, mention: Mention) -> bool:
    """Say whether only whitespace stands between the pieces (brat splits at line ends).

    text (str): text of the note. mention (Mention): one of its mentions.
    RETURNS (bool): whether the hull can stand for the mention.
    """
    pairs = zip(mention.spans, mention.spans[1:], strict=False)
    return all(not text[left[1] : right[0]].strip() for left, right in pairs)


@dataclass(frozen=True)
class LabelScheme:
    """How a corpus' labels become the labels of a task, and what stays unknown.

    labels (LabelMap): own label to the labels it may stand for; None: not taken.
    covered (Tuple[str, ...]): labels of the task that the corpus marks exhaustively.
    unknown (frozenset): own labels, not taken, whose text says nothing about the task.
    """

    labels: LabelMap
    covered: Tuple[str, ...]
    unknown: frozenset = frozenset()

    def allowed(self, note_id: str, mention: Mention) -> Tuple[str, ...]:
        """Look a mention's label up.

        note_id (str): for the error. mention (Mention): a mention.
        RETURNS (Tuple[str, ...]): sorted labels it may stand for; empty: not taken.
        Raises CorpusError for a label that the scheme does not list.
        """
        labels = self.targets(mention.label)
        if labels is None:
            raise CorpusError(
                f"Note {note_id!r}, mention {mention.id!r}: label {mention.label!r} is not among "
                f"the known ones {sorted(self.labels)}; add it to the corpus' table."
            )
        return labels

    def targets(self, label: str) -> Optional[Tuple[str, ...]]:
        """Look a label up.

        label (str): an own label, or several joined by "|", as our own writers leave them.
        RETURNS (Optional[Tuple[str, ...]]): sorted labels it may stand for; empty: not taken;
            None: not known.
        """
        parts = [label] if label in self.labels else label.split("|")
        if not all(part in self.labels for part in parts):
            return None
        return tuple(sorted({name for part in parts for name in self.labels[part] or ()}))


def scheme_of(notes: Iterable[AnnotatedNote]) -> LabelScheme:
    """Take the labels that stand in the notes as they are, all covered.

    notes (Iterable[AnnotatedNote]): notes; "A|B" says that A and B are allowed.
    RETURNS (LabelScheme): the identity over their labels.
    """
    labels = sorted({mention.label for note in notes for mention in note.mentions})
    table = {label: tuple(filter(None, label.split("|"))) or (label,) for label in labels}
    return LabelScheme(table, tuple(sorted({name for names in table.values() for name in names})))


def to_doc(
    note: AnnotatedNote, make_doc: Callable[[str], Doc], scheme: Optional[LabelScheme] = None
) -> Doc:
    """Tokenise a note and lay its gold on the Doc.

    note (AnnotatedNote): a note. make_doc (Callable[[str], Doc]): usually nlp.make_doc.
    scheme (Optional[LabelScheme]): labels of the task; by default the note's own.
    RETURNS (Doc): gold in doc.spans["clinbert_ents"] and its attrs, in doc.ents and doc.cats.
    """
    check_note(note)
    scheme = scheme or scheme_of([note])
    doc = make_doc(note.text)
    if len(doc.text) != len(note.text):
        raise CorpusError(
            f"Note {note.id!r}: expected a tokenizer that keeps all {len(note.text)} characters, "
            f"found {len(doc.text)} after it."
        )
    spans, attrs = _gold(note, doc, scheme)
    group = SpanGroup(doc, name=ENTS_KEY, spans=spans, attrs=attrs)
    doc.spans[ENTS_KEY] = group
    doc.ents = _flat(doc, spans)
    doc.cats = {str(key): float(value) for key, value in note.meta.get("cats", {}).items()}
    doc.user_data[COVERED_KEY] = list(attrs["covered"])
    if "layers" in note.meta:
        _lay_layers(doc, note.meta["layers"])
    if "summary" in note.meta:
        _lay(doc, SUMMARY_KEY, [(a, b, "") for a, b in note.meta["summary"]])
    return doc


def _lay(doc: Doc, key: str, rows: Iterable[Tuple[int, int, str]]) -> None:
    found = [doc.char_span(a, b, label=name, alignment_mode="expand") for a, b, name in rows]
    spans = [span for span in found if span is not None]
    if spans:
        doc.spans[key] = SpanGroup(doc, name=key, spans=spans)


def _lay_layers(doc: Doc, layers: Any) -> None:
    """Write the sections, summary and sentences of a NoteLayers on its Doc."""
    n = len(layers.sentences)
    if not all(0 <= i < n for i in layers.summary):
        raise CorpusError(
            f"Note {layers.id!r}: expected a summary of its {n} sentences, found other numbers."
        )
    chosen = [(*layers.sentences[i], "") for i in sorted(set(layers.summary))]
    _lay(doc, SECTIONS_KEY, layers.sections)
    _lay(doc, SUMMARY_KEY, chosen)
    starts = sorted(start for start, _ in layers.sentences)
    if starts:
        for token in doc:
            inside = bisect_left(starts, token.idx) < bisect_left(starts, token.idx + len(token))
            token.is_sent_start = token.i == 0 or inside


def _gold(note: AnnotatedNote, doc: Doc, scheme: LabelScheme) -> Tuple[List[Span], Dict[str, Any]]:
    spans: List[Span] = []
    unknown: List[List[int]] = [list(region) for region in note.meta.get("unknown", ())]
    gold: Dict[Tuple[int, int, str], bool] = {}
    for mention in note.mentions:
        label = "|".join(scheme.allowed(note.id, mention))
        whole = contiguous(note.text, mention)
        if (label and not whole) or (not label and mention.label in scheme.unknown):
            unknown.extend([start, end] for start, end in mention.spans)
        key = (mention.start, mention.end, label)
        if not label or key in gold:
            continue
        # Two own labels on one stretch may map to the same task label: one gold entity.
        gold[key] = whole and _fits(doc, mention)
        if whole:
            spans.append(_span(doc, mention, label))
    attrs: Dict[str, Any] = {
        "covered": list(note.meta.get("covered", scheme.covered)),
        "corpus": str(note.meta.get("corpus", "")),
        "id": note.id,
        "gold": [list(key) for key in gold],
        "unknown": _outside(unknown, spans),
        "unexpressible": sum(not fits for fits in gold.values()),
    }
    judged = [_asserted(mention) for mention in note.mentions]
    if any(values for *_, values in judged):
        attrs["asserted"] = judged
    return spans, attrs


def _asserted(mention: Mention) -> List[Any]:
    """Start, end, own label and the values of its axes, as plain data."""
    values = {
        axis: str(mention.attributes[name])
        for name, axis in ASSERTED.items()
        if name in mention.attributes
    }
    return [mention.start, mention.end, mention.label, values]


def _outside(regions: List[List[int]], spans: List[Span]) -> List[List[int]]:
    """Cut marked entities out of the regions of which nothing is known."""
    taken = sorted((span.start_char, span.end_char) for span in spans)
    rest = []
    for start, end in sorted(regions):
        for left, right in taken:
            if left < end and right > start:
                if start < left:
                    rest.append([start, left])
                start = max(start, right)
        if start < end:
            rest.append([start, end])
    return rest


def _fits(doc: Doc, mention: Mention) -> bool:
    return doc.char_span(mention.start, mention.end) is not None


def _span(doc: Doc, mention: Mention, label: str) -> Span:
    concept = mention.concepts[0] if mention.concepts else ""
    return doc.char_span(
        mention.start, mention.end, label=label, kb_id=concept, alignment_mode="expand"
    )


def _flat(doc: Doc, spans: List[Span]) -> List[Span]:
    """Longest first, first label; spaCy's ner refuses entities that begin or end in whitespace."""
    chosen = filter_spans([s for s in spans if not (s[0].is_space or s[-1].is_space)])
    return [
        Span(doc, s.start, s.end, label=s.label_.split("|")[0], kb_id=s.kb_id_) for s in chosen
    ]


def from_doc(doc: Doc, note_id: str = "", key: str = ENTS_KEY) -> AnnotatedNote:
    """Take a Doc's entities as a note.

    doc (Doc): a Doc. note_id (str): its name; by default the one that the span group carries.
    key (str): span group to read; doc.ents where the group is missing.
    RETURNS (AnnotatedNote): mentions named T1, T2, ... in text order.
    """
    group = doc.spans.get(key)
    attrs = dict(group.attrs) if group is not None else {}
    spans = sorted(group if group is not None else doc.ents, key=lambda s: (s.start, s.end))
    mentions = tuple(
        Mention(
            f"T{i}",
            span.label_,
            ((span.start_char, span.end_char),),
            (span.kb_id_,) if span.kb_id_ else (),
        )
        for i, span in enumerate(spans, 1)
    )
    meta = {name: attrs[name] for name in ("corpus", "covered", "unknown") if name in attrs}
    if doc.cats:
        meta["cats"] = dict(doc.cats)
    return AnnotatedNote(note_id or str(attrs.get("id", "")), doc.text, mentions, meta=meta)


def with_meta(note: AnnotatedNote, **values: Any) -> AnnotatedNote:
    """Copy a note with more in its meta.

    note (AnnotatedNote): a note. values (Any): what to set.
    RETURNS (AnnotatedNote): the copy.
    """
    return replace(note, meta={**note.meta, **values})
