"""The NegEx test kit: a concept in a sentence, negated or not, historical or not, whose it is."""

import csv
import io
import re
from pathlib import Path
from typing import Dict, Iterator, Mapping, Optional, Tuple, Union

from .files import broken, read_text
from .record import AnnotatedNote, Mention

# Its columns have had several titles; their order has not changed.
COLUMNS = ("number", "condition", "sentence", "negation", "temporality", "experiencer")
VALUES: Dict[str, Mapping[str, str]] = {
    "Presence": {"negated": "absent", "affirmed": "present", "possible": "possible"},
    "Time": {"historical": "historical", "recent": "current"},
    "Experiencer": {"patient": "patient", "other": "family"},
}
FIELDS = {"Presence": 3, "Time": 4, "Experiencer": 5}
LABEL = "Condition"


def read_negex(path: Union[str, Path], encoding: str = "latin-1") -> Iterator[AnnotatedNote]:
    """Read a file of the test kit.

    path (Union[str, Path]): tab-separated: number, condition, sentence, negation, temporality,
        experiencer.
    encoding (str): its encoding.
    YIELDS (AnnotatedNote): a note a line; the condition is marked where the sentence holds it,
        white space and case apart; a note without a mention is one whose sentence does not.
    Raises CorpusError naming a line with other columns.
    """
    # A quotation mark is a character of a sentence here, and quotes nothing.
    lines = io.StringIO(read_text(path, encoding))
    rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    for number, row in enumerate(rows, 1):
        if number == 1 or not any(row):
            continue
        if len(row) < len(COLUMNS):
            expected = f"{len(COLUMNS)} columns ({', '.join(COLUMNS)})"
            raise broken(path, number, expected, str(len(row)))
        span = find_words(row[2], row[1])
        mentions = (Mention("T1", LABEL, (span,), attributes=_attributes(row)),) if span else ()
        yield AnnotatedNote(row[0].strip() or str(number), row[2], mentions)


def find_words(text: str, words: str) -> Optional[Tuple[int, int]]:
    """Find words in a text, whatever their case and the white space between them.

    text (str): a sentence. words (str): what to find.
    RETURNS (Optional[Tuple[int, int]]): the first place, as characters; None if not there.
    """
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    match = re.search(pattern, text, re.IGNORECASE) if pattern else None
    return match.span() if match else None


def _attributes(row: list) -> Dict[str, Union[str, bool]]:
    found: Dict[str, Union[str, bool]] = {}
    for name, column in FIELDS.items():
        value = VALUES[name].get(row[column].strip().lower())
        if value is not None:
            found[name] = value
    return found
