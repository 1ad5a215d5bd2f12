"""Attach and detach: toy pipelines of spaCy, spacy-transformers and scispaCy as hosts."""

import warnings

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example

from clinbert_spacy.interop.attach import attach, detach
from clinbert_spacy.interop.attach_plan import META_KEY, attached

TEXT = "The patient takes aspirin for hypertension. No rash."
BLOCK = ["clinbert_transformer", "clinbert_ner"]


@Language.factory(
    "attach_test_sentences", assigns=["doc.sents"], default_config={"overwrite": False}
)
def make_sentences(nlp, name, overwrite):
    return EveryToken(overwrite)


class EveryToken:
    """Starts a sentence at every token, over those that are there if told so."""

    def __init__(self, overwrite):
        self.overwrite = overwrite

    def __call__(self, doc):
        if self.overwrite or not doc.has_annotation("SENT_START"):
            for token in doc:
                token.is_sent_start = True
        return doc


@Language.component("attach_test_reader", requires=["doc.sents", "doc.ents"])
def read_sentences(doc):
    doc.user_data["read"] = (len(list(doc.sents)), len(doc.ents))
    return doc


@Language.component("attach_test_adder", requires=["doc.ents"], assigns=["doc.ents"])
def add_to_entities(doc):
    return doc


@Language.component("attach_test_spans", assigns=["doc.spans"])
def write_spans(doc):
    doc.spans["attach_test"] = [doc[:1]]
    return doc


@Language.component("attach_test_span_reader", requires=["doc.spans"])
def read_spans(doc):
    doc.user_data["spans"] = len(doc.spans["attach_test"])
    return doc


@Language.component("attach_test_tags", requires=["token.tag"])
def read_tags(doc):
    return doc


@Language.component("attach_test_lemmas", assigns=["token.lemma", "token.pos"])
def write_lemmas(doc):
    for token in doc:
        token.lemma_, token.pos_ = token.lower_, "NOUN"
    return doc


@pytest.fixture
def donor(make_nlp, make_examples):
    nlp = make_nlp()
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def ruled(*more):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "HOST", "pattern": "aspirin"}])
    for name in more:
        nlp.add_pipe(name)
    return nlp


def listening():
    """spaCy's own: two heads that listen to a tok2vec, random weights."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 96, "upstream": "tok2vec"}
    for name in ("tagger", "ner"):
        model = nlp.get_factory_meta(name).default_config["model"]
        nlp.add_pipe(name, config={"model": {**model, "tok2vec": listener}})
    nlp.initialize(lambda: host_examples(nlp))
    return nlp


def host_examples(nlp):
    doc = nlp.make_doc(TEXT)
    tags = ["A" if i % 2 else "B" for i in range(len(doc))]
    return [Example.from_dict(doc, {"tags": tags, "entities": [(18, 25, "HOST")]})]


def stock_transformer(checkpoint):
    """spacy-transformers' own, whose head listens to the wildcard."""
    nlp = spacy.blank("en")
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(checkpoint),
        "tokenizer_config": {"use_fast": True},
        "get_spans": {
            "@span_getters": "spacy-transformers.strided_spans.v1",
            "window": 16,
            "stride": 12,
        },
    }
    nlp.add_pipe("transformer", config={"model": model})
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "*",
    }
    nlp.add_pipe(
        "tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}}
    )
    nlp.initialize(lambda: host_examples(nlp))
    return nlp


def ours(doc):
    return [(span.start, span.end, span.label_) for span in doc.spans["clinbert_ents"]]


def theirs(doc):
    return ([t.tag_ for t in doc], [t.is_sent_start for t in doc])


def test_blank_with_rules(donor):
    expected = ours(donor(TEXT))
    nlp = ruled("doc_cleaner")
    before = nlp(TEXT)
    assert attach(nlp, source=donor) == BLOCK
    assert nlp.pipe_names == ["sentencizer", "entity_ruler", *BLOCK, "doc_cleaner"]
    doc = nlp(TEXT)
    assert expected and ours(doc) == expected
    assert theirs(doc) == theirs(before)
    assert doc._.trf_data is None


def test_entities_of_the_host_stay_by_default(donor):
    nlp = ruled()
    attach(nlp, source=donor)
    assert nlp.get_pipe("clinbert_ner").ents_policy == "keep"
    assert nlp.get_pipe_config("clinbert_ner")["ents_policy"] == "keep"
    assert "HOST" in {e.label_ for e in nlp(TEXT).ents}
    assert donor.get_pipe("clinbert_ner").ents_policy == "replace"


