"""A tiny Whisper with random weights and the tokenizer of a real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tests.contract.subjects import WHISPER, real_model


def whisper(folder: Path) -> Path:
    """A checkpoint of two layers for sounds and four for words, its numbers of 16 bits."""
    config = WhisperConfig(
        d_model=32,
        encoder_layers=2,
        decoder_layers=4,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        # Wide enough that tokens differ clearly in likelihood, as they do in a trained model.
        init_std=0.3,
    )
    torch.manual_seed(20)
    # All sides shall compute with the same numbers, and a conversion keeps 16 bits of each.
    WhisperForConditionalGeneration(config).half().float().save_pretrained(folder)  # type: ignore[no-untyped-call]
    shutil.copy(real_model(WHISPER, "tokenizer.json"), folder)
    return folder
