import json
import random

import numpy
import torch

from clinbert_spacy.training.randomness import (
    get_random_state,
    private_random,
    set_random_state,
)


def draw():
    return random.random(), numpy.random.normal(), torch.rand(1).item()


def test_states_survive_json():
    numpy.random.normal()  # leaves a cached second value behind
    state = json.loads(json.dumps(get_random_state()))
    first = draw()
    assert draw() != first
    set_random_state(state)
    assert draw() == first


def noisy_items():
    for _ in range(4):
        yield random.random() + numpy.random.random()


def test_private_stream_ignores_what_happens_outside():
    quiet = list(private_random(noisy_items(), seed=3))
    loud = []
    for item in private_random(noisy_items(), seed=3):
        random.random()
        numpy.random.seed(0)
        loud.append(item)
    assert quiet == loud
    assert quiet != list(private_random(noisy_items(), seed=4))


def test_private_stream_leaves_no_trace_outside():
    random.seed(1)
    expected = [random.random() for _ in range(4)]
    random.seed(1)
    assert [random.random() for _ in private_random(noisy_items(), seed=3)] == expected
