"""Loading a chat model by OpenVINO GenAI: a folder in OpenVINO's own format (IR), or a GGUF file.

A model that sees is a folder of several files in that format, as optimum-intel exports it. A GGUF
file is converted into a folder once. That happens in a process of its own, where the library may
crash on a damaged file without harm, and saves reading the file at each start.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import openvino
import openvino_genai as genai

from ipc.engine_options import OpenvinoChatOptions
from ipc.kv_budget import kv_cache_tokens, longest_tokens
from ipc.messages.spec import Spec
from worker.chat.gguf import read_tokenizer
from worker.chat.hf import read_template, read_vocabulary
from worker.chat.prompt import Layout
from worker.chat.template import Template
from worker.chat.vocabulary import Vocabulary
from worker.conversion import form_of, prepared, stamp
from worker.engine import LoadError, Stage, options_of
from worker.engines.common.openvino_cpu import on_cpu
from worker.engines.openvino_chat.gguf_types import is_read, write_as_read
from worker.engines.openvino_chat.guesses import GUESSED_TOKENS, PROPERTIES, reads_alike
from worker.engines.openvino_chat.id_tokenizer import write_id_tokenizer
from worker.engines.openvino_chat.int8_rows import to_int8_rows
from worker.engines.openvino_chat.merge import merge_products
from worker.engines.openvino_chat.quality import TEXT, check_quality
from worker.engines.openvino_chat.tokenizer import DETOKENIZER, FILE, batched, make_plain
from worker.engines.openvino_chat.vision import (
    ImageSize,
    Marks,
    VisionLayout,
    check_kind,
    config_of,
)

_MODEL = "openvino_model.xml"
# In place of that file a model that sees has several: the one that writes, and what it reads.
_LANGUAGE_MODEL = "openvino_language_model.xml"
_OF_MODEL_THAT_SEES = (
    _LANGUAGE_MODEL,
    "openvino_text_embeddings_model.xml",
    "openvino_vision_embeddings_model.xml",
)
_CONVERT = f"{__name__}:convert_gguf"
# OpenVINO's CPU plugin keeps keys and values in blocks of so many tokens.
BLOCK_TOKENS = 32


class Texts(NamedTuple):
    """What a model makes of texts: the library's ``tokenizer``, and the ``layout`` of prompts.
    ``tokens`` is for how many its logits are: for another number the library forgets grammars. With
    ``marks`` it takes prompts as `Marks.written` has them, else as token ids."""

    tokenizer: Any
    layout: Layout
    tokens: int
    marks: Marks | None = None


class ChatModel(NamedTuple):
    """A model ready to run, whose files are in ``folder``. ``eos`` are the tokens that end an
    answer; ``context_tokens`` is what a prompt and its answer may have together, ``kv_blocks`` what
    all running ones may hold. So many ``guesses`` are checked in a step beside its token."""

    pipeline: Any
    folder: Path
    texts: Texts
    eos: frozenset[int]
    context_tokens: int
    kv_blocks: int
    keeps_prefixes: bool
    detail: str
    guesses: int = 0


def chat_folder(spec: Spec, stage: Stage) -> Path:
    """The folder to load: ``spec.path`` itself, or what its GGUF file was converted to.

    Raises `LoadError`.
    """
    path = Path(spec.path)
    if not path.exists():
        raise LoadError(f"{path} does not exist; pull the model first")
    if path.is_file() and path.suffix == ".gguf":
        library = f"openvino-genai {version('openvino-genai')}"
        key = f"{library}, {form_of(spec)}, {stamp(path)}"
        return prepared(spec, stage, _CONVERT, key)
    sees = (path / _LANGUAGE_MODEL).is_file()
    needed = (*(_OF_MODEL_THAT_SEES if sees else (_MODEL,)), FILE, DETOKENIZER)
    absent = [name for name in needed if not (path / name).is_file()]
    if absent:
        raise LoadError(
            f"{path} is neither a .gguf file nor an OpenVINO model folder: it has no {absent[0]}"
        )
    if spec.vision and not sees:
        raise LoadError(
            f"vision: {path} has no {_LANGUAGE_MODEL}, so it reads text only; leave vision out, or "
            "pull a model that was exported with its part for images"
        )
    return path


def chat_model(spec: Spec, stage: Stage) -> ChatModel:
    """Load ``spec.path`` on the CPU. Raises `LoadError`."""
    if spec.device not in ("cpu", "auto"):
        raise LoadError(f"engine openvino runs on cpu, not on {spec.device}; set device: cpu")
    options = options_of(spec, OpenvinoChatOptions)
    folder = chat_folder(spec, stage)
    context_tokens = longest_tokens(spec, _context_tokens(folder))
    kv_tokens = _kv_tokens(spec, options, context_tokens)
    properties = _properties(spec, options)
    try:
        texts = _texts(Path(spec.path), folder, options)
        if options.prompt_lookup:
            _check_guesses(folder, texts, properties, stage)
            properties |= PROPERTIES
        stage("compiling")
        scheduling = _scheduling(spec, options, kv_tokens)
        pipeline = genai.ContinuousBatchingPipeline(
            str(folder), texts.tokenizer, scheduling, "CPU", **properties
        )
    except (RuntimeError, ValueError) as error:
        raise LoadError(f"cannot load {folder}: {_reason(error)}") from error
    return ChatModel(
        pipeline,
        folder,
        texts,
        eos=_ends(pipeline, texts.tokenizer, folder),
        context_tokens=min(context_tokens, kv_tokens),
        kv_blocks=kv_tokens // BLOCK_TOKENS,
        keeps_prefixes=options.prefix_caching,
        detail=f"{properties['INFERENCE_PRECISION_HINT']}, KV cache of {kv_tokens} tokens",
        guesses=GUESSED_TOKENS if options.prompt_lookup else 0,
    )


def _check_guesses(
    folder: Path, texts: Texts, properties: Mapping[str, str | int], stage: Stage
) -> None:
    """Raises `LoadError` where guesses would change answers."""
    if texts.marks is not None:
        raise LoadError(
            "options.prompt_lookup: engine openvino guesses tokens of models for texts only; leave "
            "it out"
        )
    stage("comparing steps of several tokens")
    tokens = texts.tokenizer.encode(TEXT, add_special_tokens=False).input_ids.data[0].tolist()
    if not reads_alike(folder, properties, tokens):
        raise LoadError(
            "options.prompt_lookup: steps of several tokens of this model are rounded otherwise "
            "than steps of one on this processor, so answers would be others; leave it out, or set "
            "engine: llama.cpp"
        )


def _ends(pipeline: Any, tokenizer: Any, folder: Path) -> frozenset[int]:
    """The tokens that end an answer. A pipeline that guesses does not know them."""
    config = pipeline.get_config()
    if config.eos_token_id < 0:
        file = folder / "generation_config.json"
        config = genai.GenerationConfig(str(file)) if file.is_file() else genai.GenerationConfig()
        config.eos_token_id = max(config.eos_token_id, tokenizer.get_eos_token_id())
    return frozenset(config.stop_token_ids) | {config.eos_token_id}


def _texts(path: Path, folder: Path, options: OpenvinoChatOptions) -> Texts:
    """What the model at ``path``, loaded from ``folder``, makes of texts. Raises `LoadError`."""
    tokenizer = genai.Tokenizer(str(folder))
    vocabulary, template = _text_parts(path, tokenizer)
    writes = folder / _LANGUAGE_MODEL
    if not writes.is_file():
        file = folder / _MODEL
        return Texts(tokenizer, Layout(template, vocabulary), _tokens_of(file))
    check_kind(folder)
    marks, tokens = Marks(vocabulary), _tokens_of(writes)
    layout = VisionLayout(template, vocabulary, marks, ImageSize.read(folder), options.image_pixels)
    return Texts(_id_tokenizer(folder, tokens, marks), layout, tokens, marks)


def _tokens_of(model: Path) -> int:
    """For how many tokens the logits of ``model`` are, be it that its vocabulary has fewer."""
    return int(openvino.Core().read_model(model).output("logits").partial_shape[-1].get_length())


def _id_tokenizer(folder: Path, tokens: int, marks: Marks) -> Any:
    """The tokenizer of ids for the model in ``folder``; ids become texts as ever."""
    with tempfile.TemporaryDirectory() as made:
        write_id_tokenizer(Path(made), folder, tokens, marks.ids)
        for file in folder.glob(f"{Path(DETOKENIZER).stem}.*"):
            (Path(made) / file.name).symlink_to(file.resolve())
        return genai.Tokenizer(made)


def _text_parts(path: Path, tokenizer: Any) -> tuple[Vocabulary, Template]:
    """The vocabulary and the chat template of the model at ``path``.

    A GGUF file's texts are cut by OpenVINO's own ``tokenizer``, which was made a plain one when
    the file was converted; a folder has the checkpoint's. Raises `LoadError`.
    """
    if path.is_dir():
        vocabulary = read_vocabulary(path)
        source = read_template(path) or tokenizer.chat_template
        if not source:
            raise LoadError(f"{path} has no chat template; it cannot serve chats")
        return vocabulary, Template(source, vocabulary.named)
    found = read_tokenizer(path)
    return found.vocabulary(batched(tokenizer)), found.chat_template()


def convert_gguf(source: Path, target: Path) -> None:
    """Write the GGUF file ``source`` into ``target`` as OpenVINO's model and tokenizer files, and
    what that has cost (`worker.engines.openvino_chat.quality`).

    The library writes them beside the file that it reads. Raises `LoadError`.
    """
    reader, context_tokens = _opened(source)
    texts = read_tokenizer(source)
    file = target / "model.gguf"
    if is_read(reader):
        _bring(source, file)
    else:
        write_as_read(reader, file)
    scheduling = genai.SchedulerConfig()
    scheduling.num_kv_blocks = 1
    try:
        tokenizer = genai.Tokenizer(str(file), enable_save_ov_model=True)
        genai.ContinuousBatchingPipeline(
            str(file), tokenizer, scheduling, "CPU", enable_save_ov_model=True
        )
    except RuntimeError as error:
        raise LoadError(_reason(error)) from error
    file.unlink()
    _rewrite(target)
    make_plain(target, texts.control)
    config = {"max_position_embeddings": context_tokens}
    (target / "config.json").write_text(json.dumps(config))
    check_quality(source, target, texts)


def _bring(source: Path, place: Path) -> None:
    """Link ``place`` to ``source``, or copy it where it may not be written, as in a hardened
    service: the library opens a file for both, though it only reads."""
    if os.access(source, os.W_OK):
        place.symlink_to(source.resolve())
    else:
        shutil.copyfile(source, place)


def _rewrite(folder: Path) -> None:
    """Make the model in ``folder`` a faster one, written beside itself first: its weights are read
    from the file."""
    written = folder / "rewritten.xml"
    model = openvino.Core().read_model(folder / _MODEL)
    with tempfile.TemporaryDirectory(dir=folder) as weights:
        to_int8_rows(model, Path(weights))
        merge_products(model)
        openvino.save_model(model, written, compress_to_fp16=False)
    for suffix in (".bin", ".xml"):
        written.with_suffix(suffix).replace((folder / _MODEL).with_suffix(suffix))


def _opened(source: Path) -> tuple[Any, int | None]:
    """A GGUF file's `GGUFReader`, and the context length that it names.

    The library reads past the end of a file cut short, so its table of tensors is checked first.
    Raises `LoadError`.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        architecture = reader.fields["general.architecture"].contents()
        field = reader.fields.get(f"{architecture}.context_length")
        return reader, None if field is None else int(field.contents())
    except (ValueError, LookupError, OverflowError) as error:
        raise LoadError(f"not a whole GGUF file ({error}); pull the model again") from error


