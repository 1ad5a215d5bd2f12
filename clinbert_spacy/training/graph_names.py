"""Names of concepts as entries of a lexicon: cleaned, varied, and without the hopeless ones."""

import json
import re
from functools import cache
from importlib.resources import files
from itertools import islice, product
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from ..models.lexicon import key_of, normalise, stop_words
from .graph_merge import PROBLEM, Concept, family, prefix_of

RULES = "lexicon_rules.json"
MAX_WORDS = 8  # of a key: longer ones are sentences, or formulas
MAX_ICD_WORDS = 5  # descriptions of codes are written for coders
MIN_LETTERS = 3
MAX_SHORT = 2  # words of one or two characters in a name: more make a formula
MAX_VARIANTS = 8
MAX_VARIED = 4  # words of a name that is varied

_INSERTED = re.compile(r"\s+\([^()]*\)")
_FORMULA = re.compile(r"[\[\]{}<>=;|^~%]|\d,\d+-|\(\d|\([+-]|[a-z]\(|\)[a-z]", re.IGNORECASE)
_CODE = "ICD10CM"


@cache
def _rules() -> Mapping[str, Any]:
    text = (files("clinbert_spacy.resources.en") / RULES).read_text("utf8")
    return json.loads(text)


@cache
def _never() -> frozenset[str]:
    return stop_words(common=False)


@cache
def _equal() -> Mapping[str, Tuple[str, ...]]:
    groups = [tuple(normalise(word) for word in group) for group in _rules()["equal"]]
    return {word: tuple(x for x in group if x != word) for group in groups for word in group}


def entries_of(concepts: Sequence[Concept]) -> Dict[str, List[int]]:
    """Collect the names of concepts.

    concepts (Sequence[Concept]): concepts.
    RETURNS (Dict[str, List[int]]): by key, indices of the concepts that bear the name: those that
        prefer it first. A variant that no ontology has never overrides a name that one has.
    """
    preferred: Dict[str, List[int]] = {}
    others: Dict[str, List[int]] = {}
    for index, concept in enumerate(concepts):
        for term in concept.terms:
            is_code = prefix_of(term.id) == _CODE
            for name in (term.name, *term.names):
                target = preferred if name == term.name and not is_code else others
                for key in keys_of(name, is_code):
                    target.setdefault(key, []).append(index)
    for key, indices in _written_names(preferred, others):
        others.setdefault(key, []).extend(indices)
    entries = {key: _unique(preferred.get(key, []) + others.get(key, [])) for key in
               preferred | others}  # fmt: skip
    for key, indices in list(entries.items()):
        if indices and family(concepts[indices[0]].kinds) == PROBLEM:
            for variant in variants_of(key):
                entries.setdefault(variant, indices)
    return {key: indices for key, indices in entries.items() if indices}


def _written_names(
    preferred: Mapping[str, List[int]], others: Mapping[str, List[int]]
) -> Iterator[Tuple[str, List[int]]]:
    """Names that clinicians write, with the concepts that the ontologies call otherwise."""
    for name, written in _rules()["names"].items():
        key = key_of(name)
        found = preferred.get(key) or others.get(key) or []
        yield from ((key_of(other), found) for other in written)


def _unique(indices: Iterable[int]) -> List[int]:
    return list(dict.fromkeys(indices))


def keys_of(name: str, is_code: bool = False) -> Iterator[str]:
    """Clean a name, and make the keys that it has.

    name (str): a name as an ontology writes it.
    is_code (bool): it describes a class of a classification, and is held shorter.
    YIELDS (str): keys; none for a name that running text does not have.
    """
    for ending in _rules()["cut"]:
        name = name.removesuffix(ending)
    readings = {name, _INSERTED.sub("", name)}
    for reading in sorted(readings):
        key = key_of(reading.strip())
        if is_name(reading, key) and not (is_code and key.count(" ") >= MAX_ICD_WORDS):
            yield key


def is_name(name: str, key: str) -> bool:
    """Tell whether running text may have a name.

    name (str): the name. key (str): its key.
    RETURNS (bool): it is no formula, no sentence, no number, no stop word.
    """
    words = key.split(" ")
    if not key or key in _never() or len(words) > MAX_WORDS or _FORMULA.search(name):
        return False
    if sum(len(word) < MIN_LETTERS for word in words) > MAX_SHORT:
        return False
    if key.isupper():
        return sum(map(str.isalpha, key)) >= MIN_LETTERS
    if any(word in _rules()["drop"] for word in words):
        return False
    return max(map(len, words)) >= MIN_LETTERS and any(
        word.isalpha() and len(word) >= MIN_LETTERS for word in words
    )


def variants_of(key: str) -> List[str]:
    """Put words of the same meaning in the place of others.

    key (str): key of a disease or symptom: "kidney neoplasm".
    RETURNS (List[str]): other keys: "renal neoplasm", "kidney cancer", ...
    """
    words = key.split(" ")
    if len(words) == 1 or len(words) > MAX_VARIED:
        return []
    choices = [(word, *_equal().get(word, ())) for word in words]
    made = (" ".join(chosen) for chosen in product(*choices))
    return [variant for variant in islice(made, MAX_VARIANTS + 1) if variant != key]
