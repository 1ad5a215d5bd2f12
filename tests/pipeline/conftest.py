"""A small pipeline that learned invented notes by heart, for the tests of side effects."""

import pickle

import pytest

from tests.toy_relations import make_pipeline, trained_pipeline


@pytest.fixture
def trained(checkpoint):
    return trained_pipeline(checkpoint)


@pytest.fixture
def copied(trained):
    """A copy to change."""
    return pickle.loads(pickle.dumps(trained))


@pytest.fixture(scope="session")
def saved(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    trained_pipeline(checkpoint).to_disk(folder)
    return folder


@pytest.fixture
def bare(checkpoint):
    """A pipeline without weights, for what needs none."""
    return make_pipeline(checkpoint)
