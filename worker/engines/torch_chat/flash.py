"""Attention by the flash kernel that comes with torch, for CUDA: one call for sequences that only
the device knows, so that a step can be captured."""

from __future__ import annotations

import logging
from typing import Any

import torch

from worker.engines.torch_chat.attention import Asked, Span, Spans
from worker.engines.torch_chat.kv import KeyValues, Shape, to_device

varlen_attn: Any
try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # an older torch, as some boxes have to have
    varlen_attn = None

logger = logging.getLogger(__name__)


class Flash:
    """A batch of sequences known to the device, for CUDA: one kernel for all of them.

    ``index`` [tokens] says where each token's keys go; ``firsts`` [sequences + 1] where each
    sequence's tokens begin in the batch; ``starts`` and ``lengths`` [sequences] where it lies and
    how long it is. All but the first are int32. ``longest`` is a bound on the lengths.
    """

    def __init__(
        self,
        kv: KeyValues,
        index: torch.Tensor,
        firsts: torch.Tensor,
        starts: torch.Tensor,
        lengths: torch.Tensor,
        most_new: int,
        longest: int,
    ) -> None:
        self._kv = kv
        self._index = index
        self._firsts, self._lengths = firsts, lengths
        # The kernel takes the place at which each sequence begins, and one more.
        self._starts = torch.cat([starts, starts[-1:]])
        self._most_new, self._longest = most_new, longest

    def attend(self, layer: int, asked: Asked) -> torch.Tensor:
        kept_keys, kept_values = self._kv.write(layer, self._index, asked.keys, asked.values)
        window = asked.window
        # One new token needs no causal mask, without which the kernel splits long sequences up.
        right = -1 if self._most_new == 1 and window is None else 0
        out: Any = varlen_attn(
            asked.queries,
            kept_keys,
            kept_values,
            self._firsts,
            self._starts,
            self._most_new,
            self._longest,
            scale=asked.scale,
            window_size=(-1 if window is None else window - 1, right),
            enable_gqa=True,
            seqused_k=self._lengths,
        )
        found: torch.Tensor = out
        return found


def agrees(
    shape: Shape,
    query_heads: int,
    windows: set[int | None],
    dtype: torch.dtype,
    device: torch.device,
) -> bool:
    """Whether there is such a kernel for ``device`` and ``dtype``, and it finds what `Spans` does:
    for sequences in any order, one new token each and several. Its arguments differ between
    releases of torch, so one that does not take ours is as good as none."""
    if varlen_attn is None:
        logger.info("no_flash_attention", extra={"reason": "this torch has no varlen_attn"})
        return False
    lengths, starts = [37, 5, 64], [70, 140, 0]
    for count in (1, 4):
        for window in windows:
            spans = [
                Span(at * count, count, start, length)
                for at, (start, length) in enumerate(zip(starts, lengths, strict=True))
            ]
            queries, keys, values = (
                torch.randn(len(spans) * count, heads, dim, device=device).to(dtype)
                for heads, dim in (
                    (query_heads, shape.key_dim),
                    (shape.heads, shape.key_dim),
                    (shape.heads, shape.value_dim),
                )
            )
            kv = KeyValues([shape], 160, dtype, device)
            kv.randomise()
            asked = Asked(queries, keys, values, window=window)
            plain = Spans(kv, spans, 1, device).attend(0, asked)
            try:
                found = of_spans(kv, spans, device).attend(0, asked)
            except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
                logger.info("no_flash_attention", extra={"reason": str(error).partition("\n")[0]})
                return False
            if not torch.allclose(found.float(), plain.float(), atol=2e-2, rtol=2e-2):
                logger.warning("flash_attention_differs", extra={"device": str(device)})
                return False
    return True


def of_spans(kv: KeyValues, spans: list[Span], device: torch.device) -> Flash:
    """The batch of ``spans``, which the host knows."""
    index = [
        at
        for one in spans
        for at in range(one.start + one.length - one.count, one.start + one.length)
    ]
    firsts = [*(one.first for one in spans), len(index)]
    return Flash(
        kv,
        index=to_device(index, device),
        firsts=to_device(firsts, device).int(),
        starts=to_device([one.start for one in spans], device).int(),
        lengths=to_device([one.length for one in spans], device).int(),
        most_new=max(one.count for one in spans),
        longest=max(one.length for one in spans),
    )
