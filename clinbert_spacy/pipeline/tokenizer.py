"""A tokenizer for clinical text: entity boundaries fall on token boundaries.

Clinical writing glues what belongs apart (`10mg`, `x7d`, `HTN/DM2`, `5-FU-induced`). One regular
expression tiles every run of non-space characters into numbers, words and single signs. It is given
to spaCy's own Tokenizer as the infix pattern alone: infixes are found in one pass over the string,
whereas prefixes and suffixes are stripped one at a time, which is quadratic on long runs.
"""

import json
import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from spacy.language import Language
from spacy.symbols import ORTH
from spacy.tokenizer import Tokenizer

ZERO_WIDTH_JOINERS = "\u200c\u200d"
SKIN_TONES = "\U0001f3fb-\U0001f3ff"
EMOJI_TAGS = "\U000e0020-\U000e007f"
# Where Unicode has combining marks: not in the planes of ideographs nor those of private use.
MARK_PLANES = ((0, 0x20000), (0xE0000, 0xE1000))
REGIONAL = "\U0001f1e6-\U0001f1ff"


def create_clinical_tokenizer(
    special_cases: Optional[Dict[str, List[str]]] = None,
) -> Callable[[Language], Tokenizer]:
    """Configure the clinical tokenizer (registered as `clinbert.ClinicalTokenizer.v1`).

    special_cases (Optional[Dict[str, List[str]]]): Strings and the tokens they become, which have
        to join to the same string; None means the shipped contractions ("don't" -> "do", "n't").
    RETURNS (Callable[[Language], Tokenizer]): Builds the tokenizer for a pipeline.
    RAISES (ValueError): If the tokens of a special case do not join to its string.
    """
    cases = read_special_cases() if special_cases is None else special_cases
    rules = dict(_checked_rule(string, tokens) for string, tokens in cases.items())

    def create_tokenizer(nlp: Language) -> Tokenizer:
        finditer = re.compile(token_pattern()).finditer
        return Tokenizer(nlp.vocab, rules=rules, infix_finditer=finditer)

    return create_tokenizer


def read_special_cases() -> Dict[str, List[str]]:
    """Read the shipped contractions, in lower case, with a capital, and in capitals.

    RETURNS (Dict[str, List[str]]): Each contraction and its two tokens.
    """
    path = files("clinbert_spacy.resources") / "en" / "tokenizer.json"
    contractions = json.loads(path.read_text(encoding="utf8"))["contractions"]
    return {"".join(pair): list(pair) for pair in _contraction_pairs(contractions)}


@lru_cache(maxsize=1)
def token_pattern() -> str:
    """Write the regular expression that tiles a string without spaces into tokens.

    RETURNS (str): The pattern; every match is one token.
    """
    # What never starts a token of its own: combining marks, joiners, emoji modifiers and tags.
    extend = f"[{mark_ranges()}{ZERO_WIDTH_JOINERS}{SKIN_TONES}{EMOJI_TAGS}]"
    letter = r"[^\W\d_]"
    return "|".join(
        (
            # 0.5 but neither 1.2.3 nor 12.03.2019; 1,000.5 and 1,000 but not 1,25
            rf"(?<!\d\.)\d+(?:,\d{{3}}(?!\d))*\.\d+(?!\.?\d){extend}*",
            rf"\d+(?:,\d{{3}}(?!\d))*{extend}*",
            r"(?<!\S)\.\d+(?!\.?\d)",
            rf"{letter}+(?:{extend}+{letter}*)*",
            # rules and blanks: one token for ---- or ____
            r"([-=_*~#.])\1{3,}",
            rf"[{REGIONAL}]{{2}}",
            rf"\S{extend}*(?:(?<=\u200d)\S{extend}*)*",
        )
    )


@lru_cache(maxsize=1)
def mark_ranges() -> str:
    """Write Unicode's combining marks (categories Mn, Mc, Me) as ranges of a character class.

    RETURNS (str): Ranges such as "\\u0300-\\u036f", without the brackets.
    """
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in _mark_runs())


def _mark_runs() -> Iterator[Tuple[int, int]]:
    for start, end in MARK_PLANES:
        categories = "".join(map(unicodedata.category, map(chr, range(start, end))))
        for run in re.finditer("(?:M.)+", categories):  # a category is two letters
            yield start + run.start() // 2, start + run.end() // 2 - 1


def _contraction_pairs(contractions: Mapping[str, List[str]]) -> Iterator[Tuple[str, str]]:
    for suffix, stems in contractions.items():
        for stem, mark in product(stems, ("'", "\u2019")):
            ending = suffix.replace("'", mark)
            yield from ((stem, ending), (stem.capitalize(), ending))
            yield stem.upper(), ending.upper()


def _checked_rule(string: str, tokens: List[str]) -> Tuple[str, List[Dict[int, str]]]:
    if "".join(tokens) != string or not all(tokens):
        raise ValueError(
            f"Special case {string!r} of clinbert.ClinicalTokenizer.v1 has the tokens {tokens!r}, "
            "expected non-empty tokens that join to that string: the text is never altered. "
            "Correct `special_cases` in [nlp.tokenizer]."
        )
    return string, [{ORTH: token} for token in tokens]
