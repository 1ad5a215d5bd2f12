"""A knowledge base on disk: scispaCy's files, and beside them what its format cannot hold."""

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import srsly

KB, FORMS, LINKS = "kb.jsonl", "forms.msgpack", "links.json"
CARD, RANKER = "card.json", "ranker.json"
INDEX, VECTORIZER = "nmslib_index.bin", "tfidf_vectorizer.joblib"
VECTORS, ALIASES = "tfidf_vectors_sparse.npz", "concept_aliases.json"
NEEDED = (KB, FORMS, LINKS, CARD, INDEX, VECTORIZER, VECTORS, ALIASES)
MOST_ALIKE = 20  # names of the same words, at most
EF_SEARCH = 500  # scispaCy's default, 200, misses the nearest name of one mention in thirty
STEPS = 3  # from a concept to one of the wanted vocabularies
SURE = {"free": 1.0, "bag": 0.9, "salt": 0.9}  # similarity of names that are alike by their words


class Link(NamedTuple):
    """What scispaCy's format has no place for; see `training.kb_entries.Entry`."""

    also: List[str]
    referred: List[str]
    own: List[str]
    headings: List[str]
    same: List[str]
    alike: List[str]
    up: List[str]


class ConceptBase:
    """Concepts and their names, with scispaCy's generator of candidates.

    generator (CandidateGenerator): scispaCy's. links (Dict[str, Link]): by id. card (Dict): what
    it is made of. ranker (Optional[Dict]): weights that were fitted on it.
    """

    def __init__(self, folder: Union[str, Path], ef_search: int = EF_SEARCH) -> None:
        """Load a base. Nothing is downloaded.

        folder (Union[str, Path]): folder that `clinbert build-kb` wrote.
        ef_search (int): how far scispaCy's index is searched.
        RAISES (ValueError): it is none.
        """
        self.folder = check_base(folder)
        self._packed: Optional[bytes] = None
        self.generator = _load_generator(self.folder, ef_search)
        self.links = {id_: Link(*row) for id_, row in json.loads(self._text(LINKS)).items()}
        forms = srsly.read_msgpack(self.folder / FORMS)
        self.rarity: Dict[str, float] = forms["rarity"]
        self._alike: Dict[str, Dict[str, List[str]]] = forms["alike"]
        self.card: Dict[str, Any] = json.loads(self._text(CARD))
        ranker = self.folder / RANKER
        self.ranker = json.loads(ranker.read_text("utf8")) if ranker.is_file() else None

    def _text(self, name: str) -> str:
        return (self.folder / name).read_text("utf8")

    def entity(self, id_: str) -> Any:
        """Look a concept up. id_ (str): its id. RETURNS (Entity): scispaCy's record."""
        return self.generator.kb.cui_to_entity[id_]

    def ids_of(self, id_: str) -> Tuple[str, ...]:
        """All ids of a concept. id_ (str): the one it goes by. RETURNS (Tuple[str, ...]): them."""
        return (id_, *self.links[id_].also)

    def near(self, texts: Sequence[str], k: int) -> List[Dict[str, Dict[str, float]]]:
        """Find candidates by scispaCy, and by names of the very words.

        texts (Sequence[str]): normal forms of mentions. k (int): neighbours of each.
        RETURNS (List[Dict[str, Dict[str, float]]]): for each, by concept, similarity by name.
        """
        found: List[Dict[str, Dict[str, float]]] = []
        for candidates in self.generator(list(texts), k):
            found.append({c.concept_id: dict(zip(c.aliases, c.similarities)) for c in candidates})
        return found

    def alike(self, form: str, words: str) -> Iterable[Tuple[str, str, float]]:
        """Find names of the same words.

        form (str): "free", "bag" or "salt"; see `linking_words`. words (str): them.
        YIELDS (Tuple[str, str, float]): concept, name, similarity.
        """
        for alias in self._alike[form].get(words, ())[:MOST_ALIKE]:
            for id_ in sorted(self.generator.kb.alias_to_cuis[alias]):
                yield id_, alias, SURE[form]

    def reach(self, id_: str, vocabularies: Sequence[str]) -> List[Tuple[str, int]]:
        """Find what stands for a concept in other vocabularies.

        id_ (str): a concept. vocabularies (Sequence[str]): such as "MESH"; none: all of them.
        RETURNS (List[Tuple[str, int]]): ids and how many steps they are away: itself, if it has an
            id there, and the nearest that is held there, unless that is itself.
        """
        if not vocabularies or self.is_listed(id_, vocabularies):
            return [(id_, 0)]
        itself = [(id_, 0)] if self._has(self.ids_of(id_), vocabularies) else []
        seen, level = {id_}, [id_]
        for step in range(1, STEPS + 1):
            following: List[str] = []
            for other, climbs in self._around(level, step):
                if other not in seen:
                    seen.add(other)
                    if self.is_listed(other, vocabularies):
                        return [*itself, (other, step)]
                    following += [other] if climbs else []
            level = following
        return itself

    def _around(self, level: Sequence[str], step: int) -> Iterable[Tuple[str, bool]]:
        """Neighbours; one that only shares a name is as far as that way goes."""
        for id_ in level:
            link = self.links[id_]
            yield from ((other, True) for other in link.same)
            yield from ((other, False) for other in (link.alike if step == 1 else ()))
            yield from ((other, True) for other in link.up)

    def is_listed(self, id_: str, vocabularies: Sequence[str]) -> bool:
        """Tell whether a vocabulary holds a concept, and not only others refer to it there."""
        referred = self.links[id_].referred
        return self._has((x for x in self.ids_of(id_) if x not in referred), vocabularies)

    @staticmethod
    def _has(ids: Iterable[str], vocabularies: Sequence[str]) -> bool:
        return any(id_.partition(":")[0] in vocabularies for id_ in ids)

    def to_bytes(self) -> bytes:
        """Pack its files. RETURNS (bytes): what `from_bytes` takes."""
        if self._packed is not None:
            return self._packed
        check_base(self.folder)
        names = [*NEEDED, *([RANKER] if (self.folder / RANKER).is_file() else [])]
        return srsly.msgpack_dumps({name: (self.folder / name).read_bytes() for name in names})

    @classmethod
    def from_bytes(cls, data: bytes, ef_search: int = EF_SEARCH) -> "ConceptBase":
        """Load a packed base.

        data (bytes): what `to_bytes` gave. ef_search (int): as in `__init__`.
        RETURNS (ConceptBase): it.
        """
        with tempfile.TemporaryDirectory(prefix="clinbert-kb-") as folder:
            unpack(data, Path(folder))
            base = cls(folder, ef_search)
        base._packed = data
        return base


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of a packed base.

    data (bytes): what `ConceptBase.to_bytes` gave. folder (Path): where to; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in srsly.msgpack_loads(data).items():
        if name in (*NEEDED, RANKER):
            (folder / name).write_bytes(content)


