"""What tools are asked. What of it is passed on is checked where it is used: by the route."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from frontend.api.fields import Schema
from frontend.api.validate import Exact

_MODEL = Field(description="which model; left out: the first")
Positive = Annotated[int, Field(ge=1)]


class Nothing(Exact):
    """No argument."""


class OfModel(Exact):
    model: Annotated[str | None, _MODEL] = None


class ChatArguments(OfModel):
    prompt: Annotated[str, Field(description="what to answer")]
    system: Annotated[str | None, Field(description="how to answer")] = None
    max_tokens: Positive | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class TranscribeArguments(OfModel):
    audio: Annotated[str, Field(description="the recording, a file of any usual kind, as base64")]
    # \w{1,128} of all letters there are would take 12 MB of memory as an expression.
    filename: Annotated[str, Field(pattern=r"^[A-Za-z0-9_. -]+$", max_length=128)] = "recording"
    language: Annotated[str | None, Field(description="ISO 639-1; left out: detected")] = None
    prompt: Annotated[str | None, Field(description="names and words that occur in it")] = None


class EmbedArguments(OfModel):
    input: Annotated[list[str], Field(min_length=1, description="the texts")]


class SpeakArguments(OfModel):
    input: Annotated[str, Field(description="the text to speak")]
    voice: Annotated[str | None, Field(description="left out: the model's first")] = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav"] = "mp3"


class RequestsArguments(Exact):
    limit: Annotated[int, Field(ge=1, le=1000, description="how many that have ended")] = 20


class EventsArguments(Exact):
    after: Annotated[int, Field(ge=0, description="the seq of the last one that is known")] = 0


class LogArguments(Exact):
    process: Annotated[
        str, Field(min_length=1, description="supervisor, frontend, or a worker as health has it")
    ] = "supervisor"
    tail: Annotated[int, Field(ge=1, le=1000, description="how many of the last lines")] = 100


def described(kind: type[Exact], models: list[str]) -> Schema:
    """``kind`` as JSON Schema, its model one of ``models``."""
    schema = kind.model_json_schema(mode="validation")
    found = {name: _plain(each) for name, each in schema.get("properties", {}).items()}
    if "model" in found:
        found["model"] |= {"type": "string", "enum": models}
        found["model"].pop("anyOf", None)
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": found, **required, "additionalProperties": False}


def _plain(schema: Schema) -> Schema:
    """Without what pydantic makes of names, and without the null of what may be left out."""
    found: dict[str, Any] = {
        key: value for key, value in schema.items() if key not in ("title", "default", "anyOf")
    }
    if schema.get("default") is not None:
        found["default"] = schema["default"]
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null":
            found |= each
    return found
