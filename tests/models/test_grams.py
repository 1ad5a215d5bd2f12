"""Words and letters of texts as numbers."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.models.grams import hash_grams


def test_words_and_runs_of_letters():
    found = hash_grams(["Gout", "a b"], 1_000_003)
    runs = ["gout", "<go", "gou", "out", "ut>", "<gou", "gout", "out>", "<gout", "gout>"]
    runs += ["a", "<a>", "b", "<b>"]
    assert found["grams"].tolist() == [zlib.crc32(run.encode()) % 1_000_003 for run in runs]
    assert found["begins"].tolist() == [0, 10]


def test_the_same_word_is_the_same_whatever_its_case():
    upper, lower = (hash_grams([word], 64)["grams"].tolist() for word in ("ASTHMA", "asthma"))
    assert upper == lower


@given(st.lists(st.text(), max_size=4), st.integers(1, 50))
def test_every_number_is_a_bucket(texts, n):
    found = hash_grams(texts, n)
    assert len(found["begins"]) == len(texts)
    assert all(0 <= x < n for x in found["grams"].tolist())
    assert all(0 <= x <= len(found["grams"]) for x in found["begins"].tolist())
