"""A checkpoint with the shape of a real model and random weights: as fast as that, and built here.

Its words are numbered, one token each, so a prompt has as many tokens as words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

UNKNOWN, END = "<unk>", "<end>"
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


@dataclass(frozen=True)
class Shape:
    """The numbers of a Qwen3 model, by the names that its configuration has for them."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int = 40_960

    def changed(self, layers: int | None, hidden: int | None) -> Shape:
        """The same with other ``layers`` or another ``hidden`` size, as far as they are given."""
        return replace(
            self,
            num_hidden_layers=layers or self.num_hidden_layers,
            hidden_size=hidden or self.hidden_size,
        )


# https://huggingface.co/Qwen/Qwen3-4B, config.json; its input and output embeddings are one.
SHAPES = {
    "qwen3-4b": Shape(2560, 9728, 36, 32, 8, 128, 151_936),
    "tiny": Shape(64, 128, 3, 4, 2, 16, 512),
}


# Of the same file.
ROPE: Any = {"rope_type": "default", "rope_theta": 1e6}


def build(folder: Path, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
    """Write a checkpoint of ``shape`` into ``folder``."""
    config = Qwen3Config(**asdict(shape), tie_word_embeddings=True, rope_parameters=ROPE)
    torch.manual_seed(0)
    with device, _default(dtype):
        model: Any = Qwen3ForCausalLM(config)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = 1
    model.save_pretrained(folder)
    # Each word begins with a space, which SentencePiece's kind of tokenizer writes as an underline.
    words = {UNKNOWN: 0, END: 1} | {f"▁w{at}": at for at in range(2, shape.vocab_size)}
    core = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, eos_token=END, unk_token=UNKNOWN, chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(folder)


def prompt(tokens: int, shape: Shape, seed: int) -> str:
    """A text of so many tokens that begins like no other."""
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(2, shape.vocab_size)}" for _ in range(tokens))


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
