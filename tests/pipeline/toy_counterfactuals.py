"""Invented pairs of notes: what an edit takes from the problems that a patient has.

`counterfactuals.jsonl` holds a pair a line. In its texts `{gout|XIII}` is a problem that the
patient has, of ICD-10 chapter XIII; `{gout|XIII|absent}` one that is said otherwise: absent,
hypothetical, family, or other (neither patient nor family).
"""

import json
import re
from pathlib import Path
from typing import Any, List, NamedTuple, Set, Tuple

PATH = Path(__file__).parent / "counterfactuals.jsonl"
MARK = re.compile(r"\{([^|{}]+)\|([IVX]+)(?:\|(\w+))?\}")
# Edits that take the chapter away, and those that leave it.
TAKES = ("negated", "family", "hypothetical", "removed", "donor")
LEAVES = ("order", "paraphrase", "other_stays")


class Mark(NamedTuple):
    """A problem in a note: where, its chapter, what is said of it."""

    start: int
    end: int
    chapter: str
    said: str


class Note(NamedTuple):
    """A note and its problems."""

    text: str
    marks: Tuple[Mark, ...]

    @property
    def chapters(self) -> Set[str]:
        """Those of what the patient has."""
        return {mark.chapter for mark in self.marks if mark.said == "present"}


class Pair(NamedTuple):
    """A note before and after an edit that is about a chapter."""

    id: str
    edit: str
    chapter: str
    before: Note
    after: Note


def parse(marked: str) -> Note:
    """Take the marks out of a text."""
    plain, marks, last = "", [], 0
    for match in MARK.finditer(marked):
        plain += marked[last : match.start()]
        name, chapter, said = match.groups()
        marks.append(Mark(len(plain), len(plain) + len(name), chapter, said or "present"))
        plain, last = plain + name, match.end()
    return Note(plain + marked[last:], tuple(marks))


def read_pairs() -> List[Pair]:
    """All pairs."""
    rows: List[Any] = [json.loads(line) for line in PATH.read_text("utf8").splitlines()]
    return [Pair(**{**row, "before": parse(row["before"]), "after": parse(row["after"])})
            for row in rows]  # fmt: skip


PAIRS = read_pairs()
