"""Words as keys of a lexicon have them: case, plurals, hyphens and spelling made one."""

import re
import unicodedata
from importlib.resources import files
from typing import Dict, FrozenSet

HYPHENS = "-\u2010\u2011\u2013"
APOSTROPHES = "'\u2019\u02bc\u2032`"
ABBREVIATION = 4  # letters, at most
CACHED = 200_000  # words, at most, in each of the caches
STOP_FILE = "lexicon_stop.txt"
COMMON_MARK = "~"  # before a word of the stop file that is kept, but says little alone
BREAK = "\u00b6"  # stands for a blank line, which no name crosses

_WORD = re.compile(rf"[^\W\d_]+|\d+|[^\w\s{re.escape(HYPHENS)}]")
_POSSESSIVE = re.compile(rf"[{APOSTROPHES}]s\b|[{APOSTROPHES}]")
_CAPITALS = "(?:[A-Z0-9]{2,}s?|[A-Z0-9])"
_CASED = re.compile(rf"{_CAPITALS}(?:[{re.escape(HYPHENS)}]{_CAPITALS})*")
_GREEK = str.maketrans(
    {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "κ": "kappa", "ω": "omega"}
)
# (ending of the plural, ending of the singular, letters that must stand before it): first hit wins
_PLURALS = (
    ("crises", "crisis", 0), ("itides", "itis", 1), ("omata", "oma", 1), ("stases", "stasis", 1),
    ("oses", "osis", 4), ("yses", "ysis", 2), ("eses", "esis", 2), ("aches", "ache", 0),
    ("sses", "ss", 1), ("ches", "ch", 2), ("shes", "sh", 2), ("xes", "x", 2), ("ies", "y", 2),
    ("ss", "ss", 0), ("us", "us", 0), ("is", "is", 0), ("s", "", 3),
)  # fmt: skip
_BRITISH = (("ae", "e"), ("oe", "e"), ("sulph", "sulf"), ("umour", "umor"), ("isation", "ization"))

_normal: Dict[str, str] = {}
_cased: Dict[str, str] = {}


def normalise(word: str) -> str:
    """Bring a word, or a whole name, to the form that keys of a lexicon have.

    Case, accents, plurals, possessives, hyphens and British spelling go; letters, numbers and
    signs become words of their own, so that it does not matter how a tokenizer cuts.

    word (str): a token as it stands in the text, or several words.
    RETURNS (str): normal words joined by a space: "non small cell" for "non-small-cell"; empty
        for a hyphen, an apostrophe or a single line break.
    """
    found = _normal.get(word)
    if found is None:
        if len(_normal) >= CACHED:
            _normal.clear()
        found = _normal[word] = _make_normal(word)
    return found


def key_of(name: str) -> str:
    """Make the key of a name: as `normalise`, but short abbreviations keep their capitals.

    name (str): a name as an ontology writes it.
    RETURNS (str): the key: "multiple sclerosis", but "MS"; empty if no word remains.
    """
    if not any(map(str.isalpha, name)):
        return ""
    return abbreviation(name) or normalise(name)


def abbreviation(word: str) -> str:
    """Read a word as an abbreviation, or as a number within one.

    word (str): a token as it stands in the text, or a name.
    RETURNS (str): "MS" for "MS" and "MSs", "IL 2" for "IL-2"; empty for anything that is not in
        capitals or has more than four letters.
    """
    found = _cased.get(word)
    if found is None:
        if len(_cased) >= CACHED:
            _cased.clear()
        n_letters = sum(map(str.isupper, word))
        fits = n_letters <= ABBREVIATION and _CASED.fullmatch(word)
        found = _cased[word] = " ".join(re.findall(r"[A-Z]+|\d+", word)) if fits else ""
    return found


def stop_words(common: bool) -> FrozenSet[str]:
    """Read the stop list of the package.

    common (bool): names that say little alone: those marked in the list, such as "cold", and
        abbreviations that are words in small letters, such as "ALL"; otherwise the words that
        are never names.
    RETURNS (FrozenSet[str]): their keys.
    """
    text = (files("clinbert_spacy.resources.en") / STOP_FILE).read_text("utf8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    marked = {line[1:] for line in lines if line[0] == COMMON_MARK}
    never = {line for line in lines if line[0] != COMMON_MARK}
    if not common:
        return frozenset(map(normalise, never))
    return frozenset({*map(normalise, marked), *(word.upper() for word in marked | never)})


def _make_normal(word: str) -> str:
    if word.isspace():
        return BREAK if word.count("\n") > 1 else ""
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word)
        word = "".join(c for c in parts if not unicodedata.combining(c)).translate(_GREEK)
    words = _WORD.findall(_POSSESSIVE.sub("", word.casefold()))
    return " ".join(_american(_singular(one)) for one in words)


def _singular(word: str) -> str:
    if word[-1] not in "sa":
        return word
    for plural, singular, before in _PLURALS:
        if word.endswith(plural) and len(word) - len(plural) >= before:
            return word[: len(word) - len(plural)] + singular
    return word


def _american(word: str) -> str:
    if len(word) > 5:
        for british, american in _BRITISH:
            word = word.replace(british, american)
    return word
