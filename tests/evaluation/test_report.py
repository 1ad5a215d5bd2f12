import base64
import hashlib
import re

import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Span, SpanGroup

from clinbert_spacy.evaluation.document_report import BARS, SIDE, draw_bins
from clinbert_spacy.evaluation.evaluate import LabelRow, Result, Score
from clinbert_spacy.evaluation.highlight import (
    Entity,
    Link,
    cut_at_borders,
    links_of,
    mark_ends,
)
from clinbert_spacy.evaluation.report import INTENDED_USE, ExampleNote, render, write_report

SCORE = Score(0.845, 0.83, 0.86)
RESULT = Result(
    corpus="bc5cdr", scheme="own", pipeline={}, source="ents", n_notes=2, n_mentions=3,
    n_discontinuous=0, n_left_out=0, n_mismatched=0, data_sha256="ab" * 32, precision=SCORE,
    recall=SCORE, f=SCORE, macro_f=SCORE, labels=(LabelRow("<Disease>", 3, 0.5, 0.25, 0.333),),
)  # fmt: skip
SPEED = {
    "n_rounds": 5, "batch_size": 32, "threads": 1, "dtype": "float32", "device": "cpu",
    "machine": "Linux", "versions": {"torch": "2"}, "peak_mb": 512, "stock_weights": "none",
    "sets": [{
        "name": "short", "n_notes": 1, "n_words": 9, "n_wordpieces": None, "times_used": 2,
        "rows": [{"name": "pipeline", "words_per_second": 100.0, "wordpieces_per_second": None,
                  "time_ratio": 1.0, "detail": "<b>"}],
        "ratios": {"times the stock pipeline": 1.5, "share of the bare encoder": None},
        "stages": {"tokenise": 0.1}, "components": {"tokenizer": 0.1}, "total": 0.1,
    }],
}  # fmt: skip

EMPTY = {
    "rows": {}, "measures": {}, "classes": [], "diagrams": {}, "abstentions": {}, "side": 9,
    "bars": 9, "first": {
        "corpus": "<toy>", "scheme": "x", "n_notes": 0, "n_groups": 0, "protocol": "p",
        "data_sha256": "ab", "risk_coverage": [],
    },
}  # fmt: skip

ENTITIES = st.lists(
    st.builds(Entity, st.integers(0, 12), st.integers(0, 14), st.sampled_from("AB")), max_size=6
)


@given(st.text(max_size=12), ENTITIES)
def test_segments_joined_are_the_text(text, entities):
    segments = cut_at_borders(text, entities)
    assert "".join(segment.text for segment in segments) == text
    fitting = [e for e in entities if e.start < e.end <= len(text)]
    assert sum(len(segment.ending) for segment in segments) == len(fitting)


def test_overlapping_entities():
    outer, inner, crossing = Entity(0, 9, "A", 0.5), Entity(3, 6, "B"), Entity(5, 12, "C")
    segments = cut_at_borders("abcdefghijklmn", [crossing, inner, outer])
    assert [(s.text, [e.label for e in s.inside]) for s in segments] == [
        ("abc", ["A"]),
        ("de", ["A", "B"]),
        ("f", ["A", "C", "B"]),
        ("ghi", ["A", "C"]),
        ("jkl", ["C"]),
        ("mn", []),
    ]
    assert (outer.title, inner.title) == ("A 0.50", "B")


def test_report_is_whole_escaped_and_loads_nothing(tmp_path):
    text = "<script>alert('x')</script> BP < 90 & \r\n rash 🦠"
    note = ExampleNote("<id>", text, [Entity(0, 8, '"><b>'), Entity(3, 12, "B")], {"tokens": 9})
    path = tmp_path / "report.html"
    write_report(
        path, pipeline={"name": "<nlp>"}, command="clinbert evaluate --corpus <x>",
        results=[RESULT], speed=SPEED, examples=[note], summary=["1 note & more"],
    )  # fmt: skip
    html = path.read_text("utf8")
    assert INTENDED_USE in html
    assert "<script" not in html and "<b>" not in html and "<id>" not in html
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", html)
    assert "84.5" in html and "83.0 – 86.0" in html and "&lt;Disease&gt;" in html
    assert "tokens 9." in html and "512 MB" in html
    assert "times the stock pipeline: 1.50" in html and "used up to 2 times" in html
    assert "share of the bare encoder" not in html and "Cold start" not in html
    shown = re.search(r'<div class="note">(.*?)</div>', html, re.S).group(1)
    plain = re.sub(r"<span.*?</span>|<[^>]+>", "", shown)
    assert plain.count("&lt;script&gt;") == 1
    assert "BP &lt; 90 &amp;" in plain


def test_parts_are_markup_of_templates_or_escaped(tmp_path):
    path = tmp_path / "report.html"
    inner = render("documents.html", **EMPTY)
    write_report(path, pipeline={}, parts=[inner, "<b>plain</b>"])
    html = path.read_text("utf8")
    assert "<h2>Classes of documents: &lt;toy&gt;, x</h2>" in html
    assert "&lt;b&gt;plain&lt;/b&gt;" in html and "<b>" not in html
    assert "<h2>Pipeline</h2>" not in html


def test_bins_are_placed():
    bins = [
        {"low": 0.0, "high": 1 / 15, "mean": 0.03, "share": 0.0, "n": 1000},
        {"low": 14 / 15, "high": 1.0, "mean": 1.0, "share": 0.75, "n": 1},
    ]
    first, last = draw_bins(bins)
    assert (last["x"], last["y"]) == (SIDE, SIDE / 4) and first["y"] == SIDE
    assert first["left"] == 0 and last["left"] + last["width"] <= SIDE
    assert first["height"] == BARS > last["height"] > 0
    assert draw_bins([]) == []


