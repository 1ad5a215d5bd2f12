"""Relations of corpora in the product's labels, on a Doc: what is there, and what is known.

Corpora mark other things under other names, and few mark all. As with entities, a relation that a
corpus does not mark is unknown there, not absent.
"""

import re
from bisect import bisect_right
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from .record import AnnotatedNote, Mention

EFFECT, TREATS, VALUE = "ADVERSE_EFFECT", "TREATS", "HAS_VALUE"
ATTRIBUTES = ("STRENGTH", "DOSAGE", "FORM", "ROUTE", "FREQUENCY", "DURATION")
HAS = tuple(f"HAS_{name}" for name in ATTRIBUTES)
# A pair of which the corpus only says that it may be one.
UNKNOWN = ""
RELATED = "related"
# Id of the mention that `name_drug` adds.
NAMED = "drug"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class Link(NamedTuple):
    """A relation between two stretches of text.

    head (Mention), tail (Mention): its ends. label (str): of the product, or of its own corpus.
    causality (str), kind (str): "" where the corpus does not say.
    """

    head: Mention
    tail: Mention
    label: str
    causality: str = ""
    kind: str = ""


class LinkRules(NamedTuple):
    """What a corpus says of relations.

    read (Callable): note -> its links. covered (Tuple[str, ...]): relations marked wherever they
    are. closed (bool): so that a pair with an end that is not marked has none of these, too.
    """

    read: Callable[[AnnotatedNote], List[Link]]
    covered: Tuple[str, ...]
    closed: bool = True


def _as_written(note: AnnotatedNote) -> List[Link]:
    by_id = {mention.id: mention for mention in note.mentions}
    return [
        Link(by_id[r.head], by_id[r.tail], r.label, *(str(r.attributes.get(name, "")) for name in
             ("Causality", "Kind")))
        for r in note.relations
    ]  # fmt: skip


def _doses(note: AnnotatedNote) -> List[Link]:
    """ADE: a dose is cut into pieces, of which the first keeps its id."""
    links = []
    for link in _as_written(note):
        if link.label == EFFECT:
            links.append(link._replace(causality="stated"))
            continue
        own = link.tail.id.split(".")[0]
        pieces = [m for m in note.mentions if m.id.split(".")[0] == own and m.label in ATTRIBUTES]
        links += [Link(link.head, piece, f"HAS_{piece.label}") for piece in pieces]
    return links


def _modifiers(note: AnnotatedNote) -> List[Link]:
    """MACCROBAT: doses, forms, routes and times of drugs, results of tests."""
    links = []
    for link in _as_written(note):
        if link.label != "MODIFY":
            continue
        own = link.head.id.split(".")[0]
        pieces = [m for m in note.mentions if m.id.split(".")[0] == own]
        if link.tail.label == "Medication":
            links += [Link(link.tail, m, f"HAS_{_attribute(m)}") for m in pieces if _attribute(m)]
        elif (link.head.label, link.tail.label) == ("Lab_value", "Diagnostic_procedure"):
            links.append(Link(link.tail, link.head, VALUE))
    return links


def _attribute(mention: Mention) -> str:
    label = mention.label.upper()
    return label if label in ATTRIBUTES else ""


def _criteria(note: AnnotatedNote) -> List[Link]:
    """LCT: a trigger stands for the names inside it."""
    names: Dict[str, List[Mention]] = {}
    for link in _as_written(note):
        if link.label == "Name":
            names.setdefault(link.head.id, []).append(link.tail)
    links = []
    for link in _as_written(note):
        heads, tails = (names.get(end.id, []) for end in (link.head, link.tail))
        if link.label == "Caused-By":
            links += [Link(drug, problem, EFFECT) for problem in heads for drug in tails]
        elif link.label == "Treatment-For":
            links += [Link(drug, problem, TREATS) for drug in heads for problem in tails]
    return [link for link in links if link.head.label == "Drug-Name"]


def _concepts(note: AnnotatedNote) -> List[Link]:
    """BC5CDR: of the mentions of a chemical and a disease that it induces, those in one sentence,
    or else the nearest two; of the others nothing is known."""
    chemicals, diseases = (_by_concept(note, label) for label in ("Chemical", "Disease"))
    ends = [match.end() for match in SENTENCE_END.finditer(note.text)]
    links = []
    for relation in note.relations:
        pairs = [
            (abs(drug.start - problem.start), drug, problem)
            for drug in chemicals.get(relation.head, ())
            for problem in diseases.get(relation.tail, ())
        ]
        if not pairs:
            continue
        inside = [
            pair for pair in pairs if len({bisect_right(ends, end.start) for end in pair[1:]}) == 1
        ]
        true = inside or [min(pairs, key=lambda pair: pair[0])]
        links += [Link(*pair[1:], EFFECT if pair in true else UNKNOWN) for pair in pairs]
    return links


