"""`clinbert_linker`: concepts of entities, with and without abbreviations, saved and loaded."""

import json
import pickle
import shutil

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup

from clinbert_spacy.attributes import ABBREVIATIONS_KEY, CONCEPTS_KEY, ENTS_KEY
from clinbert_spacy.models.linking import ConceptLinker, Request, check_ranker, match_words
from clinbert_spacy.models.linking_base import RANKER
from clinbert_spacy.models.linking_features import FEATURES
from clinbert_spacy.pipeline.linking import long_forms_of

from ..models.toy_kb import write_kb


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    return write_kb(tmp_path_factory.mktemp("linking") / "kb")


@pytest.fixture
def make(kb):
    def build(path=kb, **config):
        nlp = spacy.blank("en")
        ruler = nlp.add_pipe("entity_ruler")
        patterns = {
            "DISEASE": ["gorbitis", "Gorbitis", "gorb inflammation", "MGS", "acute gorbitis",
                        "multiple gorb sclerosis", "qqqqq", "toe fungus"],
            "DRUG": ["zanfolin", "Zanpro"],
            "DOSAGE": ["two"],
        }  # fmt: skip
        ruler.add_patterns(
            [{"label": label, "pattern": x} for label, names in patterns.items() for x in names]
        )
        linker = {"@misc": "clinbert.ConceptLinker.v1", "path": path and str(path)}
        nlp.add_pipe("clinbert_linker", config={"linker": linker} | config)
        return nlp

    return build


TEXT = "She has gorb inflammation and takes two zanfolin."


def ids(doc):
    return [(span.text, span.kb_id_) for span in doc.ents]


def test_entities_are_linked(make):
    doc = make()(TEXT)
    assert ids(doc) == [("gorb inflammation", "X:1"), ("two", ""), ("zanfolin", "X:3")]
    first, *_ = doc.ents[0]._.clinbert_concepts
    assert first["id"] == "X:1" and first["name"] == "gorbitis" and 0.5 < first["score"] <= 1
    assert doc.ents[1]._.clinbert_concepts == []
    assert doc.text == TEXT


def test_scores_fall_and_are_few(make, kb):
    linker = {"@misc": "clinbert.ConceptLinker.v1", "path": str(kb), "exact": False}
    doc = make(max_concepts=2, linker=linker)("acute gorbitis")
    found = doc.ents[0]._.clinbert_concepts
    assert [x["id"] for x in found] == ["X:2", "X:1"] and found[0]["score"] > found[1]["score"]


def test_what_the_base_lacks_is_not_linked(make):
    doc = make()("toe fungus, qqqqq")
    assert ids(doc) == [("toe fungus", ""), ("qqqqq", "")]
    assert [span._.clinbert_concepts for span in doc.ents] == [[], []]
    assert ids(make(threshold=1.0)(TEXT))[0] == ("gorb inflammation", "")


def test_labels_decide_what_is_looked_for(make):
    nlp = make(labels={"DOSAGE": ["drug"], "DISEASE": ["anatomy"]})
    doc = nlp(TEXT)
    assert len(doc.spans[CONCEPTS_KEY]) == 3  # DRUG is still there: config is merged
    with_type = make(threshold=0.0)("gorbitis").ents[0]._.clinbert_concepts[0]["score"]
    without = make(threshold=0.0, labels={"DISEASE": ["anatomy"]})("gorbitis")
    scores = {x["id"]: x["score"] for x in without.ents[0]._.clinbert_concepts}
    assert scores.get("X:1", 0.0) < with_type


def test_a_joint_label_is_either(make):
    nlp = make()
    doc = nlp.make_doc("gorbitis")
    doc.spans[ENTS_KEY] = SpanGroup(doc, spans=[Span(doc, 0, 1, label="DISEASE|SYMPTOM")])
    doc = nlp.get_pipe("clinbert_linker")(doc)
    assert doc.spans[ENTS_KEY][0].kb_id_ == "X:1"


def test_the_full_set_keeps_its_attrs(make):
    nlp = make()
    doc = nlp.make_doc("acute gorbitis")
    spans = [Span(doc, 0, 2, label="DISEASE"), Span(doc, 1, 2, label="DISEASE")]
    doc.spans[ENTS_KEY] = SpanGroup(doc, spans=spans, attrs={"scores": [0.75, 0.5]})
    doc = nlp.get_pipe("clinbert_linker")(doc)
    assert [span.kb_id_ for span in doc.spans[ENTS_KEY]] == ["X:2", "X:1"]
    assert [span._.clinbert_score for span in doc.spans[ENTS_KEY]] == [0.75, 0.5]
    assert doc.spans[ENTS_KEY][1]._.clinbert_concepts[0]["id"] == "X:1"


