"""Linear layers in FP8 as a checkpoint holds them, multiplied by torch's own product of scaled
blocks: half the memory of bfloat16, and half of it to read for each token.

The product is cuBLAS's: `torch.nn.functional.scaled_mm` has these blocks on GPUs of compute
capability 9.0 with CUDA 12.9 or newer, and says so elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.functional import linear, pad
from transformers.integrations.finegrained_fp8 import FP8Linear

ScalingType: Any
SwizzleType: Any
scaled_mm: Any
try:
    from torch.nn.functional import ScalingType, SwizzleType, scaled_mm
except ImportError:  # an older torch, as some boxes have to have
    ScalingType = SwizzleType = scaled_mm = None

_BLOCK = 128
_FLOAT8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(_FLOAT8).max
# cuBLAS takes tokens, and the blocks along a weight's row, in fours:
# https://docs.nvidia.com/cuda/cublas/#element-1d-and-128x128-2d-block-scaling-for-fp8-data-types
_FOUR = 4
# Of a token's output. Rounding that to bfloat16 makes 0.002; scales of weights one block off make
# 0.07 and more where weights are random, so alike.
_TOLERANCE = 0.02
_CHECKED_TOKENS = (1, 4, 70)

_Tensors = dict[str, tuple[Path, tuple[int, ...]]]


class Fp8Linear(nn.Module):
    """``weight`` is float8 [out, in]; ``scales``, float32 [out / 128, in / 128, rounded up to
    four], are what its blocks are multiplied by."""

    scales: torch.Tensor

    def __init__(
        self, weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        spare = -scales.shape[1] % _FOUR
        self.register_buffer("scales", pad(scales.detach().float(), (0, spare)))
        self.bias = bias
        self.rounds = True

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.rounds:
            return linear(inputs, self.dequantised().to(inputs.dtype), self.bias)
        packed, scales = quantise(inputs.reshape(-1, inputs.shape[-1]))
        out = block_product(packed, scales, self.weight, self.scales, inputs.dtype)
        if self.bias is not None:
            out = out + self.bias
        shaped: torch.Tensor = out.reshape(*inputs.shape[:-1], out.shape[-1])
        return shaped

    def dequantised(self) -> torch.Tensor:
        """The weight in float32."""
        rows, columns = self.weight.shape
        blocks = self.weight.float().reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
        scales = self.scales[:, None, : columns // _BLOCK, None]
        return (blocks * scales).reshape(rows, columns)


def quantise(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``tokens`` [tokens, in] in float8, and what each 128 of a token are to be multiplied by:
    float32 [in / 128, tokens]."""
    groups = tokens.float().reshape(len(tokens), -1, _BLOCK)
    scales = (groups.abs().amax(-1) / _LARGEST).clamp(min=1e-12)
    packed = (groups / scales[..., None]).to(_FLOAT8)
    return packed.flatten(-2), scales.t().contiguous()


