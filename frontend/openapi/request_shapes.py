"""What requests may be, as JSON Schema: the models that check them, and what is checked by hand.

Routes look at some values by hand, because their limits are the server's or their shape is the
client's choice. Those are described here, so that the description says all that a client must know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from frontend.api.compat import llama_cpp_embeddings
from frontend.api.compat.llama_cpp_embeddings import PlainEmbeddingRequest
from frontend.api.known_keys import Row
from frontend.api.openai import chat_request, embeddings_request, messages_request, tools_request
from frontend.api.openai.audio_request import AudioRequest
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.rerank import request
from frontend.api.rerank.request import RerankRequest, TextsRerankRequest
from frontend.api.truncation import MODEL_LIMIT
from frontend.api.validate import Body
from ipc.facts.languages import NAMES
from ipc.messages.control import Serve
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec

Schema = dict[str, Any]

_NO_NUL = "^[^\\x00]*$"
# JSON numbers past these are read as floats.
_INT = {"minimum": -(1 << 63), "maximum": (1 << 64) - 1}


def shape(kind: type[Body], task: Task | None, serve: Serve) -> Schema:
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


def _refused(refused: Mapping[str, Row]) -> Schema:
    """What is not built, with the values that ask for nothing."""
    return {name: {"enum": [*row.neutral, None]} for name, row in refused.items()}


def _text(limits: Serve) -> Schema:
    return {"type": "string", "maxLength": limits.max_text_chars}


def _texts(limits: Serve, item: Schema) -> Schema:
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": limits.max_batch_size}
    return {"anyOf": [item, many]}


def _chat(serve: Serve) -> Schema:
    stop = {"type": "string", "maxLength": chat_request.MAX_STOP_CHARS, "pattern": _NO_NUL}
    stops = {"type": "array", "items": stop, "maxItems": chat_request.MAX_STOPS}
    return {
        **_refused(chat_request.REFUSED),
        "messages": {
            "type": "array",
            "items": {"anyOf": _messages(serve)},
            "minItems": 1,
            "maxItems": messages_request.MAX_MESSAGES,
        },
        "max_completion_tokens": {
            "anyOf": [{"type": "integer", "minimum": 1}, {"enum": [-1, None]}]
        },
        "stop": {"anyOf": [stop, stops, {"type": "null"}]},
        "tools": {
            "anyOf": [
                {"type": "array", "items": _TOOL, "maxItems": tools_request.MAX_TOOLS},
                {"type": "null"},
            ]
        },
        "tool_choice": {"anyOf": [{"enum": [None, "none", "auto"]}, _ALLOWED_TOOLS]},
        "rules": {"allOf": [_ONE_REPETITION, _PENALTIES_SEE_ALL]},
    }


_FUNCTION = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": tools_request.NAME_PATTERN},
        "description": {"type": ["string", "null"]},
        "parameters": {"type": ["object", "null"]},
        "strict": {"type": ["boolean", "null"]},
    },
    "required": ["name"],
}
_TOOL = {
    "type": "object",
    "properties": {"type": {"const": "function"}, "function": _FUNCTION},
    "required": ["type", "function"],
}
_NAMED = {
    "type": "object",
    "properties": {
        "function": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        }
    },
    "required": ["function"],
}
_ALLOWED_TOOLS = {
    "type": "object",
    "properties": {
        "type": {"const": "allowed_tools"},
        "allowed_tools": {
            "type": "object",
            "properties": {"mode": {"const": "auto"}, "tools": {"type": "array", "items": _NAMED}},
            "required": ["mode", "tools"],
        },
    },
    "required": ["type", "allowed_tools"],
}
_CALLED = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": tools_request.NAME_PATTERN},
        "arguments": {"type": ["object", "string", "null"]},
    },
    "required": ["name"],
}
_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": tools_request.MAX_ID_CHARS,
    "pattern": _NO_NUL,
}
_CALL = {
    "type": "object",
    "properties": {
        "id": {"anyOf": [_ID, {"type": "null"}]},
        "type": {"enum": ["function", None]},
        "function": _CALLED,
    },
    "required": ["function"],
}
_CALLS = {"type": "array", "items": _CALL, "maxItems": tools_request.MAX_CALLS}
_ONE_REPETITION = {
    "anyOf": [
        {"properties": {"repetition_penalty": {"type": "null"}}},
        {"properties": {"repeat_penalty": {"type": "null"}}},
    ]
}
_PENALTIES_SEE_ALL = {
    "anyOf": [
        {"properties": {"repeat_last_n": {"enum": [-1, None]}}},
        {
            "properties": {
                "repetition_penalty": {"enum": [1, None]},
                "repeat_penalty": {"enum": [1, None]},
                "presence_penalty": {"enum": [0, None]},
                "frequency_penalty": {"enum": [0, None]},
            }
        },
    ]
}


def _messages(serve: Serve) -> list[Schema]:
    """What a message may be, by its role."""
    text = {"type": "string", "pattern": _NO_NUL}
    written = _part("text", text)
    seen = [written]
    if any(spec.vision for spec in serve.specs):
        url = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}
        seen.append(_part("image_url", url))
    name = {"anyOf": [{**text, "maxLength": messages_request.MAX_NAME_CHARS}, {"type": "null"}]}
    null = {"type": "null"}
    return [
        _message(["developer", "system"], {"content": _parts(written), "name": name}, "content"),
        _message(["user"], {"content": _parts(*seen), "name": name}, "content"),
        _message(
            ["assistant"],
            {
                "content": {"anyOf": [_parts(written), null]},
                "name": name,
                "audio": null,
                "tool_calls": {"anyOf": [_CALLS, null]},
                "function_call": {"anyOf": [_CALLED, null]},
            },
        ),
        _message(
            ["tool"],
            {"content": {"anyOf": [_parts(written), null]}, "tool_call_id": _ID, "name": name},
            "tool_call_id",
        ),
        _message(
            ["function"],
            {"content": {"anyOf": [_parts(written), null]}, "name": {**_ID, "pattern": _NO_NUL}},
            "name",
        ),
    ]


def _message(roles: list[str], properties: Schema, *required: str) -> Schema:
    no_calls = {"tool_calls": {"enum": [None, []]}, "function_call": {"type": "null"}}
    return {
        "type": "object",
        "properties": {
            "role": {"enum": roles},
            **no_calls,
            "audio": {"type": "null"},
            **properties,
        },
        "required": ["role", *required],
    }


def _part(kind: str, value: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "type": {"enum": ["text", "input_text"]} if kind == "text" else {"const": kind},
            kind: value,
        },
        "required": ["type", kind],
    }


def _parts(*parts: Schema) -> Schema:
    text = {"type": "string", "pattern": _NO_NUL}
    several = {
        "type": "array",
        "items": {"anyOf": list(parts)},
        "maxItems": messages_request.MAX_PARTS,
    }
    return {"anyOf": [text, several]}


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
    return {
        **_refused(embeddings_request.REFUSED),
        "input": _texts(serve, _text(serve)),
        **_LONG_TEXTS,
        "rules": _AT_ODDS,
    }


def _plain(serve: Serve) -> Schema:
    text = _text(serve)
    wrapped = {
        "type": "object",
        "properties": {"prompt_string": text, **_refused(llama_cpp_embeddings.REFUSED)},
        "required": ["prompt_string"],
    }
    texts = _texts(serve, {"anyOf": [text, wrapped]})
    return {
        **_refused(llama_cpp_embeddings.REFUSED),
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
    return {**_ranked(serve, "documents"), "texts": {"enum": [None]}}


def _ranked_texts(serve: Serve) -> Schema:
    return _ranked(serve, "texts")


def _ranked(serve: Serve, path: str) -> Schema:
    document = _text(serve)
    wrapped = {"type": "object", "properties": {"text": document}, "required": ["text"]}
    return {
        **_refused(request.REFUSED),
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