@pytest.mark.parametrize("text", ["", "Nothing here."])
def test_nothing_to_link(make, text):
    doc = make()(text)
    assert not doc.ents and not len(doc.spans[CONCEPTS_KEY])


def test_without_a_base(make):
    with pytest.raises(ValueError, match="no knowledge base.*clinbert build-kb.*linker.load"):
        make(path=None)(TEXT)
    with pytest.raises(ValueError, match="No knowledge base in .*nowhere"):
        make(path="nowhere")(TEXT)


@pytest.mark.parametrize(
    ("config", "message"),
    [({"threshold": 2.0}, "threshold = 2.0"), ({"max_concepts": 0}, "max_concepts = 0")],
)
def test_settings_are_checked(make, config, message):
    with pytest.raises(ValueError, match=message):
        make(**config)


def test_numbers_of_the_linker_are_checked():
    with pytest.raises(ValueError, match="candidates = 0"):
        ConceptLinker(None, candidates=0)


def test_a_ranker_for_other_features_is_refused():
    with pytest.raises(ValueError, match="fitted for 1 other features.*link-fit"):
        check_ranker({"features": ["one"]}, "here")


def test_an_entity_defines_the_one_in_parentheses(make):
    nlp = make(threshold=0.0)
    doc = nlp("He has acute gorbitis (MGS) and MGS is bad.")
    assert long_forms_of(doc, list(doc.ents)) == {}  # not a letter of it fits
    doc = nlp("multiple gorb sclerosis (MGS)")
    assert long_forms_of(doc, list(doc.ents)) == {"MGS": "multiple gorb sclerosis"}


class ReadDoc(Doc):
    """A Doc that counts how often its whole text is made."""

    reads = 0

    @property
    def text(self):
        type(self).reads += 1
        return super().text


def test_the_text_is_made_once():
    spaces = [True, False, False, True] * 20
    doc = ReadDoc(spacy.blank("en").vocab, ["ataxia", "(", "AT", ")"] * 20, spaces)
    spans = [Span(doc, i, i + 1, label="DISEASE") for i in range(0, 80, 2)]
    assert long_forms_of(doc, spans)["AT"] == "ataxia"
    assert ReadDoc.reads == 1


def test_abbreviations_of_the_component_are_used(make):
    nlp = make()
    doc = nlp.make_doc("MGS")
    doc.ents = [Span(doc, 0, 1, label="DISEASE")]
    doc.spans[ABBREVIATIONS_KEY] = SpanGroup(
        doc, spans=[doc[0:1]], attrs={"long_forms": ["acute gorbitis"]}
    )
    assert ids(nlp.get_pipe("clinbert_linker")(doc)) == [("MGS", "X:2")]
    assert ids(make()("MGS")) == [("MGS", "X:5")]


@pytest.mark.parametrize("saved", [False, True])
def test_abbreviations_of_scispacy_are_used(make, saved):
    from scispacy.abbreviation import AbbreviationDetector

    nlp = make()
    nlp.add_pipe("abbreviation_detector", first=True, config={"make_serializable": saved})
    assert isinstance(nlp.get_pipe("abbreviation_detector"), AbbreviationDetector)
    doc = nlp("The more green smooth (MGS) of it. Later MGS.")
    assert long_forms_of(doc, []) == {"MGS": "more green smooth"}
    Doc.remove_extension("abbreviations")
    Span.remove_extension("long_form")


def same(first, second):
    assert ids(first) == ids(second)
    found, other = (dict(doc.spans[CONCEPTS_KEY].attrs) for doc in (first, second))
    assert found == other and found["concepts"]


def test_pipe_equals_call(make):
    nlp = make()
    texts = [TEXT, "", "acute gorbitis", TEXT]
    for doc, text in zip(nlp.pipe(texts), texts):
        assert ids(doc) == ids(nlp(text))