@torch.library.custom_op("edge_serve::block_product", mutates_args=())
def block_product(
    packed: torch.Tensor,
    scales: torch.Tensor,
    weight: torch.Tensor,
    weight_scales: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Tokens as `quantise` leaves them times ``weight`` and its scales, those of `Fp8Linear`.

    An operation of its own for compilers: they fuse what is around it, and keep these layouts.
    """
    tokens = len(packed)
    spare = -tokens % _FOUR
    if spare:
        packed = pad(packed.view(torch.uint8), (0, 0, 0, spare)).view(_FLOAT8)
        scales = pad(scales, (0, spare))
    out: torch.Tensor = scaled_mm(
        packed,
        weight.t(),
        scales.t(),
        ScalingType.BlockWise1x128,
        weight_scales.t(),
        ScalingType.BlockWise128x128,
        swizzle_a=SwizzleType.NO_SWIZZLE,
        swizzle_b=SwizzleType.NO_SWIZZLE,
        output_dtype=dtype,
    )
    return out[:tokens]


@block_product.register_fake
def _(
    packed: torch.Tensor,
    scales: torch.Tensor,  # noqa: ARG001
    weight: torch.Tensor,
    weight_scales: torch.Tensor,  # noqa: ARG001
    dtype: torch.dtype,
) -> torch.Tensor:
    return packed.new_empty((packed.shape[0], weight.shape[0]), dtype=dtype)


def adopt(model: nn.Module) -> int:
    """Have the FP8 layers of a ``model`` of transformers computed here: its own would fetch
    kernels from the hub when they are first run. Returns how many there are."""
    layers = {name: one for name, one in model.named_modules() if type(one) is FP8Linear}
    for name, layer in layers.items():
        own = Fp8Linear(layer.weight, layer.weight_scale_inv, layer.bias)
        model.set_submodule(name, own)
    return len(layers)


@contextlib.contextmanager
def unrounded(model: nn.Module) -> Iterator[None]:
    """Have FP8 layers take their inputs as they are meanwhile.

    Two ways to compute the same differ in the last bit, which decides how some inputs are rounded
    to 3 bits, and so on through the layers: a comparison of such ways would find only that.
    """
    layers = [one for one in model.modules() if isinstance(one, Fp8Linear)]
    for one in layers:
        one.rounds = False
    try:
        yield
    finally:
        for one in layers:
            one.rounds = True


def obstacle(
    folder: Path, quantised: dict[str, Any], dtype: torch.dtype, device: torch.device
) -> str:
    """Why the FP8 weights in ``folder`` cannot be computed with as they are; "" where they can.

    One layer of each shape is run both ways on ``device``, for inputs in ``dtype``.
    """
    if scaled_mm is None:
        return f"torch {torch.__version__} has no product of scaled blocks"
    blocks, scheme = quantised.get("weight_block_size"), quantised.get("activation_scheme")
    if blocks != [_BLOCK, _BLOCK]:
        return f"its blocks are {blocks}, not {_BLOCK} x {_BLOCK}"
    if scheme != "dynamic":
        return f"its inputs are scaled in a {scheme} way"
    tensors = _tensors(folder)
    names = [name for name in tensors if f"{name}_scale_inv" in tensors]
    if not names:
        return "its scales have other names than weight_scale_inv"
    if any(".experts." in name for name in names):
        return "it has experts"
    shapes = {tensors[name][1]: name for name in names}
    if odd := [shape for shape in shapes if any(size % _BLOCK for size in shape)]:
        return f"a layer has {' x '.join(map(str, odd[0]))} weights, not multiples of {_BLOCK}"
    return _differing(tensors, list(shapes.values()), dtype, device)


def _differing(
    tensors: _Tensors, names: list[str], dtype: torch.dtype, device: torch.device
) -> str:
    """What is wrong with the product on ``device`` for the layers ``names``, or ""."""
    try:
        for name in names:
            read = (_read(tensors, key).to(device) for key in (name, f"{name}_scale_inv"))
            for off in _errors(Fp8Linear(*read), dtype):
                if not off <= _TOLERANCE:  # no number at all is neither more nor less
                    return f"{device} computes {name} differently, by {off:.0%}"
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        return f"torch cannot multiply such blocks on {device}: {reason}"
    return ""


def _errors(layer: Fp8Linear, dtype: torch.dtype) -> Iterator[float]:
    """How far from the plain product the worst token is, in shares of it, for each count.

    The inputs are such that FP8 holds them exactly, and their scales differ: what is left is a
    mistake.
    """
    weight = layer.dequantised()
    groups = weight.shape[1] // _BLOCK
    for count in _CHECKED_TOKENS:
        held = (torch.randn(count, groups, _BLOCK) * _LARGEST / 8).to(_FLOAT8).float()
        held[..., 0] = _LARGEST
        sizes = torch.randint(-6, 3, (count, groups, 1)).float().exp2()
        inputs = (held * sizes).flatten(1).to(weight.device, dtype)
        plain = inputs.float() @ weight.t()
        off = (layer(inputs).float() - plain).norm(dim=-1) / plain.norm(dim=-1)
        yield float(off.max())


def _tensors(folder: Path) -> _Tensors:
    """The file and the shape of each tensor."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                found[name] = (file, tuple(opened.get_slice(name).get_shape()))
    return found


def _read(tensors: _Tensors, name: str) -> torch.Tensor:
    with safe_open(tensors[name][0], framework="pt") as opened:
        tensor: torch.Tensor = opened.get_tensor(name)
        return tensor
