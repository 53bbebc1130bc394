"""What requests may be, as JSON Schema: the models that check them, and what is checked by hand.

Routes look at some values by hand, because their limits are the server's or their shape is the
client's choice. Those are described here, so that the description says all that a client must know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from frontend.schemas.audio import AudioRequest
from frontend.schemas.chat import HARMLESS as CHAT_HARMLESS
from frontend.schemas.chat import (
    MAX_MESSAGES,
    MAX_PARTS,
    MAX_STOP_CHARS,
    MAX_STOPS,
    ChatRequest,
)
from frontend.schemas.embeddings import EmbeddingRequest
from frontend.schemas.plain_embeddings import HARMLESS as PLAIN_HARMLESS
from frontend.schemas.plain_embeddings import PlainEmbeddingRequest
from frontend.schemas.rerank import HARMLESS as RERANK_HARMLESS
from frontend.schemas.rerank import RerankRequest, TextsRerankRequest
from frontend.schemas.truncation import MODEL_LIMIT
from frontend.schemas.validate import Body
from ipc.control import Serve
from ipc.languages import NAMES
from ipc.types import Spec, Task

Schema = dict[str, Any]

_NO_NUL = "^[^\\x00]*$"
# JSON numbers past these are read as floats.
_INT = {"minimum": -(1 << 63), "maximum": (1 << 64) - 1}


def shape(kind: type[Body], task: Task, serve: Serve) -> Schema:
    """What a body that is checked by ``kind`` may be, for ``serve``'s models of ``task``."""
    schema = kind.model_json_schema(mode="validation")
    properties: Schema = _bounded(_inlined(schema)["properties"])
    names = names_of([spec for spec in serve.specs if spec.task == task], serve)
    required = set(schema.get("required", []))
    properties["model"] = one_of(names)
    if "model" not in required:
        properties["model"] = {"anyOf": [properties["model"], {"type": "null"}]}
    if kind is AudioRequest:
        properties = {name: _without_null(one) for name, one in properties.items()}
    by_hand = _BY_HAND[kind](serve)
    rules = by_hand.pop("rules", {})
    required |= set(by_hand.pop("required", ()))
    return {
        "type": "object",
        "properties": {**properties, **by_hand},
        "required": sorted(required),
        **rules,
    }


def names_of(specs: list[Spec], serve: Serve) -> list[str]:
    """What these models may be called, aliases included."""
    names = [spec.name for spec in specs]
    return names + [alias for alias, name in serve.aliases.items() if name in names]


def one_of(names: list[str]) -> Schema:
    """One of ``names``; where there is none any text, since a schema cannot say "nothing"."""
    return {"enum": names} if names else {"type": "string", "minLength": 1}