def test_long_notes_are_cut_and_say_so(tmp_path):
    note = ExampleNote("long", "x" * 30_000, [Entity(25_000, 25_004, "A")])
    write_report(tmp_path / "r.html", pipeline={}, examples=[note])
    html = (tmp_path / "r.html").read_text("utf8")
    assert "The last 10000 characters are not shown." in html
    assert len(html) < 30_000


def make_linked_doc():
    """A rash that aspirin is said to have caused, and an INR of 9."""
    doc = spacy.blank("en")("Rash after aspirin, INR 9")
    types = [(0, 1, "SYMPTOM"), (2, 3, "DRUG"), (4, 5, "TEST"), (5, 6, "LAB_VALUE")]
    said = {"causality": "possible", "kind": "reaction", "evidence": [], "cue": []}
    rows = [
        {"head": 1, "tail": 0, "label": "ADVERSE_EFFECT", "score": 0.9, **said},
        {"head": 1, "tail": 2, "label": "ADVERSE_EFFECT", "score": 0.8, **said},
        {"head": 2, "tail": 3, "label": "HAS_VALUE", "score": 0.7},
    ]
    doc.spans["clinbert_relations"] = SpanGroup(
        doc,
        attrs={"types": [x[2] for x in types], "relations": rows, "status": "found"},
        spans=[Span(doc, *place) for place in types],
    )
    return doc


def test_links_and_their_ends():
    doc = make_linked_doc()
    first, second, third = links_of(doc)
    assert (first.head.start, first.head.label, first.tail.start) == (11, "DRUG", 0)
    assert (first.causality, first.status, first.current) == ("possible", "", True)
    assert (second.value.start, second.is_effect) == (24, True)
    assert (third.label, third.current, third.is_effect) == ("HAS_VALUE", None, False)
    assert not links_of(spacy.blank("en")("aspirin"))
    # the test and its value are no entities of the pipeline, and are shown all the same
    known = [Entity(0, 4, "SYMPTOM", 0.5), Entity(11, 18, "DRUG", 0.6), Entity(5, 10, "X")]
    marked = mark_ends(known, [first, second, third])
    assert [(e.start, e.label, e.score, e.marks) for e in marked] == [
        (0, "SYMPTOM", 0.5, ((1, "tail"),)),
        (5, "X", -1.0, ()),
        (11, "DRUG", 0.6, ((1, "head"), (2, "head"))),
        (20, "TEST", -1.0, ((2, "tail"), (3, "head"))),
        (24, "LAB_VALUE", -1.0, ((3, "tail"),)),
    ]
    assert mark_ends(known, []) == sorted(known, key=lambda e: e.start)


def write_linked(path, text, links, status="found"):
    ends = [end for link in links for end in (link.head, link.tail)]
    note = ExampleNote("n", text, ends[:1], {}, links, status)
    write_report(path, pipeline={}, examples=[note, ExampleNote("plain", "no link", [])])
    return path.read_text("utf8")


def test_relations_are_shown_in_text_table_and_arcs(tmp_path):
    doc = make_linked_doc()
    html = write_linked(tmp_path / "r.html", doc.text, links_of(doc))
    assert html.startswith("<!DOCTYPE html>")
    sups = re.findall(r'<sup class="rel" data-rel="(.)" data-end="(\w+)">(.)</sup>', html)
    assert sups == [
        ("1", "tail", "1"), ("1", "head", "1"), ("2", "head", "2"), ("2", "tail", "2"),
        ("3", "head", "3"), ("3", "tail", "3"),
    ]  # fmt: skip
    assert re.findall(r'<path data-rel="(.)" class="(\w+)"/>', html) == [("1", "is"), ("2", "is")]
    cells = [re.findall("<td>(.*?)</td>", row) for row in html.split("<tr>") if "→" in row]
    assert cells == [
        ["1", "aspirin → Rash", "ADVERSE_EFFECT", "0.90", "possible", "reaction", "", "", "yes"],
        ["2", "aspirin → INR 9", "ADVERSE_EFFECT", "0.80", "possible", "reaction", "", "", "yes"],
        ["3", "INR → 9", "HAS_VALUE", "0.70", "", "", "", "", ""],
    ]
    assert "Side effects: found." in html
    assert html.count('<div class="note linked">') == html.count('<div class="note">') == 1
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(", html)


def test_the_policy_lets_the_one_script_run_and_no_other(tmp_path):
    doc = make_linked_doc()
    html = write_linked(tmp_path / "r.html", doc.text, links_of(doc))
    (script,) = re.findall("<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in html and "&lt;" not in script
    assert "innerHTML" not in script and "script-src 'unsafe" not in html


def test_relations_are_escaped(tmp_path):
    text = "<b>drug</b> gave <script>"
    link = Link(
        Entity(0, 11, '"><i>'), Entity(17, 25, "<u>"), "<s>", 0.5, causality="<q>",
        assertion="not_<em>", current=False,
    )  # fmt: skip
    html = write_linked(tmp_path / "r.html", text, [link], status="<hr>")
    for tag in ("<b>", "<i>", "<u>", "<s>", "<q>", "<em>", "<hr>"):
        assert tag not in html
    assert html.count("<script>") == 1 and "&lt;b&gt;drug&lt;/b&gt; → &lt;script&gt;" in html
    assert "<td>not &lt;em&gt;</td>" in html and "<td>no</td>" in html


def test_ends_beyond_what_is_shown_stay_in_the_table(tmp_path):
    link = Link(Entity(0, 4, "DRUG"), Entity(25_000, 25_004, "SYMPTOM"), "ADVERSE_EFFECT", 0.5)
    html = write_linked(tmp_path / "r.html", "drug" + "x" * 30_000, [link])
    assert html.count("<sup") == 1 and "drug → xxxx" in html
