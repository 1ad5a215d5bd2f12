"""What medspaCy's ConText calls our values, for code that was written for it."""

from functools import cache
from typing import Callable, Tuple

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
        getter = _is_one_of(axis, values)
        if not Span.has_extension(name):
            Span.set_extension(name, getter=getter)
        elif Span.get_extension(name)[2] is not getter:
            raise ValueError(
                f"Span._.{name} is already defined by another package: set medspacy_names = false, "
                "or do not load that package."
            )


@cache
def _is_one_of(axis: str, values: Tuple[str, ...]) -> Callable[[Span], bool]:
    return lambda span: attributes.assertion_of(span, "values", axis) in values
