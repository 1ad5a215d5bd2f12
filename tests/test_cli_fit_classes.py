"""`clinbert fit-classes` on a tiny pipeline and invented abstracts."""

from importlib.util import find_spec

import numpy
import pytest
import spacy
import typer
from typer.testing import CliRunner

from clinbert_spacy.cli_errors import SafeGroup
from clinbert_spacy.cli_fit_classes import fit_classes
from clinbert_spacy.corpora.documents import SOURCES, read_documents, take_documents
from clinbert_spacy.models.class_calibration import calibrate_classes
from clinbert_spacy.training.class_fit import Wanted
from clinbert_spacy.training.class_fit import fit_classes as fit

from .corpora.toy_documents import prose, write_abstracts
from .models.toy_textcat import make_pipeline, train

DISEASES = SOURCES["medical_abstracts"].tasks["disease"]
TOLD = ["aspirin", "cough", "fever"]  # which class it is
COMPONENT = "textcat_multilabel"
PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments):
    app = typer.Typer(cls=SafeGroup)
    app.command("fit-classes")(fit_classes)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["fit-classes", *map(str, arguments)])


def fit_all(pipeline, data, output, *arguments):
    told = ("--corpus", "medical_abstracts", "--data", data, "--output", output, "--part", "all")
    return run(pipeline, *told, *arguments)


def attrs_of(folder):
    return spacy.load(folder).get_pipe(COMPONENT).model.attrs


def judge(nlp, texts):
    return numpy.array([[doc.cats[name] for name in DISEASES] for doc in nlp.pipe(texts)])