def _context_tokens(folder: Path) -> int | None:
    config = config_of(folder)
    found = config.get("text_config", config).get("max_position_embeddings")
    return None if found is None else int(found)


def _kv_tokens(spec: Spec, options: OpenvinoChatOptions, context_tokens: int) -> int:
    """How many tokens the cache of keys and values holds, over all requests.

    Memory is reserved for all of them and used as far as they are filled.
    """
    longest = longest_tokens(spec, context_tokens)
    tokens = kv_cache_tokens(spec, longest, options.kv_cache_tokens)
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


def _scheduling(spec: Spec, options: OpenvinoChatOptions, kv_tokens: int) -> Any:
    config = genai.SchedulerConfig()
    config.num_kv_blocks = kv_tokens // BLOCK_TOKENS
    config.max_num_seqs = spec.slots
    config.dynamic_split_fuse = True
    config.enable_prefix_caching = options.prefix_caching
    return config


def _properties(spec: Spec, options: OpenvinoChatOptions) -> dict[str, str | int]:
    # With bfloat16, which the library picks where the CPU has it, a prompt that is read afresh and
    # the same prompt from the cache give logits that differ, and so other answers.
    properties: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": options.precision}
    if spec.most_replicas > 1:
        properties |= on_cpu(spec.threads)  # tied, all of them would compute on the same cores
    elif spec.threads > 0:
        properties["INFERENCE_NUM_THREADS"] = spec.threads
    # No CACHE_DIR: OpenVINO 2026.4 writes a compiled model with paged attention to it and then
    # cannot read it back, so every start would write it anew.
    return properties


def _reason(error: Exception) -> str:
    """The last line of an OpenVINO error; those above say where in its source it arose."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
