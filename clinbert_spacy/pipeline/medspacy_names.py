"""What medspaCy's ConText calls our values, for code that was written for it."""

from typing import Callable, Sequence

from spacy.tokens import Span

from .. import attributes

MEDSPACY = {
    "is_negated": ("presence", ("absent",)),
    "is_uncertain": ("presence", ("possible",)),
    "is_hypothetical": ("presence", ("hypothetical", "conditional")),
    "is_family": ("experiencer", ("family",)),
    "is_historical": ("time", ("historical",)),
}


def install_medspacy_names() -> None:
    """Register the attributes of medspaCy's ConText over our values.

    RAISES (ValueError): medspaCy, or another package, holds one of the names.
    """
    for name, (axis, values) in MEDSPACY.items():
        getter = attributes.GETTERS.setdefault(f"medspacy {name}", _is_one_of(axis, values))
        if not Span.has_extension(name):
            Span.set_extension(name, getter=getter)
        elif Span.get_extension(name)[2] is not getter:
            raise ValueError(
                f"Span._.{name} is already defined by another package: set medspacy_names = false, "
                "or do not load that package."
            )


def _is_one_of(axis: str, values: Sequence[str]) -> Callable[[Span], bool]:
    return lambda span: attributes.assertion_of(span, "values", axis) in values
