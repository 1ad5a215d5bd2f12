"""Callbacks for the `[nlp]` section of a config."""

from typing import Callable

from spacy.language import Language


def configure_max_length(characters: int = 10_000_000) -> Callable[[Language], Language]:
    """Registered as `clinbert.max_length.v1`, for `[nlp.after_pipeline_creation]`.

    spaCy refuses texts over 1,000,000 characters, a limit that is not part of a saved pipeline and
    was set for parsers; windows of wordpieces need no such limit.

    characters (int): Longest text that `nlp` takes.
    RETURNS (Callable[[Language], Language]): Sets `nlp.max_length`.
    RAISES (ValueError): `characters` is not positive.
    """
    if characters < 1:
        raise ValueError(f"characters = {characters}: expected at least 1.")

    def set_max_length(nlp: Language) -> Language:
        nlp.max_length = characters
        return nlp

    return set_max_length
