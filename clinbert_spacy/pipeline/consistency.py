"""One note, one meaning: the same words are the same entity wherever they stand in a note.

Gale, Church and Yarowsky (1992), "One sense per discourse", as a vote after decoding.
"""

from collections import defaultdict
from typing import DefaultDict, Dict, Hashable, Iterator, List, NamedTuple, Sequence, Set, Tuple

Key = Tuple[Hashable, ...]


class Found(NamedTuple):
    """An entity.

    start, end (int): Its words. label (int): Number of its label. score (float): Probability.
    """

    start: int
    end: int
    label: int
    score: float


def agree(words: Sequence[Hashable], found: Sequence[Found], share: float) -> List[Found]:
    """Let the occurrences of the same words in a note vote on what they are.

    Where at least `share` of the occurrences that no other entity touches were found, the others
    are found too, and all of them get the label that most have (of two, the more probable one).
    Case counts: `AIDS` is not `aids`.

    words (Sequence[Hashable]): The words of the note, or their hashes.
    found (Sequence[Found]): Its entities, none inside another.
    share (float): From 0 to 1; 0 changes nothing.
    RETURNS (List[Found]): The entities in order. One that was added has the mean probability of
        those found, times their share of the occurrences.
    """
    if not share or not found:
        return list(found)
    kept = {(entity.start, entity.end): entity for entity in found}
    taken = {i for entity in found for i in range(entity.start, entity.end)}
    places = _occurrences(words, {tuple(words[e.start : e.end]) for e in found})
    # The longest first: its words are then no longer free for a part of it.
    for key in sorted(places, key=lambda key: -len(key)):
        spans = [(start, start + len(key)) for start in places[key]]
        here = [kept[span] for span in spans if span in kept]
        free = [span for span in spans if taken.isdisjoint(range(*span))]
        if not here:
            continue
        label, part = _elect(here), len(here) / (len(here) + len(free))
        for entity in here:
            kept[entity.start, entity.end] = entity._replace(label=label)
        if part >= share:
            score = part * sum(entity.score for entity in here) / len(here)
            for start, end in _apart(free):
                kept[start, end] = Found(start, end, label, score)
                taken.update(range(start, end))
    return sorted(kept.values())


def _occurrences(words: Sequence[Hashable], keys: Set[Key]) -> Dict[Key, List[int]]:
    """Find where each key stands; for a word, only the lengths of keys that begin so are tried."""
    lengths: DefaultDict[Hashable, Set[int]] = defaultdict(set)
    for key in keys:
        lengths[key[0]].add(len(key))
    places: Dict[Key, List[int]] = defaultdict(list)
    for start, word in enumerate(words):
        for length in lengths.get(word, ()):
            key = tuple(words[start : start + length])
            if key in keys:
                places[key].append(start)
    return places


def _elect(entities: Sequence[Found]) -> int:
    votes: DefaultDict[int, List[float]] = defaultdict(list)
    for entity in entities:
        votes[entity.label].append(entity.score)
    return max(votes, key=lambda label: (len(votes[label]), sum(votes[label]), -label))


def _apart(spans: Sequence[Tuple[int, int]]) -> Iterator[Tuple[int, int]]:
    """Of spans that overlap each other, as in "pain pain pain", keep the first."""
    last = -1
    for start, end in spans:
        if start >= last:
            yield start, end
            last = end