@pytest.mark.parametrize("policy", ["keep", "longest", "replace"])
def test_policy_asked_for(donor, policy, tmp_path):
    nlp = ruled()
    attach(nlp, source=donor, ents_policy=policy)
    assert nlp.get_pipe("clinbert_ner").ents_policy == policy
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("clinbert_ner").ents_policy == policy
    assert ("HOST" in {e.label_ for e in nlp(TEXT).ents}) == (policy != "replace")


def test_a_host_without_entities_keeps_the_setting_of_the_source(donor):
    nlp = spacy.blank("en")
    attach(nlp, source=donor)
    assert nlp.get_pipe("clinbert_ner").ents_policy == "replace"
    assert nlp.get_pipe("clinbert_ner") is donor.get_pipe("clinbert_ner")


def test_both_layers_of_listeners(donor):
    nlp = listening()
    before = nlp(TEXT)
    attach(nlp, source=donor)
    doc = nlp(TEXT)
    assert nlp.pipe_names == ["tok2vec", "tagger", "ner", *BLOCK]
    assert [t.tag_ for t in doc] == [t.tag_ for t in before]
    assert ours(doc) == ours(donor(TEXT))
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger", "ner"]
    assert nlp.get_pipe("clinbert_transformer").listening_components == ["clinbert_ner"]


def test_two_transformers_each_with_its_heads(donor, checkpoint):
    nlp = stock_transformer(checkpoint)
    before = nlp(TEXT)
    with pytest.warns(UserWarning, match="doc._.trf_data holds that of the attached one"):
        attach(nlp, source=donor)
    doc = nlp(TEXT)
    assert theirs(doc) == theirs(before)
    assert ours(doc) == ours(donor(TEXT))
    assert nlp.get_pipe("transformer").listening_components == ["tagger"]
    assert doc._.trf_data.owner == "clinbert_transformer"
    detach(nlp)
    assert theirs(nlp(TEXT)) == theirs(before)


def test_no_place_before_a_foreign_listener(donor, checkpoint):
    nlp = stock_transformer(checkpoint)
    with pytest.raises(ValueError, match="before = 'tagger' is too early: 'tagger'"):
        attach(nlp, source=donor, before="tagger")
    assert nlp.pipe_names == ["transformer", "tagger"] and not attached(nlp)


def test_place_asked_for(donor):
    nlp = ruled("doc_cleaner")
    nlp.add_pipe("attach_test_spans", last=True)
    with pytest.raises(ValueError, match="before = 'attach_test_spans' is too late: 'doc_cleaner'"):
        attach(nlp, source=donor, before="attach_test_spans")
    with pytest.raises(ValueError, match="before = 'nothing': expected one of 'sentencizer'"):
        attach(nlp, source=donor, before="nothing")
    attach(nlp, source=donor, before="entity_ruler")
    assert nlp.pipe_names[:4] == ["sentencizer", *BLOCK, "entity_ruler"]


def test_a_cleaner_before_a_foreign_listener(donor, checkpoint):
    nlp = stock_transformer(checkpoint)
    nlp.add_pipe("doc_cleaner", before="tagger")
    with pytest.raises(ValueError, match="'doc_cleaner' stands before 'tagger'"):
        attach(nlp, source=donor)


def test_scispacy(donor):
    import scispacy.abbreviation  # noqa: F401 (registers its component)
    import scispacy.custom_sentence_segmenter  # noqa: F401

    donor.add_pipe("attach_test_sentences")
    nlp = spacy.blank("en")
    nlp.add_pipe("pysbd_sentencizer")
    nlp.add_pipe("abbreviation_detector", config={"make_serializable": True})
    with pytest.warns(UserWarning, match="'attach_test_sentences' is left out"):
        assert attach(nlp, source=donor) == BLOCK
    doc = nlp("He has multiple sclerosis (MS). MS is stable.")
    assert [x["long_text"] for x in doc._.abbreviations] == ["multiple sclerosis"] * 2
    assert len(list(doc.sents)) == 2 and "clinbert_ents" in doc.spans


def test_scispacy_hyponyms_behind_a_parser(donor):
    import scispacy.hyponym_detector  # noqa: F401

    text = "Drugs such as aspirin were given ."
    words = {
        "tags": ["N"] * 7,
        "heads": [5, 3, 1, 0, 5, 5, 5],
        "deps": ["nsubjpass", "amod", "fixed", "nmod", "auxpass", "ROOT", "punct"],
    }
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger")
    nlp.add_pipe("parser")
    nlp.initialize(lambda: [Example.from_dict(nlp.make_doc(text), words)])
    nlp.add_pipe("attach_test_lemmas")
    nlp.add_pipe("hyponym_detector")
    before = [(rule, str(a), str(b)) for rule, a, b in nlp(text)._.hearst_patterns]
    assert before
    attach(nlp, source=donor)
    doc = nlp(text)
    assert [(rule, str(a), str(b)) for rule, a, b in doc._.hearst_patterns] == before
    assert nlp.pipe_names == ["tagger", "parser", "attach_test_lemmas", "hyponym_detector", *BLOCK]
    assert ours(doc) == ours(donor(text))


