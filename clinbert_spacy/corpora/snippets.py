"""Short texts with marks in them: `{words|LABEL|values}`, one JSON object a line."""
import json
import re
from pathlib import Path
from typing import Dict, Iterator, List, Tuple, Union

from ..attributes import AXES, DRUG_AXES, PROBLEM_AXES
from .files import broken, lines_of, read_text
from .record import ASSERTED, AnnotatedNote, Mention, check_note

MARK = re.compile(r"\{([^{}|]+)\|([^{}|]+)\|([^{}|]+)\}")
LABEL_AXES = {"DISEASE": PROBLEM_AXES, "SYMPTOM": PROBLEM_AXES, "DRUG": DRUG_AXES}
_NAMES = {axis: name for name, axis in ASSERTED.items()}


def read_snippets(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read snippets.

    path (Union[str, Path]): JSONL with `id` and `note`: text in which every problem reads
        `{words|DISEASE|presence,experiencer,time}` or `{words|SYMPTOM|...}`, every drug
        `{words|DRUG|status}`, with the values of `attributes.AXES`.
    encoding (str): its encoding.
    YIELDS (AnnotatedNote): a note a line, its marks taken out of the text.
    Raises CorpusError naming file and line for another shape, an unknown label or value.
    """
    for number, line in enumerate(lines_of(read_text(path, encoding)), 1):
        if line.strip():
            name, marked = fields_of(path, number, line)
            yield check_note(AnnotatedNote(name, *_unmark(path, number, marked)))


def fields_of(path: Union[str, Path], number: int, line: str) -> Tuple[str, str]:
    """Read a line of a file of marked texts.

    path (Union[str, Path]), number (int): the file and the line, for errors. line (str): JSON.
    RETURNS (Tuple[str, str]): `id` and `note`.
    Raises CorpusError for another shape.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not all(isinstance(row.get(k), str) for k in ("id", "note")):
        # Raised outside the handler: the decoder's error carries the whole line.
        raise broken(path, number, "a JSON object with strings 'id' and 'note'", "something else")
    return row["id"], row["note"]


def _unmark(
    path: Union[str, Path], number: int, marked: str
) -> Tuple[str, Tuple[Mention, ...]]:
    pieces: List[str] = []
    mentions: List[Mention] = []
    length = at = 0
    for match in MARK.finditer(marked):
        words, label, values = match.groups()
        before = marked[at : match.start()]
        start = length + len(before)
        length, at = start + len(words), match.end()
        pieces += [before, words]
        attributes = _attributes(path, number, label, values)
        name = f"T{len(mentions) + 1}"
        mentions.append(Mention(name, label, ((start, length),), attributes=attributes))
    text = "".join([*pieces, marked[at:]])
    if "{" in text or "}" in text:
        raise broken(path, number, "marks {words|LABEL|values}", "a brace outside of any")
    return text, tuple(mentions)


def _attributes(
    path: Union[str, Path], number: int, label: str, values: str
) -> Dict[str, Union[str, bool]]:
    if label not in LABEL_AXES:
        raise broken(path, number, f"a label of {sorted(LABEL_AXES)}", repr(label))
    axes, found = LABEL_AXES[label], values.split(",")
    if len(axes) != len(found) or any(v not in AXES[a] for a, v in zip(axes, found)):
        wanted = ",".join(axes)
        raise broken(path, number, f"{wanted} of attributes.AXES at {label}", repr(values))
    return {_NAMES[axis]: value for axis, value in zip(axes, found)}
