"""Words and letters of short texts as numbers, as in fastText (Bojanowski et al. 2017)."""

import zlib
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
    words = [text.lower().split() for text in texts]
    codes = [_codes(word) for one in words for word in one]
    flat = numpy.concatenate([numpy.zeros(0, dtype="int64"), *codes]) % n_buckets
    # before each word, and of these what stands before the first of each text
    before = numpy.cumsum([0, *map(len, codes)])
    first = numpy.cumsum([0, *map(len, words)])[:-1]
    return {"grams": flat, "begins": before[first].astype("int64")}


@lru_cache(maxsize=100_000)
def _codes(word: str) -> NDArray[numpy.uint32]:
    """The same in every process, unlike hash()."""
    marked = f"<{word}>"
    runs: List[str] = [
        marked[i : i + size] for size in SIZES for i in range(len(marked) - size + 1)
    ]
    found = [zlib.crc32(run.encode("utf8", "surrogatepass")) for run in (word, *runs)]
    return numpy.array(found, dtype="uint32")
