"""The small files that every Hugging Face text checkpoint has, read without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from worker.engine import LoadError

# These count positions from the padding token's id on, so that many are never used.
_POSITIONS_AFTER_PADDING = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"}
_UNKNOWN_MAX_TOKENS = 512

T = TypeVar("T")


class TextConfig(msgspec.Struct):
    """What ``config.json`` says about the transformer."""

    model_type: str
    hidden_size: int | None = None
    dim: int | None = None  # DistilBERT's name for it
    d_model: int | None = None  # T5's
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None


class TokenizerConfig(msgspec.Struct):
    """What ``tokenizer_config.json`` says beside the tokenizer itself."""

    model_max_length: float | None = None
    model_input_names: list[str] | None = None


class Module(msgspec.Struct):
    """One line of ``modules.json``, by which sentence-transformers puts a model together."""

    path: str
    type: str

    @property
    def kind(self) -> str:
        """The class without the place that it had in one release or another."""
        return self.type.rpartition(".")[2]


class SentenceConfig(msgspec.Struct):
    """What ``sentence_bert_config.json`` says about texts before the tokenizer."""

    max_seq_length: int | None = None
    do_lower_case: bool = False


def read_json(file: Path, kind: type[T]) -> T:
    """The content of ``file``. Raises `LoadError` when it is missing or is not of that kind."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise LoadError(
            f"{file} cannot be read: {error.strerror}; fetch the model again"
        ) from error
    except ValueError as error:
        raise LoadError(f"{file} is damaged: {error}; fetch the model again") from error


def read_json_or(file: Path, default: T) -> T:
    """The content of ``file``, or ``default`` where there is no such file."""
    return read_json(file, type(default)) if file.is_file() else default


def longest_input(folder: Path, model: TextConfig, max_seq_length: int | None = None) -> int:
    """How many tokens a text may have, special ones included: ``max_seq_length``, else what the
    tokenizer says, but never more than the model has positions for."""
    tokenizer = read_json_or(folder / "tokenizer_config.json", TokenizerConfig())
    limits = [float(max_seq_length or tokenizer.model_max_length or "inf")]
    if model.max_position_embeddings and model.max_position_embeddings > 0:
        after_padding = model.model_type in _POSITIONS_AFTER_PADDING
        unused = (model.pad_token_id or 0) + 1 if after_padding else 0
        limits.append(model.max_position_embeddings - unused)
    longest = min(limits)
    return int(longest) if longest < 1e9 else _UNKNOWN_MAX_TOKENS


def tokenizer_file(folder: Path) -> Path:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise LoadError(
            f"{file} is missing; save the model with its fast tokenizer, or fetch it again"
        )
    return file
