"""How well a mention and a concept go together, as a row of numbers between 0 and 1."""

import math
from typing import Collection, Dict, Mapping, NamedTuple, Sequence, Tuple

from .lexicon_words import key_of, normalise
from .linking_words import bag_of, base_of, order_free, same_root, words_of

FEATURES = (
    "similarity", "exact_own", "exact_heading", "exact_name", "same_words", "same_but_salt",
    "mention_covered", "name_covered", "both_covered", "head", "number_clash", "initials", "type",
    "steps", "written", "known", "finding", "listed",
)  # fmt: skip
RARE = 12.0  # weight of a word that no name has
MANY = 30  # names and ids of a concept that everybody speaks of


class Names(NamedTuple):
    """What a candidate is compared by.

    aliases (Mapping[str, float]): names near the mention, with scispaCy's similarity.
    own (Collection[str]): names, as `order_free` gives them, that its own ontology prefers.
    headings (Collection[str]): those that some ontology prefers.
    kinds (Collection[str]): what the concept is.
    steps (int): steps from the concept that bears the names to the one that is proposed.
    n_names (int): how many names and ids it has, a sign of how well known it is.
    listed (bool): the ontology of its id holds it, and does not only get referred to.
    """

    aliases: Mapping[str, float]
    own: Collection[str]
    headings: Collection[str]
    kinds: Collection[str]
    steps: int
    n_names: int
    listed: bool


class Reading(NamedTuple):
    """A way to read a mention: as it stands, and in the forms of `linking_words`."""

    text: str
    plain: str
    free: str
    key: str
    words: Tuple[str, ...]
    bag: str
    base: str


def read(text: str) -> Reading:
    """Prepare a reading. text (str): a mention. RETURNS (Reading): its forms."""
    forms = (normalise(text), order_free(text), key_of(text))
    return Reading(text, *forms, words_of(text), bag_of(text), base_of(text))


def row_of(
    readings: Sequence[Reading],
    names: Names,
    wanted: Collection[str],
    rarity: Mapping[str, float],
) -> Tuple[float, ...]:
    """Compare a mention with a candidate.

    readings (Sequence[Reading]): ways to read the mention, the likeliest first.
    names (Names): the candidate.
    wanted (Collection[str]): kinds that the entity's label stands for; empty: any.
    rarity (Mapping[str, float]): weight of a word; one that no name has weighs most.
    RETURNS (Tuple[float, ...]): a number each of `FEATURES`, the best of all names.
    """
    best = [0.0] * 12
    clash = 1.0
    for number, reading in enumerate(readings):
        for alias, similarity in names.aliases.items():
            values = _pair(reading, alias, similarity, names, rarity)
            clash = min(clash, _clash(reading.words, words_of(alias)))
            best = [max(pair) for pair in zip(best, values)]
            if number and values[3]:
                best[11] = 1.0
    kind = float(not wanted or any(kind in wanted for kind in names.kinds))
    known = min(1.0, math.log1p(names.n_names) / math.log1p(MANY))
    finding = float("symptom" in names.kinds and "disease" not in names.kinds)
    return (
        *best[:10], clash, best[10], kind, min(names.steps, 3) / 3, best[11], known, finding,
        float(names.listed),
    )  # fmt: skip


def _pair(
    reading: Reading,
    alias: str,
    similarity: float,
    names: Names,
    rarity: Mapping[str, float],
) -> Tuple[float, ...]:
    free = order_free(alias)
    exact = free == reading.free
    words = words_of(alias)
    in_mention = _covered(reading.words, words, rarity)
    in_name = _covered(words, reading.words, rarity)
    both = 2 * in_mention * in_name / (in_mention + in_name) if in_mention and in_name else 0.0
    return (
        max(0.0, similarity),
        float(exact and free in names.own),
        float(exact and free in names.headings),
        float(exact),
        float(bag_of(alias) == reading.bag),
        float(base_of(alias) == reading.base),
        in_mention,
        in_name,
        both,
        float(bool(words) and bool(reading.words) and same_root(words[-1], reading.words[-1])),
        _initials(reading.text, alias),
        0.0,
    )


def _covered(words: Sequence[str], others: Sequence[str], rarity: Mapping[str, float]) -> float:
    """Share of the weight of words that others have too."""
    total = found = 0.0
    for word in words:
        weight = rarity.get(word, RARE)
        total += weight
        if word in others or any(same_root(word, other) for other in others):
            found += weight
    return found / total if total else 0.0


def _clash(words: Sequence[str], others: Sequence[str]) -> float:
    """Whether each has a number, or a single letter, that the other lacks."""
    first, second = _numbers(words), _numbers(others)
    return float(first != second and bool(first or second)) * (
        1.0 if first - second and second - first else 0.5
    )


def _numbers(words: Sequence[str]) -> frozenset:
    return frozenset(word for word in words if word.isdecimal() or len(word) == 1)


def _initials(text: str, alias: str) -> float:
    """Whether a mention in capitals is made of the first letters of a name's words."""
    letters = "".join(c for c in text if c.isalpha())
    if len(letters) < 2 or sum(map(str.isupper, letters)) < len(letters) - 1:
        return 0.0
    first = "".join(word[0] for word in alias.replace("-", " ").split() if word[0].isalpha())
    return float(first.lower() == letters.lower().removesuffix("s"))


def rarity_of(names: Sequence[str]) -> Dict[str, float]:
    """Weigh words by how few names have them.

    names (Sequence[str]): all names of a base.
    RETURNS (Dict[str, float]): the logarithm of names by names with the word.
    """
    counts: Dict[str, int] = {}
    for name in names:
        for word in set(words_of(name)):
            counts[word] = counts.get(word, 0) + 1
    return {word: math.log(1 + len(names) / n) for word, n in counts.items()}
