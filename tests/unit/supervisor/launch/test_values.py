"""What is in force for a model is told with who has said so, and in which file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipc.messages.configuration import Value
from supervisor.config import catalog, settings
from supervisor.config.settings import Flags
from supervisor.host.hardware import Box
from supervisor.launch.stages import Launch
from supervisor.launch.values import values_of

OWN = """
models:
  - name: org/chat
    task: chat
    engine: echo
    queue_mb: 2
    slots: 3
    defaults: {temperature: 0.5}
    options: {word_ms: 5}
  - name: org/embed
    task: embed
    engine: echo
    load: on_demand
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    return file


def values(file: Path, name: str, device: str | None = None, **changes: Any) -> dict[str, Value]:
    found = settings.load(Flags(device=device)).model_copy(update=changes)
    models = catalog.load(file)
    launch = Launch(found, Box(threads=4), found.model_device if device else None)
    return values_of(launch.candidates([models.models[name]]).all[0])


def test_an_entry_says_something_and_settings_the_rest(own: Path) -> None:
    found = values(own, "org/chat")
    assert found["slots"] == Value(value=3, origin="entry", file=str(own))
    assert found["queue_bytes"] == Value(value=2 << 20, origin="entry", file=str(own))
    assert found["queue_limit"] == Value(value=256, origin="CHAT_BATCH_QUEUE_SIZE")
    assert found["max_new_tokens"] == Value(value=2048, origin="CHAT_MAX_NEW_TOKENS")
    assert found["threads"] == Value(value=4, origin="auto")
    assert found["stall_s"] == Value(value=60.0)
    assert found["pin"] == Value(value=False)


def test_what_answers_are_sampled_by_and_the_options_of_the_engine(own: Path) -> None:
    found = values(own, "org/chat")
    assert found["defaults.temperature"] == Value(value=0.5, origin="entry", file=str(own))
    assert found["defaults.max_tokens"] == Value(value=512, origin="MAX_NEW_TOKENS")
    assert found["options.word_ms"] == Value(value=5, origin="entry", file=str(own))
    assert found["options.dimensions"] == Value(value=8)


def test_only_what_concerns_its_task(own: Path) -> None:
    assert "cache_items" not in values(own, "org/chat")
    found = values(own, "org/embed")
    assert found["cache_items"] == Value(value=256, origin="EMBEDDING_CACHE_SIZE")
    assert not [key for key in found if key.startswith("defaults.")]


@pytest.mark.parametrize(
    ("changes", "key", "origin"),
    [
        ({"enable_chat_batching": False}, "slots", "ENABLE_CHAT_BATCHING"),
        ({"max_concurrent": 2}, "slots", "MAX_CONCURRENT"),
        ({"max_queue_size": 5}, "queue_limit", "MAX_QUEUE_SIZE"),
    ],
)
def test_which_of_several_settings_it_was(
    tmp_path: Path, changes: dict[str, Any], key: str, origin: str
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("models: [{name: org/chat, task: chat, engine: echo}]")
    assert values(file, "org/chat", **changes)[key].origin == origin


def test_whose_word_the_device_is(own: Path) -> None:
    assert values(own, "org/chat")["device"].origin == "auto"
    assert values(own, "org/chat", device="cpu")["device"] == Value(
        value="cpu", origin="MODEL_DEVICE"
    )


def test_an_entry_of_two_files(own: Path) -> None:
    own.write_text("models: [{name: HuggingFaceTB/SmolLM2-135M-Instruct, slots: 2}]")
    (name,) = catalog.load(own).serve
    said_in = catalog.load(own).models[name].said_in
    assert (said_in["slots"], said_in["task"]) == (own, catalog.BUILT_IN)


def test_what_is_secret_in_a_command_is_left_out(own: Path) -> None:
    own.write_text(
        "models:\n  - {name: org/own, task: chat, engine: command, options: {command: "
        "'serve --port {port} --api-key sesame --hf-token=sesame -c 5'}}"
    )
    said = values(own, "org/own")["options.command"].value
    assert said == "serve --port {port} --api-key *** --hf-token=*** -c 5"
