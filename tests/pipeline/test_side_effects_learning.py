"""`clinbert_side_effects`: losses and scores of the right pairs, and gradients beside others'."""


import numpy
import pytest
import spacy
from spacy.training import Example

from clinbert_spacy.evaluation.relations import score_relations
from clinbert_spacy.pipeline.pair_gold import gold_of_pairs
from tests.conftest import make_example as make_ner_example
from tests.toy_relations import (
    DENIED,
    FOUND,
    NAME,
    STOPPED,
    make_example,
    make_pipeline,
    ready,
    rows,
)  # fmt: skip

WRONG = [
    # a boundary shifted, one missing, one that is none, one right
    ("lisinopril stopped", "DRUG"), ("aspirin", "DRUG"), ("for", "DISEASE"), ("fever", "SYMPTOM"),
]  # fmt: skip


def test_rows_of_loss_and_scores_are_of_the_same_pairs(copied):
    first = make_example(copied, *STOPPED, found=WRONG)
    empty = make_example(copied, "", [])
    last = make_example(copied, *DENIED, covered=[], found=[("rash", "SYMPTOM")])
    examples = [first, empty, last]
    component = copied.get_pipe(NAME)
    for example in examples:
        copied.get_pipe("clinbert_sentences")(example.predicted)
        component.ask(example.predicted, component._entities(example))
    docs = list(copied.get_pipe("clinbert_transformer").pipe([e.predicted for e in examples]))
    scores = component.model.predict(docs)
    table, *said = gold_of_pairs(examples, component.labels)
    assert scores.counts == [len(d.spans["clinbert_relations"].attrs["pairs"]) for d in docs]
    assert {len(x) for x in (scores.scores, table, *said)} == {sum(scores.counts)}
    seen = {}
    for doc, rows_of in zip(docs, numpy.split(table, numpy.cumsum(scores.counts)[:-1])):
        group = doc.spans["clinbert_relations"]
        for (head, tail), row in zip(group.attrs["pairs"], rows_of):
            seen[group[head].text, group[tail].text] = dict(zip(component.labels, row.tolist()))
    # the shifted drug stands for the gold one, and so does the gold one that was added
    for drug in ("lisinopril", "lisinopril stopped"):
        assert seen[drug, "cough"]["ADVERSE_EFFECT"] == 1
        assert seen[drug, "cough"]["TREATS"] == 0
        assert seen[drug, "fever"]["ADVERSE_EFFECT"] == 0
    assert seen["aspirin", "fever"]["TREATS"] == seen["aspirin", "10 mg"]["HAS_STRENGTH"] == 1
    # what is no entity has no relation, in a corpus that marks all
    assert seen["aspirin", "for"]["TREATS"] == seen["aspirin", "for"]["ADVERSE_EFFECT"] == 0
    # of a note of which nothing is covered only the links are known
    assert seen["metformin", "diabetes"] == {x: int(x == "TREATS") for x in component.labels}
    assert set(seen["metformin", "rash"].values()) == {-1}
    _, gradient = component.get_loss(examples, scores)
    moved = numpy.abs(gradient[:, : len(component.labels)]) > 0
    assert (moved == ((table >= 0) & scores.allowed)).all()


def test_what_was_learned_is_remembered(checkpoint, tmp_path):
    """Where no gold says of what kind effects are, none is guessed."""
    nlp = make_pipeline(checkpoint)
    text, links = STOPPED
    example = make_example(nlp, text, [(*links[0][:3], "possible", "")])
    optimizer = nlp.initialize(lambda: [example])
    component = nlp.get_pipe(NAME)
    nlp.update([example], sgd=optimizer, annotates=["clinbert_sentences"])
    assert component.cfg["learned"] == ["causality"]
    nlp.update([make_example(nlp, text, links)], annotates=["clinbert_sentences"])
    nlp.update([make_example(nlp, text, [])], annotates=["clinbert_sentences"])
    assert component.cfg["learned"] == ["causality", "kind"]
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe(NAME).cfg["learned"] == ["causality", "kind"]


def test_learns_from_wrong_entities(checkpoint):
    """Trained on shifted, missing and false entities, it still joins the right ones."""
    nlp = make_pipeline(checkpoint)
    text, links = STOPPED
    optimizer = nlp.initialize(lambda: [make_example(nlp, text, links)])
    optimizer.learn_rate = 0.002
    for _ in range(30):
        examples = [make_example(nlp, text, links, found=WRONG)]
        nlp.update(examples, sgd=optimizer, annotates=["clinbert_sentences"])
    assert rows(ready(nlp)) == FOUND[0]
    shifted = rows(ready(nlp, found=[*WRONG[:1], ("cough", "SYMPTOM")]))
    assert shifted == [("lisinopril stopped", "cough", "ADVERSE_EFFECT")]


