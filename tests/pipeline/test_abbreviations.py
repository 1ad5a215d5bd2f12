"""`clinbert_abbreviations`: what the note defines, and what the inventory says."""

import pickle
import warnings

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span

from clinbert_spacy.attributes import ABBREVIATIONS_KEY, Abbreviation
from clinbert_spacy.models.abbreviations import read_inventory

WEIGHTS = {
    "MS": {
        "senses": [0, 2],
        "bias": [0.0, 0.0],
        "words": {"relapse": [3.0, -3.0], "mg": [-3.0, 3.0], ">0": [-1.0, 1.0]},
    }
}


def make_nlp(path=None, **config):
    tokenizer = {"@tokenizers": "clinbert.ClinicalTokenizer.v1"}
    nlp = spacy.blank("en", config={"nlp": {"tokenizer": tokenizer}})
    pipe = nlp.add_pipe("clinbert_abbreviations", config=config)
    if path:
        pipe.initialize(lambda: [], nlp=nlp, path=path)
    return nlp


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "abbreviations.json.gz"
    srsly.write_gzip_json(path, {**read_inventory(), "weights": WEIGHTS})
    return path


def found(doc):
    return [(x.span.text, x.long_form, x.source) for x in doc._.clinbert_abbreviations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pt c/o HTN.", [("Pt", "patient"), ("c/o", "complains of"), ("HTN", "hypertension")]),
        ("Known HTN/T2DM", [("HTN", "hypertension"), ("T2DM", "type 2 diabetes mellitus")]),
        ("metoprolol 25 mg bid prn", [("bid", "twice a day"), ("prn", "as needed")]),
        ("it is as well as it was, or so", []),
        ("he had a sob story, all of us", []),
        ("HTNX and XHTN", []),
        ("AS NOTED ABOVE, IT WAS SEEN, OR NOT AT ALL", []),
        ("PT SEEN AND EXAMINED\nNo HTN", [("HTN", "hypertension")]),
        ("intrathecal IT baclofen", [("IT", "intrathecal")]),
        ("HTN, SOB, IT pump", [("HTN", "hypertension"), ("SOB", "shortness of breath"),
                               ("IT", "intrathecal")]),
        # several long forms and no weights: none is given
        ("MS for years", []),
        ("", []),
        ("\n \n", []),
    ],
)  # fmt: skip
def test_inventory(text, expected):
    doc = make_nlp()(text)
    assert [(short, long) for short, long, _ in found(doc)] == expected
    assert set(doc.spans[ABBREVIATIONS_KEY].attrs["sources"]) <= {"inventory"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mixed schizoaffective disorder (MSD). MSD is stable.",
            [("MSD", "Mixed schizoaffective disorder", "note")] * 2,
        ),
        # the note's own definition wins over the inventory
        (
            "He has severe osteitis of bone (SOB). SOB is worse.",
            [("SOB", "severe osteitis of bone", "note")] * 2,
        ),
        ("MS (mitral stenosis). MS again.", [("MS", "mitral stenosis", "note")] * 2),
        ("MS (Mitral\nstenosis)", [("MS", "mitral stenosis", "note")]),
        ("MS (worse)", []),
        ("Given in time (it).", []),
        ("Dose given. A repeat test (DART).", []),
    ],
)
def test_definitions_of_the_note(text, expected):
    assert found(make_nlp()(text)) == expected


def test_definitions_can_be_left_to_others():
    text = "He has severe osteitis of bone (SOB)."
    assert found(make_nlp(definitions=False)(text)) == [("SOB", "shortness of breath", "inventory")]


def test_context_decides(weights):
    nlp = make_nlp(weights)
    doc = nlp("A relapse of MS.")
    (found_here,) = doc._.clinbert_abbreviations
    assert found_here.long_form == "multiple sclerosis" and 0.8 < found_here.score < 1.0
    assert found_here.span._.clinbert_long_form == "multiple sclerosis"
    assert doc[0:1]._.clinbert_long_form is None
    assert found(nlp("Given MS 4 mg.")) == [("MS", "morphine sulfate", "inventory")]


def test_below_the_threshold_nothing_is_given(weights):
    text = "MS for years"
    assert found(make_nlp(weights)(text)) == []
    assert found(make_nlp(weights, threshold=0.5)(text)) == [
        ("MS", "multiple sclerosis", "inventory")
    ]


