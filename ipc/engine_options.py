"""The options of each engine's models, with their defaults and what is said of them to users.

A struct for each engine and task, which it shares where they are the same; `ipc.engines` says which
is whose.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from ipc.option_checks import (
    check_addresses,
    check_command,
    check_language,
    check_languages,
    check_sizes,
    check_variable,
)
from ipc.options import WEEK_S, Options, option

# About 1280 tokens for models that make one of 32 x 32 pixels.
IMAGE_PIXELS = 1280 * 32 * 32

Count = Annotated[int, msgspec.Meta(ge=1)]
Tokens = Annotated[int, msgspec.Meta(ge=0)]  # 0: as if it were left out
Seconds = Annotated[float, msgspec.Meta(gt=0, le=WEEK_S)]
DType = Literal["float32", "bfloat16", "float16"]
Precision = Literal["f32", "bf16", "f16", "auto"]

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
    prompt_lookup: PromptLookup = False
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
        option(
            "whether vectors may be cut short, or the sizes that they may have",
            check=check_sizes,
        ),
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
        str,
        option("the code of the language that the model knows", check=check_language),
    ] = "en"


class OnnxAsrOptions(SpeechOptions, frozen=True, kw_only=True):
    languages: Annotated[
        str | None,
        option(
            "the codes of the languages that the model knows, as en,de; a Canary hears the first "
            "where a request names none; left out: Whisper's by its vocabulary, else any",
            check=check_languages,
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
            check=check_addresses,
        ),
    ]
    api_key_env: Annotated[
        str | None,
        option("the variable that holds the server's key", check=check_variable),
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
            check=check_command,
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
