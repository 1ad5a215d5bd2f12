"""Words and letters of short texts as numbers, as in fastText (Bojanowski et al. 2017)."""

import zlib
from array import array
from functools import lru_cache
from typing import Dict, List, Sequence

import numpy
from numpy.typing import NDArray

SIZES = (3, 4, 5)


def hash_grams(texts: Sequence[str], n_buckets: int) -> Dict[str, NDArray[numpy.int64]]:
    """Hash the words of texts, and runs of 3 to 5 letters in them.

    texts (Sequence[str]): e.g. names of problems. n_buckets (int): how many numbers there are.
    RETURNS (Dict[str, NDArray]): `grams`, those of all texts, and `begins`, where those of each
        begin. Shape (grams,) and (texts,).
    """
    found = [
        [code % n_buckets for word in text.lower().split() for code in _codes(word)]
        for text in texts
    ]
    sizes = [len(one) for one in found]
    flat = [number for one in found for number in one]
    begins = numpy.cumsum([0, *sizes])[:-1]
    return {"grams": numpy.array(flat, dtype="int64"), "begins": begins.astype("int64")}


@lru_cache(maxsize=100_000)
def _codes(word: str) -> "array[int]":
    """The same in every process, unlike hash(); not a tuple, which takes five times the memory."""
    marked = f"<{word}>"
    runs: List[str] = [
        marked[i : i + size] for size in SIZES for i in range(len(marked) - size + 1)
    ]
    return array("I", [zlib.crc32(run.encode("utf8", "surrogatepass")) for run in (word, *runs)])
