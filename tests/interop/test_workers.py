"""Encoding here and heads in workers: the same as one pipeline."""

import multiprocessing

import pytest

from clinbert_spacy.interop.workers import pipe_in_workers, to_cpu
from tests.pipeline.toy_streams import TEXTS, contents, streaming_pipeline

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="pytest cannot be spawned"
)
ODD = [*TEXTS, "", " \n ", *TEXTS]


@pytest.fixture
def stages(checkpoint, tmp_path):
    """The whole pipeline, its encoder, and the rest."""
    import spacy

    whole = streaming_pipeline(checkpoint)
    whole.to_disk(tmp_path / "whole")
    others = [name for name in whole.pipe_names if name != "clinbert_transformer"]
    load = lambda *names: spacy.load(tmp_path / "whole", exclude=names)  # noqa: E731
    return load(), load(*others), load("clinbert_transformer")


@needs_fork
@pytest.mark.parametrize("n_process", [1, 2])
def test_the_same_as_one_pipeline(stages, n_process):
    whole, encoder, heads = stages
    expected = contents(whole.pipe(ODD, batch_size=3))
    docs = list(pipe_in_workers(encoder, heads, ODD, n_process=n_process, batch_size=3))
    assert contents(docs) == expected
    assert all(doc._.trf_data is None for doc in docs)
    again = pipe_in_workers(encoder, heads, ODD, n_process=n_process, batch_size=50)
    assert contents(again) == expected
    assert not multiprocessing.active_children()


def test_what_cannot_work_is_refused(stages):
    whole, encoder, heads = stages
    with pytest.raises(ValueError, match="both pipelines run clinbert_transformer"):
        list(pipe_in_workers(whole, encoder, TEXTS))
    with pytest.raises(ValueError, match="n_process = 0"):
        list(pipe_in_workers(encoder, heads, TEXTS, n_process=0))


def test_docs_without_vectors_stay_as_they_are(stages):
    _, encoder, heads = stages
    assert to_cpu(heads.make_doc("fever")).text == "fever"
    doc = encoder(TEXTS[0])
    before = doc._.trf_data.model_output["last_hidden_state"]
    assert (to_cpu(doc)._.trf_data.model_output["last_hidden_state"] == before).all()
