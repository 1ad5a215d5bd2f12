import numpy
import pytest
from spacy.training.initialize import init_nlp
from thinc.api import Adam, Linear, to_numpy

from clinbert_spacy.training.state import (
    bake_averages,
    get_optimizer_state,
    get_weights,
    set_optimizer_state,
    set_weights,
)

from .toy_training import create_corpus, toy_config


@pytest.fixture
def nlp():
    return init_nlp(toy_config())


@pytest.fixture
def trained(nlp):
    optimizer = Adam(0.01)
    for _ in range(2):
        nlp.update(list(create_corpus(6)(nlp)), sgd=optimizer)
        optimizer.step_schedules()
    return nlp, optimizer


def test_names_hold_in_another_pipeline(trained):
    nlp, _ = trained
    other = init_nlp(toy_config())
    weights = {name: array.copy() for name, array in get_weights(nlp).items()}
    assert any(not numpy.array_equal(get_weights(other)[name], weights[name]) for name in weights)
    set_weights(other, weights)
    restored = get_weights(other)
    assert restored.keys() == weights.keys()
    assert all(numpy.array_equal(restored[name], weights[name]) for name in weights)
    assert any(name.endswith("shim0#weight") for name in weights)


def test_restored_weights_can_be_trained(trained):
    nlp, optimizer = trained
    weights = {name: array.copy() for name, array in get_weights(nlp).items()}
    for array in weights.values():
        array.flags.writeable = False
    set_weights(nlp, weights)
    nlp.update(list(create_corpus(4)(nlp)), sgd=optimizer)


def test_optimizer_state_moves_to_other_ids(trained):
    nlp, optimizer = trained
    arrays, counts = get_optimizer_state(nlp, optimizer)
    assert set(arrays) == {"mom1", "mom2", "averages"}
    assert any("shim0#weight" in name for name in arrays["mom1"])
    assert max(counts["nr_update"].values()) == 2
    other, fresh = init_nlp(toy_config()), Adam(0.01)
    set_optimizer_state(other, fresh, arrays, counts, steps=2)
    assert not set(fresh.mom1) & set(optimizer.mom1)
    again, counts_again = get_optimizer_state(other, fresh)
    assert counts_again == counts
    for kind in arrays:
        assert again[kind].keys() == arrays[kind].keys()
        for name, value in arrays[kind].items():
            assert numpy.array_equal(again[kind][name], value)


def test_schedules_are_wound_forward(nlp):
    fresh = Adam(iter(float(i) for i in range(10)))
    set_optimizer_state(nlp, fresh, {}, {}, steps=4)
    assert fresh.learn_rate == 4.0


def test_optimizer_without_averages(nlp):
    arrays, _ = get_optimizer_state(nlp, Adam(0.01, use_averages=False))
    assert "averages" not in arrays


def test_foreign_parameter_is_an_error(nlp):
    optimizer, stray = Adam(0.01), Linear(2, 2)
    stray.initialize()
    stray.inc_grad("W", stray.get_param("W"))
    stray.finish_update(optimizer)
    with pytest.raises(ValueError, match="no component of the pipeline owns"):
        get_optimizer_state(nlp, optimizer)


def test_weights_of_another_shape_are_an_error(nlp):
    weights = dict(get_weights(nlp))
    name = next(name for name in weights if name.startswith("tok2vec"))
    weights[name] = weights[name][:-1]
    with pytest.raises(ValueError, match=f"'{name}'.*--overwrite"):
        set_weights(nlp, weights)
    del weights[name]
    with pytest.raises(ValueError, match="found none"):
        set_weights(nlp, weights)


def test_averages_become_the_weights(trained):
    nlp, optimizer = trained
    averages = get_optimizer_state(nlp, optimizer)[0]["averages"]
    averages = {name: to_numpy(value).copy() for name, value in averages.items()}
    bake_averages(nlp, optimizer)
    weights = get_weights(nlp)
    for name, value in averages.items():
        assert numpy.array_equal(weights[name], value), name
