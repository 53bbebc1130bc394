"""The keys and values of the running batch: rows join and leave between any two steps.

Rows are left-padded to one length, which every causal model of transformers understands through
``attention_mask`` and ``position_ids``. Nothing is copied from step to step: tensors have columns
to spare at the end, and padding that all rows share is cut by moving the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

# Columns added whenever a tensor is full, so it is copied once in so many steps.
SPARE_TOKENS = 256


class BatchCache(Cache):
    """A cache of up to ``max_rows`` rows, as a model takes it for ``past_key_values``.

    ``pads`` holds how many columns of each row are padding. A forward pass that fails leaves the
    cache as it was; one that succeeds is kept with `advance`.
    """

    def __init__(self, max_rows: int, device: torch.device) -> None:
        super().__init__(layers=[])
        self._layers: list[_Layer] = []
        self._max_rows = max_rows
        self._device = device
        self.pads: list[int] = []
        self.length = 0

    def next_token(self) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The attention mask [rows, length + 1] and positions [rows, 1] of one token more a row.

        Without padding there is no mask, so that attention can take its fastest kernel.
        """
        pads = torch.tensor(self.pads, device=self._device)[:, None]
        positions = self.length - pads
        if not any(self.pads):
            return None, positions
        columns = torch.arange(self.length + 1, device=self._device)
        return (columns >= pads).long(), positions

    def advance(self) -> None:
        """Keep the column that a forward pass of one token a row has written."""
        for columns in self._columns():
            columns.end += 1
        self.length += 1

    def join(self, prompt: DynamicCache) -> None:
        """Add the one row of ``prompt``, a cache of its own until now, as the last row.

        Raises `torch.OutOfMemoryError` and then has changed nothing.
        """
        row, tokens = len(self.pads), prompt.get_seq_length()
        states = [(keys, values) for keys, values, _ in prompt]
        if row == 0:
            self._set_layers([_Layer(self._max_rows, keys, values) for keys, values in states])
        wider = max(0, tokens - self.length)
        for columns in self._columns():
            columns.reserve(before=wider, after=1)
        for layer, (keys, values) in zip(self._layers, states, strict=True):
            layer.key_columns.join(row, wider, keys)
            layer.value_columns.join(row, wider, values)
        self.length += wider
        self.pads = [pad + wider for pad in self.pads] + [self.length - tokens]

    def leave(self, row: int) -> None:
        """Remove ``row``; the last row takes its place."""
        last = len(self.pads) - 1
        if row != last:
            for columns in self._columns():
                columns.move(last, row)
        self.pads[row] = self.pads[last]
        self.pads.pop()
        if self.pads:
            self._trim(min(self.pads))
        else:
            self._set_layers([])
            self.length = 0

    def _set_layers(self, layers: list[_Layer]) -> None:
        self._layers = layers
        self.layers = [*layers]

    def _trim(self, shared: int) -> None:
        for columns in self._columns():
            columns.start += shared
        self.length -= shared
        self.pads = [pad - shared for pad in self.pads]

    def _columns(self) -> Iterator[_Columns]:
        for layer in self._layers:
            yield layer.key_columns
            yield layer.value_columns


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's columns behind the interface by which attention code updates a cache."""

    def __init__(self, max_rows: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.key_columns = _Columns(max_rows, keys)
        self.value_columns = _Columns(max_rows, values)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.key_columns.write(key_states), self.value_columns.write(value_states)

    def get_seq_length(self) -> int:
        return self.key_columns.end - self.key_columns.start


class _Columns:
    """A tensor [rows, heads, tokens, dim] of which the columns from start to end are in use.

    The rest is finite, never uninitialised: masked attention multiplies padding by zero, and zero
    times NaN would carry one row's accident into another.
    """

    def __init__(self, max_rows: int, like: torch.Tensor) -> None:
        _, heads, _, dim = like.shape
        self._store = like.new_zeros(max_rows, heads, 0, dim)
        self.start = self.end = 0

    def reserve(self, before: int, after: int) -> None:
        """Have room for so many columns on either side. Raises `torch.OutOfMemoryError`."""
        if before <= self.start and after <= self._store.shape[2] - self.end:
            return
        rows, heads, _, dim = self._store.shape
        used = self.end - self.start
        store = self._store.new_zeros(rows, heads, before + used + after + SPARE_TOKENS, dim)
        store[:, :, before : before + used] = self._store[:, :, self.start : self.end]
        self._store, self.start, self.end = store, before, before + used

    def write(self, states: torch.Tensor) -> torch.Tensor:
        """Put ``states`` [n, heads, tokens, dim] after the end; returns the first n rows whole."""
        rows, tokens = states.shape[0], states.shape[2]
        self.reserve(before=0, after=tokens)
        end = self.end + tokens
        self._store[:rows, :, self.end : end] = states
        return self._store[:rows, :, self.start : end]

    def join(self, row: int, wider: int, states: torch.Tensor) -> None:
        """Start ``wider`` columns earlier, and end ``row`` with ``states`` [1, heads, n, dim]."""
        earlier = self.start - wider
        self._store[:, :, earlier : self.start] = 0
        self.start = earlier
        first = self.end - states.shape[2]
        self._store[row, :, self.start : first] = 0
        self._store[row, :, first : self.end] = states[0]

    def move(self, source: int, target: int) -> None:
        used = slice(self.start, self.end)
        self._store[target, :, used] = self._store[source, :, used]
