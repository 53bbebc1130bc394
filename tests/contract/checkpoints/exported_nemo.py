"""Tiny models of NeMo's kind, exported to ONNX for onnx-asr and kept packed beside this file.

A Parakeet with each of its decoders (CTC, RNN-T, TDT), a Canary and a GigaAM, of random weights:
architectures of transformers behind the names of inputs and outputs that the published exports
have. GigaAM's own Conformer is in no library here, so a Parakeet stands for it. No environment of
tests has what exports. To make the file anew, in one with torch 2.13.0, transformers 5.23, onnx
1.23.2 and onnxscript 0.7.2:

    python -m tests.contract.checkpoints.exported_nemo
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from tests.contract.checkpoints import packed

_PACKED = Path(__file__).with_name("nemo_onnx.tar.xz")
_WIDTH = 16
# As SentencePiece has them: a space is written before the first piece of a word.
_PIECES = (
    *("\u2581and", "\u2581so", "\u2581my", "\u2581fellow", "\u2581ask", "\u2581what", "\u2581your"),
    *("\u2581coun", "\u2581can", "\u2581do", "\u2581for", "\u2581you", "\u2581a", "\u2581in"),
    *("try", "s", "ing", "er", "ed", "low", "ly", "ow", "n", "t", "'", "-", ",", ".", "?"),
)
# The control tokens by which onnx-asr tells Canary what to do.
_CONTROL = (
    *("\u2581", "<unk>", "<pad>", "<|endoftext|>", "<|startofcontext|>", "<|startoftranscript|>"),
    *("<|emo:undefined|>", "<|en|>", "<|de|>", "<|es|>", "<|fr|>", "<|pnc|>", "<|nopnc|>"),
    *("<|noitn|>", "<|notimestamp|>", "<|nodiarize|>"),
)
# GigaAM's are letters, and a space is one by itself.
_LETTERS = ("\u2581", *"абвгдежзиклмнопрстуфхцчшщъыьэюя", ".", ",", "?")
Decoder = Literal["ctc", "rnnt", "tdt", "aed", "gigaam"]
DURATIONS = (0, 1, 2, 3, 4)


def unpack(decoder: Decoder, folder: Path) -> Path:
    """The files of the model with this ``decoder``, laid out as `istupakov` publishes
    them."""
    packed.unpack(_PACKED, folder, under=f"{decoder}/")
    return folder / decoder


# --- how they were made ---------------------------------------------------------------------------


def _make(folder: Path) -> None:
    for make in (_ctc, _rnnt, _tdt, _aed, _gigaam):
        own = folder / make.__name__[1:]
        own.mkdir()
        make(own)


def _ctc(folder: Path) -> None:
    import torch
    from transformers import ParakeetCTCConfig, ParakeetForCTC

    size = len(_PIECES) + 1
    config = ParakeetCTCConfig(
        vocab_size=size, pad_token_id=size - 1, encoder_config=_encoder_config(80)
    )
    made = _random(ParakeetForCTC, config, seed=5)

    class Exported(torch.nn.Module):
        def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> Any:
            encoded, _ = _encoded(made.encoder, audio_signal, length)
            return made.ctc_head(encoded).log_softmax(-1)

    _export_encoder(Exported(), folder / "model.onnx", ["logprobs"], 80)
    _describe(folder, "nemo-conformer-ctc", 80, [*_PIECES, "<blk>"])


def _rnnt(folder: Path) -> None:
    from transformers import ParakeetForRNNT, ParakeetRNNTConfig

    made = _random(ParakeetForRNNT, ParakeetRNNTConfig(**_transducer(80)), seed=7)
    made.joint.head.bias[-1] += 1.2
    _export_transducer(made, folder, 80)
    _describe(folder, "nemo-conformer-rnnt", 80, [*_PIECES, "<blk>"])


def _tdt(folder: Path) -> None:
    from transformers import ParakeetForTDT, ParakeetTDTConfig

    config = ParakeetTDTConfig(**_transducer(128), durations=list(DURATIONS))
    _export_transducer(_random(ParakeetForTDT, config, seed=3), folder, 128)
    _describe(folder, "nemo-conformer-tdt", 128, [*_PIECES, "<blk>"])


def _aed(folder: Path) -> None:
    import torch
    from transformers import CanaryConfig, CanaryForConditionalGeneration

    vocabulary = [*_CONTROL, *_PIECES]
    config = CanaryConfig(
        vocab_size=len(vocabulary),
        encoder_config=_encoder_config(128),
        decoder_config={
            "vocab_size": len(vocabulary),
            "hidden_size": _WIDTH,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": _WIDTH // 2,
        },
    )
    made = _random(CanaryForConditionalGeneration, config, seed=3)
    made.proj_out.bias[: len(_CONTROL)] -= 9.0
    made.proj_out.bias[_CONTROL.index("<|endoftext|>")] += 9.0

    class Encoder(torch.nn.Module):
        def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> Any:
            encoded, mask = _encoded(made.model.encoder, audio_signal, length)
            return encoded, mask.to(torch.int64)

    names = ["encoder_embeddings", "encoder_mask"]
    _export_encoder(Encoder(), folder / "encoder-model.onnx", names, 128)
    _export_canary_decoder(made, folder / "decoder-model.onnx")
    _describe(folder, "nemo-conformer-aed", 128, vocabulary)


def _gigaam(folder: Path) -> None:
    import torch
    from transformers import ParakeetCTCConfig, ParakeetForCTC

    size = len(_LETTERS) + 1
    config = ParakeetCTCConfig(
        vocab_size=size,
        pad_token_id=size - 1,
        encoder_config={**_encoder_config(64), "subsampling_factor": 4},
    )
    made = _random(ParakeetForCTC, config, seed=5)

    class Exported(torch.nn.Module):
        def forward(self, features: torch.Tensor, feature_lengths: torch.Tensor) -> Any:
            encoded, _ = _encoded(made.encoder, features, feature_lengths)
            return made.ctc_head(encoded).log_softmax(-1)

    file = folder / "v3_e2e_ctc.onnx"
    _export_encoder(Exported(), file, ["log_probs"], 64, ("features", "feature_lengths"))
    described = {"version": "v3", "features_size": 64, "subsampling_factor": 4}
    (folder / "config.json").write_text(json.dumps(described))
    _list(folder / "v3_e2e_ctc_vocab.txt", [*_LETTERS, "<blk>"])


def _encoder_config(features: int) -> dict[str, Any]:
    return {
        "model_type": "parakeet_encoder",
        "hidden_size": _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "subsampling_conv_channels": 8,
        "num_mel_bins": features,
        "scale_input": False,
        "layerdrop": 0.0,
        "initializer_range": 0.3,
    }


def _transducer(features: int) -> dict[str, Any]:
    size = len(_PIECES) + 1
    return {
        "vocab_size": size,
        "blank_token_id": size - 1,
        "pad_token_id": 0,
        "decoder_hidden_size": _WIDTH,
        "num_decoder_layers": 2,
        "encoder_config": _encoder_config(features),
    }


def _random(kind: Any, config: Any, *, seed: int) -> Any:
    """Weights of one of three values: few bytes, once they are packed."""
    import torch

    torch.manual_seed(seed)
    config._attn_implementation = "eager"
    made = kind(config).eval()
    for parameter in made.parameters():
        if parameter.dim() > 1:
            spread = max(float(parameter.data.std()), 0.3)
            drawn = torch.randn_like(parameter.data)
            parameter.data = torch.where(drawn.abs() < 0.6, 0.0, drawn.sign() * spread)
        parameter.requires_grad_(False)
    return made


def _encoded(encoder: Any, features: Any, length: Any) -> tuple[Any, Any]:
    """The states of ``features`` (rows, mels, frames), and which of them are of the sound."""
    import torch

    mask = torch.arange(features.shape[-1])[None, :] < length[:, None]
    found = encoder(input_features=features.transpose(1, 2), attention_mask=mask)
    factor = encoder.config.subsampling_factor
    lengths = torch.div(length - 1, factor, rounding_mode="floor") + 1
    states = found.last_hidden_state
    return states, torch.arange(states.shape[1])[None, :] < lengths[:, None]


def _export_encoder(
    module: Any,
    file: Path,
    outputs: list[str],
    features: int,
    inputs: tuple[str, str] = ("audio_signal", "length"),
) -> None:
    import torch

    example = (torch.randn(2, features, 160), torch.tensor([160, 121]))
    axes = {inputs[0]: {0: "batch", 2: "frames"}, inputs[1]: {0: "batch"}}
    _export(module, example, file, list(inputs), outputs, axes)


def _export_transducer(made: Any, folder: Path, features: int) -> None:
    import torch

    class Encoder(torch.nn.Module):
        def forward(self, audio_signal: torch.Tensor, length: torch.Tensor) -> Any:
            encoded, mask = _encoded(made.encoder, audio_signal, length)
            return made.encoder_projector(encoded).transpose(1, 2), mask.sum(-1)

    class DecoderJoint(torch.nn.Module):
        def forward(
            self,
            encoder_outputs: torch.Tensor,
            targets: torch.Tensor,
            target_length: torch.Tensor,
            input_states_1: torch.Tensor,
            input_states_2: torch.Tensor,
        ) -> Any:
            words = made.decoder.embedding(targets.to(torch.int64))
            found, (hidden, cell) = made.decoder.lstm(words, (input_states_1, input_states_2))
            logits = made.joint(
                decoder_hidden_states=made.decoder.decoder_projector(found)[:, None],
                encoder_hidden_states=encoder_outputs.transpose(1, 2)[:, :, None],
            )
            return logits, target_length, hidden, cell

    names = ["outputs", "encoded_lengths"]
    _export_encoder(Encoder(), folder / "encoder-model.onnx", names, features)
    state = torch.zeros(2, 1, _WIDTH)
    example = (
        torch.randn(1, _WIDTH, 1),
        torch.tensor([[1]], dtype=torch.int32),
        torch.tensor([1], dtype=torch.int32),
        state,
        state,
    )
    _export(
        DecoderJoint(),
        example,
        folder / "decoder_joint-model.onnx",
        ["encoder_outputs", "targets", "target_length", "input_states_1", "input_states_2"],
        ["outputs", "prednet_lengths", "output_states_1", "output_states_2"],
        {},
    )


def _export_canary_decoder(made: Any, file: Path) -> None:
    import torch

    decoder = made.model.decoder

    class Exported(torch.nn.Module):
        """NeMo keeps the states of each layer; here those of the first, of which the others
        follow."""

        def forward(
            self,
            input_ids: torch.Tensor,
            encoder_embeddings: torch.Tensor,
            encoder_mask: torch.Tensor,
            decoder_mems: torch.Tensor,
        ) -> Any:
            words = torch.cat([decoder_mems[0], decoder.embed_tokens(input_ids)], 1)
            count = words.shape[1]
            states = decoder.embedding_layernorm(words + decoder.pos_emb(torch.arange(count)))
            before = torch.arange(count)[None, :] <= torch.arange(count)[:, None]
            causal = torch.where(before, 0.0, -1e4)[None, None]
            heard = torch.where(encoder_mask.bool(), 0.0, -1e4)[:, None, None]
            for layer in decoder.layers:
                states = layer(states, causal, encoder_embeddings, encoder_attention_mask=heard)
            logits = made.proj_out(decoder.norm(states)[:, -1:]).log_softmax(-1)
            return logits, words[None]

    example = (
        torch.tensor([[4, 5], [4, 5]]),
        torch.randn(2, 20, _WIDTH),
        torch.ones(2, 20, dtype=torch.int64),
        torch.randn(1, 2, 3, _WIDTH),
    )
    names = ["input_ids", "encoder_embeddings", "encoder_mask", "decoder_mems"]
    axes = {
        "input_ids": {0: "batch", 1: "input_len"},
        "encoder_embeddings": {0: "batch", 1: "encoded_len"},
        "encoder_mask": {0: "batch", 1: "encoded_len"},
        "decoder_mems": {1: "batch", 2: "mems_len"},
    }
    _export(Exported(), example, file, names, ["logits", "decoder_hidden_states"], axes)


def _export(
    module: Any,
    example: tuple[Any, ...],
    file: Path,
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    import torch

    torch.onnx.export(
        module.eval(),
        example,
        file,
        input_names=inputs,
        output_names=outputs,
        dynamic_axes=axes,
        dynamo=False,
    )


def _describe(folder: Path, kind: str, features: int, vocabulary: list[str]) -> None:
    config = {"model_type": kind, "features_size": features, "subsampling_factor": 8}
    (folder / "config.json").write_text(json.dumps(config))
    _list(folder / "vocab.txt", vocabulary)


def _list(file: Path, vocabulary: list[str]) -> None:
    lines = "".join(f"{token} {number}\n" for number, token in enumerate(vocabulary))
    file.write_text(lines, "utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        _make(Path(made))
        packed.pack(_PACKED, Path(made))
