"""The heat map of explanations: whole, escaped, and without text in the JSON."""

import json
import re

import pytest

from clinbert_spacy.evaluation.explain import Explanation, Settings, Word
from clinbert_spacy.evaluation.explain_report import (
    ExplainedNote,
    cut_words,
    record_explanations,
    render_explanations,
    strongest_words,
)
from clinbert_spacy.evaluation.report import INTENDED_USE

TEXT = "<b>Rash</b> after\n aspirin & more. Nothing else here. Fever too."


def words_of(text, values):
    """Words by white space, with values and a lexicon's part of a tenth."""
    found = re.finditer(r"\S+", text)
    return tuple(Word(m.start(), m.end(), v, v / 10) for m, v in zip(found, values))


def make(text=TEXT, windows=((0, 34),), **values):
    words = tuple(
        word
        for word in words_of(text, [2.0, 0.01, -1.0, 0.5, 0.0, 0.3, 0.1, 0.0, 1.5, 0.2])
        if any(a <= word.start < b for a, b in windows)
    )
    given = {
        "kind": "entities", "component": "<ner>", "label": "<DRUG>", "probability": 0.875,
        "places": ((19, 26),), "score": 1.75, "baseline": -0.25, "delta": 0.0042,
        "windows": windows, "n_windows": 3, "words": words,
    }  # fmt: skip
    return Explanation(**{**given, **values})


def render(*notes, **options):
    settings = options.pop("settings", Settings(steps=7))
    return render_explanations(notes, pipeline={"name": "<nlp>"}, settings=settings, **options)


def shown(html):
    """Texts of the heat maps, without markup."""
    found = re.findall(r'<div class="note">(.*?)</div>', html, re.S)
    return [re.sub(r"<[^>]+>", "", one) for one in found]


def test_page_is_escaped_loads_nothing_and_says_what_it_is_for():
    note = ExplainedNote("<id>", TEXT, [make()], n_left=2)
    html = render(note, command="clinbert explain <x>", summary=["1 & 2"])
    assert html.index(INTENDED_USE) < html.index("Pipeline")
    assert not re.search(r"<b>|<id>|<nlp>|<ner>|<DRUG>|<x>|<script", html)
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", html)
    assert "default-src 'none'" in html
    assert "7 steps" in html and "[PAD]" in html and "2 more decisions on this note" in html


def test_an_item_says_score_baseline_delta_and_windows():
    html = render(ExplainedNote("n", TEXT, [make()]))
    assert "&lt;DRUG&gt;: aspirin" in html and "Probability 0.88." in html
    assert "Score +1.75, at the baseline −0.25" in html and "delta +0.0042" in html
    assert "Read: 1 of 3 windows, characters\n0–34." in html
    assert "take more steps" not in html
    assert "take more steps" in render(ExplainedNote("n", TEXT, [make(delta=-0.5)]))
    unknown = render(ExplainedNote("n", TEXT, [make(probability=-1.0, places=())]))
    assert "Probability" not in unknown and "<h3>&lt;DRUG&gt;</h3>" in unknown


def test_the_part_that_was_read_is_whole_and_the_rest_is_not_shown():
    windows = ((0, 34), (53, 63))
    html = render(ExplainedNote("n", TEXT, [make(windows=windows)]))
    assert shown(html) == [
        "&lt;b&gt;Rash&lt;/b&gt; after\n aspirin &amp; more. [not read] Fever too."
    ]


def test_words_joined_are_the_text():
    pieces = cut_words(TEXT, words_of(TEXT, [1.0] * 10), ())
    assert "".join(piece["text"] for piece in pieces) == TEXT
    assert cut_words("", (), ()) == []


def test_colours_say_for_and_against_by_strength():
    words = words_of("a b c d", [2.0, -1.0, 0.04, 0.0])
    styles = {x["text"]: x["style"] for x in cut_words("a b c d", words, ((6, 7),)) if x["style"]}
    assert styles["a"].endswith("0.75)") and styles["b"].endswith("0.38)")
    assert styles["a"].split(",")[0] != styles["b"].split(",")[0]
    assert "c" not in styles and styles["d"].startswith("border-bottom")
    assert all(not x["style"] for x in cut_words("a b", words_of("a b", [0.0, 0.0]), ()))


def test_titles_say_what_the_lexicon_added():
    (piece, *_) = cut_words("a", [Word(0, 1, 0.5, 0.25)], ())
    assert piece["title"] == "+0.500, +0.250 of it by the lexicon"
    (piece, *_) = cut_words("a", [Word(0, 1, -0.5, 0.0)], ())
    assert piece["title"] == "-0.500"


def test_strongest_words_by_size_without_white_space():
    text = "a \n b"
    words = [Word(0, 1, 0.1, 0.0), Word(1, 4, 9.0, 0.0), Word(4, 5, -0.3, 0.1)]
    assert strongest_words(text, words) == [
        {"text": "b", "value": -0.3, "lexicon": 0.1}, {"text": "a", "value": 0.1, "lexicon": 0.0}
    ]  # fmt: skip


def test_json_holds_offsets_and_values_and_no_text():
    settings = Settings(steps=9, baseline="mask", max_windows=2)
    explained = ExplainedNote("n", TEXT, [make()], 1)
    record = record_explanations([explained], settings, {"command": "c"})
    dumped = json.dumps(record)
    assert not re.search("Rash|aspirin|Fever", dumped)
    assert record["intended_use"] == INTENDED_USE and record["command"] == "c"
    assert (record["steps"], record["baseline"], record["max_windows"]) == (9, "mask", 2)
    (note,) = json.loads(dumped)["notes"]
    assert (note["id"], note["n_chars"], note["n_left"]) == ("n", len(TEXT), 1)
    (item,) = note["items"]
    assert item["words"][0] == [0, 11, 2.0, 0.2]
    assert [TEXT[a:b] for a, b, *_ in item["words"]] == TEXT[:34].split()
    assert item["windows"] == [[0, 34]] and item["places"] == [[19, 26]]
    assert make(probability=-1.0).to_dict()["probability"] is None


@pytest.mark.parametrize("notes", [[], [ExplainedNote("n", TEXT, [])]])
def test_nothing_to_explain(notes):
    html = render(*notes)
    assert INTENDED_USE in html and html.count("Nothing was decided") == len(notes)
    assert "Rash" not in html