def _inlined(schema: Schema) -> Schema:
    """``schema`` with what it refers to in its place."""
    definitions = schema.get("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {key: inline(each) for key, each in value.items() if key != "$defs"}

    found: Schema = inline(schema)
    return found


def _bounded(value: Any) -> Any:
    """``value`` with integers as far as JSON carries them, and texts without NUL."""
    if isinstance(value, list):
        return [_bounded(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _bounded(each) for key, each in value.items()}
    if found.get("type") == "integer":
        return {**_INT, **found}
    if found.get("type") == "string" and "enum" not in found and "const" not in found:
        return {"pattern": _NO_NUL, **found}
    return found


def _without_null(schema: Schema) -> Schema:
    """What a field of a form may be: text, so that nothing else than leaving it out is null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


def _harmless(harmless: Mapping[str, tuple[Any, ...]]) -> Schema:
    """What is not built, with the values that ask for nothing."""
    return {name: {"enum": [*values, None]} for name, values in harmless.items()}


def _text(limits: Serve) -> Schema:
    return {"type": "string", "maxLength": limits.max_text_chars}


def _texts(limits: Serve, item: Schema) -> Schema:
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": limits.max_batch_size}
    return {"anyOf": [item, many]}


def _chat(serve: Serve) -> Schema:
    text = {"type": "string", "pattern": _NO_NUL}
    part = {
        "type": "object",
        "properties": {"type": {"enum": ["text", "input_text"]}, "text": text},
        "required": ["type", "text"],
    }
    parts: list[Schema] = [part]
    if any(spec.vision for spec in serve.specs):
        url = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
        parts.append(
            {
                "type": "object",
                "properties": {"type": {"const": "image_url"}, "image_url": url},
                "required": ["type", "image_url"],
            }
        )
    several = {"type": "array", "items": {"anyOf": parts}, "maxItems": MAX_PARTS}
    stop = {"type": "string", "maxLength": MAX_STOP_CHARS, "pattern": _NO_NUL}
    message = {
        "type": "object",
        "properties": {
            "role": {"enum": ["developer", "system", "user", "assistant"]},
            "content": {"anyOf": [text, several]},
            "tool_calls": {"enum": [None, []]},
            "function_call": {"type": "null"},
        },
        "required": ["role", "content"],
    }
    return {
        **_harmless(CHAT_HARMLESS),
        "messages": {"type": "array", "items": message, "minItems": 1, "maxItems": MAX_MESSAGES},
        "stop": {
            "anyOf": [
                stop,
                {"type": "array", "items": stop, "maxItems": MAX_STOPS},
                {"type": "null"},
            ]
        },
        "tools": {},
        "tool_choice": {"enum": [None, "none", "auto"]},
        "rules": {
            "anyOf": [
                {"properties": {"tools": {"enum": [None, []]}}},
                {"properties": {"tool_choice": {"const": "none"}}, "required": ["tool_choice"]},
            ]
        },
    }


# What `Truncating` looks at by hand.
_LONG_TEXTS: Schema = {
    "truncate_prompt_tokens": {
        "anyOf": [
            {"const": MODEL_LIMIT},
            {"type": "integer", "minimum": 1, "maximum": _INT["maximum"]},
            {"type": "null"},
        ]
    }
}
_AT_ODDS: Schema = {
    "not": {
        "properties": {
            "truncate": {"enum": [False, "NONE"]},
            "truncate_prompt_tokens": {"type": "integer"},
        },
        "required": ["truncate", "truncate_prompt_tokens"],
    }
}


def _embeddings(serve: Serve) -> Schema:
    return {"input": _texts(serve, _text(serve)), **_LONG_TEXTS, "rules": _AT_ODDS}


def _plain(serve: Serve) -> Schema:
    text = _text(serve)
    wrapped = {
        "type": "object",
        "properties": {"prompt_string": text, **_harmless(PLAIN_HARMLESS)},
        "required": ["prompt_string"],
    }
    texts = _texts(serve, {"anyOf": [text, wrapped]})
    return {
        **_harmless(PLAIN_HARMLESS),
        **_LONG_TEXTS,
        "content": {},
        "input": {"anyOf": [texts, {"type": "null"}]},
        "rules": {
            **_AT_ODDS,
            "anyOf": [
                {"properties": {"input": texts}, "required": ["input"]},
                {
                    "properties": {"content": texts, "input": {"type": "null"}},
                    "required": ["content"],
                },
            ],
        },
    }


def _documents(serve: Serve) -> Schema:
    return {**_ranked(serve, "documents"), **_harmless(RERANK_HARMLESS), "texts": {"enum": [None]}}


def _ranked_texts(serve: Serve) -> Schema:
    return _ranked(serve, "texts")


def _ranked(serve: Serve, path: str) -> Schema:
    document = _text(serve)
    wrapped = {"type": "object", "properties": {"text": document}, "required": ["text"]}
    return {
        "query": {**document, "minLength": 1},
        path: {
            "type": "array",
            "items": {"anyOf": [document, wrapped]},
            "minItems": 1,
            "maxItems": serve.max_batch_size,
        },
        **_LONG_TEXTS,
        "rules": _AT_ODDS,
    }


def _audio(_: Serve) -> Schema:
    return {
        "file": {"type": "string", "format": "binary", "minLength": 1},
        "language": {"enum": sorted(NAMES)},
        "stream": {"enum": [False, True, 0, 1]},
        "required": ("file",),
        "rules": {
            "anyOf": [
                {
                    "properties": {
                        "response_format": {"enum": ["json", "text"]},
                        "timestamp_granularities": {"maxItems": 0},
                    }
                },
                {
                    "properties": {
                        "response_format": {"enum": ["srt", "vtt"]},
                        "timestamp_granularities": {"maxItems": 0},
                        "stream": {"enum": [False, 0]},
                    },
                    "required": ["response_format"],
                },
                {
                    "properties": {
                        "response_format": {"const": "verbose_json"},
                        "stream": {"enum": [False, 0]},
                    },
                    "required": ["response_format"],
                },
            ]
        },
    }


_BY_HAND: dict[type[Body], Callable[[Serve], Schema]] = {
    ChatRequest: _chat,
    EmbeddingRequest: _embeddings,
    PlainEmbeddingRequest: _plain,
    RerankRequest: _documents,
    TextsRerankRequest: _ranked_texts,
    AudioRequest: _audio,
}
