"""What was written of a generated summary, read back: its text, and what the note lacks of it."""

from typing import List, NamedTuple, Optional, Tuple

from spacy.tokens import Doc

from .names import ABSTRACT_KEY


class Flag(NamedTuple):
    """A place of a generated summary that the note does not bear out.

    start (int), end (int): characters of the summary. kind (str): `entity`, `number` or `date`.
    label (str): of an entity, "" of a number. reason (str): one of FLAG_REASONS.
    """

    start: int
    end: int
    kind: str
    label: str
    reason: str


class Abstract(NamedTuple):
    """A summary in words of a network's own.

    text (str): The summary. status (str): `unsupported` with flags; `unflagged` without any, which
    is no proof; `empty` for a note without text. flags (List[Flag]): In order.
    checks (Tuple[str, ...]): What was looked at: `numbers`, `entities`, `assertion`, `relations`.
    truncated (bool): Whether the network did not read the whole note. read (int): Characters of the
    note that it read.
    """

    text: str
    status: str
    flags: List[Flag]
    checks: Tuple[str, ...]
    truncated: bool
    read: int


def abstract(doc: Doc) -> Optional[Abstract]:
    """Look up a note's generated summary.

    doc (Doc): An annotated note.
    RETURNS (Optional[Abstract]): None if nobody wrote one; it is off unless asked for.
    """
    group = doc.spans.get(ABSTRACT_KEY)
    if group is None:
        return None
    attrs = group.attrs
    flags = [Flag(**flag) for flag in attrs["flags"]]
    checks = tuple(attrs["checks"])
    return Abstract(
        attrs["text"], attrs["status"], flags, checks, attrs["truncated"], attrs["read"]
    )