def test_plain_lists_and_getters():
    doc = make_nlp()("Pt c/o SOB.")
    group = doc.spans[ABBREVIATIONS_KEY]
    assert group.attrs == {
        "long_forms": ["patient", "complains of", "shortness of breath"],
        "sources": ["inventory"] * 3,
        "scores": [1.0] * 3,
    }
    assert doc._.clinbert_abbreviations[0] == Abbreviation(doc[0:1], "patient", "inventory", 1.0)
    assert make_nlp().make_doc("Pt")._.clinbert_abbreviations == []


def test_nothing_else_is_written():
    doc = make_nlp()("Known mitral stenosis of the valve (MSV). No warning.")
    assert doc.user_data == {} and list(doc.spans) == [ABBREVIATIONS_KEY]


def test_no_warning_of_an_empty_matcher():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_nlp()("Seen today (twice).")


def test_docs_survive(weights):
    nlp = make_nlp(weights)
    doc = nlp("A relapse of MS. He has severe osteitis of bone (SOB).")
    expected = found(doc)
    assert len(expected) == 2
    (binned,) = DocBin(docs=[doc]).from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    copies = [binned, pickle.loads(pickle.dumps(doc)), Doc(nlp.vocab).from_bytes(doc.to_bytes())]
    assert all(found(copy) == expected for copy in copies)


def test_the_pipeline_survives(weights, tmp_path):
    nlp = make_nlp(weights)
    text = "A relapse of MS. He has severe osteitis of bone (SOB)."
    expected = found(nlp(text))
    nlp.to_disk(tmp_path / "nlp")
    weights.unlink()
    copies = [
        spacy.load(tmp_path / "nlp"),
        make_nlp().from_bytes(nlp.to_bytes()),
        pickle.loads(pickle.dumps(nlp)),
    ]
    assert all(found(copy(text)) == expected for copy in copies)
    override = {"components.clinbert_abbreviations.threshold": 1.0}
    strict = spacy.load(tmp_path / "nlp", config=override)
    assert [x[2] for x in found(strict(text))] == ["note"]


def test_pipe_equals_call_also_in_processes(weights):
    nlp = make_nlp(weights)
    texts = ["A relapse of MS.", "", "He has severe osteitis of bone (SOB)."] * 2
    expected = [found(nlp(text)) for text in texts]
    assert [found(doc) for doc in nlp.pipe(texts)] == expected
    assert [found(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=2)] == expected


def test_a_tokenizer_that_glues():
    doc = spacy.blank("en").make_doc("HTN/T2DM and HTN")
    pipe = make_nlp().get_pipe("clinbert_abbreviations")
    assert [(x.span.start, x.span.text) for x in pipe(doc)._.clinbert_abbreviations][-1:] == [
        (len(doc) - 1, "HTN")
    ]


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=f"threshold = {threshold}: expected a number from 0 to 1"):
        make_nlp(threshold=threshold)


def test_broken_tables(tmp_path):
    pipe = make_nlp().get_pipe("clinbert_abbreviations")
    with pytest.raises(ValueError, match="is no file: expected the abbreviations.json.gz"):
        pipe.initialize(lambda: [], path=tmp_path / "nothing.json.gz")
    srsly.write_gzip_json(tmp_path / "other.json.gz", {"forms": {}})
    with pytest.raises(ValueError, match="holds no inventory of abbreviations"):
        pipe.initialize(lambda: [], path=tmp_path / "other.json.gz")
    pipe.initialize(lambda: [])
    assert len(pipe.model.attrs["table"]["forms"]) > 150


def test_attributes_of_others_stay():
    Span.set_extension("long_form", getter=len, force=True)
    try:
        with pytest.raises(ValueError, match="Span._.long_form is already defined by another"):
            make_nlp()("Seen (twice).")
        assert Span.get_extension("long_form")[2] is len
        assert found(make_nlp(definitions=False)("Pt")) == [("Pt", "patient", "inventory")]
    finally:
        Span.remove_extension("long_form")


def test_the_shipped_inventory_is_consistent():
    table = read_inventory()
    long_forms = {long for senses in table["forms"].values() for long in senses}
    assert set(table["variants"]) <= long_forms and set(table["ordinary"]) <= set(table["forms"])
    assert all(senses and len(set(senses)) == len(senses) for senses in table["forms"].values())
    assert sum(len(senses) > 1 for senses in table["forms"].values()) > 50
