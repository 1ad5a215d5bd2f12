import re

from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.evaluation.evaluate import LabelRow, Result, Score
from clinbert_spacy.evaluation.highlight import Entity, cut_at_borders
from clinbert_spacy.evaluation.report import INTENDED_USE, ExampleNote, write_report

SCORE = Score(0.845, 0.83, 0.86)
RESULT = Result(
    corpus="bc5cdr", scheme="own", pipeline={}, source="ents", n_notes=2, n_mentions=3,
    n_discontinuous=0, n_left_out=0, n_mismatched=0, data_sha256="ab" * 32, precision=SCORE,
    recall=SCORE, f=SCORE, macro_f=SCORE, labels=(LabelRow("<Disease>", 3, 0.5, 0.25, 0.333),),
)  # fmt: skip
SPEED = {
    "n_notes": 1, "n_words": 9, "n_rounds": 5, "threads": 1, "dtype": "float32", "device": "cpu",
    "machine": "Linux", "peak_mb": 512, "stock_weights": "none",
    "rows": [{"name": "pipeline", "words_per_second": 100.0, "time_ratio": 1.0}],
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
    shown = re.search(r'<div class="note">(.*?)</div>', html, re.S).group(1)
    plain = re.sub(r"<span.*?</span>|<[^>]+>", "", shown)
    assert plain.count("&lt;script&gt;") == 1
    assert "BP &lt; 90 &amp;" in plain


def test_long_notes_are_cut_and_say_so(tmp_path):
    note = ExampleNote("long", "x" * 30_000, [Entity(25_000, 25_004, "A")])
    write_report(tmp_path / "r.html", pipeline={}, examples=[note])
    html = (tmp_path / "r.html").read_text("utf8")
    assert "The last 10000 characters are not shown." in html
    assert len(html) < 30_000
