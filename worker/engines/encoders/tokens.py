"""Between texts and the arrays that a model takes, for every engine that reads whole texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# No text of a language comes near this many characters a token; longer ones are not even looked
# at, since the time to cut a text into tokens grows with all of it.
MAX_CHARACTERS_PER_TOKEN = 64


def packed(numbers: Sequence[int]) -> bytes:
    """``numbers`` below 2**32 as a key of a cache, at four bytes each."""
    return np.asarray(numbers, dtype=np.uint32).tobytes()


def padded(rows: Sequence[Sequence[int]], filler: int) -> NDArray[np.int64]:
    """The rows as one array, [rows, longest], filled up on the right."""
    array = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for at, row in enumerate(rows):
        array[at, : len(row)] = row
    return array


def mask(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The attention mask of `padded` rows: 1 for tokens, 0 for what fills up."""
    lengths = np.array([[len(row)] for row in rows])
    return (np.arange(lengths.max()) < lengths).astype(np.int64)
