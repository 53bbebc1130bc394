"""What a cross-encoder checkpoint says about itself, read without torch.

A cross-encoder looks at a query and a document together and gives one number. It is a Hugging Face
checkpoint for sequence classification with a single label, and what is done to that label's logit
stands in its files, at the places where sentence-transformers' ``CrossEncoder`` looks for it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from worker.engine import LoadError
from worker.engines.common.checkpoint import (
    Module,
    SentenceConfig,
    TextConfig,
    TokenizerConfig,
    longest_input,
    read_json,
    read_json_or,
    tokenizer_file,
)
from worker.engines.common.weights import check_weights

ACTIVATIONS = ("Sigmoid", "Identity", "Tanh")
# That of a single label which names none.
_DEFAULT_ACTIVATION = "Sigmoid"
# transformers writes no labels where there are two, its default.
_UNNAMED_LABELS = 2
_HEAD = "ForSequenceClassification"


class CrossEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """One reranking model. ``max_tokens`` counts those of query, document and special tokens;
    ``segments`` says whether the model is told which tokens are the document's."""

    folder: Path
    tokenizer: Path
    max_tokens: int
    pad_token: int
    segments: bool
    activation: str


class _Activation(msgspec.Struct):
    activation_fn: str | None = None
    default_prompt_name: str | None = None


class _Config(TextConfig):
    architectures: list[str] | None = None
    id2label: dict[str, str | int] | None = None
    num_labels: int | None = None
    type_vocab_size: int | None = None
    sentence_transformers: _Activation | None = None
    sbert_ce_default_activation_function: str | None = None  # its name before release 4


def read_cross_encoder(path: str) -> CrossEncoder:
    """What the checkpoint at ``path`` says. Raises `LoadError` naming the file that is missing,
    damaged or asks for something that is not served."""
    folder = Path(path)
    if not folder.is_dir():
        raise LoadError(f"{path} is not a folder; pull the model first")
    _check_modules(folder)
    config = read_json(folder / "config.json", _Config)
    _check_head(folder / "config.json", config)
    sentence = read_json_or(folder / "sentence_bert_config.json", SentenceConfig())
    check_weights(folder)
    return CrossEncoder(
        folder=folder,
        tokenizer=tokenizer_file(folder),
        max_tokens=longest_input(folder, config, sentence.max_seq_length),
        pad_token=config.pad_token_id or 0,
        segments=_has_segments(folder, config),
        activation=_activation(folder, config),
    )


def _check_modules(folder: Path) -> None:
    file = folder / "modules.json"
    if not file.is_file():
        return
    kinds = [module.kind for module in read_json(file, list[Module])]
    if kinds != ["Transformer"]:
        raise LoadError(f"{file} lists {kinds}; a reranker is served with a Transformer alone")


def _check_head(file: Path, config: _Config) -> None:
    """Refuse what gives no score, or several, none of which is called the relevance."""
    other = [name for name in config.architectures or [] if not name.endswith(_HEAD)]
    if other:
        raise LoadError(
            f"{file} describes a {other[0]}, which gives no score; a reranker is a ...{_HEAD}"
        )
    labels = len(config.id2label or ()) or config.num_labels or _UNNAMED_LABELS
    if labels != 1:
        raise LoadError(
            f"{file} describes a classifier of {labels} labels; a reranker has one, its score"
        )


def _has_segments(folder: Path, config: _Config) -> bool:
    """Whether the model knows two kinds of tokens and its tokenizer tells them apart."""
    tokenizer = read_json_or(folder / "tokenizer_config.json", TokenizerConfig())
    names = tokenizer.model_input_names
    return (config.type_vocab_size or 0) > 1 and (names is None or "token_type_ids" in names)


def _activation(folder: Path, config: _Config) -> str:
    """The activation's name, as the newest of the places that tell it has it."""
    file = folder / "config_sentence_transformers.json"
    newest = read_json_or(file, _Activation())
    if newest.default_prompt_name:
        raise LoadError(f"{file} asks for the prompt {newest.default_prompt_name}, not served")
    named = (
        newest.activation_fn
        or (config.sentence_transformers and config.sentence_transformers.activation_fn)
        or config.sbert_ce_default_activation_function
        or _DEFAULT_ACTIVATION
    )
    name = named.rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise LoadError(f"{folder} asks for the activation {named}, which is not served")
    return name
