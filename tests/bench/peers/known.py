"""The peers: what each is made of, how it is started, and where it answers.

Versions are those that installed together on Python 3.11; each peer has its best known settings
for the models compared, and these are said where they differ from its defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ipc.messages.jobs import Task
from tests.bench.peers import llama_server

APPS = Path(__file__).parent / "apps"
TORCH = "torch==2.13.0"
WHISPER_CPP = ("whisper-cpp", "whisper-cpp-beams")


@dataclass(frozen=True)
class Files:
    """The models, the same weights for everybody."""

    chat_gguf: Path
    chat_folder: Path  # the same unpacked to float32, for those that are slow on GGUF
    embed: Path
    speech: Path
    threads: int
    speech_ggml: Path = Path()  # the same for whisper.cpp
    streams: int = 1  # the most that is asked at once
    context_tokens: int = 2048  # what each chat may hold


@dataclass(frozen=True)
class Peer:
    """``command`` gets the scripts of its environment, the files and the port to listen on. One
    that is ``compiled`` has a folder with its program in place of an environment. What ``says``
    matches in its log at the start is shown: which instructions it uses."""

    name: str
    task: Task
    packages: tuple[str, ...]
    command: Callable[[Path, Files, int], list[str]]
    model: Callable[[Files], str] = lambda _files: "model"
    path: str = ""
    ready: str = "/health"
    serves: bool = True  # False: a library, reached through ``apps/library.py``
    compiled: bool = False
    says: str = ""
    looks_up: bool = False  # guesses from the prompt: it takes part in edits alone


def _transformers(*options: str) -> Callable[[Path, Files, int], list[str]]:
    def command(scripts: Path, files: Files, port: int) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        return [str(scripts / "transformers"), "serve", str(files.chat_folder), *options, *where]

    return command


def _llama_cpp_python(scripts: Path, files: Files, port: int) -> list[str]:
    return [
        *[str(scripts / "python"), "-m", "llama_cpp.server", "--model", str(files.chat_gguf)],
        *["--host", "127.0.0.1", "--port", str(port), "--n_ctx", str(files.context_tokens)],
        *["--n_threads", str(files.threads), "--n_threads_batch", str(files.threads)],
        # By default each request ends the one before it.
        *["--interrupt_requests", "false"],
    ]


def _llama_server(*options: str) -> Callable[[Path, Files, int], list[str]]:
    def command(scripts: Path, files: Files, port: int) -> list[str]:
        started = llama_server.command(
            scripts / llama_server.BINARY,
            files.chat_gguf,
            port,
            threads=files.threads,
            slots=files.streams,
            context_tokens=files.context_tokens,
        )
        return [*started, *options]

    return command


def _infinity(scripts: Path, files: Files, port: int) -> list[str]:
    return [
        *[str(scripts / "infinity_emb"), "v2", "--model-id", str(files.embed)],
        *["--served-model-name", "model", "--device", "cpu", "--engine", "torch"],
        *["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"],
    ]


def _app(name: str, *values: Callable[[Files], str]) -> Callable[[Path, Files, int], list[str]]:
    def command(scripts: Path, files: Files, port: int) -> list[str]:
        given = [value(files) for value in values]
        return [str(scripts / "python"), str(APPS / name), *given, str(port)]

    return command


def _library(how: str, model: Callable[[Files], Path]) -> Callable[[Path, Files, int], list[str]]:
    return _app("library.py", lambda _files: how, lambda files: str(model(files)))


PEERS = (
    Peer(
        name="transformers",
        task="chat",
        packages=(TORCH, "transformers[serving]==5.23.0", "accelerate==1.15.0", "gguf==0.19.0"),
        command=_transformers(),
        model=lambda files: str(files.chat_folder),
        path="/v1/chat/completions",
    ),
    Peer(
        name="transformers-batching",
        task="chat",
        packages=(TORCH, "transformers[serving]==5.23.0", "accelerate==1.15.0", "gguf==0.19.0"),
        # It would take most of the memory for its cache.
        command=_transformers("--continuous-batching", "--cb-max-memory-percent", "0.2"),
        model=lambda files: str(files.chat_folder),
        path="/v1/chat/completions",
    ),
    Peer(
        name="xllamacpp",
        task="chat",
        packages=("xllamacpp==2026.10.11549",),
        command=_app(
            "llama_cpp_server.py",
            lambda files: str(files.chat_gguf),
            lambda files: str(files.threads),
            lambda files: str(files.streams),
            lambda files: str(files.context_tokens),
        ),
        path="/v1/chat/completions",
    ),
    # llama.cpp with all instructions of this processor, as it comes and with its own guesses.
    *(
        Peer(
            name=name,
            task="chat",
            packages=(llama_server.PACKAGE,),
            command=_llama_server(*options),
            path="/v1/chat/completions",
            compiled=True,
            says=llama_server.SYSTEM_INFO,
            looks_up=bool(options),
        )
        for name, options in (("llama-server", ()), ("llama-server-lookup", llama_server.LOOKUP))
    ),
    Peer(
        name="llama-cpp-python",
        task="chat",
        packages=("llama-cpp-python[server]==0.3.36",),
        command=_llama_cpp_python,
        path="/v1/chat/completions",
        ready="/v1/models",
    ),
    Peer(
        name="infinity",
        task="embed",
        packages=(TORCH, "infinity-emb[server,torch]==0.0.78"),
        command=_infinity,
        path="/embeddings",
    ),
    Peer(
        name="litserve",
        task="embed",
        packages=(TORCH, "litserve==0.2.19", "sentence-transformers==6.2.0"),
        command=_app("litserve_embed.py", lambda files: str(files.embed)),
        path="/v1/embeddings",
    ),
    Peer(
        name="sentence-transformers",
        task="embed",
        packages=(TORCH, "sentence-transformers==6.2.0"),
        command=_library("embed", lambda files: files.embed),
        serves=False,
    ),
    # One recording after the other, as it comes; the same from threads, one for each core; without
    # what was said before; and in batches, which is how it takes long recordings at its fastest.
    *(
        Peer(
            name=name,
            task="speech",
            packages=("faster-whisper==1.2.1",),
            command=_library(how, lambda files: files.speech),
            serves=False,
        )
        for name, how in (
            ("faster-whisper", "speech"),
            ("faster-whisper-threads", "speech-threads"),
            ("faster-whisper-alone", "speech-alone"),
            ("faster-whisper-batched", "speech-batched"),
            ("faster-whisper-batched-16", "speech-batched-16"),
        )
    ),
    *(
        Peer(
            name=name,
            task="speech",
            packages=("pywhispercpp==1.5.1",),
            command=_library(name, lambda files: files.speech_ggml),
            serves=False,
        )
        for name in WHISPER_CPP
    ),
    Peer(
        name="litserve-whisper",
        task="speech",
        packages=("litserve==0.2.19", "faster-whisper==1.2.1", "python-multipart==0.0.34"),
        command=_app("litserve_speech.py", lambda files: str(files.speech)),
        path="/v1/audio/transcriptions",
    ),
)
