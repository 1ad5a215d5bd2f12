"""Batches computed ahead in a thread, while what was computed is read."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Callable, Deque, Iterable, Iterator, List, Tuple, TypeVar

from spacy.tokens import Doc

X = TypeVar("X")
Pending = Tuple[List[Doc], Future[X]]


def prefetch(
    make: Callable[[List[Doc]], X], batches: Iterable[List[Doc]], ahead: int = 1
) -> Iterator[Tuple[List[Doc], X]]:
    """Compute something of each batch, of the next ones in a thread while the last one is read.

    It pays where `make` leaves Python's lock to others, as arithmetic of torch does. The thread
    lives no longer than the iterator. Batches are drawn in the caller's thread, `make` gets a copy
    of its context (thinc's ops), but not what torch keeps by thread: it has to choose the gradient
    mode, autocast and the current GPU itself, as models of thinc do but for the GPU.

    make (Callable): From the Docs of a batch to what is wanted; never called twice at a time.
    batches (Iterable[List[Doc]]): Docs.
    ahead (int): Batches computed or drawn before their turn; 0 computes each in the caller's
        thread when its turn comes.
    RETURNS (Iterator): Each batch and what `make` gave, in order. An error of `make` or `batches`
        is raised in place of its batch, and is the end.
    RAISES (ValueError): `ahead` is negative.
    """
    if ahead < 0:
        raise ValueError(f"ahead = {ahead} is no number of batches: expected 0 or more.")
    if ahead == 0:
        return ((batch, make(batch)) for batch in batches)
    return _in_thread(make, iter(batches), ahead)


def _in_thread(
    make: Callable[[List[Doc]], X], batches: Iterator[List[Doc]], ahead: int
) -> Iterator[Tuple[List[Doc], X]]:
    waiting: Deque[Pending[X]] = deque()
    pool = ThreadPoolExecutor(1, "clinbert_prefetch")
    try:
        is_open = True
        while is_open or waiting:
            while is_open and len(waiting) <= ahead:
                is_open = _submit(pool, make, batches, waiting)
            if waiting:
                yield _take(waiting)  # nothing here holds on to it
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: ThreadPoolExecutor,
    make: Callable[[List[Doc]], X],
    batches: Iterator[List[Doc]],
    waiting: Deque[Pending[X]],
) -> bool:
    """Draw a batch and have it computed. RETURNS (bool): Whether there may be more."""
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(copy_context().run, make, batch)))
            return True
    except Exception as error:  # it is raised when the batches before it have been read
        failed: Future[X] = Future()
        failed.set_exception(error)
        waiting.append(([], failed))
    return False


def _take(waiting: Deque[Pending[X]]) -> Tuple[List[Doc], X]:
    batch, future = waiting.popleft()
    return batch, future.result()
