"""What is known of a model, by LM Studio's names. Pure."""

from __future__ import annotations

from typing import Any, Literal

from frontend.api.ollama.facts import human_count
from ipc.messages.jobs import Task
from ipc.messages.spec import FileFacts, Loaded, Spec
from ipc.messages.state import ModelPhase, ModelState
from ipc.tasks import TOOLS, VISION, capabilities

# What it has an API for, and how its two versions call that.
TYPES: dict[Task, Literal["llm", "embedding"]] = {"chat": "llm", "embed": "embedding"}
_OLDER_TYPES = {"llm": "llm", "embedding": "embeddings"}
_STATES: dict[ModelPhase, Literal["loaded", "loading"]] = {"ready": "loaded", "starting": "loading"}
_GGUF = "gguf"
_BITS_PER_BYTE = 8


def older_entry(spec: Spec, state: ModelState) -> dict[str, Any]:
    """As version 0 tells it."""
    loaded = state.loaded
    context = loaded.context_tokens if loaded else None
    is_loaded = state.state == "ready"
    return {
        "id": spec.name,
        "object": "model",
        "type": "vlm" if spec.vision else _OLDER_TYPES[TYPES[spec.task]],
        "publisher": _publisher(spec),
        "arch": spec.facts.family or None,
        # Its clients know two, and refuse a list with another.
        "compatibility_type": _GGUF if spec.facts.format == _GGUF else "mlx",
        "quantization": spec.facts.quantization or None,
        "state": _STATES.get(state.state, "not-loaded"),
        "max_context_length": context,
        **({"loaded_context_length": context} if is_loaded else {}),
        "capabilities": _skills(spec, loaded),
    }


def entry(spec: Spec, state: ModelState) -> dict[str, Any]:
    """As version 1 tells it."""
    loaded, facts = state.loaded, spec.facts
    instance = {"id": spec.name, "config": load_config(loaded)}
    return {
        "type": TYPES[spec.task],
        "publisher": _publisher(spec),
        "key": spec.name,
        "display_name": spec.name.rpartition("/")[2],
        "quantization": _quantization(facts) if facts.quantization else None,
        "size_bytes": facts.size_bytes,
        "params_string": human_count(facts.parameters) if facts.parameters else None,
        "loaded_instances": [instance] if state.state == "ready" else [],
        "max_context_length": loaded.context_tokens if loaded else None,
        "format": _GGUF if facts.format == _GGUF else None,
        **(_of_chats(spec, loaded) if spec.task == "chat" else {}),
    }


def load_config(loaded: Loaded | None) -> dict[str, Any]:
    return {"context_length": loaded.context_tokens if loaded else None}


def _of_chats(spec: Spec, loaded: Loaded | None) -> dict[str, Any]:
    skills = capabilities(spec, loaded)
    return {
        "architecture": spec.facts.family or None,
        "capabilities": {"vision": VISION in skills, "trained_for_tool_use": TOOLS in skills},
        "description": None,
    }


def _skills(spec: Spec, loaded: Loaded | None) -> list[str]:
    names = {TOOLS: "tool_use", VISION: "vision"}
    return [names[skill] for skill in capabilities(spec, loaded) if skill in names]


def _publisher(spec: Spec) -> str:
    publisher, _, name = spec.name.partition("/")
    return publisher if name else spec.owned_by


def _quantization(facts: FileFacts) -> dict[str, Any]:
    """Bits are those that a weight takes in these files, whatever it is called."""
    bits = _BITS_PER_BYTE * facts.size_bytes / facts.parameters if facts.parameters else 0.0
    return {"name": facts.quantization, "bits_per_weight": round(bits, 1) or None}
