"""Arrays of the notes of a batch, joined and cut again."""

import numpy
import pytest
from thinc.api import get_current_ops

from clinbert_spacy.models.batch import join_rows, split_rows


@pytest.mark.parametrize("lengths", [(2, 0, 3), (0, 1), (2, 0), (0, 0), (4,)])
def test_rows_of_notes_without_words(lengths):
    ops = get_current_ops()
    vectors = [ops.alloc2f(n, 5 if n else 0) + i for i, n in enumerate(lengths)]
    rows = join_rows(ops, vectors)
    assert len(rows) == sum(lengths)
    parts = split_rows(ops, rows, vectors)
    assert [part.shape for part in parts] == [vector.shape for vector in vectors]
    assert all(numpy.array_equal(a, b) for a, b in zip(parts, vectors))