def test_sentences_of_the_host(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    nlp = ruled()
    with pytest.warns(UserWarning, match="'sentencizer' of the pipeline and 'attach_test_sent"):
        assert attach(nlp, source=donor) == BLOCK
    assert len(list(nlp(TEXT).sents)) == 2
    nlp = ruled()
    with pytest.raises(ValueError, match="both set sentences. Choose sents='keep'"):
        attach(nlp, source=donor, sents="raise")
    attach(nlp, source=donor, sents="override")
    doc = nlp(TEXT)
    assert nlp.get_pipe("attach_test_sentences").overwrite
    assert len(list(doc.sents)) == len(doc)


def test_sentences_where_the_host_has_none(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    nlp = spacy.blank("en")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert attach(nlp, source=donor) == ["attach_test_sentences", *BLOCK]


def test_sentences_of_a_parser_cannot_be_overridden(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    nlp = spacy.blank("en")
    nlp.add_pipe("parser")
    with pytest.raises(ValueError, match="spaCy lets nobody change the sentences of a parse"):
        attach(nlp, source=donor, sents="override")


def test_nothing_left(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="No component is left"):
        attach(ruled(), ["attach_test_sentences"], donor)


def test_what_a_component_listens_to_comes_along(donor):
    nlp = spacy.blank("en")
    assert attach(nlp, ["clinbert_ner"], donor) == BLOCK
    assert ours(nlp(TEXT)) == ours(donor(TEXT))


def test_what_a_component_needs_comes_along(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    donor.add_pipe("attach_test_reader")
    nlp = spacy.blank("en")
    names = ["attach_test_sentences", *BLOCK, "attach_test_reader"]
    assert attach(nlp, ["attach_test_reader"], donor) == names
    assert nlp(TEXT).user_data["read"][0] > 2
    # the host gives both: nothing else comes
    nlp = ruled()
    assert attach(nlp, ["attach_test_reader"], donor) == ["attach_test_reader"]
    assert nlp(TEXT).user_data["read"] == (2, 1)


def test_who_adds_to_entities_does_not_stand_in_for_who_finds_them(donor):
    donor.add_pipe("attach_test_sentences", first=True)
    donor.add_pipe("attach_test_adder")
    donor.add_pipe("attach_test_reader")
    names = ["attach_test_sentences", *BLOCK, "attach_test_reader"]
    assert attach(spacy.blank("en"), ["attach_test_reader"], donor) == names


def test_span_groups_come_from_the_source_alone(donor):
    donor.add_pipe("attach_test_spans")
    donor.add_pipe("attach_test_span_reader")
    nlp = spacy.blank("en")
    nlp.add_pipe("span_ruler")
    assert attach(nlp, ["attach_test_span_reader"], donor) == [
        "attach_test_spans",
        "attach_test_span_reader",
    ]
    assert nlp(TEXT).user_data["spans"] == 1


def test_what_nobody_writes_is_named(donor):
    donor.add_pipe("attach_test_tags")
    with pytest.raises(ValueError, match="'attach_test_tags' needs token.tag, which no component"):
        attach(spacy.blank("en"), ["attach_test_tags"], donor)


def test_unknown_components(donor):
    with pytest.raises(ValueError, match="expected some of 'clinbert_transformer'.*'clinbert_x'"):
        attach(spacy.blank("en"), ["clinbert_x"], donor)
    with pytest.raises(ValueError, match="unknown: none"):
        attach(spacy.blank("en"), [], donor)


def test_names_that_are_taken(donor):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer", name="clinbert_ner")
    with pytest.raises(ValueError, match="named 'clinbert_ner' already. Rename it first"):
        attach(nlp, source=donor)
    nlp = spacy.blank("en")
    attach(nlp, source=donor)
    with pytest.raises(ValueError, match="'clinbert_ner' already. Call detach"):
        attach(nlp, source=donor)


def test_extensions_that_are_taken(donor):
    Span.set_extension("clinbert_score", default=1, force=True)
    try:
        with pytest.raises(ValueError, match="Span._.clinbert_score is already defined"):
            attach(spacy.blank("en"), source=donor)
    finally:
        Span.remove_extension("clinbert_score")
    kept = Doc.get_extension("trf_data")
    Doc.set_extension("trf_data", getter=len, force=True)
    try:
        with pytest.raises(ValueError, match="Doc._.trf_data is a getter of another package"):
            attach(spacy.blank("en"), source=donor)
    finally:
        Doc.set_extension("trf_data", default=kept[0], force=True)


def test_another_language(donor):
    with pytest.raises(ValueError, match="is for language 'de', the source for 'en'"):
        attach(spacy.blank("de"), source=donor)


def with_vectors(nlp):
    nlp.vocab.set_vector("aspirin", numpy.ones(8, dtype="f"))
    return nlp


def test_vectors_that_nobody_reads_may_differ(donor):
    nlp = with_vectors(spacy.blank("en"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        attach(nlp, source=donor)


def test_vectors_that_are_read_may_not():
    source = with_vectors(spacy.blank("en"))
    model = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": True,
        "width": 96,
        "depth": 1,
        "embed_size": 100,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": False,
    }
    source.add_pipe("tok2vec", config={"model": model})
    source.initialize(lambda: host_examples(source))
    with pytest.raises(ValueError, match="'tok2vec' of the source reads word vectors"):
        attach(spacy.blank("en"), source=source)
    attach(with_vectors(spacy.blank("en")), source=source)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"sents": "maybe"}, "sents = 'maybe' is not one of keep, override, raise"),
        ({"ents_policy": "all"}, "ents_policy = 'all' is not one of replace, keep, longest"),
        ({"components": ["clinbert_transformer"], "ents_policy": "keep"}, "none of 'clinbert_tran"),
        ({"source": "no_such_pipeline"}, "'no_such_pipeline' is neither an installed pipeline"),
    ],
)
def test_choices(donor, choice, message):
    nlp = ruled()
    with pytest.raises(ValueError, match=message):
        attach(nlp, **{"source": donor, **choice})
    assert nlp.pipe_names == ["sentencizer", "entity_ruler"] and META_KEY not in nlp.meta


def test_save_load_and_detach(donor, tmp_path):
    donor.to_disk(tmp_path / "donor")
    nlp = ruled("doc_cleaner")
    before = theirs(nlp(TEXT)), [e.label_ for e in nlp(TEXT).ents]
    attach(nlp, source=tmp_path / "donor")
    expected = ours(nlp(TEXT))
    nlp.to_disk(tmp_path / "host")
    loaded = spacy.load(tmp_path / "host")
    assert ours(loaded(TEXT)) == expected and attached(loaded) == BLOCK
    assert detach(loaded) == BLOCK
    assert loaded.pipe_names == ["sentencizer", "entity_ruler", "doc_cleaner"]
    doc = loaded(TEXT)
    assert (theirs(doc), [e.label_ for e in doc.ents]) == before
    assert META_KEY not in loaded.meta
    with pytest.raises(ValueError, match="Nothing to detach"):
        detach(loaded)
    again = spacy.blank("en")
    attach(again, source=tmp_path / "donor")
    assert ours(again.from_bytes(again.to_bytes())(TEXT)) == expected


def test_detach_while_somebody_listens(donor):
    nlp = spacy.blank("en")
    attach(nlp, source=donor)
    nlp.add_pipe("clinbert_ner", name="another")
    with pytest.raises(ValueError, match="'another' listens to 'clinbert_transformer'"):
        detach(nlp)
    nlp.remove_pipe("another")
    assert detach(nlp) == BLOCK and nlp.pipe_names == []


def test_select_pipes(donor):
    nlp = listening()
    attach(nlp, source=donor)
    with nlp.select_pipes(disable=BLOCK):
        assert "clinbert_ents" not in nlp(TEXT).spans
    with nlp.select_pipes(enable=BLOCK):
        assert ours(nlp(TEXT)) == ours(donor(TEXT))
    with (
        nlp.select_pipes(disable=["clinbert_transformer"]),
        pytest.raises(ValueError, match="'clinbert_transformer' has not run"),
    ):
        nlp(TEXT)


def test_a_disabled_component_is_attached_on_demand(donor):
    donor.disable_pipe("clinbert_ner")
    assert attach(spacy.blank("en"), source=donor) == ["clinbert_transformer"]
    assert attach(spacy.blank("en"), ["clinbert_ner"], donor) == BLOCK


def test_pipe_equals_call(donor):
    nlp = ruled()
    attach(nlp, source=donor)
    texts = [TEXT, "", "Aspirin 10 mg daily."]
    assert [ours(doc) for doc in nlp.pipe(texts)] == [ours(nlp(text)) for text in texts]
