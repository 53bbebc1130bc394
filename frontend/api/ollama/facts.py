"""What is known of a model, by Ollama's names."""

from __future__ import annotations

from typing import Any

from ipc.messages.spec import Loaded, Spec
from ipc.tasks import capabilities

# What a capability is called there.
_CAPABILITIES = {
    "chat-completion": "completion",
    "text-embedding": "embedding",
    "vision": "vision",
    "tools": "tools",
    "reasoning": "thinking",
    "fill": "insert",
}
_BILLION, _MILLION, _THOUSAND = 1_000_000_000, 1_000_000, 1_000
# The family of a model whose files do not say it: clients find other facts under its name.
_UNKNOWN = "unknown"


def capabilities_of(spec: Spec, loaded: Loaded | None) -> list[str]:
    return [_CAPABILITIES[name] for name in capabilities(spec, loaded) if name in _CAPABILITIES]


def details(spec: Spec) -> dict[str, Any]:
    facts = spec.facts
    return {
        "parent_model": "",
        "format": facts.format,
        "family": facts.family,
        "families": [facts.family] if facts.family else [],
        "parameter_size": human_count(facts.parameters) if facts.parameters else "",
        "quantization_level": facts.quantization,
    }


def model_info(spec: Spec, loaded: Loaded | None) -> dict[str, Any]:
    """As the keys of a GGUF file; what is not known is not there."""
    family = spec.facts.family or _UNKNOWN
    found = {
        "general.architecture": family,
        "general.basename": spec.name.rpartition("/")[2],
        "general.parameter_count": spec.facts.parameters or None,
        f"{family}.context_length": loaded.context_tokens if loaded else None,
        f"{family}.embedding_length": loaded.dimensions if loaded else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def parameters(spec: Spec) -> str:
    """How a chat model picks words where a request does not say it, as lines of a Modelfile."""
    if spec.task != "chat":
        return ""
    defaults = spec.defaults
    values = {
        "num_predict": defaults.max_tokens,
        "temperature": defaults.temperature,
        "top_p": defaults.top_p,
        "top_k": defaults.top_k,
        "min_p": defaults.min_p,
        "repeat_penalty": defaults.repetition_penalty,
        "presence_penalty": defaults.presence_penalty,
        "frequency_penalty": defaults.frequency_penalty,
    }
    return "\n".join(f"{name} {value:g}" for name, value in values.items())


def human_count(count: int) -> str:
    """A number of parameters as Ollama writes it: 7B, 134.52M."""
    for unit, letter, digits in ((_BILLION, "B", 1), (_MILLION, "M", 2)):
        if count >= unit:
            number = count / unit
            return f"{number:.{0 if number.is_integer() else digits}f}{letter}"
    return f"{count / _THOUSAND:.0f}K" if count >= _THOUSAND else str(count)
