"""Long notes are taken after a reload too."""

import pytest
import spacy
from spacy.lang.en import English

from clinbert_spacy.pipeline.callbacks import configure_max_length

CONFIG = {"nlp": {"after_pipeline_creation": {"@callbacks": "clinbert.max_length.v1"}}}


def test_the_limit_survives_saving(tmp_path):
    nlp = English.from_config(CONFIG)
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).max_length == nlp.max_length == 10_000_000
    assert len(spacy.load(tmp_path).make_doc("fever\n" * 200_000).text) == 1_200_000


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="characters = 0"):
        configure_max_length(0)
