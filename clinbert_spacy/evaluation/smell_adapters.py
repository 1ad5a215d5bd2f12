"""How the smell test reads a Doc: one table of functions for each engine that it knows."""

from typing import Any, Callable, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from spacy.tokens import Doc, Span

Offsets = Tuple[int, int]
AUTO = "auto"


class Link(NamedTuple):
    """A relation: where its two ends stand in characters, its label, causality of an effect."""

    head: Offsets
    tail: Offsets
    label: str = ""
    causality: str = ""


Axis = Callable[[Span], Optional[str]]
Links = Callable[[Doc], Optional[List[Link]]]


class Adapter(NamedTuple):
    """What can be read of an engine's Docs; what is not there, the engine does not answer.

    name (str): for `--adapter`. extension (str): the `Span._` name it is recognised by.
    axes (Mapping[str, Axis]): presence, experiencer, time, drug_status of an entity; a function
        returns None where the engine says nothing.
    relations, effects (Optional[Links]): of a Doc; None where the engine did not look.
    """

    name: str
    extension: str
    axes: Mapping[str, Axis]
    relations: Optional[Links] = None
    effects: Optional[Links] = None


def choose_adapter(name: str = AUTO) -> Adapter:
    """Find the adapter for the pipeline that is loaded.

    name (str): of an adapter; "auto": that of another engine whose extension exists, else ours.
    RETURNS (Adapter): the adapter.
    RAISES (ValueError): no such adapter.
    """
    if name in ADAPTERS:
        return ADAPTERS[name]
    if name != AUTO:
        raise ValueError(f"Adapter {name!r}; expected one of {', '.join([AUTO, *ADAPTERS])}.")
    others = (ADAPTERS[other] for other in ("medspacy", "negspacy"))
    found = (adapter for adapter in others if Span.has_extension(adapter.extension))
    return next(found, ADAPTERS["clinbert"])


def _read(holder: Any, name: str) -> Any:
    """A value of ours; None as long as no component has registered the attribute."""
    return holder._.get(name) if holder.has_extension(name) else None


def _ours(name: str) -> Axis:
    return lambda span: _read(span, name)


def _clinbert_relations(doc: Doc) -> Optional[List[Link]]:
    found = _read(doc, "clinbert_relations")
    if found is None or not _has_looked(doc):
        return None
    return _links((x.head, x.tail, x.label, "") for x in found)


def _clinbert_effects(doc: Doc) -> Optional[List[Link]]:
    found = _read(doc, "clinbert_side_effects")
    if found is None or not _has_looked(doc):
        return None
    return _links((x.drug, x.effect, "ADVERSE_EFFECT", x.causality) for x in found)


def _has_looked(doc: Doc) -> bool:
    return _read(doc, "clinbert_side_effects_status") not in (None, "not_run")


def _links(rows: Iterable[Tuple[Span, Span, str, str]]) -> List[Link]:
    return [Link(_offsets(head), _offsets(tail), *rest) for head, tail, *rest in rows]


def _offsets(span: Span) -> Offsets:
    return span.start_char, span.end_char


def _first_of(default: str, **flags: str) -> Axis:
    """The value of the first flag that is set; None if the engine has none of them."""

    def read(span: Span) -> Optional[str]:
        known = [(value, flag) for value, flag in flags.items() if span.has_extension(flag)]
        values = (value for value, flag in known if span._.get(flag))
        return next(values, default) if known else None

    return read


ADAPTERS: Mapping[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        Adapter(
            "clinbert",
            "clinbert_presence",
            {axis: _ours(f"clinbert_{axis}")
             for axis in ("presence", "experiencer", "time", "drug_status")},
            _clinbert_relations,
            _clinbert_effects,
        ),
        Adapter(
            "medspacy",
            "is_negated",
            {
                "presence": _first_of(
                    "present",
                    absent="is_negated",
                    hypothetical="is_hypothetical",
                    possible="is_uncertain",
                ),
                "experiencer": _first_of("patient", family="is_family"),
                "time": _first_of("current", historical="is_historical"),
            },
        ),
        Adapter("negspacy", "negex", {"presence": _first_of("present", absent="negex")}),
    )
}  # fmt: skip
