"""Headings of sections: where one stands at the beginning of a unit of text, and what it means."""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Dict, List, NamedTuple, Optional, Tuple

from spacy.matcher.levenshtein import levenshtein

RESOURCE = "resources/en/sections.json"
MOST_WORDS = 8
# A title this short is only a heading with a colon, alone in its line, or in capitals.
SHORT = 4
# Misspelt titles: so many letters may differ, by the length of the title.
EDITS = ((6, 1), (11, 2))

NUMBERING = re.compile(r"^(?:[\s#*•·=_>\-–]|\(?\d{1,2}[.)]\s|[ivx]{1,4}[.)]\s)+", re.I)
BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
RULE = re.compile(r"[\s#*=_:.\-–]+$")
WORDS = re.compile(r"[^\s]+")
COLON = re.compile(r"[^:\n]{1,70}?(?::|\s[-–]\s)")
CAPITALS = re.compile(r"[A-Z][A-Z0-9/&+.'’,\- ]*[A-Z.](?=[\s:(\-]|$)")
OPENING = re.compile(r"\S+(?:\s\S+){0,2}")


class Heading(NamedTuple):
    """A heading at the beginning of a unit.

    end (int): one past its last character in the unit, its colon included.
    name (str): the section's normalised name, "" if the title is not known.
    exact (bool): the title is in the list as it stands.
    alone (bool): nothing follows it in its line.
    """

    end: int
    name: str
    exact: bool
    alone: bool


@lru_cache(maxsize=1)
def load_titles() -> Dict[str, str]:
    """Read the titles. RETURNS (Dict[str, str]): Name of the section by title, in small letters."""
    found = json.loads(files("clinbert_spacy").joinpath(RESOURCE).read_text("utf8"))["titles"]
    return {title: name for name, titles in found.items() for title in titles}


def section_names() -> List[str]:
    """List the normalised names. RETURNS (List[str]): In the order of the resource."""
    return list(dict.fromkeys(load_titles().values()))


def normalise(title: str) -> str:
    """Write a title as the list does.

    title (str): E.g. "3. PMHx (per GP):".
    RETURNS (str): E.g. "pmhx".
    """
    bare = RULE.sub("", NUMBERING.sub("", BRACKETS.sub("", title)))
    return " ".join(bare.lower().replace("’", "'").split())


@lru_cache(maxsize=4096)
def look_up(title: str) -> Tuple[str, bool]:
    """Find what a title means.

    title (str): A normalised title.
    RETURNS (Tuple[str, bool]): Name of the section, "" if unknown; whether it is in the list as it
        stands, and not misspelt.
    """
    titles = load_titles()
    if title in titles:
        return titles[title], True
    allowed = max((edits for length, edits in EDITS if len(title) >= length), default=0)
    near = [
        (levenshtein(title, other, allowed), other)
        for other in titles
        if allowed and abs(len(other) - len(title)) <= allowed
    ]
    distance, best = min(near, default=(allowed + 1, ""))
    return (titles[best], False) if distance <= allowed else ("", False)


def find_heading(unit: str) -> Optional[Heading]:
    """Find the heading that a sentence or line begins with.

    Tried in this order: what stands before a colon or dash, the whole line, words in capitals,
    the first three, two and one words.

    unit (str): A sentence or a line, without white space around it.
    RETURNS (Optional[Heading]): The heading; name "" for something that only looks like one.
    """
    line = unit.split("\n", 1)[0].rstrip()
    colon = COLON.match(line)
    if colon:
        found = _heading(line, colon.end())
        if found and (found.name or line[colon.end() - 1] == ":"):
            return found
    if len(WORDS.findall(line)) <= MOST_WORDS and line[-1:] not in ".,;?!":
        found = _heading(line, len(line))
        if found and (found.name or line.isupper()):
            return found
    capitals = CAPITALS.match(line)
    if capitals and len(capitals.group()) > 1:
        found = _heading(line, capitals.end())
        if found and found.name:
            return found
    return _opening(line)


def _opening(line: str) -> Optional[Heading]:
    """A known abbreviation that runs on without a colon: `DH rizatriptan`, `O/E alert`."""
    opening = OPENING.match(line)
    words = opening.group().split(" ") if opening else []
    for count in range(len(words), 0, -1):
        title = " ".join(words[:count])
        known = title.lower() in load_titles()
        if known and (title[0].isupper() or "/" in title) and _is_short_form(title):
            return _heading(line, len(title))
    return None


def _is_short_form(title: str) -> bool:
    letters = [c for c in title if c.isalpha()]
    capitals = sum(c.isupper() for c in letters)
    return len(letters) > 1 and (2 * capitals >= len(letters) or "/" in title)


def _heading(line: str, end: int) -> Optional[Heading]:
    title = normalise(line[:end])
    if not title or len(title.split()) > MOST_WORDS:
        return None
    name, exact = look_up(title)
    rest = line[end:].strip(" :-–=*_")
    return Heading(end, name, exact, not rest)
