"""Judges what is read of a note: sentences, sections, assertion and drug status."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..attributes import ASSERTION_KEY, AXES, SECTIONS_KEY
from ..corpora.record import ASSERTED, AnnotatedNote
from .assertion import ByValue, add_values, summarise
from .scorers import Counts, bootstrap, prf
from .sections import score_sections

# A drug that is one of these and is called active: a wrong medication list.
NOT_ACTIVE = ("stopped", "allergy", "not_taken")
Judged = List[Tuple[Mapping[str, str], Mapping[str, str]]]


def sentence_starts(doc: Doc) -> Set[int]:
    """Where sentences begin. RETURNS (Set[int]): Their first visible characters."""
    firsts = (next((t for t in sent if not t.is_space), None) for sent in doc.sents)
    return {token.idx for token in firsts if token is not None}


def score_boundaries(docs: Iterable[Doc], gold: Iterable[Sequence[int]]) -> Dict[str, Any]:
    """Score sentence boundaries: where each sentence but the first of a note begins.

    docs (Iterable[Doc]): notes with sentences.
    gold (Iterable[Sequence[int]]): first characters of the right ones of each note.
    RETURNS (Dict[str, Any]): p, r, f, n (right boundaries), interval (95 %, over notes).
    """
    counts = []
    for doc, right in zip(docs, gold):
        first = {min(right)} if right else set()
        wanted, found = set(right) - first, sentence_starts(doc) - first
        counts.append(Counts(len(wanted & found), len(found - wanted), len(wanted - found)))
    return summarise_counts(counts)


def summarise_counts(counts: Sequence[Counts]) -> Dict[str, Any]:
    """Sum counts of notes up. RETURNS (Dict[str, Any]): p, r, f, n, interval."""
    whole = Counts()
    for one in counts:
        whole.add(one)
    p, r, f = prf(whole)
    interval = list(bootstrap([{"": one} for one in counts])["f"])
    return {"p": p, "r": r, "f": f, "n": whole.tp + whole.fn, "interval": interval}


def score_section_docs(
    docs: Iterable[Doc], gold: Iterable[Sequence[Tuple[int, int, str]]]
) -> Dict[str, Any]:
    """Score sections: exact span and name.

    docs (Iterable[Doc]): notes with sections. gold (Iterable): start, end, name of each note.
    RETURNS (Dict[str, Any]): see sections.score_sections.
    """
    examples = []
    for doc, sections in zip(docs, gold):
        words, spaces = zip(*((t.text, bool(t.whitespace_)) for t in doc))
        reference = Doc(doc.vocab, words=words, spaces=spaces)
        spans = (
            reference.char_span(start, end, label=name, alignment_mode="expand")
            for start, end, name in sections
        )
        reference.spans[SECTIONS_KEY] = [span for span in spans if span is not None]
        examples.append(Example(doc, reference))
    return score_sections(examples)


def place_entities(
    nlp: Language, note: AnnotatedNote, labels: Callable[[str], str] = str
) -> Tuple[Doc, List[Tuple[Span, Dict[str, str]]]]:
    """Tokenise a note and put its judged mentions on the Doc as entities.

    nlp (Language): for its tokenizer. note (AnnotatedNote): a note.
    labels (Callable[[str], str]): from its labels to the pipeline's.
    RETURNS (Tuple): the Doc, and each entity with its gold values by axis.
    """
    doc = nlp.make_doc(note.text)
    rows: Dict[Tuple[int, int], Tuple[Span, Dict[str, str]]] = {}
    for mention in note.mentions:
        values = {
            axis: str(mention.attributes[name])
            for name, axis in ASSERTED.items()
            if name in mention.attributes
        }
        span = doc.char_span(
            mention.start, mention.end, label=labels(mention.label), alignment_mode="expand"
        )
        if values and span is not None:
            rows.setdefault((span.start, span.end), (span, values))
    taken: Set[int] = set()
    kept = []
    for span, values in rows.values():
        if taken.isdisjoint(range(span.start, span.end)):
            taken.update(range(span.start, span.end))
            kept.append((span, values))
    doc.set_ents([span for span, _ in kept])
    return doc, kept


def read_values(doc: Doc) -> Dict[Tuple[int, int], Tuple[Mapping[str, str], Mapping[str, str]]]:
    """Read what was decided and what the rules say.

    doc (Doc): a note with the group `clinbert_assertion`.
    RETURNS (Dict): decided values and the rules' values by token span.
    """
    group = doc.spans.get(ASSERTION_KEY)
    if group is None:
        return {}
    pairs = zip(group, group.attrs["values"], group.attrs["rules"])
    return {(span.start, span.end): (values, rules) for span, values, rules in pairs}


def score_judged(judged: Judged) -> Dict[str, Any]:
    """Score pairs of gold and found values.

    judged (Judged): by axis, for each entity.
    RETURNS (Dict[str, Any]): by axis, see assertion.summarise; `called_active`: share of stopped,
        allergy and not-taken drugs that were called active.
    """
    counts: ByValue = {}
    for gold, found in judged:
        add_values(counts, gold, found)
    result: Dict[str, Any] = {axis: summarise(counts[axis]) for axis in AXES if axis in counts}
    wrong = [f.get("drug_status") == "active" for g, f in judged
             if g.get("drug_status") in NOT_ACTIVE]  # fmt: skip
    result["called_active"] = sum(wrong) / len(wrong) if wrong else None
    return result
