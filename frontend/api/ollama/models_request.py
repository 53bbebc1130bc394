"""POST /api/show and /api/pull, DELETE /api/delete: the model that is meant."""

from __future__ import annotations

from pydantic import ConfigDict

from frontend.api.fields import Name, Schema
from frontend.api.known_keys import Row, done, harmless
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest

_MODEL = done("model name", "either is required; the second is the older name of the first")
SHOW_KEYS: tuple[Row, ...] = (
    _MODEL,
    harmless("verbose", "the whole vocabulary is never told"),
    harmless("system template options", "Ollama has dropped them"),
)
PULL_KEYS: tuple[Row, ...] = (
    _MODEL,
    done("stream", "true where it is left out"),
    harmless("insecure username password", "the hub is reached as this server is set up to"),
)
_ONE_OF_BOTH: Schema = {
    "anyOf": [
        {"properties": {name: {"type": "string"}}, "required": [name]} for name in ("model", "name")
    ]
}


class OllamaModelRequest(Body):
    model_config = ConfigDict(json_schema_extra=_ONE_OF_BOTH)
    EXAMPLE = {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}

    model: Name | None = None
    name: Name | None = None

    @property
    def wanted(self) -> str:
        """Raises `InvalidRequest` where no model is named."""
        name = self.model or self.name
        if name is None:
            raise InvalidRequest("`model` is required", param="model")
        return name


class OllamaPullRequest(OllamaModelRequest):
    stream: bool | None = None
