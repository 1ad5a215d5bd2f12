"""`clinbert_abstractive` with a generator of a tiny random BERT: written, kept, cut, refused."""

import pickle

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from clinbert_spacy.attributes import ABSTRACT_KEY
from clinbert_spacy.pipeline.abstractive import Abstractive
from tests.toy_abstractive import NAME, make_rules, train_toy

NOTES = [
    "Takes aspirin 10 mg daily for hypertension.", "", "No rash.\n", "  \n", "Cough and fever.",
]  # fmt: skip


@pytest.fixture(scope="module")
def generator(tmp_path_factory, checkpoint):
    return train_toy(tmp_path_factory.mktemp("generator"), checkpoint)


@pytest.fixture
def nlp(generator):
    nlp = make_rules()
    nlp.add_pipe(NAME, config={"longest": 8, "beams": 2}).load(generator)
    return nlp


def read(doc):
    return doc._.clinbert_abstract


def written(nlp, notes=NOTES):
    return [read(doc) for doc in nlp.pipe(notes)]


def test_builds_from_its_default_config():
    nlp = make_rules()
    component = nlp.add_pipe(NAME)
    assert isinstance(component, Abstractive) and component.model.attrs["sources"] == []
    assert component.limits == {
        "beams": 4, "shortest": 1, "longest": 128, "penalty": 1.0, "repeat": 3,
    }  # fmt: skip


def test_no_pipeline_has_it_unless_asked_for():
    assert read(make_rules()("Takes aspirin.")) is None


def test_pipe_equals_call_and_the_text_stays(nlp):
    one_by_one = [read(nlp(note)) for note in NOTES]
    assert one_by_one == written(nlp)
    assert [doc.text for doc in nlp.pipe(NOTES)] == NOTES
    assert one_by_one[0].text and one_by_one[0].read == len(NOTES[0])
    assert not one_by_one[0].truncated


def test_what_is_written_is_checked(nlp):
    found = written(nlp)
    assert {one.status for one in found} <= {"unsupported", "unflagged", "empty"}
    assert all((one.status == "unsupported") == bool(one.flags) for one in found)
    component = nlp.get_pipe(NAME)
    component.model.attrs["generate"] = lambda model, texts, **limits: [
        type("One", (), {"text": "Takes warfarin 5 mg.", "truncated": False, "read": 3})()
        for _ in texts
    ]
    found = read(nlp("Takes aspirin 10 mg."))
    shown = [(found.text[f.start : f.end], f.label, f.reason) for f in found.flags]
    assert found.status == "unsupported"
    assert shown == [("warfarin", "DRUG", "not_in_note"), ("5 mg", "", "number")]


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_note(nlp, text):
    found = read(nlp(text))
    assert (found.status, found.text, found.flags, found.truncated) == ("empty", "", [], False)


def test_a_long_note_is_cut_and_says_so(nlp):
    note = "Cough and fever. " * 40
    found = read(nlp(note))
    assert found.truncated and 0 < found.read < len(note)
    # 32 pieces with the two special ones, as the generator was trained for
    assert note[: found.read] == ("Cough and fever. " * 8)[: found.read] and found.read > 100
    fits = read(nlp("Cough and fever. " * 7))
    assert not fits.truncated and fits.read == len("Cough and fever. " * 7)


def test_without_a_generator_the_error_names_the_remedy():
    nlp = make_rules()
    nlp.add_pipe(NAME)
    with pytest.raises(ValueError, match="clinbert train-abstractive.*load") as caught:
        nlp("Takes aspirin for a secret.")
    assert "secret" not in str(caught.value)


def test_before_what_finds_entities_it_refuses(generator):
    nlp = spacy.blank("en")
    nlp.add_pipe(NAME).load(generator)
    with pytest.raises(ValueError, match="put it behind 'clinbert_ner'"):
        nlp("Takes aspirin.")


def test_a_folder_that_is_no_generator(tmp_path, checkpoint):
    component = make_rules().add_pipe(NAME)
    with pytest.raises(ValueError, match="lacks .*abstractive.json.*train-abstractive"):
        component.load(checkpoint)
    with pytest.raises(ValueError, match="lacks config.json"):
        component.load(tmp_path / "nothing")


def test_broken_weights_are_one_error(tmp_path, generator):
    import shutil

    shutil.copytree(generator, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    component = make_rules().add_pipe(NAME)
    with pytest.raises(ValueError, match="Cannot load the generator"):
        component.load(tmp_path / "broken")


def test_survives_disk_and_bytes(nlp, tmp_path):
    expected = written(nlp)
    nlp.to_disk(tmp_path / "pipeline")
    from_disk = spacy.load(tmp_path / "pipeline")
    from_bytes = make_rules()
    from_bytes.add_pipe(NAME, config={"longest": 8, "beams": 2})
    from_bytes.from_bytes(nlp.to_bytes())
    assert written(from_disk) == expected == written(from_bytes)
    assert from_disk.get_pipe(NAME).model.attrs["sources"][0]["name"] == "mediqa2021_rrs"
    assert from_disk.get_pipe(NAME).model.attrs["lengths"]["source"] == 32


def test_without_a_generator_it_is_saved_all_the_same(tmp_path):
    nlp = make_rules()
    nlp.add_pipe(NAME)
    nlp.to_disk(tmp_path)
    component = spacy.load(tmp_path).get_pipe(NAME)
    assert not component.model.attrs["loaded"](component.model)


def test_what_is_written_survives_docbin_and_pickle(nlp):
    doc = nlp(NOTES[0])
    (back,) = DocBin(docs=[doc]).get_docs(nlp.vocab)
    assert read(back) == read(doc) == read(pickle.loads(pickle.dumps(doc)))
    assert read(Doc(nlp.vocab).from_bytes(doc.to_bytes())) == read(doc)
    assert len(doc.spans[ABSTRACT_KEY]) == 0


@pytest.mark.filterwarnings("ignore:.*W036")
def test_initialize_takes_a_folder(generator):
    nlp = make_rules()
    nlp.add_pipe(NAME)
    nlp.config["initialize"]["components"][NAME] = {"path": str(generator)}
    nlp.initialize()
    assert read(nlp(NOTES[0])).text


def test_every_limit_changes_something(nlp):
    component = nlp.get_pipe(NAME)

    def summary(**limits):
        before = dict(component.limits)
        component.set_limits(**limits)
        text = read(nlp(NOTES[0])).text
        component.set_limits(**before)
        return text

    base = summary(shortest=14, longest=16, repeat=0)
    assert len(summary(longest=4, repeat=0)) < len(summary(longest=16, repeat=0)) < len(base)
    words = summary(shortest=14, longest=16, repeat=1).split()
    assert len(words) == len(set(words)) and len(base.split()) > len(set(base.split()))
    seen = []
    component.model.attrs["generate"] = lambda model, texts, **limits: seen.append(limits) or [
        type("One", (), {"text": "", "truncated": False, "read": 0})() for _ in texts
    ]
    summary(beams=3, shortest=2, penalty=0.5)
    assert seen[0] | {"beams": 3, "shortest": 2, "penalty": 0.5} == seen[0]


@pytest.mark.parametrize(
    "limits", [{"beams": 0}, {"repeat": -1}, {"shortest": 0}, {"shortest": 9, "longest": 9}]
)
def test_limits_out_of_range(limits):
    with pytest.raises(ValueError, match=f"{next(iter(limits))} = "):
        make_rules().add_pipe(NAME, config=limits)
