import pytest

from clinbert_spacy.corpora.schema import NEVER_SHIPS
from clinbert_spacy.training.card import check_sources, complete_meta, licence_list, model_card

SOURCE = {
    "name": "bc5cdr",
    "url": "https://example.org/bc5cdr",
    "license": "public domain mark 1.0",
    "origin": "human",
}
GIVEN = {
    "description": "Entities in notes",
    "license": "MIT",
    "sources": [
        SOURCE,
        {**SOURCE, "name": "invented notes", "license": "MIT", "origin": "machine"},
    ],
    "performance": {"ents_f": 0.84},
    "intended_use": "Research and human-reviewed chart abstraction; not a medical device.",
    "limits": ["No output is not no disease."],
}
OWN = {"lang": "en", "labels": {"ner": ["DRUG"]}, "pipeline": ["ner"], "components": ["ner"]}


@pytest.mark.parametrize("name", ["en_clinbert", "clinbert"])
def test_meta_is_complete(name):
    meta = complete_meta(OWN, GIVEN, name=name, version="1.2.3")
    assert (meta["name"], meta["version"], meta["lang"]) == ("clinbert", "1.2.3", "en")
    assert any(line.startswith("clinbert-spacy>=") for line in meta["requirements"])
    assert meta["spacy_version"].startswith(">=3.8") and "<3.9" in meta["spacy_version"]
    assert meta["labels"] == {"ner": ["DRUG"]}


@pytest.mark.parametrize("key", ["sources", "performance", "intended_use", "limits", "license"])
def test_missing_statement_is_named(key):
    given = {k: value for k, value in GIVEN.items() if k != key}
    with pytest.raises(ValueError, match=f"lacks {key}"):
        complete_meta(OWN, given, name="clinbert", version="1.0.0")


@pytest.mark.parametrize("key", ["url", "license", "origin"])
def test_source_without_statement_is_named(key):
    with pytest.raises(ValueError, match=f"Source bc5cdr lacks {key}"):
        check_sources([{**SOURCE, key: ""}])


def test_british_spelling_is_taken():
    source = {**SOURCE, "licence": "CC0 1.0"}
    del source["license"]
    assert check_sources([source])[0]["license"] == "CC0 1.0"


@pytest.mark.parametrize(
    "change",
    [
        *({"name": name} for name in NEVER_SHIPS),
        {"name": "MEDIQA 2021"},
        {"name": "NegEx test kit"},
        {"name": "names", "url": "https://example.org/presidio_synth"},
        {"name": "some corpus", "license": "CC BY-NC 4.0"},
        {"name": "bc5cdr", "license": "non-commercial"},
    ],
)
def test_source_that_may_not_ship(change):
    with pytest.raises(ValueError, match="not allowed in weights"):
        check_sources([SOURCE, {**SOURCE, **change}])


def test_unknown_origin():
    with pytest.raises(ValueError, match="origin 'synthetic', expected one of: human, machine"):
        check_sources([{**SOURCE, "origin": "synthetic"}])


def test_card_says_what_is_machine_made():
    meta = complete_meta(OWN, GIVEN, name="clinbert", version="1.2.3")
    card = model_card(meta)
    for text in (
        "# en_clinbert 1.2.3",
        "not a medical device",
        "No output is not no disease",
        "public domain mark 1.0",
        "ENTS_F",
        "84.00",
    ):
        assert text in card
    row = next(line for line in card.splitlines() if line.startswith("| [invented notes]"))
    assert "machine-made" in row
    assert "public domain mark 1.0" in licence_list(meta)
