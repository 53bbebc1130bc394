"""What `torch.nn.functional.scaled_mm` computes of scaled blocks, for devices without it."""

from __future__ import annotations

import torch
from torch.nn.functional import ScalingType, SwizzleType, scaled_mm

BLOCK = 128


def reference(
    mat_a: torch.Tensor,
    mat_b: torch.Tensor,
    scale_a: torch.Tensor,
    scale_recipe_a: ScalingType,
    scale_b: torch.Tensor,
    scale_recipe_b: ScalingType,
    *,
    swizzle_a: SwizzleType,
    swizzle_b: SwizzleType,
    output_dtype: torch.dtype,
) -> torch.Tensor:
    """In float32, once torch itself has found shapes, types and strides as its kernel wants."""
    scaled_mm(
        mat_a.to("meta"),
        mat_b.to("meta"),
        scale_a.to("meta"),
        scale_recipe_a,
        scale_b.to("meta"),
        scale_recipe_b,
        swizzle_a=swizzle_a,
        swizzle_b=swizzle_b,
        output_dtype=output_dtype,
    )
    # Asked of cuBLAS's callers, and not looked at by torch.
    assert len(mat_a) % 4 == 0
    inner = len(mat_b)
    by_token = scale_a.repeat_interleave(BLOCK, 1)
    by_block = scale_b[: inner // BLOCK].repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return ((mat_a.float() * by_token) @ (mat_b.float() * by_block)).to(output_dtype)
