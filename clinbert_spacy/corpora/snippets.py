"""Short texts with marks in them: `{words|LABEL|values|links}`, one JSON object a line."""
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

from ..attributes import AXES, CAUSALITIES, DRUG_AXES, KINDS, PROBLEM_AXES
from .files import broken, lines_of, read_text
from .links import ATTRIBUTES
from .record import ASSERTED, AnnotatedNote, Mention, Relation, check_note, with_meta

MARK = re.compile(r"\{([^{}|]+)\|([^{}|]+)\|([^{}|]*)(?:\|([^{}|]*))?\}")
LABEL_AXES = {
    "DISEASE": PROBLEM_AXES, "SYMPTOM": PROBLEM_AXES, "DRUG": DRUG_AXES,
    **{label: () for label in ("TEST", "LAB_VALUE", "PROCEDURE", "ANATOMY", *ATTRIBUTES)},
}  # fmt: skip
_NAMES = {axis: name for name, axis in ASSERTED.items()}
# How a link is written, the label of its head, and the relations that it is, by its tail's label.
_LINKS: Dict[str, Tuple[str, Dict[str, str]]] = {
    "AE": ("DRUG", {label: "ADVERSE_EFFECT" for label in ("DISEASE", "SYMPTOM", "TEST")}),
    "TREATS": ("DRUG", {label: "TREATS" for label in ("DISEASE", "SYMPTOM")}),
    "OF": ("DRUG", {label: f"HAS_{label}" for label in ATTRIBUTES}),
    "VALUE": ("TEST", {"LAB_VALUE": "HAS_VALUE"}),
}


def read_snippets(path: Union[str, Path], encoding: str = "utf-8") -> Iterator[AnnotatedNote]:
    """Read snippets.

    path (Union[str, Path]): JSONL with `id` and `note`: text in which every problem reads
        `{words|DISEASE|presence,experiencer,time}` or `{words|SYMPTOM|...}`, every drug
        `{words|DRUG|status}`, with the values of `attributes.AXES`; what else is marked has no
        values: `{words|TEST|}`, `{words|ROUTE|}`. A drug or test with links has a number of its
        own behind a further bar, `{words|DRUG|status|1}`, `{words|TEST||2}`; what is linked to it
        says so there: `{words|SYMPTOM|...|AE:1:stated:reaction}`, `{words|DISEASE|...|TREATS:1}`,
        `{words|STRENGTH||OF:1}`, `{words|LAB_VALUE||VALUE:2}`, several split by `;`. A test may
        carry both: `{words|TEST||2;AE:1:stated:reaction}`.
    encoding (str): its encoding.
    YIELDS (AnnotatedNote): a note a line, its marks taken out of the text; meta "summary", where a
        line has it: first character and end of its summary's sentences.
    Raises CorpusError naming file and line for another shape, an unknown label or value.
    """
    for number, line in enumerate(lines_of(read_text(path, encoding)), 1):
        if line.strip():
            name, marked = fields_of(path, number, line)
            note = AnnotatedNote(name, *_unmark(path, number, marked))
            chosen = _chosen(path, number, json.loads(line).get("summary"), len(note.text))
            yield check_note(note if chosen is None else with_meta(note, summary=chosen))


def _chosen(
    path: Union[str, Path], number: int, rows: Any, length: int
) -> Optional[List[List[int]]]:
    if rows is None:
        return None
    fits = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 2 and all(type(x) is int for x in row) for row in rows
    )
    if not fits or not all(0 <= start < end <= length for start, end in rows):
        expected = f"summary as pairs of characters of a text of {length}"
        raise broken(path, number, expected, "something else")
    return [list(row) for row in rows]


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
) -> Tuple[str, Tuple[Mention, ...], Tuple[Relation, ...]]:
    pieces: List[str] = []
    mentions: List[Mention] = []
    links: List[Tuple[str, str, str]] = []
    length = at = 0
    for match in MARK.finditer(marked):
        words, label, values, link = match.groups()
        before = marked[at : match.start()]
        start = length + len(before)
        length, at = start + len(words), match.end()
        pieces += [before, words]
        attributes = _attributes(path, number, label, values)
        name = f"T{len(mentions) + 1}"
        mentions.append(Mention(name, label, ((start, length),), attributes=attributes))
        links.append((name, label, link or ""))
    text = "".join([*pieces, marked[at:]])
    if "{" in text or "}" in text:
        raise broken(path, number, "marks {words|LABEL|values}", "a brace outside of any")
    return text, tuple(mentions), _relations(path, number, links)


def _relations(
    path: Union[str, Path], number: int, links: List[Tuple[str, str, str]]
) -> Tuple[Relation, ...]:
    split = [
        (name, label, part.strip())
        for name, label, link in links
        for part in (link.split(";") if link else ())
    ]
    numbered = [(part, label) for _, label, part in split if part.isdecimal()]
    heads = {part: (name, label) for name, label, part in split if part.isdecimal()}
    if len(heads) < len(numbered) or any(label not in ("DRUG", "TEST") for _, label in numbered):
        raise broken(path, number, "a number at one drug or test", f"numbers {numbered}")
    relations: List[Relation] = []
    for name, label, part in split:
        if not part.isdecimal():
            kind, _, rest = part.partition(":")
            head, *said = rest.split(":")
            wanted, names = _LINKS.get(kind, ("", {}))
            if label not in names or heads.get(head, ("", ""))[1] != wanted:
                expected = f"a link of {sorted(_LINKS)} that fits {label}, to its drug or test"
                raise broken(path, number, expected, repr(part))
            place, told = f"R{len(relations) + 1}", _said(path, number, kind, said)
            relations.append(Relation(place, names[label], heads[head][0], name, told))
    return tuple(relations)


def _said(
    path: Union[str, Path], number: int, kind: str, said: List[str]
) -> Dict[str, Union[str, bool]]:
    if kind != "AE" and not said:
        return {}
    if kind != "AE" or len(said) != 2 or said[0] not in CAUSALITIES or said[1] not in KINDS:
        wanted = f"one of {CAUSALITIES} and one of {KINDS} behind AE, nothing behind others"
        raise broken(path, number, wanted, repr(":".join(said)))
    return {"Causality": said[0], "Kind": said[1]}


def _attributes(
    path: Union[str, Path], number: int, label: str, values: str
) -> Dict[str, Union[str, bool]]:
    if label not in LABEL_AXES:
        raise broken(path, number, f"a label of {sorted(LABEL_AXES)}", repr(label))
    axes, found = LABEL_AXES[label], values.split(",") if values else []
    if len(axes) != len(found) or any(v not in AXES[a] for a, v in zip(axes, found)):
        wanted = ",".join(axes)
        raise broken(path, number, f"{wanted} of attributes.AXES at {label}", repr(values))
    return {_NAMES[axis]: value for axis, value in zip(axes, found)}
