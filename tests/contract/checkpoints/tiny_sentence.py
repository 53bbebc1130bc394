"""Tiny embedding models with random weights, laid out as their publishers lay out the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertModel,
    Gemma3TextConfig,
    Gemma3TextModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

MAX_TOKENS = 96
VOCABULARY = 400
WIDTH = 48
INNER_WIDTH = 160

# The prompts of embeddinggemma that matter here, letter by letter: their spaces count.
PROMPTS = {
    "query": "task: search result | query: ",
    "document": "title: none | text: ",
    "STS": "task: sentence similarity | query: ",
}

_CORPUS = [
    "what does a cat eat and where does it sleep at night when the moon is full",
    "the capital of france is paris, a city on the river seine with many bridges",
    "panda bears live in china and eat bamboo; machine learning studies algorithms",
    *PROMPTS.values(),
]
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    # Wide enough that vectors differ clearly, as they do in a trained model.
    "initializer_range": 0.2,
}


def minilm(folder: Path) -> Path:
    """As all-MiniLM-L6-v2: a BERT, the mean of whose vectors is normalised."""
    config = BertConfig(**_SHAPE, max_position_embeddings=MAX_TOKENS, pad_token_id=0)
    torch.manual_seed(20)
    BertModel(config).save_pretrained(folder)
    _word_piece().save_pretrained(folder)
    _lay_out(folder, ["Pooling", "Normalize"], "mean_tokens", {})
    return folder


def bge_m3(folder: Path) -> Path:
    """As BAAI/bge-m3: an XLM-R, of which the first token's vector is taken and normalised."""
    config = XLMRobertaConfig(
        **_SHAPE, max_position_embeddings=MAX_TOKENS + 2, type_vocab_size=1, pad_token_id=1
    )
    torch.manual_seed(20)
    XLMRobertaModel(config).save_pretrained(folder)
    _unigram().save_pretrained(folder)
    _lay_out(folder, ["Pooling", "Normalize"], "cls_token", {})
    return folder


def embeddinggemma(folder: Path) -> Path:
    """As google/embeddinggemma-300m: a Gemma 3 whose tokens look both ways, in every other layer no
    farther than a window; their mean, two dense layers, and a prompt for each use."""
    config = Gemma3TextConfig(
        **_SHAPE,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        max_position_embeddings=MAX_TOKENS,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        use_bidirectional_attention=True,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(20)
    Gemma3TextModel(config).save_pretrained(folder)
    _byte_fallback_bpe().save_pretrained(folder)
    kinds = ["Pooling", "Dense", "Dense", "Normalize"]
    _lay_out(folder, kinds, "mean_tokens", {"prompts": PROMPTS, "similarity_fn_name": "cosine"})
    _dense(folder / "2_Dense", WIDTH, INNER_WIDTH)
    _dense(folder / "3_Dense", INNER_WIDTH, WIDTH)
    return folder


def pool_by(folder: Path, *modes: str) -> Path:
    """Have the vectors of tokens pooled in such ways, whose results are concatenated."""
    write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": WIDTH, **{f"pooling_mode_{mode}": True for mode in modes}},
    )
    return folder


def pickle_weights(folder: Path) -> Path:
    """Replace the transformer's weights by the pickle that older repositories have instead."""
    file = folder / "model.safetensors"
    torch.save(load_file(file), folder / "pytorch_model.bin")
    file.unlink()
    return folder


def _lay_out(folder: Path, kinds: list[str], pooling: str, named: dict[str, Any]) -> None:
    """The small files around a transformer, as sentence-transformers 2 to 5 wrote them."""
    modules = [("", "Transformer"), *((f"{at}_{kind}", kind) for at, kind in enumerate(kinds, 1))]
    write(
        folder / "modules.json",
        [
            {
                "idx": at,
                "name": str(at),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for at, (path, kind) in enumerate(modules)
        ],
    )
    write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": MAX_TOKENS, "do_lower_case": False},
    )
    write(folder / "config_sentence_transformers.json", {"default_prompt_name": None, **named})
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]
    flags = {f"pooling_mode_{mode}": mode == pooling for mode in modes}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags})


def _dense(folder: Path, inputs: int, outputs: int) -> None:
    write(
        folder / "config.json",
        {
            "in_features": inputs,
            "out_features": outputs,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )
    weight = torch.randn(outputs, inputs) / inputs**0.5
    save_file({"linear.weight": weight}, folder / "model.safetensors", metadata={"format": "pt"})


def _word_piece() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=MAX_TOKENS,
    )


def _unigram() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
    )


def _byte_fallback_bpe() -> PreTrainedTokenizerFast:
    """Spaces are letters of their own and unknown letters are bytes, as in Gemma's tokenizer."""
    core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    core.normalizer = normalizers.Replace(" ", "\u2581")
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", *bytes_],
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=MAX_TOKENS,
    )


def write(file: Path, content: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2))
