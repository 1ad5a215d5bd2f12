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


def configure_keep_entities(name: str = "clinbert_ner") -> Callable[[Language], Language]:
    """Registered as `clinbert.keep_entities.v1`, for `[initialize.after_init]`.

    In a training whose reader lays gold entities on the Docs, a trained finder of entities adds
    those that it finds beside them. The policy in its saved config stays as it is.

    name (str): Name of the finder.
    RETURNS (Callable[[Language], Language]): Sets its policy to `keep`.
    """

    def keep(nlp: Language) -> Language:
        nlp.get_pipe(name).ents_policy = "keep"
        return nlp

    return keep
