"""What a sentence-embedding checkpoint says about itself, read without torch.

The folder is laid out as sentence-transformers saves it: ``modules.json`` lists a transformer, a
pooling and then any of dense layers and normalisation, each configured by a small file of its own.
A plain Hugging Face checkpoint has none of these; its tokens are then averaged and normalised.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from worker.engine import LoadError
from worker.engines.common.checkpoint import (
    Module,
    SentenceConfig,
    TextConfig,
    longest_input,
    read_json,
    read_json_or,
    tokenizer_file,
)
from worker.engines.common.weights import check_weights

# The flags that older files set, in the order in which several modes are concatenated.
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


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


_PLAIN = [Module("", "Transformer"), Module("", "Pooling"), Module("", "Normalize")]


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
    model = read_json(transformer / "config.json", TextConfig)
    sentence = read_json_or(transformer / "sentence_bert_config.json", SentenceConfig())
    named = read_json_or(folder / "config_sentence_transformers.json", _Prompts())
    prompts = {name: text or "" for name, text in named.prompts.items()}
    check_weights(transformer)
    return Checkpoint(
        folder=folder,
        transformer=transformer,
        tokenizer=tokenizer_file(transformer),
        pooling=pooling,
        layers=layers,
        dimensions=_dimensions(transformer, model, pooling, layers),
        max_tokens=longest_input(transformer, model, sentence.max_seq_length),
        pad_token=model.pad_token_id or 0,
        lower_case=sentence.do_lower_case,
        prompts=prompts,
        prompt=prompts.get(named.default_prompt_name or "", ""),
        similarity=named.similarity_fn_name or "cosine",
    )


def _modules(folder: Path) -> list[Module]:
    """The modules in order: a transformer, a pooling, and the layers after them."""
    file = folder / "modules.json"
    modules = read_json(file, list[Module])
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise LoadError(f"{file} lists {kinds}; a Transformer and a Pooling must come first")
    return modules


def _pooling(file: Path) -> tuple[str, ...]:
    """The pooling's modes, whose outputs are concatenated."""
    pooling = read_json(file, _Pooling)
    flags = read_json(file, dict[str, Any])
    modes = pooling.pooling_mode or [mode for flag, mode in _FLAGS.items() if flags.get(flag)]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    unknown = sorted(set(modes) - set(_FLAGS.values()))
    if unknown or not pooling.include_prompt:
        what = f"asks for {unknown}" if unknown else "leaves prompts out of the pooling"
        raise LoadError(f"{file} {what}, which is not served")
    return tuple(modes)


def _layer(folder: Path, module: Module) -> Dense | Normalize:
    kind = module.kind
    if kind == "Normalize":
        return Normalize()
    if kind != "Dense":
        raise LoadError(f"{folder / 'modules.json'} lists a {kind} module, which is not served")
    file = folder / module.path / "config.json"
    dense = read_json(file, _Dense)
    if dense.use_residual or dense.module_input_name != "sentence_embedding":
        raise LoadError(
            f"{file} is not a plain layer after the pooling, which is all that is served"
        )
    check_weights(file.parent)
    activation = dense.activation_function.rpartition(".")[2]
    return Dense(file.parent, dense.in_features, dense.out_features, dense.bias, activation)


def _dimensions(
    transformer: Path,
    model: TextConfig,
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
