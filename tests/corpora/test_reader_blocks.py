"""Keys of blocks of clinbert.Corpus.v1: folds, the drug that is named, and entities by chance."""

import json

import pytest
import spacy

from clinbert_spacy.corpora.files import CorpusError
from clinbert_spacy.corpora.pubtator import write_pubtator
from clinbert_spacy.corpora.readers import create_corpus
from clinbert_spacy.corpora.record import AnnotatedNote, Mention
from clinbert_spacy.corpora.splits import fold_of

NLP = spacy.blank("en")


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """Forty invented abstracts of BC5CDR."""
    path = tmp_path_factory.mktemp("blocks") / "a.PubTator"
    mentions = (Mention("T1", "Chemical", ((0, 5),)), Mention("T2", "Disease", ((11, 15),)))
    notes = [AnnotatedNote(str(i), f"Zolax gave pain in case {i}.", mentions) for i in range(40)]
    write_pubtator(notes, path)
    return {"corpus": "bc5cdr", "path": str(path)}


def ids(*args, **config):
    reader = create_corpus(*args, **config)
    return [e.reference.spans["clinbert_ents"].attrs["id"] for e in reader(NLP)]


def test_folds(block):
    everything = ids([block])
    parts = [ids([{**block, "fold": k, "folds": 4, "held_out": True}]) for k in range(4)]
    assert sorted(sum(parts, [])) == sorted(everything) and all(parts)
    for fold, part in enumerate(parts):
        assert {fold_of(name, 4) for name in part} == {fold}
        left = ids([{**block, "fold": fold, "folds": 4}])
        assert left == [name for name in everything if name not in part]
        assert left == ids([{**block, "fold": fold, "folds": 4, "held_out": False}])
    # the first one where none is named; limits count within
    assert ids([{**block, "folds": 4, "held_out": True}]) == parts[0]
    few = ids([{**block, "folds": 4, "held_out": True, "limit": 2}])
    assert len(few) == 2 and set(few) < set(parts[0])


def test_folds_of_one_block_and_of_a_part(block):
    other = {**block, "fold": 1, "folds": 4, "held_out": True}
    assert len(ids([block, other])) == 40 + len(ids([other]))
    both = set(ids([{**other, "split": "train"}]))
    assert both == set(ids([other])) & set(ids([{**block, "split": "train"}]))


@pytest.mark.parametrize("found", [{"fold": 1}, {"held_out": True}, {"fold": 0, "held_out": True}])
def test_a_fold_of_how_many(block, found):
    with pytest.raises(CorpusError, match="'bc5cdr' has a fold; expected 'folds' too"):
        create_corpus([{**block, **found}])


def test_a_fold_that_is_not_there(block):
    reader = create_corpus([{**block, "fold": 4, "folds": 4}])
    with pytest.raises(CorpusError, match="from 0 to 3, found 4"):
        list(reader(NLP))


# Entities on the predicted Docs


def with_entities(reader):
    """For each note whether its gold entities stand on the predicted Doc."""
    examples = list(reader(NLP))
    for example in examples:
        found, gold = (
            [(e.start, e.end, e.label_) for e in doc.ents]
            for doc in (example.predicted, example.reference)
        )
        assert len(gold) == 2 and found in ([], gold)
        assert "clinbert_ents" not in example.predicted.spans
    return [bool(example.predicted.ents) for example in examples]


def test_entities_as_a_share(block):
    assert not any(with_entities(create_corpus([block])))
    assert not any(with_entities(create_corpus([block], entities=0.0)))
    assert all(with_entities(create_corpus([block], entities=1.0)))
    reader = create_corpus([block], entities=0.5, seed=3)
    first, second = with_entities(reader), with_entities(reader)
    assert 8 < sum(first) < 32 and 8 < sum(second) < 32
    # drawn anew in each pass, and the same in each run
    assert first != second
    assert with_entities(create_corpus([block], entities=0.5, seed=3)) == first
    assert with_entities(create_corpus([block], entities=0.5, seed=4)) != first


def test_a_config_may_name_the_share(block):
    config = {"@readers": "clinbert.Corpus.v1", "sources": [block], "entities": 1}
    assert all(with_entities(spacy.registry.resolve({"reader": config})["reader"]))


# The drug that a text is about


@pytest.fixture
def labels(tmp_path):
    """Two drug labels that do not name their drug."""
    event = ["Nausea", 0, 0, 0, 0, "0", "6"]
    sections = [
        {"label_id": name, "section_name": "s", "section_text": "Nausea came.",
         "adverse_events": [event]}
        for name in ("ZOLAX", "plexa")
    ]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(sections))
    return {"path": str(tmp_path)}


def test_the_drug_is_named(labels):
    source = {"spl_adr": {**labels, "name_drug": True}}
    examples = list(create_corpus(source)(NLP))
    texts = ["Zolax: Nausea came.", "Plexa: Nausea came."]
    assert [e.predicted.text for e in examples] == [e.reference.text for e in examples] == texts
    for example in examples:
        attrs = example.reference.spans["clinbert_ents"].attrs
        assert [row[:2] for row in attrs["gold"]][-1] == [7, 13]
        assert attrs["links"] == [[0, 5, 7, 13, "ADVERSE_EFFECT", "stated", "reaction"]]
    with pytest.raises(CorpusError, match="expected scheme 'product', found 'own'"):
        create_corpus(source, scheme="own")


def test_the_drug_is_not_named_unless_asked(labels, block):
    for found in ({}, {"name_drug": False}):
        (first, _) = create_corpus({"spl_adr": {**labels, **found}})(NLP)
        assert first.reference.text == "Nausea came."
        assert first.reference.spans["clinbert_ents"].attrs["links"] == []
    # nor where the corpus has no such drug
    assert ids([{**block, "name_drug": True}]) == ids([block])


def test_the_named_drug_is_no_part_of_the_id_or_fold(labels):
    source = {**labels, "folds": 2, "held_out": True}
    plain, named = (
        ids({"spl_adr": {**source, "fold": fold, "name_drug": True}}) for fold in (0, 1)
    )
    assert sorted(plain + named) == sorted(ids({"spl_adr": labels})) and len(plain + named) == 2
