"""Scores of generated summaries beside plain rows, and shares of flagged ones."""

import pytest

from clinbert_spacy.attributes import Abstract, Flag
from clinbert_spacy.evaluation.abstractive import (
    COMMON,
    FIRST,
    GENERATED,
    LEAD,
    count_flags,
    plain_rows,
    score_abstracts,
)

TEXTS = ["Clear lungs. No effusion at all. Rib fracture.", "Heart is large."]
SENTENCES = [[(0, 12), (13, 32), (33, 46)], [(0, 15)]]
REFERENCES = ["Broken rib, clear lungs.", "Large heart."]


def found(*reasons, truncated=False):
    flags = [Flag(0, 1, "number", "", reason) for reason in reasons]
    status = "unsupported" if flags else "unflagged"
    return Abstract("x", status, flags, ("numbers",), truncated, 3)


def test_plain_rows():
    rows = plain_rows(TEXTS, SENTENCES, REFERENCES, ["a", "b", "b"])
    # four words: the first sentence has two, the third two more
    assert rows[LEAD] == ["Clear lungs.\nRib fracture.", ""]
    assert rows[FIRST] == ["Clear lungs.", "Heart is large."]
    assert rows[COMMON] == ["b", "b"]
    assert COMMON not in plain_rows(TEXTS, SENTENCES, REFERENCES, [])


def test_scores_and_flags():
    rows = {GENERATED: REFERENCES, FIRST: ["Clear lungs.", "Heart is large."]}
    judged = {GENERATED: [found("number", "unit"), found(truncated=True)]}
    seen = []
    scored = score_abstracts(REFERENCES, rows, judged, progress=seen.append)
    own, first = scored["rows"][GENERATED], scored["rows"][FIRST]
    assert own["rouge1"]["value"] == own["rougeL"]["value"] == 1.0
    assert 0 < first["rouge1"]["value"] < 1 and seen == [1, 1]
    assert own["flagged"]["value"] == 0.5 and own["reasons"] == {"number": 1, "unit": 1}
    assert own["truncated"] == 1 and "flagged" not in first
    assert own["words"] == 3.0 and scored["n_texts"] == 2


def test_nothing_flagged():
    counted = count_flags([found(), found()])
    assert counted["flagged"]["value"] == 0.0 and counted["reasons"] == {}


def test_rows_of_another_length():
    with pytest.raises(ValueError, match="2 references and rows of"):
        score_abstracts(REFERENCES, {GENERATED: ["one"]}, {})
    with pytest.raises(ValueError, match="0 references"):
        score_abstracts([], {}, {})
