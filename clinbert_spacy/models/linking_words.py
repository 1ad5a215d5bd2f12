"""Names and mentions as bags of words: what may differ between two names of one concept."""

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Tuple

from .lexicon_words import normalise

RULES = "linking_rules.json"
CACHED = 300_000  # names, at most
STEM = 5  # letters that two words of one root must share, at least
_INSERTED = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")


@cache
def _rules() -> Mapping[str, Any]:
    text = (files("clinbert_spacy.resources.en") / RULES).read_text("utf8")
    return json.loads(text)


@cache
def _equal() -> Dict[str, str]:
    groups = [[normalise(word) for word in group] for group in _rules()["equal"]]
    return {word: group[0] for group in groups for word in group}


@cache
def _dropped() -> FrozenSet[str]:
    return frozenset(map(normalise, _rules()["drop"]))


@cache
def _salts() -> FrozenSet[str]:
    return frozenset(map(normalise, _rules()["salts"]))


def symbols() -> Mapping[str, str]:
    """Read the symbols of chemistry. RETURNS (Mapping[str, str]): name by symbol, as written."""
    return _rules()["symbols"]


@lru_cache(CACHED)
def words_of(name: str) -> Tuple[str, ...]:
    """Cut a name into words that can be compared.

    name (str): a name, or a mention.
    RETURNS (Tuple[str, ...]): normal words in their order; words of one meaning are made one,
        Roman numerals Arabic, words that say nothing left out unless nothing else is there.
    """
    plain = normalise(name)
    for phrase, word in _rules()["phrases"].items():
        plain = plain.replace(phrase, word)
    words = [word for word in plain.split(" ") if any(map(str.isalnum, word))]
    roman = _rules()["roman"]
    words = [_equal().get(w, roman.get(w, w) if i else w) for i, w in enumerate(words)]
    return tuple(word for word in words if word not in _dropped()) or tuple(words)


@lru_cache(CACHED)
def order_free(name: str) -> str:
    """Make "renal cell carcinoma" of "Carcinoma, Renal Cell" and of itself one string.

    name (str): a name, or a mention.
    RETURNS (str): its normal words, sorted, without signs.
    """
    return " ".join(sorted(w for w in normalise(name).split(" ") if any(map(str.isalnum, w))))


@lru_cache(CACHED)
def bag_of(name: str) -> str:
    """Make one string of what a name says, whatever the order of its words.

    name (str): a name, or a mention.
    RETURNS (str): its words, sorted, each once.
    """
    return " ".join(sorted(set(words_of(name))))


def base_of(name: str) -> str:
    """Leave the words for salts out of a chemical's bag.

    name (str): a name, or a mention.
    RETURNS (str): the other words, sorted; all of them if no other is there.
    """
    words = bag_of(name).split(" ")
    return " ".join(word for word in words if word not in _salts()) or " ".join(words)


def same_root(first: str, second: str) -> bool:
    """Tell whether two words may be forms of one, as "acromegalic" and "acromegaly" are.

    first (str): a normal word. second (str): another.
    RETURNS (bool): they are equal, or share a beginning of five letters and of two thirds.
    """
    if first == second:
        return True
    shorter, longer = sorted((first, second), key=len)
    n = max(STEM, (2 * len(longer) + 2) // 3)
    return len(shorter) >= n and shorter[:n] == longer[:n]


def without_insertions(name: str) -> str:
    """Take parentheses out, as in "glucose-6-phosphate dehydrogenase (G6PD) deficiency"."""
    return " ".join(_INSERTED.sub(" ", name).split()) or name


def expansions(text: str, long_forms: Mapping[str, str]) -> Iterator[str]:
    """Read a mention in other ways: abbreviations written out, symbols named.

    text (str): the mention.
    long_forms (Mapping[str, str]): what short forms of the note stand for.
    YIELDS (str): readings, the likeliest first, the mention itself last.
    """
    plain = without_insertions(text)
    words: List[str] = re.findall(r"[\w+-]+|[^\w\s]", plain)
    if text in long_forms:
        yield without_insertions(long_forms[text])
        return
    if any(word in long_forms for word in words):
        yield " ".join(without_insertions(long_forms.get(word, word)) for word in words)
    elif text in symbols():
        yield symbols()[text]
    yield plain
