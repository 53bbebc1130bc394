"""Loading a language model by transformers: local files, tensors only, no foreign code."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.utils import logging as transformers_logging

from ipc.engine_options import TorchChatOptions
from ipc.messages.spec import Spec
from worker.chat import hf
from worker.chat.template import Template
from worker.chat.vocabulary import Vocabulary
from worker.engine import LoadError, Stage
from worker.engines.common.torch_device import DTYPES, find_device, use_threads
from worker.engines.common.torch_pretrained import load_error
from worker.engines.common.weights import check_weights
from worker.engines.torch_chat.fp8 import adopt, obstacle
from worker.engines.torch_chat.vision import load_processor

logger = logging.getLogger(__name__)


class ChatModel(NamedTuple):
    """A model ready to run. ``eos`` are the tokens that end an answer; the ``processor`` lays out
    prompts with images, where the model takes any; ``note`` is what its operator should know."""

    model: Any
    vocabulary: Vocabulary
    template: Template
    device: torch.device
    eos: frozenset[int]
    context_tokens: int | None
    processor: Any = None
    note: str = ""


def chat_model(spec: Spec, options: TorchChatOptions, stage: Stage) -> ChatModel:
    """Load ``spec.path``, a Hugging Face folder or a GGUF file, onto ``spec.device``.

    Raises `LoadError`: permanent for files that are missing, damaged or not served, passing for
    a device that is absent or full.
    """
    device = find_device(spec.device)
    dtype = DTYPES[options.dtype or ("bfloat16" if device.type == "cuda" else "float32")]
    folder, gguf = _source(Path(spec.path))
    use_threads(spec.threads)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # The annotation of these two leaves out the loading report.
    kind: Any = AutoModelForImageTextToText if spec.vision else AutoModelForCausalLM
    found = {"local_files_only": True, "trust_remote_code": False, "gguf_file": gguf}
    try:
        stage("tokenizer")
        tokenizer = AutoTokenizer.from_pretrained(folder, **found)
        config = AutoConfig.from_pretrained(folder, **found)
        processor = load_processor(folder, config) if spec.vision else None
        check_cache(options.kv_cache_tokens, config, dtype, device)
        note = _prepare_fp8(folder, config, dtype, device)
        stage("weights")
        model, report = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            device_map={"": device},
            use_safetensors=True,
            output_loading_info=True,
            **found,
        )
    except torch.OutOfMemoryError as error:
        raise LoadError(f"{spec.path} does not fit on {device}: {error}", permanent=False) from None
    except Exception as error:
        raise load_error(spec.path, error) from error
    _check(spec.path, model, processor or tokenizer, report)
    vocabulary = _vocabulary(spec.path, tokenizer)
    if layers := adopt(model):
        note = f"{layers} layers in FP8"
    elif note:
        _cast(model, dtype)
    return ChatModel(
        model=model.eval(),
        vocabulary=vocabulary,
        template=Template(_template(processor or tokenizer), vocabulary.named),
        device=device,
        eos=_eos(model, tokenizer),
        context_tokens=getattr(model.config.get_text_config(), "max_position_embeddings", None),
        processor=processor,
        note=note,
    )


def _prepare_fp8(folder: Path, config: Any, dtype: torch.dtype, device: torch.device) -> str:
    """Have FP8 weights turned into ``dtype`` as they are read where ``device`` cannot compute with
    them; returns what to tell about that."""
    quantised = getattr(config, "quantization_config", None)
    if not isinstance(quantised, dict) or quantised.get("quant_method") != "fp8":
        return ""
    reason = obstacle(folder, quantised, dtype, device)
    if not reason:
        return ""
    config.quantization_config = {**quantised, "dequantize": True}
    name = str(dtype).removeprefix("torch.")
    told = {"path": str(folder), "dtype": name, "reason": reason}
    logger.warning("fp8_dequantised", extra=told)
    return f"dequantised from FP8 to {name}, so larger in memory than on disk"


def _cast(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Where some layers are dequantised, transformers leaves the others in the type of their file.
    What is computed once, such as the angles of positions, stays in float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def check_cache(wanted: int, config: Any, dtype: torch.dtype, device: torch.device) -> None:
    """Raises `LoadError`, before gigabytes of weights are read, where a GPU could not hold the keys
    and values that option ``kv_cache_tokens`` asks for even if it were empty."""
    if device.type != "cuda":
        return
    total = torch.cuda.get_device_properties(device).total_memory
    each = config_token_bytes(config, dtype)
    if wanted * each > total:
        raise LoadError(
            f"option kv_cache_tokens={wanted} asks for {wanted * each / 2**30:.1f} GiB, and "
            f"{device} has {total / 2**30:.1f} GiB in all; lower it to less than {total // each}"
        )


def config_token_bytes(config: Any, dtype: torch.dtype) -> int:
    """What the keys and values of one token take, as far as ``config`` tells."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * int(text.num_hidden_layers * heads * dim) * dtype.itemsize


def _source(path: Path) -> tuple[Path, str | None]:
    """The folder to load from, and the GGUF file in it where that is the model."""
    if path.is_file():
        if path.suffix != ".gguf":
            raise LoadError(f"{path} is neither a model folder nor a .gguf file")
        return path.parent, path.name
    if not path.is_dir():
        raise LoadError(f"{path} does not exist; pull the model first")
    if (path / "config.json").is_file():
        check_weights(path)
        return path, None
    gguf = sorted(path.glob("*.gguf"))
    if len(gguf) != 1:
        raise LoadError(f"{path} has no config.json and {len(gguf)} .gguf files; it needs one")
    return path, gguf[0].name


def _check(path: str, model: Any, templated: Any, report: dict[str, Any]) -> None:
    """Refuse what would load and then answer nonsense, or not at all."""
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise LoadError(f"{path} lacks {len(missing)} tensors, the first {missing[0]}")
    if templated.chat_template is None:
        raise LoadError(f"{path} has no chat template; serve an instruction-tuned model")
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if not kinds <= {DynamicLayer, DynamicSlidingWindowLayer}:
        raise LoadError(
            f"{path} is a {model.config.model_type} model, which keeps more than keys and values "
            "between tokens; this engine cannot batch it"
        )


def _vocabulary(path: str, tokenizer: Any) -> Vocabulary:
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:
        raise LoadError(f"{path} has no tokenizer.json; save the model with its fast tokenizer")
    named = {
        name: text for name, text in tokenizer.special_tokens_map.items() if isinstance(text, str)
    }
    try:
        return hf.vocabulary(json.loads(core.to_str()), named)
    except LoadError as error:
        raise LoadError(f"{path}: {error.reason}") from error


def _template(templated: Any) -> str:
    """The default one, where a checkpoint has several."""
    found = templated.chat_template
    return str(found.get("default", "") if isinstance(found, dict) else found)


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [named]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)