def check_base(folder: Union[str, Path]) -> Path:
    """Raise unless a folder holds a base.

    folder (Union[str, Path]): the folder. RETURNS (Path): the same.
    RAISES (ValueError): a file of a base is missing.
    """
    folder = Path(folder)
    if lost := [name for name in NEEDED if not (folder / name).is_file()]:
        raise ValueError(
            f"No knowledge base in {folder}: expected {', '.join(NEEDED)}; missing: "
            f"{', '.join(lost)}. Make one with `clinbert build-kb`."
        )
    return folder


def _load_generator(folder: Path, ef_search: int) -> Any:
    from scispacy.candidate_generation import CandidateGenerator, LinkerPaths
    from scispacy.linking_utils import KnowledgeBase

    aliases, vectorizer, index = LinkerPaths.from_directory(str(folder)).load(ef_search=ef_search)
    return CandidateGenerator(index, vectorizer, aliases, KnowledgeBase(str(folder / KB)))


def alike_of(names: Iterable[str], forms: Mapping[str, Any]) -> Dict[str, Dict[str, List[str]]]:
    """Sort names by their words.

    names (Iterable[str]): names. forms (Mapping[str, Callable]): what makes one string of words.
    RETURNS (Dict[str, Dict[str, List[str]]]): by form and string, the names.
    """
    found: Dict[str, Dict[str, List[str]]] = {form: {} for form in forms}
    for name in names:
        for form, make in forms.items():
            found[form].setdefault(make(name), []).append(name)
    return found
