"""The engines that ship here: what each serves, on what, from which files, and how it may be set.

One `Descriptor` for each, and for each of its tasks a `Serving` with the class by its dotted path,
so that reading this imports no engine. Whatever else asks about an engine (the catalog, `check`,
`pull`, the worker, the tables of docs/models.md) asks here: a new one is its folder under
worker/engines and its entry in `ENGINES`. An engine may also be a dotted path of the user's own, of
which nothing is known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from ipc.engine_options import (
    CommandOptions,
    CTranslate2Options,
    EchoOptions,
    EmbedOptions,
    LlamaChatOptions,
    MoonshineOptions,
    OnnxAsrOptions,
    OpenvinoChatOptions,
    RemoteOptions,
    RerankOptions,
    SpeakOptions,
    TorchChatOptions,
    TorchSpeechOptions,
)
from ipc.messages.jobs import Task
from ipc.options import Options

Device = Literal["cpu", "cuda", "mps"]
Format = Literal["safetensors", "gguf", "openvino", "ctranslate2", "onnx"]
# With this variable at 1 engines that are for tests may be used; see `Descriptor.is_hidden`.
TEST_ENGINES = "EDGE_SERVE_TEST_ENGINES"


class Serving(msgspec.Struct, frozen=True):
    """How an engine serves one task: by the class ``at`` a dotted path, with these ``options``.

    It ``reads`` files of these formats itself, converted first where the engine converts: into this
    ``form``, to be renamed when the conversion changes, so that earlier results are made anew. The
    supervisor has to know, since a worker may not write where `pull` has converted. One that
    ``takes_whole`` has to be sent recordings as they are, and none while it comes.
    """

    at: str
    options: type[Options]
    reads: tuple[Format, ...] = ()
    form: str = ""
    takes_whole: bool = False


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat engine can do: by models in which formats it takes ``images``, of those that it
    reads (what is behind one that reads none may take them), and which of the parameters in
    `ipc.chat_parameters` it ``lacks``, so that they are refused. One that lacks ``top_logprobs``
    tells the log probability of the tokens written, but of no others."""

    images: tuple[Format, ...] = ()
    lacks: tuple[str, ...] = ()


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """One engine.

    ``files`` says whether a model needs a source: a path to its files or where to pull them from.
    ``elsewhere`` stands for a model in another server, which has none here. ``cuda_by`` names what
    has to be usable on this machine for the engine to use an NVIDIA GPU: the installed torch, also
    cuBLAS 12, a build of ONNX Runtime for GPUs, or nothing that is known here since a program
    brings its own.
    ``conversion`` lists the packages by which it converts models before they are served
    (`worker.engine.Engine.prepare`): a conversion is stale once one is updated; empty: it converts
    nothing. ``libraries`` are those on which its pace depends. With ``huge_pages`` it computes
    sooner where malloc's memory is in them. A hidden engine is for tests:
    nothing lists it, and `TEST_ENGINES` has to allow it.
    """

    name: str
    serves: Mapping[Task, Serving]
    devices: tuple[Device, ...]
    chat: Chat | None = None
    files: Literal["needed", "optional", "elsewhere"] = "needed"
    needs_torch: bool = False
    cuda_by: Literal["torch", "torch and cublas12", "onnxruntime", "a program"] = "torch"
    conversion: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    huge_pages: bool = False
    is_hidden: bool = False


_UPSTREAM: tuple[Task, ...] = ("chat", "embed", "rerank", "speech", "speak")
_ENCODERS = "worker.engines.encoders"
_ELSEWHERE = "worker.engines.upstream"