def test_docbin_and_pickle_of_docs(make):
    nlp = make()
    doc = nlp(TEXT)
    (read,) = DocBin(docs=[doc]).from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    same(doc, read)
    assert read.ents[0]._.clinbert_concepts == doc.ents[0]._.clinbert_concepts
    same(doc, Doc(nlp.vocab).from_bytes(doc.to_bytes()))
    same(doc, pickle.loads(pickle.dumps(doc)))


def test_processes(make):
    nlp = make()
    docs = list(nlp.pipe([TEXT, "acute gorbitis"], n_process=2))
    same(docs[0], nlp(TEXT))


def test_to_disk_and_back(make, kb, tmp_path):
    copied = shutil.copytree(kb, tmp_path / "kb")
    nlp = make(path=copied)
    doc = nlp(TEXT)
    nlp.to_disk(tmp_path / "nlp")
    shutil.rmtree(copied)  # the base travels
    same(doc, spacy.load(tmp_path / "nlp")(TEXT))


def test_a_base_by_path_alone(make, tmp_path):
    nlp = make(bundle=False)
    nlp.to_disk(tmp_path / "nlp")
    assert not (tmp_path / "nlp" / "clinbert_linker" / "base").exists()
    same(nlp(TEXT), spacy.load(tmp_path / "nlp")(TEXT))


def test_to_bytes_and_back(make):
    nlp = make()
    doc, other = nlp(TEXT), make(path=None)
    other.from_bytes(nlp.to_bytes())
    same(doc, other.get_pipe("clinbert_linker")(bare(doc)))
    again = make(path=None).from_bytes(other.to_bytes())
    same(doc, again.get_pipe("clinbert_linker")(bare(doc)))


def bare(doc):
    """The same entities without links: spaCy's entity_ruler does not survive from_bytes."""
    other = Doc(doc.vocab, words=[t.text for t in doc], spaces=[bool(t.whitespace_) for t in doc])
    other.ents = [Span(other, x.start, x.end, label=x.label) for x in doc.ents]
    return other


def test_pickle_of_the_component(make):
    component = make().get_pipe("clinbert_linker")
    nlp = make()
    doc = nlp(TEXT)
    component(nlp.make_doc("gorbitis"))
    again = pickle.loads(pickle.dumps(component))
    same(doc, again(bare(doc)))


def test_initialize_takes_a_base(make, kb):
    nlp = make(path=None)
    nlp.get_pipe("clinbert_linker").initialize(base=str(kb))
    assert ids(nlp(TEXT))[0] == ("gorb inflammation", "X:1")


def test_memory_is_bounded(kb):
    linker = ConceptLinker(kb, cache=2)
    requests = [Request(text) for text in ("gorbitis", "gorb", "zanfolin", "gorbitis")]
    found = linker.rank(requests)
    assert found[0] == found[3] and len(linker._memory) == 2
    assert linker.rank(requests) == found


def test_a_ranker_of_its_own(kb, tmp_path):
    folder = shutil.copytree(kb, tmp_path / "kb")
    weights = [0.0] * len(FEATURES)
    ranker = {"features": list(FEATURES), "weights": weights, "scale": 1.0, "offset": 0.0}
    (folder / RANKER).write_text(json.dumps(ranker), "utf8")
    found = ConceptLinker(folder).rank([Request("gorbitis")])[0]
    assert {x.score for x in found} == {0.5}


def test_string_match(kb):
    linker = ConceptLinker(kb)
    assert match_words(linker, Request("Inflammation, Gorb")) == ["X:1"]
    assert match_words(linker, Request("gorbitis", ("drug",))) == []
    assert match_words(linker, Request("unknown")) == []


def test_names_of_the_base_are_not_looked_for_in_the_index(kb, monkeypatch):
    asked = []
    for exact in (True, False):
        linker = ConceptLinker(kb, exact=exact)
        near = linker.base.near
        monkeypatch.setattr(linker.base, "near", lambda x, k, n=near: (asked.append(x), n(x, k))[1])
        requests = [Request("Inflammation, Gorb", ("disease",)), Request("gorbitiss", ("disease",))]
        requests.append(Request("gorbitis", ("drug",)))
        found = linker.rank(requests)
        assert [ranked[0].id for ranked in found[:2]] == ["X:1", "X:1"]
    # a name of another kind is no reason to stop
    assert asked == [["gorbitiss", "gorbitis"], [asked[1][0], "gorbitiss", "gorbitis"]]
