"""The ``options`` of the engines that ship here, checked before anything starts."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ipc.messages.jobs import Task
from supervisor.config.errors import explain, nearest
from supervisor.config.values import Count, OptionalSeconds, Seconds


def check(engine: str, task: Task, options: dict[str, Any], *, has_source: bool) -> None:
    """Raises `ValueError` where an ``engine`` cannot serve a ``task`` with such ``options``. One
    that is not known here, ``auto`` or the user's own, may have any."""
    kind = OPTIONS.get((engine, task))
    if kind is None:
        return
    try:
        found = kind.model_validate(options)
    except ValidationError as error:
        who = f"engine {engine} for {task} models"
        raise ValueError(f"options.{_explain(kind, who, error)}") from None
    if isinstance(found, Command) and "{path}" in found.command and not has_source:
        raise ValueError("options.command: has a {path}, but the model has no source; add one")
    if isinstance(found, Remote) and has_source:
        raise ValueError("source: the files of a remote model are elsewhere; remove it")


def _explain(kind: type[BaseModel], who: str, error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name == "api_key":
        return "api_key: keys do not belong into files; name a variable with one in api_key_env"
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(kind.model_fields))
        hint = nearest(name, kind.model_fields) or f"; it knows {known}"
        return f"{name}: unknown to {who}{hint}"
    return f"{name}: {explain(first, kind.model_fields.get(name))}"


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.hostname is not None and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        usable = False
    if not usable or not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", text):
        raise ValueError(f"{text!r} is not an address; write one such as http://10.0.0.5:8000/v1")
    return text


def _variable(text: str) -> str:
    # Not shown: it may be the key itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("is not the name of an environment variable; keys do not belong here")
    return text


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not any("{port}" in word for word in words):
        raise ValueError("has no {port}; pass it to the server as the port to listen on")
    return text


def _sizes(option: bool | int | str) -> bool | int | str:
    if not isinstance(option, bool) and not re.fullmatch(
        r" *[1-9]\d* *(, *[1-9]\d* *)*", str(option)
    ):
        raise ValueError(f'{option!r} is neither true nor sizes; write them as "512,256"')
    return option


Tokens = Annotated[int, Field(ge=0)]  # 0: as if it were left out
DType = Literal["float32", "bfloat16", "float16"]
Precision = Literal["f32", "bf16", "f16", "auto"]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# --- chat ---


class _Chat(_Options):
    kv_cache_tokens: Tokens = 0
    prefix_caching: bool = True


class LlamaChat(_Chat):
    pass


class OpenvinoChat(_Chat):
    precision: Literal["f32", "bf16", "f16"] = "f32"


class TorchChat(_Chat):
    # Keys whose defaults depend on the device have none here.
    compile: bool | None = None
    dtype: DType | None = None
    prefill_tokens: Tokens = 0
    image_pixels: Count | None = None


# --- texts ---


class Rerank(_Options):
    precision: Precision = "f32"
    truncate: bool = False


class Embed(Rerank):
    prompt_name: str | None = None
    matryoshka: Annotated[bool | int | str, AfterValidator(_sizes)] = False


# --- speech ---


class _Speech(_Options):
    vad: bool = True
    max_audio_s: Seconds | None = None


class CTranslate2Speech(_Speech):
    # What its documentation calls quantization; some of it only on some devices.
    compute_type: (
        Literal["default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16"]
        | Literal["int16", "float16", "bfloat16", "float32"]
        | None
    ) = None
    encoder: Literal["openvino", "openvino_bf16", "ctranslate2"] = "openvino"
    beam_size: Count = 5


class TorchSpeech(_Speech):
    dtype: DType | None = None


# --- other servers ---


class _Server(_Options):
    model: Annotated[str | None, Field(min_length=1)] = None


class Remote(_Server):
    base_url: Annotated[str, AfterValidator(_address)]
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    connect_timeout_s: OptionalSeconds = None
    verify: bool | str = True


class Command(_Server):
    command: Annotated[str, AfterValidator(_command)]
    health_path: Annotated[str, Field(pattern="^/")] = "/health"
    start_timeout_s: OptionalSeconds = None


_TASKS: tuple[Task, ...] = get_args(Task)
OPTIONS: dict[tuple[str, Task], type[_Options]] = {
    ("openvino", "chat"): OpenvinoChat,
    ("llama.cpp", "chat"): LlamaChat,
    ("torch", "chat"): TorchChat,
    ("openvino", "embed"): Embed,
    ("torch", "embed"): Embed,
    ("openvino", "rerank"): Rerank,
    ("torch", "rerank"): Rerank,
    ("ctranslate2", "speech"): CTranslate2Speech,
    ("torch", "speech"): TorchSpeech,
    **{("remote", task): Remote for task in _TASKS},
    **{("command", task): Command for task in _TASKS},
}
