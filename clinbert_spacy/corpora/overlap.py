"""What a text for pretraining shares with texts that will be scored: counts and places, no text."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set, Tuple

from .dedupe import RUN_WORDS, RUNS_SHARED, RunIndex, SharedRun
from .files import CorpusError
from .passages import Passage

ALL = "all"
Place = Tuple[int, int]


@dataclass
class HeldOut:
    """A set of texts that will be scored.

    name (str): e.g. "bc5cdr:dev". n_texts (int): how many texts.
    n_short (int): those of fewer words than a run, of which nothing can be said.
    runs (Dict[int, Set[bytes]]): by number of a text in the index, its runs that were found.
    """

    name: str
    n_texts: int = 0
    n_short: int = 0
    runs: Dict[int, Set[bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class SharedDocument:
    """A document of the text with at least one shared run.

    source (str), id (str): as read_texts names it.
    runs (Mapping[str, int]): different shared runs by held-out set, and under "all" by any.
    places (Sequence[Place]): first character and one past the last of what is shared, merged.
    """

    source: str
    id: str
    runs: Mapping[str, int]
    places: Sequence[Place]


class Overlap:
    """Counts what documents share with held-out sets. Add the sets first, then the documents.

    width (int): words a run. shared (int): different runs from which a document counts as shared,
        whichever sets they stand in.
    """

    def __init__(self, width: int = RUN_WORDS, shared: int = RUNS_SHARED) -> None:
        if shared < 1:
            raise CorpusError(f"A document counts from {shared} shared runs; expected at least 1.")
        self.shared = shared
        self.index = RunIndex(width)
        self.sets: List[HeldOut] = []
        self.owner: List[int] = []
        self.sizes: Counter = Counter()
        self.documents: List[SharedDocument] = []
        self.runs: Dict[Tuple[str, str], Set[bytes]] = {}

    def hold_out(self, name: str, texts: Iterable[str]) -> None:
        """Index a held-out set.

        name (str): its name in the report. texts (Iterable[str]): its texts.
        RAISES (CorpusError): the name is taken, or there is no text.
        """
        if name == ALL or any(held.name == name for held in self.sets):
            raise CorpusError(f"Two held-out sets are named {name!r}; expected one. Rename one.")
        held = HeldOut(name)
        for text in texts:
            held.n_short += not self.index.add(text)
            held.n_texts += 1
            self.owner.append(len(self.sets))
        if not held.n_texts:
            raise CorpusError(f"Held-out set {name!r}: expected texts, found none.")
        self.sets.append(held)

    def add(self, passage: Passage) -> bool:
        """Look a document up.

        passage (Passage): a document.
        RETURNS (bool): whether it shares so many runs that it must not be trained on.
        """
        self.sizes[passage.source] += 1
        found = self.index.find(passage.text)
        if not found:
            return False
        runs: Dict[str, Set[bytes]] = {}
        for shared in found:
            for name in [ALL, *self._note(shared)]:
                runs.setdefault(name, set()).add(shared.run)
        for name, seen in runs.items():
            self.runs.setdefault((passage.source, name), set()).update(seen)
        counts = {name: len(seen) for name, seen in runs.items()}
        places = merge((shared.start, shared.end) for shared in found)
        self.documents.append(SharedDocument(passage.source, passage.id, counts, places))
        return counts[ALL] >= self.shared

    def _note(self, shared: SharedRun) -> Set[str]:
        names = set()
        for number in shared.owners:
            held = self.sets[self.owner[number]]
            held.runs.setdefault(number, set()).add(shared.run)
            names.add(held.name)
        return names

    @property
    def n_shared(self) -> int:
        """How many documents share so many runs that they must not be trained on."""
        return sum(document.runs[ALL] >= self.shared for document in self.documents)

    def classes(self) -> List[str]:
        """Names of the counts of a row: "1", "2", "3+"."""
        return [*map(str, range(1, self.shared)), f"{self.shared}+"]

    def rows(self) -> List[Dict[str, Any]]:
        """A row for each source and set with a shared run, then one for each set in all sources.

        RETURNS (List[Dict[str, Any]]): source, against, documents (of the source), shared
            (documents by their number of runs) and runs (different ones).
        """
        keys = sorted((s, name) for s, name in self.runs if name != ALL)
        rows = [self._row([source], name, source) for source, name in keys]
        names = [held.name for held in self.sets]
        return rows + [self._row(list(self.sizes), name, ALL) for name in [*names, ALL]]

    def _row(self, sources: Sequence[str], name: str, shown: str) -> Dict[str, Any]:
        counts = Counter(
            min(document.runs[name], self.shared)
            for document in self.documents
            if document.source in sources and name in document.runs
        )
        runs: Set[bytes] = set().union(*(self.runs.get((s, name), set()) for s in sources))
        return {
            "source": shown,
            "against": name,
            "documents": sum(self.sizes[source] for source in sources),
            "shared": {label: counts[i] for i, label in enumerate(self.classes(), 1)},
            "runs": len(runs),
        }

    def held_rows(self) -> List[Dict[str, Any]]:
        """For each held-out set its size, and how many of its texts share runs with the text."""
        return [
            {
                "name": held.name,
                "texts": held.n_texts,
                "too_short": held.n_short,
                "with_a_run": len(held.runs),
                "shared": sum(len(runs) >= self.shared for runs in held.runs.values()),
            }
            for held in self.sets
        ]

    def to_dict(self) -> Dict[str, Any]:
        """Everything as plain dicts, lists, strings and numbers; ids and offsets, no text."""
        return {
            "width": self.index.width,
            "shared": self.shared,
            "documents": sum(self.sizes.values()),
            "held_out": self.held_rows(),
            "rows": self.rows(),
            "found": [
                {**vars(document), "runs": dict(document.runs), "places": list(document.places)}
                for document in self.documents
            ],
        }


def merge(places: Iterable[Place]) -> List[Place]:
    """Join places that touch or overlap.

    places (Iterable[Place]): start and end.
    RETURNS (List[Place]): the same characters in fewer places, in order.
    """
    merged: List[Place] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