_ALL = (
    Descriptor(
        name="openvino",
        serves={
            "chat": Serving(
                "worker.engines.openvino_chat.engine.OpenvinoChat",
                OpenvinoChatOptions,
                reads=("openvino", "gguf"),
                form="products merged, int8 rows, plain tokenizer",
            ),
            "embed": Serving(
                f"{_ENCODERS}.openvino_encoder.OpenvinoEmbed", EmbedOptions, ("safetensors",), "2"
            ),
            "rerank": Serving(
                f"{_ENCODERS}.openvino_encoder.OpenvinoRerank", RerankOptions, ("safetensors",), "2"
            ),
        },
        devices=("cpu",),
        chat=Chat(images=("openvino",), lacks=("logit_bias", "top_logprobs")),
        conversion=("openvino", "openvino-genai", "openvino-tokenizers", "transformers"),
        libraries=("openvino", "openvino-genai"),
        huge_pages=True,
    ),
    Descriptor(
        name="torch",
        serves={
            "chat": Serving(
                "worker.engines.torch_chat.engine.TorchChat",
                TorchChatOptions,
                reads=("safetensors", "gguf"),
            ),
            "embed": Serving(
                f"{_ENCODERS}.torch_encoder.TorchEmbed", EmbedOptions, ("safetensors",)
            ),
            "rerank": Serving(
                f"{_ENCODERS}.torch_encoder.TorchRerank", RerankOptions, ("safetensors",)
            ),
            "speech": Serving(
                "worker.engines.whisper.torch_speech.TorchSpeech",
                TorchSpeechOptions,
                reads=("safetensors",),
            ),
        },
        devices=("cpu", "cuda", "mps"),
        chat=Chat(images=("safetensors",)),
        needs_torch=True,
    ),
    Descriptor(
        name="ctranslate2",
        serves={
            "speech": Serving(
                "worker.engines.whisper.ctranslate2_speech.WhisperSpeech",
                CTranslate2Options,
                reads=("ctranslate2", "safetensors"),
                form="1",
            )
        },
        devices=("cpu", "cuda"),
        cuda_by="torch and cublas12",
        conversion=("ctranslate2", "transformers"),
    ),
    Descriptor(
        name="moonshine",
        serves={
            "speech": Serving(
                "worker.engines.moonshine.engine.MoonshineSpeech", MoonshineOptions, reads=("onnx",)
            )
        },
        devices=("cpu",),
    ),
    Descriptor(
        name="onnx-asr",
        serves={
            "speech": Serving(
                "worker.engines.onnx_asr.engine.OnnxAsrSpeech", OnnxAsrOptions, reads=("onnx",)
            )
        },
        devices=("cpu", "cuda"),
        cuda_by="onnxruntime",
    ),
    Descriptor(
        name="llama.cpp",
        serves={
            "chat": Serving(
                "worker.engines.llama_cpp.engine.LlamaChat", LlamaChatOptions, reads=("gguf",)
            )
        },
        devices=("cpu",),
        # Its server has no word for how long an answer must at least be.
        chat=Chat(images=("gguf",), lacks=("min_tokens",)),
        libraries=("xllamacpp",),
    ),
    Descriptor(
        name="hibari",
        serves={
            "speak": Serving(
                "worker.engines.hibari.engine.HibariSpeech", SpeakOptions, reads=("onnx",)
            )
        },
        devices=("cpu",),
    ),
    Descriptor(
        name="kokoro",
        serves={
            "speak": Serving(
                "worker.engines.kokoro.engine.KokoroSpeech", SpeakOptions, reads=("onnx",)
            )
        },
        devices=("cpu",),
    ),
    Descriptor(
        name="remote",
        serves={
            task: Serving(f"{_ELSEWHERE}.remote.Remote", RemoteOptions, takes_whole=True)
            for task in _UPSTREAM
        },
        devices=("cpu",),
        chat=Chat(),
        files="elsewhere",
    ),
    Descriptor(
        name="command",
        serves={
            task: Serving(f"{_ELSEWHERE}.command.Command", CommandOptions, takes_whole=True)
            for task in _UPSTREAM
        },
        devices=("cpu", "cuda", "mps"),
        chat=Chat(),
        files="optional",
        cuda_by="a program",
    ),
    Descriptor(
        name="echo",
        serves={
            task: Serving("worker.engines.echo.engine.Echo", EchoOptions) for task in get_args(Task)
        },
        devices=("cpu", "cuda", "mps"),
        chat=Chat(),
        files="optional",
        is_hidden=True,
    ),
)
ENGINES: dict[str, Descriptor] = {engine.name: engine for engine in _ALL}
LISTED = [engine for engine in _ALL if not engine.is_hidden]


def serving(engine: str, task: Task) -> Serving | None:
    """How ``engine`` serves ``task``; None if it does not, or is not one of ours."""
    found = ENGINES.get(engine)
    return None if found is None else found.serves.get(task)


def hears_pieces(engine: str) -> bool:
    """Whether recordings may be sent to ``engine`` while they come, as far as that is known without
    a loaded model."""
    found = serving(engine, "speech")
    return found is not None and not found.takes_whole


def is_own(engine: str) -> bool:
    """Whether it is a class of the user's, by its dotted path."""
    return "." in engine and engine not in ENGINES


def allows_tests() -> bool:
    """Whether this process may use engines that are for tests, with all their faults."""
    return os.environ.get(TEST_ENGINES) == "1"
