"""Labelled contexts of abbreviations out of plain text: where the long form is written out.

"... with multiple sclerosis since ..." becomes a context of MS with the first of its senses:
silver data, after Pakhomov (2002). Where a text defines a form, "multiple sclerosis (MS)", the
form's other occurrences in that text are contexts as authors write them.
"""

import random
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, DefaultDict, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Tuple

from ..corpora.passages import Passage
from ..models.abbreviations import REACH, Mention, context_features

SILVER, WRITTEN = "silver", "written"
TRAIN, TEST = "train", "test"
# Of five documents one is held out; settings were chosen on other fifths.
FOLDS, HELD_OUT = 5, 2
PER_DOCUMENT = 3
Trie = Dict[str, Any]


class Context(NamedTuple):
    """A labelled context.

    sense (int): number of the long form. features (Tuple[str, ...]): see `context_features`.
    source (str): where the document comes from.
    """

    sense: int
    features: Tuple[str, ...]
    source: str


@dataclass
class Pool:
    """A random sample of what streams by, of bounded size.

    size (int): most contexts kept. seen (int): contexts offered.
    """

    size: int
    rng: random.Random
    seen: int = 0
    kept: List[Context] = field(default_factory=list)

    def add(self, context: Context) -> None:
        """Offer a context."""
        self.seen += 1
        if len(self.kept) < self.size:
            self.kept.append(context)
        elif (place := self.rng.randrange(self.seen)) < self.size:
            self.kept[place] = context


# By form, part (train, test), kind (silver, written) and sense.
Key = Tuple[str, str, str, int]


class Harvest:
    """Contexts of the ambiguous forms of a table, collected in one pass over a text.

    table (Mapping): forms and variants. size (int): contexts kept of each form, part, kind and
    sense. seed (int): of the sample.
    """

    def __init__(self, table: Mapping[str, Any], size: int = 2000, seed: int = 0):
        self.forms = {form: tuple(x) for form, x in table["forms"].items() if len(x) > 1}
        self.long_forms = _index_long_forms(self.forms, table.get("variants", {}))
        self.pattern = re.compile(rf"\b({trie_pattern(self.long_forms)})s?\b")
        self.own = {form: _own_pattern(form, self.long_forms) for form in self.forms}
        every = _index_long_forms(table["forms"], table.get("variants", {}))
        self.short = {phrase: senses[0][0] for phrase, senses in every.items()}
        self.shortened = re.compile(rf"\b({trie_pattern(self.short)})s?\b", re.IGNORECASE)
        rng = random.Random(seed)
        self.pools: DefaultDict[Key, Pool] = defaultdict(lambda: Pool(size, rng))
        self.documents: DefaultDict[str, int] = defaultdict(int)
        self.n_characters = 0

    def add(self, passage: Passage) -> None:
        """Take the contexts of a document."""
        text = passage.text.replace("\u2019", "'")
        self.documents[passage.source] += 1
        self.n_characters += len(text)
        part = TEST if zlib.crc32(text.encode("utf8")) % FOLDS == HELD_OUT else TRAIN
        n_taken: DefaultDict[Tuple[str, str, int], int] = defaultdict(int)
        for form, kind, sense, start, end in self._places(text):
            n_taken[form, kind, sense] += 1
            if n_taken[form, kind, sense] <= PER_DOCUMENT:
                before, after = self._around(text, form, start, end)
                pool = self.pools[form, part, kind, sense]
                pool.add(_context(sense, Mention(form, before, after), passage.source))
                if part == TRAIN:
                    short = Mention(form, self._shorten(before), self._shorten(after))
                    pool.add(_context(sense, short, passage.source))

    def of(self, form: str, part: str, kind: str) -> List[Context]:
        """The contexts of a form. RETURNS (List[Context]): in a fixed order."""
        senses = range(len(self.forms[form]))
        keys = [key for s in senses if (key := (form, part, kind, s)) in self.pools]
        return [context for key in keys for context in self.pools[key].kept]

    def _places(self, text: str) -> Iterator[Tuple[str, str, int, int, int]]:
        """Where long forms stand, and defined forms: form, kind, sense, start, end."""
        defined: Dict[str, Tuple[int, int]] = {}
        for match in self.pattern.finditer(_lower(text)):
            for form, sense in self.long_forms[match.group(1)]:
                yield form, SILVER, sense, match.start(), match.end()
                if text.startswith(f"({form})", match.end() + 1):
                    defined.setdefault(form, (sense, match.end() + 1 + len(form)))
        for form, (sense, after) in defined.items():
            for match in re.finditer(rf"(?<!\w){re.escape(form)}(?!\w)", text[after:]):
                yield form, WRITTEN, sense, after + match.start(), after + match.end()

    def _around(self, text: str, form: str, start: int, end: int) -> Tuple[str, str]:
        """The text before and after a place, without other long forms of the form."""
        before = self.own[form].sub(" ", text[max(0, start - REACH) : start])
        return before, self.own[form].sub(" ", text[end : end + REACH])

    def _shorten(self, text: str) -> str:
        """Write what can be abbreviated as a note would."""
        return self.shortened.sub(lambda match: self.short[match.group(1).lower()], text)


def _context(sense: int, mention: Mention, source: str) -> Context:
    return Context(sense, tuple(sorted(context_features(mention))), source)


def harvest(
    passages: Iterable[Passage], table: Mapping[str, Any], size: int = 2000, seed: int = 0
) -> Harvest:
    """Collect contexts in one pass.

    passages (Iterable[Passage]): the text. table (Mapping): forms and variants.
    size (int): contexts kept of each form, part, kind and sense. seed (int): of the sample.
    RETURNS (Harvest): the contexts.
    """
    found = Harvest(table, size, seed)
    for passage in passages:
        found.add(passage)
    return found


def trie_pattern(phrases: Iterable[str]) -> str:
    """Write a regular expression for many phrases that tries no beginning twice.

    phrases (Iterable[str]): what is to be found.
    RETURNS (str): finds the longest phrase at a place.
    """
    root: Trie = {}
    for phrase in phrases:
        node = root
        for letter in phrase:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _write_trie(root)


def _write_trie(node: Trie) -> str:
    branches = [re.escape(x) + _write_trie(node[x]) for x in sorted(node) if x]
    if not branches:
        return ""
    if len(branches) == 1 and "" not in node:
        return branches[0]
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")


def _index_long_forms(
    forms: Mapping[str, Tuple[str, ...]], variants: Mapping[str, Iterable[str]]
) -> Dict[str, List[Tuple[str, int]]]:
    """Which senses of which forms a phrase in lower case stands for; none if it is unclear."""
    index: DefaultDict[str, List[Tuple[str, int]]] = defaultdict(list)
    for form, long_forms in forms.items():
        for sense, long_form in enumerate(long_forms):
            for phrase in {long_form, *variants.get(long_form, ())}:
                index[phrase.lower()].append((form, sense))
    return dict(index)


def _own_pattern(form: str, long_forms: Mapping[str, List[Tuple[str, int]]]) -> "re.Pattern[str]":
    """Finds every long form of a form, which its contexts must not give away."""
    phrases = [phrase for phrase, senses in long_forms.items() if form in dict(senses)]
    return re.compile(rf"\b(?:{trie_pattern(phrases)})s?\b", re.IGNORECASE)


def _lower(text: str) -> str:
    """Write small letters; those that would be longer stay, so that offsets do."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(x.lower() if len(x.lower()) == 1 else x for x in text)
