"""Groups of diseases out of the shipped graph, and pretraining that asks for them."""

import gzip
from pathlib import Path

import numpy
import pytest

from clinbert_spacy.models.lexicon import Lexicon
from clinbert_spacy.training.disease_groups import MOST, entry_groups
from clinbert_spacy.training.pretrain_data import DISEASE, DRUG, _silver, entry_tags
from clinbert_spacy.training.pretrain_settings import read_settings
from clinbert_spacy.training.pretraining import pretrain
from clinbert_spacy.training.sequences import Rows
from clinbert_spacy.training.text_cache import MENTION, WORD

from .toy_text import losses_of, make_config

GRAPH = Path(__file__).parents[2] / "assets" / "graph"


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.from_disk(GRAPH / "lexicon.msgpack.gz")


def entry_of(lexicon, name):
    (match,) = lexicon.find(name.split())
    assert (match.start, match.end) == (0, len(name.split()))
    return match.entry


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("myocardial infarction", "cardiovascular system disease"),
        ("pneumonia", "respiratory system disease"),
        ("epilepsy", "nervous system disease"),
    ],
)
def test_a_disease_is_of_the_groups_above_it(lexicon, name, group):
    groups, table = entry_groups(GRAPH, lexicon)
    assert len(groups) == len(set(groups)) <= MOST
    assert table.shape == (len(lexicon) + 1, len(groups))
    found = {groups[i] for i in numpy.flatnonzero(table[entry_of(lexicon, name) + 1])}
    assert group in found and len(found) < 12
    assert not table[0].any() and not table[entry_of(lexicon, "aspirin") + 1].any()


def test_a_graph_without_diseases_is_refused(tmp_path, lexicon):
    with gzip.open(tmp_path / "triples.tsv.gz", "wt") as stream:
        stream.write("C:1\ttreats\tC:2\tx\t\n")
    with pytest.raises(ValueError, match="no hierarchy of diseases"):
        entry_groups(tmp_path, lexicon)


def test_silver_tags_begin_and_go_on(lexicon):
    tags = entry_tags(lexicon)
    heart, drug = entry_of(lexicon, "myocardial infarction"), entry_of(lexicon, "aspirin")
    assert (tags[heart + 1], tags[drug + 1], tags[0]) == (DISEASE, DRUG, 0)
    # [CLS] had myocardial infarction takes asp ##irin [SEP]
    entries = numpy.array([[0, 0, heart + 1, heart + 1, 0, drug + 1, drug + 1, 0]])
    flags = numpy.array([[0, WORD, WORD | MENTION, WORD, WORD, WORD | MENTION, 0, 0]])
    inner = numpy.array([[False, True, True, True, True, True, True, False]])
    nothing = numpy.zeros_like(entries)
    rows = Rows(nothing, flags, entries, nothing, inner, inner, nothing[:, 0])
    assert _silver(rows, tags).tolist() == [[-100, 0, DISEASE, DISEASE + 1, 0, DRUG, -100, -100]]


def test_both_are_learned(tmp_path, checkpoint):
    overrides = {"knowledge__graph": str(GRAPH), "training__max_steps": 60}
    for name in ("silver_tags", "passage_classes"):
        overrides[f"objectives__{name}"] = {"weight": 1.0}
    settings = read_settings(make_config(tmp_path, checkpoint, **overrides))
    pretrain(settings, tmp_path / "out")
    first, *_, last = [row["train"] for row in losses_of(tmp_path / "out" / "log.jsonl")]
    assert last["silver_tags"] < first["silver_tags"] / 2
    assert last["passage_classes"] < first["passage_classes"] / 2
