"""What a sentence-embedding checkpoint says about itself, read without torch.

The folder is laid out as sentence-transformers saves it: ``modules.json`` lists a transformer, a
pooling and then any of dense layers and normalisation, each configured by a small file of its own.
A plain Hugging Face checkpoint has none of these; its tokens are then averaged and normalised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from worker.engine import LoadError
from worker.engines.weights import check_weights

# The flags that older files set, in the order in which several modes are concatenated.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# These count positions from the padding token's id on, so that many are never used.
_POSITIONS_AFTER_PADDING = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"}
_UNKNOWN_MAX_TOKENS = 512

T = TypeVar("T")


class Dense(msgspec.Struct, frozen=True):
    """A linear layer and its activation, applied to the pooled vector."""

    folder: Path
    in_features: int
    out_features: int
    bias: bool
    activation: str


class Normalize(msgspec.Struct, frozen=True):
    """Scales the vector to length 1."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One embedding model. ``dimensions`` counts the floats of a vector, ``max_tokens`` includes
    the special tokens, ``prompt`` is what the checkpoint puts before each text by default."""

    folder: Path
    transformer: Path  # where config.json and the weights are
    tokenizer: Path
    pooling: tuple[str, ...]
    layers: tuple[Dense | Normalize, ...]
    dimensions: int
    max_tokens: int
    pad_token: int
    lower_case: bool
    prompts: dict[str, str]
    prompt: str
    similarity: str


class _Module(msgspec.Struct):
    path: str
    type: str


class _Sentence(msgspec.Struct):
    max_seq_length: int | None = None
    do_lower_case: bool = False


_PLAIN = [_Module("", "Transformer"), _Module("", "Pooling"), _Module("", "Normalize")]


class _Model(msgspec.Struct):
    model_type: str
    hidden_size: int | None = None
    dim: int | None = None  # DistilBERT's name for it
    d_model: int | None = None  # T5's
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None


class _Tokenizer(msgspec.Struct):
    model_max_length: float | None = None


class _Pooling(msgspec.Struct):
    pooling_mode: str | list[str] | None = None
    include_prompt: bool = True


class _Dense(msgspec.Struct):
    in_features: int
    out_features: int
    bias: bool = True
    activation_function: str = "torch.nn.modules.activation.Tanh"
    use_residual: bool = False
    module_input_name: str = "sentence_embedding"


class _Prompts(msgspec.Struct):
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None


def read_checkpoint(path: str) -> Checkpoint:
    """What the checkpoint at ``path`` says. Raises `LoadError` naming the file that is missing,
    damaged or asks for something that is not served."""
    folder = Path(path)
    if not folder.is_dir():
        raise LoadError(f"{path} is not a folder; pull the model first")
    plain = not (folder / "modules.json").is_file()
    modules = _PLAIN if plain else _modules(folder)
    pooling = ("mean",) if plain else _pooling(folder / modules[1].path / "config.json")
    layers = tuple(_layer(folder, module) for module in modules[2:])
    transformer = folder / modules[0].path
    model = _read(transformer / "config.json", _Model)
    sentence = _read_or(transformer / "sentence_bert_config.json", _Sentence())
    named = _read_or(folder / "config_sentence_transformers.json", _Prompts())
    prompts = {name: text for name, text in named.prompts.items() if text}
    check_weights(transformer)
    return Checkpoint(
        folder=folder,
        transformer=transformer,
        tokenizer=_tokenizer(transformer),
        pooling=pooling,
        layers=layers,
        dimensions=_dimensions(transformer, model, pooling, layers),
        max_tokens=_max_tokens(transformer, model, sentence),
        pad_token=model.pad_token_id or 0,
        lower_case=sentence.do_lower_case,
        prompts=prompts,
        prompt=prompts.get(named.default_prompt_name or "", ""),
        similarity=named.similarity_fn_name or "cosine",
    )


def _modules(folder: Path) -> list[_Module]:
    """The modules in order: a transformer, a pooling, and the layers after them."""
    file = folder / "modules.json"
    modules = _read(file, list[_Module])
    kinds = [_kind(module) for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise LoadError(f"{file} lists {kinds}; a Transformer and a Pooling must come first")
    return modules


def _pooling(file: Path) -> tuple[str, ...]:
    """The pooling's modes, whose outputs are concatenated."""
    pooling = _read(file, _Pooling)
    flags = _read(file, dict[str, Any])
    modes = pooling.pooling_mode or [mode for flag, mode in _FLAGS.items() if flags.get(flag)]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    unknown = sorted(set(modes) - set(_FLAGS.values()))
    if unknown or not pooling.include_prompt:
        what = f"asks for {unknown}" if unknown else "leaves prompts out of the pooling"
        raise LoadError(f"{file} {what}, which is not served")
    return tuple(modes)


def _layer(folder: Path, module: _Module) -> Dense | Normalize:
    kind = _kind(module)
    if kind == "Normalize":
        return Normalize()
    if kind != "Dense":
        raise LoadError(f"{folder / 'modules.json'} lists a {kind} module, which is not served")
    file = folder / module.path / "config.json"
    dense = _read(file, _Dense)
    if dense.use_residual or dense.module_input_name != "sentence_embedding":
        raise LoadError(
            f"{file} is not a plain layer after the pooling, which is all that is served"
        )
    check_weights(file.parent)
    activation = dense.activation_function.rpartition(".")[2]
    return Dense(file.parent, dense.in_features, dense.out_features, dense.bias, activation)


def _dimensions(
    transformer: Path,
    model: _Model,
    pooling: tuple[str, ...],
    layers: tuple[Dense | Normalize, ...],
) -> int:
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    if dense:
        return dense[-1].out_features
    width = model.hidden_size or model.dim or model.d_model
    if width is None:
        raise LoadError(f"{transformer / 'config.json'} does not say its hidden_size")
    return width * len(pooling)


def _max_tokens(transformer: Path, model: _Model, sentence: _Sentence) -> int:
    """The longest input, as sentence-transformers would cut it, but never beyond the positions."""
    tokenizer = _read_or(transformer / "tokenizer_config.json", _Tokenizer())
    limits = [float(sentence.max_seq_length or tokenizer.model_max_length or "inf")]
    if model.max_position_embeddings and model.max_position_embeddings > 0:
        after_padding = model.model_type in _POSITIONS_AFTER_PADDING
        unused = (model.pad_token_id or 0) + 1 if after_padding else 0
        limits.append(model.max_position_embeddings - unused)
    longest = min(limits)
    return int(longest) if longest < 1e9 else _UNKNOWN_MAX_TOKENS


def _tokenizer(transformer: Path) -> Path:
    file = transformer / "tokenizer.json"
    if not file.is_file():
        raise LoadError(
            f"{file} is missing; save the model with its fast tokenizer, or fetch it again"
        )
    return file


def _kind(module: _Module) -> str:
    """The class without the place that it had in one release or another."""
    return module.type.rpartition(".")[2]


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise LoadError(
            f"{file} cannot be read: {error.strerror}; fetch the model again"
        ) from error
    except ValueError as error:
        raise LoadError(f"{file} is damaged: {error}; fetch the model again") from error


def _read_or(file: Path, default: T) -> T:
    return _read(file, type(default)) if file.is_file() else default
