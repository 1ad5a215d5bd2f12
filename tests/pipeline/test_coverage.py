"""Coverage on the note: complete, and still there after serialisation."""

import spacy
from spacy.tokens import DocBin


def test_counts_survive_docbin(transformer_config):
    nlp = spacy.blank("en")
    config = {
        "model": transformer_config,
        "set_extra_annotations": {"@annotation_setters": "clinbert.coverage.v1"},
    }
    nlp.add_pipe("transformer", name="clinbert_transformer", config=config)
    nlp.initialize()
    docs = list(nlp.pipe(["fever " * 100, "", "  "]))
    assert docs[0]._.clinbert_coverage == {
        "tokens": 100, "wordpieces": 100, "windows": 8, "unknown": 0, "truncated": 0
    }
    assert docs[1]._.clinbert_coverage["tokens"] == 0
    stored = DocBin(docs=docs).to_bytes()
    copies = list(DocBin().from_bytes(stored).get_docs(nlp.vocab))
    assert [d._.clinbert_coverage for d in copies] == [d._.clinbert_coverage for d in docs]


def test_nothing_ran_nothing_counted():
    from clinbert_spacy import attributes

    attributes.install()
    assert spacy.blank("en")("fever")._.clinbert_coverage is None
