"""Windows cover every piece once, and each piece is owned where it is most central."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinbert_spacy.models.windows import (
    END,
    OWN_END,
    OWN_START,
    START,
    batch_windows,
    gather_rows,
    plan_windows,
)

SETTINGS = st.integers(1, 40).flatmap(
    lambda window: st.tuples(st.just(window), st.integers(0, (window - 1) // 2))
)


@given(n=st.integers(0, 300), setting=SETTINGS)
def test_every_piece_is_owned_once(n, setting):
    plan = plan_windows(n, *setting)
    owned = [i for row in plan for i in range(row[OWN_START], row[OWN_END])]
    assert owned == list(range(n))
    assert (plan[:, END] - plan[:, START] <= setting[0]).all()
    assert (plan[:, START] <= plan[:, OWN_START]).all()
    assert (plan[:, OWN_END] <= plan[:, END]).all()


@given(n=st.integers(1, 120), setting=SETTINGS)
def test_the_most_central_copy_wins(n, setting):
    plan = plan_windows(n, *setting)
    for piece in range(n):
        margins = [
            min(piece - row[START], row[END] - 1 - piece) if row[START] <= piece < row[END] else -1
            for row in plan
        ]
        owner = next(i for i, row in enumerate(plan) if row[OWN_START] <= piece < row[OWN_END])
        # A tie of odd overlap may go to either side.
        assert margins[owner] >= max(margins) - 1


@given(n=st.integers(41, 300), setting=SETTINGS)
def test_neighbours_share_the_context(n, setting):
    plan = plan_windows(n, *setting)
    overlap = plan[:-1, END] - plan[1:, START]
    assert (overlap >= 2 * setting[1]).all()


@pytest.mark.parametrize("window, context", [(10, 5), (10, -1), (0, 0)])
def test_windows_without_room_are_refused(window, context):
    with pytest.raises(ValueError, match=f"window = {window}"):
        plan_windows(100, window, context)


@given(lengths=st.lists(st.integers(1, 60), max_size=40), size=st.integers(1, 200))
def test_batches_hold_each_window_once_below_the_size(lengths, size):
    array = numpy.array(lengths, dtype="int64")
    batches = batch_windows(array, size)
    assert sorted(i for rows in batches for i in rows) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * array[rows].max() <= size


def test_gather_rows():
    found = gather_rows(numpy.array([3, 10, 0]), numpy.array([5, 10, 2]))
    assert found.tolist() == [3, 4, 0, 1]
