"""`clinbert.ConceptLinker.v1`: mentions in, ranked concepts of a knowledge base out."""

import json
import math
from collections import OrderedDict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from .linking_base import EF_SEARCH, ConceptBase, unpack
from .linking_features import FEATURES, Names, Reading, read, row_of
from .linking_words import expansions, order_free

RANKER_FILE = "linking_ranker.json"
Key = Tuple[Tuple[str, ...], Tuple[str, ...]]
Rows = Dict[str, List[Tuple[float, ...]]]


class Request(NamedTuple):
    """A mention to link.

    text (str): as it stands in the note. kinds (Tuple[str, ...]): what it may be; empty: anything.
    long_forms (Mapping[str, str]): what short forms of the note stand for.
    """

    text: str
    kinds: Tuple[str, ...] = ()
    long_forms: Mapping[str, str] = {}


class Linked(NamedTuple):
    """A concept that a mention may mean: id, preferred name, probability in [0, 1]."""

    id: str
    name: str
    score: float


def ConceptLinker(
    path: Optional[Union[str, Path]] = None,
    vocabularies: Sequence[str] = (),
    candidates: int = 30,
    ef_search: int = EF_SEARCH,
    cache: int = 50_000,
    exact: bool = True,
) -> "Linker":
    """Registered as clinbert.ConceptLinker.v1.

    path (Optional[Union[str, Path]]): folder that `clinbert build-kb` wrote, read when first
        needed; None: the base comes with the saved component, or by `load`.
    vocabularies (Sequence[str]): link to concepts of these alone, such as "MESH"; another concept
        is replaced by the nearest of theirs. Empty: all of the base.
    candidates (int): names near a mention that are looked at.
    ef_search (int): how far scispaCy's index is searched: higher finds more, and takes longer.
    cache (int): mentions whose concepts are kept in memory.
    exact (bool): a mention that is a name of the base, word by word, is not looked for in the
        index: more than twice as fast, and fewer concepts beside the right one.
    RETURNS (Linker): the linker.
    RAISES (ValueError): a number that is not positive.
    """
    for name, value in (("candidates", candidates), ("ef_search", ef_search), ("cache", cache)):
        if value < 1:
            raise ValueError(f"{name} = {value}: expected at least 1.")
    return Linker(path, tuple(vocabularies), candidates, ef_search, cache, exact)


class Linker:
    """A knowledge base, a linear ranker over its candidates, and a memory of what was asked."""

    def __init__(
        self,
        path: Optional[Union[str, Path]],
        vocabularies: Tuple[str, ...],
        k: int,
        ef_search: int,
        size: int,
        exact: bool = True,
    ) -> None:
        self.path, self.vocabularies = path, vocabularies
        self.k, self.ef_search, self.size, self.exact = k, ef_search, size, exact
        self._base: Optional[ConceptBase] = None
        self._memory: OrderedDict[Key, List[Linked]] = OrderedDict()
        self._reach: Dict[str, List[Tuple[str, int]]] = {}

    @property
    def base(self) -> ConceptBase:
        """RETURNS (ConceptBase): the base. RAISES (ValueError): there is none."""
        if self._base is None:
            if self.path is None:
                raise ValueError(
                    "The linker has no knowledge base. Make one with `clinbert build-kb` and name "
                    "its folder: linker.path in the config of 'clinbert_linker', or "
                    "nlp.get_pipe('clinbert_linker').linker.load(FOLDER)."
                )
            self._base = ConceptBase(self.path, self.ef_search)
        return self._base

    def has_base(self) -> bool:
        """RETURNS (bool): whether a base is loaded, or a folder named."""
        return self._base is not None or self.path is not None

    def load(self, source: Union[str, Path, bytes]) -> None:
        """Take another base.

        source (Union[str, Path, bytes]): its folder, or what `to_bytes` gave.
        RAISES (ValueError): no base there.
        """
        if isinstance(source, bytes):
            self._base = ConceptBase.from_bytes(source, self.ef_search)
        else:
            self._base = ConceptBase(source, self.ef_search)
        self._memory.clear()
        self._reach.clear()

    def to_bytes(self) -> bytes:
        """RETURNS (bytes): the packed base."""
        return self.base.to_bytes()

    def to_disk(self, folder: Path) -> None:
        """Copy the base. folder (Path): where to."""
        if self.base.folder.resolve() != folder.resolve():
            unpack(self.to_bytes(), folder)

    def __getstate__(self) -> Dict[str, Any]:
        state = {**self.__dict__, "_memory": OrderedDict(), "_reach": {}, "_base": None}
        return {**state, "packed": None if self._base is None else self._base.to_bytes()}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        packed = state.pop("packed")
        self.__dict__.update(state)
        if packed is not None:
            self._base = ConceptBase.from_bytes(packed, self.ef_search)

    def rank(self, requests: Sequence[Request]) -> List[List[Linked]]:
        """Rank concepts.

        requests (Sequence[Request]): mentions.
        RETURNS (List[List[Linked]]): for each, concepts by falling score; none where no name of
            the base is near.
        """
        keys = [self.key_of(request) for request in requests]
        unknown = [key for key in dict.fromkeys(keys) if key not in self._memory]
        weights = ranker_of(self.base)
        fresh = {key: self._linked(rows, weights) for key, rows in zip(unknown, self.rows(unknown))}
        found = []
        for key in keys:
            if key in fresh:
                self._memory[key] = fresh[key]
            found.append(self._memory[key])
            self._memory.move_to_end(key)
        while len(self._memory) > self.size:
            self._memory.popitem(last=False)
        return found

    @staticmethod
    def request(text: str, kinds: Sequence[str], long_forms: Mapping[str, str]) -> Request:
        """Make a request; see `Request`."""
        return Request(text, tuple(kinds), long_forms)

    @staticmethod
    def key_of(request: Request) -> Key:
        """RETURNS (Key): ways to read a mention, and the kinds it may be."""
        readings = dict.fromkeys(expansions(request.text, request.long_forms))
        return tuple(readings), request.kinds

    def rows(self, keys: Sequence[Key]) -> List[Rows]:
        """Compare mentions with their candidates.

        keys (Sequence[Key]): ways to read each, and what kinds it may be.
        RETURNS (List[Rows]): for each, by concept, rows of `linking_features.FEATURES`.
        """
        readings = [[read(text) for text in texts] for texts, _ in keys]
        plain = dict.fromkeys(
            reading.plain
            for group, (_, kinds) in zip(readings, keys)
            if not (self.exact and any(self._is_name(reading, kinds) for reading in group))
            for reading in group
        )
        near = dict(zip(plain, self.base.near(list(plain), self.k))) if plain else {}
        return [self._compare(group, kinds, near) for group, (_, kinds) in zip(readings, keys)]

    def _is_name(self, reading: Reading, kinds: Tuple[str, ...]) -> bool:
        """Whether a concept of a wanted kind has the very words as a name."""
        return any(
            not kinds or not set(kinds).isdisjoint(self.base.entity(id_).types)
            for id_, _, _ in self.base.alike("free", reading.free)
        )

    def _compare(
        self, readings: List[Reading], kinds: Tuple[str, ...], near: Mapping[str, Any]
    ) -> Rows:
        base = self.base
        rows: Rows = {}
        for id_, aliases in self._candidates(readings, near).items():
            for target, steps in self._reached(id_):
                listed = not self.vocabularies or base.is_listed(target, self.vocabularies)
                link, entity = base.links[id_], base.entity(target)
                n_names = len(entity.aliases) + len(base.links[target].also) + 1
                names = Names(
                    aliases, link.own, link.headings, entity.types, steps, n_names, listed
                )
                row = row_of(readings, names, kinds, base.rarity)
                rows.setdefault(target, []).append(row)
        return rows

    def _candidates(
        self, readings: List[Reading], near: Mapping[str, Any]
    ) -> Dict[str, Dict[str, float]]:
        found: Dict[str, Dict[str, float]] = {}
        for reading in readings:
            for id_, aliases in near.get(reading.plain, {}).items():
                for alias, similarity in aliases.items():
                    _keep_best(found.setdefault(id_, {}), alias, similarity)
            forms = {"free": reading.free, "bag": reading.bag, "salt": reading.base}
            for form, words in forms.items():
                for id_, alias, similarity in self.base.alike(form, words):
                    _keep_best(found.setdefault(id_, {}), alias, similarity)
        return found

    def _reached(self, id_: str) -> List[Tuple[str, int]]:
        if id_ not in self._reach:
            self._reach[id_] = self.base.reach(id_, self.vocabularies)
        return self._reach[id_]

    def _linked(self, rows: Rows, ranker: Mapping[str, Any]) -> List[Linked]:
        scored = [(best_score(x, ranker["weights"]), id_) for id_, x in rows.items()]
        return [
            Linked(id_, self.base.entity(id_).canonical_name, _probability(score, ranker))
            for score, id_ in sorted(scored, key=lambda pair: (-pair[0], pair[1]))
        ]


