"""The clinical tokenizer: where it splits, that it alters nothing, that it ends in bounded time."""

import os
import pickle
import re
import sys
import time
import unicodedata
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from clinbert_spacy.pipeline.tokenizer import (
    create_clinical_tokenizer,
    mark_ranges,
    read_special_cases,
)

CONFIG = {"nlp": {"tokenizer": {"@tokenizers": "clinbert.ClinicalTokenizer.v1"}}}
NLP = spacy.blank("en", config=CONFIG)
SECONDS_FOR_A_LONG_WORD = 3.0

CASES = [
    ("10mg", "10 mg"),
    ("x7d", "x 7 d"),
    ("5/325", "5 / 325"),
    ("q4-6h", "q 4 - 6 h"),
    ("5-FU-induced", "5 - FU - induced"),
    ("HTN/DM2", "HTN / DM 2"),
    ("q.d.", "q . d ."),
    ("[3H]-naloxone", "[ 3 H ] - naloxone"),
    ("98%", "98 %"),
    ("anti-HIV", "anti - HIV"),
    ("(APC)-associated", "( APC ) - associated"),
    ("BP:120/80", "BP : 120 / 80"),
    ("mg/kg po/iv", "mg / kg po / iv"),
    ("calcium,magnesium", "calcium , magnesium"),
    ("Na+/K+", "Na + / K +"),
    ("patient's", "patient ' s"),
    ("5′-deoxy", "5 ′ - deoxy"),
    ("TNF-α β2", "TNF - α β 2"),
    ("a_b", "a _ b"),
    # numbers
    ("0.5mg .5mg 5.", "0.5 mg .5 mg 5 ."),
    ("1,000 1,000,000.25", "1,000 1,000,000.25"),
    ("1,25-dihydroxy", "1 , 25 - dihydroxy"),
    ("12.03.2019 1.2.3", "12 . 03 . 2019 1 . 2 . 3"),
    ("INR 2-3.5", "INR 2 - 3.5"),
    # contractions, so that "not" can be seen; a possessive or a name is none
    ("can't won’t DON'T Isn't,", "ca n't wo n’t DO N'T Is n't ,"),
    ("O'Brien", "O ' Brien"),
    # rules and blanks stay one token
    ("____ ------ ..", "____ ------ . ."),
    # marks, joiners and modifiers never part from what they belong to
    ("e\u0301tude cafe\u0301", "e\u0301tude cafe\u0301"),
    ("क्षेत्र", "क्षेत्र"),
    ("👩\u200d⚕️👍🏽🇩🇪🇫🇷1️⃣", "👩\u200d⚕️ 👍🏽 🇩🇪 🇫🇷 1️⃣"),
]


@pytest.mark.parametrize(("text", "tokens"), CASES)
def test_clinical_strings_split_where_entities_begin_and_end(text, tokens):
    assert [token.text for token in NLP.tokenizer(text)] == tokens.split()


@pytest.mark.parametrize(
    "text", ["", " ", " \t\n ", "\r\n\r\n", "a\r\nb\r\n", "\u00a0x\u2003y\u200b"]
)
def test_white_space_survives(text):
    assert NLP.tokenizer(text).text == text


def test_crlf_never_sticks_to_a_word():
    assert [token.text for token in NLP.tokenizer("10mg\r\nq.d.")][1:4] == ["mg", "\r\n", "q"]


CLINICAL_CHARS = "aZ5'’.,-/+()[]_=% \t\r\n\u0301\u200d👩⚕🏽🇩αé²½"
any_text = st.text(st.one_of(st.sampled_from(CLINICAL_CHARS), st.characters(codec="utf-8")))


@settings(max_examples=300)
@given(any_text)
def test_the_text_is_never_altered(text):
    doc = NLP.tokenizer(text)
    assert doc.text == text
    assert all(doc[i].idx + len(doc[i]) <= doc[i + 1].idx for i in range(len(doc) - 1))


@settings(max_examples=200)
@given(any_text)
def test_letters_and_ascii_digits_never_share_a_token(text):
    for token in NLP.tokenizer(text):
        assert not re.search(r"[A-Za-z][0-9]|[0-9][A-Za-z]", token.text)


