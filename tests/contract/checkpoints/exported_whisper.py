"""A tiny Whisper of random weights as optimum exports it to ONNX, kept packed beside this file.

Its decoder reads all that was written at each step: onnx-asr takes one that keeps no state. No
environment of tests has what exports. To make the file anew, in one with torch 2.13.0, transformers
5.23, onnx 1.23.2 and onnxscript 0.7.2:

    python -m tests.contract.checkpoints.exported_whisper
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.contract.checkpoints import packed

_PACKED = Path(__file__).with_name("whisper_onnx.tar.xz")
_WIDTH = 16
LANGUAGES = ("en", "de", "es", "fr")
_CONTROL = (
    *("<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)),
    *("<|translate|>", "<|transcribe|>", "<|nospeech|>", "<|notimestamps|>"),
)


def unpack(folder: Path) -> Path:
    """As `onnx-community/whisper-*` is laid out."""
    packed.unpack(_PACKED, folder)
    return folder


def _make(folder: Path) -> None:
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    text = [chr(code) for code in (*range(ord("!"), ord("~") + 1), 0x120)]  # 0x120 is a space
    size = len(text) + len(_CONTROL)
    config = WhisperConfig(
        vocab_size=size,
        d_model=_WIDTH,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        pad_token_id=len(text),
        bos_token_id=len(text),
        eos_token_id=len(text),
        decoder_start_token_id=len(text) + 1,
    )
    torch.manual_seed(20)
    made: Any = WhisperForConditionalGeneration(config)
    made.set_attn_implementation("eager")
    made.eval()
    _spread(made)
    (folder / "onnx").mkdir()
    _export(made, folder / "onnx")
    described = {"model_type": "whisper", "num_mel_bins": 80, "vocab_size": size}
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "vocab.json").write_text(json.dumps({one: at for at, one in enumerate(text)}))
    added = {one: len(text) + at for at, one in enumerate(_CONTROL)}
    (folder / "added_tokens.json").write_text(json.dumps(added))


def _spread(made: Any) -> None:
    """Each weight one of three values: few bytes, once they are packed."""
    import torch

    for parameter in made.parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            drawn = torch.randn_like(parameter)
            parameter.copy_(torch.where(drawn.abs() < 0.6, 0.0, drawn.sign() * 0.3))


def _export(made: Any, folder: Path) -> None:
    import torch

    class Encoder(torch.nn.Module):
        def forward(self, input_features: torch.Tensor) -> Any:
            return made.model.encoder(input_features).last_hidden_state

    class Decoder(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
            place = torch.arange(input_ids.shape[1])
            causal = torch.where(place[None, :] <= place[:, None], 0.0, -1e4)[None, None]
            states = made.model.decoder(
                input_ids=input_ids,
                attention_mask=causal,
                encoder_hidden_states=encoder_hidden_states,
                use_cache=False,
            )
            return made.proj_out(states.last_hidden_state)

    torch.onnx.export(
        Encoder(),
        (torch.randn(2, 80, 3000),),
        folder / "encoder_model.onnx",
        input_names=["input_features"],
        output_names=["last_hidden_state"],
        dynamic_axes={"input_features": {0: "batch"}},
        dynamo=False,
    )
    torch.onnx.export(
        Decoder(),
        (torch.tensor([[1, 2, 3], [1, 2, 3]]), torch.randn(2, 1500, _WIDTH)),
        folder / "decoder_model_merged.onnx",
        input_names=["input_ids", "encoder_hidden_states"],
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "tokens"},
            "encoder_hidden_states": {0: "batch", 1: "frames"},
        },
        dynamo=False,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        _make(Path(made))
        packed.pack(_PACKED, Path(made))
