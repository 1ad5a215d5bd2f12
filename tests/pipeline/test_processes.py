"""`nlp.pipe(n_process=2)` after a forward pass: the same Docs, in order, whatever goes wrong."""

import multiprocessing
import pickle

import pytest
import spacy
from spacy.language import Language
from spacy.tokens.underscore import Underscore

from clinbert_spacy import attributes
from tests.pipeline.toy_streams import TEXTS, contents, streaming_pipeline

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="pytest cannot be spawned"
)
ODD = ["", " \n ", *TEXTS, "", "FAMILY HISTORY:\nmother had diabetes", "aspirin \U0001f600"]
BAD = "cannot be read"


@Language.component("streams_test_failing")
def fail(doc):
    if BAD in doc.text:
        raise ValueError("a note that fails")
    return doc


@pytest.fixture
def nlp(checkpoint):
    return streaming_pipeline(checkpoint)


@pytest.fixture
def failing(nlp, request):
    """The pipeline with a component that fails, first or last; as it was afterwards."""
    nlp.add_pipe("streams_test_failing", **request.param)
    yield nlp
    nlp.remove_pipe("streams_test_failing")
    nlp.set_error_handler(spacy.util.raise_error)


@needs_fork
@pytest.mark.parametrize("batch_size", [2, 64])
def test_all_that_is_written_arrives_in_order(nlp, batch_size):
    alone = contents(nlp.pipe(ODD * 2, batch_size=batch_size))
    assert contents(nlp.pipe(ODD * 2, n_process=2, batch_size=batch_size)) == alone
    assert alone[2]["ents"] and alone[2]["span"]["clinbert_presence"][-1] == "present"
    assert not multiprocessing.active_children()


@needs_fork
def test_contexts_stay_with_their_notes(nlp):
    pairs = [(text, {"number": i}) for i, text in enumerate(ODD)]
    found = list(nlp.pipe(pairs, as_tuples=True, n_process=2, batch_size=3))
    assert [(doc.text, context) for doc, context in found] == pairs


@needs_fork
@pytest.mark.parametrize("failing", [{"first": True}, {"last": True}], indirect=True)
def test_a_note_that_fails_is_left_out_by_a_handler(failing):
    failing.set_error_handler(spacy.util.ignore_error)
    texts = [*TEXTS[:1], f"aspirin {BAD}", *TEXTS[1:], BAD]
    alone = contents(failing.pipe(TEXTS, batch_size=2))
    assert contents(failing.pipe(texts, n_process=2, batch_size=2)) == alone


@needs_fork
@pytest.mark.parametrize("failing", [{"last": True}], indirect=True)
def test_an_error_in_a_worker_ends_all_of_them_and_nothing_more(failing):
    alone = contents(failing.pipe(TEXTS))
    with pytest.raises(ValueError, match="a note that fails"):
        list(failing.pipe([*TEXTS, BAD, *TEXTS], n_process=2, batch_size=1))
    assert not multiprocessing.active_children()
    assert contents(failing.pipe(TEXTS, n_process=2)) == alone


@needs_fork
def test_whoever_stops_early_leaves_no_worker(nlp):
    stream = nlp.pipe(TEXTS * 5, n_process=2, batch_size=1)
    assert next(stream).text == TEXTS[0]
    stream.close()
    assert not multiprocessing.active_children()


@needs_fork
def test_heads_in_workers_read_what_one_process_encoded(nlp):
    alone = contents(nlp.pipe(ODD))
    with nlp.select_pipes(enable=["clinbert_transformer"]):
        docs = list(nlp.pipe(ODD))
    with nlp.select_pipes(disable=["clinbert_transformer"]):
        assert contents(nlp.pipe(docs, n_process=2, batch_size=2)) == alone


def test_a_spawned_worker_gets_pipeline_and_attributes_pickled(nlp, request):
    alone = contents(nlp.pipe(ODD))
    copy, state = pickle.loads(pickle.dumps((nlp, Underscore.get_state())))
    request.addfinalizer(lambda kept=Underscore.get_state(): Underscore.load_state(kept))
    Underscore.load_state(state)
    attributes.install()  # the getters are still those of the package
    assert contents(copy.pipe(ODD)) == alone