@pytest.mark.parametrize(
    "text",
    [
        "A" * 20_000,
        "-" * 20_000,
        "a1" * 10_000,
        "....." * 5_000,
        "-." * 10_000,
        "'" * 20_000,
        "1." * 10_000,
        "1" + ",111" * 5_000 + "x",
        "e" + "\u0301" * 20_000,
        "👩\u200d" * 10_000,
        "don't" * 4_000,
        "Pt w/ HTN/DM2 on metoprolol 25mg q.d., can't walk. " * 20_000,
        "\r\n" * 500_000,
    ],
    ids=lambda text: f"{text[:4]!r}x{len(text)}",
)
def test_long_words_and_notes_end_in_bounded_time(text):
    start = time.perf_counter()
    doc = NLP.tokenizer(text)
    assert time.perf_counter() - start < SECONDS_FOR_A_LONG_WORD
    assert doc.text == text


def test_survives_disk_bytes_and_pickle(tmp_path):
    text = "10mg don't x7d 👩\u200d⚕️ 0.5%"
    expected = [token.text for token in NLP(text)]
    NLP.to_disk(tmp_path)
    from_bytes = spacy.blank("en")
    from_bytes.tokenizer.from_bytes(NLP.tokenizer.to_bytes())
    for nlp in (spacy.load(tmp_path), pickle.loads(pickle.dumps(NLP)), from_bytes):
        assert [token.text for token in nlp(text)] == expected


def test_special_cases_from_the_config_replace_the_shipped_ones():
    tokenizer = create_clinical_tokenizer({"p.o.": ["p.o."]})(spacy.blank("en"))
    assert [token.text for token in tokenizer("10mg p.o., don't")][2:] == [
        "p.o.", ",", "don", "'", "t",
    ]  # fmt: skip


@pytest.mark.parametrize("tokens", [["per", "os"], ["p.o.", ""], []])
def test_special_case_that_alters_the_text_is_refused(tokens):
    with pytest.raises(ValueError, match=r"'p\.o\.'.*expected non-empty tokens.*special_cases"):
        create_clinical_tokenizer({"p.o.": tokens})


def test_every_shipped_contraction_keeps_its_negation():
    for string, (stem, negation) in read_special_cases().items():
        assert stem + negation == string
        assert negation.lower().replace("’", "'") == "n't"


def read_pubtator(path):
    """Yield the text (title and abstract) and the mention offsets of each article."""
    for block in path.read_text(encoding="utf8").strip("\n").split("\n\n"):
        passages = re.findall(r"^\d+\|[ta]\|(.*)$", block, flags=re.MULTILINE)
        mentions = re.findall(r"^\d+\t(\d+)\t(\d+)\t", block, flags=re.MULTILINE)
        yield "\n".join(passages), [(int(start), int(end)) for start, end in mentions]


@pytest.mark.corpora
@pytest.mark.parametrize(
    "name",
    [
        "bc5cdr/CDR_TrainingSet.PubTator.txt",
        "bc5cdr/CDR_DevelopmentSet.PubTator.txt",
        "ncbi_disease/NCBItrainset_corpus.txt",
        "ncbi_disease/NCBIdevelopset_corpus.txt",
    ],
)
def test_nearly_all_gold_mentions_fall_on_token_boundaries(name):
    path = Path(os.environ.get("CLINBERT_CORPORA", "")) / name
    if not path.is_file():
        pytest.skip(f"{name} is not under the folder named by CLINBERT_CORPORA")
    found = []
    for text, mentions in read_pubtator(path):
        doc = NLP.tokenizer(text)
        found += [doc.char_span(start, end) is not None for start, end in mentions]
    assert found
    assert found.count(False) / len(found) < 0.002


def test_all_combining_marks_of_unicode_are_known():
    every = map(chr, range(sys.maxunicode + 1))
    marks = {char for char in every if unicodedata.category(char).startswith("M")}
    ranges = re.findall("(.)-(.)", mark_ranges(), re.S)
    known = {chr(code) for first, last in ranges for code in range(ord(first), ord(last) + 1)}
    assert known == marks
