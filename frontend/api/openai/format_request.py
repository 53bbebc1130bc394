"""The form that the content of an answer is to have, in the words of OpenAI and of other servers.

vLLM has ``structured_outputs``, and ``guided_…`` before it; SGLang ``regex``, ``ebnf`` and
``json_schema``; llama.cpp ``grammar`` and ``json_schema``; Ollama ``format``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from frontend.api.fields import OneOf, Schema, Text, by_key, json_text
from frontend.api.validate import Body
from frontend.grammar.gate import AskedForm
from ipc.grammar.schemas.reading import MAX_NAMES
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import Choice, Gbnf, Json, Regex

ANY_OBJECT = Json(schema='{"type":"object"}')

_TAGS = {dict: "<schema>", bool: "<truth>", str: "<text>"}
_OBJECT = Annotated[dict[str, Any], Tag("<schema>")]
_TRUTH = Annotated[bool, Tag("<truth>")]


def _schema_kind(given: object) -> str | None:
    return _TAGS.get(type(given))


def _schema_itself_kind(given: object) -> str | None:
    return None if isinstance(given, str) else _schema_kind(given)


GivenSchema = Annotated[
    _OBJECT | _TRUTH,
    OneOf(_schema_itself_kind, "must be a JSON Schema: an object, true or false"),
]
# Some clients send its text.
TextOrSchema = Annotated[
    _OBJECT | _TRUTH | Annotated[Text, Tag("<text>")],
    OneOf(_schema_kind, "must be a JSON Schema or the text of one"),
]
Choices = Annotated[list[Text], Field(min_length=1, max_length=MAX_NAMES)]


class TextFormat(Body):
    type: Literal["text"]


class JsonObjectFormat(Body):
    """llama.cpp takes a ``schema`` here."""

    type: Literal["json_object"]
    schema_: Annotated[GivenSchema | None, Field(alias="schema")] = None

    def asked(self) -> AskedForm:
        if self.schema_ is None:
            return AskedForm(ANY_OBJECT, "response_format")
        return _formed(self.schema_, "response_format.schema")


class NamedSchema(Body):
    name: str | None = None
    description: str | None = None
    schema_: Annotated[GivenSchema | None, Field(alias="schema")] = None
    strict: bool | None = None


class JsonSchemaFormat(Body):
    """llama.cpp takes a ``schema`` beside the type too."""

    type: Literal["json_schema"]
    json_schema: NamedSchema | None = None
    schema_: Annotated[GivenSchema | None, Field(alias="schema")] = None

    def asked(self) -> AskedForm:
        named = self.json_schema
        if named is not None and named.schema_ is not None:
            strict = named.strict is not False
            return _formed(named.schema_, "response_format.json_schema.schema", strict=strict)
        if self.schema_ is not None:
            return _formed(self.schema_, "response_format.schema")
        if named is None:
            raise InvalidRequest(
                "`response_format.json_schema` is required", param="response_format.json_schema"
            )
        return AskedForm(ANY_OBJECT, "response_format")


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonObjectFormat, Tag("<object>")]
    | Annotated[JsonSchemaFormat, Tag("<schema>")],
    by_key("type", {"text": "<text>", "json_object": "<object>", "json_schema": "<schema>"}),
]


class StructuredOutputs(Body):
    """vLLM's. Whitespace is bounded as it is, and by no pattern of the client's."""

    json_: Annotated[TextOrSchema | None, Field(alias="json")] = None
    regex: Text | None = None
    choice: Choices | None = None
    grammar: Text | None = None
    json_object: bool | None = None
    structural_tag: Any = None
    disable_any_whitespace: bool | None = None
    whitespace_pattern: Text | None = None

    def asked(self) -> AskedForm:
        """Raises `InvalidRequest` where it has no kind or several, `UnsupportedParameter`."""
        path = "structured_outputs"
        for name in ("structural_tag", "disable_any_whitespace", "whitespace_pattern"):
            if getattr(self, name):
                raise UnsupportedParameter(
                    f"`{path}.{name}` is not supported; leave it out", param=f"{path}.{name}"
                )
        found = [
            *_schema(self.json_, f"{path}.json"),
            *_texts(self.regex, self.choice, self.grammar, path),
            *([AskedForm(ANY_OBJECT, f"{path}.json_object")] if self.json_object else []),
        ]
        if len(found) != 1:
            raise InvalidRequest(
                f"`{path}` must have one of json, regex, choice, grammar, json_object; "
                f"it has {len(found)}",
                param=path,
            )
        return found[0]


class FormatRequest(Body):
    """All the keys that ask for a form; a request may have one of them."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: TextOrSchema | None = None
    guided_regex: Text | None = None
    guided_choice: Choices | None = None
    guided_grammar: Text | None = None
    guided_json_object: bool | None = None
    regex: Text | None = None
    ebnf: Text | None = None
    grammar: Text | None = None
    json_schema: TextOrSchema | None = None
    format: TextOrSchema | None = None

    def asked_form(self) -> AskedForm | None:
        """Raises `InvalidRequest` where there are two, or one that is none."""
        found = [*self._asked()]
        if len(found) > 1:
            names = " and ".join(f"`{one.param}`" for one in found[:2])
            raise InvalidRequest(
                f"{names} each ask for a form of the answer; send one of them", param=found[1].param
            )
        return found[0] if found else None

    def _asked(self) -> Iterator[AskedForm]:
        if self.response_format is not None and not isinstance(self.response_format, TextFormat):
            yield self.response_format.asked()
        if self.structured_outputs is not None and self.structured_outputs.model_fields_set:
            yield self.structured_outputs.asked()
        yield from _schema(self.guided_json, "guided_json")
        yield from _texts(self.guided_regex, self.guided_choice, self.guided_grammar, "guided")
        if self.guided_json_object:
            yield AskedForm(ANY_OBJECT, "guided_json_object")
        if self.regex:
            yield AskedForm(Regex(pattern=self.regex), "regex")
        for name in ("ebnf", "grammar"):
            if text := getattr(self, name):
                yield AskedForm(Gbnf(text=text), name)
        yield from _schema(self.json_schema, "json_schema")
        if self.format == "json":
            yield AskedForm(ANY_OBJECT, "format")
        elif self.format:
            yield from _schema(self.format, "format")


def _texts(
    regex: str | None, choice: list[str] | None, grammar: str | None, path: str
) -> Iterator[AskedForm]:
    """Kinds that vLLM has in both of its ways, where ``path`` is the first part of their names."""
    dot = "_" if path == "guided" else "."
    if regex is not None:
        yield AskedForm(Regex(pattern=regex), f"{path}{dot}regex")
    if choice is not None:
        yield AskedForm(Choice(texts=choice), f"{path}{dot}choice")
    if grammar is not None:
        yield AskedForm(Gbnf(text=grammar), f"{path}{dot}grammar")


def _schema(given: TextOrSchema | None, path: str) -> Iterator[AskedForm]:
    if given is not None:
        if isinstance(given, str):
            yield AskedForm(Json(schema=given), path)
        else:
            yield _formed(given, path)


def _formed(schema: Schema | bool, path: str, *, strict: bool = True) -> AskedForm:
    return AskedForm(Json(schema=json_text(schema, path), strict=strict), path)
