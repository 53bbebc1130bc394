"""Estimates, beside what configs/model_config.yaml has measured or says of the same models."""

from __future__ import annotations

from typing import Any

import pytest

from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from supervisor.discovery.estimate import Shape, memory_mb, shape_of_config, shape_of_gguf

SMOL = Shape(layers=30, kv_heads=3, head_size=64, context_tokens=8192)
QWEN = Shape(layers=28, kv_heads=8, head_size=128, context_tokens=40_960)
NONE = Shape()


def spec(task: Task, **options: Any) -> Spec:
    return Spec(name="a/b", task=task, engine="openvino", path="", options=options)


CATALOG: list[tuple[str, Task, str, int, Shape, dict[str, Any], int]] = [
    ("SmolLM2-135M, Q4_1", "chat", "openvino", 98_362_432, SMOL, {}, 660),
    (
        *("Qwen3-0.6B, Q8_0", "chat", "openvino", 639_446_688, QWEN),
        *({"kv_cache_tokens": 16_384}, 2700),
    ),
    ("all-MiniLM-L6-v2", "embed", "openvino", 45_434_188, NONE, {}, 320),
    ("bge-m3", "embed", "openvino", 1_135_000_000, NONE, {}, 2700),
    ("whisper-base", "speech", "ctranslate2", 145_217_532, NONE, {}, 1000),
    ("Parakeet TDT v3, int8", "speech", "onnx-asr", 670_386_003, NONE, {}, 1300),
    ("Canary 1B v2, int8", "speech", "onnx-asr", 1_029_118_512, NONE, {}, 1800),
    ("whisper-large-v2", "speech", "ctranslate2", 3_090_000_000, NONE, {}, 2100),
]


@pytest.mark.parametrize(
    ("task", "engine", "size", "shape", "options", "told_mb"),
    [row[1:] for row in CATALOG],
    ids=[row[0] for row in CATALOG],
)
def test_an_estimate_is_within_a_fifth_of_what_the_catalog_has(
    task: Task, engine: str, size: int, shape: Shape, options: dict[str, Any], told_mb: int
) -> None:
    found_mb = memory_mb(task, engine, "cpu", size, shape, spec(task, **options))
    assert found_mb == pytest.approx(told_mb, rel=0.2)


@pytest.mark.parametrize(("threads", "slots", "measured_mb"), [(1, 4, 612), (4, 4, 1938)])
def test_a_whisper_in_onnx_takes_as_much_as_its_windows(
    threads: int, slots: int, measured_mb: int
) -> None:
    shape = shape_of_config({"model_type": "whisper", "encoder_attention_heads": 6})
    tiny = Spec(name="a/b", task="speech", engine="onnx-asr", path="", threads=threads, slots=slots)
    found_mb = memory_mb("speech", "onnx-asr", "cpu", 41 << 20, shape, tiny)
    assert found_mb == pytest.approx(measured_mb, rel=0.2)


def test_torch_takes_twice_as_much_on_a_cpu() -> None:
    chat = spec("chat")
    on_cpu = memory_mb("chat", "torch", "cpu", 1 << 30, SMOL, chat)
    on_gpu = memory_mb("chat", "torch", "cuda", 1 << 30, SMOL, chat)
    assert on_cpu - on_gpu > 1024


def test_the_shape_of_a_checkpoint_may_stand_under_its_text() -> None:
    text = {
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "hidden_size": 512,
        "max_position_embeddings": 2048,
    }
    assert shape_of_config({"text_config": text}) == Shape(4, 8, 64, 2048)
    assert shape_of_config({**text, "num_key_value_heads": 2, "head_dim": 32}).kv_heads == 2


def test_the_shape_of_a_gguf_file_stands_under_its_architecture() -> None:
    facts = {
        "general.architecture": "llama",
        "llama.block_count": 30,
        "llama.attention.head_count": 9,
        "llama.attention.head_count_kv": 3,
        "llama.embedding_length": 576,
        "llama.context_length": 8192,
    }
    assert shape_of_gguf(facts) == SMOL
