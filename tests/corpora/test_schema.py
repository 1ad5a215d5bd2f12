import pytest

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.schema import (
    NEVER_SHIPS,
    PRODUCT_LABELS,
    SCHEMAS,
    get_schema,
    may_ship,
)

BANNED = {
    "negex", "mediqa2021_mas", "mediqa2021_rrs", "medical_abstracts", "presidio_synth",
    "vanderbilt_abbreviations",
}  # fmt: skip


def test_banned_sources_never_ship():
    assert set(NEVER_SHIPS) >= BANNED
    assert not any(may_ship(name) for name in BANNED)
    assert not any(SCHEMAS[name].ships for name in SCHEMAS if name in NEVER_SHIPS)


@pytest.mark.parametrize(
    "licence",
    [
        "CC BY-NC 4.0", "cc-by-nc-sa-4.0", "non-commercial use only", "noncommercial",
        "CC BY-NC.", "CC BY (NC)", "CC_BY_NC_4.0", "CC BY\u2011NC 4.0", "non\u2011commercial use",
        "CC\u00a0BY\u00a0NC", "ccbync4.0", "ＣＣ－ＢＹ－ＮＣ",
    ],
)  # fmt: skip
def test_non_commercial_licences_never_ship(licence):
    assert not may_ship("anything", licence)
    assert not may_ship("bc5cdr", licence)


@pytest.mark.parametrize("licence", ["CC BY 4.0", "public domain", "MIT, Company Inc.", "sync"])
def test_other_licences_may_ship(licence):
    assert may_ship("anything", licence)


@pytest.mark.parametrize(
    ("name", "doubt"),
    [("chia", "bigbio"), ("bc5cdr", "bigbio"), ("lct", "not verified"),
     ("maccrobat", "not verified"), ("ade", "not stated"), ("biored", "not stated")],
)  # fmt: skip
def test_licences_say_who_says_so(name, doubt):
    assert doubt in get_schema(name).licence


def test_unknown_sources_do_not_ship_silently():
    assert not may_ship("somebody_elses_corpus")
    assert may_ship("bc5cdr")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_tables_hold_together(name):
    schema = get_schema(name)
    mapped = {label for rule in schema.rules.values() for label in rule.product}
    assert mapped <= set(PRODUCT_LABELS)
    assert set(schema.covered) <= set(PRODUCT_LABELS)
    assert all(rule.product or rule.reason for rule in schema.rules.values())
    assert schema.licence and schema.source
    assert schema.ships == may_ship(name)


def test_own_scheme_covers_every_label():
    assert get_schema("bc5cdr").scheme("own").covered == ("Chemical", "Disease")
    assert get_schema("ncbi").scheme("own").covered == ("Disease",)
    with pytest.raises(CorpusError, match="'product' or 'own'"):
        get_schema("ncbi").scheme("other")
    with pytest.raises(CorpusError, match="expected one of"):
        get_schema("nothing")
