import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.corpora.dedupe import RunIndex, word_runs
from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.overlap import Overlap, merge
from clinbert_spacy.corpora.passages import Passage

WORDS = [f"word{i}" for i in range(60)]
# few words, so that runs recur; İ is one character that becomes two in lower case
TEXTS = st.lists(st.sampled_from(["a", "B", "c1", "İx", "ẞ", "µ"]), max_size=40).map(" ,".join)


def text(start, end):
    return " ".join(WORDS[start:end])


@given(st.lists(TEXTS, max_size=4), TEXTS, st.integers(1, 13))
def test_finds_what_every_run_hashed_would_find(held, other, width):
    index = RunIndex(width)
    sizes = [index.add(one) for one in held]
    assert sizes == [len(word_runs(one, width)) for one in held]
    found = index.find(other)
    known = set().union(*(word_runs(one, width) for one in held))
    assert {shared.run for shared in found} == word_runs(other, width) & known
    for shared in found:
        assert word_runs(other[shared.start : shared.end], width) == {shared.run}
        owners = [i for i, one in enumerate(held) if shared.run in word_runs(one, width)]
        assert list(shared.owners) == owners


def test_places_are_those_of_the_text_itself():
    index = RunIndex(3)
    index.add("Eins, ZWEI drei")
    (shared,) = index.find("İİ: (eins zwei DREI!)")
    assert (shared.start, shared.end) == (5, 19)


def test_short_texts_have_no_run():
    index = RunIndex()
    assert index.add(text(0, 11)) == 0 and index.add(text(0, 12)) == 1
    assert not index.find(text(0, 11)) and len(index.find(text(0, 13))) == 1
    with pytest.raises(CorpusError, match="expected at least one"):
        RunIndex(0)


def test_merge():
    assert merge([(5, 9), (0, 3), (8, 12), (3, 4), (20, 21)]) == [(0, 4), (5, 12), (20, 21)]
    assert merge([(0, 9), (2, 3)]) == [(0, 9)]


@pytest.fixture
def overlap():
    found = Overlap()
    found.hold_out("first", [text(0, 20), "short"])
    found.hold_out("second", [text(8, 30), text(40, 55)])
    return found


def test_documents_count_by_their_runs(overlap):
    documents = [
        ("web", text(0, 12)),  # one of the first set
        ("web", f"{text(8, 20)}. But {text(40, 52)}"),  # one of both, another of the second
        ("web", text(30, 40)),
        ("book", "Begin: " + text(0, 15).upper()),  # four of the first
        ("book", text(7, 22)),  # two of the first, three of the second, one of them in both
    ]
    dropped = [overlap.add(Passage(s, f"{s}:{i}", t)) for i, (s, t) in enumerate(documents)]
    assert dropped == [False, False, False, True, True] and overlap.n_shared == 2
    rows = {(r["source"], r["against"]): r for r in overlap.rows()}
    assert list(rows) == [
        ("book", "first"), ("book", "second"), ("web", "first"), ("web", "second"),
        ("all", "first"), ("all", "second"), ("all", "all"),
    ]  # fmt: skip
    assert rows["book", "first"] == {
        "source": "book", "against": "first", "documents": 2,
        "shared": {"1": 0, "2": 1, "3+": 1}, "runs": 6,
    }  # fmt: skip
    assert rows["web", "second"]["shared"] == {"1": 0, "2": 1, "3+": 0}
    assert rows["all", "all"] == {
        "source": "all", "against": "all", "documents": 5,
        "shared": {"1": 1, "2": 1, "3+": 2}, "runs": 9,
    }  # fmt: skip
    held = overlap.held_rows()
    assert held[0] == {"name": "first", "texts": 2, "too_short": 1, "with_a_run": 1, "shared": 1}
    assert held[1] == {"name": "second", "texts": 2, "too_short": 0, "with_a_run": 2, "shared": 1}


def test_record_holds_ids_and_places_but_no_text(overlap):
    whole = f"Begin. {text(0, 14)}. {text(0, 13)}"
    overlap.add(Passage("web", "web:1", whole))
    record = json.loads(json.dumps(overlap.to_dict()))
    (document,) = record["found"]
    assert (document["source"], document["id"]) == ("web", "web:1")
    # the second copy of a run does not count again, but its place is told
    assert document["runs"] == {"all": 3, "first": 3}
    places = [whole[start:end] for start, end in document["places"]]
    assert places == [text(0, 14), text(0, 13)]
    assert "word" not in json.dumps(record) and record["documents"] == 1


def test_another_number_of_runs(overlap):
    found = Overlap(shared=1)
    found.hold_out("only", [text(0, 20)])
    assert found.classes() == ["1+"] and found.add(Passage("a", "1", text(0, 12)))
    assert overlap.classes() == ["1", "2", "3+"]


def test_what_cannot_be_held_out(overlap):
    for name in ("first", "all"):
        with pytest.raises(CorpusError, match="expected one"):
            overlap.hold_out(name, [text(0, 20)])
    with pytest.raises(CorpusError, match="found none"):
        overlap.hold_out("third", [])
    with pytest.raises(CorpusError, match="at least 1"):
        Overlap(shared=0)
