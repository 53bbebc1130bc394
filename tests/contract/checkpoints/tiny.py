"""Tiny language models with random weights, laid out as their publishers would lay them out.

They answer nonsense, quickly and always the same: enough to check everything about an engine but
the sense of its words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CONTEXT_TOKENS = 640
VOCABULARY = 512
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == "system" and not loop.first -%}
{{ raise_exception("the system message must come first") }}
{%- endif -%}
{{ "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif -%}
"""

_CORPUS = [
    "the quick brown fox jumps over the lazy dog while seven wizards mix a potion of words",
    "count from one to twenty and tell a story about the sea, the moon and the mountains",
    "what is your name, where do you live, and which letters do you like the most of all",
]

SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT_TOKENS,
    "tie_word_embeddings": False,
    # Wide enough that tokens differ clearly in likelihood, as they do in a trained model.
    "initializer_range": 0.3,
}


def llama(folder: Path, eos: tuple[int, ...] = ()) -> Path:
    """A Llama with grouped-query attention; ``eos`` are further tokens that end an answer."""
    return _save(folder, LlamaForCausalLM, LlamaConfig(**SHAPE), eos)


def qwen3(folder: Path, **shape: int) -> Path:
    """A Qwen3: other norms, another repository layout, the same promises."""
    return _save(folder, Qwen3ForCausalLM, Qwen3Config(**SHAPE | shape), ())


def mistral(folder: Path) -> Path:
    """A Mistral whose attention sees only the last 24 tokens."""
    return _save(folder, MistralForCausalLM, MistralConfig(**SHAPE, sliding_window=24), ())


def mamba(folder: Path) -> Path:
    """A model that keeps a state instead of keys and values."""
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4)
    return _save(folder, MambaForCausalLM, config, ())


def _save(folder: Path, kind: type, config: object, eos: tuple[int, ...]) -> Path:
    tokenizer = make_tokenizer()
    torch.manual_seed(20)
    model = kind(config).float().eval()
    with torch.no_grad():
        model.lm_head.weight[unprintable(tokenizer)] = 0
    turn, text = (tokenizer.convert_tokens_to_ids(end) for end in ("<|im_end|>", "<|endoftext|>"))
    model.generation_config.eos_token_id = [turn, text, *eos]
    model.generation_config.pad_token_id = text
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def unprintable(tokenizer: PreTrainedTokenizerFast, vocabulary: int = VOCABULARY) -> list[int]:
    """Tokens that a greedy answer shall not hold: special ones and parts of characters."""
    size = len(tokenizer)
    texts = tokenizer.batch_decode([[at] for at in range(size)])
    return [at for at, text in enumerate(texts) if not text.isprintable() or "\ufffd" in text] + [
        *(tokenizer.convert_tokens_to_ids(one) for one in SPECIAL),
        *range(size, vocabulary),
    ]


def truncate(file: Path) -> None:
    """Cut a file in half, as an interrupted download would."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def add_remote_code(folder: Path, marker: Path) -> None:
    """Have a checkpoint's ``auto_map`` name code that leaves ``marker`` behind when it is run."""
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "architectures": ["Evil"]}
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
