"""What `torch.nn.attention.varlen.varlen_attn` is documented to compute, for devices without it."""

from __future__ import annotations

import torch


def reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
    seqused_k: torch.Tensor | None = None,
) -> torch.Tensor:
    """One sequence after the other, all scores at once; the kernel's own demands are checked."""
    assert seqused_k is not None
    assert enable_gqa
    assert {one.dtype for one in (cu_seq_q, cu_seq_k, seqused_k)} == {torch.int32}
    assert len(cu_seq_q) == len(cu_seq_k) == len(seqused_k) + 1
    groups = query.shape[1] // key.shape[1]
    left, right = window_size
    out = torch.empty_like(query)
    for at, used in enumerate(seqused_k.tolist()):
        first, end = cu_seq_q[at : at + 2].tolist()
        start = int(cu_seq_k[at])
        assert 0 < end - first <= max_q
        assert used <= max_k
        queries = query[first:end].transpose(0, 1)
        keys, values = (
            kept[start : start + used].repeat_interleave(groups, 1).transpose(0, 1)
            for kept in (key, value)
        )
        behind = torch.arange(used - (end - first), used)[:, None] - torch.arange(used)
        seen = torch.ones_like(behind, dtype=torch.bool)
        if left >= 0:
            seen &= behind <= left
        if right >= 0:
            seen &= behind >= -right
        scores = queries @ keys.transpose(1, 2) * (scale or query.shape[-1] ** -0.5)
        chances = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out[first:end] = (chances @ values).transpose(0, 1)
    return out
