"""The engines under test, and where their models are.

Every engine of a task is run through the same cases. To bring another under the contract, add a
`Subject` to its table.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ipc.messages.jobs import Task
from ipc.messages.spec import Loaded, Spec
from tests.contract.checkpoints import exported_kokoro, exported_nemo, tiny, unconverted
from worker.engine import Engine
from worker.engines import make

CHECKOUT = Path(__file__).parents[2]
SLOTS = 4
MAX_PROMPT_TOKENS = 600
THREADS = 1  # more would wait for each other wherever a processor is busy
# Where engines that know several devices are tested: cpu, or cuda:0 on a box with a GPU.
DEVICE = os.environ.get("EDGE_SERVE_TEST_DEVICE", "cpu")
ON_DEVICE = {"torch", "ctranslate2"}
# What is compared with a reference in float32 is computed in it, on every device.
EXACT: dict[str, str | int | float | bool] = {"dtype": "float32"}
EXACTLY = {("torch", "chat"), ("torch", "speech")}

LLAMA_SERVER = str(Path(__file__).with_name("llama_server.py"))

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
WHISPER = "openai/whisper-base"
MOONSHINE = "moonshine/tiny-en"
PARAKEET = "istupakov/parakeet-tdt-0.6b-v3-onnx"
HIBARI = "hibari"
KOKORO = "onnx-community/Kokoro-82M-v1.0-ONNX"


def model_folder(name: str) -> Path:
    """Where the store keeps a model of the catalog, if it has been pulled."""
    models = Path(os.environ.get("EDGE_SERVE_MODELS_DIR") or CHECKOUT / "models")
    return models / name.replace("/", "--")


def real_model(name: str, file: str = "") -> Path:
    """Where the store keeps a model of the catalog, or the one ``file`` that is loaded of it."""
    path = model_folder(name) / file
    if not path.exists():
        pytest.fail(f"{path} is missing: bin/test pulls the models, then runs these tests")
    return path


def recording(name: str) -> bytes:
    """A real recording that bin/test fetches."""
    folder = Path(os.environ.get("EDGE_SERVE_TEST_DATA") or CHECKOUT / "tests" / ".data")
    path = folder / name
    if not path.exists():
        pytest.fail(f"{path} is missing: bin/test fetches the recordings, then runs these tests")
    return path.read_bytes()


@dataclass(frozen=True)
class Subject:
    """An engine and a model for it.

    ``model`` returns the model's path; it gets an empty folder in which it may build one. An engine
    is ``exact`` if nothing around a request, neither its company nor a cached prefix, changes how
    its numbers round: only then are two greedy answers to one prompt sure to be the same. One that
    is not ``gradual`` brings all text at once. What is not ``trained`` says no words.
    """

    engine: str
    task: Task
    model: Callable[[Path], Path] = lambda scratch: scratch
    exact: bool = True
    gradual: bool = True
    trained: bool = True
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()  # what a request may ask for, each by its name
    # Of a model that is a module's own: those that are called alike share an engine.
    which: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.engine, self.task, self.which)))


# `echo` keeps the engine's side of the bargain but has no model, and `remote` asks an `echo`
# elsewhere: what takes a model is tested on the others only.
CHAT_MODELS = [
    Subject("torch", "chat", tiny.llama, options={"prefill_tokens": 32}),
    Subject(
        "openvino",
        "chat",
        lambda _: real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"),
        exact=False,
    ),
    Subject(
        "llama.cpp",
        "chat",
        lambda _: real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"),
        exact=False,
        refuses=frozenset({"min_tokens"}),
    ),
    Subject(
        "command",
        "chat",
        lambda _: real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf"),
        exact=False,
        options={"command": shlex.join([sys.executable, LLAMA_SERVER, "{path}", "{port}", "4"])},
        refuses=frozenset({"min_tokens", "stop_token_ids"}),
    ),
]
EMBED_MODELS = [
    Subject("torch", "embed", lambda _: real_model(MINILM)),
    Subject("openvino", "embed", lambda _: real_model(MINILM)),
]
SPEECH_MODELS = [
    Subject("ctranslate2", "speech", lambda _: real_model(WHISPER)),
    Subject("torch", "speech", lambda scratch: unconverted.whisper(real_model(WHISPER), scratch)),
    Subject(
        "moonshine",
        "speech",
        lambda _: real_model(MOONSHINE),
        refuses=frozenset({"prompt", "word_times"}),
    ),
    # Only the hub has it: with random weights where nobody has pulled it.
    Subject("onnx-asr", "speech", lambda _: model_folder(PARAKEET), refuses=frozenset({"prompt"}))
    if model_folder(PARAKEET).exists()
    else Subject(
        "onnx-asr",
        "speech",
        lambda scratch: exported_nemo.unpack("tdt", scratch),
        trained=False,
        refuses=frozenset({"prompt"}),
    ),
]
SPEAK_MODELS = [
    Subject("hibari", "speak", lambda _: real_model(HIBARI)),
    # Only the hub has it: with random weights where nobody has pulled it.
    Subject("kokoro", "speak", lambda _: model_folder(KOKORO))
    if model_folder(KOKORO).exists()
    else Subject("kokoro", "speak", exported_kokoro.unpack, trained=False),
    Subject("remote", "speak"),
]


class Bench:
    """A loaded engine, shared by all tests of a run."""

    def __init__(self, subject: Subject, scratch: Path, **options: str) -> None:
        self.stages: list[str] = []
        self.subject = subject
        self.spec = Spec(
            name="under-test",
            task=subject.task,
            engine=subject.engine,
            path=str(subject.model(scratch)),
            device=DEVICE if subject.engine in ON_DEVICE else "cpu",
            cache=str(scratch / "cache"),
            slots=SLOTS,
            threads=THREADS,
            max_prompt_tokens=MAX_PROMPT_TOKENS,
            options={
                **(EXACT if (subject.engine, subject.task) in EXACTLY else {}),
                **subject.options,
                **options,
            },
        )
        self.engine: Engine = make(self.spec)
        self.loaded: Loaded = self.engine.load(self.spec, self.stages.append)
