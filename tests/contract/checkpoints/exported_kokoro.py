"""A tiny Kokoro as its authors' own code exports it to ONNX, kept packed beside this file.

That code wants libraries which are in no environment of tests. To make the file anew, in one with
torch 2.13.0, transformers 5.23, onnx 1.23.2, loguru 0.7.3 and the folder of kokoro 0.9.4, which
need not be installed:

    python -m tests.contract.checkpoints.exported_kokoro FOLDER_OF_THE_PACKAGE_KOKORO
"""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.contract.checkpoints import packed
from worker.engines.common.english import vocabulary
from worker.engines.kokoro.files import STYLE_SIZE, STYLES

_PACKED = Path(__file__).with_name("kokoro_onnx.tar.xz")
VOICES = ("af_heart", "bm_fable", "jf_alpha")
_WIDTH = 16
_CONFIG = {
    "n_token": 178,
    "hidden_dim": _WIDTH,
    "style_dim": 128,
    "n_layer": 1,
    "max_dur": 6,
    "dropout": 0.0,
    "text_encoder_kernel_size": 5,
    "n_mels": 80,
    "plbert": {
        "hidden_size": _WIDTH,
        "embedding_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 512,
        "num_hidden_layers": 1,
    },
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_kernel_sizes": [3],
        "upsample_initial_channel": _WIDTH,
    },
}


def unpack(folder: Path) -> Path:
    """As `onnx-community/Kokoro-82M-v1.0-ONNX` is laid out, with voices of random numbers."""
    packed.unpack(_PACKED, folder)
    for name, style in styles().items():
        style.tofile(folder / "voices" / f"{name}.bin")
    return folder


def as_kokoro_onnx(folder: Path, made: Path) -> Path:
    """The same, as the package kokoro-onnx wants it."""
    with (folder / "voices-v1.0.bin").open("wb") as file:
        np.savez(file, **styles())  # type: ignore[arg-type]
    (folder / "kokoro-v1.0.onnx").write_bytes((made / "onnx" / "model.onnx").read_bytes())
    return folder


def styles() -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    random = np.random.default_rng(20)
    shape = (STYLES, 1, STYLE_SIZE)
    return {name: random.normal(0, 1, shape).astype(np.float32) for name in VOICES}


def _make(folder: Path, package: str) -> None:
    import torch

    class Exported(torch.nn.Module):
        """What is published gives the sound alone."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, style: torch.Tensor, speed: torch.Tensor) -> Any:
            return self.model.forward_with_tokens(ids, style, speed)[0].unsqueeze(0)

    (folder / "onnx").mkdir()
    (folder / "voices").mkdir()
    vocab = {"model": {"vocab": vocabulary()}}
    (folder / "tokenizer.json").write_text(json.dumps(vocab, ensure_ascii=False))
    example = (torch.randint(1, 170, (1, 20)), torch.randn(1, STYLE_SIZE), torch.ones(1))
    # As published: the noise of its sounds is the same each time.
    with patch("torch.randn_like", torch.zeros_like), patch("torch.rand", torch.zeros):
        torch.onnx.export(
            Exported(_tiny(package)).eval(),
            example,
            folder / "onnx" / "model.onnx",
            input_names=["input_ids", "style", "speed"],
            output_names=["waveform"],
            dynamic_axes={"input_ids": {1: "sequence_length"}, "waveform": {1: "num_samples"}},
            dynamo=False,
        )


def _tiny(package: str) -> Any:
    """A `KModel` of random weights; its decoder's widths, which its authors fixed, are as small."""
    import torch

    outer = types.ModuleType("kokoro")
    outer.__path__ = [package]
    sys.modules["kokoro"] = outer  # not its own: that one imports what reads texts
    model: Any = importlib.import_module("kokoro.model")
    model.Decoder = _tiny_decoder(importlib.import_module("kokoro.istftnet"))
    torch.manual_seed(20)
    with tempfile.NamedTemporaryFile() as weights:
        torch.save({}, weights.name)
        config = {"vocab": vocabulary(), **_CONFIG}
        made = model.KModel("tiny", config, weights.name, disable_complex=True)
    for name, parameter in made.named_parameters():
        # One of three values: few bytes, once they are packed. The lengths of weights stay, and so
        # do small ones, which might be nothing but zeros.
        if parameter.numel() > 64 and not name.endswith("weight_g"):
            spread = parameter.data.std()
            parameter.data = torch.where(
                parameter.data.abs() < spread / 2, 0.0, parameter.data.sign() * spread
            )
    made.decoder.generator.conv_post.weight_g.data *= 0.1  # of what `exp` is taken
    return made


def _tiny_decoder(istftnet: Any) -> Any:
    """Its decoder as it is, but for widths of 1024, 512 and 64."""
    source = Path(istftnet.__file__).read_text()
    source = source[source.index("class Decoder") :]
    for width, small in (("1024", "32"), ("512", str(_WIDTH)), ("64", "8")):
        source = source.replace(width, small)
    module = dict(vars(istftnet))
    exec(source, module)
    return module["Decoder"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        _make(Path(made), sys.argv[1])
        with tarfile.open(_PACKED, "w:xz", preset=9) as archive:
            for name in ("onnx", "voices", "tokenizer.json"):
                archive.add(Path(made) / name, name)