def test_pairs_that_were_not_found_or_proposed_are_misses(copied):
    component = copied.get_pipe(NAME)

    def score(found=None):
        example = make_example(copied, *STOPPED, found=found)
        scores = score_relations([Example(copied(example.predicted), example.reference)])
        return [round(scores[f"relations_{x}"], 2) for x in "pr"]

    assert score() == [1.0, 1.0]
    assert score([("lisinopril", "DRUG"), ("cough", "SYMPTOM")]) == [1.0, 0.33]
    # under a wrong label or with other ends it is not the same pair
    effect = [("lisinopril stopped", "DRUG"), ("cough", "SYMPTOM")]
    assert score(effect) == [0.0, 0.0]
    assert score([("lisinopril", "DRUG"), ("cough", "DISEASE")]) == [0.0, 0.0]
    component.most = 0
    assert score() == [0.0, 0.0]


def test_scores_leave_out_what_is_not_known(trained):
    def score(example):
        return score_relations([Example(trained(example.predicted), example.reference)])

    links = [*STOPPED[1][:1], ("aspirin", "fever", "")]
    partial = make_example(trained, STOPPED[0], links, covered=["ADVERSE_EFFECT", "TREATS"])
    found = score(partial)
    # one may be right that the gold leaves open; strengths are not marked at all
    assert (found["relations_p"], found["relations_r"]) == (1.0, 1.0)
    assert set(found["relations_per_type"]) == {"ADVERSE_EFFECT", "TREATS"}
    assert found["relations_per_type"]["TREATS"]["n"] == 0
    false = make_example(trained, STOPPED[0], links[:1], covered=["ADVERSE_EFFECT", "TREATS"])
    assert score(false)["relations_p"] == 0.5
    assert score(make_example(trained, *STOPPED, closed=False)) == {}
    assert score(make_example(trained, *STOPPED, covered=[])) == {}
    assert score_relations([Example(trained.make_doc("a"), trained.make_doc("a"))]) == {}


# With other heads


def weights(nlp):
    network = nlp.get_pipe("clinbert_transformer").model.shims[0]._model
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.fixture
def shared(make_nlp):
    """Entities and side effects on one transformer; side effects listen last."""
    nlp = make_nlp()
    nlp.add_pipe("clinbert_sentences", first=True)
    nlp.add_pipe(NAME, config={"model": {"hidden": 32, "heads": 2, "dropout": 0.0}})
    return nlp


@pytest.mark.parametrize("marked, pairs", [
    ("denies {fever|SYMPTOM} and {nausea|SYMPTOM}", 0),
    ("{aspirin|DRUG} 10 mg , no {nausea|SYMPTOM}", 1),
])  # fmt: skip
def test_the_transformer_learns_from_other_heads(shared, marked, pairs):
    """No pair, or none of which anything is known: zeros go back, and with them those of others."""
    labels = ["DISEASE", "DRUG", "STRENGTH", "SYMPTOM"]

    def examples():
        return [make_ner_example(shared, marked, labels)]

    optimizer = shared.initialize(examples)
    component, counts = shared.get_pipe(NAME), []
    loss = component.model.attrs["loss"]
    component.model.attrs["loss"] = lambda model, found, gold: (
        counts.extend(found.counts) or loss(model, found, gold)
    )
    before = weights(shared)
    for _ in range(2):  # spaCy's transformers take their step when the next batch comes
        losses = shared.update(examples(), sgd=optimizer, annotates=["clinbert_sentences"])
    assert counts == [pairs] * 2 and losses[NAME] == 0.0 < losses["clinbert_ner"]
    after = weights(shared)
    moved = [name for name in before if not before[name].equal(after[name])]
    assert len(moved) > len(before) / 2


def test_gradients_of_heads_add_up(shared):
    shared.initialize(lambda: [make_example(shared, *STOPPED)])
    network = shared.get_pipe("clinbert_transformer").model.shims[0]._model

    def gradient(covered, links):
        spacy.util.fix_random_seed(0)
        example = make_example(shared, STOPPED[0], links, covered=[label for *_, label in links])
        example.reference.spans["clinbert_ents"].attrs["covered"] = covered
        shared.update([example], sgd=False, annotates=["clinbert_sentences"])
        found = {name: p.grad.clone() for name, p in network.named_parameters()}
        network.zero_grad()
        return found

    # gold mentions teach entities also where nothing is covered
    some, more = gradient([], []), gradient(["DRUG", "SYMPTOM"], [])
    effects, both = gradient([], STOPPED[1][:1]), gradient(["DRUG", "SYMPTOM"], STOPPED[1][:1])
    for name, found in both.items():
        assert numpy.allclose(found + some[name], more[name] + effects[name], atol=1e-4)
    for part in (more, effects):
        assert max(float((x - some[name]).abs().max()) for name, x in part.items()) > 0.1
