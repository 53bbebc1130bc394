"""The keys and values of every layer, allocated once: a row for each place that segments lie in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from transformers.cache_utils import DynamicCache


class Shape(NamedTuple):
    """What one layer keeps of a token."""

    heads: int
    key_dim: int
    value_dim: int

    @property
    def numbers(self) -> int:
        return self.heads * (self.key_dim + self.value_dim)


def token_bytes(shapes: Sequence[Shape], dtype: torch.dtype) -> int:
    """What all layers together keep of a token, in bytes."""
    return sum(shape.numbers for shape in shapes) * dtype.itemsize


class KeyValues:
    """Per layer keys and values [places + 1, heads, dim]; the last row takes what nobody reads.

    They begin as zeros and are finite ever after: masked attention multiplies what is not to be
    seen by zero, and zero times NaN would be seen.
    """

    def __init__(
        self, shapes: Sequence[Shape], places: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.places = places
        rows = places + 1
        self._keys = [zeros((rows, one.heads, one.key_dim), dtype, device) for one in shapes]
        self._values = [zeros((rows, one.heads, one.value_dim), dtype, device) for one in shapes]

    def write(
        self, layer: int, index: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put ``keys`` and ``values`` [tokens, heads, dim] where ``index`` [tokens] says; returns
        the layer's whole."""
        all_keys, all_values = self._keys[layer], self._values[layer]
        all_keys.index_copy_(0, index, keys)
        all_values.index_copy_(0, index, values)
        return all_keys, all_values

    def copy(self, source: int, target: int, count: int) -> None:
        """Have the ``count`` rows from ``source`` on at ``target`` too; the two may overlap."""
        if source == target or not count:
            return
        overlap = abs(source - target) < count
        for rows in (*self._keys, *self._values):
            piece = rows[source : source + count]
            rows[target : target + count] = piece.clone() if overlap else piece

    def randomise(self) -> None:
        """Fill all places with noise, to compare two ways of reading them."""
        for rows in (*self._keys, *self._values):
            rows.normal_()

    def fill(self, start: int, cache: DynamicCache) -> None:
        """Put the one sequence of ``cache`` at ``start``."""
        for at, (keys, values, *_) in enumerate(cache):
            rows = slice(start, start + keys.shape[2])
            self._keys[at][rows] = keys[0].transpose(0, 1)
            self._values[at][rows] = values[0].transpose(0, 1)


def zeros(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros which on a CPU take memory only as far as they are overwritten; torch's take it all."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    blank = np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)
    return torch.from_numpy(blank).view(dtype).view(shape)


def to_device(numbers: list[int] | list[float], device: torch.device) -> torch.Tensor:
    """``numbers`` on ``device``. The host does not wait: on CUDA the copy is from pinned memory,
    which is not used again before it is done."""
    made = torch.tensor(numbers)
    if device.type != "cuda":
        return made.to(device)
    return made.pin_memory().to(device, non_blocking=True)
