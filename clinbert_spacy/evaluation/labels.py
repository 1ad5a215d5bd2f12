"""How the labels of a corpus and those of a pipeline meet when one is scored on the other."""

from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    Sequence,
    Tuple,
)

from spacy.language import Language

from .scorers import Gold, invert_labels

if TYPE_CHECKING:
    from ..corpora.record import AnnotatedNote
    from ..corpora.schema import CorpusSchema

Region = Tuple[int, int]


@dataclass(frozen=True)
class LabelPlan:
    """How gold and predicted labels meet.

    scheme (str): "own" or "product".
    gold (Mapping[str, Tuple[str, ...]]): label in the corpus file -> labels that are right for it;
        a label that is not in it is left out of the scoring, and counted as such.
    covered (Tuple[str, ...]): labels that the corpus annotates.
    predicted (Mapping[str, str]): label of the pipeline -> label scored; others are ignored.
    unknown (FrozenSet[str]): labels in the file over whose text no prediction is wrong.
    known (FrozenSet[str]): every label that the file may hold.
    """

    scheme: str
    gold: Mapping[str, Tuple[str, ...]]
    covered: Tuple[str, ...]
    predicted: Mapping[str, str]
    unknown: FrozenSet[str] = frozenset()
    known: FrozenSet[str] = frozenset()

    def gold_of(self, note: "AnnotatedNote") -> Gold:
        """Gold of a note in the labels scored.

        RAISES (ValueError): a mention has a label that the corpus is not known to use.
        """
        for mention in note.mentions:
            if mention.label not in self.known:
                raise ValueError(
                    f"Note {note.id!r}, mention {mention.id!r}: label {mention.label!r} is not "
                    f"among {sorted(self.known)}. Is this the right --corpus?"
                )
        scored = [mention for mention in note.mentions if mention.label in self.gold]
        mentions = [(m.start, m.end, "|".join(sorted(self.gold[m.label]))) for m in scored]
        silent = [s for m in note.mentions if m.label in self.unknown for s in m.spans]
        own = self.scheme == "own"
        return Gold(
            mentions,
            self.covered if own else covered_by(note, self.covered),
            cut_out(silent, [span for mention in scored for span in mention.spans]),
        )


def plan_labels(
    schema: "CorpusSchema", pipeline_labels: Iterable[str], scheme: str = "auto"
) -> LabelPlan:
    """Decide in which labels a pipeline is scored on a corpus.

    "own": the corpus' labels; a pipeline that speaks product labels has them mapped, and only
    labels with a product label are scored. "product": product labels; a coarse gold label allows
    several. "auto": "own", unless product labels would have to be mapped and one of them stands
    for two labels of the corpus, or the corpus marks product labels and others, and the pipeline
    has product labels alone.

    schema (CorpusSchema): the corpus' entry in the label schema.
    pipeline_labels (Iterable[str]): labels that the pipeline predicts.
    scheme (str): "own", "product" or "auto".
    RETURNS (LabelPlan): the plan, with the scheme taken.
    RAISES (ValueError): an unknown scheme, or "product" for a corpus that covers no label.
    """
    if scheme not in ("own", "product", "auto"):
        raise ValueError(f"Label scheme is {scheme!r}; expected 'own', 'product' or 'auto'.")
    spoken = set(pipeline_labels)
    own = {label: schema.own.get(label, label) for label in schema.rules}
    allowed: Dict[str, set] = {}
    for label, rule in schema.rules.items():
        allowed.setdefault(own[label], set()).update(rule.product)
    # Our notes mark more than the product labels: no fault of a pipeline that has those alone.
    speaks_product = bool(spoken) and spoken <= set(schema.covered) <= set(allowed)
    if scheme == "product" or (scheme == "auto" and speaks_product):
        return _plan_product(schema)
    if not spoken.isdisjoint(allowed):
        gold = {label: (name,) for label, name in own.items()}
        same = {name: name for name in allowed}
        return LabelPlan("own", gold, tuple(sorted(allowed)), same, known=frozenset(own))
    rows = merge_rows(allowed)
    merged = {rows[name]: labels for name, labels in allowed.items() if labels}
    ambiguous = sum(map(len, merged.values())) > len(set().union(*merged.values()))
    if scheme == "auto" and ambiguous and schema.covered:
        return _plan_product(schema)
    return LabelPlan(
        "own",
        {label: (rows[name],) for label, name in own.items() if name in rows},
        tuple(sorted(merged)),
        invert_labels(merged),
        frozenset(label for label, rule in schema.rules.items() if rule.unknown),
        frozenset(own),
    )


def merge_rows(allowed: Mapping[str, Iterable[str]]) -> Dict[str, str]:
    """Name the row of each own label: those that mapped predictions cannot tell apart share one.

    allowed (Mapping[str, Iterable[str]]): own label -> product labels that it may stand for.
    RETURNS (Dict[str, str]): e.g. {"ADR": "ADR/WD", "WD": "ADR/WD"}; without the labels that no
        product label stands for.
    """
    groups: Dict[FrozenSet[str], List[str]] = {}
    for name, labels in allowed.items():
        groups.setdefault(frozenset(labels), []).append(name)
    return {
        name: "/".join(names) for labels, names in groups.items() if labels for name in names
    }


def cut_out(regions: Iterable[Region], taken: Iterable[Region]) -> List[Region]:
    """Cut marked entities out of the regions of which nothing is known.

    regions (Iterable[Region]), taken (Iterable[Region]): start and end in characters.
    RETURNS (List[Region]): what is left of the regions.
    """
    marked, rest = sorted(taken), []
    for start, end in sorted(regions):
        for left, right in marked:
            if left < end and right > start:
                if start < left:
                    rest.append((start, left))
                start = right
        if start < end:
            rest.append((start, end))
    return rest


def covered_by(note: "AnnotatedNote", default: Sequence[str]) -> Sequence[str]:
    """Product labels that a note covers: its own list if it has one, else the corpus'."""
    return note.meta.get("covered", default)


def labels_of(nlp: Language) -> List[str]:
    """Labels of the components of a pipeline that say they write entities or spans."""
    labels: set = set()
    for name in nlp.pipe_names:
        assigns = nlp.get_pipe_meta(name).assigns
        if "doc.ents" in assigns or "doc.spans" in assigns:
            labels.update(getattr(nlp.get_pipe(name), "labels", ()))
    return sorted(labels)


def _plan_product(schema: "CorpusSchema") -> LabelPlan:
    scheme = schema.scheme("product")
    if not scheme.covered:
        raise ValueError(
            f"Corpus {schema.name!r} marks no product label exhaustively, so a prediction that it "
            "lacks is not wrong and product labels cannot be scored on it. Use --scheme own."
        )
    gold = {label: tuple(names) for label, names in scheme.labels.items() if names}
    predicted = {name: name for names in gold.values() for name in names}
    known = frozenset(scheme.labels)
    return LabelPlan("product", gold, tuple(scheme.covered), predicted, scheme.unknown, known)
