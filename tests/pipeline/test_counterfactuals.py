"""ICD-10 chapters follow what a note says of the patient: notes that differ in one edit."""

import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy
import pytest
import spacy
from spacy.training import Example

from clinbert_spacy.attributes import ASSERTION_KEY, EVIDENCE_KEY, PRIORITY
from clinbert_spacy.corpora.layers import CHAPTERS
from clinbert_spacy.evaluation.documents import Documents, Task
from clinbert_spacy.evaluation.evidence import evaluate_evidence
from clinbert_spacy.models.passages import configure_problems
from tests.models.toy_textcat import make_pipeline
from tests.pipeline.toy_counterfactuals import LEAVES, PAIRS, TAKES

WHEELS = sorted((Path(__file__).parents[2] / "assets").glob("en_clinbert-*.whl"))
CLASSIFIER = "textcat_multilabel"
RULES = ["clinbert_sentences", "entity_ruler", "clinbert_assertion"]
NOTES = [note for pair in PAIRS for note in (pair.before, pair.after)]
NAMES = sorted({(n.text[m.start : m.end].lower(), m.chapter) for n in NOTES for m in n.marks})
USED = tuple(name for name in CHAPTERS if name in {chapter for _, chapter in NAMES})

every_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.edit}-{pair.id}")


# The pairs


def test_there_are_enough_of_each_kind():
    assert len(PAIRS) >= 40 and len({pair.id for pair in PAIRS}) == len(PAIRS)
    assert len({pair.chapter for pair in PAIRS}) >= 10
    kinds = Counter(pair.edit for pair in PAIRS)
    assert set(kinds) == {*TAKES, *LEAVES} and min(kinds.values()) >= 4
    assert len({pair.chapter for pair in PAIRS if pair.edit in TAKES}) >= 10


@every_pair
def test_the_marks_are_what_the_edit_says(pair):
    before, after = pair.before, pair.after
    assert before.text != after.text and pair.chapter in before.chapters
    gone = {pair.chapter} if pair.edit in TAKES else set()
    assert before.chapters - after.chapters == gone and after.chapters <= before.chapters
    # something else is there before and after
    assert after.chapters


# A toy that learned them


def build(checkpoint):
    """Problems by their names, what is said of them by rules; chapters by problems."""
    spacy.util.fix_random_seed(0)
    nlp = make_pipeline(
        checkpoint, aggregator="NoisyOr", cut={"@misc": "clinbert.PatientProblems.v1"},
        n_grams=2048, hidden=32, encoder={"window": 60, "context": 2},
    )  # fmt: skip
    rules = {"method": "rules", "model": None}
    nlp.add_pipe("clinbert_assertion", config=rules, first=True)
    nlp.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"}, first=True)
    nlp.add_pipe("clinbert_sentences", first=True)
    patterns = [{"label": "DISEASE", "pattern": name} for name, _ in NAMES]
    nlp.config["initialize"]["components"]["entity_ruler"] = {"patterns": patterns}
    nlp.add_pipe("clinbert_evidence", config={"least": 0.1})
    return nlp


def examples(nlp):
    """Each problem by itself, and the notes as they were before the edit."""
    told = [(f"{name}.", {chapter}) for name, chapter in NAMES]
    told += [(pair.before.text, pair.before.chapters) for pair in PAIRS]
    return [
        Example.from_dict(nlp.make_doc(text), {"cats": {x: float(x in given) for x in USED}})
        for text, given in told
    ]


@cache
def taught(checkpoint):
    nlp = build(checkpoint)
    optimizer = nlp.initialize(lambda: examples(nlp))
    optimizer.learn_rate = 0.003
    for _ in range(12):
        rows = examples(nlp)
        for i in range(8):  # notes of all kinds in each batch
            nlp.update(rows[i::8], sgd=optimizer, annotates=RULES)
    return nlp


@cache
def read(checkpoint):
    """Text -> Doc."""
    texts = sorted({note.text for note in NOTES})
    return dict(zip(texts, taught(checkpoint).pipe(texts)))


def chapters_of(doc):
    return {name for name, p in doc.cats.items() if p >= 0.5}


@every_pair
def test_the_rules_hear_what_is_said(checkpoint, pair):
    for note in (pair.before, pair.after):
        doc = read(checkpoint)[note.text]
        found = {(e.start_char, e.end_char): e._.clinbert_assertion for e in doc.ents}
        for mark in note.marks:
            said = found.pop((mark.start, mark.end))
            # in one word what somebody other than family has is "present"
            assert said == mark.said or mark.said == "other"
        assert not found
        taken = {doc[a:b].start_char for a, b in configure_problems()(doc)}
        assert taken == {mark.start for mark in note.marks if mark.said == "present"}


@every_pair
def test_a_chapter_goes_with_its_problem_and_not_without(checkpoint, pair):
    """Half of the notes were never seen in training: those after the edit."""
    before, after = (read(checkpoint)[note.text] for note in (pair.before, pair.after))
    assert chapters_of(before) == pair.before.chapters
    assert chapters_of(after) == pair.after.chapters
    assert (before.cats[pair.chapter] - after.cats[pair.chapter] > 0.5) == (pair.edit in TAKES)