def _keep_best(aliases: Dict[str, float], alias: str, similarity: float) -> None:
    aliases[alias] = max(similarity, aliases.get(alias, 0.0))


def best_score(rows: Sequence[Sequence[float]], weights: Sequence[float]) -> float:
    """Score a candidate by its best row.

    rows (Sequence[Sequence[float]]): rows of features. weights (Sequence[float]): of the ranker.
    RETURNS (float): the highest weighted sum.
    """
    return max(sum(w * x for w, x in zip(weights, row)) for row in rows)


def _probability(score: float, ranker: Mapping[str, Any]) -> float:
    raw = ranker["scale"] * score + ranker["offset"]
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, raw))))


@cache
def _shipped() -> Dict[str, Any]:
    text = (files("clinbert_spacy.resources.en") / RANKER_FILE).read_text("utf8")
    return check_ranker(json.loads(text), RANKER_FILE)


def ranker_of(base: ConceptBase) -> Mapping[str, Any]:
    """Weights of a base's own ranker, else those that ship with the package."""
    return _shipped() if base.ranker is None else check_ranker(base.ranker, str(base.folder))


def check_ranker(ranker: Dict[str, Any], place: str) -> Dict[str, Any]:
    """Raise unless a ranker was fitted for these features.

    ranker (Dict[str, Any]): "features", "weights", "scale", "offset". place (str): for the error.
    RETURNS (Dict[str, Any]): the same.
    RAISES (ValueError): other features.
    """
    if ranker.get("features") != list(FEATURES):
        raise ValueError(
            f"The ranker of {place} was fitted for {len(ranker.get('features', ()))} other "
            f"features; expected these {len(FEATURES)}: {', '.join(FEATURES)}. Fit it again with "
            "`clinbert link-fit`."
        )
    return ranker


def match_words(linker: Linker, request: Request) -> List[str]:
    """Find the concept that has the very words of a mention as a name, and nothing more.

    linker (Linker): for its base and vocabularies. request (Request): the mention.
    RETURNS (List[str]): all ids of the first concept of the right kind; none where there is none.
    """
    words = order_free(request.text)
    for id_, _, _ in linker.base.alike("free", words):
        fits = not request.kinds or set(request.kinds) & set(linker.base.entity(id_).types)
        reached = linker.base.reach(id_, linker.vocabularies)
        if fits and reached:
            return list(linker.base.ids_of(reached[0][0]))
    return []