def _by_concept(note: AnnotatedNote, label: str) -> Dict[str, List[Mention]]:
    found: Dict[str, List[Mention]] = {}
    problem = label == "Disease"
    for mention in note.mentions:
        if (mention.label in ("Disease", "DISEASE", "SYMPTOM")) == problem:
            for concept in mention.concepts:
                found.setdefault(concept, []).append(mention)
    return found


_OF_THE_NAMED = {
    "ADR": (EFFECT, "stated", "reaction"), "WD": (EFFECT, "stated", "withdrawal"),
    "DI": (TREATS, "", ""), "AdverseReaction": (EFFECT, "stated", "reaction"),
}  # fmt: skip


def _named(note: AnnotatedNote) -> List[Link]:
    """PsyTAR, SPL: everything is said of the drug that `name_drug` put before the text."""
    drug = next((m for m in note.mentions if m.id == NAMED), None)
    rows = ((m, _OF_THE_NAMED[m.label]) for m in note.mentions if m.label in _OF_THE_NAMED)
    return [] if drug is None else [Link(drug, mention, *row) for mention, row in rows]


def name_drug(note: AnnotatedNote) -> AnnotatedNote:
    """Put the drug that a text is about, and does not name, before it: `Zoloft: made me sick`.

    note (AnnotatedNote): with meta "drug"; others stay as they are.
    RETURNS (AnnotatedNote): a text with one mention more.
    """
    name = str(note.meta.get("drug", "")).strip()
    if not name or any(mention.id == NAMED for mention in note.mentions):
        return note
    title = f"{name[:1].upper()}{name[1:].lower()}"
    shift = len(title) + 2
    moved = tuple(
        replace(m, spans=tuple((start + shift, end + shift) for start, end in m.spans))
        for m in note.mentions
    )
    drug = Mention(NAMED, "DRUG", ((0, len(title)),))
    return replace(note, text=f"{title}: {note.text}", mentions=(drug, *moved))


def related(corpus: str, note: AnnotatedNote) -> Dict[str, bool]:
    """Say whether relations were marked in a note; somebody's own notes may have entities alone.

    corpus (str): its corpus. note (AnnotatedNote): the whole note, before it is cut.
    RETURNS (Dict[str, bool]): for its meta; empty for corpora whose notes all have them marked.
    """
    return {RELATED: bool(note.relations)} if corpus == "notes" else {}


ALL = (EFFECT, TREATS, *HAS, VALUE)
RULES: Mapping[str, LinkRules] = {
    "notes": LinkRules(_as_written, ALL),
    "pairs": LinkRules(_as_written, (EFFECT, TREATS)),
    "excerpts": LinkRules(_as_written, ALL),
    "ade": LinkRules(_doses, (EFFECT,)),
    "bc5cdr": LinkRules(_concepts, (EFFECT,)),
    "maccrobat": LinkRules(_modifiers, (*HAS, VALUE)),
    "lct": LinkRules(_criteria, (EFFECT, TREATS)),
    # Drugs that other sentences name, and problems that nobody marked, may be linked.
    "psytar": LinkRules(_named, (EFFECT,), closed=False),
    "spl_adr": LinkRules(_named, (EFFECT,), closed=False),
}


def link_attrs(note: AnnotatedNote) -> Dict[str, Any]:
    """Say what a note's corpus knows of relations, as plain data for the group `clinbert_ents`.

    note (AnnotatedNote): a note with meta "corpus".
    RETURNS (Dict[str, Any]): `links`: rows of head's start and end, tail's start and end, label,
        causality, kind ("" for what is not known); `links_covered`, `links_closed`. Empty for a
        corpus without relations, and a note of "notes" in which nobody marked any.
    """
    rules = RULES.get(str(note.meta.get("corpus", "")))
    if rules is None or not note.meta.get(RELATED, True):
        return {}
    rows = [
        [link.head.start, link.head.end, link.tail.start, link.tail.end, *link[2:]]
        for link in rules.read(note)
    ]
    return {"links": rows, "links_covered": list(rules.covered), "links_closed": rules.closed}