@every_pair
def test_the_evidence_of_the_chapter_is_a_problem_of_it(checkpoint, pair):
    for note in (pair.before, pair.after):
        group = read(checkpoint)[note.text].spans[EVIDENCE_KEY]
        shown = [group[r["span"]] for r in group.attrs["rows"] if r["label"] == pair.chapter]
        marked = {m.start for m in note.marks if (m.chapter, m.said) == (pair.chapter, "present")}
        assert bool(shown) == (pair.chapter in note.chapters)
        assert {span.start_char for span in shown} <= marked
        assert not shown or shown[0].start_char in marked


def test_without_asking_what_is_said_the_chapter_stays(checkpoint):
    """The same weights over all problems, whatever is said of them: the pairs tell them apart."""
    nlp = taught(checkpoint)
    model, asked = nlp.get_pipe(CLASSIFIER).model, ("negated", "family", "hypothetical")
    pairs = [pair for pair in PAIRS if pair.edit in asked]
    cut = model.attrs["cut"]
    model.attrs["cut"] = configure_problems(PRIORITY)
    try:
        docs = list(nlp.pipe([pair.after.text for pair in pairs]))
    finally:
        model.attrs["cut"] = cut
    stays = [doc.cats[pair.chapter] >= 0.5 for pair, doc in zip(pairs, docs)]
    assert len(stays) >= 30 and all(stays)


def test_without_the_sentence_of_the_evidence_the_chapter_goes(checkpoint):
    """The deletion test over problems: another sentence is not missed."""
    notes = [pair.before for pair in PAIRS]
    truth = numpy.array([[name in note.chapters for name in USED] for note in notes])
    given = Documents([note.text for note in notes], truth, [pair.id for pair in PAIRS])
    task = Task("toy", "chapters", USED, exclusive=False)
    found = evaluate_evidence(taught(checkpoint), task, given)
    assert found["n_pairs"] > 100 and 50 < found["n_sentences"] <= len(PAIRS)
    assert found["above_random"]["value"] > 0.95 and found["difference"]["low"] > 0.8
    assert found["top"]["value"] > 0.9 > 0.1 > found["random"]["value"]


# The shipped pipeline


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(WHEELS[-1]) as wheel:
        wheel.extractall(target)
    return spacy.load(next(target.glob("en_clinbert/en_clinbert-*")))


def is_taken(doc, mark):
    """Whether some part of a marked problem counts as one that the patient has."""
    ranges = configure_problems()(doc) if ASSERTION_KEY in doc.spans else []
    spans = [doc[a:b] for a, b in ranges]
    return any(span.start_char < mark.end and mark.start < span.end_char for span in spans)


def share(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.weights
@pytest.mark.skipif(not WHEELS, reason="no shipped pipeline under assets/")
def test_the_shipped_pipeline_hears_what_is_said(product):
    docs = dict(zip(*_read_by(product)))
    marks = [(docs[note.text], mark) for note in NOTES for mark in note.marks]
    assert share(is_taken(doc, mark) for doc, mark in marks if mark.said == "present") >= 0.9
    for said in ("absent", "family", "hypothetical", "other"):
        assert share(not is_taken(doc, mark) for doc, mark in marks if mark.said == said) >= 0.8


def _read_by(nlp):
    texts = sorted({note.text for note in NOTES})
    return texts, nlp.pipe(texts)


@pytest.mark.weights
@pytest.mark.skipif(not WHEELS, reason="no shipped pipeline under assets/")
def test_the_shipped_chapters_follow_the_edits(product):
    """Of the chapters that it finds before the edit."""
    name = next((n for n, pipe in product.pipeline if _has_chapters(pipe)), None)
    if name is None:
        pytest.skip("the shipped pipeline has no classifier of chapters")
    pipe, (texts, docs) = product.get_pipe(name), _read_by(product)
    given = {text: _given(pipe, doc) for text, doc in zip(texts, docs)}
    found = [pair for pair in PAIRS if pair.chapter in given[pair.before.text]]
    assert len(found) > len(PAIRS) / 2
    for edits, least in ((TAKES, 0.8), (LEAVES, 0.9)):
        rows = [pair for pair in found if pair.edit in edits]
        stays = share(pair.chapter in given[pair.after.text] for pair in rows)
        assert (1 - stays if edits is TAKES else stays) >= least


def _has_chapters(pipe):
    attrs = getattr(getattr(pipe, "model", None), "attrs", {})
    return "decide" in attrs and any(label.startswith("ICD10_") for label in pipe.labels)


def _given(pipe, doc):
    """Chapters that are decided `yes`."""
    values = [doc.cats[label] for label in pipe.labels]
    threshold = pipe.cfg["threshold"] or 0.5
    said = pipe.model.attrs["decide"](pipe.model, pipe.labels, values, threshold)
    return {label.removeprefix("ICD10_") for label, word in said.items() if word == "yes"}
