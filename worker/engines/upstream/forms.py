"""How each kind of server is told what an answer must look like. No sockets in here."""

from __future__ import annotations

import json
import re
from typing import Any

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex
from worker.engines.upstream.servers import Server

# What `json_object` asks for.
_ANY_OBJECT = {"type": "object"}


def form_keys(form: Form | None, server: Server, *, is_raw: bool = False) -> dict[str, Any]:
    """The keys that ask for ``form``, in a chat or (``is_raw``) in a completion.

    Raises `UnsupportedParameter` where ``server`` has no words for it that are known here.
    """
    match form:
        case None:
            return {}
        case Json():
            return _json(form, server, is_raw)
        case Regex():
            return _regex(form.pattern, server)
        case Choice():
            return _choice(form.texts, server)
        case Gbnf():
            return _grammar(form.text, server)


def _json(form: Json, server: Server, is_raw: bool) -> dict[str, Any]:
    schema = json.loads(form.schema)
    if server.kind == "llama.cpp" and is_raw:  # which reads no `response_format` there
        return {"json_schema": schema}
    if server.kind == "tgi":
        return {"response_format": {"type": "json", "value": schema}}
    # OpenAI's strict form wants more of a schema than that.
    if server.kind == "" and schema == _ANY_OBJECT:
        return {"response_format": {"type": "json_object"}}
    asked = {"name": "answer", "schema": schema, "strict": form.strict}
    return {"response_format": {"type": "json_schema", "json_schema": asked}}


def _regex(pattern: str, server: Server) -> dict[str, Any]:
    match server.kind:
        case "vllm" | "edge-serve":
            return {"structured_outputs": {"regex": pattern}}
        case "sglang":
            return {"regex": pattern}
        case "tgi":
            return {"response_format": {"type": "regex", "value": pattern}}
    raise _no_words("regex", "a regular expression")


def _choice(texts: list[str], server: Server) -> dict[str, Any]:
    match server.kind:
        case "vllm" | "edge-serve":
            return {"structured_outputs": {"choice": texts}}
        case "sglang":
            return {"ebnf": _alternatives(texts)}
        case "llama.cpp":
            return {"grammar": _alternatives(texts)}
        case "tgi":
            return _regex("|".join(map(re.escape, texts)), server)
    raise _no_words("choice", "one of given texts")


def _grammar(text: str, server: Server) -> dict[str, Any]:
    match server.kind:
        case "llama.cpp" | "edge-serve":
            return {"grammar": text}
        case "vllm":
            return {"structured_outputs": {"grammar": text}}
        case "sglang":
            return {"ebnf": text}
    raise _no_words("grammar", "a grammar")


def _alternatives(texts: list[str]) -> str:
    """A grammar of just these texts, as llama.cpp and xgrammar read it."""
    return "root ::= " + " | ".join(map(_quoted, texts))


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x20 or code == 0x7F else character


def _no_words(name: str, what: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"the server behind this model is not known to hold an answer to {what}; leave "
        f"`structured_outputs.{name}` out, or send a JSON schema as `response_format`",
        param=f"structured_outputs.{name}",
    )
