"""Names found in running words: how they are written, which wins, what they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.models import lexicon as module
from clinbert_spacy.models.lexicon import Lexicon, Match, key_of, normalise, stop_words

NAMES = {
    "Non-small-cell lung cancer": [0], "lung cancer": [1], "Parkinson's disease": [2],
    "MS": [3], "multiple sclerosis": [3], "ALL": [4], "IL-2": [5], "aspirin": [6],
    "cold": [7], "gouty tophus": [7], "salt": [6, 7], "water retention": [2, 3],
}  # fmt: skip
KINDS = ["disease", "drug"]
MASKS = [1, 1, 1, 1, 1, 2, 2, 1]


@pytest.fixture
def lexicon():
    entries = {key_of(name): indices for name, indices in NAMES.items()}
    return Lexicon(KINDS, [f"X:{i}" for i in range(8)], MASKS, entries)


def found(lexicon, text):
    words = text.split(" ") if isinstance(text, str) else text
    return [" ".join(words[m.start : m.end]) for m in lexicon.find(words)]


@pytest.mark.parametrize(
    "word, normal",
    [
        ("Diseases", "disease"), ("headaches", "headache"), ("rashes", "rash"), ("losses", "loss"),
        ("biopsies", "biopsy"), ("metastases", "metastasis"), ("abscess", "abscess"),
        ("virus", "virus"), ("sepsis", "sepsis"), ("gas", "gas"), ("carcinomata", "carcinoma"),
        ("tumours", "tumor"), ("oedema", "edema"), ("Anaemia", "anemia"), ("toe", "toe"),
        ("Sjögren's", "sjogren"), ("Crohn’s", "crohn"), ("non-small-cell", "non small cell"),
        ("B12", "b 12"), ("TNF-α", "tnf alpha"), ("-", ""), ("'", ""), ("'s", ""), ("\n", ""),
        (" ", ""), (",", ","),
    ],
)  # fmt: skip
def test_normal_words(word, normal):
    assert normalise(word) == normal
    assert normalise(word) == normal  # from the cache


@pytest.mark.parametrize(
    "name, key",
    [("MS", "MS"), ("Ms", "ms"), ("IL-2", "IL 2"), ("PVCs", "PVC"), ("NSAID", "nsaid"),
     ("Multiple Sclerosis", "multiple sclerosis"), ("12", ""), ("-", "")],
)  # fmt: skip
def test_keys_keep_capitals_of_abbreviations(name, key):
    assert key_of(name) == key


@pytest.mark.parametrize(
    "text",
    ["non-small-cell lung cancers", "Non - small - cell lung cancer", "NON SMALL CELL LUNG CANCER",
     "non - small cell \n lung cancer"],
)  # fmt: skip
def test_hyphens_case_plurals_and_line_breaks_do_not_matter(lexicon, text):
    (match,) = lexicon.find(text.split(" "))
    assert match.start == 0 and match.end == len(text.split(" "))
    assert lexicon.concepts_of(match.entry).tolist() == [0]


@pytest.mark.parametrize("words", [["Parkinson's"], ["Parkinson", "'s"], ["Parkinson", "’", "s"]])
def test_possessives_cut_in_any_way(lexicon, words):
    assert lexicon.find(["has", *words, "disease"])[0][:2] == (1, len(words) + 2)


@pytest.mark.parametrize(
    "words",
    [["lung", "\n\n", "cancer"], ["lung", ",", "cancer"], ["lung", "-", "-", "-", "-", "cancer"],
     ["lung"], ["lung", "-"], ["lung", "s", "cancer"], []],
)  # fmt: skip
def test_what_parts_a_name(lexicon, words):
    assert lexicon.find(words) == []


def test_leftmost_then_longest_without_overlap(lexicon):
    text = "lung cancer , non small cell lung cancer or salt water retention"
    assert found(lexicon, text) == [
        "lung cancer", "non small cell lung cancer", "salt", "water retention"
    ]  # fmt: skip
    # what begins like a longer name and is none falls back on the shorter one
    assert found(lexicon, "salt lung non small cell lung cancers") == [
        "salt", "non small cell lung cancers"
    ]  # fmt: skip


def test_abbreviations_need_capitals(lexicon):
    assert found(lexicon, "ms or MS , il-2 or IL-2 or IL - 2 or IL2") == [
        "MS", "IL-2", "IL - 2", "IL2"
    ]  # fmt: skip
    assert found(lexicon, "MULTIPLE SCLEROSIS , ASPIRIN") == ["MULTIPLE SCLEROSIS", "ASPIRIN"]


def test_capitals_mean_nothing_among_capitals_where_the_word_is_common(lexicon):
    assert found(lexicon, "all had relapsed ALL today") == ["ALL"]
    assert found(lexicon, "STOP ALL MEDICATION") == []
    assert found(lexicon, "HISTORY OF MS") == ["MS"]


def test_ambiguity(lexicon):
    def entry(name):
        return lexicon.find(name.split(" "))[0].entry

    assert not lexicon.is_ambiguous(entry("lung cancer"))
    assert lexicon.is_ambiguous(entry("salt")) and lexicon.kinds_of(entry("salt")) == 3
    assert lexicon.is_ambiguous(entry("water retention"))  # two concepts of one kind
    assert lexicon.kinds_of(entry("water retention")) == 1
    assert lexicon.is_ambiguous(entry("cold")) and lexicon.is_common(entry("ALL"))
    assert not lexicon.is_common(entry("aspirin"))
    assert lexicon.surface(entry("Gouty tophus")) == "gouty tophus"


def test_bytes_and_files_hold_all_of_it(lexicon, tmp_path):
    lexicon.to_disk(tmp_path / "lexicon.msgpack.gz")
    again = Lexicon.from_disk(tmp_path / "lexicon.msgpack.gz")
    assert again.to_bytes() == lexicon.to_bytes()
    assert (again.kinds, again.concepts, len(again)) == (KINDS, lexicon.concepts, len(NAMES))
    assert again.concept_kinds.tolist() == MASKS and again.concept_kinds.dtype == "uint16"
    words = ["MS", ",", "salt", ",", "non-small-cell", "lung", "cancer"]
    assert again.find(words) == lexicon.find(words) and len(again.find(words)) == 3
    for entry in range(len(again)):
        assert again.concepts_of(entry).tolist() == lexicon.concepts_of(entry).tolist()
        assert again.concepts_of(entry).dtype == "int64"


def test_an_empty_lexicon_finds_nothing():
    empty = Lexicon.from_bytes(Lexicon([], [], [], {}).to_bytes())
    assert len(empty) == 0 and empty.find(["cold"]) == []


@pytest.mark.parametrize("data", [b"", b"junk", b"\x1f\x8b\x08junk"])
def test_other_bytes_are_refused(data):
    with pytest.raises(ValueError, match=f"{len(data)} bytes are not a lexicon.*build-graph"):
        Lexicon.from_bytes(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="No lexicon at .*nowhere.*build-graph"):
        Lexicon.from_disk(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "kinds, masks, entries, message",
    [
        (["k"] * 17, [1], {"x": [0]}, "17 kinds"),
        (["k"], [1, 1], {"x": [0]}, r"shape \(2,\) for 1 concepts"),
        (["k"], [2], {"x": [0]}, "mask 2, but there are only 1 kinds"),
        (["k"], [1], {"x": [1]}, "concepts 1 to 1; expected 0 to 0"),
        (["k"], [1], {"x": []}, "Entry 0 has no concept"),
    ],
)
def test_what_does_not_fit_is_refused(kinds, masks, entries, message):
    with pytest.raises(ValueError, match=message):
        Lexicon(kinds, ["X:0"], masks, entries)


def plain_find(names, words):
    """Leftmost-longest by trying everything."""
    matches, i = [], 0
    while i < len(words):
        ends = [j for j in range(len(words), i, -1) if " ".join(words[i:j]) in names]
        matches += [(i, ends[0], " ".join(words[i : ends[0]]))] if ends else []
        i = ends[0] if ends else i + 1
    return matches


letters = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(" ".join)


@given(names=st.sets(letters, min_size=1, max_size=8), words=st.lists(st.sampled_from("abcd")))
def test_the_fast_way_finds_what_trying_everything_finds(names, words):
    lexicon = Lexicon(["k"], ["X:0"], [1], {name: [0] for name in names})
    fast = [(m.start, m.end, lexicon.surface(m.entry)) for m in lexicon.find(words)]
    assert fast == plain_find(names, words)


def test_work_grows_with_the_words_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "normalise", lambda word: calls.append(word) or normalise(word))
    longest = Lexicon(["k"], ["X:0"], [1], {"bad " * 5 + "end": [0], "bad bad worst": [0]})
    assert longest.find(["bad"] * 3000) == []
    assert len(calls) < 12 * 3000
    assert longest.find(["bad"] * 5 + ["end"])[0] == Match(0, 6, 0)


def test_a_full_cache_is_emptied(monkeypatch, lexicon):
    monkeypatch.setattr(module, "CACHED", 3)
    assert found(lexicon, "a b c d e aspirin f g h i") == ["aspirin"]
    assert len(lexicon._starts) <= 3


def test_stop_words_are_keys():
    never, common = stop_words(common=False), stop_words(common=True)
    assert {"was", "all"} <= never and {"cold", "ALL", "COLD"} <= common
    assert not {"cold", "ALL"} & never and "all" not in common
