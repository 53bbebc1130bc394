"""The engines that ship here: what each serves, on what, from which files, and how it may be set.

One `Descriptor` for each, and for each of its tasks a `Serving` with the class by its dotted path,
so that reading this imports no engine. Whatever else asks about an engine (the catalog, `check`,
`pull`, the worker, the tables of docs/models.md) asks here: a new one is its folder under
worker/engines and its entry in `ENGINES`. An engine may also be a dotted path of the user's own, of
which nothing is known.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from ipc.facts.languages import NAMES
from ipc.messages.jobs import Task
from ipc.options import WEEK_S, Options, option

Device = Literal["cpu", "cuda", "mps"]
Format = Literal["safetensors", "gguf", "openvino", "ctranslate2", "onnx"]
# With this variable at 1 engines that are for tests may be used; see `Descriptor.is_hidden`.
TEST_ENGINES = "EDGE_SERVE_TEST_ENGINES"

# About 1280 tokens for models that make one of 32 x 32 pixels.
IMAGE_PIXELS = 1280 * 32 * 32

Count = Annotated[int, msgspec.Meta(ge=1)]
Tokens = Annotated[int, msgspec.Meta(ge=0)]  # 0: as if it were left out
Seconds = Annotated[float, msgspec.Meta(gt=0, le=WEEK_S)]
DType = Literal["float32", "bfloat16", "float16"]
Precision = Literal["f32", "bf16", "f16", "auto"]


# --- what some options have to be ---


def _address(text: str) -> None:
    try:
        parts = urlsplit(text)
        usable = parts.hostname is not None and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        usable = False
    if not usable or not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", text):
        raise ValueError(f"{text!r} is not an address; write one such as http://10.0.0.5:8000/v1")


def addresses(given: str | list[str]) -> list[str]:
    """An address, or several, as several."""
    return [given] if isinstance(given, str) else given


def _addresses(given: str | list[str]) -> None:
    if not given:
        raise ValueError("is empty; write at least one address")
    found = addresses(given)
    for text in found:
        _address(text)
    if len({*found}) < len(found):
        raise ValueError("has the same address twice; write each once")


def _variable(text: str) -> None:
    # Not shown: it may be the key itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("is not the name of an environment variable; keys do not belong here")


def _command(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not any("{port}" in word for word in words):
        raise ValueError("has no {port}; pass it to the server as the port to listen on")


def _language(code: str) -> None:
    if code not in NAMES:
        raise ValueError(f"{code!r} is not the code of a language; write one such as en")


def languages(given: str) -> list[str]:
    """The codes in a list with commas."""
    return [code.strip() for code in given.split(",")]


def _languages(given: str) -> None:
    for code in languages(given):
        _language(code)


def _sizes(value: bool | int | str) -> None:
    if not isinstance(value, bool) and not re.fullmatch(
        r" *[1-9]\d* *(, *[1-9]\d* *)*", str(value)
    ):
        raise ValueError(f'{value!r} is neither true nor sizes; write them as "512,256"')


# --- options ---

# How chat models write calls; worker/chat/dialects has each.
Dialect = Literal[
    "auto",
    "hermes",
    "qwen3_coder",
    "llama3",
    "pythonic",
    "olmo3",
    "mistral",
    "mistral_args",
    "phi4_mini",
    "granite4",
    "functiongemma",
    "gemma4",
    "lfm2",
    "deepseek_v3",
    "deepseek_v3_1",
    "gpt_oss",
    "smollm3",
    "minicpm5",
    "generic",
]
DIALECTS = get_args(Dialect)


class ChatOptions(Options, frozen=True, kw_only=True):
    kv_cache_tokens: Annotated[
        Tokens,
        option("tokens that all running chats may have together; 0: enough for `slots` of them"),
    ] = 0
    prefix_caching: Annotated[
        bool, option("keep what was computed for prompts that begin alike")
    ] = True
    dialect: Annotated[
        Dialect,
        option(
            "how the model writes tool calls; auto: as its template does. "
            "`generic` offers tools to models without a way of their own"
        ),
    ] = "auto"


PromptLookup = Annotated[
    bool,
    option("guess that what was there before goes on as it did, and check several tokens at once"),
]
ImagePixels = Annotated[Count, option("pixels to which larger images are scaled down")]


class LlamaChatOptions(ChatOptions, frozen=True, kw_only=True):
    mmproj: Annotated[
        str | None,
        option("the GGUF file by which images are read; left out: `mmproj*.gguf` beside the model"),
    ] = None
    prompt_lookup: PromptLookup = False
    kv_cache_type: Annotated[
        Literal["f16", "q8_0"],
        option("in what keys and values are kept; q8_0: about half of the memory, a little lossy"),
    ] = "f16"


class OpenvinoChatOptions(ChatOptions, frozen=True, kw_only=True):
    precision: Annotated[Literal["f32", "bf16", "f16"], option("what is computed in")] = "f32"
    image_pixels: ImagePixels = IMAGE_PIXELS


class TorchChatOptions(ChatOptions, frozen=True, kw_only=True):
    compile: Annotated[
        bool | None, option("fuse kernels by a compiler; left out: on CUDA only")
    ] = None
    dtype: Annotated[
        DType | None, option("what is computed in; left out: bfloat16 on CUDA, else float32")
    ] = None
    prefill_tokens: Annotated[
        Tokens, option("tokens of prompts that a step reads at most; 0: 1024 on CUDA, else 128")
    ] = 0
    prompt_lookup: PromptLookup = False
    image_pixels: ImagePixels = IMAGE_PIXELS


class RerankOptions(Options, frozen=True, kw_only=True):
    precision: Annotated[
        Precision, option("what is computed in; auto: bf16 where the device computes in it")
    ] = "f32"
    truncate: Annotated[
        bool | None,
        option("cut longer texts, or refuse them; left out: cut by models of under 512 tokens"),
    ] = None


class EmbedOptions(RerankOptions, frozen=True, kw_only=True):
    prompt_name: Annotated[
        str | None,
        option("which of the checkpoint's prompts goes before each text; left out: its default"),
    ] = None
    token_input: Annotated[
        Literal["reject", "native", "cl100k"],
        option(
            "token ids in place of texts: refused, the model's own, or OpenAI's, as LangChain sends"
        ),
    ] = "reject"
    matryoshka: Annotated[
        bool | int | str,
        option("whether vectors may be cut short, or the sizes that they may have", check=_sizes),
    ] = False


class SpeechOptions(Options, frozen=True, kw_only=True):
    vad: Annotated[bool, option("leave out what holds no voice")] = True
    max_audio_s: Annotated[Seconds, option("seconds of audio that a file may have")] = 14_400.0


class CTranslate2Options(SpeechOptions, frozen=True, kw_only=True):
    # What its documentation calls quantization; some of it only on some devices.
    compute_type: Annotated[
        Literal["default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16"]
        | Literal["int16", "float16", "bfloat16", "float32"]
        | None,
        option("what is computed in; left out: float16 on CUDA, else int8"),
    ] = None
    encoder: Annotated[
        Literal["auto", "openvino", "openvino_bf16", "ctranslate2"],
        option("what computes the encoder on CPUs; auto: OpenVINO, in bfloat16 where they have it"),
    ] = "auto"
    beam_size: Annotated[Count, option("beams of the search for words")] = 5


class TorchSpeechOptions(SpeechOptions, frozen=True, kw_only=True):
    dtype: Annotated[
        DType | None, option("what is computed in; left out: float16 on CUDA, else float32")
    ] = None


class MoonshineOptions(SpeechOptions, frozen=True, kw_only=True):
    language: Annotated[
        str, option("the code of the language that the model knows", check=_language)
    ] = "en"


class OnnxAsrOptions(SpeechOptions, frozen=True, kw_only=True):
    languages: Annotated[
        str | None,
        option(
            "the codes of the languages that the model knows, as en,de; a Canary hears the first "
            "where a request names none; left out: Whisper's by its vocabulary, else any",
            check=_languages,
        ),
    ] = None


class SpeakOptions(Options, frozen=True, kw_only=True):
    openai_voices: Annotated[
        bool, option("answer to the names of OpenAI's voices too, each by the nearest of its own")
    ] = True


class UpstreamOptions(Options, frozen=True, kw_only=True):
    model: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        option("the model's name there; left out: its name here, or the only model there"),
    ] = None


class RemoteOptions(UpstreamOptions, frozen=True, kw_only=True):
    base_url: Annotated[
        str | list[str],
        option(
            "the server's address, with its /v1; or a list of those of several that have the same "
            "model",
            check=_addresses,
        ),
    ]
    api_key_env: Annotated[
        str | None, option("the variable that holds the server's key", check=_variable)
    ] = None
    connect_timeout_s: Annotated[Seconds, option("seconds to wait for a connection")] = 5.0
    verify: Annotated[
        bool | str, option("check the server's certificate; or a file of certificates to trust")
    ] = True


class CommandOptions(UpstreamOptions, frozen=True, kw_only=True):
    command: Annotated[
        str,
        option(
            "the line that starts the server, with {port} and perhaps {host}, {path}, {threads} "
            "and {device}",
            check=_command,
        ),
    ]
    health_path: Annotated[
        str, msgspec.Meta(pattern="^/"), option("what is asked to know whether it is ready")
    ] = "/health"
    start_timeout_s: Annotated[Seconds, option("seconds that it may take to be ready")] = 900.0


class EchoOptions(Options, frozen=True, kw_only=True):
    """All but the first two are faults."""

    word_ms: Annotated[float, option("milliseconds before each word")] = 0.0
    dimensions: Annotated[Count, option("the length of vectors")] = 8
    load_s: Annotated[float, option("seconds that loading takes")] = 0.0
    load_until: Annotated[str | None, option("the file that loading waits for")] = None
    load_stages: Annotated[Count, option("steps in which it says that it comes further")] = 1
    load_fails: Annotated[Literal["always", "once"] | None, option("how often loading fails")] = (
        None
    )
    load_marker: Annotated[str | None, option("the file that remembers a failure")] = None
    load_exits: Annotated[int | None, option("the status to exit with while loading")] = None
    load_device: Annotated[str | None, option("the device that it claims to run on")] = None
    orders: Annotated[str | None, option("a FIFO by which the process can be ended")] = None


# --- engines ---


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
    nothing. ``libraries`` are those on which its pace depends. A hidden engine is for tests:
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
