"""Attention of many sequences in one forward, each over its own places of the `KeyValues`.

transformers lets a program register an attention function, to which each layer hands its queries,
keys and values. Tokens of all sequences are laid end to end as a batch of one, so prompts and
answers, in any number and of any length, are the same call of the model; what belongs to whom is
known to the batch alone, which the model passes through.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from worker.engines.torch_chat.kv import KeyValues, Shape

NAME = "edge_serve"
# What some models ask of attention beyond what is computed here.
_UNKNOWN = ("softcap", "s_aux", "position_bias")


class Asked(NamedTuple):
    """What a layer asks: what ``queries`` [tokens, query heads, dim] find among ``keys`` and
    ``values`` [tokens, heads, dim], where each token sees itself and those before it, the last
    ``window`` at most. Without a ``scale`` the scores are divided by the square root of dim."""

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    scale: float | None = None
    window: int | None = None

    def among(self, keys: torch.Tensor, values: torch.Tensor) -> Asked:
        """The same of other keys and values."""
        return self._replace(keys=keys, values=values)


class Batch(Protocol):
    def attend(self, layer: int, asked: Asked) -> torch.Tensor:
        """Keep the new keys and values; returns what is found among them and all before them, as
        [tokens, query heads, dim]."""
        ...


@torch.compiler.disable  # type: ignore[untyped-decorator]
def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001
    *,
    batch: Batch,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """The function as transformers calls it, with [1, heads, tokens, dim] of each."""
    unknown = [name for name in _UNKNOWN if others.get(name) is not None]
    if unknown:
        raise NotImplementedError(f"its attention has {', '.join(unknown)}")
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    layer: Any = module.layer_idx
    asked = Asked(queries, keys, values, scaling, sliding_window)
    return batch.attend(layer, asked)[None], None


ALL_ATTENTION_FUNCTIONS.register(NAME, attention)


@contextlib.contextmanager
def own_attention(model: Any) -> Iterator[None]:
    """Have the language model inside ``model`` attend as transformers would, masks and all, and
    without what was compiled for the other way."""
    use_attention(model, "sdpa")
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        use_attention(model, NAME)


def use_attention(model: Any, name: str) -> None:
    """Have the language model inside ``model`` call the attention function registered as ``name``.

    Its parts read the name at each call, from configurations that may be copies of each other.
    """
    kind = type(model.config.get_text_config())
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if type(config) is kind:
            config._attn_implementation = name


class Probe:
    """A batch of one new sequence whose keys and values are not kept; what it was asked is."""

    def __init__(self) -> None:
        self.shapes: dict[int, Shape] = {}
        self.windows: set[int | None] = set()
        self.query_heads = 0

    def attend(self, layer: int, asked: Asked) -> torch.Tensor:
        keys, values = asked.keys, asked.values
        self.shapes[layer] = Shape(keys.shape[1], keys.shape[2], values.shape[2])
        self.windows.add(asked.window)
        self.query_heads = asked.queries.shape[1]
        return _of_sequence(asked)


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` tokens of a batch from its ``first`` on: the last of a sequence that has
    ``length`` with them and lies at ``start``."""

    first: int
    count: int
    start: int
    length: int


class Spans:
    """A batch of sequences known to the host, for any device.

    Sequences with one new token that lie ``unit`` places apart are one call: a view of the rows
    from the first to the last, in which each sequence sees what is its own.
    """

    def __init__(self, kv: KeyValues, spans: list[Span], unit: int, device: torch.device) -> None:
        self._kv = kv
        self._long = [span for span in spans if span.count > 1]
        rows = sorted((span for span in spans if span.count == 1), key=lambda span: span.start)
        self._runs = [_Run(run, unit, device) for run in _runs(rows, unit)]
        places = [
            range(one.start + one.length - one.count, one.start + one.length) for one in spans
        ]
        self._index = torch.tensor([at for part in places for at in part], device=device)

    def attend(self, layer: int, asked: Asked) -> torch.Tensor:
        asked = asked.among(*self._kv.write(layer, self._index, asked.keys, asked.values))
        if len(self._runs) == 1 and not self._long and self._runs[0].in_order:
            return self._runs[0].attend(asked)
        queries, keys, values = asked.queries, asked.keys, asked.values
        out = queries.new_empty(*queries.shape[:2], values.shape[2])
        for run in self._runs:
            out[run.rows] = run.attend(asked._replace(queries=queries[run.rows]))
        for span in self._long:
            rows = slice(span.first, span.first + span.count)
            whole = slice(span.start, span.start + span.length)
            sequence = asked.among(keys[whole], values[whole])
            out[rows] = _of_sequence(sequence._replace(queries=queries[rows]))
        return out