def failed(done, output, *said):
    assert done.exit_code == 1 and not output.exists()
    text = " ".join(done.stderr.split())
    assert all(words in text for words in said), text


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Abstracts of three classes of five; in one of six the word tells another class."""
    rows = [(i % 3 + 1, f"{prose(i, 4)} {' '.join([TOLD[(i + (i % 6 == 5)) % 3]] * 3)}")
            for i in range(60)]  # fmt: skip
    return write_abstracts(tmp_path_factory.mktemp("documents") / "abstracts", rows)


@pytest.fixture(scope="module")
def pipeline(checkpoint, tmp_path_factory):
    nlp = make_pipeline(checkpoint)
    notes = [(f"{word} {word} {word}", {name: float(name == DISEASES[i]) for name in DISEASES})
             for i, word in enumerate(TOLD)]  # fmt: skip
    train(nlp, notes, steps=15)
    nlp.add_pipe("sentencizer")
    path = tmp_path_factory.mktemp("pipeline") / "model"
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="module")
def fitted(pipeline, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("fitted") / "new" / "model"
    return fit_all(pipeline, data, output, "--method", "isotonic", "--missed", 0.1), output


def test_rules_and_limits_are_in_the_written_pipeline(pipeline, data, fitted):
    done, output = fitted
    assert done.exit_code == 0, done.output
    texts = read_documents("medical_abstracts", data)
    before = judge(spacy.load(pipeline), [text.text for text in texts]).astype("float32")
    truth = numpy.array([[name in text.classes for name in DISEASES] for text in texts])
    expected = fit(before, truth, DISEASES, "isotonic", Wanted(None, 0.1))
    attrs = attrs_of(output)
    for one, rule, limits in zip(expected, attrs["rules"], attrs["limits"], strict=True):
        assert rule["method"] == one.rule["method"] == "isotonic"
        assert list(limits) == pytest.approx(one.limits, abs=1e-3)
    # of the last two classes the corpus has nothing: they have what all classes together gave
    assert attrs["rules"][3] == attrs["rules"][4] not in attrs["rules"][:3]
    assert list(attrs["limits"][3]) == list(attrs["limits"][4])
    assert all(low <= high for low, high in attrs["limits"])
    after = judge(spacy.load(output), [text.text for text in texts])
    assert numpy.allclose(after, calibrate_classes(before, attrs["rules"]), atol=1e-2)
    assert abs(after - before).max() > 0.05


def test_the_pipeline_is_otherwise_as_it_was(pipeline, fitted):
    old, new = spacy.load(pipeline), spacy.load(fitted[1])
    assert new.pipe_names == old.pipe_names and new.disabled == []
    assert attrs_of(pipeline)["rules"] == attrs_of(pipeline)["limits"] == []
    assert new("fever. cough.").has_annotation("SENT_START")


def test_the_table_is_printed(data, fitted):
    done, output = fitted
    for words in ("class", "limits", "ECE before", "after (held out)", "isotonic", *DISEASES):
        assert words in done.stdout
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows[DISEASES[0]][1] == "20" and rows[DISEASES[4]][1] == "0"
    assert len(rows["mean"]) == 3 and all(0 <= float(x) <= 1 for x in rows["mean"][1:])
    said = "".join(done.stderr.split())
    assert "Fittedon60documents" in said and "".join(str(output).split()) in said
    assert not any(word in done.output for word in TOLD)


@pytest.mark.skipif(not find_spec("matplotlib"), reason="draws with matplotlib")
def test_the_plot_is_written(pipeline, data, tmp_path):
    path = tmp_path / "plots" / "reliability.png"
    done = fit_all(pipeline, data, tmp_path / "model", "--plot", path)
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(PNG)


def test_fitting_twice_starts_from_uncalibrated_scores(pipeline, data, fitted, tmp_path):
    for name, source in (("once", pipeline), ("twice", fitted[1])):
        done = fit_all(source, data, tmp_path / name, "--precision", 0.6)
        assert done.exit_code == 0, done.output
    once, twice = (attrs_of(tmp_path / name) for name in ("once", "twice"))
    assert [rule["method"] for rule in once["rules"]] == ["temperature"] * 5
    assert any(rule["temperature"] != 1 for rule in once["rules"])
    for one, other in zip(once["rules"], twice["rules"], strict=True):
        for key in ("temperature", "shift"):
            assert other[key] == pytest.approx(one[key], rel=1e-2, abs=1e-3)
    assert numpy.allclose(once["limits"], twice["limits"], atol=1e-3)
    assert all(low == high for low, high in once["limits"])


def test_the_dev_part_alone_unless_told(pipeline, data, tmp_path):
    n = len(take_documents("medical_abstracts", data, 1, 4, parts=("dev",))["dev"])
    done = fit_all(pipeline, data, tmp_path / "m", "--part", "dev", "--fold", 1, "--folds", 4)
    assert done.exit_code == 0 and f"Fitted on {n} documents" in done.stderr and n < 60


# What is refused


def test_a_component_that_is_not_there(pipeline, data, tmp_path):
    done = fit_all(pipeline, data, tmp_path / "m", "--component", "classes")
    failed(done, tmp_path / "m", "no component 'classes'", COMPONENT, "as --component")


@pytest.mark.parametrize("component", [COMPONENT, "sentencizer"])
def test_another_architecture(data, tmp_path, component):
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    classes = nlp.add_pipe(COMPONENT)
    for name in DISEASES:
        classes.add_label(name)
    nlp.initialize()
    nlp.to_disk(tmp_path / "foreign")
    done = fit_all(tmp_path / "foreign", data, tmp_path / "m", "--component", component)
    failed(done, tmp_path / "m", f"'{component}' has no clinbert.LongTextCat.v1", "alone")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--method", "beta", "--method is 'beta'; expected one of temperature, isotonic"),
        ("--part", "train", "--part is 'train'; expected one of dev, held_out, all"),
        ("--corpus", "novels", "Corpus is 'novels': expected one of"),
        ("--task", "plot", "Task of medical_abstracts is 'plot': expected one of ['disease']"),
        ("--encoding", "utf-9", "Unknown encoding 'utf-9'; try utf-8"),
    ],
)
def test_unknown_values(pipeline, data, tmp_path, option, value, said):
    failed(fit_all(pipeline, data, tmp_path / "m", option, value), tmp_path / "m", said)


def test_missing_data(pipeline, tmp_path):
    done = fit_all(pipeline, tmp_path / "nowhere", tmp_path / "m")
    failed(done, tmp_path / "m", "No such file or folder", "nowhere")
    single = write_abstracts(tmp_path / "one", [(1, prose(0))])
    done = fit_all(pipeline, single, tmp_path / "m", "--part", "dev", "--fold", 0, "--folds", 9)
    failed(done, tmp_path / "m", "expected texts in 'dev', found none")


def test_a_corpus_without_texts(pipeline, tmp_path):
    path = write_abstracts(tmp_path / "none", [])
    done = fit_all(pipeline, path, tmp_path / "m")
    failed(done, tmp_path / "m", "expected texts, found none")


def test_a_missing_pipeline(data, tmp_path):
    failed(fit_all("no-such", data, tmp_path / "m"), tmp_path / "m", "No pipeline 'no-such'")


def test_a_corpus_with_other_classes(checkpoint, data, tmp_path):
    nlp = make_pipeline(checkpoint)
    train(nlp, [("aspirin", {"A": 1.0, "B": 0.0}), ("cough", {"A": 0.0, "B": 1.0})], steps=1)
    nlp.to_disk(tmp_path / "other")
    done = fit_all(tmp_path / "other", data, tmp_path / "out")
    failed(done, tmp_path / "out", "None of the classes ['A', 'B']", "--corpus and --task")
