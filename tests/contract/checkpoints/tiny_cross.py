"""Tiny cross-encoders with random weights, laid out as their publishers would lay them out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

MAX_TOKENS = 96
VOCABULARY = 400

_CORPUS = [
    "what does a cat eat and where does it sleep at night when the moon is full",
    "the capital of france is paris, a city on the river seine with many bridges",
    "panda bears live in china and eat bamboo; machine learning studies algorithms",
]
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    # Wide enough that scores differ clearly, as they do in a trained model.
    "initializer_range": 0.2,
}


def bert(folder: Path, labels: int = 1, **config: Any) -> Path:
    """A BERT, which is told the document's tokens from the query's."""
    core = Tokenizer(models.WordPiece(_pieces(), unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    config = {"num_labels": labels, **config}
    shape = BertConfig(**_SHAPE, max_position_embeddings=MAX_TOKENS, pad_token_id=0, **config)
    return _save(folder, BertForSequenceClassification(_seeded(shape)), tokenizer)


def _pieces() -> dict[str, int]:
    """Words and letters with their tokens. A trainer breaks ties by chance, and each time the
    scores would be others."""
    words = re.findall(r"\w+|[^\w\s]", " ".join(_CORPUS))
    letters = sorted(set("".join(words)))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces = [*special, *sorted(words), *letters, *(f"##{letter}" for letter in letters)]
    return {piece: token for token, piece in enumerate(dict.fromkeys(pieces))}


def xlm_roberta(folder: Path, **config: Any) -> Path:
    """An XLM-R, which finds out by itself, and counts positions from the padding token on."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    core.train_from_iterator(_CORPUS, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )
    shape = XLMRobertaConfig(
        **_SHAPE,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        **{"num_labels": 1, **config},
    )
    return _save(folder, XLMRobertaForSequenceClassification(_seeded(shape)), tokenizer)


def edit_config(folder: Path, **changes: Any) -> Path:
    """Change keys of a checkpoint's ``config.json``; None takes one out."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def drop_tensors(folder: Path, prefix: str) -> None:
    """Take out the weights whose names begin with ``prefix``."""
    file = folder / "model.safetensors"
    tensors = {name: t for name, t in load_file(file).items() if not name.startswith(prefix)}
    save_file(tensors, file, metadata={"format": "pt"})


def _seeded(config: Any) -> Any:
    torch.manual_seed(20)
    return config


def _save(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.float().eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
