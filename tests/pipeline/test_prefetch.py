"""Batches computed ahead: the same results in the same order, and no thread that stays."""

import contextvars
import gc
import multiprocessing
import threading
import time
import weakref

import pytest
import spacy
import torch
from thinc.api import get_current_ops, use_ops

from clinbert_spacy.pipeline.prefetch import prefetch
from tests.pipeline.toy_streams import TEXTS, contents, streaming_pipeline

AHEAD = pytest.mark.parametrize("ahead", [0, 1, 2, 10])
THREAD = "clinbert_prefetch"


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not threads()


def threads():
    return [one.name for one in threading.enumerate() if one.name.startswith(THREAD)]


def make_batches(n, size=2):
    nlp = spacy.blank("en")
    return [[nlp.make_doc(f"note {i} {j}") for j in range(size)] for i in range(n)]


def first_text(docs):
    return docs[0].text


@AHEAD
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_every_batch_in_order_with_its_own_result(n, ahead):
    batches = make_batches(n)
    found = list(prefetch(first_text, iter(batches), ahead))
    assert [batch for batch, _ in found] == batches
    assert [text for _, text in found] == [f"note {i} 0" for i in range(n)]


def test_a_negative_number_is_refused_at_once():
    with pytest.raises(ValueError, match="ahead = -1"):
        prefetch(first_text, [], -1)


@AHEAD
def test_an_error_of_make_comes_in_place_of_its_batch(ahead):
    batches, found = make_batches(6), []

    def make(docs):
        if docs is batches[3]:
            raise RuntimeError("batch 3")
        return docs

    with pytest.raises(RuntimeError, match="batch 3"):
        for batch, _ in prefetch(make, batches, ahead):
            found.append(batch)
    assert found == batches[:3]


@AHEAD
def test_an_error_of_the_batches_comes_behind_those_before_it(ahead):
    batches, found = make_batches(3), []

    def broken():
        yield from batches
        raise OSError("no more notes")

    with pytest.raises(OSError, match="no more notes"):
        for batch, _ in prefetch(first_text, broken(), ahead):
            found.append(batch)
    assert found == batches


@AHEAD
def test_no_more_is_drawn_than_asked_for_and_nothing_before(ahead):
    drawn = []

    def counted():
        for batch in make_batches(8):
            drawn.append(batch)
            yield batch

    stream = prefetch(first_text, counted(), ahead)
    assert not drawn and not threads()
    for n_read in range(1, 5):
        next(stream)
        assert len(drawn) == min(8, n_read + ahead)
    stream.close()


def test_the_next_batch_is_computed_while_the_last_one_is_read():
    begun = []

    def make(docs):
        begun.append(docs)
        return threading.current_thread().name

    batches = make_batches(4)
    for n_read, (_, name) in enumerate(prefetch(make, batches), 1):
        assert name.startswith(THREAD)
        deadline = time.monotonic() + 30
        while len(begun) < min(n_read + 1, len(batches)) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(begun) == min(n_read + 1, len(batches))


def test_never_two_at_a_time():
    running, most = [], []

    def make(docs):
        running.append(docs)
        most.append(len(running))
        time.sleep(0.001)
        running.pop()

    list(prefetch(make, make_batches(10), 4))
    assert set(most) == {1}


def test_inline_needs_no_thread():
    found = prefetch(lambda _: threading.current_thread(), make_batches(2), 0)
    assert {thread for _, thread in found} == {threading.current_thread()}


def test_a_reader_that_stops_early_stops_the_thread():
    computed = []
    stream = prefetch(computed.append, make_batches(50), 8)
    next(stream)
    assert threads()
    stream.close()
    assert not threads() and len(computed) <= 9
    assert not list(stream)


def test_a_reader_that_fails_or_forgets_stops_the_thread():
    with pytest.raises(KeyError):
        for _ in prefetch(first_text, make_batches(5)):
            raise KeyError("of the reader")
    stream = prefetch(first_text, make_batches(5))
    next(stream)
    del stream
    gc.collect()
    assert not threads()


def test_a_slow_reader_gets_all():
    seen = []
    for batch, text in prefetch(first_text, make_batches(5), 2):
        time.sleep(0.005)
        seen.append((batch[0].text, text))
    assert all(one == other for one, other in seen) and len(seen) == 5


VALUE = contextvars.ContextVar("value", default="none")


def test_the_context_of_the_caller_goes_along():
    def make(docs):
        found = VALUE.get(), get_current_ops()
        VALUE.set("of the thread")
        return found

    VALUE.set("of the caller")
    with use_ops("numpy", use_blis=False):
        inside = get_current_ops()
        found = [result for _, result in prefetch(make, make_batches(3))]
    assert all(value == "of the caller" and one is inside for value, one in found)
    assert VALUE.get() == "of the caller"


def test_what_was_read_is_not_held():
    class Activations:
        pass

    nlp = spacy.blank("en")
    batches = ([nlp.make_doc(f"note {i}")] for i in range(4))
    stream = prefetch(lambda docs: Activations(), batches)
    dead = []
    for batch, made in stream:
        assert all(one() is None and other() is None for one, other in dead)
        dead.append((weakref.ref(batch[0]), weakref.ref(made)))
        del batch, made
        gc.collect()
    assert len(dead) == 4


@pytest.mark.parametrize("ahead", [1, 3])
def test_a_pipeline_whose_transformer_runs_ahead_writes_the_same(checkpoint, ahead):
    nlp = streaming_pipeline(checkpoint)
    transformer = nlp.get_pipe("clinbert_transformer")
    notes = [*TEXTS, "", *TEXTS]
    expected = contents(nlp.pipe(notes, batch_size=2))
    docs = [nlp.make_doc(text) for text in notes]
    batches = [docs[i : i + 2] for i in range(0, len(docs), 2)]
    for batch, found in prefetch(transformer.predict, batches, ahead):
        transformer.set_annotations(batch, found)
        for name, pipe in nlp.pipeline:
            for doc in batch if name != "clinbert_transformer" else ():
                pipe(doc)
    assert contents(docs) == expected


def test_arithmetic_in_the_thread_keeps_the_number_of_threads():
    found = [n for _, n in prefetch(lambda _: torch.get_num_threads(), make_batches(1))]
    assert found == [torch.get_num_threads()]


def _in_child(queue):
    queue.put([text for _, text in prefetch(first_text, make_batches(3))])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="forks")
def test_a_fork_while_the_thread_runs():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    stream = prefetch(first_text, make_batches(5), 2)
    next(stream)
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [f"note {i} 0" for i in range(3)]
    child.join(60)
    assert child.exitcode == 0 and len(list(stream)) == 4
