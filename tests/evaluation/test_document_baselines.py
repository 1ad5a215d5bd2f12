from functools import partial

import pytest

from clinbert_spacy.evaluation.document_baselines import (
    SETTINGS,
    Parts,
    evaluate_bag,
    evaluate_svm,
    train_bag,
)
from clinbert_spacy.evaluation.documents import Task, make_documents

MANY = Task("toy", "topics", ("A", "B", "C"), exclusive=False)
ONE = Task("toy", "topic", ("A", "B", "C"), exclusive=True)
TWO = Task("toy", "bad", ("BAD", "GOOD"), exclusive=True, positive="BAD")
# enough for a bag that sees a few short texts
train_long = partial(evaluate_bag, epochs=40)
JUDGES = [evaluate_svm, train_long]
SIGNS = ("alder", "birch", "cedar")


def part(task, n, shift=0, drop=()):
    """Documents whose classes are told by a word each; several have two where they may."""
    rows = []
    for i in range(shift, shift + n):
        chosen = [i % len(task.classes)]
        if not task.exclusive and i % 4 == 0:
            chosen = sorted({*chosen, (i + 1) % len(task.classes)})
        rows.append([c for c in chosen if task.classes[c] not in drop])
    rows = [row for row in rows if row]
    texts = [f"seen {' '.join(SIGNS[c] for c in row)} today {i % 7}" for i, row in enumerate(rows)]
    classes = [[task.classes[c] for c in row] for row in rows]
    return make_documents(task, texts, classes, [str(i) for i in range(len(rows))])


def parts(task, drop=()):
    return Parts(part(task, 48, 0, drop), part(task, 24, 100), part(task, 24, 200))


@pytest.mark.parametrize("task", [MANY, ONE, TWO], ids=lambda task: task.name)
@pytest.mark.parametrize("judge", JUDGES, ids=["svm", "bag"])
def test_words_that_tell_a_class_are_learned(task, judge):
    found = judge(task, parts(task))
    assert found["f"]["value"] > 0.9 < found["macro_f"]["value"]
    assert found["n_notes"] == 24 and ("auroc" in found) == (task is TWO)
    if task is TWO:
        assert found["auroc"]["value"] == found["rp80"]["value"] == 1.0


def test_settings_are_recorded():
    svm = evaluate_svm(MANY, parts(MANY))["settings"]
    assert (svm["C"], svm["class_weight"]) in SETTINGS
    bag = evaluate_bag(MANY, parts(MANY), epochs=2, seed=3)["settings"]
    assert bag == {"architecture": "spacy.TextCatBOW.v3", "epochs": 2, "seed": 3}


@pytest.mark.parametrize("judge", JUDGES, ids=["svm", "bag"])
def test_wrong_labels_are_learned_too(judge):
    good = parts(TWO)
    wrong = good._replace(train=good.train._replace(truth=~good.train.truth))
    assert judge(TWO, wrong)["auroc"]["value"] < 0.1


@pytest.mark.parametrize("task", [MANY, ONE], ids=lambda task: task.name)
def test_a_class_without_an_example_to_learn_from(task):
    svm, bag = (
        {row["label"]: row for row in judge(task, parts(task, drop=("C",)))["labels"]}
        for judge in JUDGES
    )
    for rows in (svm, bag):
        assert rows["A"]["f"] > 0.5 and rows["C"]["n"] == parts(task).held_out.truth[:, 2].sum()
    assert svm["C"]["recall"] == 0.0 and svm["C"]["precision"] == 0.0


def test_a_class_that_every_example_has():
    good = parts(MANY)
    truth = good.train.truth.copy()
    truth[:, 2] = True
    rows = evaluate_svm(MANY, good._replace(train=good.train._replace(truth=truth)))["labels"]
    assert rows[2]["recall"] == 1.0 and rows[2]["precision"] < 1.0 and rows[0]["f"] == 1.0


def test_a_wanted_precision_is_kept_on_the_development_part():
    noisy = parts(TWO)
    truth = noisy.dev.truth.copy()
    truth[::5] = ~truth[::5]
    noisy = noisy._replace(dev=noisy.dev._replace(truth=truth))
    usual, strict = (evaluate_svm(TWO, noisy, precision) for precision in (None, 0.99))
    assert usual["labels"][0]["threshold"] != strict["labels"][0]["threshold"]
    assert strict["labels"][0]["recall"] < usual["labels"][0]["recall"]


def test_the_bag_is_an_ordinary_pipeline():
    first, again, other = (
        train_bag(ONE, part(ONE, 48), seed=seed)("seen cedar today").cats for seed in (0, 0, 1)
    )
    assert max(first, key=first.get) == "C" and sum(first.values()) == pytest.approx(1, abs=1e-5)
    assert again == pytest.approx(first, abs=1e-6) != other
    assert train_bag(ONE, part(ONE, 12), epochs=1).pipe_names == ["textcat"]
    assert train_bag(MANY, part(MANY, 12), epochs=1).pipe_names == ["textcat_multilabel"]