def _runs(rows: list[Span], unit: int) -> list[list[Span]]:
    """Neighbours together: each of a run lies ``unit`` behind the one before."""
    runs: list[list[Span]] = []
    for span in rows:
        if runs and span.start - runs[-1][-1].start == unit >= span.length:
            runs[-1].append(span)
        else:
            runs.append([span])
    return runs


class _Run:
    """Sequences with one new token each, at equal distances."""

    def __init__(self, spans: list[Span], unit: int, device: torch.device) -> None:
        self._start, self._unit = spans[0].start, unit
        self._lengths = [span.length for span in spans]
        self._ends = torch.tensor(self._lengths, device=device)[:, None, None, None]
        self._masks: dict[int | None, torch.Tensor | None] = {}
        firsts = [span.first for span in spans]
        self.in_order = firsts == list(range(firsts[0], firsts[0] + len(firsts)))
        # A slice where it will do: indexing by a tensor copies.
        self.rows: Any = slice(firsts[0], firsts[0] + len(firsts)) if self.in_order else firsts

    def attend(self, asked: Asked) -> torch.Tensor:
        rows, heads, dim = asked.queries.shape
        keys, values = self._view(asked.keys), self._view(asked.values)
        # The queries that share a head of the keys stand side by side, so no key is repeated.
        groups = keys.shape[1]
        grouped = asked.queries.reshape(rows, groups, heads // groups, dim)
        mask = self._mask(asked.window)
        out = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=asked.scale)
        return out.reshape(rows, heads, values.shape[3])

    def _view(self, kept: torch.Tensor) -> torch.Tensor:
        """[rows, heads, longest, dim] of what is kept in [places, heads, dim], without a copy."""
        heads, dim = kept.shape[1:]
        place, head, number = kept.stride()
        size = (len(self._lengths), heads, max(self._lengths), dim)
        stride = (self._unit * place, head, place, number)
        return kept.as_strided(size, stride, kept.storage_offset() + self._start * place)

    def _mask(self, window: int | None) -> torch.Tensor | None:
        """[rows, 1, 1, longest], or None where every sequence sees all."""
        if window not in self._masks:
            longest = max(self._lengths)
            at = torch.arange(longest, device=self._ends.device)
            seen = at < self._ends
            if window is not None:
                seen &= at >= self._ends - window
            even = min(self._lengths) == longest and (window is None or window >= longest)
            self._masks[window] = None if even else seen
        return self._masks[window]


def _of_sequence(asked: Asked) -> torch.Tensor:
    """What the last tokens of one sequence find in it."""
    queries, keys, values, scale, window = asked
    count, length = queries.shape[0], keys.shape[0]
    q, k, v = (states.transpose(0, 1)[None] for states in (queries, keys, values))
    if count == length and (window is None or window >= length):
        out = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True)
        return out[0].transpose(0, 1)
    at = torch.arange(length, device=keys.device)
    behind = at[length - count :, None] - at
    mask = behind >= 0 if window is None else (behind >= 0) & (behind < window)
    # With a mask the fast kernels want as many heads of keys as of queries.
    groups = queries.shape[1] // keys.shape[1]
    k, v = (states.repeat_interleave(groups, dim=1) for states in (k, v))
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return out[0].transpose(0, 1)
