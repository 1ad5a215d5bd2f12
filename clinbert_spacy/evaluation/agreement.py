"""How far two annotations of the same notes agree, layer by layer."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Hashable, Iterable, List, Mapping, Optional, Sequence, Tuple

from sklearn.metrics import cohen_kappa_score

from ..corpora.checks import AXES, DRUG_ATTRIBUTES, LINKS, PHI_LABELS, expected_attributes
from ..corpora.record import AnnotatedNote, Mention, Relation
from ..corpora.schema import PRODUCT_LABELS

Pair = Tuple[AnnotatedNote, AnnotatedNote]
Keys = Callable[[AnnotatedNote], Iterable[Hashable]]
HAS = tuple(f"HAS_{label}" for label in (*DRUG_ATTRIBUTES, "VALUE"))


@dataclass(frozen=True)
class AgreementRow:
    """Agreement on one layer.

    layer (str): what was compared.
    measure (str): "F1" of what both marked alike, or "kappa" (Cohen) over what both marked.
    n (int): items of the two annotations together for F1, pairs of items for kappa.
    value (Optional[float]): at most 1; None where it is not defined (a single value, nothing).
    alike (Optional[float]): share of pairs with the same value, for kappa.
    """

    layer: str
    measure: str
    n: int
    value: Optional[float]
    alike: Optional[float] = None


def compare(first: Sequence[AnnotatedNote], second: Sequence[AnnotatedNote]) -> List[AgreementRow]:
    """Compare two annotations.

    first, second (Sequence[AnnotatedNote]): the same notes, with document layers.
    RETURNS (List[AgreementRow]): a row a layer.
    RAISES (ValueError): The notes are not the same, or some have no document layers.
    """
    pairs = _paired(first, second)
    rows = [f1("entities", pairs, _mention_keys(PRODUCT_LABELS))]
    rows += [f1(f"entities: {x}", pairs, _mention_keys([x])) for x in PRODUCT_LABELS]
    rows.append(f1("entities, label ignored", pairs, _span_keys))
    for name in (*AXES, "Status"):
        rows.append(kappa(name.lower(), _attribute_values(pairs, name)))
    for label in ("ADVERSE_EFFECT", "TREATS"):
        rows.append(f1(f"relations: {label}", pairs, _relation_keys([label])))
    rows.append(f1("relations: attributes and values", pairs, _relation_keys(HAS)))
    rows += [kappa(name.lower(), _link_values(pairs, name)) for name in LINKS]
    rows.append(f1("identifiers", pairs, _mention_keys(PHI_LABELS)))
    rows.append(f1("sections, with name", pairs, lambda n: n.meta["layers"].sections))
    rows.append(f1("sentences", pairs, lambda n: n.meta["layers"].sentences))
    rows.append(kappa("summary, sentence by sentence", _summary_values(pairs)))
    encounters = [(a.meta["layers"].encounter, b.meta["layers"].encounter) for a, b in pairs]
    rows.append(kappa("encounter type", encounters))
    rows.append(f1("ICD-10 chapters", pairs, lambda n: n.meta["layers"].chapters))
    return rows


def _paired(first: Sequence[AnnotatedNote], second: Sequence[AnnotatedNote]) -> List[Pair]:
    left, right = ({note.id: note for note in notes} for notes in (first, second))
    apart = sorted(set(left) ^ set(right))
    apart += [name for name in left if name in right and left[name].text != right[name].text]
    if apart or not left:
        raise ValueError(
            f"Expected two annotations of the same notes; {len(apart)} of {len(left)} differ"
            + (f", the first is {apart[0]!r}." if apart else ".")
        )
    bare = [note.id for note in (*first, *second) if "layers" not in note.meta]
    if bare:
        raise ValueError(f"{len(bare)} notes have no document layers, the first is {bare[0]!r}.")
    return [(left[name], right[name]) for name in sorted(left)]


def f1(layer: str, pairs: Sequence[Pair], keys: Keys) -> AgreementRow:
    """F1 of one annotation against the other, micro over notes; it does not matter which.

    layer (str): name of the row.
    pairs (Sequence[Pair]): a note in both annotations.
    keys (Callable): what is compared of a note, as a set.
    RETURNS (AgreementRow): the row.
    """
    both = total = 0
    for a, b in pairs:
        left, right = set(keys(a)), set(keys(b))
        both += len(left & right)
        total += len(left) + len(right)
    return AgreementRow(layer, "F1", total, 2 * both / total if total else None)


def kappa(layer: str, values: Sequence[Tuple[Any, Any]]) -> AgreementRow:
    """Cohen's kappa of paired values.

    layer (str): name of the row.
    values (Sequence[Tuple]): the two annotations' values of each item.
    RETURNS (AgreementRow): the row; without a value where only one value occurs.
    """
    alike = sum(a == b for a, b in values) / len(values) if values else None
    if len({value for pair in values for value in pair}) < 2:
        return AgreementRow(layer, "kappa", len(values), None, alike)
    left, right = zip(*values)
    return AgreementRow(
        layer, "kappa", len(values), float(cohen_kappa_score(list(left), list(right))), alike
    )


def _mention_keys(labels: Sequence[str]) -> Keys:
    return lambda note: (_key(m) for m in note.mentions if m.label in labels)


def _key(mention: Mention) -> Tuple[int, int, str]:
    return mention.start, mention.end, mention.label


def _span_keys(note: AnnotatedNote) -> Iterable[Hashable]:
    return ((m.start, m.end) for m in note.mentions if m.label in PRODUCT_LABELS)


def _relation_keys(labels: Sequence[str]) -> Keys:
    return lambda note: (k for k, r in _relations(note).items() if r.label in labels)


def _relations(note: AnnotatedNote) -> Dict[Hashable, Relation]:
    ends = {m.id: _key(m) for m in note.mentions}
    return {(r.label, ends[r.head], ends[r.tail]): r for r in note.relations}


def _attribute_values(pairs: Sequence[Pair], name: str) -> List[Tuple[Any, Any]]:
    """Values of what both marked with one span and label."""
    values: List[Tuple[Any, Any]] = []
    for a, b in pairs:
        left, right = ({_key(m): m.attributes for m in note.mentions} for note in (a, b))
        common = [key for key in left if key in right and name in expected_attributes(key[2])]
        values += _values(left, right, common, name)
    return values


def _link_values(pairs: Sequence[Pair], name: str) -> List[Tuple[Any, Any]]:
    values: List[Tuple[Any, Any]] = []
    for a, b in pairs:
        left, right = (
            {k: r.attributes for k, r in _relations(note).items() if r.label == "ADVERSE_EFFECT"}
            for note in (a, b)
        )
        values += _values(left, right, [key for key in left if key in right], name)
    return values


def _values(
    left: Mapping[Any, Mapping], right: Mapping[Any, Mapping], keys: Iterable[Any], name: str
) -> List[Tuple[Any, Any]]:
    return [(left[key].get(name), right[key].get(name)) for key in keys]


def _summary_values(pairs: Sequence[Pair]) -> List[Tuple[Any, Any]]:
    """Whether each sentence that both have is in the summary."""
    values: List[Tuple[Any, Any]] = []
    for a, b in pairs:
        one, two = a.meta["layers"], b.meta["layers"]
        chosen = {two.sentences[i] for i in two.summary}
        known = set(two.sentences)
        values += [
            (i in one.summary, sentence in chosen)
            for i, sentence in enumerate(one.sentences)
            if sentence in known
        ]
    return values
